//! What a client says of itself (RFC 7591 §2, OpenID Connect Dynamic Client Registration §2), made a registration.
//!
//! What we do not know is ignored, as §2 says. What we know and cannot do as asked is replaced where the client loses
//! nothing by that, and refused where it would count on it. The answer tells all that was registered.

use serde_json::{Map, Value};

use super::{Registrar, choices, statement};
use crate::oauth::error::{OAuthError, invalid_client_metadata, invalid_redirect_uri};
use crate::oauth::{Context, client_auth, client_keys, engine, profile, subjects};
use crate::types::client::ApplicationType;
use crate::types::redirect_uri::Destination;
use crate::types::text::is_invisible;
use crate::types::{ClientMetadata, GrantType, RedirectUri, Scope};

/// Members that a client sets itself, and those that it would count on: a member that `ClientMetadata` does not have is
/// refused. What is not here is ignored, such as what only an administrator sets.
const MEMBERS: [&str; 49] = [
    "application_type",
    "authorization_details_types",
    "authorization_encrypted_response_alg",
    "authorization_encrypted_response_enc",
    "authorization_signed_response_alg",
    "backchannel_logout_session_required",
    "backchannel_logout_uri",
    "client_name",
    "client_uri",
    "contacts",
    "default_acr_values",
    "default_max_age",
    "dpop_bound_access_tokens",
    "frontchannel_logout_session_required",
    "frontchannel_logout_uri",
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "id_token_signed_response_alg",
    "initiate_login_uri",
    "introspection_encrypted_response_alg",
    "introspection_encrypted_response_enc",
    "introspection_signed_response_alg",
    "jwks",
    "jwks_uri",
    "logo_uri",
    "policy_uri",
    "post_logout_redirect_uris",
    "request_object_signing_alg",
    "request_uris",
    "require_pushed_authorization_requests",
    "require_signed_request_object",
    "response_modes",
    "sector_identifier_uri",
    "software_id",
    "software_statement",
    "software_version",
    "subject_type",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_email",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_uri",
    "tls_client_auth_subject_dn",
    "tls_client_certificate_bound_access_tokens",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "tos_uri",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "userinfo_signed_response_alg",
];

/// More redirect URIs than any client has.
const MOST_URIS: usize = 32;

pub type Members = Map<String, Value>;

pub(super) async fn read(cx: &Context, registrar: &Registrar, document: Value) -> Result<ClientMetadata, OAuthError> {
    let Value::Object(mut members) = document else {
        return Err(invalid_client_metadata("the body must be a JSON object"));
    };
    // RFC 7591 §2: what is null was not said.
    if let Some(statement) = members.get("software_statement").filter(|value| !value.is_null()) {
        let statement = statement.as_str().ok_or_else(|| invalid_client_metadata("software_statement is a string"))?;
        // RFC 7591 §2.3: "the claims in the software statement MUST take precedence".
        let mut claims = statement::claims(&registrar.statement_keys, statement, cx.now)?;
        claims.remove("software_statement");
        members.extend(claims);
    }
    let metadata = metadata(cx, members)?;
    subjects::check_sector(&registrar.outgoing, &metadata).await.map_err(invalid_client_metadata)?;
    Ok(metadata)
}

/// What is registered of a client that describes itself so; but whether it belongs to its sector is not known yet.
///
/// # Errors
/// Those of RFC 7591 §3.2.2.
pub fn metadata(cx: &Context, mut members: Members) -> Result<ClientMetadata, OAuthError> {
    members.retain(|_, value| !value.is_null());
    choices::choose(cx, &mut members)?;
    let redirect_uris = redirect_uris(&members)?;
    let mut metadata = ClientMetadata { grant_types: grant_types(&members)?, ..ClientMetadata::default() };
    for (name, value) in members.iter().filter(|(name, _)| MEMBERS.contains(&name.as_str())) {
        metadata.set(name, value.clone()).map_err(invalid_client_metadata)?;
    }
    metadata.application_type = Some(application_type(metadata.application_type, &redirect_uris)?);
    metadata.redirect_uris = redirect_uris;
    metadata.scope = scope(cx, &members)?;
    if metadata.client_name.is_empty() {
        metadata.client_name = metadata.redirect_uris.first().map(RedirectUri::display_host).unwrap_or_default();
    }
    check(cx, &metadata)?;
    Ok(metadata)
}

/// A list of strings; `None` when it is not there.
pub(super) fn strings<'a>(members: &'a Members, name: &str) -> Result<Option<Vec<&'a str>>, OAuthError> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let list = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
    list.map(Some).ok_or_else(|| invalid_client_metadata(format!("{name} must be a list of strings")))
}

/// RFC 7591 §2: "Clients using flows with redirection MUST register".
fn redirect_uris(members: &Members) -> Result<Vec<RedirectUri>, OAuthError> {
    let mut uris: Vec<RedirectUri> = Vec::new();
    for uri in strings(members, "redirect_uris")?.unwrap_or_default() {
        let uri = uri.parse().map_err(|why: String| invalid_redirect_uri(why))?;
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    match uris.len() {
        0 => Err(invalid_redirect_uri("redirect_uris must have at least one")),
        1..=MOST_URIS => Ok(uris),
        _ => Err(invalid_redirect_uri(format!("more than {MOST_URIS} redirect URIs are more than a client needs"))),
    }
}

/// What was asked for and is known here. Nobody acts for itself before an administrator has said so, so
/// `client_credentials` is not among it.
fn grant_types(members: &Members) -> Result<Vec<GrantType>, OAuthError> {
    // RFC 7591 §2: the default of both. OAuth 2.1 has no other response type.
    let response_types = strings(members, "response_types")?.unwrap_or_else(|| vec!["code"]);
    let asked = strings(members, "grant_types")?.unwrap_or_else(|| vec![GrantType::AuthorizationCode.as_str()]);
    if !response_types.contains(&"code") || !asked.contains(&GrantType::AuthorizationCode.as_str()) {
        let why = "response_types must have code and grant_types authorization_code: no other flow can be registered \
                   here. A client that acts for itself (client_credentials) is registered by an administrator";
        return Err(invalid_client_metadata(why));
    }
    let open = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    Ok(open.into_iter().filter(|grant| asked.contains(&grant.as_str())).collect())
}

/// OpenID Connect Registration §2: a web client is at https alone. RFC 8252 §7.2 gives native ones claimed https URLs
/// beside loopback and private-use schemes. Many native clients do not say that they are, so their URIs say it.
fn application_type(said: Option<ApplicationType>, uris: &[RedirectUri]) -> Result<ApplicationType, OAuthError> {
    let elsewhere = uris.iter().find(|uri| uri.destination() != Destination::Web);
    match (said, elsewhere) {
        (Some(ApplicationType::Web), Some(uri)) => Err(invalid_redirect_uri(format!(
            "the redirect URI {uri} is not one of a web client, which is at https: register application_type native"
        ))),
        (Some(said), _) => Ok(said),
        (None, Some(_)) => Ok(ApplicationType::Native),
        (None, None) => Ok(ApplicationType::Web),
    }
}

/// What was asked for within `registration.scopes`; all of that when nothing was asked for (RFC 7591 §2).
fn scope(cx: &Context, members: &Members) -> Result<Scope, OAuthError> {
    let most = &cx.config.registration.scopes;
    let Some(asked) = members.get("scope") else { return Ok(most.clone()) };
    let asked = asked.as_str().ok_or_else(|| invalid_client_metadata("scope must be a string"))?;
    let asked = engine::scope(asked).map_err(|why| invalid_client_metadata(why.description))?;
    let scope = Scope::from_tokens(asked.tokens().filter(|token| most.contains(token)));
    if scope.is_empty() {
        return Err(invalid_client_metadata(format!("none of these scopes can be had by registration, only {most}")));
    }
    Ok(scope)
}

fn check(cx: &Context, metadata: &ClientMetadata) -> Result<(), OAuthError> {
    metadata.validate().map_err(invalid_client_metadata)?;
    client_keys::check(metadata).map_err(invalid_client_metadata)?;
    profile::check(&cx.config, metadata).map_err(invalid_client_metadata)?;
    // A name that turns the direction of writing, or hides letters, could pass for another.
    if metadata.client_name.chars().any(is_invisible) {
        return Err(invalid_client_metadata("client_name must not have characters that cannot be seen"));
    }
    let types = &cx.config.registration.authorization_details_types;
    if let Some(name) = metadata.authorization_details_types.iter().find(|name| !types.contains(name)) {
        let why = format!("the authorization details type {name} cannot be had by registration; ask the administrator");
        return Err(invalid_client_metadata(why));
    }
    let method = metadata.token_endpoint_auth_method;
    if client_auth::methods(cx).all(|known| known != method) {
        return Err(invalid_client_metadata(format!("no client authenticates by {method} here")));
    }
    if let Some((algorithm, what)) = metadata.signatures().find(|(own, _)| !cx.config.keys.algorithms.contains(own)) {
        return Err(invalid_client_metadata(format!("no {what} are signed with {algorithm} here")));
    }
    Ok(())
}
