//! As whom other providers know people; who was sent to one, and who came back from there and is nobody here.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Stored, Tx};
use crate::types::{Fault, Identity, IdentityId, Offer, OfferId, RequestId, Timestamp, UserId, Visit};

row!(
    struct IdentityRow {
        id: String,
        user_id: String,
        provider: String,
        subject: String,
        email: Option<String>,
        created_at: i64,
        used_at: Option<i64>,
    }
);

row!(
    struct OfferRow {
        browser: String,
        provider: String,
        subject: String,
        email: Option<String>,
        request_id: Option<String>,
        expires_at: i64,
    }
);

impl TryFrom<IdentityRow> for Identity {
    type Error = Fault;

    fn try_from(row: IdentityRow) -> Result<Self, Fault> {
        let broken = || Fault::because("a stored identity has an id that is not a UUID");
        Ok(Self {
            id: IdentityId::parse(&row.id).ok_or_else(broken)?,
            user: UserId::parse(&row.user_id).ok_or_else(broken)?,
            provider: row.provider,
            subject: row.subject,
            email: row.email,
            created_at: Timestamp::from_micros(row.created_at),
            used_at: row.used_at.map(Timestamp::from_micros),
        })
    }
}

impl OfferRow {
    fn offer(self, id: OfferId) -> Offer {
        Offer {
            id,
            browser: self.browser,
            provider: self.provider,
            subject: self.subject,
            email: self.email,
            request: self.request_id.as_deref().and_then(RequestId::parse),
            expires_at: Timestamp::from_micros(self.expires_at),
        }
    }
}

impl Store {
    /// Who is known there as this subject.
    pub async fn identity(&self, provider: &str, subject: &str) -> Result<Option<Identity>, Fault> {
        const SELECT: &str = "SELECT id, user_id, provider, subject, email, created_at, used_at FROM identities
            WHERE provider = $1 AND subject = $2";
        let row: Option<IdentityRow> =
            on!(self.on(), db => query_as(SELECT).bind(provider).bind(subject).fetch_optional(db).await?);
        row.map(Identity::try_from).transpose()
    }

    /// Those of a user, the oldest first.
    pub async fn identities_of(&self, user: UserId) -> Result<Vec<Identity>, Fault> {
        const SELECT: &str = "SELECT id, user_id, provider, subject, email, created_at, used_at FROM identities
            WHERE user_id = $1 ORDER BY created_at, id";
        let rows: Vec<IdentityRow> = on!(self.on(), db => query_as(SELECT).bind(user.to_string()).fetch_all(db).await?);
        rows.into_iter().map(Identity::try_from).collect()
    }

    /// Remembers whom to expect back.
    pub async fn create_visit(&self, visit: &Visit) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO upstream_visits (state_hash, browser, provider, sealed, expires_at)
            VALUES ($1, $2, $3, $4, $5)";
        on!(self.writing().await?.on(), db => query(INSERT)
            .bind(&visit.state_hash[..])
            .bind(&visit.browser)
            .bind(&visit.provider)
            .bind(&visit.sealed)
            .bind(visit.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Takes the visit away whose state came back: what was sealed for it, or `None` if there is none of this browser at
    /// this provider, or no more.
    ///
    /// Safe to race: of any number of callers one gets it.
    pub async fn take_visit(
        &self,
        state_hash: [u8; 32],
        (browser, provider): (&str, &str),
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, Fault> {
        const DELETE: &str = "DELETE FROM upstream_visits
            WHERE state_hash = $1 AND browser = $2 AND provider = $3 AND expires_at > $4 RETURNING sealed";
        let rows: Vec<(Vec<u8>,)> = on!(self.writing().await?.on(), db => query_as(DELETE)
            .bind(&state_hash[..])
            .bind(browser)
            .bind(provider)
            .bind(now.micros())
            .fetch_all(db)
            .await?);
        Ok(rows.into_iter().next().map(|(sealed,)| sealed))
    }

    /// Remembers an identity that is nobody's.
    pub async fn create_offer(&self, offer: &Offer) -> Result<(), Fault> {
        const INSERT: &str =
            "INSERT INTO identity_offers (id, browser, provider, subject, email, request_id, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        on!(self.writing().await?.on(), db => query(INSERT)
            .bind(offer.id.to_string())
            .bind(&offer.browser)
            .bind(&offer.provider)
            .bind(&offer.subject)
            .bind(&offer.email)
            .bind(offer.request.map(|id| id.to_string()))
            .bind(offer.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// The offer, if it is this browser's and still stands.
    pub async fn offer(&self, id: OfferId, browser: &str, now: Timestamp) -> Result<Option<Offer>, Fault> {
        const SELECT: &str = "SELECT browser, provider, subject, email, request_id, expires_at FROM identity_offers
            WHERE id = $1 AND browser = $2 AND expires_at > $3";
        let row: Option<OfferRow> = on!(self.on(), db => query_as(SELECT)
            .bind(id.to_string()).bind(browser).bind(now.micros()).fetch_optional(db).await?);
        Ok(row.map(|row| row.offer(id)))
    }
}

impl Tx {
    /// `Conflict` if that subject is somebody's already.
    ///
    /// Safe to race: of any number of callers with one subject, one is stored.
    pub async fn insert_identity(&mut self, identity: &Identity) -> Result<Stored, Fault> {
        const INSERT: &str = "INSERT INTO identities (id, user_id, provider, subject, email, created_at, used_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        let rows = on!(self.on(), db => query(INSERT)
            .bind(identity.id.to_string())
            .bind(identity.user.to_string())
            .bind(&identity.provider)
            .bind(&identity.subject)
            .bind(&identity.email)
            .bind(identity.created_at.micros())
            .bind(identity.used_at.map(Timestamp::micros))
            .execute(db)
            .await?
            .rows_affected());
        Ok(Stored::from_rows(rows))
    }

    /// Somebody has signed in by it; `Conflict` if it was taken from them meanwhile. Until this transaction ends, nobody
    /// takes it away.
    pub async fn use_identity(
        &mut self,
        identity: &Identity,
        email: Option<&str>,
        now: Timestamp,
    ) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE identities SET used_at = $3, email = $4 WHERE id = $1 AND user_id = $2";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(identity.id.to_string())
            .bind(identity.user.to_string())
            .bind(now.micros())
            .bind(email)
            .execute(db)
            .await?
            .rows_affected());
        Ok(Stored::from_rows(rows))
    }

    /// Takes one of a user's away: the name of its provider, or `None` if it was not theirs.
    pub async fn delete_identity(&mut self, user: UserId, id: IdentityId) -> Result<Option<String>, Fault> {
        const DELETE: &str = "DELETE FROM identities WHERE id = $1 AND user_id = $2 RETURNING provider";
        let rows: Vec<(String,)> = on!(self.on(), db => query_as(DELETE)
            .bind(id.to_string()).bind(user.to_string()).fetch_all(db).await?);
        Ok(rows.into_iter().next().map(|(provider,)| provider))
    }

    /// Takes those of a user at one provider away; how many there were.
    pub async fn delete_identities_at(&mut self, user: UserId, provider: &str) -> Result<u64, Fault> {
        const DELETE: &str = "DELETE FROM identities WHERE user_id = $1 AND provider = $2";
        Ok(on!(self.on(), db => query(DELETE)
            .bind(user.to_string()).bind(provider).execute(db).await?.rows_affected()))
    }

    pub(super) async fn delete_identities_of(&mut self, user: UserId) -> Result<(), Fault> {
        const DELETE: &str = "DELETE FROM identities WHERE user_id = $1";
        on!(self.on(), db => query(DELETE).bind(user.to_string()).execute(db).await.map(|_| ()))?;
        Ok(())
    }

    /// Whose a subject is.
    pub async fn owner_of(&mut self, provider: &str, subject: &str) -> Result<Option<UserId>, Fault> {
        const SELECT: &str = "SELECT user_id FROM identities WHERE provider = $1 AND subject = $2";
        let row: Option<(String,)> =
            on!(self.on(), db => query_as(SELECT).bind(provider).bind(subject).fetch_optional(db).await?);
        Ok(row.and_then(|(id,)| UserId::parse(&id)))
    }

    /// The providers by which a user can still sign in, one for each identity.
    pub async fn providers_of(&mut self, user: UserId) -> Result<Vec<String>, Fault> {
        const SELECT: &str = "SELECT provider FROM identities WHERE user_id = $1";
        let rows: Vec<(String,)> = on!(self.on(), db => query_as(SELECT).bind(user.to_string()).fetch_all(db).await?);
        Ok(rows.into_iter().map(|(provider,)| provider).collect())
    }

    /// Whether a user can sign in without another provider: by a password or a passkey.
    pub async fn has_own_way_in(&mut self, user: UserId) -> Result<bool, Fault> {
        const SELECT: &str = "SELECT (SELECT COUNT(*) FROM users WHERE id = $1 AND password_hash IS NOT NULL)
                + (SELECT COUNT(*) FROM passkeys WHERE user_id = $1) AS count";
        let (count,): (i64,) = on!(self.on(), db => query_as(SELECT).bind(user.to_string()).fetch_one(db).await?);
        Ok(count > 0)
    }

    /// Spends an offer; `None` if it is another browser's, was spent, or has expired.
    ///
    /// Safe to race: of any number of callers one gets it.
    pub async fn take_offer(&mut self, id: OfferId, browser: &str, now: Timestamp) -> Result<Option<Offer>, Fault> {
        const DELETE: &str = "DELETE FROM identity_offers WHERE id = $1 AND browser = $2 AND expires_at > $3
            RETURNING browser, provider, subject, email, request_id, expires_at";
        let rows: Vec<OfferRow> = on!(self.on(), db => query_as(DELETE)
            .bind(id.to_string()).bind(browser).bind(now.micros()).fetch_all(db).await?);
        Ok(rows.into_iter().next().map(|row| row.offer(id)))
    }
}
