//! `grantor keys list`.

use serde_json::{Value, json};

use crate::cli::Admin;
use crate::cli::output::{self, instant};
use crate::config::Config;
use crate::oauth::key_life;
use crate::types::{KeyLife, Stage, Timestamp};

pub async fn run(admin: &Admin, as_json: bool) -> anyhow::Result<String> {
    let (keys, now) = (key_life::lives(&admin.store).await?, admin.now());
    if as_json {
        let documents: Vec<Value> = keys.iter().map(|key| document(&admin.config, key, now)).collect();
        return output::json(&documents);
    }
    if keys.is_empty() {
        return Ok("There is no signing key yet. The server makes its first ones when it starts.\n".into());
    }
    let rows: Vec<_> = keys.iter().map(|key| row(&admin.config, key, now)).collect();
    Ok(output::table(["KID", "ALGORITHM", "STATE", "SINCE", "UNTIL"], &rows))
}

/// Since when a key is at its stage.
fn since(key: &KeyLife, now: Timestamp) -> Timestamp {
    match key.stage(now) {
        Stage::Next => key.created_at,
        Stage::Active => key.active_from,
        Stage::Retired | Stage::Gone => key.retired_at.unwrap_or(key.active_from),
    }
}

fn row(config: &Config, key: &KeyLife, now: Timestamp) -> [String; 5] {
    [
        key.id.clone(),
        key.algorithm.to_string(),
        key.stage(now).as_str().to_owned(),
        instant(since(key, now)),
        key_life::until(config, key, now).map(instant).unwrap_or_default(),
    ]
}

pub fn document(config: &Config, key: &KeyLife, now: Timestamp) -> Value {
    json!({
        "kid": key.id,
        "algorithm": key.algorithm,
        "state": key.stage(now),
        "published": key.algorithm.is_asymmetric() && !key.gone,
        "created_at": instant(key.created_at),
        "active_from": instant(key.active_from),
        "retired_at": key.retired_at.map(instant),
        "since": instant(since(key, now)),
        "until": key_life::until(config, key, now).map(instant),
    })
}
