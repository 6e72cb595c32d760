//! To people, by mail.

use std::sync::Arc;

use super::{Courier, Outcome};
use crate::account::letters::{self, Envelope};
use crate::config::Config;
use crate::crypto::KeyRing;
use crate::outgoing::mail::{MailError, Mailer};
use crate::store::{Content, Kind, Message};
use crate::types::{Clock, Fault};

pub struct Mails {
    pub config: Arc<Config>,
    pub ring: Arc<KeyRing>,
    pub clock: Arc<dyn Clock>,
    pub mailer: Mailer,
}

impl Courier for Mails {
    const KIND: Kind = Kind::Mail;
    /// A mail server counts its connections.
    const MOST: usize = 4;

    async fn deliver(&self, message: &Message) -> Result<Outcome, Fault> {
        let Content::Mail(sealed) = &message.content else { return Ok(Outcome::Moot) };
        let envelope: Envelope = letters::open(&self.ring, Kind::Mail, sealed)?;
        let (id, letter) = (&sealed.id, envelope.letter.name());
        let words = envelope.letter.words(&self.config);
        let mail = envelope.written(&self.config, id, &words)?;
        match self.mailer.send(mail, self.clock.now()).await {
            Ok(_) => {
                tracing::info!(target: "audit", event = "mail_sent", letter, message = id);
                Ok(Outcome::Delivered)
            }
            // What a server says may repeat the address, but has seen the message only where it took it.
            Err(MailError::Refused(why)) => {
                tracing::warn!(target: "audit", event = "mail_refused", letter, message = id, why);
                Ok(Outcome::Refused(why))
            }
            Err(MailError::Failed(why)) => {
                tracing::warn!(letter, message = id, why, "a mail could not be sent");
                Ok(Outcome::Failed(why))
            }
        }
    }
}
