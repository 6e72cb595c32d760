//! ID tokens (OpenID Connect Core §2).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::Context;
use super::super::subjects::Known;
use crate::crypto::{TokenType, hash, jwt};
use crate::store::Grant;
use crate::types::authentication::Method;
use crate::types::{Client, ClientId, Fault, SessionId, Subject};

/// The claims of an ID token. What the scopes ask for is at UserInfo (OpenID Connect Core §5.4).
#[derive(Debug, Serialize, Deserialize)]
pub struct IdClaims {
    pub iss: String,
    pub sub: Subject,
    /// Where the subject is pairwise: in which sector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector: Option<String>,
    pub aud: ClientId,
    pub exp: i64,
    pub iat: i64,
    pub auth_time: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    pub acr: String,
    /// Empty where another provider authenticated them, and how is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<Method>,
    pub sid: SessionId,
    /// OpenID Connect Core §3.1.3.6
    pub at_hash: String,
    /// Those of the user that were asked for by name (OpenID Connect Core §5.5).
    #[serde(flatten, default, skip_deserializing)]
    pub named: Map<String, Value>,
}

pub(super) fn sign(
    cx: &Context,
    client: &Client,
    grant: &Grant,
    (access_token, named): (&str, Map<String, Value>),
) -> Result<String, Fault> {
    let algorithm = client.metadata.id_token_signed_response_alg;
    let first = grant.generation == 1;
    let Known { subject, sector } = cx.subjects.of(&client.metadata, grant.user)?;
    let claims = IdClaims {
        iss: cx.issuer().to_owned(),
        sub: subject,
        sector,
        aud: client.id.clone(),
        exp: cx.now.plus(cx.config.tokens.id_token_lifetime).secs(),
        iat: cx.now.secs(),
        auth_time: grant.authentication.at.secs(),
        // OpenID Connect Core §12.2: a refreshed ID token "SHOULD NOT have a nonce Claim".
        nonce: grant.nonce.clone().filter(|_| first),
        acr: grant.authentication.acr().to_owned(),
        amr: grant.authentication.amr(),
        sid: grant.session,
        at_hash: hash::half_hash_base64url(algorithm, access_token),
        named,
    };
    let key = cx.keys.active(algorithm, cx.now)?;
    jwt::sign(key, TokenType::IdToken, &claims).map_err(Fault::internal)
}

/// The claims of an ID token that we issued, expired ones too: an `id_token_hint`
/// (OpenID Connect Core §3.1.2.2, RP-Initiated Logout §4).
pub fn verify_hint(cx: &Context, token: &str) -> Option<IdClaims> {
    let claims: IdClaims = jwt::verify(token, TokenType::IdToken, |kid| cx.keys.verifying(kid)).ok()?;
    (claims.iss == cx.issuer()).then_some(claims)
}
