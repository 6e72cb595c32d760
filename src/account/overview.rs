//! What a person sees of their account, and may end.

use std::sync::Arc;

use super::Accounts;
use crate::store::{Consent, Ending};
use crate::types::{Client, ClientId, Event, EventKind, Fault, Session, SessionId, Timestamp, User};

/// Everything on the account page.
pub struct Overview {
    pub connected: Vec<Connected>,
    /// Clients that they have not allowed anything, and could begin to use.
    pub others: Vec<Client>,
    pub sessions: Vec<Session>,
}

/// What was allowed to a client.
pub struct Connected {
    pub consent: Consent,
    /// While it is registered.
    pub client: Option<Arc<Client>>,
    /// When it last got tokens for this; `None` if that is not known any more.
    pub used_at: Option<Timestamp>,
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
        self.store.use_session(&session, self.config.session.idle(session.remembered), now);
        Ok(Some((session, user)))
    }

    /// # Errors
    /// When the database is away.
    pub async fn overview(&self, user: &User, now: Timestamp) -> Result<Overview, Fault> {
        let uses = self.store.clients_used_by(user.id).await?;
        let mut connected = Vec::new();
        for consent in self.store.consents_of(user.id).await? {
            let client = self.store.client(&consent.client).await?;
            let used_at = uses.iter().find(|(id, _)| *id == consent.client).map(|(_, at)| *at);
            connected.push(Connected { consent, client, used_at });
        }
        let mut others = self.store.clients_to_open().await?;
        others.retain(|client| !connected.iter().any(|known| known.consent.client == client.id));
        others.sort_by(|a, b| a.metadata.client_name.cmp(&b.metadata.client_name));
        Ok(Overview { connected, others, sessions: self.store.sessions_of(user.id, now).await? })
    }

    /// Takes back what the user allowed a client: its grants and their tokens end (ASVS 10.7.3). `false` if there
    /// was nothing to take back.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn withdraw(&self, user: &User, client: &ClientId, now: Timestamp) -> Result<bool, Fault> {
        let mut tx = self.store.begin().await?;
        let withdrawn = tx.withdraw_consent(user.id, client, now).await?;
        if withdrawn {
            tx.log(Event::new(user.id, EventKind::Withdrawn, now).about(client.as_str())).await?;
        }
        tx.commit().await?;
        Ok(withdrawn)
    }

    /// Ends all sessions of a user but the present one, and everything under them (ASVS 7.5.2).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_others(&self, present: &Session, now: Timestamp) -> Result<(), Fault> {
        let mut tx = self.store.begin().await?;
        tx.end_sessions_of(present.user, Some(present.id), now).await?;
        tx.log(Event::within(present, EventKind::SignedOutElsewhere, now)).await?;
        tx.commit().await?;
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
