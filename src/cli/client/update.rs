//! `grantor client update`.

use std::cell::Cell;

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::settings::{self, Settings};
use super::{document, report};
use crate::cli::{Admin, output};
use crate::crypto::random;
use crate::oauth::client_secret;
use crate::types::{AuthMethod, ClientId, ClientMetadata, RedirectUri, Scope, SecretForm};

#[derive(Args)]
pub struct Update {
    id: ClientId,
    /// What users are shown as the client's name.
    #[arg(long)]
    name: Option<String>,
    /// Make it a public client, and forget its secret.
    #[arg(long, conflicts_with = "auth_method")]
    public: bool,
    /// client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt or none. A client whose secret is used
    /// in another way from now on gets a new one.
    #[arg(long, value_name = "METHOD")]
    auth_method: Option<AuthMethod>,
    /// One redirect URI more; may be repeated.
    #[arg(long = "add-redirect-uri", value_name = "URI")]
    add_redirect_uris: Vec<RedirectUri>,
    /// One redirect URI less; may be repeated.
    #[arg(long = "remove-redirect-uri", value_name = "URI")]
    remove_redirect_uris: Vec<RedirectUri>,
    /// What to set back to nothing, or to what the server says; may be repeated.
    #[arg(long, value_name = "SETTING")]
    clear: Vec<Clear>,
    /// Issue refresh tokens for the scope offline_access alone.
    #[arg(long, conflicts_with = "always_refresh")]
    no_always_refresh: bool,
    /// It may not introspect the tokens of others any more.
    #[arg(long, conflicts_with = "resource_server")]
    no_resource_server: bool,
    /// Ask its users for consent.
    #[arg(long, conflicts_with = "skip_consent")]
    no_skip_consent: bool,
    #[command(flatten)]
    settings: Settings,
    /// Print it as JSON, under the names of RFC 7591.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Clear {
    RedirectUri,
    PostLogoutRedirectUri,
    Scope,
    DefaultScope,
    Pkce,
    AccessTokenLifetime,
    RefreshIdleLifetime,
    RefreshAbsoluteLifetime,
    ClientUri,
}

impl Update {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let fresh = random::secret(&admin.rng);
        let registered = admin.client(&self.id).await?;
        let before = registered.updated_at;
        let mut planned = registered.metadata;
        self.change(&mut planned)?;
        settings::check_sector(&planned, admin).await?;
        self.settings.check_types(&planned, admin).await?;
        let needs_secret = Cell::new(false);
        let changed = admin.change_client(&self.id, async |client| {
            self.change(&mut client.metadata)?;
            settings::check(&client.metadata, admin)?;
            // What is kept of a secret serves one way of using it, so another way needs another secret.
            let serves = client_secret::is_kept(client);
            needs_secret.set(!serves && client.metadata.token_endpoint_auth_method.secret() != SecretForm::None);
            if serves { Ok(()) } else { admin.keep_secret(client, &fresh).await }
        });
        let client = changed.await?;
        let made = needs_secret.get().then_some(&fresh);
        if self.json {
            return output::json(&document(&client, made)?);
        }
        if client.updated_at == before {
            return Ok(format!("{} is so already: nothing was changed.\n", client.id));
        }
        Ok(report(&format!("Changed {}.", client.metadata.client_name), &client, made))
    }

    fn change(&self, metadata: &mut ClientMetadata) -> anyhow::Result<()> {
        self.clear.iter().for_each(|setting| setting.apply(metadata));
        self.settings.apply(metadata)?;
        if let Some(name) = &self.name {
            metadata.client_name.clone_from(name);
        }
        if let Some(method) = self.auth_method.or(self.public.then_some(AuthMethod::None)) {
            metadata.token_endpoint_auth_method = method;
        }
        settings::add(&mut metadata.redirect_uris, &self.add_redirect_uris);
        for uri in &self.remove_redirect_uris {
            let Some(at) = metadata.redirect_uris.iter().position(|own| own == uri) else {
                bail!("{} is not among its redirect URIs", uri.as_str());
            };
            metadata.redirect_uris.remove(at);
        }
        metadata.always_issue_refresh_token &= !self.no_always_refresh;
        metadata.resource_server &= !self.no_resource_server;
        metadata.skip_consent &= !self.no_skip_consent;
        Ok(())
    }
}

impl Clear {
    fn apply(self, metadata: &mut ClientMetadata) {
        match self {
            Self::RedirectUri => metadata.redirect_uris.clear(),
            Self::PostLogoutRedirectUri => metadata.post_logout_redirect_uris.clear(),
            Self::Scope => metadata.scope = Scope::default(),
            Self::DefaultScope => metadata.default_scope = None,
            Self::Pkce => metadata.pkce = None,
            Self::AccessTokenLifetime => metadata.access_token_lifetime = None,
            Self::RefreshIdleLifetime => metadata.refresh_token_idle_lifetime = None,
            Self::RefreshAbsoluteLifetime => metadata.refresh_token_absolute_lifetime = None,
            Self::ClientUri => metadata.client_uri = None,
        }
    }
}
