//! `grantor registration-token create`.

use std::time::Duration;

use clap::Args;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{document, input};
use crate::cli::{Admin, output};
use crate::config::registration::Mode;
use crate::crypto::{random, sha256};
use crate::store::RegistrationToken;

#[derive(Args)]
pub struct Create {
    /// How many clients may be registered with it.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// How long it can be used, as in 7d.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = input::lifetime)]
    lifetime: Duration,
    /// What registers with it counts as verified: users are not warned of it.
    #[arg(long)]
    verifies: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Create {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let secret = random::secret(&admin.rng);
        let now = admin.now();
        let token = RegistrationToken {
            id: random::uuid_v4(&admin.rng).to_string(),
            verifies: self.verifies,
            uses_left: self.uses,
            created_at: now,
            expires_at: now.plus(self.lifetime),
        };
        let mut tx = admin.store.begin().await?;
        tx.insert_registration_token(&token, &sha256(secret.expose_secret().as_bytes())).await?;
        tx.commit().await?;
        if self.json {
            let mut made = document(&token);
            made["token"] = json!(secret.expose_secret());
            return output::json(&made);
        }
        let fields = output::fields(&[
            ("id", token.id.clone()),
            ("token", secret.expose_secret().to_owned()),
            ("uses", token.uses_left.to_string()),
            ("expires", output::instant(token.expires_at)),
        ]);
        let off = match admin.config.registration.mode {
            Mode::Off => "Registration is off: set registration.mode to \"token\" in the configuration.\n",
            Mode::Token | Mode::Open => "",
        };
        Ok(format!("Made a registration token.\n\n{fields}\nIt is shown this once: only its hash is kept.\n{off}"))
    }
}
