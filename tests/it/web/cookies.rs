//! The cookie: where it goes, what it is worth, and for how long (RFC 6265, ASVS V7).

use std::collections::HashSet;
use std::time::Duration;

use grantor::crypto::sha256;

use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::rows::rows;
use crate::support::{Answer, Engine, Pkce, TestApp};

each_database!(
    on_https_the_cookie_belongs_to_this_host_alone,
    on_http_the_cookie_is_named_after_the_issuer,
    every_sign_in_brings_another_cookie,
    a_cookie_planted_before_the_sign_in_is_worth_nothing_after_it,
    a_value_that_the_server_did_not_choose_is_never_adopted,
    the_value_of_the_cookie_is_nowhere_in_the_database,
    a_malformed_cookie_does_no_harm,
    the_cookie_of_who_signed_out_is_dead_on_the_server,
    a_sign_in_whose_cookie_cannot_be_changed_can_be_sent_again,
    a_browser_is_remembered_for_as_long_as_its_pages_and_its_session_last,
);

struct Cookie {
    name: String,
    value: String,
    attributes: HashSet<String>,
}

fn cookie(answer: &Answer) -> Cookie {
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    let mut parts = cookies[0].to_str().unwrap().split(';').map(str::trim);
    let (name, value) = parts.next().unwrap().split_once('=').unwrap();
    Cookie { name: name.to_owned(), value: value.to_owned(), attributes: parts.map(str::to_owned).collect() }
}

fn assert_attributes(cookie: &Cookie, expected: &[&str]) {
    let lasting = |attribute: &&String| !attribute.starts_with("Max-Age=");
    let found: HashSet<_> = cookie.attributes.iter().filter(lasting).map(String::as_str).collect();
    assert_eq!(found, expected.iter().copied().collect::<HashSet<_>>());
}

async fn on_https_the_cookie_belongs_to_this_host_alone(mut app: TestApp) {
    let secure = app.on_https().await;
    let cookie = cookie(&secure.get("/sign-in").await);
    // RFC 6265bis §4.1.3.2: with this prefix a browser takes it only with Secure, Path=/ and no Domain.
    assert!(cookie.name.starts_with("__Host-grantor-"), "{}", cookie.name);
    assert_attributes(&cookie, &["Secure", "HttpOnly", "SameSite=Lax", "Path=/"]);
    // ASVS 7.2.3: 128 bits in base64url.
    assert!(cookie.value.len() >= 22, "{}", cookie.value);
}

async fn on_http_the_cookie_is_named_after_the_issuer(app: TestApp) {
    let cookie = cookie(&app.get("/sign-in").await);
    // Cookies know no ports: two servers on one host must not overwrite each other's.
    let [a, b, c, d, ..] = sha256(app.issuer().as_bytes());
    assert_eq!(cookie.name, format!("grantor-{a:02x}{b:02x}{c:02x}{d:02x}"));
    assert_attributes(&cookie, &["HttpOnly", "SameSite=Lax", "Path=/"]);
}

async fn every_sign_in_brings_another_cookie(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.get("/sign-in").await;
    let before = person.cookies();

    person.sign_in_to_account("ada").await;
    let first = person.cookies();
    assert_ne!(first, before);
    assert!(person.is_signed_in().await);

    // ASVS 7.2.4: the same person again, in the same session.
    let rp = app.client("web").create().await;
    let page = rp.authorize(&person, &Pkce::new(), &[("prompt", "login")]).await;
    person.sign_in(&page, "ada", PASSWORD).await;
    assert_ne!(person.cookies(), first);
    assert!(person.is_signed_in().await);

    let thief = app.person();
    for (name, value) in first {
        thief.set_cookie(&name, &value);
    }
    assert!(!thief.is_signed_in().await, "the first cookie ended with the second sign-in");
}

async fn a_cookie_planted_before_the_sign_in_is_worth_nothing_after_it(app: TestApp) {
    app.user("ada").await;
    let (thief, victim) = (app.person(), app.person());
    let page = thief.get("/sign-in").await;
    victim.takes_cookies_of(&thief);
    let planted = victim.get("/sign-in").await;
    assert_eq!(planted.hidden("csrf"), page.hidden("csrf"), "the victim's browser uses the planted cookie");

    victim.sign_in(&planted, "ada", PASSWORD).await;
    assert!(victim.is_signed_in().await);
    assert_ne!(victim.cookies(), thief.cookies());
    assert!(!thief.is_signed_in().await);
}

async fn a_value_that_the_server_did_not_choose_is_never_adopted(app: TestApp) {
    app.user("ada").await;
    let elsewhere = app.another("").await;
    elsewhere.user("ada").await;
    let theirs = elsewhere.person();
    theirs.sign_in_to_account("ada").await;
    let value = theirs.cookies().into_values().next().unwrap();

    let person = app.person();
    let name = cookie(&app.get("/sign-in").await).name;
    person.set_cookie(&name, &value);
    assert!(!person.is_signed_in().await, "a cookie of another server is worth nothing here");
    assert_ne!(person.cookies()[&name], value);
}

async fn the_value_of_the_cookie_is_nowhere_in_the_database(app: TestApp) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let (_, value) = person.own_cookie().unwrap();
    let raw = URL_SAFE_NO_PAD.decode(&value).unwrap();
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let reversed: String = raw.iter().rev().map(|byte| format!("{byte:02x}")).collect();

    let rows = rows(&app).await.join("\n");
    assert!(rows.contains("ada@example.org"), "the rows are read");
    for secret in [&value, &hex, &reversed] {
        assert!(!rows.to_lowercase().contains(&secret.to_lowercase()), "{rows}");
    }
    for file in ["grantor.db", "grantor.db-wal"] {
        let bytes = std::fs::read(app.folder.path(file)).unwrap_or_default();
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(!holds(value.as_bytes()) && !holds(&raw), "{file}");
    }
}

async fn a_malformed_cookie_does_no_harm(app: TestApp) {
    app.user("ada").await;
    let good = app.person();
    good.sign_in_to_account("ada").await;
    let (name, value) = good.own_cookie().unwrap();
    let get = async |cookie: String| {
        let request = app.http.get(format!("{}/account", app.url)).header("cookie", cookie);
        Answer::of(request.send().await.unwrap()).await
    };
    assert_eq!(get(format!("{name}={value}")).await.status, 200);

    let (shorter, longer) = (&value[..21], format!("{value}A"));
    for bad in ["", "x", "%00", "%", "\"", "\"quoted\"", "../../etc/passwd", "' OR 1=1 --", shorter, &longer] {
        let answer = get(format!("{name}={bad}")).await;
        assert_eq!(answer.status, 303, "{bad}: {}", answer.body);
        assert!(answer.header("location").unwrap().ends_with("/sign-in"), "{bad}");
    }
    for odd in [format!("{name}={}", "A".repeat(8_000)), format!(";;={name};=;{name}"), "=".to_owned()] {
        assert_eq!(get(odd).await.status, 303);
    }
    // Bytes that are no text.
    let bytes = reqwest::header::HeaderValue::from_bytes(b"a=\xff\xfe").unwrap();
    let request = app.http.get(format!("{}/account", app.url)).header("cookie", bytes);
    assert_eq!(request.send().await.unwrap().status(), 303);
    // The good one, among others of other programs.
    assert_eq!(get(format!("theme=dark; {name}={value}; lang=\"en\"; broken")).await.status, 200);
}

async fn the_cookie_of_who_signed_out_is_dead_on_the_server(app: TestApp) {
    app.user("ada").await;
    let (person, thief) = (app.person(), app.person());
    person.sign_in_to_account("ada").await;
    thief.takes_cookies_of(&person);
    assert!(thief.is_signed_in().await, "a stolen cookie works until then");

    person.sign_out().await;
    assert!(person.own_cookie().is_none(), "the browser is told to forget it");
    // ASVS 7.4.1
    assert!(!thief.is_signed_in().await);
}

async fn a_browser_is_remembered_for_as_long_as_its_pages_and_its_session_last(app: TestApp) {
    const MINUTE: Duration = Duration::from_secs(60);
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let lasts = |answer: &Answer| {
        let cookie = cookie(answer);
        let age =
            cookie.attributes.iter().find_map(|attribute| attribute.strip_prefix("Max-Age=")?.parse::<i64>().ok());
        age.unwrap()
    };
    assert!((3_600..=7_200).contains(&lasts(&app.get("/sign-in").await)));

    // Whoever comes back late still has the half hour of a new request.
    let person = app.person();
    person.get("/sign-in").await;
    app.clock.advance(110 * MINUTE);
    let page = rp.authorize(&person, &Pkce::new(), &[]).await;
    app.clock.advance(29 * MINUTE);
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.asks_for_consent(), "{page:?}");

    let visitor = app.person();
    let page = visitor.get("/sign-in").await;
    app.clock.advance(121 * MINUTE);
    visitor.sign_in(&page, "ada", PASSWORD).await.expect_error_page(403);
    assert!(person.is_signed_in().await, "a session outlasts a visit");
}

async fn a_sign_in_whose_cookie_cannot_be_changed_can_be_sent_again(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[]).await;
    let cookies = person.cookies();
    // No new record can be written, for as long as this stands.
    let (wall, gap) = match app.engine() {
        Engine::Sqlite => (
            "CREATE TRIGGER wall BEFORE INSERT ON browsers BEGIN SELECT RAISE(ABORT, 'wall'); END",
            "DROP TRIGGER wall",
        ),
        Engine::Postgres => (
            "ALTER TABLE browsers ADD CONSTRAINT wall CHECK (id_hash IS NULL) NOT VALID",
            "ALTER TABLE browsers DROP CONSTRAINT wall",
        ),
    };
    app.sql(wall).await;
    let failed = person.sign_in(&page, "ada", PASSWORD).await;
    failed.expect_error_page(503);
    assert_eq!(person.cookies(), cookies);

    app.sql(gap).await;
    // Nobody is signed in by half: not even for the request that waits.
    assert!(person.get(&page.url).await.asks_to_sign_in());
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.asks_for_consent(), "{page:?}");
    rp.redeem(&person.decide(&page, "allow").await.code(), &pkce).await.expect_tokens();
    assert_eq!(app.count("browsers").await, 1);
}
