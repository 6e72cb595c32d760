//! Personal access tokens: what people make for their own scripts, and end again.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::Accounts;
use super::letters::Letter;
use crate::crypto::{api_token, random, sha256};
use crate::store::Stored;
use crate::types::{ApiToken, Event, EventKind, Fault, Holder, Scope, Timestamp, TokenId, User};

/// What somebody wants to have one for.
pub struct NewToken {
    pub name: String,
    pub scope: Scope,
    pub lifetime: Duration,
}

/// What came of it.
pub enum Made {
    /// It is shown this once.
    Token(SecretString),
    /// They have as many as they may have.
    TooMany,
    /// They were disabled meanwhile.
    Gone,
}

impl Accounts {
    /// What somebody may give to a token of theirs.
    pub fn personal_scope(&self, user: &User) -> Scope {
        self.config.scopes.allowed_in(&user.memberships.groups, &self.config.personal_tokens.scope)
    }

    /// Makes a token of what is wanted, as far as its maker may have it; with at most the longest life.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn make_token(&self, user: &User, wanted: NewToken, now: Timestamp) -> Result<Made, Fault> {
        let settings = &self.config.personal_tokens;
        let scope = wanted.scope.intersection(&self.personal_scope(user));
        let resources = self.store.resources().await?;
        let holder = Holder::User(user.id);
        let secret = api_token::make(holder.prefix(), &*self.rng);
        let token = ApiToken {
            id: TokenId::new(random::uuid_v7(&*self.rng, now)),
            audience: resources.audience(&scope, self.config.server.issuer.as_str()),
            holder,
            name: wanted.name,
            scope,
            created_at: now,
            expires_at: now.plus(wanted.lifetime.min(settings.max_lifetime)),
            used_at: None,
        };
        let mut tx = self.store.begin().await?;
        // Of two who each make the last one, the second sees what the first has made.
        if tx.confirm_user(user.id).await? == Stored::Conflict {
            return Ok(Made::Gone);
        }
        if tx.count_api_tokens(user.id, now).await? >= i64::from(settings.most) {
            return Ok(Made::TooMany);
        }
        tx.insert_api_token(&token, &sha256(secret.expose_secret().as_bytes())).await?;
        // ASVS 6.3.7
        let letter = Letter::TokenMade { account: user.username.clone(), name: token.name.clone(), at: now };
        self.tell(&mut tx, user, letter, now).await?;
        tx.log(Event::new(user.id, EventKind::TokenMade, now).about(token.name)).await?;
        tx.commit().await?;
        Ok(Made::Token(secret))
    }

    /// Ends one of somebody's tokens; `false` if it is not theirs.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_token(&self, user: &User, id: TokenId, now: Timestamp) -> Result<bool, Fault> {
        let mut tx = self.store.begin().await?;
        let ended = tx.delete_api_token(id, Some(&Holder::User(user.id)), now).await? == Stored::Stored;
        if ended {
            tx.log(Event::new(user.id, EventKind::TokenEnded, now)).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }
}
