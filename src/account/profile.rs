//! What people change of their own account, take with them, and delete.

use serde_json::{Map, Value, json};

use super::Accounts;
use super::letters::Letter;
use crate::store::Stored;
use crate::types::{
    ApiToken, Event, EventKind, Factor, Fault, Holder, Identity, Passkey, Session, Timestamp, User, claim_value,
};

/// What came of it.
pub enum ProfileChange {
    Done,
    /// What was typed for a claim is no value of it: which, and why.
    Mistakes(Vec<(String, String)>),
    /// Somebody else changed the account at the same time.
    Forestalled,
}

/// More events than anybody reads; the rest is in the log of the server.
const EVENTS: u32 = 10_000;

impl Accounts {
    /// Changes claims of somebody's own, of those that may be; an empty text takes one away.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn change_profile(
        &self,
        session: &Session,
        user: &User,
        typed: &[(String, String)],
        now: Timestamp,
    ) -> Result<ProfileChange, Fault> {
        let mut changed = user.clone();
        let mut mistakes = Vec::new();
        for (name, text) in typed.iter().filter(|(name, _)| self.config.account.editable.contains(name)) {
            let text = text.trim();
            if text.is_empty() {
                changed.claims.remove(name);
            } else if let Err(why) = claim_value::check(name, &text.into()) {
                mistakes.push((name.clone(), why));
            } else {
                changed.claims.insert(name.clone(), text.into());
            }
        }
        if !mistakes.is_empty() {
            return Ok(ProfileChange::Mistakes(mistakes));
        }
        if changed.claims.get("phone_number") != user.claims.get("phone_number") {
            // Nobody has verified the new one.
            changed.claims.remove("phone_number_verified");
        }
        if changed.claims == user.claims {
            return Ok(ProfileChange::Done);
        }
        let mut tx = self.store.begin().await?;
        if tx.update_user(&changed, now).await? == Stored::Conflict {
            return Ok(ProfileChange::Forestalled);
        }
        tx.log(Event::within(session, EventKind::ProfileChanged, now)).await?;
        tx.commit().await?;
        Ok(ProfileChange::Done)
    }

    /// All that is kept of somebody, but for secrets and their hashes.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn data_of(&self, session: &Session, user: &User, now: Timestamp) -> Result<Value, Fault> {
        let store = &self.store;
        let consents = store.consents_of(user.id).await?;
        let sessions = store.sessions_of(user.id, now).await?;
        let tokens = store.api_tokens(Some(&Holder::User(user.id))).await?;
        let events = store.events_of(user.id, now.plus(std::time::Duration::from_micros(1)), EVENTS).await?;
        let factors = self.factors(user.id, now).await?;
        let passkeys = store.passkeys_of(user.id).await?;
        let identities = store.identities_of(user.id).await?;
        let mut tx = store.begin().await?;
        tx.log(Event::within(session, EventKind::DataTaken, now)).await?;
        tx.commit().await?;
        Ok(json!({
            "account": {
                "id": user.id,
                "username": user.username,
                "email": user.email,
                "email_verified": user.email_verified,
                "claims": user.claims,
                "groups": user.memberships.groups,
                "roles_by_groups": user.memberships.roles,
                "created_at": user.created_at.secs(),
                "updated_at": user.updated_at.secs(),
            },
            "allowed_applications": consents.iter().map(|consent| json!({
                "client_id": consent.client,
                "scope": consent.scope,
                "authorization_details": consent.details,
                "since": consent.granted_at.secs(),
            })).collect::<Vec<_>>(),
            "sessions": sessions.iter().map(session_document).collect::<Vec<_>>(),
            "second_factors": factors.iter().map(factor_document).collect::<Vec<_>>(),
            "passkeys": passkeys.iter().map(passkey_document).collect::<Vec<_>>(),
            "linked_sign_ins": identities.iter().map(identity_document).collect::<Vec<_>>(),
            "personal_access_tokens": tokens.iter().map(token_document).collect::<Vec<_>>(),
            "events": events.iter().map(event_document).collect::<Vec<_>>(),
        }))
    }

    /// Deletes somebody's own account, and all that was theirs. `false` if it is gone already, or may not be deleted.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn delete_own(&self, user: &User, now: Timestamp) -> Result<bool, Fault> {
        if !self.config.account.may_delete {
            return Ok(false);
        }
        let mut tx = self.store.begin().await?;
        let deleted = tx.delete_user(user.id, now).await? == Stored::Stored;
        if deleted {
            let letter = Letter::AccountDeleted { account: user.username.clone(), at: now };
            self.tell(&mut tx, user, letter, now).await?;
        }
        tx.commit().await?;
        if deleted {
            tracing::info!(target: "audit", event = "user_deleted", by = "owner", user = %user.id);
        }
        Ok(deleted)
    }
}

fn session_document(session: &Session) -> Value {
    json!({
        "device": session.device,
        "address": session.address,
        "began_at": session.created_at.secs(),
        "last_used_at": session.seen_at.secs(),
    })
}

fn factor_document(factor: &Factor) -> Value {
    json!({
        "name": factor.name,
        "created_at": factor.created_at.secs(),
        "last_used_at": factor.used_at.map(Timestamp::secs),
    })
}

fn passkey_document(passkey: &Passkey) -> Value {
    json!({
        "name": passkey.name,
        "created_at": passkey.created_at.secs(),
        "last_used_at": passkey.used_at.map(Timestamp::secs),
    })
}

fn identity_document(identity: &Identity) -> Value {
    json!({
        "provider": identity.provider,
        "sub": identity.subject,
        "email": identity.email,
        "linked_at": identity.created_at.secs(),
        "last_used_at": identity.used_at.map(Timestamp::secs),
    })
}

fn token_document(token: &ApiToken) -> Value {
    json!({
        "name": token.name,
        "scope": token.scope,
        "audience": token.audience,
        "created_at": token.created_at.secs(),
        "expires_at": token.expires_at.secs(),
        "last_used_at": token.used_at.map(Timestamp::secs),
    })
}

fn event_document(event: &Event) -> Value {
    let members = [
        ("at", json!(event.at.secs())),
        ("event", event.kind.name().into()),
        ("about", event.about.clone().into()),
        ("by_administrator", event.by_admin.into()),
        ("device", json!(event.device)),
        ("address", json!(event.address)),
    ];
    Value::Object(Map::from_iter(members.map(|(name, value)| (name.to_owned(), value))))
}
