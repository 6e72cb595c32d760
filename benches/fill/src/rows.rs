//! Rows as a year of use would have left them: ninety days of grants, of which most can still be refreshed, some follow
//! a session, some were revoked, and a tenth waits for housekeeping.

use uuid::Uuid;

pub enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    Bytes([u8; 32]),
    Null,
}

/// Rows of one table, in the order of the columns that are named.
pub struct Rows {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Box<dyn Iterator<Item = Vec<Value>> + Send>,
}

/// How much there is of everything.
#[derive(Clone, Copy)]
pub struct Size {
    grants: u64,
    users: u64,
    sessions: u64,
    /// Microseconds since the epoch.
    now: i64,
}

/// The clients are made by the database, as copies of one that is there.
pub const CLIENTS: u64 = 200;
pub const CLIENT_PREFIX: &str = "fill-";

/// Of each user, and so a consent each.
const CLIENTS_OF_A_USER: u64 = 3;

const HOUR: i64 = 3_600 * 1_000_000;
const DAY: i64 = 24 * HOUR;

impl Size {
    pub fn of(grants: u64, now: i64) -> Self {
        Self { grants, users: (grants / 20).max(1), sessions: (grants / 20).max(1), now }
    }

    pub fn tables(self) -> [Rows; 4] {
        [self.users(), self.consents(), self.sessions(), self.grants()]
    }

    fn users(self) -> Rows {
        let row = move |n| {
            let name = format!("fill-user-{n}");
            vec![
                Value::Text(user(n)),
                Value::Text(name.clone()),
                Value::Text(name.clone()),
                Value::Text(format!("{name}@example.org")),
                Value::Text(format!("{name}@example.org")),
                Value::Boolean(true),
                Value::Text("{}".into()),
                Value::Integer(self.now - 90 * DAY),
                Value::Integer(self.now - 90 * DAY),
            ]
        };
        let columns = &[
            "id",
            "username",
            "username_key",
            "email",
            "email_key",
            "email_verified",
            "claims",
            "created_at",
            "updated_at",
        ];
        Rows { table: "users", columns, rows: Box::new((0..self.users).map(row)) }
    }

    fn consents(self) -> Rows {
        let row = move |n: u64| {
            vec![
                Value::Text(user(n / CLIENTS_OF_A_USER)),
                Value::Text(client(n / CLIENTS_OF_A_USER, n % CLIENTS_OF_A_USER)),
                Value::Text(SCOPE.into()),
                Value::Text(SCOPE.into()),
                Value::Integer(self.now - 90 * DAY),
            ]
        };
        let columns = &["user_id", "client_id", "scope", "asked", "granted_at"];
        Rows { table: "consents", columns, rows: Box::new((0..self.users * CLIENTS_OF_A_USER).map(row)) }
    }

    /// Those of the last fourteen days: older ones have ended, and were deleted.
    fn sessions(self) -> Rows {
        let row = move |n: u64| {
            let created = self.now - below(13 * DAY, n, "session age");
            vec![
                Value::Text(session(n)),
                Value::Text(user(n % self.users)),
                Value::Integer(created),
                Value::Text(METHODS.into()),
                Value::Text("Firefox on Linux".into()),
                Value::Integer(created),
                Value::Integer(self.now),
                Value::Integer(self.now + DAY),
                Value::Integer(created + 14 * DAY),
            ]
        };
        let columns = &[
            "id",
            "user_id",
            "authenticated_at",
            "methods",
            "device",
            "created_at",
            "seen_at",
            "idle_expires_at",
            "expires_at",
        ];
        Rows { table: "sessions", columns, rows: Box::new((0..self.sessions).map(row)) }
    }

    fn grants(self) -> Rows {
        let columns = &[
            "id",
            "client_id",
            "user_id",
            "session_id",
            "scope",
            "offline",
            "refreshable",
            "nonce",
            "authenticated_at",
            "methods",
            "redirect_uri",
            "code_hash",
            "code_challenge",
            "code_expires_at",
            "redeemed_at",
            "generation",
            "rotated_at",
            "refresh_expires_at",
            "refresh_key",
            "created_at",
            "ends_at",
            "expires_at",
            "revoked_at",
            "revoked_because",
            "terms",
            "sender_key",
        ];
        Rows { table: "grants", columns, rows: Box::new((0..self.grants).map(move |n| self.grant(n))) }
    }

    fn grant(self, n: u64) -> Vec<Value> {
        // In the order of their making, as their ids tell.
        let span = i128::from(90 * DAY) * i128::from(n) / i128::from(self.grants);
        let created = self.now - 90 * DAY + i64::try_from(span).unwrap_or_default();
        let age = self.now - created;
        let life = Life::of(mix(n, "life") % 100, age);
        let recent = age < 13 * DAY;
        let of_session = mix(n, "session") % self.sessions;
        let of_user = if recent { of_session % self.users } else { mix(n, "user") % self.users };
        let expires = match life {
            Life::Past => created + 12 * HOUR,
            Life::FollowsSession => created + 14 * DAY,
            Life::Active | Life::Revoked => created + 90 * DAY,
        };
        let rotated = match life {
            Life::Past | Life::Revoked => created + HOUR,
            Life::FollowsSession | Life::Active => self.now - below(age.min(13 * DAY), n, "rotated"),
        };
        let offline = !matches!(life, Life::Past | Life::FollowsSession);
        let revoked = matches!(life, Life::Revoked);
        vec![
            Value::Text(grant_id(created, n)),
            Value::Text(client(of_user, mix(n, "client") % CLIENTS_OF_A_USER)),
            Value::Text(user(of_user)),
            Value::Text(if recent { session(of_session) } else { uuid(n, "gone session") }),
            Value::Text(SCOPE.into()),
            Value::Boolean(offline),
            Value::Boolean(true),
            Value::Text(format!("{:022x}", mix(n, "nonce"))),
            Value::Integer(created),
            Value::Text(METHODS.into()),
            Value::Text("https://app.example.com/callback".into()),
            Value::Bytes(bytes(n)),
            Value::Text(format!("{:016x}{:016x}{:011x}", mix(n, "a"), mix(n, "b"), mix(n, "c") >> 20)),
            Value::Integer(created + 60_000_000),
            Value::Integer(created + 1_000_000),
            Value::Integer(1 + i64::try_from(mix(n, "generation") % 200).unwrap_or_default()),
            Value::Integer(rotated),
            Value::Integer((rotated + 14 * DAY).min(expires)),
            Value::Text("fill-key-AAAAAAAAAAAAA".into()),
            Value::Integer(created),
            Value::Integer(expires),
            Value::Integer(expires),
            if revoked { Value::Integer(rotated) } else { Value::Null },
            if revoked { Value::Text("by_client".into()) } else { Value::Null },
            Value::Text("{}".into()),
            Value::Null,
        ]
    }
}

const SCOPE: &str = "notes:read offline_access openid";
const METHODS: &str = r#"["pwd"]"#;

/// What has become of a grant.
enum Life {
    Active,
    FollowsSession,
    Revoked,
    /// Ended, and late enough for housekeeping.
    Past,
}

impl Life {
    fn of(percent: u64, age: i64) -> Self {
        match percent {
            0..10 if age > 3 * DAY => Self::Past,
            10..15 => Self::Revoked,
            15..30 if age < 13 * DAY => Self::FollowsSession,
            _ => Self::Active,
        }
    }
}

fn user(n: u64) -> String {
    uuid(n, "user id")
}

fn session(n: u64) -> String {
    uuid(n, "session id")
}

fn client(user: u64, nth: u64) -> String {
    format!("{CLIENT_PREFIX}{}", (user * 7 + nth) % CLIENTS)
}

fn uuid(n: u64, what: &str) -> String {
    let bytes = (u128::from(mix(n, what)) << 64 | u128::from(mix(n ^ 0x5555, what))).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn grant_id(created: i64, n: u64) -> String {
    let millis = u64::try_from(created / 1_000).unwrap_or_default();
    let random = (u128::from(mix(n, "id")) << 16 | u128::from(n & 0xffff)).to_be_bytes();
    let random = random.last_chunk().copied().unwrap_or([0; 10]);
    let id: Uuid = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    id.to_string()
}

fn bytes(n: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (at, part) in bytes.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&mix(n + at as u64, "hash").to_be_bytes());
    }
    bytes
}

fn below(limit: i64, n: u64, what: &str) -> i64 {
    i64::try_from(mix(n, what) % limit.max(1).unsigned_abs()).unwrap_or_default()
}

/// SplitMix64 over a number and what it is for: the same rows every time.
fn mix(n: u64, what: &str) -> u64 {
    let salt = what
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut z = (n ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_value_for_each_column_and_an_id_of_its_own() {
        for Rows { table, columns, rows } in Size::of(20_000, 1_800_000_000_000_000).tables() {
            let mut ids = HashSet::new();
            for row in rows {
                assert_eq!(row.len(), columns.len(), "{table}");
                let Value::Text(id) = &row[0] else { panic!("{table}") };
                assert!(ids.insert(id.clone()) || table == "consents", "{table}: {id}");
            }
            assert!(!ids.is_empty());
        }
    }

    #[test]
    fn a_tenth_waits_for_housekeeping() {
        let now = 1_800_000_000_000_000;
        let [.., grants] = Size::of(20_000, now).tables();
        let expires = grants.columns.iter().position(|column| *column == "expires_at").unwrap();
        let past = grants.rows.filter(|row| matches!(row[expires], Value::Integer(at) if at < now - DAY)).count();
        assert!((1_600..2_200).contains(&past), "{past}");
    }
}
