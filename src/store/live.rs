//! What is dead although its signature is good: held in memory by every node, fed by the change feed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::changes::{Change, Entry};
use crate::types::{ClientId, GrantId, SessionId, Timestamp, TokenId, UserId};

/// Whom and what an access token stands for; what can make it dead before it expires.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    pub token: TokenId,
    pub client: &'a ClientId,
    pub grant: Option<GrantId>,
    /// The session that the token follows; not that of an `offline_access` grant.
    pub session: Option<SessionId>,
    pub user: Option<UserId>,
}

/// What the feed last said of one thing.
struct Mark {
    seq: i64,
    death: Death,
    expires_at: Timestamp,
}

#[derive(Clone, Copy)]
enum Death {
    /// Every token is dead.
    All,
    /// Tokens minted in an earlier millisecond are dead.
    MintedBefore(i64),
}

impl Death {
    fn strikes(self, token: TokenId) -> bool {
        match self {
            Self::All => true,
            Self::MintedBefore(millis) => token.minted_millis() < millis,
        }
    }
}

#[derive(Default)]
struct Marks {
    tokens: HashMap<TokenId, Mark>,
    grants: HashMap<GrantId, Mark>,
    sessions: HashMap<SessionId, Mark>,
    users: HashMap<UserId, Mark>,
    /// Those of them who have left a group; whoever is disabled, too, stays so.
    leavers: HashMap<UserId, Mark>,
    clients: HashMap<ClientId, Mark>,
}

/// The live part of the feed.
pub(super) struct Live {
    marks: RwLock<Marks>,
    /// When the feed was last read and all that it said taken over, in microseconds; `i64::MIN` before the first time.
    read_at: AtomicI64,
}

impl Live {
    pub(super) fn new() -> Self {
        Self { marks: RwLock::default(), read_at: AtomicI64::new(i64::MIN) }
    }

    pub(super) fn was_read(&self, now: Timestamp) {
        self.read_at.store(now.micros(), Ordering::Release);
    }

    /// A clock that was set back counts as stale, too.
    pub(super) fn is_fresh(&self, now: Timestamp, max_staleness: Duration) -> bool {
        let read_at = Timestamp::from_micros(self.read_at.load(Ordering::Acquire));
        read_at <= now && now.since(read_at) <= max_staleness
    }

    pub(super) fn is_dead(&self, bearer: &Bearer<'_>) -> bool {
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        let strikes = |mark: Option<&Mark>| mark.is_some_and(|mark| mark.death.strikes(bearer.token));
        strikes(marks.tokens.get(&bearer.token))
            || strikes(bearer.grant.and_then(|id| marks.grants.get(&id)))
            || strikes(bearer.session.and_then(|id| marks.sessions.get(&id)))
            || strikes(bearer.user.and_then(|id| marks.users.get(&id)))
            || strikes(bearer.user.and_then(|id| marks.leavers.get(&id)))
            || strikes(marks.clients.get(bearer.client))
    }

    pub(super) fn token_is_dead(&self, id: TokenId) -> bool {
        self.marks.read().unwrap_or_else(PoisonError::into_inner).tokens.contains_key(&id)
    }

    pub(super) fn grant_is_dead(&self, id: GrantId) -> bool {
        self.marks.read().unwrap_or_else(PoisonError::into_inner).grants.contains_key(&id)
    }

    pub(super) fn apply(&self, entry: &Entry) {
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        let mark = |death| Mark { seq: entry.seq, death, expires_at: entry.expires_at };
        let before = Death::MintedBefore(entry.at.millis());
        match &entry.change {
            Change::TokenRevoked(id) => put(&mut marks.tokens, *id, mark(Death::All)),
            Change::GrantRevoked(id) => put(&mut marks.grants, *id, mark(Death::All)),
            Change::SessionEnded(id) => put(&mut marks.sessions, *id, mark(Death::All)),
            Change::UserDisabled(id) => put(&mut marks.users, *id, mark(Death::All)),
            Change::UserEnabled(id) => put(&mut marks.users, *id, mark(before)),
            Change::GroupLeft(id) => put(&mut marks.leavers, *id, mark(before)),
            Change::ClientDisabled(id) => put(&mut marks.clients, id.clone(), mark(Death::All)),
            Change::ClientEnabled(id) => put(&mut marks.clients, id.clone(), mark(before)),
            // They kill nothing: they empty caches (`Caches::apply`).
            Change::ClientChanged(_)
            | Change::SessionChanged(_)
            | Change::ConsentWithdrawn(..)
            | Change::BrowserForgotten(_)
            | Change::ApiTokenEnded(_)
            | Change::KeysChanged
            | Change::ResourcesChanged
            | Change::AuthorizationTypesChanged => {}
        }
    }

    /// Drops what no living token can be touched by.
    pub(super) fn forget_expired(&self, now: Timestamp) {
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        marks.tokens.retain(|_, mark| mark.expires_at > now);
        marks.grants.retain(|_, mark| mark.expires_at > now);
        marks.sessions.retain(|_, mark| mark.expires_at > now);
        marks.users.retain(|_, mark| mark.expires_at > now);
        marks.leavers.retain(|_, mark| mark.expires_at > now);
        marks.clients.retain(|_, mark| mark.expires_at > now);
    }
}

/// Later in the feed wins, in whatever order the entries arrive.
fn put<K: Hash + Eq>(map: &mut HashMap<K, Mark>, key: K, mark: Mark) {
    match map.get(&key) {
        Some(known) if known.seq >= mark.seq => {}
        _ => {
            map.insert(key, mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Builder;

    fn token(at: Timestamp) -> TokenId {
        let millis = u64::try_from(at.millis()).unwrap();
        TokenId::new(Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid())
    }

    fn entry(seq: i64, change: Change, at: Timestamp) -> Entry {
        Entry { seq, change, at, expires_at: at.plus(Duration::from_secs(3_600)) }
    }

    #[test]
    fn enabling_a_user_leaves_the_tokens_of_before_dead() {
        let live = Live::new();
        let (client, user) = (ClientId::parse("web").unwrap(), UserId::new(Builder::nil().into_uuid()));
        let bearer = |at| Bearer { token: token(at), client: &client, grant: None, session: None, user: Some(user) };
        let noon = Timestamp::from_secs(43_200);
        let (before, after) = (noon.minus(Duration::from_secs(1)), noon.plus(Duration::from_secs(2)));

        live.apply(&entry(1, Change::UserDisabled(user), noon));
        assert!(live.is_dead(&bearer(before)) && live.is_dead(&bearer(after)));

        live.apply(&entry(2, Change::UserEnabled(user), noon.plus(Duration::from_secs(1))));
        live.apply(&entry(1, Change::UserDisabled(user), noon));
        assert!(live.is_dead(&bearer(before)) && !live.is_dead(&bearer(after)));
    }

    #[test]
    fn a_node_that_has_not_read_the_feed_or_whose_clock_went_back_is_stale() {
        let live = Live::new();
        let (now, limit) = (Timestamp::from_secs(100), Duration::from_secs(3));
        assert!(!live.is_fresh(now, limit));
        live.was_read(now);
        assert!(live.is_fresh(now.plus(limit), limit));
        assert!(!live.is_fresh(now.plus(limit * 2), limit));
        assert!(!live.is_fresh(now.minus(limit), limit));
    }
}
