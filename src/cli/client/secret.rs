//! `grantor client rotate-secret`.

use anyhow::bail;
use clap::Args;

use super::{document, report};
use crate::cli::{Admin, input, output};
use crate::crypto::random::secret;
use crate::types::{ClientId, SecretForm};

#[derive(Args)]
pub struct RotateSecret {
    id: ClientId,
    /// Read the secret from standard input instead of making one.
    #[arg(long)]
    secret_stdin: bool,
    /// Print the client information response of RFC 7591.
    #[arg(long)]
    json: bool,
}

impl RotateSecret {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let given = if self.secret_stdin { Some(input::client_secret()?) } else { None };
        let made = if self.secret_stdin { None } else { Some(secret(&admin.rng)) };
        let rotated = admin.change_client(&self.id, async |client| {
            let method = client.metadata.token_endpoint_auth_method;
            if client.is_public() {
                bail!("{} is a public client, which has no secret", client.id);
            }
            if method.secret() == SecretForm::None {
                bail!("{} authenticates by {method}, so it has no secret", client.id);
            }
            match given.as_ref().or(made.as_ref()) {
                Some(secret) => admin.keep_secret(client, secret).await,
                None => Ok(()),
            }
        });
        let client = rotated.await?;
        if self.json {
            return output::json(&document(&client, made.as_ref())?);
        }
        let done = format!("{} has another secret. The old one is refused from now on.", client.metadata.client_name);
        Ok(report(&done, &client, made.as_ref()))
    }
}
