//! One connection's work: each operation, and what must be true of its answer.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use memchr::memmem;
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use url::Url;

use crate::browser::{Browser, fill, host};
use crate::http::{Answer, Connection};
use crate::target::{Target, basic};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// A client gets a token for itself.
    ClientCredentials,
    /// An API asks about a token.
    Introspection,
    /// A refresh token is exchanged for the next, and that one for the next after it.
    Refresh,
    /// Somebody who has signed in and consented gets a code, and the client exchanges it (PKCE).
    CodeFlow,
    /// The sign-in page, and the form on it, with the right password.
    SignIn,
    /// The public keys.
    Jwks,
    /// Of twenty: eight client credentials, six introspections, four refreshes, one code flow, one JWKS; and of a
    /// thousand, two sign-ins.
    Mixed,
}

pub struct Worker {
    target: Arc<Target>,
    url: Url,
    connection: Connection,
    /// Signed in, consented.
    browser: Browser,
    verifier: String,
    challenge: String,
    /// Counts what this worker did; `state` and `nonce` come of it.
    count: usize,
    /// The `Authorization` of the web client.
    authorization: String,
    job: Vec<u8>,
    jwks: Vec<u8>,
    /// Requests that ask about one token each.
    questions: Vec<Vec<u8>>,
    refresh_token: String,
    /// What the tokens were, for the report.
    pub seen: BTreeMap<&'static str, String>,
}

impl Worker {
    pub fn new(target: Arc<Target>) -> anyhow::Result<Self> {
        let url = Url::parse(&target.url).context("--url")?;
        let port = url.port_or_known_default().context("--url has no port")?;
        let mut addresses = (url.host_str().unwrap_or_default(), port).to_socket_addrs().context("--url")?;
        let address = addresses.find(std::net::SocketAddr::is_ipv4).context("--url has no IPv4 address")?;
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).ok().context("no random bytes")?;
        let verifier = URL_SAFE_NO_PAD.encode(secret);
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let mut browser = Browser::default();
        if let Some(cookie) = &target.cookie {
            browser.set(cookie);
        }
        let mut worker = Self {
            job: Vec::new(),
            authorization: basic(&target.web.id, &target.web.secret),
            jwks: format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", target.paths.jwks, host(&url)).into_bytes(),
            connection: Connection::new(address),
            browser,
            verifier,
            challenge,
            count: 0,
            questions: Vec::new(),
            refresh_token: String::new(),
            seen: BTreeMap::new(),
            url,
            target,
        };
        let job = &worker.target.job;
        worker.job = worker.post(&worker.target.paths.token, &basic(&job.id, &job.secret), &job.asks);
        Ok(worker)
    }

    pub fn connections_opened(&self) -> u64 {
        self.connection.opened
    }

    /// What must be there before the operation can run; run again, it mends what an error broke.
    pub async fn prepare(&mut self, operation: Operation, tokens: usize) -> anyhow::Result<()> {
        if matches!(operation, Operation::Introspection | Operation::Mixed) {
            while self.questions.len() < tokens {
                let token = self.client_credentials().await.context("a token to ask about")?;
                let question = self.question(&token);
                self.questions.push(question);
            }
        }
        if matches!(operation, Operation::Refresh | Operation::CodeFlow | Operation::Mixed) {
            let start = self.url.join(&self.authorization())?;
            let (end, user) = (&self.target.web.redirect_uri, &self.target.user);
            let location = self.browser.go(&mut self.connection, start, end, user).await.context("signing in")?;
            let code = self.code_of(&location)?;
            self.redeem(&code).await.context("redeeming the first code")?;
        }
        Ok(())
    }

    pub async fn run(&mut self, operation: Operation) -> anyhow::Result<()> {
        self.count += 1;
        match operation {
            Operation::ClientCredentials => self.client_credentials().await.map(drop),
            Operation::Introspection => self.introspection().await,
            Operation::Refresh => self.refresh().await,
            Operation::CodeFlow => self.code_flow().await,
            Operation::SignIn => self.sign_in().await,
            Operation::Jwks => self.jwks().await,
            Operation::Mixed => match (self.count % 500, self.count % 20) {
                (0, _) => self.sign_in().await,
                (_, 0..8) => {
                    let token = self.client_credentials().await?;
                    // So that none grows old.
                    let at = self.count % self.questions.len();
                    self.questions[at] = self.question(&token);
                    Ok(())
                }
                (_, 8..14) => self.introspection().await,
                (_, 14..18) => self.refresh().await,
                (_, 18) => self.code_flow().await,
                _ => self.jwks().await,
            },
        }
    }

    async fn client_credentials(&mut self) -> anyhow::Result<String> {
        let answer = ok(self.connection.send(&self.job).await?)?;
        let token = string(answer.body, "access_token").context("no access_token")?;
        note(&mut self.seen, "access token of a client", token);
        Ok(token.to_owned())
    }

    fn question(&self, token: &str) -> Vec<u8> {
        let api = &self.target.api;
        self.post(&self.target.paths.introspect, &basic(&api.id, &api.secret), &format!("token={token}"))
    }

    async fn introspection(&mut self) -> anyhow::Result<()> {
        let question = &self.questions[self.count % self.questions.len()];
        let answer = ok(self.connection.send(question).await?)?;
        ensure!(value(answer.body, "active").is_some_and(|v| v.starts_with(b"true")), "inactive: {}", answer.excerpt());
        Ok(())
    }

    async fn jwks(&mut self) -> anyhow::Result<()> {
        let answer = ok(self.connection.send(&self.jwks).await?)?;
        ensure!(value(answer.body, "keys").is_some_and(|v| v.starts_with(b"[")), "no keys: {}", answer.excerpt());
        Ok(())
    }

    async fn refresh(&mut self) -> anyhow::Result<()> {
        let form = format!("grant_type=refresh_token&refresh_token={}", self.refresh_token);
        let request = self.web_post(&form);
        let answer = ok(self.connection.send(&request).await?)?;
        ensure!(string(answer.body, "access_token").is_some(), "no access_token: {}", answer.excerpt());
        let next = string(answer.body, "refresh_token").context("no refresh_token")?;
        ensure!(next != self.refresh_token, "the refresh token is the same as before");
        next.clone_into(&mut self.refresh_token);
        note_id_token(&mut self.seen, "ID token of a refresh", &answer);
        Ok(())
    }

    async fn code_flow(&mut self) -> anyhow::Result<()> {
        let cookies = self.browser.cookies(&self.target.paths.authorize);
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\naccept: text/html\r\ncookie: {cookies}\r\n\r\n",
            self.authorization(),
            host(&self.url)
        );
        let answer = self.connection.send(request.as_bytes()).await?;
        ensure!(matches!(answer.status, 302 | 303), "{} at authorize: {}", answer.status, answer.excerpt());
        self.browser.remember(&answer);
        let location = answer.header("location").context("no Location")?.to_owned();
        let code = self.code_of(&location)?;
        self.redeem(&code).await
    }

    async fn redeem(&mut self, code: &str) -> anyhow::Result<()> {
        let form = format!(
            "grant_type=authorization_code&code={}&code_verifier={}&redirect_uri={}",
            encoded(code),
            self.verifier,
            encoded(&self.target.web.redirect_uri)
        );
        let request = self.web_post(&form);
        let answer = ok(self.connection.send(&request).await?)?;
        let access = string(answer.body, "access_token").context("no access_token")?;
        note(&mut self.seen, "access token of a user", access);
        ensure!(string(answer.body, "id_token").is_some(), "no id_token: {}", answer.excerpt());
        note_id_token(&mut self.seen, "ID token of a code", &answer);
        let refresh = string(answer.body, "refresh_token").context("no refresh_token")?;
        refresh.clone_into(&mut self.refresh_token);
        Ok(())
    }

    /// The path and query of an authorization request.
    fn authorization(&self) -> String {
        let web = &self.target.web;
        format!(
            "{path}?response_type=code&client_id={id}&redirect_uri={uri}&scope={scope}&state=s{count}&nonce=n{count}\
             &code_challenge={challenge}&code_challenge_method=S256{also}",
            path = self.target.paths.authorize,
            id = encoded(&web.id),
            uri = encoded(&web.redirect_uri),
            scope = encoded(&web.scope),
            count = self.count,
            challenge = self.challenge,
            also = web.also,
        )
    }

    /// The code in the address that a browser was sent to, if it answers our last request.
    fn code_of(&self, location: &str) -> anyhow::Result<String> {
        let query = location.strip_prefix(&self.target.web.redirect_uri).and_then(|rest| rest.strip_prefix('?'));
        let query = query.with_context(|| format!("sent to {location}"))?;
        let (mut code, mut state) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "code" => code = Some(value),
                "state" => state = Some(value),
                _ => {}
            }
        }
        ensure!(state.is_some_and(|state| state == format!("s{}", self.count)), "another state: {location}");
        Ok(code.with_context(|| format!("no code: {location}"))?.into_owned())
    }

    async fn sign_in(&mut self) -> anyhow::Result<()> {
        let mut browser = Browser::default();
        let page = self.url.join(&self.target.paths.sign_in)?;
        let answer = browser.get(&mut self.connection, &page).await?;
        let form = fill(answer.text(), &page, &self.target.user).context("no form to sign in with")?;
        let answer = browser.post(&mut self.connection, &form).await?;
        ensure!(matches!(answer.status, 302 | 303), "{} after the form: {}", answer.status, answer.excerpt());
        ensure!(answer.header("set-cookie").is_some(), "signed in without a cookie");
        Ok(())
    }

    fn web_post(&self, form: &str) -> Vec<u8> {
        self.post(&self.target.paths.token, &self.authorization, form)
    }

    fn post(&self, path: &str, authorization: &str, form: &str) -> Vec<u8> {
        format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: {authorization}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            host(&self.url),
            form.len()
        )
        .into_bytes()
    }
}

fn ok(answer: Answer<'_>) -> anyhow::Result<Answer<'_>> {
    if answer.status != 200 {
        bail!("{}: {}", answer.status, answer.excerpt());
    }
    Ok(answer)
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What follows the name of a member, in JSON of any spacing. To parse the whole would cost more than to send it.
fn value<'a>(json: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let quoted = format!("\"{name}\"");
    let after = &json[memmem::find(json, quoted.as_bytes())? + quoted.len()..];
    Some(after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

/// A member that is a text without escapes and not empty, as every token is.
fn string<'a>(json: &'a [u8], name: &str) -> Option<&'a str> {
    let text = value(json, name)?.strip_prefix(b"\"")?;
    let text = &text[..memchr::memchr(b'"', text)?];
    std::str::from_utf8(text).ok().filter(|text| !text.is_empty())
}

fn note_id_token(seen: &mut BTreeMap<&'static str, String>, what: &'static str, answer: &Answer<'_>) {
    if !seen.contains_key(what) {
        note(seen, what, string(answer.body, "id_token").unwrap_or_default());
    }
}

/// Keeps what the first token of a kind says that it is.
fn note(seen: &mut BTreeMap<&'static str, String>, what: &'static str, token: &str) {
    seen.entry(what).or_insert_with(|| match token.split_once('.') {
        _ if token.is_empty() => "none".to_owned(),
        Some((header, _)) => {
            let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
            let says = |name| string(&header, name).unwrap_or("?").to_owned();
            format!("{} {}", says("alg"), says("typ"))
        }
        None => "opaque".to_owned(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_whatever_the_spacing() {
        for json in [&br#"{"a":"x","access_token":"abc"}"#[..], b"{\n  \"access_token\" : \"abc\"\n}"] {
            assert_eq!(string(json, "access_token"), Some("abc"));
        }
        for json in [&br#"{"access_token":""}"#[..], br#"{"access_token":null}"#, br#"{"access_token":"abc"#, b"{}"] {
            assert_eq!(string(json, "access_token"), None);
        }
        assert!(value(br#"{"active": true}"#, "active").unwrap().starts_with(b"true"));
    }

    #[test]
    fn an_answer_to_another_request_is_refused() {
        let worker = Worker::new(Arc::new(Target::default())).unwrap();
        assert_eq!(worker.code_of("https://app.example.com/callback?code=a%2Eb&state=s0").unwrap(), "a.b");
        for other in ["?code=a&state=s1", "?code=a", "?error=access_denied&state=s0", "/x?code=a&state=s0"] {
            assert!(worker.code_of(&format!("https://app.example.com/callback{other}")).is_err(), "{other}");
        }
    }
}
