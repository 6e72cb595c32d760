//! Other providers: a second Grantor, and one that says whatever a test wants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use grantor::account::links;
use grantor::crypto::{SystemRandom, random};
use grantor::store::{Purpose, Stored};
use grantor::types::{Algorithm, Clock as _, Identity, IdentityId};
use http::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::app::PASSWORD;
use super::assertion::Signer;
use super::party::SECRET;
use super::website::Website;
use super::{Engine, Page, Person, TestApp};

/// What both need to reach each other on this machine.
pub const ALLOW: &str = "[outgoing]\nallow = [\"127.0.0.0/8\", \"::1/128\"]\n";

/// A Grantor at which people sign in by another.
pub struct Two {
    pub here: TestApp,
    pub there: TestApp,
}

impl Two {
    /// `more` goes on with the section of the provider, and may begin others.
    pub async fn start(engine: Engine, more: &str) -> Self {
        Self::start_with(engine, more, "").await
    }

    /// `there` is the configuration of the other one.
    pub async fn start_with(engine: Engine, more: &str, there: &str) -> Self {
        let there = TestApp::with(engine, there).await;
        let section = format!(
            "{ALLOW}[upstream.\"there\"]\ntitle = \"There\"\nissuer = \"{}\"\nclient_id = \"here\"\nclient_secret = \"{SECRET}\"\n{more}",
            there.issuer()
        );
        let here = TestApp::with(engine, &section).await;
        let callback = format!("{}/sign-in/upstream/there/callback", here.url);
        there.client("here").redirect_uris(&[&callback]).create().await;
        Self { here, there }
    }

    pub fn advance(&self, by: Duration) {
        self.here.clock.advance(by);
        self.there.clock.advance(by);
    }

    pub fn traveller(&self) -> Traveller {
        Traveller { here: self.here.person(), there: self.there.person() }
    }

    /// Links somebody's account here to their account there.
    pub async fn linked(&self, username: &str) -> Traveller {
        self.linked_to(username, username).await
    }

    /// The same where they are called otherwise there.
    pub async fn linked_to(&self, username: &str, there: &str) -> Traveller {
        let traveller = self.traveller();
        traveller.here.sign_in_to_account(username).await;
        let security = traveller.here.get("/account/security").await;
        let page = traveller.link(&security, there).await;
        assert!(page.url.ends_with("done=linked"), "{page:?}");
        traveller
    }
}

impl TestApp {
    /// An invitation, which goes nowhere.
    pub async fn invites(&self, email: &str) {
        let (purpose, lifetime) = (Purpose::SignUp, links::INVITATION);
        let detail = links::Detail { email: Some(email.to_owned()), ..links::Detail::default() };
        let order = links::Order { purpose, subject: email.to_owned(), detail: &detail, lifetime };
        let (_, link) = links::make(order, &SystemRandom::new(), self.clock.now()).expect("a link");
        self.change(async |tx| tx.put_link(&link).await).await;
    }

    /// Links somebody behind the server's back, for somebody of the same name.
    pub async fn link_behind(&self, username: &str, there: &TestApp) {
        let user = self.store.user_by_login(username).await.expect("the store answers").expect("a user");
        let known = there.store.user_by_login(username).await.expect("the store answers").expect("a user there");
        let identity = Identity {
            id: IdentityId::new(random::uuid_v4(&SystemRandom::new())),
            user: user.id,
            provider: "there".to_owned(),
            subject: known.id.to_string(),
            email: None,
            created_at: self.clock.now(),
            used_at: None,
        };
        assert_eq!(self.change(async |tx| tx.insert_identity(&identity).await).await, Stored::Stored);
    }
}

/// One browser, as seen by the two.
pub struct Traveller {
    pub here: Person,
    pub there: Person,
}

impl Traveller {
    /// Presses "Continue with …" on a sign-in page; where that leads.
    pub async fn leaves(&self, page: &Page) -> String {
        let fields = ["csrf", "request", "next", "device", "offer"].map(|name| (name, page.hidden(name)));
        let fields: Vec<_> = fields.iter().filter(|(_, value)| !value.is_empty()).collect();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let name = page.body.split("/sign-in/upstream/").nth(1).and_then(|rest| rest.split('"').next());
        let name = name.unwrap_or_else(|| panic!("no other provider: {} {}", page.url, page.body));
        sent_to(&self.here.post(&format!("/sign-in/upstream/{name}"), &fields).await)
    }

    /// Goes there, signs in and allows it where that is asked; where they are sent back to.
    pub async fn proves(&self, url: &str, username: &str) -> String {
        let mut page = self.there.get(url).await;
        if page.asks_to_sign_in() {
            page = self.there.sign_in(&page, username, PASSWORD).await;
        }
        if page.asks_for_consent() {
            page = self.there.decide(&page, "allow").await;
        }
        assert!(page.url.contains("/callback?"), "{page:?}");
        page.url
    }

    /// There and back, from a sign-in page.
    pub async fn continues(&self, page: &Page, username: &str) -> Page {
        let url = self.leaves(page).await;
        self.here.get(&self.proves(&url, username).await).await
    }

    /// The same without an application.
    pub async fn comes(&self, username: &str) -> Page {
        let page = self.here.get("/sign-in").await;
        self.continues(&page, username).await
    }

    /// Presses "Link …" on the page of how somebody signs in.
    pub async fn leaves_to_link(&self, page: &Page, provider: &str) -> String {
        let fields = [("csrf", page.hidden("csrf")), ("provider", provider.to_owned())];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        sent_to(&self.here.post("/account/security/linked/new", &fields).await)
    }

    pub async fn link(&self, page: &Page, username: &str) -> Page {
        let url = self.leaves_to_link(page, "there").await;
        self.here.get(&self.proves(&url, username).await).await
    }
}

/// Where a page sends its reader by itself.
#[track_caller]
pub fn sent_to(page: &Page) -> String {
    let url =
        page.body.split("http-equiv=\"refresh\" content=\"0; url=").nth(1).and_then(|rest| rest.split('"').next());
    let url = url.unwrap_or_else(|| panic!("nobody is sent anywhere: {} {} {}", page.status, page.url, page.body));
    url.replace("&#38;", "&")
}

/// A parameter of an address.
pub fn param(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).expect("the address is a URL");
    url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

/// What a fake provider says.
#[derive(Clone)]
pub struct Says {
    /// Members of its discovery document that are other ones.
    pub metadata: Value,
    /// Status and body of its token endpoint; null is the ID token below.
    pub tokens: (u16, Value),
    pub id_token: String,
    /// Another one for a code of its own.
    pub by_code: HashMap<String, String>,
    /// Its key set.
    pub keys: Value,
    pub userinfo: Value,
    pub emails: Value,
}

/// Bodies, each with its `Authorization`.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A provider that says whatever a test wants.
pub struct Fake {
    pub website: Website,
    pub signer: Signer,
    says: Arc<Mutex<Says>>,
    /// What its token endpoint got.
    pub asked: Asked,
}

impl Fake {
    pub fn start() -> Self {
        let signer = Signer::new("fake", Algorithm::Rs256);
        let says = Says {
            metadata: json!({}),
            tokens: (200, Value::Null),
            id_token: String::new(),
            by_code: HashMap::new(),
            keys: signer.jwks(),
            userinfo: json!({ "sub": "1" }),
            emails: json!([]),
        };
        let says = Arc::new(Mutex::new(says));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (said, heard) = (says.clone(), asked.clone());
        let website = Website::start_slow(move |request| {
            let (says, heard) = (said.lock().unwrap().clone(), heard.clone());
            answer(says, heard, request)
        });
        Self { website, signer, says, asked }
    }

    pub fn url(&self) -> &str {
        &self.website.url
    }

    pub fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A server here at which people sign in by it, with OpenID Connect.
    pub async fn openid(&self, engine: Engine, more: &str) -> TestApp {
        let toml = format!(
            "{ALLOW}[upstream.\"fake\"]\ntitle = \"Fake\"\nissuer = \"{}\"\nclient_id = \"here\"\nclient_secret = \"{SECRET}\"\n{more}",
            self.url()
        );
        TestApp::with(engine, &toml).await
    }

    /// The same with plain OAuth 2, like GitHub.
    pub async fn plain(&self, engine: Engine, more: &str) -> TestApp {
        let url = self.url();
        let toml = format!(
            "{ALLOW}[upstream.\"fake\"]\ntitle = \"Fake\"\nauthorization_endpoint = \"{url}/authorize\"\n\
             token_endpoint = \"{url}/token\"\nuserinfo_endpoint = \"{url}/user\"\nemails_endpoint = \"{url}/emails\"\n\
             claims = {{ subject = \"id\" }}\nscope = \"read:user user:email\"\nclient_id = \"here\"\n\
             client_secret = \"{SECRET}\"\n{more}"
        );
        TestApp::with(engine, &toml).await
    }

    /// The claims of a good ID token for whoever was sent to this address.
    pub fn claims(&self, app: &TestApp, url: &str) -> Value {
        let now = app.clock.now().secs();
        json!({
            "iss": self.url(), "sub": "1", "aud": "here", "exp": now + 300, "iat": now,
            "nonce": param(url, "nonce"), "email": "ada@example.org", "email_verified": true,
        })
    }

    /// Has another key from now on.
    pub fn rotates(&mut self) {
        self.signer = Signer::new("fake", Algorithm::Rs256);
        let keys = self.signer.jwks();
        self.says(|says| says.keys = keys);
    }

    /// Says so to each who was sent to one of these addresses and brings their nonce as the code.
    pub fn signs_for_each(&self, urls: &[String], claims: &Value) {
        for url in urls {
            let nonce = param(url, "nonce").expect("a nonce");
            let mut claims = claims.clone();
            claims["nonce"] = nonce.as_str().into();
            let token = self.signer.sign(&self.header(), &claims.to_string());
            self.says(|says| drop(says.by_code.insert(nonce, token)));
        }
    }

    fn header(&self) -> Value {
        let header = self.signer.header();
        json!({ "alg": header["alg"], "kid": header["kid"] })
    }

    /// Says that it is whoever these claims tell of.
    pub fn signs(&self, claims: &Value) {
        let token = self.signer.sign(&self.header(), &claims.to_string());
        self.says(|says| says.id_token = token);
    }

    /// Where it sends somebody back to who was sent to this address.
    pub fn callback(&self, app: &TestApp, url: &str) -> String {
        let state = param(url, "state").expect("a state");
        format!("{}/sign-in/upstream/fake/callback?code=a+code&state={state}", app.url)
    }

    /// There and back for a person who only has a browser here.
    pub async fn comes(&self, app: &TestApp, person: &Person, change: impl FnOnce(&mut Value)) -> Page {
        let url = leaves(person).await;
        let mut claims = self.claims(app, &url);
        change(&mut claims);
        self.signs(&claims);
        person.get(&self.callback(app, &url)).await
    }
}

/// Presses "Continue with Fake"; where that leads.
pub async fn leaves(person: &Person) -> String {
    let page = person.get("/sign-in").await;
    sent_to(&person.post("/sign-in/upstream/fake", &[("csrf", &page.hidden("csrf"))]).await)
}

async fn answer(says: Says, heard: Asked, request: Request) -> Response {
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let url = format!("http://{host}");
    let json = |status: u16, value: Value| {
        let status = StatusCode::from_u16(status).expect("a status");
        (status, [("content-type", "application/json")], value.to_string()).into_response()
    };
    match request.uri().path() {
        "/.well-known/openid-configuration" => {
            let mut metadata = json!({
                "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"), "userinfo_endpoint": format!("{url}/user"),
                "jwks_uri": format!("{url}/keys"),
            });
            for (name, value) in says.metadata.as_object().expect("members") {
                metadata[name] = value.clone();
            }
            json(200, metadata)
        }
        "/keys" => json(200, says.keys),
        "/token" => {
            let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let body = axum::body::to_bytes(request.into_body(), 64 * 1024).await.expect("a body");
            let code =
                form_urlencoded::parse(&body).find(|(name, _)| name == "code").map(|(_, code)| code.into_owned());
            let id_token = code.and_then(|code| says.by_code.get(&code).cloned()).unwrap_or(says.id_token);
            heard.lock().unwrap().push((String::from_utf8_lossy(&body).into_owned(), authorization));
            match says.tokens {
                (status, Value::Null) => {
                    json(status, json!({ "access_token": "a token", "token_type": "bearer", "id_token": id_token }))
                }
                (status, value) => json(status, value),
            }
        }
        "/user" => json(200, says.userinfo),
        "/emails" => json(200, says.emails),
        _ => json(404, json!({})),
    }
}
