//! Signing out of the applications too (OpenID Connect Front-Channel Logout), in a real browser.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use http::{HeaderMap, Uri};

use crate::support::app::eventually;
use crate::support::browser::Browser;
use crate::support::party::encode;
use crate::support::{Engine, Party, Pkce, TestApp};

use super::{NAME, WORD};

/// An application with a session cookie of its own, which it takes away where it is told to.
#[derive(Clone)]
struct Application {
    port: u16,
    /// The queries with which `/out` was loaded, and the cookies.
    loaded: Arc<Mutex<Vec<(String, String)>>>,
    /// How long `/out` takes.
    delay: Duration,
}

impl Application {
    async fn listen(delay: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let application = Self { port, loaded: Arc::default(), delay };
        let page = async |words: &'static str| {
            Html(format!("<title>{words}</title><link rel=icon href=data:,><h1>{words}</h1>"))
        };
        let routes = Router::new()
            .route("/callback", get(move || page("Arrived")))
            .route("/bye", get(move || page("Goodbye")))
            .route("/out", get(Self::out));
        let server = axum::serve(listener, routes.with_state(application.clone()));
        tokio::spawn(async move { server.await });
        application
    }

    async fn out(State(application): State<Self>, headers: HeaderMap, uri: Uri) -> Html<&'static str> {
        tokio::time::sleep(application.delay).await;
        let referrer = headers.get("referer").map(|value| value.to_str().unwrap_or_default().to_owned());
        let query = uri.query().unwrap_or_default().to_owned();
        application.loaded.lock().unwrap().push((query, referrer.unwrap_or_default()));
        Html("<!doctype html><title>Out</title><script>document.title = 'signed out here'</script>")
    }

    fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn loaded(&self) -> Vec<(String, String)> {
        self.loaded.lock().unwrap().clone()
    }

    async fn party<'a>(&self, app: &'a TestApp, id: &str) -> Party<'a> {
        let (out, bye) = (self.at("/out"), self.at("/bye"));
        let client = app.client(id).redirect_uris(&[&self.at("/callback")]).with(|client| {
            client.post_logout_redirect_uris = vec![bye.parse().unwrap()];
            client.frontchannel_logout_uri = Some(out);
            client.skip_consent = true;
        });
        client.create().await
    }
}

/// Signs in at an application; its ID token.
async fn opened(browser: &Browser, rp: &Party<'_>) -> String {
    let pkce = Pkce::new();
    browser.goto(&format!("{}/oauth/authorize?{}", rp.app.url, encode(&rp.request(&pkce)))).await.unwrap();
    if browser.title().await.unwrap().contains("Sign in") {
        browser.sign_in(NAME, WORD).await;
    }
    browser.arrives_at("Arrived").await;
    let url = browser.current_url().await.unwrap();
    let code = url.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    rp.redeem(&code, &pkce).await.expect_tokens().id_token().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_application_is_loaded_and_the_browser_goes_on_by_itself() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.user(NAME).await;
    let (one, two) = (Application::listen(Duration::ZERO).await, Application::listen(Duration::from_millis(300)).await);
    let (first, second) = (one.party(&app, "one").await, two.party(&app, "two").await);
    let browser = Browser::open().await;
    let id_token = opened(&browser, &first).await;
    opened(&browser, &second).await;
    let sid = app.session_of(&id_token).to_string();

    let fields = [("id_token_hint", id_token.as_str()), ("post_logout_redirect_uri", &one.at("/bye")), ("state", "s")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    browser.goto(&format!("{}/oauth/logout?{}", app.url, encode(&fields))).await.unwrap();
    browser.arrives_at("Goodbye").await;
    assert_eq!(browser.current_url().await.unwrap().as_str(), one.at("/bye?state=s"));
    for application in [&one, &two] {
        let issuer: String = form_urlencoded::byte_serialize(app.issuer().as_bytes()).collect();
        assert_eq!(application.loaded(), [(format!("iss={issuer}&sid={sid}"), String::new())]);
    }
    browser.has_no_complaints().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_does_not_answer_keeps_nobody() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.user(NAME).await;
    let slow = Application::listen(Duration::from_secs(3_600)).await;
    let rp = slow.party(&app, "slow").await;
    let browser = Browser::open().await;
    opened(&browser, &rp).await;
    browser.goto(&format!("{}/oauth/logout", app.url)).await.unwrap();
    browser.press("button[value=sign_out]").await;
    browser.arrives_at("You are signed out").await;
    browser.picture("signing-out").await;
    // The page that waits has the same heading as the one after it.
    eventually("it goes on", async || browser.current_url().await.unwrap().path() == "/signed-out").await;
    assert!(slow.loaded().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_javascript_the_page_goes_on_a_little_later() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.user(NAME).await;
    let quick = Application::listen(Duration::ZERO).await;
    let rp = quick.party(&app, "quick").await;
    let browser = Browser::open().await;
    opened(&browser, &rp).await;
    let off = serde_json::json!({ "value": true });
    browser.devtools("Emulation.setScriptExecutionDisabled", off).await;
    browser.goto(&format!("{}/oauth/logout", app.url)).await.unwrap();
    browser.press("button[value=sign_out]").await;
    browser.says("#next", "Continue").await;
    eventually("it is loaded", async || quick.loaded().len() == 1).await;
    browser.press("#next").await;
    browser.arrives_at("You are signed out").await;
}
