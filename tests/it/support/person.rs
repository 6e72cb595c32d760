//! A person with a browser: cookies, forms, and redirects that are followed while they stay with us.

use std::collections::HashMap;
use std::sync::Mutex;

use http::{HeaderMap, StatusCode};
use url::Url;

use super::app::http_client;

/// A browser without JavaScript.
pub struct Person {
    url: String,
    http: reqwest::Client,
    cookies: Mutex<HashMap<String, String>>,
}

/// Where a browser ended up.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The address of the page, or where it was sent away to.
    pub url: String,
    pub body: String,
}

impl Person {
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), http: http_client(), cookies: Mutex::default() }
    }

    /// One whose connections are made by `http`: of another trust, or with a certificate.
    pub fn over(url: &str, http: reqwest::Client) -> Self {
        Self { http, ..Self::new(url) }
    }

    /// The cookies that the browser holds.
    pub fn cookies(&self) -> HashMap<String, String> {
        self.cookies.lock().expect("no test panicked with it").clone()
    }

    /// The cookie that names the browser's record. Another one outlives it, and lets nobody in (`web/throttle.rs`).
    pub fn own_cookie(&self) -> Option<(String, String)> {
        self.cookies().into_iter().find(|(name, _)| !name.contains("-known-"))
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().expect("no test panicked with it").insert(name.to_owned(), value.to_owned());
    }

    /// Opens an address of ours (a path), and follows redirects until they leave us.
    pub async fn get(&self, path: &str) -> Page {
        self.try_get(path).await.expect("the server answers")
    }

    /// As `get`, at a server that may die over it.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Page> {
        let url = self.absolute(path);
        self.follow(self.http.get(&url), url).await
    }

    /// Posts a form to a path of ours, and follows redirects until they leave us.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.try_post(path, fields).await.expect("the server answers")
    }

    /// As `post`, to a server that may die over it.
    pub async fn try_post(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::Result<Page> {
        let url = self.absolute(path);
        self.follow(self.http.post(&url).form(fields), url).await
    }

    /// Fills in the sign-in form of `page`.
    pub async fn sign_in(&self, page: &Page, username: &str, password: &str) -> Page {
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let mut fields = vec![("csrf", csrf.as_str()), ("username", username), ("password", password)];
        if !request.is_empty() {
            fields.push(("request", &request));
        }
        self.post("/sign-in", &fields).await
    }

    /// Presses a button of the consent form of `page`.
    pub async fn decide(&self, page: &Page, decision: &str) -> Page {
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        self.post("/consent", &[("csrf", &csrf), ("request", &request), ("decision", decision)]).await
    }

    fn absolute(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) }
    }

    async fn follow(&self, request: reqwest::RequestBuilder, mut url: String) -> reqwest::Result<Page> {
        let mut response = self.send(request).await?;
        for _ in 0..10 {
            let location = response.headers().get("location").map(|value| value.to_str().expect("text").to_owned());
            let (status, headers) = (response.status(), response.headers().clone());
            let Some(location) = location else {
                return Ok(Page { status, headers, url, body: response.text().await? });
            };
            let next = Url::parse(&url).and_then(|base| base.join(&location)).expect("a location is a URL").to_string();
            let ours =
                next.starts_with(&format!("{}/", Url::parse(&self.url).expect("a URL").origin().ascii_serialization()));
            if !ours {
                // The address as it was sent, letter for letter.
                return Ok(Page { status, headers, url: location, body: String::new() });
            }
            response = self.send(self.http.get(&next)).await?;
            url = next;
        }
        panic!("the redirects do not end: {url}");
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<reqwest::Response> {
        let cookies = self.cookies();
        let header = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = if header.is_empty() { request } else { request.header("cookie", header) };
        let response = request.send().await?;
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().expect("a cookie is text");
            let (name, rest) = cookie.split_once('=').expect("a cookie has a name");
            let value = rest.split(';').next().unwrap_or_default();
            let mut jar = self.cookies.lock().expect("no test panicked with it");
            if value.is_empty() || cookie.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }

    /// Presses "Cancel" on the sign-in form of `page`.
    pub async fn cancel(&self, page: &Page) -> Page {
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        self.post("/sign-in", &[("csrf", &csrf), ("request", &request), ("decision", "cancel")]).await
    }

    /// Presses an account on the page that asks for one; none is "Use another account".
    pub async fn choose_account(&self, page: &Page, session: Option<&str>) -> Page {
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let fields = [("csrf", csrf.as_str()), ("request", &request), ("session", session.unwrap_or_default())];
        self.post("/select-account", &fields).await
    }

    /// Signs out by the page that asks first.
    pub async fn sign_out(&self) -> Page {
        let page = self.get("/oauth/logout").await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        self.post("/oauth/logout/confirm", &[("csrf", &csrf), ("request", &request), ("decision", "sign_out")]).await
    }

    /// Withdraws what a client may do, on the account page.
    pub async fn withdraw(&self, client: &str) -> Page {
        let page = self.get("/account").await;
        let csrf = page.hidden("csrf");
        self.post("/account/consents/withdraw", &[("csrf", &csrf), ("client_id", client)]).await
    }
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header is text"))
    }

    /// The value of a hidden field; empty if there is none.
    pub fn hidden(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let start = self.body.find(&mark).map(|at| at + mark.len());
        start.map(|start| self.body[start..].split('"').next().unwrap_or_default().to_owned()).unwrap_or_default()
    }

    /// What it says, without what is made anew for each page.
    pub fn without_secrets(&self) -> String {
        let options = self.attribute("data-options").unwrap_or_default();
        let challenge = options.split("\"challenge\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let secrets = [self.hidden("csrf"), self.hidden("challenge"), challenge.unwrap_or_default().to_owned()];
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(self.body.clone(), |body, secret| body.replace(secret, "SECRET"))
    }

    /// The first attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let value = self.body.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
        Some(unescape(value))
    }

    pub fn asks_to_sign_in(&self) -> bool {
        self.url.contains("/sign-in") && self.body.contains("name=\"password\"")
    }

    pub fn asks_for_consent(&self) -> bool {
        self.url.contains("/consent") && self.body.contains("value=\"allow\"")
    }

    /// A parameter of the address that the browser was sent to.
    pub fn param(&self, name: &str) -> Option<String> {
        let url = Url::parse(&self.url).expect("the address is a URL");
        url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
    }

    /// The code that was sent to the client.
    #[track_caller]
    pub fn code(&self) -> String {
        self.param("code").unwrap_or_else(|| panic!("no code: {} {} {}", self.status, self.url, self.body))
    }

    /// The error that was sent to the client, with `state` and `iss`.
    #[track_caller]
    pub fn expect_redirect_error(&self, code: &str) {
        assert_eq!(self.param("error").as_deref(), Some(code), "{} {} {}", self.status, self.url, self.body);
        assert!(self.param("iss").is_some(), "RFC 9207: {}", self.url);
        assert!(self.param("code").is_none(), "{}", self.url);
    }

    /// An error page: nobody was redirected.
    #[track_caller]
    pub fn expect_error_page(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{} {}", self.url, self.body);
        assert!(!self.headers.contains_key("location"));
        assert!(self.body.contains("<h1"), "{}", self.body);
    }

    pub fn asks_for_account(&self) -> bool {
        self.url.contains("/select-account") && self.body.contains("name=\"session\"")
    }

    /// What stands in the field for the user name.
    pub fn username(&self) -> String {
        let input = self.body.split("name=\"username\"").nth(1).unwrap_or_default();
        let input = input.split('>').next().unwrap_or_default();
        unescape(input.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default())
    }

    /// Where the form of a `form_post` answer goes, and what it carries.
    pub fn posts(&self) -> (String, HashMap<String, String>) {
        let form = self.body.split("<form").nth(1).and_then(|rest| rest.split("</form>").next()).unwrap_or_default();
        let attribute = |text: &str, name: &str| {
            let value = text.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            unescape(value.unwrap_or_default())
        };
        let fields = form.split("<input").skip(1).map(|input| (attribute(input, "name"), attribute(input, "value")));
        (attribute(form, "action"), fields.collect())
    }
}

/// What a browser makes of an attribute of our pages.
fn unescape(text: &str) -> String {
    let named = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    named.iter().fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}
