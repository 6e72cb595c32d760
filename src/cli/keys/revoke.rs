//! `grantor keys revoke`. Nothing is asked, so that scripts can say it; what was done is told.

use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use super::{keeper, list};
use crate::cli::{Admin, output};
use crate::types::{KeyLife, Stage};

#[derive(Args)]
pub struct Revoke {
    /// The `kid` that `grantor keys list` shows. One in 64 begins with a dash.
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// Print what was revoked, and what signs in its place, as JSON.
    #[arg(long)]
    json: bool,
}

impl Revoke {
    pub async fn run(self, admin: Admin) -> anyhow::Result<String> {
        let now = admin.now();
        let keeper = keeper(admin).await?;
        let revoked = keeper.revoke(&self.kid, now).await?;
        let revoked = revoked.ok_or_else(|| anyhow!("no signing key has the id {}", self.kid))?;
        if self.json {
            let document = |key: &KeyLife| list::document(&keeper.config, key, now);
            let successor = revoked.successor.as_ref().map(document);
            return output::json(&json!({ "revoked": document(&revoked.key), "successor": successor }));
        }
        let KeyLife { id, algorithm, .. } = &revoked.key;
        let mut told = format!("Revoked {id} ({algorithm}). {}\n", what_ends(&revoked.key, revoked.key.stage(now)));
        if let Some(successor) = revoked.successor {
            told += &format!("{} signs from now on.\n", successor.id);
        }
        Ok(told)
    }
}

fn what_ends(key: &KeyLife, stage: Stage) -> &'static str {
    match (stage, key.algorithm.is_asymmetric()) {
        (Stage::Next, _) => "It has signed nothing yet.",
        (Stage::Gone, _) => "ID tokens that it signed are no hints any more.",
        (_, true) => {
            "The tokens that it signed are refused here within a second, and by those who verify them alone as soon as \
             they fetch the JWK Set again. ID tokens that it signed are no hints any more."
        }
        (_, false) => {
            "The refresh tokens that it signed are refused within a second: whoever holds one has to sign in again. \
             Access tokens go on until they expire."
        }
    }
}
