//! What this server says of itself (RFC 8414 §2, OpenID Connect Discovery §3, RFC 9728 §2): only what is true.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Context, client_auth, profile, scope};
use crate::config::registration::Mode;
use crate::types::authentication::ACR_VALUES;
use crate::types::user::CLAIMS_OF_SCOPE;
use crate::types::{Algorithm, AuthMethod, ContentEncryption, GrantType, KeyEncryption, ResponseMode, SubjectType};

/// What follows from the configuration alone.
pub fn document(cx: &Context) -> Value {
    let mut document = Map::new();
    for part in [endpoints(cx), requests(cx), clients(cx), people(cx), logout()] {
        if let Value::Object(members) = part {
            document.extend(members);
        }
    }
    if cx.config.registration.mode != Mode::Off {
        // RFC 8414 §2
        document.insert("registration_endpoint".to_owned(), cx.config.server.issuer.url("/oauth/register").into());
    }
    if cx.config.registration.client_id_metadata_documents {
        // Client ID Metadata Document §6
        document.insert("client_id_metadata_document_supported".to_owned(), true.into());
    }
    document.extend(cx.config.about.members().map(|(name, url)| (name.to_owned(), url.into())));
    document.into()
}

/// As `document`, with what stands in the database.
pub async fn published(cx: &Context) -> Value {
    let mut document = document(cx);
    // It must be had without the database, too: then without this, which is optional.
    if let Ok(types) = cx.store.known_authorization_types().await
        && !types.is_empty()
    {
        // RFC 9396 §10
        let names: Vec<&str> = types.iter().map(|kind| kind.name.as_str()).collect();
        document["authorization_details_types_supported"] = json!(names);
    }
    document
}

/// What this issuer says of itself as a protected resource (RFC 9728 §2): tokens whose audience it is open UserInfo.
pub fn protected_resource(cx: &Context) -> Value {
    json!({
        // §3.3: "MUST be identical" to what the address of this document was made of.
        "resource": cx.issuer(),
        "authorization_servers": [cx.issuer()],
        "scopes_supported": scope::STANDARD,
        // RFC 6750 §2.1, §2.2
        "bearer_methods_supported": ["header", "body"],
        "resource_signing_alg_values_supported": signing_algorithms(cx),
        "dpop_signing_alg_values_supported": names(profile::algorithms_of_all(&cx.config)),
        "tls_client_certificate_bound_access_tokens": cx.config.takes_client_certificates(),
    })
}

fn endpoints(cx: &Context) -> Value {
    let issuer = &cx.config.server.issuer;
    json!({
        "issuer": issuer.as_str(),
        "authorization_endpoint": issuer.url("/oauth/authorize"),
        "token_endpoint": issuer.url("/oauth/token"),
        // RFC 8628 §4
        "device_authorization_endpoint": issuer.url("/oauth/device_authorization"),
        // RFC 9126 §5
        "pushed_authorization_request_endpoint": issuer.url("/oauth/par"),
        "introspection_endpoint": issuer.url("/oauth/introspect"),
        "revocation_endpoint": issuer.url("/oauth/revoke"),
        "userinfo_endpoint": issuer.url("/oauth/userinfo"),
        "jwks_uri": issuer.url("/oauth/jwks"),
        "end_session_endpoint": issuer.url("/oauth/logout"),
    })
}

/// What may be asked for, and how.
fn requests(cx: &Context) -> Value {
    let own = cx.config.scopes.0.keys().map(String::as_str).filter(|own| !scope::STANDARD.contains(own));
    let scopes: Vec<&str> = scope::STANDARD.into_iter().chain(own).collect();
    let pushed_alone =
        cx.config.authorization.require_pushed_authorization_requests || profile::applies_to_all(&cx.config);
    json!({
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ResponseMode::NAMES,
        "grant_types_supported": GrantType::ALL.map(GrantType::as_str),
        // RFC 7636; OAuth 2.1 §7.5.1: `plain` is not among them.
        "code_challenge_methods_supported": ["S256"],
        // RFC 9126 §5
        "require_pushed_authorization_requests": pushed_alone,
        "request_parameter_supported": true,
        "request_object_signing_alg_values_supported": names(profile::algorithms_of_all(&cx.config)),
        // OpenID Connect Discovery §3, of those that were not pushed.
        "request_uri_parameter_supported": !pushed_alone,
        "require_request_uri_registration": !pushed_alone,
        // RFC 9207 §3
        "authorization_response_iss_parameter_supported": true,
        // JARM §4
        "authorization_signing_alg_values_supported": signing_algorithms(cx),
        "authorization_encryption_alg_values_supported": KeyEncryption::ALL.map(KeyEncryption::as_str),
        "authorization_encryption_enc_values_supported": ContentEncryption::ALL.map(ContentEncryption::as_str),
    })
}

/// How clients authenticate, and where.
fn clients(cx: &Context) -> Value {
    let methods: Vec<_> = client_auth::methods(cx).map(AuthMethod::as_str).collect();
    let confidential: Vec<_> =
        client_auth::methods(cx).filter(|method| *method != AuthMethod::None).map(AuthMethod::as_str).collect();
    // RFC 8414 §2: MUST be there where a method signs.
    let usual = client_auth::methods(cx).flat_map(AuthMethod::algorithms);
    let signing: Vec<_> = if profile::applies_to_all(&cx.config) {
        names(&profile::ALGORITHMS)
    } else {
        usual.map(|alg| alg.as_str()).collect()
    };
    json!({
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": signing,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": signing,
        // Public clients may not ask (RFC 7662 §2.1).
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": signing,
        // RFC 9701 §7
        "introspection_signing_alg_values_supported": signing_algorithms(cx),
        "introspection_encryption_alg_values_supported": KeyEncryption::ALL.map(KeyEncryption::as_str),
        "introspection_encryption_enc_values_supported": ContentEncryption::ALL.map(ContentEncryption::as_str),
        // RFC 9449 §5.1
        "dpop_signing_alg_values_supported": names(profile::algorithms_of_all(&cx.config)),
        // RFC 8705 §3.3
        "tls_client_certificate_bound_access_tokens": cx.config.takes_client_certificates(),
    })
}

/// What is said of people, and what they see (OpenID Connect Discovery §3).
fn people(cx: &Context) -> Value {
    let mut claims: BTreeSet<&str> = CLAIMS_OF_SCOPE.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    claims.extend(["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"]);
    json!({
        "claims_supported": claims,
        "claims_parameter_supported": true,
        // No aggregated or distributed ones (OpenID Connect Core §5.6).
        "claim_types_supported": ["normal"],
        "subject_types_supported": SubjectType::ALL.map(SubjectType::as_str),
        "id_token_signing_alg_values_supported": signing_algorithms(cx),
        "id_token_encryption_alg_values_supported": KeyEncryption::ALL.map(KeyEncryption::as_str),
        "id_token_encryption_enc_values_supported": ContentEncryption::ALL.map(ContentEncryption::as_str),
        "userinfo_signing_alg_values_supported": signing_algorithms(cx),
        "userinfo_encryption_alg_values_supported": KeyEncryption::ALL.map(KeyEncryption::as_str),
        "userinfo_encryption_enc_values_supported": ContentEncryption::ALL.map(ContentEncryption::as_str),
        "acr_values_supported": ACR_VALUES,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "display_values_supported": ["page"],
        // What the pages are written in.
        "ui_locales_supported": ["en"],
    })
}

/// OpenID Connect Back-Channel Logout §2.1, Front-Channel Logout §3
fn logout() -> Value {
    json!({
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "frontchannel_logout_supported": true,
        "frontchannel_logout_session_supported": true,
    })
}

fn names(algorithms: &[Algorithm]) -> Vec<&'static str> {
    algorithms.iter().map(|alg| alg.as_str()).collect()
}

/// What a client can be registered for. The keys of an algorithm that is configured no more still verify.
fn signing_algorithms(cx: &Context) -> Vec<&'static str> {
    let fit = |alg: &&Algorithm| !profile::applies_to_all(&cx.config) || profile::ALGORITHMS.contains(alg);
    cx.config.keys.algorithms.iter().filter(fit).map(|alg| alg.as_str()).collect()
}
