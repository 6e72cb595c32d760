//! Delivers what waits in the outbox (`store/outbox.rs`): from any node, once in the normal case, and again until it
//! has arrived or is of no use any more. Each kind has a courier of its own, so that a mail server that stalls keeps no
//! logout waiting.
//!
//! | file | what |
//! |---|---|
//! | `logout` | to relying parties: a session has ended |
//! | `mail` | to people, by mail |
//! | `wish` | to ourselves: what somebody asked for who must not learn by waiting what comes of it |

mod logout;
mod mail;
mod wish;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

pub use logout::Logouts;
pub use mail::Mails;
pub use wish::Wishes;

use crate::store::{Kind, Message, Store};
use crate::types::{Clock, Fault};

/// How often it is looked for what another process has put in, or what is due again.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long nobody else tries a message that somebody has taken: longer than any attempt lasts.
const LEASE: Duration = Duration::from_secs(120);

/// Before the second attempt; four times as long before each further one.
const FIRST_DELAY: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(3_600);

/// Delivers the messages of one kind.
pub trait Courier: Send + Sync + 'static {
    const KIND: Kind;
    /// How many one node delivers at once.
    const MOST: usize;

    /// One attempt.
    fn deliver(&self, message: &Message) -> impl Future<Output = Result<Outcome, Fault>> + Send;
}

/// What came of one attempt.
pub enum Outcome {
    Delivered,
    /// Nobody is to be told any more.
    Moot,
    /// The answer was no, and would be no again.
    Refused(String),
    /// It may go better later.
    Failed(String),
}

struct Outbox<C> {
    store: Store,
    clock: Arc<dyn Clock>,
    courier: C,
}

/// Delivers for ever.
pub async fn run(store: Store, clock: Arc<dyn Clock>, courier: impl Courier) {
    let mut filled = store.outbox_filled();
    let outbox = Arc::new(Outbox { store, clock, courier });
    outbox.run(&mut filled).await;
}

impl<C: Courier> Outbox<C> {
    async fn run(self: Arc<Self>, filled: &mut tokio::sync::watch::Receiver<u64>) {
        let mut under_way = JoinSet::new();
        let mut in_trouble = false;
        loop {
            let taken = self.take(C::MOST - under_way.len()).await;
            // Said once when it begins, and once when it is over.
            match (&taken, in_trouble) {
                (Err(fault), false) => tracing::warn!(%fault, kind = ?C::KIND, "the outbox cannot be read"),
                (Ok(_), true) => tracing::info!(kind = ?C::KIND, "the outbox is read again"),
                _ => {}
            }
            in_trouble = taken.is_err();
            for message in taken.unwrap_or_default() {
                under_way.spawn(self.clone().deliver(message));
            }
            tokio::select! {
                () = sleep(INTERVAL) => {}
                Ok(()) = filled.changed(), if under_way.len() < C::MOST => {}
                Some(_) = under_way.join_next() => {}
            }
        }
    }

    async fn take(&self, most: usize) -> Result<Vec<Message>, Fault> {
        let now = self.clock.now();
        if most == 0 {
            return Ok(Vec::new());
        }
        self.store.take_messages(C::KIND, most, now.plus(LEASE), now).await
    }

    /// One attempt, and what follows from it. When the database is away meanwhile, the message is due again by itself.
    async fn deliver(self: Arc<Self>, message: Message) {
        let outcome = self.courier.deliver(&message).await;
        let outcome = outcome.unwrap_or_else(|fault| Outcome::Failed(fault.to_string()));
        if let Err(fault) = self.settle(&message, &outcome).await {
            tracing::warn!(%fault, "what became of a message could not be written down: it may be sent again");
        }
    }

    async fn settle(&self, message: &Message, outcome: &Outcome) -> Result<(), Fault> {
        if !matches!(outcome, Outcome::Failed(_)) {
            return self.store.finish_message(message).await;
        }
        let next = self.clock.now().plus(delay(message.attempts));
        if next < message.expires_at {
            return self.store.postpone_message(message, next).await;
        }
        tracing::warn!(target: "audit", event = "message_given_up", content = ?message.content, attempts = message.attempts);
        self.store.finish_message(message).await
    }
}

fn delay(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(10) * 2;
    (FIRST_DELAY * 2_u32.pow(doublings)).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_waits_longer_than_the_one_before_up_to_an_hour() {
        let waits: Vec<u64> = [1, 2, 3, 4, 5, 6, 7, 1_000].map(|attempts| delay(attempts).as_secs()).to_vec();
        assert_eq!(waits, [10, 40, 160, 640, 2_560, 3_600, 3_600, 3_600]);
    }
}
