//! Subjects: by what a client knows a person (OpenID Connect Core §8).

use uuid::Uuid;

use crate::crypto::Pairwise;
use crate::outgoing::Outgoing;
use crate::types::{ClientMetadata, Fault, Subject, UserId};

/// The name of the secret.
pub const SECRET: &str = "pairwise_subjects";

/// Leads from users to subjects, and back.
pub struct Subjects(Pairwise);

/// A user as a client knows them.
pub struct Known {
    pub subject: Subject,
    /// In which sector it is so; none where the subject is public. It stands in tokens beside a pairwise subject, so
    /// that whoever reads it back has to ask nobody.
    pub sector: Option<String>,
}

impl Subjects {
    /// `secret` must never change: every subject would be another.
    pub fn new(secret: &[u8]) -> Self {
        Self(Pairwise::new(secret))
    }

    /// By what a client knows a user.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn of(&self, client: &ClientMetadata, user: UserId) -> Result<Known, Fault> {
        let sector = client.sector();
        let uuid = match &sector {
            None => user.uuid(),
            Some(sector) => {
                Uuid::from_bytes(self.0.conceal(sector, user.uuid().into_bytes()).map_err(Fault::internal)?)
            }
        };
        Ok(Known { subject: Subject::new(uuid), sector })
    }

    /// The user whom a subject means, in a token that we signed.
    pub fn user(&self, subject: Subject, sector: Option<&str>) -> Option<UserId> {
        match sector {
            None => Some(UserId::new(subject.uuid())),
            Some(sector) => {
                self.0.reveal(sector, subject.uuid().into_bytes()).ok().map(Uuid::from_bytes).map(UserId::new)
            }
        }
    }
}

/// Whether a client belongs to the sector that it names, when it is registered.
///
/// # Errors
/// In words, when its `sector_identifier_uri` does not list it, or cannot be read.
pub async fn check_sector(outgoing: &Outgoing, client: &ClientMetadata) -> Result<(), String> {
    let Some(uri) = &client.sector_identifier_uri else { return Ok(()) };
    let document = outgoing.document(uri, &[]).await.map_err(|why| {
        // Whoever may register could ask what there is in our network.
        tracing::info!(%uri, %why, "a sector_identifier_uri was not read");
        "sector_identifier_uri could not be read; the server's log says why".to_owned()
    })?;
    let listed: Vec<String> = serde_json::from_slice(&document)
        .map_err(|_| "sector_identifier_uri must give a JSON array of redirect URIs".to_owned())?;
    // OpenID Connect Registration §5: the values "MUST be included in the elements of the array".
    match client.redirect_uris.iter().find(|own| !listed.iter().any(|uri| uri == own.as_str())) {
        Some(missing) => Err(format!("the document at sector_identifier_uri does not list {missing}")),
        None => Ok(()),
    }
}
