//! A grant that waits for its code.

use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool, SqliteConnection, SqliteExecutor, SqlitePool, query};

use super::super::database::{On, on};
use super::super::writer::{Failed, Job, Written, all, each, here, json};
use super::super::{Store, Tx};
use super::hex;
use crate::types::{
    Authentication, ClientId, CodeChallenge, Fault, GrantId, Scope, SenderKey, SessionId, Terms, Timestamp, UserId,
};

/// What the authorization endpoint writes: a grant that waits for its code.
#[derive(Clone, Debug)]
pub struct NewGrant {
    pub id: GrantId,
    pub client: ClientId,
    pub user: UserId,
    pub session: SessionId,
    pub scope: Scope,
    pub terms: Terms,
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
    /// Whoever redeems the code must prove possession of it; `None` leaves the choice to the token request.
    pub sender_key: Option<SenderKey>,
    pub created_at: Timestamp,
    pub code_expires_at: Timestamp,
    /// The end of the grant once it is redeemed, whatever is refreshed.
    pub ends_at: Timestamp,
}

/// What the statements bind.
#[derive(Serialize)]
pub struct CreateJob {
    id: String,
    client_id: String,
    user_id: String,
    session_id: String,
    scope: String,
    offline: bool,
    refreshable: bool,
    nonce: Option<String>,
    authenticated_at: i64,
    methods: String,
    redirect_uri: String,
    #[serde(serialize_with = "hex")]
    code_hash: [u8; 32],
    code_challenge: String,
    code_expires_at: i64,
    created_at: i64,
    ends_at: i64,
    terms: String,
    sender_key: Option<String>,
}

impl TryFrom<&NewGrant> for CreateJob {
    type Error = Fault;

    fn try_from(grant: &NewGrant) -> Result<Self, Fault> {
        Ok(Self {
            id: grant.id.to_string(),
            client_id: grant.client.to_string(),
            user_id: grant.user.to_string(),
            session_id: grant.session.to_string(),
            scope: grant.scope.as_str().to_owned(),
            offline: grant.offline,
            refreshable: grant.refreshable,
            nonce: grant.nonce.clone(),
            authenticated_at: grant.authentication.at.micros(),
            methods: serde_json::to_string(&grant.authentication.methods).map_err(Fault::internal)?,
            redirect_uri: grant.redirect_uri.clone(),
            code_hash: grant.code_hash,
            code_challenge: grant.code_challenge.as_ref().map_or("", CodeChallenge::as_str).to_owned(),
            code_expires_at: grant.code_expires_at.micros(),
            created_at: grant.created_at.micros(),
            ends_at: grant.ends_at.micros(),
            terms: serde_json::to_string(&grant.terms).map_err(Fault::internal)?,
            sender_key: grant.sender_key.as_ref().map(SenderKey::to_string),
        })
    }
}

impl CreateJob {
    async fn insert<'a, P: PgExecutor<'a>, S: SqliteExecutor<'a>>(&self, on: On<P, S>) -> Result<(), sqlx::Error> {
        const INSERT: &str =
            "INSERT INTO grants (id, client_id, user_id, session_id, scope, offline, refreshable, nonce,
                authenticated_at, methods, redirect_uri, code_hash, code_challenge, code_expires_at, expires_at,
                generation, created_at, ends_at, terms, sender_key)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, 1, $15, $16, $17, $18)";
        on!(on, db => query(INSERT)
            .bind(&self.id)
            .bind(&self.client_id)
            .bind(&self.user_id)
            .bind(&self.session_id)
            .bind(&self.scope)
            .bind(self.offline)
            .bind(self.refreshable)
            .bind(&self.nonce)
            .bind(self.authenticated_at)
            .bind(&self.methods)
            .bind(&self.redirect_uri)
            .bind(&self.code_hash[..])
            .bind(&self.code_challenge)
            .bind(self.code_expires_at)
            .bind(self.created_at)
            .bind(self.ends_at)
            .bind(&self.terms)
            .bind(&self.sender_key)
            .execute(db)
            .await
            .map(|_| ()))
    }
}

impl Job for CreateJob {
    type Done = ();

    /// A crash may lose it: then the code is unknown, and its user, who has not left yet, tries again.
    const FLUSHED: bool = false;

    fn row(&self) -> &str {
        &self.id
    }

    async fn write_many(line: &mut PgConnection, jobs: &[Self]) -> Result<Vec<Written<()>>, Failed> {
        const INSERT_MANY: &str = "INSERT INTO grants (id, client_id, user_id, session_id, scope, offline, refreshable,
                nonce, authenticated_at, methods, redirect_uri, code_hash, code_challenge, code_expires_at, expires_at,
                generation, created_at, ends_at, terms, sender_key)
            SELECT id, client_id, user_id, session_id, scope, offline, refreshable, nonce, authenticated_at, methods,
                redirect_uri, code_hash, code_challenge, code_expires_at, code_expires_at, 1, created_at, ends_at,
                terms, sender_key
            FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::BOOLEAN[], $7::BOOLEAN[],
                    $8::TEXT[], $9::BIGINT[], $10::TEXT[], $11::TEXT[], $12::BYTEA[], $13::TEXT[], $14::BIGINT[],
                    $15::BIGINT[], $16::BIGINT[], $17::TEXT[], $18::TEXT[])
                AS new (id, client_id, user_id, session_id, scope, offline, refreshable, nonce, authenticated_at,
                    methods, redirect_uri, code_hash, code_challenge, code_expires_at, created_at, ends_at,
                    terms, sender_key)";
        query(INSERT_MANY)
            .bind(each(jobs, |job| job.id.as_str()))
            .bind(each(jobs, |job| job.client_id.as_str()))
            .bind(each(jobs, |job| job.user_id.as_str()))
            .bind(each(jobs, |job| job.session_id.as_str()))
            .bind(each(jobs, |job| job.scope.as_str()))
            .bind(each(jobs, |job| job.offline))
            .bind(each(jobs, |job| job.refreshable))
            .bind(each(jobs, |job| job.nonce.as_deref()))
            .bind(each(jobs, |job| job.authenticated_at))
            .bind(each(jobs, |job| job.methods.as_str()))
            .bind(each(jobs, |job| job.redirect_uri.as_str()))
            .bind(each(jobs, |job| job.code_hash))
            .bind(each(jobs, |job| job.code_challenge.as_str()))
            .bind(each(jobs, |job| job.code_expires_at))
            .bind(each(jobs, |job| job.created_at))
            .bind(each(jobs, |job| job.ends_at))
            .bind(each(jobs, |job| job.terms.as_str()))
            .bind(each(jobs, |job| job.sender_key.as_deref()))
            .execute(line)
            .await?;
        Ok(all(jobs))
    }

    async fn write_one(&self, pool: &PgPool) -> Result<Option<()>, Failed> {
        self.insert(On::<_, &SqlitePool>::Postgres(pool)).await?;
        Ok(Some(()))
    }

    async fn write_here(line: &mut SqliteConnection, jobs: &[Self]) -> Result<Vec<Written<()>>, Failed> {
        const INSERT_HERE: &str = "INSERT INTO grants (id, client_id, user_id, session_id, scope, offline, refreshable,
                nonce, authenticated_at, methods, redirect_uri, code_hash, code_challenge, code_expires_at, expires_at,
                generation, created_at, ends_at, terms, sender_key)
            SELECT value ->> 'id', value ->> 'client_id', value ->> 'user_id', value ->> 'session_id',
                value ->> 'scope', value ->> 'offline', value ->> 'refreshable', value ->> 'nonce',
                value ->> 'authenticated_at', value ->> 'methods', value ->> 'redirect_uri',
                unhex(value ->> 'code_hash'), value ->> 'code_challenge', value ->> 'code_expires_at',
                value ->> 'code_expires_at', 1, value ->> 'created_at', value ->> 'ends_at',
                value ->> 'terms', value ->> 'sender_key'
            FROM jsonb_each($1)";
        query(here::<Self>(INSERT_HERE)).bind(json(jobs)?).execute(line).await?;
        Ok(all(jobs))
    }
}

impl Store {
    /// Writes a grant that waits for its code. Every node sees it at once; it is flushed a little later.
    pub async fn create_grant(&self, grant: &NewGrant) -> Result<(), Fault> {
        self.write(&self.writers().creations, CreateJob::try_from(grant)?).await?;
        Ok(())
    }
}

impl Tx {
    /// Writes a grant that waits for its code.
    pub async fn create_grant(&mut self, grant: &NewGrant) -> Result<(), Fault> {
        Ok(CreateJob::try_from(grant)?.insert(self.on()).await?)
    }
}
