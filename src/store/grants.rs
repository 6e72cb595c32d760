//! Grants: one row each, from pending code to the end (docs/architecture.md, "A grant is one row").
//!
//! Every transition is one conditional statement, whose WHERE holds all that must be true. Nothing here reads,
//! decides and then writes; a row is read afterwards only to say why a statement matched nothing.

use std::time::Duration;

use sqlx::{PgExecutor, SqliteExecutor, query, query_as};

use super::changes::Change;
use super::database::{On, on, row};
use super::{Store, Tx};
use crate::types::{
    Authentication, ClientId, CodeChallenge, Fault, GrantId, Scope, SessionId, Timestamp, TokenId, UserId,
};

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

/// An active grant, as tokens are made of it.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: GrantId,
    pub client: ClientId,
    pub user: UserId,
    pub session: SessionId,
    pub scope: Scope,
    pub offline: bool,
    pub refreshable: bool,
    pub nonce: Option<String>,
    pub authentication: Authentication,
    /// The refresh token in force is of this generation.
    pub generation: i64,
    /// When it came to be: the refresh token's `iat`.
    pub rotated_at: Timestamp,
    /// The refresh token's `exp`.
    pub refresh_expires_at: Timestamp,
    /// The key that signs it, so that the same generation is always the same string.
    pub refresh_key: String,
    pub expires_at: Timestamp,
}

/// What a client presents at the token endpoint to redeem a code.
pub struct Redeem<'a> {
    pub grant: GrantId,
    pub code_hash: [u8; 32],
    pub client: &'a ClientId,
    /// The S256 challenge that the sent verifier fits; empty when none was sent.
    pub code_challenge: &'a str,
    /// `None` when it was left out (OAuth 2.1 §4.1.3).
    pub redirect_uri: Option<&'a str>,
}

/// What the next refresh token of a grant will be.
pub struct RefreshTerms<'a> {
    pub idle_lifetime: Duration,
    pub key: &'a str,
    /// How long the previous generation may be presented again.
    pub retry_window: Duration,
}

/// What became of a code.
#[derive(Debug)]
pub enum Redemption {
    Redeemed(Box<Grant>),
    /// There is such a code of this client, but the statement did not match: why is for the caller to say.
    Refused(RefusedCode),
    /// No such code, or another client's.
    Unknown,
}

/// A code that the statement did not take, presented by its own client with its own secret.
#[derive(Debug)]
pub struct RefusedCode {
    pub code_challenge: String,
    pub redirect_uri: String,
    pub expires_at: Timestamp,
    pub redeemed_at: Option<Timestamp>,
}

/// What a verified refresh token says.
pub struct Presented<'a> {
    pub grant: GrantId,
    pub generation: i64,
    pub client: &'a ClientId,
}

/// What became of a refresh token.
#[derive(Debug)]
pub enum Rotation {
    Rotated(Box<Grant>),
    /// The previous generation, soon enough, its successor unused: the same successor again.
    Repeated(Box<Grant>),
    /// A generation that is past: one of its two holders is a thief.
    Reused,
    /// No such grant, another client's, ended, or a generation that never was.
    Unknown,
}

/// Why a grant was revoked, for whoever reads the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    CodeReplay,
    RefreshReuse,
    ByClient,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::CodeReplay => "code_replay",
            Self::RefreshReuse => "refresh_reuse",
            Self::ByClient => "by_client",
        }
    }
}

row!(
    struct GrantRow {
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
        generation: i64,
        rotated_at: i64,
        refresh_expires_at: i64,
        refresh_key: String,
        expires_at: i64,
    }
);

impl TryFrom<GrantRow> for Grant {
    type Error = Fault;

    fn try_from(row: GrantRow) -> Result<Self, Fault> {
        let broken = || Fault::because("a stored grant has an id that is not a UUID");
        Ok(Self {
            id: GrantId::parse(&row.id).ok_or_else(broken)?,
            client: row.client_id.parse().map_err(Fault::because)?,
            user: UserId::parse(&row.user_id).ok_or_else(broken)?,
            session: SessionId::parse(&row.session_id).ok_or_else(broken)?,
            scope: Scope::from(row.scope),
            offline: row.offline,
            refreshable: row.refreshable,
            nonce: row.nonce,
            authentication: Authentication {
                at: Timestamp::from_micros(row.authenticated_at),
                methods: serde_json::from_str(&row.methods).map_err(Fault::internal)?,
            },
            generation: row.generation,
            rotated_at: Timestamp::from_micros(row.rotated_at),
            refresh_expires_at: Timestamp::from_micros(row.refresh_expires_at),
            refresh_key: row.refresh_key,
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

row!(
    struct CodeRow {
        code_challenge: String,
        redirect_uri: String,
        code_expires_at: i64,
        redeemed_at: Option<i64>,
    }
);

async fn insert<'a, P: PgExecutor<'a>, S: SqliteExecutor<'a>>(on: On<P, S>, grant: &NewGrant) -> Result<(), Fault> {
    const INSERT: &str = "INSERT INTO grants (id, client_id, user_id, session_id, scope, offline, refreshable, nonce,
            authenticated_at, methods, redirect_uri, code_hash, code_challenge, code_expires_at, expires_at, generation,
            created_at, ends_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, 1, $15, $16)";
    let methods = serde_json::to_string(&grant.authentication.methods).map_err(Fault::internal)?;
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
        .bind(methods)
        .bind(&grant.redirect_uri)
        .bind(&grant.code_hash[..])
        .bind(grant.code_challenge.as_ref().map_or("", CodeChallenge::as_str))
        .bind(grant.code_expires_at.micros())
        .bind(grant.created_at.micros())
        .bind(grant.ends_at.micros())
        .execute(db)
        .await
        .map(|_| ()))?;
    Ok(())
}

impl Store {
    /// Writes a grant that waits for its code.
    pub async fn create_grant(&self, grant: &NewGrant) -> Result<(), Fault> {
        insert(self.on(), grant).await
    }

    /// Redeems a code, if everything about it is right and all that it hangs on still lives.
    ///
    /// Safe to race: of any number of callers with one code, one gets `Redeemed`.
    pub async fn redeem(
        &self,
        code: &Redeem<'_>,
        terms: &RefreshTerms<'_>,
        now: Timestamp,
    ) -> Result<Redemption, Fault> {
        const REDEEM: &str =
            "UPDATE grants SET redeemed_at = $6, rotated_at = $6, refresh_key = $7, expires_at = ends_at,
                refresh_expires_at = CASE WHEN $8 < ends_at THEN $8 ELSE ends_at END
            WHERE id = $1 AND code_hash = $2 AND client_id = $3 AND code_challenge = $4
              AND redirect_uri = COALESCE($5, redirect_uri)
              AND redeemed_at IS NULL AND revoked_at IS NULL AND code_expires_at > $6
              AND EXISTS (SELECT 1 FROM sessions s WHERE s.id = grants.session_id AND s.ended_at IS NULL
                          AND s.idle_expires_at > $6 AND s.expires_at > $6)
              AND EXISTS (SELECT 1 FROM users u WHERE u.id = grants.user_id AND u.disabled_at IS NULL)
              AND EXISTS (SELECT 1 FROM clients c WHERE c.id = grants.client_id AND c.disabled_at IS NULL)
              AND EXISTS (SELECT 1 FROM consents o WHERE o.user_id = grants.user_id AND o.client_id = grants.client_id)
            RETURNING id, client_id, user_id, session_id, scope, offline, refreshable, nonce, authenticated_at, methods,
                generation, rotated_at, refresh_expires_at, refresh_key, expires_at";
        let rows: Vec<GrantRow> = on!(self.on(), db => query_as(REDEEM)
            .bind(code.grant.to_string())
            .bind(&code.code_hash[..])
            .bind(code.client.as_str())
            .bind(code.code_challenge)
            .bind(code.redirect_uri)
            .bind(now.micros())
            .bind(terms.key)
            .bind(now.plus(terms.idle_lifetime).micros())
            .fetch_all(db)
            .await?);
        match rows.into_iter().next() {
            Some(row) => Ok(Redemption::Redeemed(Box::new(row.try_into()?))),
            None => self.why_not_redeemed(code).await,
        }
    }

    async fn why_not_redeemed(&self, code: &Redeem<'_>) -> Result<Redemption, Fault> {
        // The hash of a 256-bit secret is found or not: what the comparison takes tells nothing that helps.
        const SELECT: &str = "SELECT code_challenge, redirect_uri, code_expires_at, redeemed_at FROM grants
            WHERE id = $1 AND code_hash = $2 AND client_id = $3";
        let row: Option<CodeRow> = on!(self.on(), db => query_as(SELECT)
            .bind(code.grant.to_string())
            .bind(&code.code_hash[..])
            .bind(code.client.as_str())
            .fetch_optional(db)
            .await?);
        Ok(row.map_or(Redemption::Unknown, |row| {
            Redemption::Refused(RefusedCode {
                code_challenge: row.code_challenge,
                redirect_uri: row.redirect_uri,
                expires_at: Timestamp::from_micros(row.code_expires_at),
                redeemed_at: row.redeemed_at.map(Timestamp::from_micros),
            })
        }))
    }

    /// Moves the grant to its next generation, if `presented` is its current one.
    ///
    /// Safe to race: of any number of callers with one generation, one gets `Rotated`, and the others `Repeated`
    /// (within the retry window, the successor unused) or `Reused`.
    pub async fn rotate(
        &self,
        presented: &Presented<'_>,
        terms: &RefreshTerms<'_>,
        now: Timestamp,
    ) -> Result<Rotation, Fault> {
        const ROTATE: &str = "UPDATE grants SET generation = generation + 1, rotated_at = $4, refresh_key = $5,
                refresh_expires_at = CASE WHEN $6 < expires_at THEN $6 ELSE expires_at END
            WHERE id = $1 AND generation = $2 AND client_id = $3 AND refreshable
              AND redeemed_at IS NOT NULL AND revoked_at IS NULL AND expires_at > $4 AND refresh_expires_at > $4
              AND (offline OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = grants.session_id AND s.ended_at IS NULL
                          AND s.idle_expires_at > $4 AND s.expires_at > $4))
              AND EXISTS (SELECT 1 FROM users u WHERE u.id = grants.user_id AND u.disabled_at IS NULL)
              AND EXISTS (SELECT 1 FROM clients c WHERE c.id = grants.client_id AND c.disabled_at IS NULL)
              AND EXISTS (SELECT 1 FROM consents o WHERE o.user_id = grants.user_id AND o.client_id = grants.client_id)
            RETURNING id, client_id, user_id, session_id, scope, offline, refreshable, nonce, authenticated_at, methods,
                generation, rotated_at, refresh_expires_at, refresh_key, expires_at";
        let rows: Vec<GrantRow> = on!(self.on(), db => query_as(ROTATE)
            .bind(presented.grant.to_string())
            .bind(presented.generation)
            .bind(presented.client.as_str())
            .bind(now.micros())
            .bind(terms.key)
            .bind(now.plus(terms.idle_lifetime).micros())
            .fetch_all(db)
            .await?);
        match rows.into_iter().next() {
            Some(row) => Ok(Rotation::Rotated(Box::new(row.try_into()?))),
            None => self.why_not_rotated(presented, terms.retry_window, now).await,
        }
    }

    async fn why_not_rotated(
        &self,
        presented: &Presented<'_>,
        retry_window: Duration,
        now: Timestamp,
    ) -> Result<Rotation, Fault> {
        let grant = self.living_grant(presented.grant, now).await?.filter(|grant| grant.client == *presented.client);
        let Some(grant) = grant else { return Ok(Rotation::Unknown) };
        if presented.generation >= grant.generation {
            // Its own generation, and yet not taken: what it hangs on has ended. Or one that was never issued.
            return Ok(Rotation::Unknown);
        }
        let is_previous = presented.generation == grant.generation - 1;
        if is_previous && now.since(grant.rotated_at) <= retry_window {
            return Ok(Rotation::Repeated(Box::new(grant)));
        }
        Ok(Rotation::Reused)
    }

    /// A redeemed grant that has neither ended nor been revoked, and whose session lives if it follows one: a session
    /// may have expired before housekeeping ends it.
    pub async fn living_grant(&self, id: GrantId, now: Timestamp) -> Result<Option<Grant>, Fault> {
        const SELECT: &str = "SELECT id, client_id, user_id, session_id, scope, offline, refreshable, nonce,
                authenticated_at, methods, generation, rotated_at, refresh_expires_at, refresh_key, expires_at
            FROM grants WHERE id = $1 AND redeemed_at IS NOT NULL AND revoked_at IS NULL AND expires_at > $2
              AND (offline OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = grants.session_id AND s.ended_at IS NULL
                          AND s.idle_expires_at > $2 AND s.expires_at > $2))";
        let row: Option<GrantRow> = on!(self.on(), db => query_as(SELECT)
            .bind(id.to_string()).bind(now.micros()).fetch_optional(db).await?);
        row.map(Grant::try_from).transpose()
    }

    /// Revokes a grant and everything issued from it, durably before it returns.
    pub async fn revoke_grant(&self, id: GrantId, because: Reason, now: Timestamp) -> Result<(), Fault> {
        let mut tx = self.begin().await?;
        tx.revoke_grant(id, because, now).await?;
        tx.commit().await
    }

    /// Revokes one access token, durably before it returns.
    pub async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<(), Fault> {
        // What is known here is durable, and need not be written again however often it is asked for.
        if self.live().token_is_dead(id) {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        tx.record(Change::TokenRevoked(id), now).await?;
        tx.commit().await
    }
}

impl Tx {
    /// Writes a grant that waits for its code.
    pub async fn create_grant(&mut self, grant: &NewGrant) -> Result<(), Fault> {
        insert(self.on(), grant).await
    }

    pub async fn revoke_grant(&mut self, id: GrantId, because: Reason, now: Timestamp) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE grants SET revoked_at = $2, revoked_because = $3
            WHERE id = $1 AND revoked_at IS NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string())
            .bind(now.micros())
            .bind(because.as_str())
            .execute(db)
            .await?
            .rows_affected());
        if rows == 1 {
            self.record(Change::GrantRevoked(id), now).await?;
        }
        Ok(())
    }
}
