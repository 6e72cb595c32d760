//! OpenID Connect Front-Channel Logout 1.0: the browser loads an address of each application.

use grantor::types::ClientMetadata;

use super::logout_back_channel::query;
use crate::each_database;
use crate::support::{Page, Person, TestApp};

each_database!(
    the_page_after_signing_out_loads_each_application_in_a_frame,
    without_an_application_to_load_the_browser_goes_on_at_once,
    what_was_not_confirmed_signs_nobody_out_anywhere,
);

const AFTER: &str = "https://app.example/bye";

fn at(uri: &'static str) -> impl FnOnce(&mut ClientMetadata) {
    move |client| {
        client.redirect_uris.push("https://other.example:8443/cb".parse().unwrap());
        client.post_logout_redirect_uris = vec![AFTER.parse().unwrap()];
        client.frontchannel_logout_uri = Some(uri.to_owned());
    }
}

/// The addresses that a page shows in frames.
fn frames(page: &Page) -> Vec<String> {
    let src = |part: &str| part.split('"').next().unwrap_or_default().replace("&#38;", "&");
    let mut frames: Vec<_> = page.body.split("<iframe src=\"").skip(1).map(src).collect();
    frames.sort_unstable();
    frames
}

fn next(page: &Page) -> String {
    let link = page.body.split("id=\"next\" href=\"").nth(1).unwrap_or_else(|| panic!("no link on {page:?}"));
    link.split('"').next().unwrap_or_default().replace("&#38;", "&")
}

async fn confirmed(person: &Person, page: &Page) -> Page {
    let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
    let mut fields = vec![("csrf", csrf.as_str()), ("decision", "sign_out")];
    if !request.is_empty() {
        fields.push(("request", &request));
    }
    person.post("/oauth/logout/confirm", &fields).await
}

async fn the_page_after_signing_out_loads_each_application_in_a_frame(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").with(at("https://app.example/out?tenant=1")).create().await;
    let other = app.client("other").with(at("https://other.example:8443/out")).create().await;
    let same = app.client("same").with(at("https://app.example/again")).create().await;
    let quiet = app.client("quiet").create().await;
    app.client("elsewhere").with(at("https://app.example/elsewhere")).create().await.sign_in("ada").await;
    let issuer: String = form_urlencoded::byte_serialize(app.issuer().as_bytes()).collect();
    for way in ["by oneself", "by a client that proves it", "by a client that asks"] {
        let person = app.person();
        let tokens = rp.sign_in_with(&person, "ada", &[]).await;
        for rp in [&other, &same, &quiet] {
            rp.sign_in_with(&person, "ada", &[]).await;
        }
        let hint = ("id_token_hint", tokens.id_token());
        let back = [("client_id", "web"), ("post_logout_redirect_uri", AFTER), ("state", "a b&c")];
        let page = match way {
            "by oneself" => confirmed(&person, &person.get("/oauth/logout").await).await,
            "by a client that asks" => {
                confirmed(&person, &person.get(&format!("/oauth/logout?{}", query(&back))).await).await
            }
            _ => person.get(&format!("/oauth/logout?{}", query(&[&[hint], &back[..]].concat()))).await,
        };
        // §2: iss and sid, and a query of its own is kept.
        let sid = app.session_of(tokens.id_token());
        let expected = [
            format!("https://app.example/again?iss={issuer}&sid={sid}"),
            format!("https://app.example/out?tenant=1&iss={issuer}&sid={sid}"),
            format!("https://other.example:8443/out?iss={issuer}&sid={sid}"),
        ];
        assert_eq!(frames(&page), expected, "{way}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("frame-src https://app.example https://other.example:8443;"), "{policy}");
        assert!(policy.contains("script-src 'self'; ") && policy.contains("frame-ancestors 'none'"), "{policy}");
        let after = if way == "by oneself" { "/signed-out".to_owned() } else { format!("{AFTER}?state=a+b%26c") };
        assert_eq!(next(&page), after, "{way}");
        assert!(page.body.contains(&format!("content=\"5; url={}\"", after.replace('&', "&#38;"))), "{}", page.body);
        assert!(!person.is_signed_in().await);
    }
}

async fn without_an_application_to_load_the_browser_goes_on_at_once(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").with(at("https://app.example/out")).create().await;
    let person = app.person();
    // It was opened without openid, or not at all, or is disabled by now.
    rp.sign_in_with(&person, "ada", &[("scope", "notes:read")]).await;
    let gone = app.client("gone").with(at("https://app.example/gone")).create().await;
    gone.sign_in_with(&person, "ada", &[]).await;
    app.disable_client("gone").await;
    let page = confirmed(&person, &person.get("/oauth/logout").await).await;
    assert!(page.url.ends_with("/signed-out") && frames(&page).is_empty(), "{page:?}");
    assert!(!page.header("content-security-policy").unwrap().contains("frame-src"));
}

async fn what_was_not_confirmed_signs_nobody_out_anywhere(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").with(at("https://app.example/out")).create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    assert!(frames(&person.get("/oauth/logout").await).is_empty());
    assert!(person.is_signed_in().await);
    // The session has expired: that is no wish to sign out of anything else.
    app.advance(30 * 86_400);
    let page = person.get(&format!("/oauth/logout?{}", query(&[("id_token_hint", tokens.id_token())]))).await;
    assert!(page.url.contains("/signed-out") && frames(&page).is_empty(), "{page:?}");
}
