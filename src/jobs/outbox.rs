//! Delivers what waits in the outbox (`store/outbox.rs`): from any node, once in the normal case, and again until it
//! has arrived or is of no use any more.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::config::Config;
use crate::crypto::Random;
use crate::oauth::logout::back_channel;
use crate::oauth::{ClientDocuments, ClientKeys, Context, Keys, Subjects};
use crate::outgoing::{Outgoing, OutgoingError};
use crate::store::{Content, Message, Store};
use crate::types::{Client, ClientId, Clock, Fault, SessionId, UserId};

/// How often it is looked for what another process has put in, or what is due again.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many messages one node delivers at once.
const MOST: usize = 32;

/// How long nobody else tries a message that somebody has taken: longer than any attempt lasts.
const LEASE: Duration = Duration::from_secs(120);

/// Before the second attempt; four times as long before each further one.
const FIRST_DELAY: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(3_600);

/// What it takes to deliver.
pub struct Outbox {
    pub config: Arc<Config>,
    pub store: Store,
    pub keys: Arc<Keys>,
    pub client_keys: Arc<ClientKeys>,
    pub client_documents: Arc<ClientDocuments>,
    pub subjects: Arc<Subjects>,
    pub rng: Arc<dyn Random>,
    pub clock: Arc<dyn Clock>,
    pub outgoing: Outgoing,
}

/// What came of one attempt.
enum Outcome {
    Delivered,
    /// Nobody is to be told any more.
    Moot,
    /// The answer was no, and would be no again.
    Refused(String),
    /// It may go better later.
    Failed(String),
}

/// Delivers for ever.
pub async fn run(outbox: Outbox) {
    let outbox = Arc::new(outbox);
    let mut under_way = JoinSet::new();
    let mut in_trouble = false;
    loop {
        let taken = outbox.take(MOST - under_way.len()).await;
        // Said once when it begins, and once when it is over.
        match (&taken, in_trouble) {
            (Err(fault), false) => tracing::warn!(%fault, "the outbox cannot be read"),
            (Ok(_), true) => tracing::info!("the outbox is read again"),
            _ => {}
        }
        in_trouble = taken.is_err();
        for message in taken.unwrap_or_default() {
            under_way.spawn(deliver(outbox.clone(), message));
        }
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = outbox.store.outbox_filled(), if under_way.len() < MOST => {}
            Some(_) = under_way.join_next() => {}
        }
    }
}

/// One attempt, and what follows from it. When the database is away meanwhile, the message is due again by itself.
async fn deliver(outbox: Arc<Outbox>, message: Message) {
    let outcome = match &message.content {
        Content::Logout { client, session, user } => outbox.log_out(client, *session, *user).await,
    };
    let outcome = outcome.unwrap_or_else(|fault| Outcome::Failed(fault.to_string()));
    if let Err(fault) = outbox.settle(&message, &outcome).await {
        tracing::warn!(%fault, "what became of a message could not be written down: it may be sent again");
    }
}

impl Outbox {
    async fn take(&self, most: usize) -> Result<Vec<Message>, Fault> {
        let now = self.clock.now();
        if most == 0 { Ok(Vec::new()) } else { self.store.take_messages(most, now.plus(LEASE), now).await }
    }

    /// OpenID Connect Back-Channel Logout §2.5
    async fn log_out(&self, client: &ClientId, session: SessionId, user: UserId) -> Result<Outcome, Fault> {
        // As it is registered now: the address may have changed since.
        let known = self.store.client(client).await?.filter(|client| !client.is_disabled());
        let Some((client, uri)) = known.as_deref().and_then(address) else { return Ok(Outcome::Moot) };
        let token = back_channel::token(&self.context(), client, session, user).await?;
        let outcome =
            judged(self.outgoing.post_form(uri, &[("logout_token", &token)]).await.map(|answer| answer.status));
        match &outcome {
            Outcome::Refused(why) => {
                tracing::warn!(target: "audit", event = "logout_refused", client = %client.id, %session, why);
            }
            Outcome::Failed(why) => {
                tracing::info!(client = %client.id, %session, why, "a relying party could not be told of a logout");
            }
            Outcome::Delivered | Outcome::Moot => {
                tracing::info!(target: "audit", event = "logout_delivered", client = %client.id, %session);
            }
        }
        Ok(outcome)
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

    fn context(&self) -> Context {
        Context {
            config: self.config.clone(),
            store: self.store.clone(),
            keys: self.keys.snapshot(),
            client_keys: self.client_keys.clone(),
            client_documents: self.client_documents.clone(),
            subjects: self.subjects.clone(),
            rng: self.rng.clone(),
            now: self.clock.now(),
        }
    }
}

fn address(client: &Client) -> Option<(&Client, &str)> {
    client.metadata.backchannel_logout_uri.as_deref().map(|uri| (client, uri))
}

/// OpenID Connect Back-Channel Logout §2.8: 200, or 204 from frameworks that make it of an empty body; 400 for a token
/// that is refused, which would be refused again. It is sent again only where the failure may pass, such as an
/// interruption of the service (RFC 8935 §2 has the same of its tokens).
fn judged(answer: Result<StatusCode, OutgoingError>) -> Outcome {
    match answer {
        Ok(status) if status.is_success() => Outcome::Delivered,
        Ok(status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)) => {
            Outcome::Failed(status.to_string())
        }
        Ok(status) if status.is_server_error() => Outcome::Failed(status.to_string()),
        Ok(status) => Outcome::Refused(status.to_string()),
        Err(error @ (OutgoingError::Url(_) | OutgoingError::Forbidden)) => Outcome::Refused(error.to_string()),
        Err(error) => Outcome::Failed(error.to_string()),
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

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let sort = |answer| match judged(answer) {
            Outcome::Delivered | Outcome::Moot => "delivered",
            Outcome::Refused(_) => "refused",
            Outcome::Failed(_) => "failed",
        };
        for (status, sorted) in [
            (200, "delivered"),
            (204, "delivered"),
            (302, "refused"),
            (400, "refused"),
            (401, "refused"),
            (404, "refused"),
            (408, "failed"),
            (429, "failed"),
            (500, "failed"),
            (503, "failed"),
            (504, "failed"),
        ] {
            assert_eq!(sort(Ok(StatusCode::from_u16(status).unwrap())), sorted, "{status}");
        }
        for (error, sorted) in [
            (OutgoingError::Forbidden, "refused"),
            (OutgoingError::Url("no"), "refused"),
            (OutgoingError::TooSlow, "failed"),
            (OutgoingError::Unreachable("refused".into()), "failed"),
            (OutgoingError::TooLarge, "failed"),
        ] {
            assert_eq!(sort(Err(error.clone())), sorted, "{error}");
        }
    }
}
