//! Whose account it is here that somebody proved at another provider: that of (provider, subject), and of nobody who
//! merely has the same address (ASVS 6.8.1).

use serde_json::{Map, Value};

use crate::account::sign_in::{Place, SignIn};
use crate::account::{Accounts, names};
use crate::config::second_factor::Policy;
use crate::config::upstream::{Create, Provider as Settings};
use crate::crypto::random;
use crate::store::{Purpose, Stored, Tx};
use crate::types::{
    Event, EventKind, Fault, Identity, IdentityId, Memberships, Offer, OfferId, RequestId, SignInId, Timestamp, User,
    UserId,
};

use super::{Found, Provider, VISIT};

/// What came of it.
pub enum Arrival {
    /// As after any sign-in.
    Known(SignIn),
    /// Nobody here is known by it, or nobody who may sign in: one answer for both (ASVS 6.3.8). Whoever proves an account
    /// of theirs may link it.
    Unknown(OfferId),
}

/// What came of making an account.
enum Made {
    Account(Box<(Identity, User)>),
    /// The rules do not let them, or their address is somebody else's.
    Nobody,
    /// Somebody else may have made it at the same time.
    Raced,
}

impl Accounts {
    /// Signs somebody in whom another provider knows, in the account that is theirs, or in a new one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn arrive(
        &self,
        provider: &Provider,
        found: &Found,
        (place, request): (&Place<'_>, Option<RequestId>),
        now: Timestamp,
    ) -> Result<Arrival, Fault> {
        for _ in 0..2 {
            let known = match self.store.identity(&found.provider, &found.subject).await? {
                Some(identity) => self.store.user(identity.user).await?.map(|user| (identity, user)),
                None => match self.make_account(&provider.settings, found, now).await? {
                    Made::Account(made) => Some(*made),
                    Made::Nobody => None,
                    Made::Raced => continue,
                },
            };
            if let Some((identity, user)) = known
                && let Some(signed_in) = self.enter((&identity, &user), found, place, now).await?
            {
                return Ok(Arrival::Known(signed_in));
            }
            break;
        }
        tracing::warn!(target: "audit", event = "sign_in", outcome = "refused", provider = provider.name);
        self.offer(found, (place, request), now).await.map(Arrival::Unknown)
    }

    /// In one transaction: the identity is still theirs, they may sign in, and the session begins or goes on, or the
    /// sign-in waits for its second step.
    async fn enter(
        &self,
        (identity, user): (&Identity, &User),
        found: &Found,
        place: &Place<'_>,
        now: Timestamp,
    ) -> Result<Option<SignIn>, Fault> {
        let proved = found.authentication.clone();
        let has_factors =
            self.config.second_factor.policy == Policy::Required || self.store.has_factors(user.id).await?;
        let present = self.present(place, user.id, now).await?;
        let mut tx = self.store.begin().await?;
        if tx.confirm_user(user.id).await? == Stored::Conflict
            || tx.use_identity(identity, found.email.as_deref(), now).await? == Stored::Conflict
        {
            return Ok(None);
        }
        // ASVS 6.8.4: two factors there count only where the provider is trusted to say so.
        if has_factors && !proved.has_two_factors() {
            let id = self.wait_for_second(&mut tx, user, found, (place, now)).await?;
            tx.commit().await?;
            return Ok(Some(SignIn::Second(id)));
        }
        let session = self.open_session(&mut tx, (user.id, proved), (present, place), now).await?;
        // Whose account was made just now is not told of it.
        if user.created_at != now {
            self.tell_if_news(&mut tx, user, place, now).await?;
        }
        let title = self.title_of(&found.provider);
        tx.log(Event::within(&session, EventKind::SignedIn, now).about(title)).await?;
        tx.commit().await?;
        Ok(Some(SignIn::Done(Box::new(session))))
    }

    async fn wait_for_second(
        &self,
        tx: &mut Tx,
        user: &User,
        found: &Found,
        (place, now): (&Place<'_>, Timestamp),
    ) -> Result<SignInId, Fault> {
        let step = self.step(user.id, found.authentication.clone(), place.browser, now);
        tx.create_sign_in(&step).await?;
        Ok(step.id)
    }

    /// A new account, where the configuration makes one for somebody like them.
    async fn make_account(&self, settings: &Settings, found: &Found, now: Timestamp) -> Result<Made, Fault> {
        // An address counts that the provider says is theirs, and no other does.
        let email = found.email.as_deref().filter(|_| found.email_verified);
        let is_wanted = match settings.create {
            Create::Off => false,
            Create::Invited => email.is_some(),
            Create::Domain => email.is_some_and(|email| is_in(email, &settings.domains)),
            Create::Open => true,
        };
        if !is_wanted {
            return Ok(Made::Nobody);
        }
        let user = self.new_user(found, email, now);
        let identity = self.identity(found, user.id, now);
        let mut tx = self.store.begin().await?;
        if let (Create::Invited, Some(email)) = (settings.create, email)
            && !tx.spend_link_of(Purpose::SignUp, &email.to_lowercase(), now).await?
        {
            return Ok(Made::Raced);
        }
        // Of two who come at once with one identity, the second waits here for the first.
        if tx.insert_identity(&identity).await? == Stored::Conflict {
            return Ok(Made::Raced);
        }
        if tx.insert_user(&user, None).await? == Stored::Conflict {
            return Ok(Made::Nobody);
        }
        tx.log(Event::new(user.id, EventKind::SignedUp, now).about(self.title_of(&found.provider))).await?;
        tx.commit().await?;
        Ok(Made::Account(Box::new((identity, user))))
    }

    fn new_user(&self, found: &Found, email: Option<&str>, now: Timestamp) -> User {
        let id = UserId::new(random::uuid_v4(&*self.rng));
        let email = email.filter(|email| names::settle(email, Some(email)).is_ok()).map(str::to_owned);
        // A name that nobody else has, of somebody whose address is not known.
        let name = || format!("{}-{}", found.provider, &id.uuid().simple().to_string()[..12]);
        let claims = found.name.clone().map(|name| ("name".to_owned(), Value::from(name)));
        User {
            id,
            username: email.clone().unwrap_or_else(name),
            email_verified: email.is_some(),
            email,
            claims: Map::from_iter(claims),
            created_at: now,
            updated_at: now,
            disabled_at: None,
            memberships: Memberships::default(),
        }
    }

    pub(super) fn identity(&self, found: &Found, user: UserId, now: Timestamp) -> Identity {
        Identity {
            id: IdentityId::new(random::uuid_v4(&*self.rng)),
            user,
            provider: found.provider.clone(),
            subject: found.subject.clone(),
            email: found.email.clone(),
            created_at: now,
            used_at: None,
        }
    }

    /// Remembers who was proved there, for whoever proves an account of theirs here.
    async fn offer(
        &self,
        found: &Found,
        (place, request): (&Place<'_>, Option<RequestId>),
        now: Timestamp,
    ) -> Result<OfferId, Fault> {
        let offer = Offer {
            id: OfferId::new(random::uuid_v4(&*self.rng)),
            browser: place.browser.to_owned(),
            provider: found.provider.clone(),
            subject: found.subject.clone(),
            email: found.email.clone(),
            request,
            expires_at: now.plus(VISIT),
        };
        self.store.create_offer(&offer).await?;
        Ok(offer.id)
    }
}

/// Whether an address is in one of these domains, and not in one below or beside them.
fn is_in(email: &str, domains: &[String]) -> bool {
    let host = email.rsplit_once('@').map(|(_, host)| host.to_lowercase());
    host.is_some_and(|host| domains.contains(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_domain_or_it_is_not() {
        let domains = ["example.com".to_owned()];
        for (email, expected) in [
            ("ada@example.com", true),
            ("ada@EXAMPLE.com", true),
            ("ada@sub.example.com", false),
            ("ada@notexample.com", false),
            ("ada@example.com.evil.example", false),
            ("example.com", false),
        ] {
            assert_eq!(is_in(email, &domains), expected, "{email}");
        }
    }
}
