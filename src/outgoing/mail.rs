//! Mail, as it leaves: over SMTP, or for trials into files or to standard output. What it says is made elsewhere.
//!
//! Addresses are parsed by lettre and headers written by it, so nothing that a person typed becomes a header of its own.

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{self, response::Response};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::types::Timestamp;

type Smtp = AsyncSmtpTransport<Tokio1Executor>;

/// How mail goes out.
pub struct Options {
    pub way: Way,
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
    /// The name by which we introduce ourselves, and of which message ids are.
    pub domain: String,
    pub timeout: Duration,
}

pub enum Way {
    Smtp {
        host: String,
        port: u16,
        security: Security,
        /// Name and password.
        credentials: Option<(String, String)>,
    },
    Files(PathBuf),
    Console,
}

/// How a connection is protected.
pub enum Security {
    /// By STARTTLS, before anything is sent. Certificates, as PEM, of authorities that are trusted beside the web's.
    StartTls(Option<Vec<u8>>),
    /// From the first byte.
    Implicit(Option<Vec<u8>>),
    None,
}

/// One message.
pub struct Mail<'a> {
    /// The same for each attempt, so that who gets it twice may notice.
    pub id: &'a str,
    pub to: &'a str,
    pub subject: &'a str,
    pub text: String,
    pub html: String,
}

/// Why a message did not go out: words for a log, with what the server said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// It would be refused again.
    #[error("{0}")]
    Refused(String),
    /// It may go better later.
    #[error("{0}")]
    Failed(String),
}

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    carrier: Carrier,
    from: Mailbox,
    reply_to: Option<Mailbox>,
    domain: String,
    timeout: Duration,
}

enum Carrier {
    Smtp(Box<Smtp>),
    Files(PathBuf),
    Console,
}

/// Whether a message can be sent to an address.
pub fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

impl Mailer {
    /// Makes it; nothing is connected yet.
    ///
    /// # Errors
    /// In words, when the extra authorities are not PEM certificates.
    pub fn new(options: Options) -> Result<Self, String> {
        let Options { way, from, reply_to, domain, timeout } = options;
        let carrier = match way {
            Way::Smtp { host, port, security, credentials } => {
                let builder = Smtp::builder_dangerous(&host)
                    .port(port)
                    .timeout(Some(timeout))
                    .hello_name(ClientId::Domain(domain.clone()))
                    .tls(tls(&host, security)?);
                let builder = match credentials {
                    Some((name, password)) => builder.credentials(Credentials::new(name, password)),
                    None => builder,
                };
                Carrier::Smtp(Box::new(builder.build()))
            }
            Way::Files(directory) => Carrier::Files(directory),
            Way::Console => Carrier::Console,
        };
        Ok(Self(Arc::new(Inner { carrier, from, reply_to, domain, timeout })))
    }

    /// Sends one message; what became of it, in the server's words.
    ///
    /// # Errors
    /// When it did not go out, as far as can be known.
    pub async fn send(&self, mail: Mail<'_>, now: Timestamp) -> Result<String, MailError> {
        let inner = &*self.0;
        let id = mail.id.to_owned();
        let text = matches!(inner.carrier, Carrier::Console).then(|| mail.text.clone());
        let to = mail.to.to_owned();
        let message = inner.message(mail, now)?;
        match &inner.carrier {
            Carrier::Smtp(smtp) => {
                let sent = tokio::time::timeout(inner.timeout, smtp.send(message)).await;
                let said = sent.map_err(|_| MailError::Failed("the server took too long".to_owned()))?;
                said.map(|said| words(&said)).map_err(|why| judged(&why))
            }
            Carrier::Files(directory) => {
                let path = directory.join(format!("{}-{id}.eml", now.millis()));
                put(directory, &path, &message.formatted())
                    .map_err(|why| MailError::Failed(format!("{}: {why}", path.display())))?;
                Ok(format!("it is in {}", path.display()))
            }
            Carrier::Console => {
                println!("To: {to}\n\n{}", text.unwrap_or_default());
                Ok("it stands above".to_owned())
            }
        }
    }
}

impl Inner {
    fn message(&self, mail: Mail<'_>, now: Timestamp) -> Result<Message, MailError> {
        let refused = |what: &str, why: &dyn std::fmt::Display| MailError::Refused(format!("{what}: {why}"));
        let to = mail.to.parse::<Address>().map_err(|why| refused("the address cannot be written to", &why))?;
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
            .message_id(Some(format!("<{}@{}>", mail.id, self.domain)));
        let builder = match &self.reply_to {
            Some(reply_to) => builder.reply_to(reply_to.clone()),
            None => builder,
        };
        // RFC 3834 §5: nobody's holiday notice is sent back.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let builder = builder.raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        let both = MultiPart::alternative_plain_html(mail.text, mail.html);
        builder.multipart(both).map_err(|why| refused("the message cannot be written", &why))
    }
}

fn tls(host: &str, security: Security) -> Result<Tls, String> {
    let parameters = |extra_ca: Option<Vec<u8>>| {
        let builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::WebpkiRoots);
        let builder = match extra_ca {
            Some(pem) => builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|why| told(&why))?),
            None => builder,
        };
        builder.build().map_err(|why| told(&why))
    };
    Ok(match security {
        Security::StartTls(extra_ca) => Tls::Required(parameters(extra_ca)?),
        Security::Implicit(extra_ca) => Tls::Wrapper(parameters(extra_ca)?),
        Security::None => Tls::None,
    })
}

/// RFC 5321 §4.2.1: what begins with 5 would be refused again; so would a recipient or a message, but not a password
/// that somebody is about to set right (RFC 4954 §6), nor a server that takes no mail today (RFC 7504).
fn judged(error: &smtp::Error) -> MailError {
    let code = error.status().map(u16::from);
    match code {
        Some(550..=554) => MailError::Refused(told(error)),
        _ => MailError::Failed(told(error)),
    }
}

/// With its causes: the outermost says no more than "network error".
fn told(error: &smtp::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}

fn words(said: &Response) -> String {
    let lines: Vec<&str> = said.message().collect();
    format!("{} {}", said.code(), lines.join(" ")).trim_end().to_owned()
}

/// Whole or not at all, for its owner alone: there are links in it.
fn put(directory: &Path, path: &Path, message: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let draft = path.with_extension("tmp");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    io::Write::write_all(&mut file, message)?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner() -> Inner {
        Inner {
            carrier: Carrier::Console,
            from: "Acme <no-reply@acme.example>".parse().unwrap(),
            reply_to: Some("help@acme.example".parse().unwrap()),
            domain: "auth.example".to_owned(),
            timeout: Duration::from_secs(1),
        }
    }

    fn mail<'a>(to: &'a str, subject: &'a str) -> Mail<'a> {
        Mail { id: "one", to, subject, text: "Grüße\n".to_owned(), html: "<p>Grüße</p>".to_owned() }
    }

    #[test]
    fn a_message_has_both_parts_and_says_that_a_machine_wrote_it() {
        let message = inner().message(mail("ada@example.org", "Ein Gruß"), Timestamp::from_secs(0)).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        for line in [
            "From: Acme <no-reply@acme.example>\r\n",
            "Reply-To: help@acme.example\r\n",
            "To: ada@example.org\r\n",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n",
            "Message-ID: <one@auth.example>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: multipart/alternative;",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
        // A server without 8BITMIME takes it as well.
        assert!(text.is_ascii(), "{text}");
    }

    #[test]
    fn nobody_writes_a_header_through_what_they_type() {
        for to in
            ["ada@example.org\r\nBcc: eve@example.org", "ada@example.org, eve@example.org", "<ada@example.org>", ""]
        {
            assert!(
                matches!(inner().message(mail(to, "x"), Timestamp::from_secs(0)), Err(MailError::Refused(_))),
                "{to}"
            );
            assert!(!is_address(to), "{to}");
        }
        assert!(is_address("ada@example.org"));
        let message = inner().message(mail("ada@example.org", "x\r\nBcc: eve@example.org"), Timestamp::from_secs(0));
        let text = String::from_utf8(message.unwrap().formatted()).unwrap();
        assert!(!text.contains("\r\nBcc:"), "{text}");
    }
}
