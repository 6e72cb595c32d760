//! `grantor demo`: the server, somebody to sign in as, and an example application, in one process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::serve::stopped;
use crate::app::{self, Ambient, App};
use crate::config::{self, Config, Overrides, ScopeWords};
use crate::crypto::{Random, random, sha256};
use crate::demo::{self, Demo, SCOPES};
use crate::store::Store;
use crate::telemetry;
use crate::types::{Client, ClientId, Fault, Memberships, User, UserId};

#[derive(Args)]
pub struct DemoArgs {
    /// Address and port of the server. [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Address and port of the example application. [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    pub app_listen: Option<SocketAddr>,
}

const USERNAME: &str = "ada";
const APPLICATION: &str = "demo-app";
const API: &str = "demo-api";
const MACHINE: &str = "demo-machine";

pub async fn run(args: DemoArgs, overrides: Overrides) -> anyhow::Result<()> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = app::listen(args.listen.unwrap_or(loopback(8080)))
        .map_err(|why| anyhow!("{why:#}; choose another address with --listen"))?;
    let app_listener = app::listen(args.app_listen.unwrap_or(loopback(8081)))
        .map_err(|why| anyhow!("{why:#}; choose another address with --app-listen"))?;
    let issuer = format!("http://localhost:{}", listener.local_addr()?.port());
    let app_url = format!("http://localhost:{}", app_listener.local_addr()?.port());

    let ambient = Ambient::system();
    // Without a directory of its own, the demo leaves nothing behind.
    let folder = overrides.data_dir.is_none().then(|| Folder::new(&*ambient.rng)).transpose()?;
    let data_dir = overrides.data_dir.clone().or_else(|| folder.as_ref().map(|folder| folder.0.clone()));
    let listen = Some(listener.local_addr()?);
    let overrides = Overrides { listen, issuer: Some(issuer.clone()), data_dir, ..overrides };
    let config = configure(&overrides)?;
    let _logging = telemetry::init(&config.log)?;

    let app = App::start(config.clone(), ambient.clone()).await?;
    refuse_other_peoples_data(app.store()).await?;
    let cast = Cast::new(&*ambient.rng);
    cast.enter(&app, &config, &ambient, &app_url).await?;
    println!("{}", cast.introduce(&issuer, &app_url));

    app_listener.set_nonblocking(true)?;
    let example =
        axum_server::from_tcp(app_listener)?.serve(demo::router(cast.demo(issuer, app_url)).into_make_service());
    let example = tokio::spawn(example);
    let served = app.serve(listener, stopped()?).await;
    example.abort();
    served
}

/// The demo gives its user a new password, so it keeps away from a database that anybody else uses.
async fn refuse_other_peoples_data(store: &Store) -> anyhow::Result<()> {
    let (users, clients) = (store.users().await?, store.clients().await?);
    let ours = |client: &Client| [APPLICATION, API, MACHINE].contains(&client.id.as_str());
    let begun_here = users.is_empty() || clients.iter().any(ours);
    if begun_here && users.iter().all(|user| user.username == USERNAME) && clients.iter().all(ours) {
        return Ok(());
    }
    anyhow::bail!(
        "the demo is for a database of its own, and this one has users or clients already: leave --data-dir, --database \
         and GRANTOR__DATABASE__URL out, or name an empty one"
    )
}

/// The usual configuration, with a word for the example's own scope and a quiet log.
fn configure(overrides: &Overrides) -> anyhow::Result<Config> {
    let mut config = Config::load(overrides, config::environment())?;
    let words = ScopeWords {
        title: "Read your notes".to_owned(),
        detail: Some("Those that the example application shows".to_owned()),
        groups: Vec::new(),
    };
    config.scopes.0.entry("notes:read".to_owned()).or_insert(words);
    if overrides.config_file.is_none() {
        "warn".clone_into(&mut config.log.filter);
    }
    Ok(config)
}

/// Who takes part: their secrets are new at every start, and only printed.
struct Cast {
    password: SecretString,
    application: SecretString,
    api: SecretString,
    machine: SecretString,
}

impl Cast {
    fn new(rng: &dyn Random) -> Self {
        let secret = || random::secret(rng);
        Self { password: password(rng), application: secret(), api: secret(), machine: secret() }
    }

    /// Registers everybody, or gives them their new secrets.
    async fn enter(&self, app: &App, config: &Config, ambient: &Ambient, app_url: &str) -> anyhow::Result<()> {
        let hash = app::password_hashing(config)?.hash(self.password.clone(), &*ambient.rng).await;
        let hash = hash.map_err(|_| anyhow::anyhow!("the password hasher is busy"))?;
        user(app.store(), ambient, &hash).await?;

        let application = json!({
            "client_name": "Notes",
            "redirect_uris": [format!("{app_url}/callback")],
            "post_logout_redirect_uris": [format!("{app_url}/")],
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": SCOPES.join(" "),
        });
        let api = json!({
            "client_name": "Notes API",
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": [],
            "resource_server": true,
        });
        let machine = json!({
            "client_name": "Notes backup",
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["client_credentials"],
            "scope": "notes:read",
        });
        let clients =
            [(APPLICATION, application, &self.application), (API, api, &self.api), (MACHINE, machine, &self.machine)];
        for (id, metadata, secret) in clients {
            let now = ambient.clock.now();
            let client = Client {
                id: id.parse().map_err(anyhow::Error::msg)?,
                secret_hash: Some(sha256(secret.expose_secret().as_bytes())),
                secret_sealed: None,
                metadata: serde_json::from_value(metadata)?,
                created_at: now,
                updated_at: now,
                disabled_at: None,
                registration: None,
            };
            register(app.store(), client).await?;
        }
        Ok(())
    }

    fn demo(&self, issuer: String, app_url: String) -> Demo {
        Demo {
            issuer,
            app_url,
            client_id: APPLICATION.to_owned(),
            client_secret: self.application.clone(),
            api_client_id: API.to_owned(),
            api_client_secret: self.api.clone(),
            username: USERNAME.to_owned(),
        }
    }

    /// What the terminal shows.
    fn introduce(&self, issuer: &str, app_url: &str) -> String {
        let (password, machine, api) =
            (self.password.expose_secret(), self.machine.expose_secret(), self.api.expose_secret());
        format!(
            r#"
Grantor runs, with an example application beside it.

  Open this in a browser    {app_url}
  Sign in as                {USERNAME}
  Password                  {password}

  The server itself         {issuer}
  Your account there        {issuer}/account

Without a browser: a client gets a token for itself, and an API asks what it is good for. Paste this:

  TOKEN=$(curl -s -u {MACHINE}:{machine} -d grant_type=client_credentials -d scope=notes:read {issuer}/oauth/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -s -u {API}:{api} -d token="$TOKEN" {issuer}/oauth/introspect

Ctrl-C ends it.
"#
        )
    }
}

/// The demo's user, with a new password.
async fn user(store: &Store, ambient: &Ambient, hash: &str) -> Result<(), Fault> {
    let now = ambient.clock.now();
    let known = store.user_by_login(USERNAME).await?;
    let mut tx = store.begin().await?;
    if let Some(user) = known {
        tx.set_password(user.id, hash, now).await?;
    } else {
        let user = User {
            id: UserId::new(random::uuid_v4(&*ambient.rng)),
            username: USERNAME.to_owned(),
            email: Some("ada@example.org".to_owned()),
            email_verified: true,
            claims: serde_json::Map::from_iter([("name".to_owned(), "Ada Lovelace".into())]),
            created_at: now,
            updated_at: now,
            disabled_at: None,
            memberships: Memberships::default(),
        };
        tx.insert_user(&user, Some(hash)).await?;
    }
    tx.commit().await
}

/// A client of the demo, or the one of an earlier start with its new secret.
async fn register(store: &Store, client: Client) -> Result<(), Fault> {
    let id: ClientId = client.id.clone();
    let known = store.client(&id).await?;
    let now = client.updated_at;
    let mut tx = store.begin().await?;
    match known {
        Some(known) => tx.update_client(&Client { updated_at: known.updated_at, ..client }, now).await?,
        None => tx.insert_client(&client).await?,
    };
    tx.commit().await
}

/// Sixteen characters that are hard to mistake: 80 random bits.
fn password(rng: &dyn Random) -> SecretString {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let characters: String =
        random::bytes::<16>(rng).iter().map(|b| char::from(ALPHABET[usize::from(b & 31)])).collect();
    [&characters[..4], &characters[4..8], &characters[8..12], &characters[12..]].join("-").into()
}

/// A directory that goes when the demo ends.
struct Folder(PathBuf);

impl Folder {
    fn new(rng: &dyn Random) -> anyhow::Result<Self> {
        let path: &Path = &std::env::temp_dir().join(format!("grantor-demo-{}", random::token(rng, 9)));
        std::fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whatever is left is in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
