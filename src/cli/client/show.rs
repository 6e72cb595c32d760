//! `grantor client list` and `grantor client show`.

use std::time::Duration;

use super::{document, joined, kind};
use crate::cli::Admin;
use crate::cli::output::{self, instant, yes_or_no};
use crate::types::{Client, ClientId, ClientMetadata, PkcePolicy, RedirectUri, Scope};

pub async fn list(admin: &Admin, json: bool) -> anyhow::Result<String> {
    let clients = admin.store.clients().await?;
    if json {
        let documents = clients.iter().map(|client| document(client, None));
        return output::json(&documents.collect::<anyhow::Result<Vec<_>>>()?);
    }
    if clients.is_empty() {
        return Ok("No client is registered yet. Register one with grantor client create.\n".into());
    }
    let rows: Vec<_> = clients.iter().map(row).collect();
    Ok(output::table(["ID", "NAME", "TYPE", "GRANTS", "REGISTERED BY", "DISABLED"], &rows))
}

fn row(client: &Client) -> [String; 6] {
    [
        client.id.to_string(),
        client.metadata.client_name.clone(),
        kind(client).to_owned(),
        joined(&client.metadata.grant_types, " "),
        registered_by(client),
        client.disabled_at.map(instant).unwrap_or_default(),
    ]
}

fn registered_by(client: &Client) -> String {
    match &client.registration {
        None => "administrator".to_owned(),
        Some(registration) if registration.verified => format!("{}, verified", registration.by),
        Some(registration) => registration.by.clone(),
    }
}

pub async fn show(admin: &Admin, id: &ClientId, json: bool) -> anyhow::Result<String> {
    let client = admin.client(id).await?;
    if json {
        return output::json(&document(&client, None)?);
    }
    let Client { metadata, .. } = &client;
    let uris = |uris: &[RedirectUri]| joined(uris.iter().map(RedirectUri::as_str), "\n");
    let more = besides(metadata)?;
    let known = [
        ("client id", client.id.to_string()),
        ("name", metadata.client_name.clone()),
        ("type", kind(&client).to_owned()),
        ("home page", metadata.client_uri.clone().unwrap_or_default()),
        ("registered by", registered_by(&client)),
        ("disabled", client.disabled_at.map_or_else(|| "no".into(), |at| format!("since {}", instant(at)))),
        ("authenticates by", metadata.token_endpoint_auth_method.to_string()),
        ("grants", joined(&metadata.grant_types, " ")),
        ("redirect URIs", uris(&metadata.redirect_uris)),
        ("after signing out", uris(&metadata.post_logout_redirect_uris)),
        ("scope", metadata.scope.to_string()),
        ("default scope", metadata.default_scope.as_ref().map_or_else(|| "the server's".into(), Scope::to_string)),
        ("PKCE", pkce(metadata.pkce)),
        ("ID tokens signed by", metadata.id_token_signed_response_alg.to_string()),
        ("access tokens live", lifetime(metadata.access_token_lifetime)),
        ("refresh tokens, idle", lifetime(metadata.refresh_token_idle_lifetime)),
        ("refresh tokens, in all", lifetime(metadata.refresh_token_absolute_lifetime)),
        ("always refresh tokens", yes_or_no(metadata.always_issue_refresh_token)),
        ("asks for consent", yes_or_no(!metadata.skip_consent)),
        ("registered", instant(client.created_at)),
        ("changed", instant(client.updated_at)),
    ];
    Ok(output::fields(
        &[&known[..], &more.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>()].concat(),
    ))
}

/// What else is set, by the names of registration documents.
fn besides(metadata: &ClientMetadata) -> anyhow::Result<Vec<(String, String)>> {
    const SHOWN: [&str; 16] = [
        "client_name",
        "client_uri",
        "token_endpoint_auth_method",
        "grant_types",
        "response_types",
        "redirect_uris",
        "post_logout_redirect_uris",
        "scope",
        "default_scope",
        "pkce",
        "id_token_signed_response_alg",
        "access_token_lifetime",
        "refresh_token_idle_lifetime",
        "refresh_token_absolute_lifetime",
        "always_issue_refresh_token",
        "skip_consent",
    ];
    let (set, unset) = (serde_json::to_value(metadata)?, serde_json::to_value(ClientMetadata::default())?);
    let members = set.as_object().into_iter().flatten();
    let others = members.filter(|(name, value)| !SHOWN.contains(&name.as_str()) && unset.get(name) != Some(*value));
    Ok(others
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect())
}

fn pkce(policy: Option<PkcePolicy>) -> String {
    match policy {
        None => "as the server says",
        Some(PkcePolicy::Required) => "required",
        Some(PkcePolicy::Optional) => "optional",
    }
    .to_owned()
}

fn lifetime(lifetime: Option<Duration>) -> String {
    lifetime.map_or_else(|| "as long as the server says".into(), |time| humantime::format_duration(time).to_string())
}
