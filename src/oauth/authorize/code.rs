//! Step 6: the grant is written, and its code goes out.

use secrecy::{ExposeSecret, SecretString};

use super::{Answer, Validated, Visit};
use crate::crypto::{Digest, hash, random};
use crate::oauth::error::invalid_request;
use crate::oauth::scope::{self, OFFLINE_ACCESS};
use crate::oauth::{Context, Error, client_documents, details, profile};
use crate::store::{NewGrant, PendingRequest, Tx};
use crate::types::{Event, EventKind, Fault, GrantId, GrantType, Session, Terms};

/// An authorization code: `<grant id>.<secret>`. The id stands in tokens and proves nothing; the secret is kept as
/// its hash alone.
pub struct Code {
    pub grant: GrantId,
    secret: SecretString,
}

impl Code {
    pub fn parse(text: &str) -> Option<Self> {
        let (grant, secret) = text.split_once('.')?;
        Some(Self { grant: GrantId::parse(grant)?, secret: random::is_secret(secret).then(|| secret.into())? })
    }

    pub fn hash(&self) -> Digest {
        hash::sha256(self.secret.expose_secret().as_bytes())
    }

    fn new(cx: &Context) -> Self {
        Self { grant: GrantId::new(random::uuid_v7(&*cx.rng, cx.now)), secret: random::secret(&*cx.rng) }
    }

    fn into_answer(self) -> Answer {
        Answer::Code(format!("{}.{}", self.grant, self.secret.expose_secret()).into())
    }
}

/// Writes the grant; with it, in one transaction, what belongs to it: all of it happens, or nothing.
pub(super) async fn issue(
    cx: &Context,
    validated: &Validated,
    visit: &Visit<'_>,
    session: &Session,
) -> Result<Answer, Error> {
    let code = Code::new(cx);
    let mut grant = new_grant(cx, validated, session, &code);
    grant.scope = scope::for_user(cx, grant.user, grant.scope).await?;
    let implied =
        !visit.allowed && validated.client.metadata.skip_consent && !is_allowed(cx, validated, &grant).await?;
    let pushed = visit.pushed(validated);
    let unkept = client_documents::is_unkept(cx, &validated.client).await?;
    if visit.pending.is_none() && pushed.is_none() && !implied && !visit.allowed && !unkept {
        cx.store.create_grant(&grant).await?;
        return Ok(code.into_answer());
    }
    let memorable = details::memorable(cx, &grant.terms.details).await?;
    let mut tx = cx.store.begin().await?;
    spend_both(&mut tx, visit.pending, pushed).await?;
    if unkept {
        client_documents::keep(&mut tx, &validated.client, cx.now).await?;
    }
    if visit.allowed {
        tx.grant_consent(grant.user, &grant.client, &validated.request.to_allow(&grant.scope), cx.now).await?;
        tx.remember_details(grant.user, &grant.client, &memorable).await?;
    } else if implied {
        tx.imply_consent(grant.user, &grant.client, &validated.request.to_allow(&grant.scope), cx.now).await?;
    }
    tx.create_grant(&grant).await?;
    if visit.allowed {
        tx.log(Event::within(session, EventKind::Allowed, cx.now).about(grant.client.as_str())).await?;
    }
    tx.commit().await?;
    Ok(code.into_answer())
}

/// Whether a consent covers it: what the administrator allowed for everybody is written once, shows on the account page,
/// and can be withdrawn there.
async fn is_allowed(cx: &Context, validated: &Validated, grant: &NewGrant) -> Result<bool, Fault> {
    let consent = cx.store.remembered_consent(grant.user, &grant.client).await?;
    Ok(consent.is_some_and(|consent| validated.request.to_allow(&grant.scope).is_within(&consent.scope)))
}

/// Takes the request away that waited, and the one that was pushed, without a code.
pub(super) async fn spend(
    cx: &Context,
    pending: Option<&PendingRequest>,
    pushed: Option<[u8; 32]>,
) -> Result<(), Error> {
    if pending.is_none() && pushed.is_none() {
        return Ok(());
    }
    let mut tx = cx.store.begin().await?;
    spend_both(&mut tx, pending, pushed).await?;
    Ok(tx.commit().await?)
}

/// A request has one answer; a pushed one too, in however many pages it was opened (RFC 9126 §7.3).
async fn spend_both(tx: &mut Tx, pending: Option<&PendingRequest>, pushed: Option<[u8; 32]>) -> Result<(), Error> {
    let waited = match pending {
        Some(pending) => tx.spend_pending(pending).await?,
        None => true,
    };
    let unanswered = match pushed {
        Some(hash) => tx.spend_pushed(&hash).await?,
        None => true,
    };
    if waited && unanswered {
        return Ok(());
    }
    Err(invalid_request("this request was answered before; go back to the application and start again").into())
}

fn new_grant(cx: &Context, validated: &Validated, session: &Session, code: &Code) -> NewGrant {
    let (client, request) = (&validated.client, &validated.request);
    let offline = request.scope.contains(OFFLINE_ACCESS);
    let refreshable =
        client.may_use(GrantType::RefreshToken) && (offline || client.metadata.always_issue_refresh_token);
    let code_expires_at = cx.now.plus(profile::code_lifetime(&cx.config, &client.metadata));
    let end = if refreshable {
        cx.now.plus(cx.config.refresh.absolute(client))
    } else {
        code_expires_at.plus(cx.config.tokens.access_lifetime(client))
    };
    NewGrant {
        id: code.grant,
        client: client.id.clone(),
        user: session.user,
        session: session.id,
        scope: request.scope.clone(),
        terms: Terms {
            resources: request.resources.clone(),
            claims: request.claims.asked.clone(),
            details: request.details.clone(),
        },
        offline,
        refreshable,
        nonce: request.nonce.clone(),
        authentication: session.authentication.clone(),
        redirect_uri: validated.target.uri().to_owned(),
        code_hash: code.hash(),
        code_challenge: request.code_challenge.clone(),
        sender_key: request.sender_key.clone(),
        created_at: cx.now,
        code_expires_at,
        // docs/architecture.md, "What ends what": a session's expiry ends its grants, those with offline_access excepted.
        ends_at: if offline { end } else { end.min(session.expires_at) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_does_not_show_its_code() {
        let secret = "s".repeat(43);
        let code = Code::parse(&format!("01890a5d-ac96-774b-bcce-b302099a8057.{secret}")).unwrap();
        let answer = code.into_answer();
        assert!(!format!("{answer:?}").contains(&secret));
    }
}
