//! A relying party: what it sends to the token endpoint and the others, and what it gets.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantor::crypto::{KeyRing, SystemRandom, random, sha256};
use grantor::oauth::client_secret;
use grantor::types::{AuthMethod, Client, ClientMetadata, Clock, GrantType, Scope, SecretForm};
use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::app::{PASSWORD, TestApp};
use super::person::{Page, Person};

/// The secret of every confidential client that tests register.
pub const SECRET: &str = "correct-horse-battery-staple-0123456789";

pub const REDIRECT_URI: &str = "https://app.example/callback";

/// A client on its way to being registered. It begins as a confidential web client with every grant and scope.
pub struct Builder<'a> {
    app: &'a TestApp,
    id: String,
    metadata: ClientMetadata,
}

impl<'a> Builder<'a> {
    pub fn new(app: &'a TestApp, id: &str) -> Self {
        let metadata = serde_json::json!({
            "client_name": "Lighthouse",
            "redirect_uris": [REDIRECT_URI],
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "scope": "openid profile email address phone offline_access notes:read notes:write",
        });
        Self { app, id: id.to_owned(), metadata: serde_json::from_value(metadata).expect("it is client metadata") }
    }

    /// A public client, which cannot act for itself.
    pub fn public(self) -> Self {
        self.grants(&[GrantType::AuthorizationCode, GrantType::RefreshToken])
            .with(|client| client.token_endpoint_auth_method = AuthMethod::None)
    }

    pub fn grants(self, grants: &[GrantType]) -> Self {
        self.with(|client| client.grant_types = grants.to_vec())
    }

    pub fn redirect_uris(self, uris: &[&str]) -> Self {
        let uris = uris.iter().map(|uri| uri.parse().expect("a redirect URI")).collect();
        self.with(|client| client.redirect_uris = uris)
    }

    pub fn scope(self, scope: &str) -> Self {
        self.with(|client| client.scope = Scope::from(scope))
    }

    pub fn with(mut self, change: impl FnOnce(&mut ClientMetadata)) -> Self {
        change(&mut self.metadata);
        self
    }

    pub async fn create(self) -> Party<'a> {
        self.metadata.validate().expect("the test's client is valid");
        let now = self.app.clock.now();
        let keeps_secret = self.metadata.token_endpoint_auth_method.secret() != SecretForm::None;
        let redirect_uri = self.metadata.redirect_uris.first().map(ToString::to_string).unwrap_or_default();
        let mut client = Client {
            id: self.id.parse().expect("a client id"),
            secret_hash: None,
            secret_sealed: None,
            metadata: self.metadata,
            created_at: now,
            updated_at: now,
            disabled_at: None,
            registration: None,
        };
        let ring = KeyRing::parse(self.app.config.seal.keys.as_ref().expect("a key ring").expose_secret());
        client_secret::keep(&mut client, &SECRET.into(), Some(&ring.expect("a key ring")), &SystemRandom::new())
            .expect("the secret is long enough");
        let mut tx = self.app.store.begin().await.expect("the store answers");
        tx.insert_client(&client).await.expect("the client is stored");
        tx.commit().await.expect("the client is stored");
        Party { app: self.app, id: self.id, secret: keeps_secret.then(|| SECRET.to_owned()), redirect_uri }
    }
}

/// A verifier and its challenge (RFC 7636).
pub struct Pkce {
    pub verifier: String,
    pub challenge: String,
}

impl Pkce {
    pub fn new() -> Self {
        let verifier = random::token(&SystemRandom::new(), 32);
        let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
        Self { verifier, challenge }
    }
}

/// A registered client that speaks to the server.
pub struct Party<'a> {
    pub app: &'a TestApp,
    pub id: String,
    /// Public clients have none.
    pub secret: Option<String>,
    pub redirect_uri: String,
}

impl<'a> Party<'a> {
    pub fn existing(app: &'a TestApp, id: &str, secret: &str) -> Self {
        Self { app, id: id.to_owned(), secret: Some(secret.to_owned()), redirect_uri: REDIRECT_URI.to_owned() }
    }

    /// The same client at another node.
    pub fn at<'b>(&self, app: &'b TestApp) -> Party<'b> {
        Party { app, id: self.id.clone(), secret: self.secret.clone(), redirect_uri: self.redirect_uri.clone() }
    }

    /// The parameters of an authorization request, as most tests send it.
    pub fn request(&self, pkce: &Pkce) -> Vec<(String, String)> {
        let fields = [
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", "openid offline_access"),
            ("state", "a state"),
            ("nonce", "a nonce"),
            ("code_challenge", &pkce.challenge),
            ("code_challenge_method", "S256"),
        ];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Sends a person to the authorization endpoint with the usual parameters; each change replaces one, adds one,
    /// or, with an empty value, takes one away.
    pub async fn authorize(&self, person: &Person, pkce: &Pkce, changes: &[(&str, &str)]) -> Page {
        let mut fields = self.request(pkce);
        for (name, value) in changes {
            fields.retain(|(own, _)| own != name);
            if !value.is_empty() {
                fields.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        person.get(&format!("/oauth/authorize?{}", encode(&fields))).await
    }

    /// From the authorization request to the code: the person signs in and allows it, where they are asked.
    pub async fn code(&self, person: &Person, username: &str, pkce: &Pkce, changes: &[(&str, &str)]) -> String {
        let mut page = self.authorize(person, pkce, changes).await;
        if page.asks_to_sign_in() {
            page = person.sign_in(&page, username, PASSWORD).await;
        }
        if page.asks_for_consent() {
            page = person.decide(&page, "allow").await;
        }
        page.code()
    }

    /// The whole flow, with a new browser.
    pub async fn sign_in(&self, username: &str) -> Tokens {
        self.sign_in_with(&self.app.person(), username, &[]).await
    }

    pub async fn sign_in_with(&self, person: &Person, username: &str, changes: &[(&str, &str)]) -> Tokens {
        let pkce = Pkce::new();
        let code = self.code(person, username, &pkce, changes).await;
        self.redeem(&code, &pkce).await.expect_tokens()
    }

    pub async fn redeem(&self, code: &str, pkce: &Pkce) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &pkce.verifier),
        ];
        self.post("/oauth/token", &fields).await
    }

    pub async fn refresh(&self, tokens: &Tokens) -> Answer {
        self.refresh_with(tokens.refresh_token(), &[]).await
    }

    pub async fn refresh_with(&self, refresh_token: &str, more: &[(&str, &str)]) -> Answer {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        fields.extend(more);
        self.post("/oauth/token", &fields).await
    }

    pub async fn client_credentials(&self, scope: &str) -> Answer {
        let mut fields = vec![("grant_type", "client_credentials")];
        if !scope.is_empty() {
            fields.push(("scope", scope));
        }
        self.post("/oauth/token", &fields).await
    }

    pub async fn introspect(&self, token: &str) -> Answer {
        self.post("/oauth/introspect", &[("token", token)]).await
    }

    pub async fn revoke(&self, token: &str) -> Answer {
        self.post("/oauth/revoke", &[("token", token)]).await
    }

    pub async fn userinfo(&self, access_token: &str) -> Answer {
        let request = self.app.http.get(format!("{}/oauth/userinfo", self.app.url)).bearer_auth(access_token);
        Answer::of(request.send().await.expect("the server answers")).await
    }

    /// `POST` of a form with this client's authentication: Basic, or the bare id of a public client.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.try_post(path, fields).await.expect("the server answers")
    }

    /// As `post`, to a server that may die over it.
    pub async fn try_post(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::Result<Answer> {
        let mut fields = fields.to_vec();
        let mut request = self.app.http.post(format!("{}{path}", self.app.url));
        match &self.secret {
            Some(secret) => request = request.header("authorization", basic(&self.id, secret)),
            None => fields.push(("client_id", &self.id)),
        }
        Answer::read(request.form(&fields).send().await?).await
    }

    /// As `redeem`; each change replaces a field, adds one, or, with an empty value, takes one away.
    pub async fn redeem_with(&self, code: &str, pkce: &Pkce, changes: &[(&str, &str)]) -> Answer {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &pkce.verifier),
        ];
        for (name, value) in changes {
            fields.retain(|(own, _)| own != name);
            if !value.is_empty() {
                fields.push((name, value));
            }
        }
        self.post("/oauth/token", &fields).await
    }
}

/// The `Authorization` header of HTTP Basic, its halves form-encoded (RFC 6749 §2.3.1).
pub fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}

pub fn encode(fields: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        Self::read(response).await.expect("the body is text")
    }

    async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Self { status, headers, body: response.text().await? })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header is text"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} is not JSON: {}", self.status, self.body))
    }

    pub fn expect_tokens(self) -> Tokens {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        // RFC 6749 §5.1
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("pragma"), Some("no-cache"));
        Tokens(self.json())
    }

    /// The error of the protocol, with a description that helps.
    #[track_caller]
    pub fn expect_error(self, code: &str) -> Self {
        let json = self.json();
        assert_eq!(json["error"], code, "{} {}", self.status, self.body);
        assert!(json["error_description"].as_str().is_some_and(|text| text.len() > 10), "{}", self.body);
        assert!(!self.status.is_success() && !self.status.is_redirection(), "{}", self.status);
        self
    }

    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// RFC 7662 §2.2
    #[track_caller]
    pub fn expect_active(self) -> Value {
        let json = self.json();
        assert_eq!(json["active"], true, "{} {}", self.status, self.body);
        json
    }

    /// Inactive is one member, and nothing else.
    #[track_caller]
    pub fn expect_inactive(self) {
        assert_eq!((self.status.as_u16(), self.body.as_str()), (200, r#"{"active":false}"#));
    }
}

/// A successful answer of the token endpoint.
#[derive(Clone, Debug)]
pub struct Tokens(pub Value);

impl Tokens {
    pub fn access_token(&self) -> &str {
        self.0["access_token"].as_str().expect("there is an access token")
    }

    pub fn refresh_token(&self) -> &str {
        self.0["refresh_token"].as_str().expect("there is a refresh token")
    }

    pub fn id_token(&self) -> &str {
        self.0["id_token"].as_str().expect("there is an ID token")
    }

    pub fn scope(&self) -> &str {
        self.0["scope"].as_str().unwrap_or_default()
    }
}

/// Header and claims of a JWT, its signature unchecked.
pub fn decode(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("a part is base64url"));
    let mut next = || serde_json::from_slice(&parts.next().expect("there are three parts")).expect("a part is JSON");
    (next(), next())
}
