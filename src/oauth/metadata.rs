//! What this server says of itself (RFC 8414 §2, OpenID Connect Discovery §3): only what is true.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Context, dpop, scope};
use crate::types::user::CLAIMS_OF_SCOPE;
use crate::types::{Algorithm, AuthMethod, GrantType, ResponseMode};

/// One document for both well-known addresses.
pub fn document(cx: &Context) -> Value {
    let issuer = &cx.config.server.issuer;
    let confidential: Vec<_> =
        AuthMethod::ALL.into_iter().filter(|method| *method != AuthMethod::None).map(AuthMethod::as_str).collect();
    let scopes: Vec<&str> = scope::STANDARD.into_iter().chain(cx.config.scopes.0.keys().map(String::as_str)).collect();
    // What a client can be registered for. The keys of an algorithm that is configured no more still verify.
    let id_token_algs: Vec<_> = cx.config.keys.algorithms.iter().map(|alg| alg.as_str()).collect();
    let mut claims: BTreeSet<&str> = CLAIMS_OF_SCOPE.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    claims.extend(["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"]);

    json!({
        "issuer": issuer.as_str(),
        "authorization_endpoint": issuer.url("/oauth/authorize"),
        "token_endpoint": issuer.url("/oauth/token"),
        "introspection_endpoint": issuer.url("/oauth/introspect"),
        "revocation_endpoint": issuer.url("/oauth/revoke"),
        "userinfo_endpoint": issuer.url("/oauth/userinfo"),
        "jwks_uri": issuer.url("/oauth/jwks"),
        "end_session_endpoint": issuer.url("/oauth/logout"),
        // OpenID Connect Back-Channel Logout §2.1, Front-Channel Logout §3
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "frontchannel_logout_supported": true,
        "frontchannel_logout_session_supported": true,
        "scopes_supported": scopes,
        "claims_supported": claims,
        "response_types_supported": ["code"],
        "response_modes_supported": ResponseMode::ALL.map(ResponseMode::as_str),
        "grant_types_supported": GrantType::ALL.map(GrantType::as_str),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": id_token_algs,
        "token_endpoint_auth_methods_supported": AuthMethod::ALL.map(AuthMethod::as_str),
        "revocation_endpoint_auth_methods_supported": AuthMethod::ALL.map(AuthMethod::as_str),
        // Public clients may not ask (RFC 7662 §2.1).
        "introspection_endpoint_auth_methods_supported": confidential,
        // RFC 7636; OAuth 2.1 §7.5.1: `plain` is not among them.
        "code_challenge_methods_supported": ["S256"],
        // RFC 9449 §5.1
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS.map(Algorithm::as_str),
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "acr_values_supported": [crate::types::authentication::ACR_SINGLE_FACTOR],
        // RFC 9207 §3
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        // Its default is true (OpenID Connect Discovery §3).
        "request_uri_parameter_supported": false,
    })
}
