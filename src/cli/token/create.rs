//! `grantor token create`.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::document;
use crate::cli::{Admin, input, output};
use crate::crypto::{api_token, random, sha256};
use crate::types::{ApiToken, ClientId, Holder, Scope, TokenId};

#[derive(Args)]
pub struct Create {
    /// The client whose key it is.
    client: ClientId,
    /// What it is for.
    #[arg(long, value_parser = input::words)]
    name: String,
    /// What it may do, as in "notes:read notes:write", within what the client is registered for.
    #[arg(long, value_parser = input::scope)]
    scope: Scope,
    /// How long it is good, as in 90d.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = input::lifetime)]
    lifetime: Duration,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Create {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let client = admin.client(&self.client).await?;
        if !self.scope.is_within(&client.metadata.scope) {
            bail!(
                "the client is registered for the scope {:?} and no more: grantor client update --scope changes that",
                client.metadata.scope.as_str()
            );
        }
        let holder = Holder::Client(client.id.clone());
        let secret = api_token::make(holder.prefix(), &admin.rng);
        let now = admin.now();
        let token = ApiToken {
            id: TokenId::new(random::uuid_v7(&admin.rng, now)),
            audience: admin.store.resources().await?.audience(&self.scope, admin.config.server.issuer.as_str()),
            holder,
            name: self.name,
            scope: self.scope,
            created_at: now,
            expires_at: now.plus(self.lifetime),
            used_at: None,
        };
        let mut tx = admin.store.begin().await?;
        tx.insert_api_token(&token, &sha256(secret.expose_secret().as_bytes())).await?;
        tx.commit().await?;
        if self.json {
            let mut made = document(&token);
            made["token"] = json!(secret.expose_secret());
            return output::json(&made);
        }
        let fields = output::fields(&[
            ("id", token.id.to_string()),
            ("client", client.id.to_string()),
            ("key", secret.expose_secret().to_owned()),
            ("scope", token.scope.to_string()),
            ("audience", token.audience.uris().collect::<Vec<_>>().join(", ")),
            ("expires", output::instant(token.expires_at)),
        ]);
        Ok(format!("Made an API key.\n\n{fields}\nIt is shown this once: only its hash is kept.\n"))
    }
}
