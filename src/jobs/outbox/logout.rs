//! To relying parties: a session has ended (OpenID Connect Back-Channel Logout).

use std::sync::Arc;

use http::StatusCode;

use super::{Courier, Outcome};
use crate::config::Config;
use crate::crypto::Random;
use crate::oauth::logout::back_channel;
use crate::oauth::{ClientDocuments, ClientKeys, Context, Keys, Subjects};
use crate::outgoing::{Outgoing, OutgoingError};
use crate::store::{Content, Kind, Message, Store};
use crate::types::{Client, ClientId, Clock, Fault, SessionId, UserId};

/// What it takes to deliver.
pub struct Logouts {
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

impl Courier for Logouts {
    const KIND: Kind = Kind::Logout;
    const MOST: usize = 32;

    async fn deliver(&self, message: &Message) -> Result<Outcome, Fault> {
        match &message.content {
            Content::Logout { client, session, user } => self.log_out(client, *session, *user).await,
            Content::Mail(_) | Content::Wish(_) => Ok(Outcome::Moot),
        }
    }
}

impl Logouts {
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

#[cfg(test)]
mod tests {
    use super::*;

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
