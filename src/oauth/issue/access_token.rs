//! Access tokens: signed JWTs that cost no row (RFC 9068).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::subjects::Known;
use super::super::{CLOCK_SKEW, Context, profile};
use super::Access;
use crate::crypto::{TokenType, jwt, random};
use crate::store::{Bearer, Grant};
use crate::types::authentication::Method;
use crate::types::{
    Audience, AuthorizationDetails, Client, ClientId, Fault, GrantId, Scope, SenderKey, SessionId, Subject, Timestamp,
    TokenId, User, UserId,
};

/// The claims of an access token (RFC 9068 §2.2).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    /// The user's subject, or the client's id where it acts for itself.
    pub sub: String,
    /// Where the subject is pairwise: in which sector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector: Option<String>,
    /// Where it is good (RFC 9068 §3): the resources that were asked for, or the issuer.
    pub aud: Audience,
    pub client_id: ClientId,
    pub exp: i64,
    pub iat: i64,
    pub jti: TokenId,
    #[serde(default, skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// The key to which it is bound (RFC 7800 §3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<SenderKey>,
    /// The grant that it was issued from; none where a client acts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<GrantId>,
    /// The session whose end is its end; none with `offline_access`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// RFC 9068 §2.2.1
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<Method>,
    /// RFC 9068 §2.2.3.1, where the scope of its name was granted. Each stands here by itself: to flatten a struct would
    /// cost every token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    /// The claims that its bearer was promised at UserInfo by name (OpenID Connect Core §5.5).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub userinfo_claims: Vec<String>,
    /// RFC 9396 §9.1
    #[serde(default, skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub authorization_details: AuthorizationDetails,
}

/// A token, and for how many seconds it is good.
pub struct Minted {
    pub token: String,
    pub expires_in: i64,
}

impl AccessClaims {
    /// The user it stands for; none where a client acts for itself.
    pub fn user(&self, cx: &Context) -> Option<UserId> {
        let subject = self.grant_id.and_then(|_| Subject::parse(&self.sub))?;
        cx.subjects.user(subject, self.sector.as_deref())
    }

    /// What can make it dead before it expires.
    pub fn bearer(&self, cx: &Context) -> Bearer<'_> {
        let user = self.user(cx);
        Bearer { token: self.jti, client: &self.client_id, grant: self.grant_id, session: self.sid, user }
    }
}

/// The token of a grant. It never outlives it. `user` is there where their rights are asked for.
pub(super) fn for_grant(
    cx: &Context,
    client: &Client,
    grant: &Grant,
    (wanted, user): (&Access<'_>, Option<&User>),
) -> Result<Minted, Fault> {
    let right = |name| {
        let asked = user.filter(|_| wanted.scope.contains(name));
        asked.map(|user| user.right(name)).unwrap_or_default()
    };
    let expires_at = grant.expires_at.min(end(cx, client, wanted));
    let Known { subject, sector } = cx.subjects.of(&client.metadata, grant.user)?;
    sign(
        cx,
        client,
        wanted,
        AccessClaims {
            sub: subject.to_string(),
            sector,
            grant_id: Some(grant.id),
            // OIDC Back-Channel Logout §2.7: what offline_access granted does not follow the session.
            sid: (!grant.offline).then_some(grant.session),
            auth_time: Some(grant.authentication.at.secs()),
            acr: Some(grant.authentication.acr().to_owned()),
            amr: grant.authentication.amr(),
            groups: right("groups"),
            roles: right("roles"),
            entitlements: right("entitlements"),
            userinfo_claims: super::still_registered(client, &grant.terms.claims.userinfo),
            ..bare(cx, client, wanted, expires_at)
        },
    )
}

/// The token of a client that acts for itself.
pub(super) fn for_client(cx: &Context, client: &Client, wanted: &Access<'_>) -> Result<Minted, Fault> {
    sign(cx, client, wanted, bare(cx, client, wanted, end(cx, client, wanted)))
}

/// The shorter of what the client may have and what the resource lets it have.
fn end(cx: &Context, client: &Client, wanted: &Access<'_>) -> Timestamp {
    let lifetime = cx.config.tokens.access_lifetime(client);
    cx.now.plus(wanted.target.lifetime.map_or(lifetime, |most| most.min(lifetime)))
}

fn bare(cx: &Context, client: &Client, wanted: &Access<'_>, expires_at: Timestamp) -> AccessClaims {
    AccessClaims {
        iss: cx.issuer().to_owned(),
        // RFC 9068 §2.2: "the sub claim SHOULD correspond to the client" where there is no resource owner.
        sub: client.id.to_string(),
        sector: None,
        aud: wanted.target.audience.clone(),
        client_id: client.id.clone(),
        exp: expires_at.secs(),
        iat: cx.now.secs(),
        jti: TokenId::new(random::uuid_v7(&*cx.rng, cx.now)),
        scope: wanted.scope.clone(),
        cnf: wanted.sender.cloned(),
        grant_id: None,
        sid: None,
        auth_time: None,
        acr: None,
        amr: Vec::new(),
        groups: Vec::new(),
        roles: Vec::new(),
        entitlements: Vec::new(),
        userinfo_claims: Vec::new(),
        authorization_details: wanted.details.clone(),
    }
}

fn sign(cx: &Context, client: &Client, wanted: &Access<'_>, claims: AccessClaims) -> Result<Minted, Fault> {
    let algorithm = profile::access_token_algorithm(&cx.config, &client.metadata, wanted.target.algorithm);
    let key = cx.keys.active(algorithm, cx.now)?;
    let token = jwt::sign(key, TokenType::AccessToken, &claims).map_err(Fault::internal)?;
    Ok(Minted { token, expires_in: claims.exp - claims.iat })
}

/// The claims of a token that we signed and that has not expired; whether it was revoked is not asked here.
pub fn verify(cx: &Context, token: &str) -> Option<Arc<AccessClaims>> {
    let verify = || jwt::verify(token, TokenType::AccessToken, |kid| cx.keys.verifying(kid)).ok();
    let claims = cx.keys.verified().claims(token, verify)?;
    // RFC 9068 §4; a token of another node may come from a clock that is a little ahead.
    let in_time = claims.iat <= cx.now.secs() + CLOCK_SKEW && cx.now.secs() < claims.exp;
    (claims.iss == cx.issuer() && in_time).then_some(claims)
}
