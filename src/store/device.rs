//! Devices that wait for a person at another screen (RFC 8628). What the person allows becomes a row of `grants` under
//! the same id, which the device redeems like any code.

use std::time::Duration;

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{AuthorizationDetails, ClientId, Fault, GrantId, Scope, Timestamp};

/// What a device asked for: a row of `device_requests`.
#[derive(Clone, Debug)]
pub struct DeviceRequest {
    /// That of the grant that it becomes.
    pub id: GrantId,
    pub client: ClientId,
    pub code_hash: [u8; 32],
    pub scope: Scope,
    /// Where its tokens may be used (RFC 8707).
    pub resources: Vec<String>,
    /// What it asked for in particular (RFC 9396).
    pub details: AuthorizationDetails,
    /// Where it asked from.
    pub address: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What the device authorization endpoint writes.
pub struct NewDevice {
    pub request: DeviceRequest,
    pub user_code_hash: [u8; 32],
    /// How long it has to wait between two polls.
    pub pace: Duration,
}

/// A device asks whether its person has decided.
pub struct Poll<'a> {
    pub id: GrantId,
    pub code_hash: [u8; 32],
    pub client: &'a ClientId,
    /// What its pace grows by if it asks too soon.
    pub step: Duration,
}

/// What it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    Waiting,
    /// Sooner than its pace allows, which has grown.
    TooSoon,
    Allowed,
    Denied,
    Expired,
    /// No such code, or another client's.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allowed,
    Denied,
}

/// By how much a poll may come too soon: networks are not even.
const LEEWAY: Duration = Duration::from_secs(1);

row!(
    struct DeviceRow {
        id: String,
        client_id: String,
        code_hash: Vec<u8>,
        scope: String,
        resources: String,
        details: String,
        address: Option<String>,
        created_at: i64,
        expires_at: i64,
    }
);

row!(
    struct PollRow {
        hurried: bool,
        allowed_at: Option<i64>,
        denied_at: Option<i64>,
        expires_at: i64,
    }
);

impl TryFrom<DeviceRow> for DeviceRequest {
    type Error = Fault;

    fn try_from(row: DeviceRow) -> Result<Self, Fault> {
        Ok(Self {
            id: GrantId::parse(&row.id).ok_or_else(|| Fault::because("a stored device has an id that is no UUID"))?,
            client: row.client_id.parse().map_err(Fault::because)?,
            code_hash: row.code_hash.try_into().map_err(|_| Fault::because("a stored code hash has not 32 bytes"))?,
            scope: Scope::from(row.scope),
            resources: serde_json::from_str(&row.resources).map_err(Fault::internal)?,
            details: serde_json::from_str(&row.details).map_err(Fault::internal)?,
            address: row.address,
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

impl Store {
    /// `false` if the user code is taken, by however old a request.
    pub async fn create_device(&self, device: &NewDevice) -> Result<bool, Fault> {
        const INSERT: &str = "INSERT INTO device_requests (id, client_id, code_hash, user_code_hash, scope, address,
                browser, pace, next_poll_at, hurried, created_at, expires_at, resources, details)
            VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, FALSE, $8, $9, $10, $11) ON CONFLICT DO NOTHING";
        let request = &device.request;
        let rows = on!(self.writing().await?.on(), db => query(INSERT)
            .bind(request.id.to_string())
            .bind(request.client.as_str())
            .bind(&request.code_hash[..])
            .bind(&device.user_code_hash[..])
            .bind(request.scope.as_str())
            .bind(&request.address)
            .bind(micros(device.pace))
            .bind(request.created_at.micros())
            .bind(request.expires_at.micros())
            .bind(serde_json::to_string(&request.resources).map_err(Fault::internal)?)
            .bind(serde_json::to_string(&request.details).map_err(Fault::internal)?)
            .execute(db)
            .await?
            .rows_affected());
        Ok(rows == 1)
    }

    /// Notes that a device asked, and tells what there is to tell.
    pub async fn poll_device(&self, poll: &Poll<'_>, now: Timestamp) -> Result<Polled, Fault> {
        const UPDATE: &str = "UPDATE device_requests SET hurried = (next_poll_at > $4),
                pace = CASE WHEN next_poll_at > $4 THEN pace + $5 ELSE pace END,
                next_poll_at = $6 + CASE WHEN next_poll_at > $4 THEN pace + $5 ELSE pace END
            WHERE id = $1 AND code_hash = $2 AND client_id = $3
            RETURNING hurried, allowed_at, denied_at, expires_at";
        let rows: Vec<PollRow> = on!(self.writing().await?.on(), db => query_as(UPDATE)
            .bind(poll.id.to_string())
            .bind(&poll.code_hash[..])
            .bind(poll.client.as_str())
            .bind(now.plus(LEEWAY).micros())
            .bind(micros(poll.step))
            .bind(now.micros())
            .fetch_all(db)
            .await?);
        Ok(match rows.first() {
            None => Polled::Unknown,
            Some(row) if row.allowed_at.is_some() => Polled::Allowed,
            Some(row) if row.denied_at.is_some() => Polled::Denied,
            Some(row) if row.expires_at <= now.micros() => Polled::Expired,
            Some(row) if row.hurried => Polled::TooSoon,
            Some(_) => Polled::Waiting,
        })
    }

    /// Gives a device that waits to the browser in which its code was entered, unless another browser has it.
    ///
    /// Safe to race: of any number of browsers one gets it.
    pub async fn enter_device_code(
        &self,
        user_code_hash: [u8; 32],
        browser: &str,
        now: Timestamp,
    ) -> Result<Option<DeviceRequest>, Fault> {
        const UPDATE: &str = "UPDATE device_requests SET browser = $2
            WHERE user_code_hash = $1 AND (browser = '' OR browser = $2)
              AND allowed_at IS NULL AND denied_at IS NULL AND expires_at > $3
            RETURNING id, client_id, code_hash, scope, resources, details, address, created_at, expires_at";
        let rows: Vec<DeviceRow> = on!(self.writing().await?.on(), db => query_as(UPDATE)
            .bind(&user_code_hash[..])
            .bind(browser)
            .bind(now.micros())
            .fetch_all(db)
            .await?);
        rows.into_iter().next().map(DeviceRequest::try_from).transpose()
    }

    /// A device that waits for an answer from this browser.
    pub async fn device(&self, id: GrantId, browser: &str, now: Timestamp) -> Result<Option<DeviceRequest>, Fault> {
        const SELECT: &str =
            "SELECT id, client_id, code_hash, scope, resources, details, address, created_at, expires_at
            FROM device_requests WHERE id = $1 AND browser = $2 AND browser <> ''
              AND allowed_at IS NULL AND denied_at IS NULL AND expires_at > $3";
        let row: Option<DeviceRow> = on!(self.on(), db => query_as(SELECT)
            .bind(id.to_string())
            .bind(browser)
            .bind(now.micros())
            .fetch_optional(db)
            .await?);
        row.map(DeviceRequest::try_from).transpose()
    }

    /// Counts one more attempt in `bucket`, if there were fewer than `most` since it was last empty; it is empty again at
    /// `until` the latest.
    ///
    /// Safe to race: of any number of callers no more than `most` get `true`.
    pub async fn take_attempt(&self, bucket: &str, most: u32, until: Timestamp, now: Timestamp) -> Result<bool, Fault> {
        const UPSERT: &str = "INSERT INTO device_attempts (bucket, made, expires_at) VALUES ($1, 1, $3)
            ON CONFLICT (bucket) DO UPDATE SET
                made = CASE WHEN device_attempts.expires_at <= $4 THEN 1 ELSE device_attempts.made + 1 END,
                expires_at = CASE WHEN device_attempts.expires_at <= $4 THEN $3 ELSE device_attempts.expires_at END
            WHERE device_attempts.expires_at <= $4 OR device_attempts.made < $2";
        let rows = on!(self.writing().await?.on(), db => query(UPSERT)
            .bind(bucket)
            .bind(i64::from(most))
            .bind(until.micros())
            .bind(now.micros())
            .execute(db)
            .await?
            .rows_affected());
        Ok(rows == 1)
    }

    /// An attempt that succeeded does not count.
    pub async fn return_attempt(&self, bucket: &str) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE device_attempts SET made = made - 1 WHERE bucket = $1 AND made > 0";
        on!(self.writing().await?.on(), db => query(UPDATE).bind(bucket).execute(db).await.map(|_| ()))?;
        Ok(())
    }
}

impl Tx {
    /// Writes what the person decided; `false` if it was decided before, has expired, or is another browser's.
    ///
    /// Safe to race: of any number of callers one decides.
    pub async fn decide_device(
        &mut self,
        id: GrantId,
        browser: &str,
        decision: Decision,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        const ALLOW: &str = "UPDATE device_requests SET allowed_at = $3
            WHERE id = $1 AND browser = $2 AND allowed_at IS NULL AND denied_at IS NULL AND expires_at > $3";
        const DENY: &str = "UPDATE device_requests SET denied_at = $3
            WHERE id = $1 AND browser = $2 AND allowed_at IS NULL AND denied_at IS NULL AND expires_at > $3";
        let statement = match decision {
            Decision::Allowed => ALLOW,
            Decision::Denied => DENY,
        };
        let rows = on!(self.on(), db => query(statement)
            .bind(id.to_string())
            .bind(browser)
            .bind(now.micros())
            .execute(db)
            .await?
            .rows_affected());
        Ok(rows == 1)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
