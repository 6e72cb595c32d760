//! A real browser for the tests: headless Chromium, driven through its own ChromeDriver.

use std::fmt;
use std::fs;
use std::ops::Deref;
use std::path::Path;

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::keeper::{Keeper, in_path};

/// Starts ChromeDriver on a free port, which it prints, and ends it with all its browsers.
///
/// They share the process group of the keeper, which alone outlives the signal.
const SCRIPT: &str = r#"
trap : HUP INT TERM
PROFILE=$(mktemp -d -t grantor-browser.XXXXXX) && echo "$PROFILE"
TMPDIR=$PROFILE "$CHROMEDRIVER" --port=0 --allowed-ips=127.0.0.1 </dev/null 2>&1 &
read -r _
kill -TERM 0
wait
# Chromium's processes are not ours to wait for, and the last of them still write.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$PROFILE" 2>/dev/null && break
    sleep 0.1
done
"#;

/// A browser with an empty profile. It goes when this is dropped or the test process ends.
pub struct Browser {
    client: Client,
    _driver: Keeper,
}

/// The commands of a page: `browser.goto(..)`, `browser.find(..)`.
impl Deref for Browser {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Browser {
    /// Starts a browser; takes about a second.
    pub async fn open() -> Self {
        let driver = in_path("chromedriver");
        let driver = driver.expect("chromedriver: install Debian's `chromium-driver`, or run scripts/test");
        let mut driver = Keeper::start(SCRIPT, |command| {
            command.env("CHROMEDRIVER", driver);
        });
        let profile = driver.answer().expect("a temporary directory can be made");
        let port = loop {
            let line = driver.answer().expect("ChromeDriver starts");
            // "ChromeDriver was started successfully on port 45123."
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(&profile))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("Chromium starts");
        Self { client, _driver: driver }
    }

    /// Writes what the page looks like to `$GRANTOR_SCREENSHOTS/<name>.png`, for people; without the variable
    /// does nothing.
    pub async fn screenshot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("GRANTOR_SCREENSHOTS") {
            let image = self.client.screenshot().await.expect("the page can be drawn");
            fs::create_dir_all(&folder).expect("the folder of screenshots can be made");
            fs::write(Path::new(&folder).join(format!("{name}.png")), image).expect("the screenshot can be written");
        }
    }

    /// Shows pages as on a screen of this size, with the dark or the light colour scheme, until told otherwise.
    pub async fn emulate(&self, width: u32, height: u32, dark: bool) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// One command of the DevTools protocol, for what WebDriver has no word for.
    pub async fn devtools(&self, command: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(Devtools { command, parameters }).await.expect("Chromium knows this command")
    }
}

fn capabilities(profile: &str) -> Capabilities {
    let profile = format!("--user-data-dir={profile}");
    let arguments = [
        "--headless=new",
        // Its sandbox wants user namespaces, which containers and root do not have.
        "--no-sandbox",
        "--disable-gpu",
        // Containers have a small /dev/shm.
        "--disable-dev-shm-usage",
        // It talks to the pages of the tests and to nobody else.
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
        "--no-proxy-server",
        "--lang=en-US",
        "--window-size=1280,900",
        &profile,
    ];
    let mut options = json!({ "args": arguments });
    if let Some(binary) = in_path("chromium") {
        options["binary"] = json!(binary);
    }
    let capabilities = json!({
        "goog:chromeOptions": options,
        // The tests' certificates are their own.
        "acceptInsecureCerts": true,
        "timeouts": { "pageLoad": 30_000, "script": 10_000 },
        // Kept for `complaints`.
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    match capabilities {
        Value::Object(capabilities) => capabilities,
        _ => unreachable!("an object was written above"),
    }
}

impl Browser {
    /// What the console says since the last time, from warnings upwards: scripts that failed, things that are
    /// missing, violations of a page's policy.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.client.issue_cmd(Console).await.expect("ChromeDriver keeps the console");
        let entries = log.as_array().cloned().unwrap_or_default();
        let loud = entries.iter().filter(|entry| matches!(entry["level"].as_str(), Some("WARNING" | "SEVERE")));
        loud.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// ChromeDriver's own way to the console.
#[derive(Debug)]
struct Console;

impl WebDriverCompatibleCommand for Console {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

/// ChromeDriver's own way to a DevTools command.
struct Devtools {
    command: &'static str,
    parameters: Value,
}

impl fmt::Debug for Devtools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command)
    }
}

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "cmd": self.command, "params": self.parameters }).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use fantoccini::Locator;

    use super::*;

    const PAGE: &str = "data:text/html,<title>A page</title><style>body{background:white}\
         @media(prefers-color-scheme:dark){body{background:black}}</style>\
         <button onclick='this.textContent=`Pressed`'>Press</button>";

    async fn look(browser: &Browser) -> Value {
        let look = "return [innerWidth, innerHeight, getComputedStyle(document.body).backgroundColor]";
        browser.execute(look, vec![]).await.unwrap()
    }

    #[tokio::test]
    async fn a_page_opens_and_its_button_can_be_pressed() {
        let browser = Browser::open().await;
        browser.goto(PAGE).await.unwrap();
        assert_eq!(browser.title().await.unwrap(), "A page");

        let button = browser.find(Locator::Css("button")).await.unwrap();
        button.click().await.unwrap();
        assert_eq!(button.text().await.unwrap(), "Pressed");
        browser.screenshot("browser-selftest").await;
    }

    #[tokio::test]
    async fn a_phone_in_the_dark_is_emulated_and_stays_so_from_page_to_page() {
        let browser = Browser::open().await;
        browser.emulate(390, 844, true).await;
        for _ in 0..2 {
            browser.goto(PAGE).await.unwrap();
            assert_eq!(look(&browser).await, json!([390, 844, "rgb(0, 0, 0)"]));
        }
        browser.emulate(1280, 800, false).await;
        assert_eq!(look(&browser).await, json!([1280, 800, "rgb(255, 255, 255)"]));
    }
}
