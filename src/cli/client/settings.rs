//! The flags for what is registered of a client, common to `create` and `update`.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::Value;

use crate::app::data;
use crate::cli::{Admin, Usage, input};
use crate::config::ACCESS_TOKEN_CEILING;
use crate::oauth::{client_keys, profile, subjects};
use crate::types::{Algorithm, ClientMetadata, GrantType, PkcePolicy, RedirectUri, Scope};

#[derive(Args)]
pub struct Settings {
    /// Where browsers return to, letter for letter; may be repeated. On loopback any port counts as the same.
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<RedirectUri>,
    /// Where browsers return to after signing out; may be repeated.
    #[arg(long = "post-logout-redirect-uri", value_name = "URI")]
    post_logout_redirect_uris: Vec<RedirectUri>,
    /// authorization_code, refresh_token, client_credentials or device_code; may be repeated.
    #[arg(long = "grant-type", value_name = "GRANT")]
    grant_types: Vec<GrantType>,
    /// Every scope that the client may ask for, as in "openid profile email".
    #[arg(long, value_parser = input::scope)]
    scope: Option<Scope>,
    /// What it gets when it asks for no scope. By default what the server says.
    #[arg(long, value_name = "SCOPE", value_parser = input::scope)]
    default_scope: Option<Scope>,
    /// required or optional. By default what the server says.
    #[arg(long, value_name = "POLICY")]
    pkce: Option<PkcePolicy>,
    /// What its ID tokens are signed with, as in ES256.
    #[arg(long, value_name = "ALG")]
    id_token_alg: Option<Algorithm>,
    /// How long its access tokens live, as in 10m; at most 1h.
    #[arg(long, value_name = "TIME", value_parser = input::lifetime)]
    access_token_lifetime: Option<Duration>,
    /// How long its refresh tokens may lie unused, as in 14d.
    #[arg(long, value_name = "TIME", value_parser = input::lifetime)]
    refresh_idle_lifetime: Option<Duration>,
    /// How long its grants can be refreshed in all, as in 90d.
    #[arg(long, value_name = "TIME", value_parser = input::lifetime)]
    refresh_absolute_lifetime: Option<Duration>,
    /// Issue refresh tokens without the scope offline_access too.
    #[arg(long)]
    always_refresh: bool,
    /// A resource server: may introspect the access tokens of every client.
    #[arg(long)]
    resource_server: bool,
    /// An application of the house: its users are not asked for consent.
    #[arg(long)]
    skip_consent: bool,
    /// Its home page, an https URL.
    #[arg(long, value_name = "URL")]
    client_uri: Option<String>,
    /// Any member of its registration document (RFC 7591 §2), as in 'policy_uri="https://a.example/policy"' or
    /// 'jwks={"keys":[…]}'; null takes it away. May be repeated.
    #[arg(long = "set", value_name = "NAME=JSON", value_parser = input::member)]
    members: Vec<(String, Value)>,
}

impl Settings {
    /// Whether it was left to us by which grants the client gets its tokens.
    pub fn says_nothing_of_grants(&self) -> bool {
        self.grant_types.is_empty() && !self.members.iter().any(|(name, _)| name == "grant_types")
    }

    /// Puts what was given in the place of what is there.
    ///
    /// # Errors
    /// When a member that was set is not one of a client's.
    pub fn apply(&self, metadata: &mut ClientMetadata) -> anyhow::Result<()> {
        replace_list(&mut metadata.redirect_uris, &self.redirect_uris);
        replace_list(&mut metadata.post_logout_redirect_uris, &self.post_logout_redirect_uris);
        replace_list(&mut metadata.grant_types, &self.grant_types);
        replace(&mut metadata.scope, self.scope.as_ref());
        replace(&mut metadata.id_token_signed_response_alg, self.id_token_alg.as_ref());
        replace_some(&mut metadata.default_scope, self.default_scope.as_ref());
        replace_some(&mut metadata.pkce, self.pkce.as_ref());
        replace_some(&mut metadata.access_token_lifetime, self.access_token_lifetime.as_ref());
        replace_some(&mut metadata.refresh_token_idle_lifetime, self.refresh_idle_lifetime.as_ref());
        replace_some(&mut metadata.refresh_token_absolute_lifetime, self.refresh_absolute_lifetime.as_ref());
        replace_some(&mut metadata.client_uri, self.client_uri.as_ref());
        metadata.always_issue_refresh_token |= self.always_refresh;
        metadata.resource_server |= self.resource_server;
        metadata.skip_consent |= self.skip_consent;
        for (name, value) in &self.members {
            metadata.set(name, value.clone()).map_err(|why| Usage(format!("--set {why}")))?;
        }
        Ok(())
    }
}

impl Settings {
    /// Whether the types of authorization details are there that are given by name. One that was there may have gone.
    pub async fn check_types(&self, metadata: &ClientMetadata, admin: &Admin) -> anyhow::Result<()> {
        if !self.members.iter().any(|(name, _)| name == "authorization_details_types") {
            return Ok(());
        }
        let known = admin.store.authorization_types().await?;
        match metadata.authorization_details_types.iter().find(|name| known.get(name).is_none()) {
            Some(name) => bail!(
                "no authorization details type has the name {name}: register it first with grantor authorization-type create"
            ),
            None => Ok(()),
        }
    }
}

/// Asks the sector that a client names whether it belongs there.
pub async fn check_sector(metadata: &ClientMetadata, admin: &Admin) -> anyhow::Result<()> {
    if metadata.sector_identifier_uri.is_none() {
        return Ok(());
    }
    subjects::check_sector(&data::outgoing(&admin.config)?, metadata).await.map_err(|why| anyhow!("{why}"))
}

/// Holds the whole of it against the rules, and against what this server does.
pub fn check(metadata: &ClientMetadata, admin: &Admin) -> anyhow::Result<()> {
    metadata.validate().map_err(|why| anyhow!("{why}"))?;
    client_keys::check(metadata).map_err(|why| anyhow!("{why}"))?;
    profile::check(&admin.config, metadata).map_err(|why| anyhow!("{why}"))?;
    if metadata.access_token_lifetime.is_some_and(|lifetime| lifetime > ACCESS_TOKEN_CEILING) {
        let most = humantime::format_duration(ACCESS_TOKEN_CEILING);
        bail!("an access token lives at most {most}: take a shorter --access-token-lifetime");
    }
    let known = &admin.config.keys.algorithms;
    if let Some((algorithm, what)) = metadata.signatures().find(|(own, _)| !known.contains(own)) {
        bail!(
            "this server has no {algorithm} key to sign {what} with: add it to keys.algorithms in the configuration (and \
             name the file here with --config), or take another algorithm"
        );
    }
    Ok(())
}

/// Given lists take the place of the whole list, without repeats.
fn replace_list<T: Clone + PartialEq>(list: &mut Vec<T>, given: &[T]) {
    if !given.is_empty() {
        list.clear();
        add(list, given);
    }
}

/// What is new goes to the end.
pub fn add<T: Clone + PartialEq>(list: &mut Vec<T>, given: &[T]) {
    for value in given {
        if !list.contains(value) {
            list.push(value.clone());
        }
    }
}

fn replace<T: Clone>(value: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        *value = given.clone();
    }
}

fn replace_some<T: Clone>(value: &mut Option<T>, given: Option<&T>) {
    if given.is_some() {
        *value = given.cloned();
    }
}
