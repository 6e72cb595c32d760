//! What a registration must keep to, whoever makes it.

use std::time::Duration;

use url::Url;

use super::ClientMetadata;
use crate::types::{Algorithm, AuthMethod, GrantType, PkcePolicy, ResponseMode, TypeName, redirect_uri};

const MOST_REQUEST_URIS: usize = 32;

impl ClientMetadata {
    /// Holds what belongs together, together.
    ///
    /// # Errors
    /// In words, naming the member and what to do.
    pub fn validate(&self) -> Result<(), String> {
        let name = &self.client_name;
        if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err("client_name must have 1 to 100 characters, and no control characters".into());
        }
        let uses = |grant| self.grant_types.contains(&grant);
        if uses(GrantType::AuthorizationCode) && self.redirect_uris.is_empty() {
            return Err("the authorization_code grant needs at least one redirect URI".into());
        }
        if uses(GrantType::RefreshToken) && !uses(GrantType::AuthorizationCode) && !uses(GrantType::DeviceCode) {
            return Err("the refresh_token grant needs the authorization_code or device_code grant beside it".into());
        }
        let public = self.token_endpoint_auth_method == AuthMethod::None;
        // RFC 6749 §4.4: "MUST only be used by confidential clients".
        if public && uses(GrantType::ClientCredentials) {
            return Err("a public client cannot use the client_credentials grant".into());
        }
        // RFC 7662 §2.1: the endpoint must be protected.
        if public && self.resource_server {
            return Err("a resource server must authenticate, so it cannot be a public client".into());
        }
        if !self.resource_server && !self.resources.is_empty() {
            return Err("resources are those of a resource server: set resource_server".into());
        }
        if public && !self.signed_url_prefixes.is_empty() {
            return Err("a client that has addresses signed must authenticate, so it cannot be public".into());
        }
        if let Some(other) = self.signed_url_prefixes.iter().find(|prefix| !is_prefix(prefix)) {
            return Err(format!(
                "signed_url_prefixes has {other:?}: each is an https address that ends with a slash and has no query"
            ));
        }
        for name in &self.authorization_details_types {
            name.parse::<TypeName>().map_err(|why| format!("authorization_details_types: {why}"))?;
        }
        if public && self.pkce == Some(PkcePolicy::Optional) {
            return Err("PKCE is always required of public clients".into());
        }
        if let Some(default) = &self.default_scope
            && !default.is_within(&self.scope)
        {
            return Err("default_scope must be within scope".into());
        }
        if !self.id_token_signed_response_alg.is_asymmetric() {
            return Err("id_token_signed_response_alg must be an asymmetric algorithm".into());
        }
        if self.request_object_signing_alg.is_some_and(|alg| !alg.is_asymmetric()) {
            return Err("request_object_signing_alg must be an asymmetric algorithm".into());
        }
        if self.require_signed_request_object && self.jwks.is_none() && self.jwks_uri.is_none() {
            return Err("require_signed_request_object needs the client's keys: register jwks or jwks_uri".into());
        }
        self.validate_request_uris()?;
        // JARM §3: "The algorithm none is not allowed"; a secret would have to be kept in clear.
        if self.authorization_signed_response_alg.is_some_and(|alg| !alg.is_asymmetric()) {
            return Err("authorization_signed_response_alg must be an asymmetric algorithm".into());
        }
        if let Some(unknown) = self.response_modes.iter().find(|mode| ResponseMode::parse(mode).is_none()) {
            return Err(format!(
                "response_modes has {unknown:?}, and there are only {}",
                ResponseMode::NAMES.join(", ")
            ));
        }
        self.protection.validate()?;
        self.validate_keys()?;
        // OpenID Connect Core §4: "The login initiation endpoint ... MUST use https"; the others are shown to people.
        for (name, uri) in [
            ("client_uri", &self.client_uri),
            ("logo_uri", &self.logo_uri),
            ("policy_uri", &self.policy_uri),
            ("tos_uri", &self.tos_uri),
            ("initiate_login_uri", &self.initiate_login_uri),
        ] {
            if uri.as_ref().is_some_and(|uri| !is_web_page(uri)) {
                return Err(format!("{name} must be an https URL without a user name, of at most 2048 characters"));
            }
        }
        self.validate_logout()?;
        self.validate_subject()?;
        let lifetimes =
            [self.access_token_lifetime, self.refresh_token_idle_lifetime, self.refresh_token_absolute_lifetime];
        if lifetimes.into_iter().flatten().any(|lifetime| lifetime < Duration::from_secs(1)) {
            return Err("a token lifetime must be at least one second".into());
        }
        Ok(())
    }

    /// By what is signed what it gets; the server needs a key for each.
    pub fn signatures(&self) -> impl Iterator<Item = (Algorithm, &'static str)> {
        let all = [
            (Some(self.id_token_signed_response_alg), "ID tokens"),
            (self.protection.userinfo_signed_response_alg, "UserInfo"),
            (self.protection.introspection_signed_response_alg, "introspection responses"),
            (self.authorization_signed_response_alg, "authorization responses"),
        ];
        all.into_iter().filter_map(|(algorithm, what)| Some((algorithm?, what)))
    }

    /// Keys, and what needs them. Whether the keys are sound is for `oauth::client_keys` to say.
    fn validate_keys(&self) -> Result<(), String> {
        // RFC 7591 §2: "MUST NOT both be present".
        if self.jwks.is_some() && self.jwks_uri.is_some() {
            return Err("a client has jwks or jwks_uri, not both".into());
        }
        if let Some(uri) = &self.jwks_uri {
            // Over http too, where outgoing.allow lets it be fetched at all.
            let known = url::Url::parse(uri).is_ok_and(|uri| matches!(uri.scheme(), "https" | "http"));
            if !known || uri.contains('#') {
                return Err("jwks_uri must be an https URL without a fragment".into());
            }
        }
        let method = self.token_endpoint_auth_method;
        let has_keys = matches!(method, AuthMethod::PrivateKeyJwt | AuthMethod::SelfSignedTlsClientAuth);
        if has_keys && self.jwks.is_none() && self.jwks_uri.is_none() {
            return Err(format!("{method} needs the client's public keys: set jwks or jwks_uri"));
        }
        if self.protection.key_encryptions().next().is_some() && self.jwks.is_none() && self.jwks_uri.is_none() {
            return Err("encryption needs the client's public keys: set jwks or jwks_uri".into());
        }
        // RFC 8705 §2.1.2: "MUST use exactly one".
        if self.certificate_names().len() > 1
            || (method == AuthMethod::TlsClientAuth && self.certificate_name().is_none())
        {
            return Err("tls_client_auth needs exactly one of tls_client_auth_subject_dn, tls_client_auth_san_dns, \
                        tls_client_auth_san_uri, tls_client_auth_san_ip and tls_client_auth_san_email"
                .into());
        }
        if let Some(algorithm) = self.token_endpoint_auth_signing_alg
            && !method.algorithms().contains(&algorithm)
        {
            return Err(format!("token_endpoint_auth_signing_alg {algorithm} does not go with {method}"));
        }
        Ok(())
    }

    /// Whoever names one of them makes us fetch it, so there are not many.
    fn validate_request_uris(&self) -> Result<(), String> {
        if self.request_uris.len() > MOST_REQUEST_URIS {
            return Err(format!("more than {MOST_REQUEST_URIS} request_uris are more than a client needs"));
        }
        // OpenID Connect Core §6.2: "MUST NOT exceed 512 ASCII characters", and https.
        if self.request_uris.iter().any(|uri| !is_web_page(uri) || uri.len() > 512) {
            return Err("request_uris must be https URLs without a user name, of at most 512 characters".into());
        }
        // RFC 9101 §6.2; unsigned ones are not taken.
        if !self.request_uris.is_empty() && self.jwks.is_none() && self.jwks_uri.is_none() {
            return Err("request_uris need the client's keys: register jwks or jwks_uri".into());
        }
        Ok(())
    }

    fn validate_logout(&self) -> Result<(), String> {
        // Back-Channel Logout §2.2, Front-Channel Logout §2: absolute, without a fragment. Over http the first is for
        // confidential clients, and goes to addresses alone that outgoing.allow names.
        let url = |uri: &str| {
            url::Url::parse(uri).ok().filter(|url| url.has_host() && url.username().is_empty() && !uri.contains('#'))
        };
        let confidential = self.token_endpoint_auth_method != AuthMethod::None;
        let may_be_told =
            |uri: &str| url(uri).is_some_and(|url| url.scheme() == "https" || (confidential && url.scheme() == "http"));
        if self.backchannel_logout_uri.as_deref().is_some_and(|uri| !may_be_told(uri)) {
            return Err("backchannel_logout_uri must be an https URL without a fragment".into());
        }
        // Front-Channel Logout §2: "The domain, port, and scheme of this URL MUST be the same as that of a registered
        // Redirection URI value."
        let is_at_home = |uri: &str| {
            url(uri).is_some() && self.redirect_uris.iter().any(|own| own.origin() == redirect_uri::origin(uri))
        };
        if self.frontchannel_logout_uri.as_deref().is_some_and(|uri| !is_at_home(uri)) {
            return Err(
                "frontchannel_logout_uri must have no fragment, and scheme, host and port of a redirect URI".into()
            );
        }
        Ok(())
    }
}

/// Whether all addresses that begin so are of one place: an https address, or one of this machine, that ends with a slash.
fn is_prefix(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_safe = url.scheme() == "https" || matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    is_safe
        && url.as_str() == text
        && text.ends_with('/')
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

fn is_web_page(uri: &str) -> bool {
    let url = url::Url::parse(uri).ok().filter(|url| url.username().is_empty() && url.password().is_none());
    url.is_some() && uri.starts_with("https://") && uri.len() <= 2_048 && uri.bytes().all(|b| b.is_ascii_graphic())
}
