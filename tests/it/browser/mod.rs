//! A real Chromium on the pages: what it does with forms, redirects, policies and the keyboard.

mod accounts;
mod demo;
mod flow;
mod pages;
mod passkeys;
mod profile;
mod registration;
mod second_factor;
mod sign_out;
mod tokens;
mod upstream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use axum::{Router, body::Bytes};
use fantoccini::Locator;
use fantoccini::key::Key;
use http::Uri;

use crate::support::app::{PASSWORD, eventually};
use crate::support::browser::Browser;

/// What arrives at a client's redirect URI, on a port of its own.
#[derive(Clone, Default)]
struct Callback {
    port: u16,
    arrived: Arc<Mutex<Vec<HashMap<String, String>>>>,
}

impl Callback {
    async fn listen() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let callback = Self { port, ..Self::default() };
        let routes = Router::new().route("/callback", get(Self::by_query).post(Self::by_form));
        let server = axum::serve(listener, routes.with_state(callback.clone()));
        tokio::spawn(async move { server.await });
        callback
    }

    fn uri(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    async fn by_query(State(callback): State<Self>, uri: Uri) -> Html<&'static str> {
        callback.keep(uri.query().unwrap_or_default().as_bytes())
    }

    async fn by_form(State(callback): State<Self>, body: Bytes) -> Html<&'static str> {
        callback.keep(&body)
    }

    fn keep(&self, encoded: &[u8]) -> Html<&'static str> {
        let fields = url::form_urlencoded::parse(encoded).into_owned().collect();
        self.arrived.lock().unwrap().push(fields);
        Html("<!doctype html><title>Arrived</title><link rel=icon href=data:,><h1>Arrived</h1>")
    }

    fn arrived(&self) -> usize {
        self.arrived.lock().unwrap().len()
    }

    /// The answer that the browser brought, once.
    async fn answer(&self) -> HashMap<String, String> {
        eventually("the browser arrives", || async { !self.arrived.lock().unwrap().is_empty() }).await;
        let mut arrived = self.arrived.lock().unwrap();
        assert_eq!(arrived.len(), 1, "{arrived:?}");
        arrived.pop().unwrap()
    }
}

impl Browser {
    /// Presses what a person would press, and waits for the page behind it.
    async fn press(&self, css: &str) {
        let element = self.wait().at_most(Duration::from_secs(10)).for_element(Locator::Css(css)).await;
        element.unwrap_or_else(|_| panic!("there is no {css}")).click().await.unwrap();
    }

    async fn fill(&self, css: &str, text: &str) {
        let field = self.wait().for_element(Locator::Css(css)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    async fn text(&self, css: &str) -> String {
        for _ in 0..40 {
            let element = self.wait().for_element(Locator::Css(css)).await.unwrap();
            // The page may change between the two questions.
            if let Ok(text) = element.text().await {
                return text;
            }
        }
        panic!("{css} does not stay");
    }

    /// Waits until the heading says so.
    async fn arrives_at(&self, words: &str) {
        self.says("h1", words).await;
    }

    /// Waits until an element says so, on this page or the next.
    async fn says(&self, css: &str, words: &str) {
        let mut said = String::new();
        for _ in 0..200 {
            // The page may change between the two questions.
            if let Ok(element) = self.find(Locator::Css(css)).await {
                said = element.text().await.unwrap_or_default();
            }
            if said.contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let url = self.current_url().await.unwrap();
        panic!("the browser is at {url} ({said}) and not at {words:?}; {:?}", self.complaints().await);
    }

    async fn sign_in(&self, username: &str, password: &str) {
        self.fill("#username", username).await;
        self.fill("#password", password).await;
        self.press("button[type=submit]").await;
    }

    /// Types into whatever has the focus.
    async fn keys(&self, keys: &str) {
        self.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    async fn tab(&self) {
        self.keys(&String::from(char::from(Key::Tab))).await;
    }

    async fn enter(&self) {
        self.keys(&String::from(char::from(Key::Enter))).await;
    }

    /// Goes by Tab until `css` has the focus, which must be visible then.
    async fn tab_to(&self, css: &str) {
        for _ in 0..20 {
            let has = "const e = document.activeElement; return e.matches(arguments[0])";
            if self.execute(has, vec![css.into()]).await.unwrap() == true {
                let outline = "return getComputedStyle(document.activeElement).outlineStyle";
                assert_ne!(self.execute(outline, vec![]).await.unwrap(), "none", "{css} does not show its focus");
                return;
            }
            self.tab().await;
        }
        panic!("{css} cannot be reached by Tab");
    }

    /// No message in the console: no violation of the policy, nothing missing, no script that failed.
    async fn has_no_complaints(&self) {
        let complaints = self.complaints().await;
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    /// Looks at a page in each colour scheme and on each size of screen: nothing is wider than the screen, and everybody
    /// can use it. With `GRANTOR_SCREENSHOTS`, a picture of each.
    async fn picture(&self, name: &str) {
        for (scheme, dark) in [("light", false), ("dark", true)] {
            for (width, height) in [(390, 844), (1280, 900)] {
                self.emulate(width, height, dark).await;
                self.screenshot(&format!("{name}-{scheme}-{width}")).await;
                let wide = "return document.documentElement.scrollWidth - innerWidth";
                assert!(self.execute(wide, vec![]).await.unwrap().as_i64().unwrap() <= 0, "{name} at {width}");
                // The phone by day, the desk by night: colours and sizes do not depend on each other.
                if dark == (width > 1_000) {
                    let barriers = self.barriers().await;
                    assert!(barriers.is_empty(), "{name}, {scheme}, {width}: {barriers:#?}");
                }
            }
        }
        self.emulate(1280, 900, false).await;
    }

    /// What keeps some people from using the page: the violations of WCAG 2.2 AA that axe-core finds.
    async fn barriers(&self) -> Vec<String> {
        const AXE: &str = include_str!("axe/axe.min.js");
        const RUN: &str = r#"
            const done = arguments[arguments.length - 1];
            const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
            axe.run({ runOnly: { type: "tag", values: tags } }).then(
                found => done(found.violations.flatMap(({ id, nodes }) =>
                    nodes.map(node => `${id}: ${node.html} (${node.any.concat(node.all).map(why => why.message)})`))),
                fault => done([String(fault)]));
        "#;
        self.execute(AXE, vec![]).await.expect("axe-core is a script");
        let found = self.execute_async(RUN, vec![]).await.expect("axe-core answers");
        serde_json::from_value(found).expect("a list")
    }
}

const NAME: &str = "ada";
const WORD: &str = PASSWORD;
