//! A grant that waits for its code.

use sqlx::{PgExecutor, PgPool, SqliteExecutor, query};

use super::super::database::{On, on};
use super::super::writer::{Failed, Job, One, Written, each};
use super::super::{Store, Tx};
use crate::types::{Authentication, ClientId, CodeChallenge, Fault, GrantId, Scope, SessionId, Timestamp, UserId};

/// What the authorization endpoint writes: a grant that waits for its code.
#[derive(Clone, Debug)]
pub struct NewGrant {
    pub id: GrantId,
    pub client: ClientId,
    pub user: UserId,
    pub session: SessionId,
    pub scope: Scope,
    /// Lives on when its session ends.
    pub offline: bool,
    /// Has refresh tokens.
    pub refreshable: bool,
    pub nonce: Option<String>,
    pub authentication: Authentication,
    /// Where the code was sent, letter for letter.
    pub redirect_uri: String,
    /// SHA-256 of the code's secret.
    pub code_hash: [u8; 32],
    pub code_challenge: Option<CodeChallenge>,
    pub created_at: Timestamp,
    pub code_expires_at: Timestamp,
    /// The end of the grant once it is redeemed, whatever is refreshed.
    pub ends_at: Timestamp,
}

impl NewGrant {
    fn methods(&self) -> Result<String, sqlx::Error> {
        serde_json::to_string(&self.authentication.methods).map_err(|error| sqlx::Error::Encode(error.into()))
    }

    fn challenge(&self) -> &str {
        self.code_challenge.as_ref().map_or("", CodeChallenge::as_str)
    }
}

async fn insert<'a, P: PgExecutor<'a>, S: SqliteExecutor<'a>>(
    on: On<P, S>,
    grant: &NewGrant,
) -> Result<(), sqlx::Error> {
    const INSERT: &str = "INSERT INTO grants (id, client_id, user_id, session_id, scope, offline, refreshable, nonce,
            authenticated_at, methods, redirect_uri, code_hash, code_challenge, code_expires_at, expires_at, generation,
            created_at, ends_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, 1, $15, $16)";
    on!(on, db => query(INSERT)
        .bind(grant.id.to_string())
        .bind(grant.client.as_str())
        .bind(grant.user.to_string())
        .bind(grant.session.to_string())
        .bind(grant.scope.as_str())
        .bind(grant.offline)
        .bind(grant.refreshable)
        .bind(&grant.nonce)
        .bind(grant.authentication.at.micros())
        .bind(grant.methods()?)
        .bind(&grant.redirect_uri)
        .bind(&grant.code_hash[..])
        .bind(grant.challenge())
        .bind(grant.code_expires_at.micros())
        .bind(grant.created_at.micros())
        .bind(grant.ends_at.micros())
        .execute(db)
        .await
        .map(|_| ()))
}

impl Job for NewGrant {
    type Done = ();

    /// A crash may lose it: then the code is unknown, and its user, who has not left yet, tries again.
    const FLUSHED: bool = false;

    async fn write_one(&self, on: One<'_>) -> Result<Option<()>, Failed> {
        insert(on, self).await?;
        Ok(Some(()))
    }

    async fn write_many(pool: &PgPool, grants: &[Self]) -> Result<Vec<Written<()>>, Failed> {
        const INSERT_MANY: &str = "INSERT INTO grants (id, client_id, user_id, session_id, scope, offline, refreshable,
                nonce, authenticated_at, methods, redirect_uri, code_hash, code_challenge, code_expires_at, expires_at,
                generation, created_at, ends_at)
            SELECT id, client_id, user_id, session_id, scope, offline, refreshable, nonce, authenticated_at, methods,
                redirect_uri, code_hash, code_challenge, code_expires_at, code_expires_at, 1, created_at, ends_at
            FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::BOOLEAN[], $7::BOOLEAN[],
                    $8::TEXT[], $9::BIGINT[], $10::TEXT[], $11::TEXT[], $12::BYTEA[], $13::TEXT[], $14::BIGINT[],
                    $15::BIGINT[], $16::BIGINT[])
                AS new (id, client_id, user_id, session_id, scope, offline, refreshable, nonce, authenticated_at,
                    methods, redirect_uri, code_hash, code_challenge, code_expires_at, created_at, ends_at)";
        let methods = grants.iter().map(Self::methods).collect::<Result<Vec<_>, _>>()?;
        query(INSERT_MANY)
            .bind(each(grants, |grant| grant.id.to_string()))
            .bind(each(grants, |grant| grant.client.as_str()))
            .bind(each(grants, |grant| grant.user.to_string()))
            .bind(each(grants, |grant| grant.session.to_string()))
            .bind(each(grants, |grant| grant.scope.as_str()))
            .bind(each(grants, |grant| grant.offline))
            .bind(each(grants, |grant| grant.refreshable))
            .bind(each(grants, |grant| grant.nonce.as_deref()))
            .bind(each(grants, |grant| grant.authentication.at.micros()))
            .bind(methods)
            .bind(each(grants, |grant| grant.redirect_uri.as_str()))
            .bind(each(grants, |grant| grant.code_hash))
            .bind(each(grants, Self::challenge))
            .bind(each(grants, |grant| grant.code_expires_at.micros()))
            .bind(each(grants, |grant| grant.created_at.micros()))
            .bind(each(grants, |grant| grant.ends_at.micros()))
            .execute(pool)
            .await?;
        Ok((0..grants.len()).map(|place| (place, Ok(()))).collect())
    }
}

impl Store {
    /// Writes a grant that waits for its code. Every node sees it at once; it is flushed a little later.
    pub async fn create_grant(&self, grant: NewGrant) -> Result<(), Fault> {
        self.write(&self.writers().creations, grant).await?;
        Ok(())
    }
}

impl Tx {
    /// Writes a grant that waits for its code.
    pub async fn create_grant(&mut self, grant: &NewGrant) -> Result<(), Fault> {
        Ok(insert(self.on(), grant).await?)
    }
}
