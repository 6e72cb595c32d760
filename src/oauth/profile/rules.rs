//! What RFC 9700 and FAPI 2.0 ask of a client's registration and of the configuration. The profile refuses by this list,
//! and `grantor doctor` reports by it.

use std::time::Duration;

use serde::Serialize;

use super::ALGORITHMS;
use crate::config::Config;
use crate::types::redirect_uri::Destination;
use crate::types::{Algorithm, AuthMethod, ClientMetadata, GrantType, PkcePolicy};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Standard {
    #[serde(rename = "RFC 9068")]
    Rfc9068,
    #[serde(rename = "RFC 9700")]
    Rfc9700,
    #[serde(rename = "FAPI 2.0")]
    Fapi2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Must not be.
    Error,
    /// Should not be.
    Warning,
    /// Could be better: what the standard recommends, and many do without.
    Advice,
}

/// What sees to it, for a client that is held to the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The profile itself, whatever else is registered and configured.
    Switch,
    /// The client is refused until it is so.
    Refusal,
    /// Whoever runs the server.
    Operator,
}

/// One requirement.
pub struct Rule {
    pub of: Standard,
    pub section: &'static str,
    pub severity: Severity,
    pub kept: Kept,
    /// What is not as it should be, in words.
    pub broken: fn(&Config, &ClientMetadata) -> Option<String>,
    pub why: &'static str,
    pub remedy: &'static str,
}

impl Rule {
    /// Whether who is held to the profile is refused for it.
    pub fn binds(&self) -> bool {
        self.of == Standard::Fapi2 && self.kept == Kept::Refusal
    }
}

/// What is asked of the configuration; the client is not looked at.
pub const SERVER_RULES: &[Rule] = &[
    Rule {
        of: Standard::Rfc9700,
        section: "§2.6",
        severity: Severity::Error,
        kept: Kept::Operator,
        broken: |config, _| {
            let issuer = config.server.issuer.as_str();
            (config.server.allow_insecure_issuer && !config.server.issuer.is_https())
                .then(|| format!("the issuer {issuer} is not https"))
        },
        why: "passwords, codes and tokens travel in the clear",
        remedy: "set tls.cert and tls.key, or let a proxy terminate TLS, and name the https URL as server.issuer",
    },
    Rule {
        of: Standard::Rfc9700,
        section: "§2.1.1",
        severity: Severity::Warning,
        kept: Kept::Switch,
        broken: |config, _| {
            (config.authorization.pkce == PkcePolicy::Optional).then(|| "authorization.pkce is \"optional\"".to_owned())
        },
        why: "without PKCE a client has to notice itself that a code was injected",
        remedy: "set authorization.pkce = \"required\"; a client that cannot may be registered with pkce optional",
    },
    Rule {
        of: Standard::Fapi2,
        section: "§5.4.1",
        severity: Severity::Error,
        kept: Kept::Refusal,
        broken: |config, _| {
            let algorithm = config.tokens.access_token_algorithm;
            unfit(Some(algorithm)).then(|| format!("access tokens are signed with {algorithm}"))
        },
        why: "JWTs are signed with PS256, ES256 or EdDSA alone",
        remedy: "set tokens.access_token_algorithm to ES256, PS256 or EdDSA",
    },
    Rule {
        of: Standard::Fapi2,
        section: "§5.2.1",
        severity: Severity::Error,
        kept: Kept::Operator,
        broken: |config, _| {
            let issuer = &config.server.issuer;
            (!issuer.is_https()).then(|| format!("the issuer {} is not https", issuer.as_str()))
        },
        why: "all endpoints are reached by TLS alone",
        remedy: "set tls.cert and tls.key, or let a proxy terminate TLS, and name the https URL as server.issuer",
    },
    Rule {
        of: Standard::Fapi2,
        section: "§5.3.2.1",
        severity: Severity::Error,
        kept: Kept::Switch,
        broken: |config, _| {
            let lifetime = config.authorization.code_lifetime;
            (lifetime > Duration::from_mins(1))
                .then(|| format!("authorization codes can be redeemed for {}", humantime::format_duration(lifetime)))
        },
        why: "a code that leaked is worth something for 60 seconds at most",
        remedy: "set authorization.code_lifetime = \"60s\"",
    },
    Rule {
        of: Standard::Fapi2,
        section: "§5.3.2.1",
        severity: Severity::Error,
        kept: Kept::Switch,
        broken: |config, _| {
            let taken = config.client_authentication.endpoint_audience;
            taken.then(|| "assertions are taken whose aud is an endpoint, or a list".to_owned())
        },
        why: "an assertion that was made for another server could be shown to this one (RFC 10070)",
        remedy: "set client_authentication.endpoint_audience = false",
    },
];

/// What is asked of a client.
pub const CLIENT_RULES: &[Rule] = &[
    Rule {
        of: Standard::Rfc9700,
        section: "§2.1.1",
        severity: Severity::Warning,
        kept: Kept::Switch,
        broken: |_, client| (client.pkce == Some(PkcePolicy::Optional)).then(|| "it may leave PKCE out".to_owned()),
        why: "without PKCE the client has to notice itself, by the nonce, that a code was injected",
        remedy: "grantor client update ID --pkce required",
    },
    Rule {
        of: Standard::Rfc9700,
        section: "§2.5",
        severity: Severity::Advice,
        kept: Kept::Refusal,
        broken: |_, client| {
            let method = client.token_endpoint_auth_method;
            (method != AuthMethod::None && !is_strong(method)).then(|| format!("it authenticates by {method}"))
        },
        why: "a secret that both sides know can be stolen from either, and is sent or kept in clear",
        remedy: "register its keys, and private_key_jwt or a method of mutual TLS",
    },
    Rule {
        of: Standard::Rfc9700,
        section: "§2.2.1",
        severity: Severity::Advice,
        kept: Kept::Switch,
        broken: |_, client| (gets_tokens(client) && !is_bound(client)).then(|| BEARER.to_owned()),
        why: "whoever finds such a token can use it",
        remedy: "grantor client update ID --set dpop_bound_access_tokens=true",
    },
    Rule {
        of: Standard::Fapi2,
        section: "§5.3.2.1",
        severity: Severity::Error,
        kept: Kept::Refusal,
        broken: |_, client| {
            let method = client.token_endpoint_auth_method;
            (!is_strong(method)).then(|| format!("its token_endpoint_auth_method is {method}"))
        },
        why: "clients are confidential, and authenticate by a key of their own",
        remedy: "register private_key_jwt, tls_client_auth or self_signed_tls_client_auth",
    },
    Rule {
        of: Standard::Fapi2,
        section: "§5.3.2.1",
        severity: Severity::Error,
        kept: Kept::Switch,
        broken: |_, client| (gets_tokens(client) && !is_bound(client)).then(|| BEARER.to_owned()),
        why: "access tokens are bound to a key, by DPoP or mutual TLS",
        remedy: "grantor client update ID --set 'profile=\"fapi2\"', or --set dpop_bound_access_tokens=true",
    },
    Rule {
        of: Standard::Fapi2,
        section: "§5.3.2.2",
        severity: Severity::Error,
        kept: Kept::Switch,
        broken: |config, client| {
            let open = uses_codes(client) && !super::must_push(config, client);
            open.then(|| "it need not push its authorization requests".to_owned())
        },
        why: "what passes through a browser can be read and changed there",
        remedy: "grantor client update ID --set require_pushed_authorization_requests=true",
    },
    Rule {
        of: Standard::Fapi2,
        section: "§5.3.2.2",
        severity: Severity::Error,
        kept: Kept::Refusal,
        broken: |_, client| (client.pkce == Some(PkcePolicy::Optional)).then(|| "it may leave PKCE out".to_owned()),
        why: "PKCE with S256 is required",
        remedy: "register pkce required",
    },
    Rule {
        of: Standard::Fapi2,
        section: "§5.3.2.2",
        severity: Severity::Error,
        kept: Kept::Refusal,
        broken: |_, client| {
            let elsewhere = client.redirect_uris.iter().find(|uri| uri.destination() == Destination::PrivateUse);
            elsewhere.map(|uri| format!("its redirect URI {uri} is not https"))
        },
        why: "responses go out by https, or to a program on the same device (RFC 8252 §7.3)",
        remedy: "register redirect URIs with https",
    },
    Rule {
        of: Standard::Fapi2,
        section: "§5.4.1",
        severity: Severity::Error,
        kept: Kept::Refusal,
        broken: |_, client| {
            let signed = [
                ("token_endpoint_auth_signing_alg", client.token_endpoint_auth_signing_alg),
                ("request_object_signing_alg", client.request_object_signing_alg),
                ("authorization_signed_response_alg", client.authorization_signed_response_alg),
                ("userinfo_signed_response_alg", client.protection.userinfo_signed_response_alg),
                ("introspection_signed_response_alg", client.protection.introspection_signed_response_alg),
                ("id_token_signed_response_alg", Some(client.id_token_signed_response_alg)),
            ];
            let used = |name: &str| name != "id_token_signed_response_alg" || uses_codes(client);
            let (name, algorithm) = signed.into_iter().find(|(name, alg)| used(name) && unfit(*alg))?;
            Some(format!("its {name} is {}", algorithm?))
        },
        why: "JWTs are signed with PS256, ES256 or EdDSA alone",
        remedy: "register PS256, ES256 or EdDSA for it",
    },
];

const BEARER: &str = "its access tokens need not be bound to a key";

fn unfit(algorithm: Option<Algorithm>) -> bool {
    algorithm.is_some_and(|algorithm| !ALGORITHMS.contains(&algorithm))
}

pub(super) const fn is_strong(method: AuthMethod) -> bool {
    matches!(method, AuthMethod::PrivateKeyJwt | AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth)
}

fn is_bound(client: &ClientMetadata) -> bool {
    client.dpop_bound_access_tokens || client.tls_client_certificate_bound_access_tokens
}

fn gets_tokens(client: &ClientMetadata) -> bool {
    !client.grant_types.is_empty()
}

fn uses_codes(client: &ClientMetadata) -> bool {
    client.grant_types.contains(&GrantType::AuthorizationCode)
}
