//! `grantor client create`.

use anyhow::{Context as _, bail};
use clap::Args;
use secrecy::SecretString;

use super::settings::{Settings, check, check_sector};
use super::{document, report};
use crate::cli::{Admin, Usage, input, output};
use crate::crypto::Random;
use crate::crypto::random::{secret, token};
use crate::store::Stored;
use crate::types::{AuthMethod, Client, ClientId, ClientMetadata, GrantType, SecretForm};

#[derive(Args)]
pub struct Create {
    /// What users are shown as the client's name.
    #[arg(long)]
    name: String,
    /// The client_id. By default a random one.
    #[arg(long)]
    id: Option<ClientId>,
    /// A client that cannot keep a secret: an application in a browser, on a phone or a desk.
    #[arg(long, conflicts_with_all = ["auth_method", "secret_stdin"])]
    public: bool,
    /// client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt, tls_client_auth,
    /// self_signed_tls_client_auth or none. [default: client_secret_basic]
    #[arg(long, value_name = "METHOD")]
    auth_method: Option<AuthMethod>,
    /// Read the secret from standard input instead of making one.
    #[arg(long)]
    secret_stdin: bool,
    #[command(flatten)]
    settings: Settings,
    /// Print the client information response of RFC 7591.
    #[arg(long)]
    json: bool,
}

impl Create {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let metadata = self.metadata()?;
        check(&metadata, admin)?;
        check_sector(&metadata, admin).await?;
        self.settings.check_types(&metadata, admin).await?;
        let (given, made) = self.secrets(admin, metadata.token_endpoint_auth_method)?;
        let secret = given.as_ref().or(made.as_ref());
        let now = admin.now();
        let mut client = Client {
            id: match &self.id {
                Some(id) => id.clone(),
                None => new_id(&admin.rng).context("no id could be made")?,
            },
            secret_hash: None,
            secret_sealed: None,
            metadata,
            created_at: now,
            updated_at: now,
            disabled_at: None,
            registration: None,
        };
        if let Some(secret) = secret {
            admin.keep_secret(&mut client, secret).await?;
        }
        let mut tx = admin.store.begin().await?;
        if tx.insert_client(&client).await? == Stored::Conflict {
            bail!("there is a client with the id {} already", client.id);
        }
        tx.commit().await?;

        if self.json {
            return output::json(&document(&client, made.as_ref())?);
        }
        let mut text = report(&format!("Registered {}.", client.metadata.client_name), &client, made.as_ref());
        if self.settings.says_nothing_of_grants() && client.may_use(GrantType::ClientCredentials) {
            text += "\nIt acts for itself alone (client_credentials). For people to sign in to it, it needs a --redirect-uri.\n";
        }
        if client.metadata.scope.is_empty() && !client.metadata.grant_types.is_empty() {
            let example =
                if client.may_use(GrantType::AuthorizationCode) { "openid profile email" } else { "notes:read" };
            text += "\nIt may ask for no scope yet. To let it, as an example:\n";
            text += &format!("  grantor client update {} --scope \"{example}\"\n", client.id);
        }
        Ok(text)
    }

    fn metadata(&self) -> anyhow::Result<ClientMetadata> {
        let auth_method = self.auth_method.unwrap_or(AuthMethod::ClientSecretBasic);
        let mut metadata = ClientMetadata {
            client_name: self.name.clone(),
            token_endpoint_auth_method: if self.public { AuthMethod::None } else { auth_method },
            ..ClientMetadata::default()
        };
        self.settings.apply(&mut metadata)?;
        if metadata.grant_types.is_empty() {
            // A public client without redirect URIs is told what it lacks, not what it did not ask for.
            let public = metadata.token_endpoint_auth_method == AuthMethod::None;
            metadata.grant_types = match (metadata.redirect_uris.is_empty() && !public, metadata.resource_server) {
                (false, _) => vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
                // It checks the tokens of others, and needs none.
                (true, true) => Vec::new(),
                (true, false) => vec![GrantType::ClientCredentials],
            };
        }
        Ok(metadata)
    }

    /// The secret that was given, or the one that is made.
    fn secrets(
        &self,
        admin: &Admin,
        method: AuthMethod,
    ) -> anyhow::Result<(Option<SecretString>, Option<SecretString>)> {
        match (method.secret(), self.secret_stdin) {
            (SecretForm::None, true) => {
                Err(Usage(format!("a client of {method} has no secret: leave --secret-stdin out")).into())
            }
            (SecretForm::None, false) => Ok((None, None)),
            (_, true) => Ok((Some(input::client_secret()?), None)),
            (_, false) => Ok((None, Some(secret(&admin.rng)))),
        }
    }
}

/// 128 random bits, and never a dash first: a command line would take it for a flag.
fn new_id(rng: &dyn Random) -> Option<ClientId> {
    std::iter::repeat_with(|| token(rng, 16)).find(|id| !id.starts_with('-')).as_deref().and_then(ClientId::parse)
}
