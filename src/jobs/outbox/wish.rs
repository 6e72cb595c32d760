//! To ourselves: what somebody asked for who must not learn by waiting what comes of it.

use std::sync::Arc;

use super::{Courier, Outcome};
use crate::account::Accounts;
use crate::store::{Content, Kind, Message};
use crate::types::{Clock, Fault};

pub struct Wishes {
    pub accounts: Accounts,
    pub clock: Arc<dyn Clock>,
}

impl Courier for Wishes {
    const KIND: Kind = Kind::Wish;
    const MOST: usize = 4;

    async fn deliver(&self, message: &Message) -> Result<Outcome, Fault> {
        let Content::Wish(sealed) = &message.content else { return Ok(Outcome::Moot) };
        self.accounts.grant_wish(message, sealed, self.clock.now()).await.map(|()| Outcome::Delivered)
    }
}
