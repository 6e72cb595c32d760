//! What a person sees of their account, and may end.

use std::sync::Arc;

use super::Accounts;
use crate::store::{Consent, Ending};
use crate::types::{Client, ClientId, Fault, Session, SessionId, Timestamp, User};

/// Everything on the account page.
pub struct Overview {
    /// What was allowed, with the client where it is still registered.
    pub consents: Vec<(Consent, Option<Arc<Client>>)>,
    /// Clients that they have not allowed anything, and could begin to use.
    pub others: Vec<Client>,
    pub sessions: Vec<Session>,
}

impl Accounts {
    /// The living session of a browser, and whose it is. To ask is to use it (ASVS 7.3.1).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn signed_in(
        &self,
        session: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Option<(Session, User)>, Fault> {
        let Some(id) = session else { return Ok(None) };
        let Some((session, user)) = self.store.signed_in(id, now).await? else { return Ok(None) };
        self.store.use_session(&session, self.config.session.idle_lifetime, now);
        Ok(Some((session, user)))
    }

    /// # Errors
    /// When the database is away.
    pub async fn overview(&self, user: &User, now: Timestamp) -> Result<Overview, Fault> {
        let mut consents = Vec::new();
        for consent in self.store.consents_of(user.id).await? {
            let client = self.store.client(&consent.client).await?;
            consents.push((consent, client));
        }
        let mut others = self.store.clients_to_open().await?;
        others.retain(|client| !consents.iter().any(|(consent, _)| consent.client == client.id));
        others.sort_by(|a, b| a.metadata.client_name.cmp(&b.metadata.client_name));
        Ok(Overview { consents, others, sessions: self.store.sessions_of(user.id, now).await? })
    }

    /// Takes back what the user allowed a client: its grants and their tokens end (ASVS 10.7.3). `false` if there
    /// was nothing to take back.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn withdraw(&self, user: &User, client: &ClientId, now: Timestamp) -> Result<bool, Fault> {
        let mut tx = self.store.begin().await?;
        let withdrawn = tx.withdraw_consent(user.id, client, now).await?;
        tx.commit().await?;
        if withdrawn {
            tracing::info!(target: "audit", event = "consent_withdrawn", user = %user.id, %client);
        }
        Ok(withdrawn)
    }

    /// Ends all sessions of a user but the present one, and everything under them (ASVS 7.5.2).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_others(&self, present: &Session, now: Timestamp) -> Result<(), Fault> {
        let mut tx = self.store.begin().await?;
        tx.end_sessions_of(present.user, Some(present.id), now).await?;
        tx.commit().await?;
        tracing::info!(target: "audit", event = "other_sessions_ended", user = %present.user, kept = %present.id);
        Ok(())
    }

    /// Ends one of the user's own sessions and everything under it (ASVS 7.5.2). `false` if it is not theirs.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_own(&self, user: &User, session: SessionId, now: Timestamp) -> Result<bool, Fault> {
        if !self.store.sessions_of(user.id, now).await?.iter().any(|own| own.id == session) {
            return Ok(false);
        }
        self.end(session, Ending::Everything, now).await?;
        Ok(true)
    }
}
