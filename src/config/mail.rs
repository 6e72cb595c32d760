//! `[mail]`: how mail goes out, if any does.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::section::{Found, Section};
use super::{duration, seal};

/// What takes the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Nothing: no page offers what needs a mail.
    #[default]
    Off,
    Smtp,
    /// One file a message, in a directory.
    File,
    /// Standard output.
    Console,
}

/// How the connection to the SMTP server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// It begins in the clear and nothing is sent before STARTTLS (RFC 3207).
    #[default]
    Required,
    /// From the first byte (RFC 8314 §3.3).
    Implicit,
    /// Not at all: for a server on this machine.
    None,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    pub transport: Transport,
    /// The SMTP server.
    pub host: Option<String>,
    /// `None` is the usual one of `tls`.
    pub port: Option<u16>,
    pub tls: Tls,
    pub username: Option<String>,
    /// Best given as `GRANTOR__MAIL__PASSWORD`.
    #[serde(deserialize_with = "seal::secret")]
    pub password: Option<SecretString>,
    /// A file with the password and nothing else.
    pub password_file: Option<PathBuf>,
    /// From whom messages are.
    pub from: Option<Sender>,
    /// To whom an answer goes.
    pub reply_to: Option<Sender>,
    /// How long one message may take, from the lookup of the name to the server's last word.
    #[serde(deserialize_with = "duration::deserialize")]
    pub timeout: Duration,
    /// PEM file of authorities that are trusted beside those of the web.
    pub extra_ca: Option<PathBuf>,
    /// Whether people are told of a sign-in in a browser in which they had not signed in before.
    pub new_devices: bool,
    /// Where files go; `None` is `mail` in `server.data_dir`.
    pub directory: Option<PathBuf>,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            transport: Transport::Off,
            host: None,
            port: None,
            tls: Tls::Required,
            username: None,
            password: None,
            password_file: None,
            from: None,
            reply_to: None,
            timeout: Duration::from_secs(30),
            extra_ca: None,
            new_devices: true,
            directory: None,
        }
    }
}

impl Mail {
    /// Whether anything goes out.
    pub fn is_on(&self) -> bool {
        self.transport != Transport::Off
    }

    /// RFC 6409 §3.1, RFC 8314 §3.3, RFC 5321 §4.5.4.2
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Tls::Required => 587,
            Tls::Implicit => 465,
            Tls::None => 25,
        })
    }
}

impl Section for Mail {
    fn check(&self, found: &mut Found) {
        found.duration("timeout", self.timeout, Duration::from_millis(100)..=Duration::from_mins(1));
        if self.port == Some(0) {
            found.refuse("port", "must not be 0");
        }
        if self.is_on() && self.from.is_none() {
            found.refuse("from", "must be set where mail.transport is, as in \"Acme <no-reply@acme.example>\"");
        }
        if self.transport == Transport::Smtp && self.host.as_deref().unwrap_or_default().trim().is_empty() {
            found.refuse("host", "must name the SMTP server, as in \"smtp.example.com\"");
        }
        if self.password.is_some() && self.password_file.is_some() {
            found.refuse("password_file", "cannot be set beside mail.password: leave one of them out");
        }
        let has_password = self.password.is_some() || self.password_file.is_some();
        if self.username.is_some() != has_password {
            found.refuse("username", "and mail.password (or mail.password_file) belong together: set both or neither");
        }
        // RFC 4954 §4: what proves us must not be read on the way.
        if self.username.is_some() && self.tls == Tls::None {
            found.refuse("tls", "must be \"required\" or \"implicit\" where there is a password");
        }
    }
}

/// An address, perhaps with a name.
#[derive(Clone, PartialEq, Eq)]
pub struct Sender(pub Mailbox);

impl<'de> Deserialize<'de> for Sender {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |_| D::Error::custom("is not an address such as \"Acme <no-reply@acme.example>\"");
        text.parse().map(Self).map_err(wrong)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
