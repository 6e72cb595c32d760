//! Each page, as a person sees it; with `GRANTOR_SCREENSHOTS`, a picture of each.

use fantoccini::Locator;

use crate::oauth::authorization_details::{customers, kind, list, orders, register, table_access};
use crate::support::app::{Folder, eventually};
use crate::support::browser::Browser;
use crate::support::party::encode;
use crate::support::{Engine, Pkce, TestApp};

use super::{Callback, NAME, WORD};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_fits_every_screen_and_leads_to_the_next() {
    let toml =
        "[scopes.\"notes:read\"]\ntitle = \"Read your notes\"\ndetail = \"Titles and text of all your notes.\"\n";
    let (app, callback) = (TestApp::with(Engine::Sqlite, toml).await, Callback::listen().await);
    app.user(NAME).await;
    let rp = app.client("web").redirect_uris(&[&callback.uri()]).create().await;
    let cli = app.client("cli").public().redirect_uris(&["http://127.0.0.1/callback"]);
    cli.with(|client| client.client_name = "Notes on the command line".into()).create().await;
    let browser = Browser::open().await;
    let address = |client: &str, changes: &[(&str, &str)]| {
        let mut fields = rp.request(&Pkce::new());
        for (name, value) in [("client_id", client)].iter().chain(changes) {
            fields.retain(|(own, _)| own != name);
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        format!("{}/oauth/authorize?{}", app.url, encode(&fields))
    };

    browser.goto(&format!("{}/account", app.url)).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    browser.picture("sign-in").await;
    browser.goto(&address("web", &[("scope", "openid profile email notes:read offline_access")])).await.unwrap();
    browser.picture("sign-in-for-application").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("Lighthouse wants to use your account").await;
    assert!(browser.text("main").await.contains("Read your notes"));
    browser.picture("consent").await;
    browser.press("button[value=switch]").await;
    browser.arrives_at("Sign in to Grantor").await;
    browser.back().await.unwrap();
    browser.press("button[value=allow]").await;
    browser.arrives_at("Arrived").await;
    callback.answer().await;

    browser.goto(&address("cli", &[])).await.unwrap();
    browser.arrives_at("Notes on the command line wants to use your account").await;
    assert!(browser.text("main").await.contains("It runs on your own device"));
    browser.picture("consent-local").await;
    browser.press("button[value=allow]").await;
    browser.arrives_at("Arrived").await;
    callback.answer().await;

    register(&app, &kind(&app, "table_access", table_access())).await;
    app.reregister("web", |client| client.authorization_details_types = vec!["table_access".to_owned()]).await;
    let asked = list(&[customers(), orders()]);
    browser.goto(&address("web", &[("authorization_details", &asked)])).await.unwrap();
    browser.arrives_at("Lighthouse wants to use your account").await;
    assert!(browser.text("main").await.contains("Read name, city of the table customers"));
    browser.picture("consent-particular").await;
    browser.press("button[value=allow]").await;
    browser.arrives_at("Arrived").await;
    callback.answer().await;

    browser.goto(&address("web", &[("prompt", "select_account")])).await.unwrap();
    browser.arrives_at("Choose an account").await;
    browser.picture("select-account").await;
    browser.goto(&address("web", &[("prompt", "login")])).await.unwrap();
    browser.arrives_at("Sign in again").await;
    browser.picture("sign-in-again").await;
    browser.press(".foot a").await;
    browser.arrives_at("Sign in to Grantor").await;

    browser.goto(&format!("{}/account", app.url)).await.unwrap();
    browser.arrives_at("ada Lovelace").await;
    browser.picture("account").await;
    for left in [1, 0] {
        browser.press("form[action$='/withdraw'] button").await;
        let notice = browser.text("[role=status]").await;
        assert!(notice.contains("can no longer use your account"), "{notice}");
        let forms = browser.find_all(Locator::Css("form[action$='/withdraw']")).await.unwrap();
        assert_eq!(forms.len(), left);
    }
    browser.picture("account-empty").await;

    browser.press("a[href$='/oauth/logout']").await;
    browser.arrives_at("Sign out of Grantor?").await;
    browser.picture("sign-out").await;
    browser.press("button[value=sign_out]").await;
    browser.arrives_at("You are signed out").await;
    browser.picture("signed-out").await;
    browser.has_no_complaints().await;

    browser.goto(&format!("{}/oauth/authorize?client_id=nobody", app.url)).await.unwrap();
    browser.arrives_at("Unknown application").await;
    browser.picture("error").await;
    browser.goto(&format!("{}/nothing", app.url)).await.unwrap();
    browser.arrives_at("There is nothing here").await;
    browser.picture("error-404").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_connected_from_a_browser() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.user(NAME).await;
    let tv = app.client("tv").on_a_device().with(|client| client.client_name = "Notes on the television".into());
    let tv = tv.create().await;
    let waiting = tv.begin("openid email offline_access").await;
    let browser = Browser::open().await;

    browser.goto(&format!("{}/device", app.url)).await.unwrap();
    browser.arrives_at("Connect a device").await;
    browser.picture("device").await;
    browser.fill("#user_code", "bbbb-bbbb").await;
    browser.press("button[type=submit]").await;
    browser.says("#mistake", "There is no such code").await;
    browser.picture("device-mistake").await;
    // The console tells of the 422 itself, and of nothing else.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("422")), "{complaints:#?}");

    browser.goto(&format!("{}/device?user_code={}", app.url, waiting.user_code)).await.unwrap();
    browser.arrives_at("Does your device show this code?").await;
    browser.picture("device-link").await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("Sign in to Grantor").await;
    browser.picture("device-sign-in").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("Notes on the television wants to use your account on a device").await;
    browser.picture("device-confirm").await;
    browser.press("button[value=allow]").await;
    browser.arrives_at("Your device is connected").await;
    browser.picture("device-done").await;
    tv.poll(&waiting).await.expect_tokens();

    let waiting = tv.begin("openid").await;
    browser.goto(&format!("{}/device?user_code={}", app.url, waiting.user_code)).await.unwrap();
    browser.press("button[type=submit]").await;
    browser.press("button[value=deny]").await;
    browser.arrives_at("Nothing was connected").await;
    browser.picture("device-denied").await;
    tv.poll(&waiting).await.expect_error("access_denied");
    browser.has_no_complaints().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_in_a_frame_is_not_shown() {
    let (app, callback) = (TestApp::spawn(Engine::Sqlite).await, Callback::listen().await);
    let browser = Browser::open().await;
    browser.goto(&callback.uri()).await.unwrap();
    let frame = "const frame = document.createElement('iframe'); frame.src = arguments[0]; document.body.append(frame)";
    browser.execute(frame, vec![callback.uri().into()]).await.unwrap();
    eventually("another page can be framed", || async { callback.arrived() == 2 }).await;
    browser.has_no_complaints().await;

    browser.execute(frame, vec![format!("{}/sign-in", app.url).into()]).await.unwrap();
    let blocked = || async { browser.complaints().await.iter().any(|line| line.contains("frame-ancestors")) };
    eventually("the browser refuses to frame the sign-in page", blocked).await;
}

/// Whatever the scheme and the screen, words can be read and buttons can be hit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_has_contrast_and_buttons_have_size() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.user(NAME).await;
    let browser = Browser::open().await;
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.sign_in(NAME, "wrong password").await;
    browser.text("#mistake").await;
    for dark in [false, true] {
        browser.emulate(390, 844, dark).await;
        // WCAG 2.2: 1.4.3 contrast 4.5 : 1, 2.5.8 targets of at least 24 px.
        let worst = browser.execute(CONTRAST, vec![]).await.unwrap();
        assert!(worst[0].as_f64().unwrap() >= 4.5, "dark: {dark}, {worst}");
        let smallest = "return Math.min(...[...document.querySelectorAll('button, input:not([type=hidden])')]\
                        .map(e => e.getBoundingClientRect().height))";
        assert!(browser.execute(smallest, vec![]).await.unwrap().as_f64().unwrap() >= 24.0);
    }
}

/// The least contrast of any text on the page, and the text.
const CONTRAST: &str = r"
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = element => {
        for (let e = element; e; e = e.parentElement) {
            const colour = rgba(getComputedStyle(e).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return rgba('Canvas');
    };
    let worst = [21, ''];
    for (const element of document.querySelectorAll('body *')) {
        const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest('.visually-hidden, [aria-hidden=true]')) continue;
        const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < worst[0]) worst = [ratio, element.textContent.trim()];
    }
    return worst;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_brand_is_as_good() {
    const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 120 44\">\
        <rect width=\"120\" height=\"44\" rx=\"8\" fill=\"#8a1538\"/><circle cx=\"22\" cy=\"22\" r=\"9\" fill=\"#fff\"/></svg>";
    let folder = Folder::new();
    std::fs::write(folder.path("logo.svg"), LOGO).unwrap();
    let toml = format!(
        "[server]\nname = \"Acme\"\n[brand]\ncolour = \"#8a1538\"\ncolour_dark = \"#ffb3c7\"\nfolder = {:?}\n\
         links = [{{ label = \"Privacy\", uri = \"https://acme.example/\" }}, {{ label = \"Help\", uri = \"mailto:a@b.example\" }}]\n",
        folder.path("").to_str().unwrap()
    );
    let app = TestApp::with(Engine::Sqlite, &toml).await;
    app.user(NAME).await;
    let browser = Browser::open().await;
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.arrives_at("Sign in to Acme").await;
    browser.picture("brand-sign-in").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("ada Lovelace").await;
    browser.picture("brand-account").await;
    assert!(browser.complaints().await.is_empty());
}
