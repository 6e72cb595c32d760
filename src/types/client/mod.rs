//! Registered clients.

mod rules;

use std::net::IpAddr;
use std::ops::Not;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::redirect_uri::{self, Destination};
use super::{
    Algorithm, AuthMethod, CertificateName, ClientId, GrantType, PkcePolicy, Profile, Protection, RedirectUri, Scope,
    SubjectType, Timestamp,
};

/// A row of `clients`.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: ClientId,
    /// SHA-256 of the secret, of clients that show it.
    pub secret_hash: Option<[u8; 32]>,
    /// The secret, sealed, of clients that make a MAC with it.
    pub secret_sealed: Option<Vec<u8>>,
    pub metadata: ClientMetadata,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub disabled_at: Option<Timestamp>,
    /// How it registered itself; `None` when an administrator made it.
    pub registration: Option<Registration>,
}

/// The registration of a client that no administrator made (RFC 7591).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// By what right: the initial access token, or none.
    pub by: String,
    /// Whether an administrator answers for what people are shown of it.
    pub verified: bool,
    /// SHA-256 of the registration access token, by which the client manages its registration (RFC 7592).
    pub token_hash: [u8; 32],
}

impl Registration {
    /// The right of whoever publishes a document at the URL that is its id.
    pub const BY_DOCUMENT: &str = "client metadata document";
}

/// `application_type` (OpenID Connect Dynamic Client Registration §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationType {
    Web,
    Native,
}

/// What is registered of a client, under the names of RFC 7591 §2 where it has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientMetadata {
    pub client_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// How to reach those who run it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_type: Option<ApplicationType>,
    /// Where a sign-in at the client can be begun from here (OpenID Connect Core §4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// RFC 7591 §2.3; given back as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_statement: Option<String>,
    #[serde(default)]
    pub redirect_uris: Vec<RedirectUri>,
    /// OpenID Connect RP-Initiated Logout §3.1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// OpenID Connect Back-Channel Logout §2.2. Its logout tokens carry `sid` whether it requires that or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Not::not")]
    pub backchannel_logout_session_required: bool,
    /// OpenID Connect Front-Channel Logout §2. It is told `iss` and `sid` whether it requires that or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontchannel_logout_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Not::not")]
    pub frontchannel_logout_session_required: bool,
    #[serde(default, skip_serializing_if = "SubjectType::is_public")]
    pub subject_type: SubjectType,
    /// Lists every redirect URI of its sector (OpenID Connect Core §8.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector_identifier_uri: Option<String>,
    pub token_endpoint_auth_method: AuthMethod,
    /// The only algorithm of its assertions; by default any that fits the method (OpenID Connect Registration §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<Algorithm>,
    /// Its public keys: a JWK Set, or else where it is (RFC 7591 §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The one name that its certificate must have (RFC 8705 §2.1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    pub grant_types: Vec<GrantType>,
    /// Every scope that the client may ask for.
    #[serde(default)]
    pub scope: Scope,
    /// What it gets when it asks for none; else the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<Scope>,
    #[serde(default = "default_id_token_alg")]
    pub id_token_signed_response_alg: Algorithm,
    #[serde(flatten)]
    pub protection: Protection,
    /// `max_age` of a request that does not say (OpenID Connect Registration §2).
    #[serde(default, with = "seconds", skip_serializing_if = "Option::is_none")]
    pub default_max_age: Option<Duration>,
    /// `acr_values` of a request that does not say (OpenID Connect Registration §2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_acr_values: Vec<String>,
    /// Take nobody who has not proved who they are by two factors.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_second_factor: bool,
    /// RFC 9126 §6: take no authorization request of this client that it did not push.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_pushed_authorization_requests: bool,
    /// What signs its request objects; any asymmetric algorithm if it does not say (RFC 9101 §10.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_object_signing_alg: Option<Algorithm>,
    /// Where its request objects are, which it names by `request_uri` (OpenID Connect Registration §2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_uris: Vec<String>,
    /// RFC 9101 §10.5: take no authorization request of this client that it did not sign.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_signed_request_object: bool,
    /// What signs its authorization responses where it asks for signed ones; RS256 if it does not say (JARM §3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_signed_response_alg: Option<Algorithm>,
    /// How its authorization responses may travel; any way if it does not say (FAPI 2.0 Message Signing §5.3.3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_modes: Vec<String>,
    /// What it is held to, whether all clients are or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// `None` is the server's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkce: Option<PkcePolicy>,
    #[serde(default, with = "seconds", skip_serializing_if = "Option::is_none")]
    pub access_token_lifetime: Option<Duration>,
    #[serde(default, with = "seconds", skip_serializing_if = "Option::is_none")]
    pub refresh_token_idle_lifetime: Option<Duration>,
    #[serde(default, with = "seconds", skip_serializing_if = "Option::is_none")]
    pub refresh_token_absolute_lifetime: Option<Duration>,
    /// Issue refresh tokens without `offline_access` too.
    #[serde(default)]
    pub always_issue_refresh_token: bool,
    /// A resource server: may introspect the access tokens of every client (RFC 7662 §2.1).
    #[serde(default)]
    pub resource_server: bool,
    /// The resources that it is, by their URIs: whose tokens it may introspect besides those for the issuer alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Under which addresses it may have some signed (`POST /oauth/signed-url`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_url_prefixes: Vec<String>,
    /// The types of authorization details that it may ask for (RFC 9396 §10); none if it does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types: Vec<String>,
    /// Gets tokens for a proof of possession alone (RFC 9449 §5.2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dpop_bound_access_tokens: bool,
    /// Gets tokens that are bound to the certificate of its connection (RFC 8705 §3.4).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// An application of the house: its users are not asked for consent, unless it asks for that, or any program on
    /// their device could pass for it (RFC 8252 §8.6).
    #[serde(default)]
    pub skip_consent: bool,
}

impl Default for ClientMetadata {
    /// A confidential client that may do nothing yet.
    fn default() -> Self {
        Self {
            client_name: String::new(),
            client_uri: None,
            logo_uri: None,
            policy_uri: None,
            tos_uri: None,
            contacts: Vec::new(),
            application_type: None,
            initiate_login_uri: None,
            software_id: None,
            software_version: None,
            software_statement: None,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            backchannel_logout_session_required: false,
            frontchannel_logout_uri: None,
            frontchannel_logout_session_required: false,
            subject_type: SubjectType::Public,
            sector_identifier_uri: None,
            token_endpoint_auth_method: AuthMethod::ClientSecretBasic,
            token_endpoint_auth_signing_alg: None,
            jwks: None,
            jwks_uri: None,
            tls_client_auth_subject_dn: None,
            tls_client_auth_san_dns: None,
            tls_client_auth_san_uri: None,
            tls_client_auth_san_ip: None,
            tls_client_auth_san_email: None,
            grant_types: Vec::new(),
            scope: Scope::default(),
            default_scope: None,
            id_token_signed_response_alg: default_id_token_alg(),
            protection: Protection::default(),
            default_max_age: None,
            default_acr_values: Vec::new(),
            require_second_factor: false,
            require_pushed_authorization_requests: false,
            request_object_signing_alg: None,
            request_uris: Vec::new(),
            require_signed_request_object: false,
            authorization_signed_response_alg: None,
            response_modes: Vec::new(),
            profile: None,
            pkce: None,
            access_token_lifetime: None,
            refresh_token_idle_lifetime: None,
            refresh_token_absolute_lifetime: None,
            always_issue_refresh_token: false,
            resource_server: false,
            resources: Vec::new(),
            signed_url_prefixes: Vec::new(),
            authorization_details_types: Vec::new(),
            dpop_bound_access_tokens: false,
            tls_client_certificate_bound_access_tokens: false,
            skip_consent: false,
        }
    }
}

const fn default_id_token_alg() -> Algorithm {
    Algorithm::Rs256
}

impl Client {
    pub fn is_public(&self) -> bool {
        self.metadata.token_endpoint_auth_method == AuthMethod::None
    }

    /// Whether an administrator made it, or answers for it.
    pub fn is_verified(&self) -> bool {
        self.registration.as_ref().is_none_or(|registration| registration.verified)
    }

    /// Whether its id is the URL of a document in which it describes itself.
    pub fn is_by_document(&self) -> bool {
        self.registration.as_ref().is_some_and(|registration| registration.by == Registration::BY_DOCUMENT)
    }

    /// Where it lives, for a person to read: the host that its id names, or the one to which it returns.
    pub fn display_host(&self) -> Option<String> {
        if self.is_by_document() {
            return Some(redirect_uri::display_host(self.id.as_str()));
        }
        self.metadata.redirect_uris.first().map(RedirectUri::display_host)
    }

    /// Whether it registered this `request_uri`. The fragment says what is there, not where it is (OpenID Connect Core
    /// §6.2), so it may be another.
    pub fn has_request_uri(&self, presented: &str) -> bool {
        let address = |uri: &str| uri.split('#').next().map(str::to_owned);
        self.metadata.request_uris.iter().any(|own| address(own) == address(presented))
    }

    pub fn is_disabled(&self) -> bool {
        self.disabled_at.is_some()
    }

    pub fn may_use(&self, grant: GrantType) -> bool {
        self.metadata.grant_types.contains(&grant)
    }

    /// The registered redirect URI that `presented` is.
    pub fn redirect_uri(&self, presented: &str) -> Option<&RedirectUri> {
        self.metadata.redirect_uris.iter().find(|uri| uri.matches(presented))
    }

    /// Whether a browser page of this client may live at `origin` (CORS).
    pub fn has_origin(&self, origin: &str) -> bool {
        self.metadata.redirect_uris.iter().any(|uri| match uri.destination() {
            // Any port of the developer's own machine, as for the redirect itself.
            Destination::Loopback => uri.matches(&format!("{origin}{}", loopback_rest(uri.as_str()))),
            Destination::Web => uri.origin().as_deref() == Some(origin),
            Destination::PrivateUse => false,
        })
    }
}

/// Path and query of an http URI.
fn loopback_rest(uri: &str) -> &str {
    let after_scheme = "http://".len();
    uri[after_scheme..].find(['/', '?']).map_or("", |at| &uri[after_scheme + at..])
}

impl ClientMetadata {
    /// Sets a member by the name that it has in a registration document; `null` takes it away.
    ///
    /// # Errors
    /// In words, when there is no such member, or the value is not one of its.
    pub fn set(&mut self, name: &str, value: serde_json::Value) -> Result<(), String> {
        let wrong = |why: serde_json::Error| format!("{name}: {why}");
        let mut document = serde_json::to_value(&*self).map_err(wrong)?;
        document[name] = value.clone();
        if value.is_null() {
            document.as_object_mut().map(|members| members.remove(name));
        }
        let changed: Self = serde_json::from_value(document).map_err(wrong)?;
        // What is not known was not read, so it is not written again; and what is as by default is left out.
        let is_known = |document: &serde_json::Value| document.get(name).is_some();
        let is_default = value.is_null()
            || value == serde_json::json!(false)
            || value == serde_json::json!([])
            || (name == "subject_type" && value == "public");
        if !is_default && !is_known(&serde_json::to_value(&changed).map_err(wrong)?) {
            return Err(format!("a client has no setting {name:?}"));
        }
        *self = changed;
        Ok(())
    }

    /// The name that its certificate must have, when that is a single one.
    pub fn certificate_name(&self) -> Option<CertificateName> {
        let mut names = self.certificate_names();
        if names.len() == 1 { names.pop() } else { None }
    }

    fn certificate_names(&self) -> Vec<CertificateName> {
        let texts = [
            self.tls_client_auth_subject_dn.clone().map(CertificateName::SubjectDn),
            self.tls_client_auth_san_dns.clone().map(CertificateName::SanDns),
            self.tls_client_auth_san_uri.clone().map(CertificateName::SanUri),
            self.tls_client_auth_san_ip.map(CertificateName::SanIp),
            self.tls_client_auth_san_email.clone().map(CertificateName::SanEmail),
        ];
        texts.into_iter().flatten().collect()
    }
}

/// Lifetimes as whole seconds, as registration documents have them.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => serializer.serialize_u64(duration.as_secs()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_secs))
    }
}
