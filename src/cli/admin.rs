//! What every administrative command works with: the database itself, whether a server runs on it or not. A running
//! server hears of each change by the feed.

use std::sync::Arc;

use anyhow::{anyhow, bail};
use secrecy::SecretString;

use crate::account::password::PasswordRules;
use crate::account::{Accounts, throttle};
use crate::app::{self, data, secret};
use crate::config::{self, Config, Overrides};
use crate::crypto::{KeyRing, Mac, SystemRandom};
use crate::oauth::{Subjects, client_secret, subjects};
use crate::store::{Store, Stored};
use crate::types::{Client, ClientId, Clock, SecretForm, SystemClock, Timestamp, User, UserId};

/// How often a change is tried again that another forestalled.
const ATTEMPTS: usize = 5;

pub struct Admin {
    pub config: Config,
    pub store: Store,
    pub rng: SystemRandom,
    clock: Arc<dyn Clock>,
}

impl Admin {
    /// Says so when it made a new database: whoever is in another directory than the server would not notice.
    pub async fn open(overrides: &Overrides) -> anyhow::Result<Self> {
        let new = data::missing_database(&Config::load(overrides, config::environment())?);
        let admin = Self::open_or_make(overrides).await?;
        if let Some(path) = new {
            // Standard output may be read by a program.
            eprintln!(
                "Made the new database {}. If a server runs already, it has another: name it by --data-dir, --config or \
                 GRANTOR__DATABASE__URL.",
                path.display()
            );
        }
        Ok(admin)
    }

    pub async fn open_or_make(overrides: &Overrides) -> anyhow::Result<Self> {
        let config = Config::load(overrides, config::environment())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        data::prepare(&config)?;
        let store = data::open_store(&config, Arc::clone(&clock)).await?;
        Ok(Self { config, store, rng: SystemRandom::new(), clock })
    }

    /// For what changes nothing.
    ///
    /// # Errors
    /// When there is no database yet, too.
    pub async fn open_existing(overrides: &Overrides) -> anyhow::Result<Self> {
        let config = Config::load(overrides, config::environment())?;
        if let Some(path) = data::missing_database(&config) {
            bail!(
                "there is no database at {}: run this where the server runs, or name its data by --data-dir, --config or \
                 GRANTOR__DATABASE__URL",
                path.display()
            );
        }
        Self::open_or_make(overrides).await
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Keeps a client's secret as its method needs it.
    pub async fn keep_secret(&self, client: &mut Client, secret: &SecretString) -> anyhow::Result<()> {
        let ring = match client.metadata.token_endpoint_auth_method.secret() {
            SecretForm::Sealed => Some(self.servers_key_ring().await?),
            SecretForm::Hashed | SecretForm::None => None,
        };
        client_secret::keep(client, secret, ring.as_ref(), &self.rng).map_err(|why| anyhow!("{why}"))
    }

    /// The key ring of the servers. Never another one beside it: they could not open what it seals.
    pub async fn servers_key_ring(&self) -> anyhow::Result<KeyRing> {
        let file = self.config.seal_file();
        if self.config.seal.keys.is_none() && !file.exists() && !self.store.keys().await?.is_empty() {
            bail!(
                "the key ring file {} is not there: this needs the one that the servers have (name it with --data-dir or \
                 --config, or set GRANTOR__SEAL__KEYS)",
                file.display()
            );
        }
        data::key_ring(&self.config, &self.rng)
    }

    /// What people do with their accounts.
    pub async fn accounts(&self) -> anyhow::Result<Accounts> {
        Ok(Accounts {
            config: Arc::new(self.config.clone()),
            store: self.store.clone(),
            hashing: app::password_hashing(&self.config)?,
            rules: Arc::new(PasswordRules::new(&self.config)?),
            ring: Arc::new(self.servers_key_ring().await?),
            mac: self.mac().await?,
            rng: Arc::new(self.rng.clone()),
        })
    }

    /// Who writes letters, where mail goes out.
    pub async fn writer(&self) -> anyhow::Result<Option<Accounts>> {
        Ok(if self.config.mail.is_on() { Some(self.accounts().await?) } else { None })
    }

    /// How clients know people.
    pub async fn subjects(&self) -> anyhow::Result<Subjects> {
        let ring = self.servers_key_ring().await?;
        let place = (&self.store, &ring);
        Ok(Subjects::new(&secret::open(place, subjects::SECRET, &self.rng, self.now()).await?))
    }

    /// What the servers hash attempts with.
    pub async fn mac(&self) -> anyhow::Result<Mac> {
        let ring = self.servers_key_ring().await?;
        Ok(Mac::new(&secret::open((&self.store, &ring), throttle::SECRET, &self.rng, self.now()).await?))
    }

    pub async fn client(&self, id: &ClientId) -> anyhow::Result<Client> {
        let client = self.store.client(id).await?;
        client.map(Arc::unwrap_or_clone).ok_or_else(|| anyhow!("no client has the id {id}"))
    }

    /// The user of this id, username or e-mail address.
    pub async fn user(&self, named: &str) -> anyhow::Result<User> {
        if let Some(id) = UserId::parse(named)
            && let Some(user) = self.store.user(id).await?
        {
            return Ok(user);
        }
        let user = self.store.user_by_login(named).await?;
        user.ok_or_else(|| anyhow!("no user has the username, e-mail address or id {named:?}"))
    }

    /// Changes what is registered of a client, on top of whatever others change at the same time. What is so already is
    /// not written.
    pub async fn change_client(
        &self,
        id: &ClientId,
        change: impl AsyncFn(&mut Client) -> anyhow::Result<()>,
    ) -> anyhow::Result<Client> {
        for _ in 0..ATTEMPTS {
            let before = self.client(id).await?;
            let mut client = before.clone();
            change(&mut client).await?;
            let registered = |client: &Client| {
                let Client { metadata, secret_hash, secret_sealed, registration, .. } = client.clone();
                (metadata, secret_hash, secret_sealed, registration)
            };
            if registered(&client) == registered(&before) {
                return Ok(client);
            }
            let now = self.now();
            let mut tx = self.store.begin().await?;
            if tx.update_client(&client, now).await? == Stored::Stored {
                tx.commit().await?;
                return Ok(Client { updated_at: now, ..client });
            }
            drop(tx);
            // Forgets what was read of it.
            self.store.read_changes().await?;
        }
        bail!("the client {id} is being changed by others all the time: nothing was changed, try again")
    }
}
