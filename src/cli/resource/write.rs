//! `grantor resource create` and `grantor resource update`.

use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::{find, show};
use crate::cli::{Admin, input};
use crate::store::Stored;
use crate::types::{Algorithm, Resource, ResourceUri, Scope};

#[derive(Args)]
struct Settings {
    /// The scopes that belong to it, as in "notes:read notes:write": they stand in tokens for it alone.
    #[arg(long, value_parser = input::scope)]
    scope: Option<Scope>,
    /// At most so long a token for it is good, as in 5m.
    #[arg(long, value_name = "TIME", value_parser = input::lifetime)]
    access_token_lifetime: Option<Duration>,
    /// What tokens for it are signed with.
    #[arg(long, value_name = "ALG")]
    access_token_alg: Option<Algorithm>,
}

#[derive(Args)]
pub struct Create {
    /// An absolute URI without a fragment: what clients send as `resource`, and what stands in `aud`.
    uri: ResourceUri,
    /// How people are told of it.
    #[arg(long, value_parser = input::words)]
    name: String,
    #[command(flatten)]
    settings: Settings,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Update {
    uri: ResourceUri,
    #[arg(long, value_parser = input::words)]
    name: Option<String>,
    /// What to set back to nothing, or to what the server and the client say; may be repeated.
    #[arg(long, value_name = "SETTING")]
    clear: Vec<Clear>,
    #[command(flatten)]
    settings: Settings,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Clear {
    Scope,
    AccessTokenLifetime,
    AccessTokenAlg,
}

impl Clear {
    fn apply(self, resource: &mut Resource) {
        match self {
            Self::Scope => resource.scope = Scope::default(),
            Self::AccessTokenLifetime => resource.access_token_lifetime = None,
            Self::AccessTokenAlg => resource.access_token_signing_alg = None,
        }
    }
}

impl Settings {
    fn apply(self, resource: &mut Resource, admin: &Admin) -> anyhow::Result<()> {
        if let Some(algorithm) = self.access_token_alg {
            if !algorithm.is_asymmetric() || !admin.config.keys.algorithms.contains(&algorithm) {
                bail!("no access token can be signed with {algorithm} here: see keys.algorithms in the configuration");
            }
            resource.access_token_signing_alg = Some(algorithm);
        }
        if let Some(scope) = self.scope {
            resource.scope = scope;
        }
        resource.access_token_lifetime = self.access_token_lifetime.or(resource.access_token_lifetime);
        Ok(())
    }
}

impl Create {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        if self.uri.as_str() == admin.config.server.issuer.as_str() {
            bail!("{} is the issuer itself: tokens without another resource are for it already", self.uri);
        }
        let now = admin.now();
        let mut resource = Resource {
            uri: self.uri,
            name: self.name,
            scope: Scope::default(),
            access_token_lifetime: None,
            access_token_signing_alg: None,
            created_at: now,
            updated_at: now,
        };
        self.settings.apply(&mut resource, admin)?;
        let mut tx = admin.store.begin().await?;
        if tx.insert_resource(&resource).await? == Stored::Conflict {
            bail!("there is a resource with the URI {} already", resource.uri);
        }
        tx.commit().await?;
        show(&resource, self.json)
    }
}

impl Update {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let mut resource = find(admin, &self.uri).await?;
        if let Some(name) = self.name {
            resource.name = name;
        }
        self.clear.iter().for_each(|setting| setting.apply(&mut resource));
        self.settings.apply(&mut resource, admin)?;
        let mut tx = admin.store.begin().await?;
        if tx.update_resource(&resource, admin.now()).await? == Stored::Conflict {
            bail!(
                "the resource {} was changed by somebody else at the same time: nothing was changed, try again",
                self.uri
            );
        }
        tx.commit().await?;
        show(&find(admin, &self.uri).await?, self.json)
    }
}
