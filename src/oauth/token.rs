//! The token endpoint (OAuth 2.1 §3.2): which grant, and may this client use it?

use serde::Serialize;

use super::error::{OAuthError, invalid_request, unauthorized_client, unsupported_grant_type};
use super::grants::{authorization_code, client_credentials, device_code, refresh_token};
use super::{Context, Error, details, encryption, resource};
use crate::types::{AuthorizationDetails, Client, GrantType, Params, Scope, SenderKey};

/// A token request: one variant a grant, parsed by the grant's own file.
pub enum TokenRequest {
    AuthorizationCode(authorization_code::Request),
    RefreshToken(refresh_token::Request),
    ClientCredentials(client_credentials::Request),
    DeviceCode(device_code::Request),
}

/// What may stand in a request of any grant.
#[derive(Clone)]
pub struct Asked<'a> {
    /// Where the access token is to be good (RFC 8707 §2.2).
    pub resources: Vec<String>,
    /// What it is to say in particular (RFC 9396 §6).
    pub details: AuthorizationDetails,
    /// The key that the sender proved to have.
    pub sender: Option<&'a SenderKey>,
}

/// A successful answer (RFC 6749 §5.1).
#[derive(Serialize)]
pub struct TokenResponse {
    pub access_token: String,
    /// `DPoP` where it is bound to a key by proofs of it (RFC 9449 §5), else `Bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// Always told, though RFC 6749 §5.1 asks for it only when it differs from what was asked.
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// RFC 9396 §7: "as granted by the resource owner and assigned to the respective access token".
    #[serde(skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub authorization_details: AuthorizationDetails,
}

impl TokenRequest {
    fn parse(grant: GrantType, params: &Params) -> Result<Self, OAuthError> {
        Ok(match grant {
            GrantType::AuthorizationCode => Self::AuthorizationCode(authorization_code::Request::parse(params)?),
            GrantType::RefreshToken => Self::RefreshToken(refresh_token::Request::parse(params)?),
            GrantType::ClientCredentials => Self::ClientCredentials(client_credentials::Request::parse(params)),
            GrantType::DeviceCode => Self::DeviceCode(device_code::Request::parse(params)?),
        })
    }
}

/// Answers a token request of an authenticated client; `sender` is the key that it proved to have.
///
/// # Errors
/// Those of RFC 6749 §5.2, `invalid_target` and `invalid_authorization_details`.
pub async fn token(
    cx: &Context,
    client: &Client,
    params: &Params,
    sender: Option<&SenderKey>,
) -> Result<TokenResponse, Error> {
    let name = params.get("grant_type").ok_or_else(|| invalid_request("grant_type is missing"))?;
    let grant = GrantType::parse(name)
        .ok_or_else(|| unsupported_grant_type(format!("the grant type {name} is not one that this server knows")))?;
    if !client.may_use(grant) {
        return Err(unauthorized_client(format!("the client is not registered for the grant type {grant}")).into());
    }
    let resources = resource::asked(cx, params).await?;
    let details = details::asked(cx, client, params).await?;
    let asked = Asked { resources, details, sender };
    if grant != GrantType::ClientCredentials {
        encryption::ready(cx, client).await?;
    }
    match TokenRequest::parse(grant, params)? {
        TokenRequest::AuthorizationCode(request) => authorization_code::exchange(cx, client, request, asked).await,
        TokenRequest::RefreshToken(request) => refresh_token::exchange(cx, client, request, asked).await,
        TokenRequest::ClientCredentials(request) => client_credentials::exchange(cx, client, &request, asked).await,
        TokenRequest::DeviceCode(request) => device_code::exchange(cx, client, &request, asked).await,
    }
}
