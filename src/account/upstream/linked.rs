//! By which other providers somebody signs in: one more, one less. Whoever changes it has proved just now who they are
//! (ASVS 7.5.1), and is told of it (ASVS 6.3.7).

use super::Found;
use crate::account::Accounts;
use crate::account::letters::Letter;
use crate::crypto::random;
use crate::store::{Stored, Tx};
use crate::types::{Event, EventKind, Fault, Identity, IdentityId, Offer, OfferId, RequestId, Timestamp, User, UserId};

/// What came of linking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    Done,
    /// It was theirs already.
    Already,
    /// It is another account's, or theirs is none that may sign in.
    Taken,
}

/// What came of unlinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinked {
    Done,
    /// Without it they could not sign in any more.
    Last,
    /// It is not theirs.
    Gone,
}

impl Accounts {
    /// Whoever is proved there is this user from now on, who asked for it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn link(&self, user: &User, found: &Found, now: Timestamp) -> Result<Linked, Fault> {
        let mut tx = self.store.begin().await?;
        let linked = self.link_in(&mut tx, user, self.identity(found, user.id, now), now).await?;
        tx.commit().await?;
        Ok(linked)
    }

    /// The offer that a page names, with what its provider is called.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn offered(&self, id: OfferId, browser: &str, now: Timestamp) -> Result<Option<(Offer, String)>, Fault> {
        let offer = self.store.offer(id, browser, now).await?;
        Ok(offer.map(|offer| {
            let title = self.title_of(&offer.provider).to_owned();
            (offer, title)
        }))
    }

    /// Takes up an offer: the identity that was proved is this user's from now on, who has proved that they are. `None` if
    /// the offer stands no more; else what waited where it came from.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn take_up(
        &self,
        user: &User,
        (offer, browser): (OfferId, &str),
        now: Timestamp,
    ) -> Result<Option<(Linked, Option<RequestId>)>, Fault> {
        let mut tx = self.store.begin().await?;
        let Some(offer) = tx.take_offer(offer, browser, now).await? else { return Ok(None) };
        let identity = Identity {
            id: IdentityId::new(random::uuid_v4(&*self.rng)),
            user: user.id,
            provider: offer.provider,
            subject: offer.subject,
            email: offer.email,
            created_at: now,
            used_at: None,
        };
        let linked = self.link_in(&mut tx, user, identity, now).await?;
        tx.commit().await?;
        Ok(Some((linked, offer.request)))
    }

    async fn link_in(&self, tx: &mut Tx, user: &User, identity: Identity, now: Timestamp) -> Result<Linked, Fault> {
        // Of an identity and its user, the user's row is taken first.
        if tx.confirm_user(user.id).await? == Stored::Conflict {
            return Ok(Linked::Taken);
        }
        if tx.insert_identity(&identity).await? == Stored::Conflict {
            let owner = tx.owner_of(&identity.provider, &identity.subject).await?;
            return Ok(if owner == Some(user.id) { Linked::Already } else { Linked::Taken });
        }
        self.tell_of_identity(tx, user, (&identity.provider, true), now).await?;
        let title = self.title_of(&identity.provider);
        tx.log(Event::new(user.id, EventKind::IdentityLinked, now).about(title)).await?;
        Ok(Linked::Done)
    }

    /// Takes one away, but not the last by which its owner can sign in.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn unlink(&self, user: &User, id: IdentityId, now: Timestamp) -> Result<Unlinked, Fault> {
        let mut tx = self.store.begin().await?;
        // Of two who each take away one of the last two, the second sees what the first has left.
        if tx.confirm_user(user.id).await? == Stored::Conflict {
            return Ok(Unlinked::Gone);
        }
        let Some(provider) = tx.delete_identity(user.id, id).await? else { return Ok(Unlinked::Gone) };
        if !self.can_come_in(&mut tx, user.id).await? {
            return Ok(Unlinked::Last);
        }
        self.tell_of_identity(&mut tx, user, (&provider, false), now).await?;
        let title = self.title_of(&provider);
        tx.log(Event::new(user.id, EventKind::IdentityUnlinked, now).about(title)).await?;
        tx.commit().await?;
        Ok(Unlinked::Done)
    }

    /// Whether there is a way left for somebody to sign in.
    ///
    /// # Errors
    /// When the database is away.
    pub(in crate::account) async fn can_come_in(&self, tx: &mut Tx, user: UserId) -> Result<bool, Fault> {
        // A provider that the configuration does not know any more lets nobody in.
        let is_known = |name: &String| self.config.upstream.0.contains_key(name);
        Ok(tx.has_own_way_in(user).await? || tx.providers_of(user).await?.iter().any(is_known))
    }

    /// Tells its owner what became of it (ASVS 6.3.7).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn tell_of_identity(
        &self,
        tx: &mut Tx,
        user: &User,
        (provider, linked): (&str, bool),
        now: Timestamp,
    ) -> Result<(), Fault> {
        let (account, provider) = (user.username.clone(), self.title_of(provider).to_owned());
        self.tell(tx, user, Letter::Identity { account, provider, linked, at: now }, now).await
    }

    /// What people call a provider; its name, if the configuration knows it no more.
    pub fn title_of<'a>(&'a self, provider: &'a str) -> &'a str {
        self.config.upstream.0.get(provider).map_or(provider, |known| known.title.as_str())
    }
}
