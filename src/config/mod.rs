//! The configuration: defaults, then the TOML file, then `GRANTOR__SECTION__KEY` variables, then flags; later ones win.
//!
//! One file a section. Everything is checked before anything starts, and every problem is told at once.
//! `config.example.toml` shows each key with its default.

pub mod about;
pub mod account;
pub mod authorization;
pub mod brand;
pub mod client_authentication;
pub mod database;
pub mod device;
pub mod dpop;
mod duration;
pub mod error;
pub mod feed;
pub mod groups;
pub mod issuer;
pub mod keys;
mod layers;
pub mod log;
pub mod mail;
pub mod outgoing;
pub mod overrides;
pub mod password;
pub mod personal_tokens;
mod reader;
pub mod refresh;
pub mod registration;
pub mod scopes;
pub mod seal;
pub mod second_factor;
mod section;
pub mod security;
pub mod server;
pub mod session;
pub mod sign_up;
pub mod signed_urls;
pub mod throttle;
pub mod tls;
pub mod tokens;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use about::About;
pub use account::Account;
pub use authorization::Authorization;
pub use brand::Brand;
pub use client_authentication::ClientAuthentication;
pub use database::{Database, DatabaseUrl};
pub use device::Device;
pub use dpop::Dpop;
pub use error::{ConfigError, Problem, Source};
pub use feed::Feed;
pub use groups::{Groups, ToldGroups};
pub use issuer::Issuer;
pub use keys::Keys;
pub use log::{Log, LogFormat};
pub use mail::Mail;
pub use outgoing::Outgoing;
pub use overrides::Overrides;
pub use password::Password;
pub use personal_tokens::PersonalTokens;
pub use refresh::Refresh;
pub use registration::Registration;
pub use scopes::{ScopeWords, Scopes};
pub use seal::Seal;
pub use second_factor::SecondFactor;
pub use security::Security;
pub use server::Server;
pub use session::Session;
pub use sign_up::SignUp;
pub use signed_urls::SignedUrls;
pub use throttle::Throttle;
pub use tls::Tls;
pub use tokens::{ACCESS_TOKEN_CEILING, ID_TOKEN_CEILING, Tokens};

use layers::Layers;
use reader::Reader;

/// Every setting. `Debug` shows no secret.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub server: Server,
    pub about: About,
    pub tls: Tls,
    pub database: Database,
    pub seal: Seal,
    pub tokens: Tokens,
    pub refresh: Refresh,
    pub authorization: Authorization,
    pub device: Device,
    pub scopes: Scopes,
    pub groups: Groups,
    pub session: Session,
    pub second_factor: SecondFactor,
    pub throttle: Throttle,
    pub password: Password,
    pub brand: Brand,
    pub account: Account,
    pub personal_tokens: PersonalTokens,
    pub keys: Keys,
    pub security: Security,
    pub feed: Feed,
    pub client_authentication: ClientAuthentication,
    pub dpop: Dpop,
    pub registration: Registration,
    pub outgoing: Outgoing,
    pub mail: Mail,
    pub signed_urls: SignedUrls,
    pub sign_up: SignUp,
    pub log: Log,
}

impl Config {
    /// Reads all layers; `environment` is usually [`environment()`].
    ///
    /// # Errors
    /// Every problem that was found, each with the place where it was written.
    pub fn load(
        overrides: &Overrides,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        overrides.read_file(&mut layers);
        layers.environment(environment);
        overrides.read_flags(&mut layers);
        Self::read(layers)
    }

    /// Reads a file's text alone.
    ///
    /// # Errors
    /// Every problem that was found, each with its line.
    pub fn parse(toml: &str) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        layers.file("config", toml);
        Self::read(layers)
    }

    /// Where the data is: `database.url`, or a file in the data directory.
    pub fn database_url(&self) -> DatabaseUrl {
        let embedded = || DatabaseUrl::Sqlite(self.server.data_dir.join("grantor.db"));
        self.database.url.clone().unwrap_or_else(embedded)
    }

    /// The key ring's file, which counts unless `seal.keys` is set.
    pub fn seal_file(&self) -> PathBuf {
        self.seal.file.clone().unwrap_or_else(|| self.server.data_dir.join("seal.key"))
    }

    /// Whether a client can show a certificate, here or to a proxy.
    pub fn takes_client_certificates(&self) -> bool {
        self.tls.client_certificates == tls::ClientCertificates::Optional
            || self.server.client_certificate_header.is_some()
    }

    fn read(layers: Layers) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(layers);
        let mut config = Self {
            server: reader.section("server"),
            about: reader.section("about"),
            tls: reader.section("tls"),
            database: reader.section("database"),
            seal: reader.section("seal"),
            tokens: reader.section("tokens"),
            refresh: reader.section("refresh"),
            authorization: reader.section("authorization"),
            device: reader.section("device"),
            scopes: reader.section("scopes"),
            groups: reader.section("groups"),
            session: reader.section("session"),
            second_factor: reader.section("second_factor"),
            throttle: reader.section("throttle"),
            password: reader.section("password"),
            brand: reader.section("brand"),
            account: reader.section("account"),
            personal_tokens: reader.section("personal_tokens"),
            keys: reader.section("keys"),
            security: reader.section("security"),
            feed: reader.section("feed"),
            client_authentication: reader.section("client_authentication"),
            dpop: reader.section("dpop"),
            registration: reader.section("registration"),
            outgoing: reader.section("outgoing"),
            mail: reader.section("mail"),
            signed_urls: reader.section("signed_urls"),
            sign_up: reader.section("sign_up"),
            log: reader.section("log"),
        };
        // What spans sections is only judged when each of them is sound.
        if reader.problems.is_empty() {
            config.settle_issuer(&mut reader);
            if config.sign_up.mode == sign_up::Who::Open && !config.mail.is_on() {
                reader.refuse("sign_up", "mode", "needs mail.transport: an address is proved by a mail");
            }
            if !config.keys.algorithms.contains(&config.tokens.access_token_algorithm) {
                let algorithm = config.tokens.access_token_algorithm;
                reader.refuse("keys", "algorithms", format!("must have {algorithm}, tokens.access_token_algorithm"));
            }
        }
        let problems = reader.finish();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }

    /// A listener on loopback has an issuer of itself; any other must be told under which URL it is reached.
    fn settle_issuer(&mut self, reader: &mut Reader) {
        let tls = self.tls.files().is_some();
        if reader.layers.is_set("server", "issuer") {
            if tls && !self.server.issuer.is_https() {
                reader.refuse("server", "issuer", "must be https when tls.cert is set");
            }
            return;
        }
        let listen = self.server.listen;
        if !listen.ip().is_loopback() || listen.port() == 0 {
            let why = format!(
                "must be set when server.listen is {listen}: the URL at which browsers reach the server, such as \
                 \"https://auth.example.com\""
            );
            return reader.refuse("server", "issuer", why);
        }
        let (scheme, usual_port) = if tls { ("https", 443) } else { ("http", 80) };
        let port = if listen.port() == usual_port { String::new() } else { format!(":{}", listen.port()) };
        match format!("{scheme}://localhost{port}").parse() {
            Ok(issuer) => self.server.issuer = issuer,
            Err(why) => reader.refuse("server", "issuer", why),
        }
    }
}

/// The variables of this process, those that are not Unicode in the nearest that is: their check says the rest.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}
