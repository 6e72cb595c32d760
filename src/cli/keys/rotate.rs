//! `grantor keys rotate`.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::{keeper, list};
use crate::cli::Admin;
use crate::cli::output::{self, instant};
use crate::oauth::key_life::{self, Begin, Rotated};
use crate::types::Algorithm;

#[derive(Args)]
pub struct Rotate {
    /// Only the key of this algorithm; HS256 is that of refresh tokens. [default: all of them]
    #[arg(long, value_name = "ALG")]
    algorithm: Option<Algorithm>,
    /// Let it sign as soon as every server knows it, in a few seconds, without the usual notice.
    #[arg(long)]
    now: bool,
    /// Print what signs next as JSON.
    #[arg(long)]
    json: bool,
}

impl Rotate {
    pub async fn run(self, admin: Admin) -> anyhow::Result<String> {
        let now = admin.now();
        let known: Vec<Algorithm> = key_life::algorithms(&admin.config).collect();
        if let Some(algorithm) = self.algorithm.filter(|algorithm| !known.contains(algorithm)) {
            bail!(
                "this server has no {algorithm} key: add it to keys.algorithms in the configuration (and name the file \
                 here with --config)"
            );
        }
        let keeper = keeper(admin).await?;
        let begin = if self.now { Begin::AtOnce } else { Begin::Announced };
        let (mut told, mut documents) = (String::new(), Vec::<Value>::new());
        for algorithm in self.algorithm.map_or(known, |algorithm| vec![algorithm]) {
            let rotated = keeper.rotate(algorithm, begin, now).await?;
            let (Rotated::Made(key) | Rotated::BroughtForward(key) | Rotated::Waiting(key)) = &rotated;
            let what = match rotated {
                Rotated::Made(_) => "was made, and signs from",
                Rotated::BroughtForward(_) => "was there, and signs already from",
                Rotated::Waiting(_) => "was there, and signs, as before, from",
            };
            told += &format!("{algorithm}: {} {what} {} on.\n", key.id, instant(key.active_from));
            documents.push(list::document(&keeper.config, key, now));
        }
        if self.json { output::json(&documents) } else { Ok(told) }
    }
}
