//! A mail server: it speaks SMTP over a socket, takes what it is sent, or behaves as badly as real ones do.

use std::net::TcpListener as StdListener;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::app::{Folder, eventually};
use super::website::certificate;

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    Takes,
    /// Answers a recipient so.
    Says(&'static str),
    /// Lets everybody wait, from the first word on.
    Stalls,
}

/// How its connections are protected.
#[derive(Clone)]
pub enum Protection {
    None,
    StartTls(TlsAcceptor),
    Implicit(TlsAcceptor),
}

/// A message as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub to: String,
    pub raw: String,
    pub encrypted: bool,
    /// Name and password.
    pub signed_in: Option<String>,
}

/// Stops listening when it is dropped.
pub struct MailServer {
    pub port: u16,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
    /// Where its certificate is.
    folder: Option<Folder>,
}

struct Inner {
    manner: Mutex<Manner>,
    protection: Protection,
    mails: Mutex<Vec<Received>>,
    /// How many have connected.
    visits: Mutex<usize>,
}

/// The certificate in a folder (`website::certificate`), for one of the two protections.
pub fn acceptor(folder: &Folder) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(folder.path("tls.crt")).expect("a certificate");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.path("tls.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("they belong together")))
}

impl MailServer {
    pub async fn start() -> Self {
        Self::start_at(0, Protection::None).await
    }

    /// One that wants STARTTLS, with a certificate of its own for localhost.
    pub async fn start_tls() -> Self {
        let folder = Folder::new();
        certificate(&folder);
        let protection = Protection::StartTls(acceptor(&folder));
        let mut server = Self::start_at(0, protection).await;
        server.folder = Some(folder);
        server
    }

    /// The file of its certificate.
    pub fn certificate(&self) -> String {
        let folder = self.folder.as_ref().expect("it has a certificate of its own");
        folder.path("tls.crt").display().to_string()
    }

    pub async fn start_at(port: u16, protection: Protection) -> Self {
        let listener = StdListener::bind(("127.0.0.1", port)).expect("the port is free");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("it is bound").port();
        let listener = TcpListener::from_std(listener).expect("a socket");
        let inner = Arc::new(Inner {
            manner: Mutex::new(Manner::Takes),
            protection,
            mails: Mutex::default(),
            visits: Mutex::default(),
        });
        let shared = inner.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *shared.visits.lock().expect("no test panicked with it") += 1;
                // Who hangs up in the middle is no concern of a test's.
                tokio::spawn(shared.clone().receive(stream));
            }
        });
        Self { port, inner, server, folder: None }
    }

    /// The section of a server that sends its mail here, in the clear.
    pub fn toml(&self) -> String {
        self.toml_with("tls = \"none\"\nhost = \"127.0.0.1\"\nnew_devices = false\n")
    }

    /// The same of one that does not wait long.
    pub fn toml_in_a_hurry(&self) -> String {
        self.toml().replace("10s", "2s")
    }

    /// The same behind a proxy, so that people come from where they say (`web::throttle::at`).
    pub fn toml_behind_a_proxy(&self) -> String {
        format!("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n{}", self.toml())
    }

    pub fn toml_with(&self, more: &str) -> String {
        format!(
            "[mail]\ntransport = \"smtp\"\nport = {}\nfrom = \"Acme <no-reply@acme.example>\"\ntimeout = \"10s\"\n{more}",
            self.port
        )
    }

    pub fn behaves(&self, manner: Manner) {
        *self.inner.manner.lock().expect("no test panicked with it") = manner;
    }

    pub fn mails(&self) -> Vec<Received> {
        self.inner.mails.lock().expect("no test panicked with it").clone()
    }

    pub fn visits(&self) -> usize {
        *self.inner.visits.lock().expect("no test panicked with it")
    }

    /// Waits until so many have arrived in all, and gives the last.
    pub async fn receives(&self, count: usize) -> Received {
        eventually("the mail arrives", async || self.mails().len() >= count).await;
        let mails = self.mails();
        assert_eq!(mails.len(), count, "{mails:#?}");
        mails.last().expect("there is one").clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Inner {
    async fn receive(self: Arc<Self>, stream: TcpStream) -> Option<()> {
        match &self.protection {
            Protection::Implicit(acceptor) => {
                let stream = acceptor.accept(stream).await.ok()?;
                Session::new(&self, BufReader::new(stream), true).run().await.map(drop)
            }
            Protection::None => Session::new(&self, BufReader::new(stream), false).run().await.map(drop),
            Protection::StartTls(acceptor) => {
                let stream = Session::new(&self, BufReader::new(stream), false).run().await?;
                let stream = acceptor.accept(stream.into_inner()).await.ok()?;
                let mut session = Session::new(&self, BufReader::new(stream), true);
                // RFC 3207 §4.2: it begins anew, without another greeting.
                session.greeted = true;
                session.run().await.map(drop)
            }
        }
    }

    fn manner(&self) -> Manner {
        *self.manner.lock().expect("no test panicked with it")
    }
}

struct Session<'a, S> {
    server: &'a Inner,
    stream: BufReader<S>,
    encrypted: bool,
    greeted: bool,
    signed_in: Option<String>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    fn new(server: &'a Inner, stream: BufReader<S>, encrypted: bool) -> Self {
        Self { server, stream, encrypted, greeted: false, signed_in: None }
    }

    /// Until the client leaves (`None`), or wants TLS (the stream).
    async fn run(mut self) -> Option<BufReader<S>> {
        if !self.greeted {
            if matches!(self.server.manner(), Manner::Stalls) {
                std::future::pending::<()>().await;
            }
            self.say("220 mail.example ESMTP").await?;
        }
        let mut to = String::new();
        loop {
            let line = self.line().await?;
            let verb = line.to_ascii_uppercase();
            match verb.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => {
                    let offers_tls = matches!(self.server.protection, Protection::StartTls(_)) && !self.encrypted;
                    let extra = if offers_tls { "250-STARTTLS\r\n" } else { "" };
                    self.say(&format!("250-mail.example\r\n{extra}250-AUTH PLAIN\r\n250 8BITMIME")).await?;
                }
                "STARTTLS" => {
                    self.say("220 go on").await?;
                    return Some(self.stream);
                }
                "AUTH" => {
                    let given = line.rsplit(' ').next().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
                    let given = String::from_utf8_lossy(&given).trim_start_matches('\0').replace('\0', ":");
                    if given.ends_with(":wrong") {
                        self.say("535 5.7.8 that is not the password").await?;
                    } else {
                        self.signed_in = Some(given);
                        self.say("235 welcome").await?;
                    }
                }
                "RCPT" => {
                    if let Manner::Says(reply) = self.server.manner() {
                        self.say(reply).await?;
                        continue;
                    }
                    to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    self.say("250 fine").await?;
                }
                "DATA" => {
                    self.say("354 speak").await?;
                    let raw = self.data().await?;
                    let (encrypted, signed_in) = (self.encrypted, self.signed_in.clone());
                    let mail = Received { to: to.clone(), raw, encrypted, signed_in };
                    self.server.mails.lock().expect("no test panicked with it").push(mail);
                    self.say("250 2.0.0 queued as 42").await?;
                }
                "QUIT" => {
                    self.say("221 bye").await?;
                    return None;
                }
                _ => self.say("250 fine").await?,
            }
        }
    }

    async fn data(&mut self) -> Option<String> {
        let mut raw = String::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                return Some(raw);
            }
            // RFC 5321 §4.5.2
            raw.push_str(line.strip_prefix('.').unwrap_or(&line));
            raw.push_str("\r\n");
        }
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    async fn say(&mut self, reply: &str) -> Option<()> {
        self.stream.get_mut().write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
        self.stream.get_mut().flush().await.ok()
    }
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let head = self.raw.split("\r\n\r\n").next().unwrap_or_default();
        let line = head.split("\r\n").find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {head}"))
    }

    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    pub fn html(&self) -> String {
        self.part("text/html")
    }

    /// The address in its text that has a secret.
    #[track_caller]
    pub fn link(&self) -> String {
        let text = self.text();
        let link = text.split_whitespace().find(|word| word.contains("?link="));
        link.unwrap_or_else(|| panic!("no link in {text}")).to_owned()
    }

    fn part(&self, kind: &str) -> String {
        let boundary = self.raw.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next());
        let boundary = boundary.unwrap_or_else(|| panic!("it has no parts: {}", self.raw));
        let boundary = format!("--{boundary}");
        let mut parts = self.raw.split(&boundary).skip(1);
        let part = parts.find(|part| part.contains(&format!("Content-Type: {kind}"))).expect("there is such a part");
        let (head, body) = part.split_once("\r\n\r\n").expect("a part has a head");
        let encoding = head.split("Content-Transfer-Encoding: ").nth(1).unwrap_or("7bit");
        let bytes = match encoding.split("\r\n").next().unwrap_or_default() {
            "quoted-printable" => unquoted(body),
            "base64" => STANDARD.decode(body.replace("\r\n", "")).expect("base64"),
            _ => body.as_bytes().to_vec(),
        };
        String::from_utf8(bytes).expect("it is UTF-8").replace("\r\n", "\n")
    }
}

/// RFC 2045 §6.7
fn unquoted(body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let body = body.replace("=\r\n", "");
    let mut rest = body.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'=' && rest.len() >= 2 {
            let hex = std::str::from_utf8(&rest[..2]).expect("it is ASCII");
            bytes.push(u8::from_str_radix(hex, 16).expect("two digits"));
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    bytes
}
