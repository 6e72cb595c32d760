//! What this node remembers, and which change makes it forget what.

use std::sync::Arc;

use super::cache::{Bounded, Cache, Snapshot};
use super::changes::Change;
use super::{BrowserRecord, Consent, Origins};
use crate::types::{ApiToken, AuthorizationTypes, Client, ClientId, Resources, Session, SessionId, UserId};

/// What this node remembers of the database. `apply` says which change empties what.
pub(super) struct Caches {
    pub clients: Cache<Snapshot<ClientId, Arc<Client>>>,
    pub origins: Cache<Snapshot<(), Arc<Origins>>>,
    pub resources: Cache<Snapshot<(), Arc<Resources>>>,
    pub authorization_types: Cache<Snapshot<(), Arc<AuthorizationTypes>>>,
    pub browsers: Cache<Bounded<[u8; 32], Arc<BrowserRecord>>>,
    pub sessions: Cache<Bounded<SessionId, Session>>,
    pub consents: Cache<Bounded<(UserId, ClientId), Consent>>,
    pub api_tokens: Cache<Bounded<[u8; 32], Arc<ApiToken>>>,
}

impl Caches {
    pub(super) fn new() -> Self {
        Self {
            clients: Cache::new(Snapshot::new()),
            origins: Cache::new(Snapshot::new()),
            resources: Cache::new(Snapshot::new()),
            authorization_types: Cache::new(Snapshot::new()),
            browsers: Cache::new(Bounded::new(10_000)),
            sessions: Cache::new(Bounded::new(10_000)),
            consents: Cache::new(Bounded::new(10_000)),
            api_tokens: Cache::new(Bounded::new(10_000)),
        }
    }

    pub(super) fn apply(&self, change: &Change) {
        match change {
            Change::ClientChanged(id) | Change::ClientEnabled(id) | Change::ClientDisabled(id) => {
                self.clients.forget(id);
                self.origins.forget(&());
                // Deleted with it, perhaps. It happens so rarely that nobody is kept apart.
                self.consents.forget_all();
                self.api_tokens.forget_all();
            }
            Change::UserDisabled(_) | Change::UserEnabled(_) => {
                self.sessions.forget_all();
                self.consents.forget_all();
                self.api_tokens.forget_all();
            }
            Change::SessionEnded(id) | Change::SessionChanged(id) => self.sessions.forget(id),
            Change::ConsentWithdrawn(user, client) => self.consents.forget(&(*user, client.clone())),
            Change::BrowserForgotten(hash) => self.browsers.forget(hash),
            Change::ApiTokenEnded(hash) => self.api_tokens.forget(hash),
            Change::ResourcesChanged => self.resources.forget(&()),
            Change::AuthorizationTypesChanged => self.authorization_types.forget(&()),
            Change::TokenRevoked(_) | Change::GrantRevoked(_) | Change::GroupLeft(_) | Change::KeysChanged => {}
        }
    }

    pub(super) fn forget_all(&self) {
        self.clients.forget_all();
        self.origins.forget_all();
        self.resources.forget_all();
        self.authorization_types.forget_all();
        self.browsers.forget_all();
        self.sessions.forget_all();
        self.consents.forget_all();
        self.api_tokens.forget_all();
    }
}
