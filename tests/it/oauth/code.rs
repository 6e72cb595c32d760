//! The authorization code grant, from the request to the tokens.

use crate::each_database;
use crate::support::{Pkce, TestApp};

each_database!(a_person_signs_in_allows_it_and_the_client_gets_tokens, a_code_works_once);

async fn a_person_signs_in_allows_it_and_the_client_gets_tokens(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());

    let page = rp.authorize(&person, &pkce, &[]).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let page = person.sign_in(&page, "ada", crate::support::app::PASSWORD).await;
    assert!(page.asks_for_consent(), "{page:?}");
    let page = person.decide(&page, "allow").await;
    assert!(page.url.starts_with("https://app.example/callback?"), "{}", page.url);
    assert_eq!(page.param("state").as_deref(), Some("a state"));
    assert_eq!(page.param("iss").as_deref(), Some(app.issuer()));

    let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
    assert_eq!(tokens.scope(), "offline_access openid");
    let active = app.introspect(tokens.access_token()).await.expect_active();
    assert_eq!(active["client_id"], "web");
    let second = rp.refresh(&tokens).await.expect_tokens();
    app.introspect(second.access_token()).await.expect_active();
    rp.userinfo(second.access_token()).await.expect_status(200);
}

async fn a_code_works_once(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let code = rp.code(&person, "ada", &pkce, &[]).await;

    let tokens = rp.redeem(&code, &pkce).await.expect_tokens();
    rp.redeem(&code, &pkce).await.expect_error("invalid_grant");

    // RFC 6749 §4.1.2: what the first use issued is revoked.
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.refresh(&tokens).await.expect_error("invalid_grant");
}
