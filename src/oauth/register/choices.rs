//! What a client can do of several, where a registration holds one (OpenID Connect Relying Party Metadata Choices §2).

use serde_json::Value;

use super::document::{Members, strings};
use crate::oauth::error::{OAuthError, invalid_client_metadata};
use crate::oauth::{Context, metadata};

/// The list that a client offers, which has the name of the one in our metadata, and the member that is chosen of it.
const CHOICES: [(&str, &str); 16] = [
    ("subject_types_supported", "subject_type"),
    ("token_endpoint_auth_methods_supported", "token_endpoint_auth_method"),
    ("token_endpoint_auth_signing_alg_values_supported", "token_endpoint_auth_signing_alg"),
    ("id_token_signing_alg_values_supported", "id_token_signed_response_alg"),
    ("id_token_encryption_alg_values_supported", "id_token_encrypted_response_alg"),
    ("id_token_encryption_enc_values_supported", "id_token_encrypted_response_enc"),
    ("userinfo_signing_alg_values_supported", "userinfo_signed_response_alg"),
    ("userinfo_encryption_alg_values_supported", "userinfo_encrypted_response_alg"),
    ("userinfo_encryption_enc_values_supported", "userinfo_encrypted_response_enc"),
    ("request_object_signing_alg_values_supported", "request_object_signing_alg"),
    ("authorization_signing_alg_values_supported", "authorization_signed_response_alg"),
    ("authorization_encryption_alg_values_supported", "authorization_encrypted_response_alg"),
    ("authorization_encryption_enc_values_supported", "authorization_encrypted_response_enc"),
    ("introspection_signing_alg_values_supported", "introspection_signed_response_alg"),
    ("introspection_encryption_alg_values_supported", "introspection_encrypted_response_alg"),
    ("introspection_encryption_enc_values_supported", "introspection_encrypted_response_enc"),
];

/// Those that every client has, said or not. Of the others, one that is not said is not wanted.
const ALWAYS: [&str; 3] = ["subject_type", "token_endpoint_auth_method", "id_token_signed_response_alg"];

/// Keeps the single value that a client names where that can be had, and otherwise takes the first on its list that can.
///
/// # Errors
/// `invalid_client_metadata` when none can.
pub(super) fn choose(cx: &Context, members: &mut Members) -> Result<(), OAuthError> {
    if !CHOICES.iter().any(|(list, _)| members.contains_key(*list)) {
        return Ok(());
    }
    let ours = metadata::document(cx);
    for (list, member) in CHOICES {
        let Some(offered) = strings(members, list)? else { continue };
        let known = |value: &str| ours[list].as_array().is_some_and(|known| known.iter().any(|own| own == value));
        match members.get(member) {
            Some(Value::String(named)) if known(named) => continue,
            None if !ALWAYS.contains(&member) => continue,
            _ => {}
        }
        let Some(choice) = offered.into_iter().find(|value| known(value)) else {
            return Err(invalid_client_metadata(format!("nothing in {list} can be had here")));
        };
        let choice = choice.to_owned();
        members.insert(member.to_owned(), choice.into());
    }
    Ok(())
}
