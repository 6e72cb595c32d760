//! Proof Key for Code Exchange (RFC 7636): S256 alone, and required unless an administrator vouches for the client
//! (OAuth 2.1 §7.5.1).

use grantor::types::PkcePolicy;

use super::authorize::refused_at_the_client;
use crate::each_database;
use crate::support::{Pkce, TestApp};

each_database!(
    a_challenge_must_be_there_and_be_s256,
    a_code_is_nobodys_without_its_verifier,
    a_verifier_where_there_was_no_challenge_is_refused,
    optional_pkce_exempts_confidential_openid_requests_and_no_others,
);

/// No challenge at all.
const WITHOUT: [(&str, &str); 2] = [("code_challenge", ""), ("code_challenge_method", "")];

async fn a_challenge_must_be_there_and_be_s256(app: TestApp) {
    let confidential = app.client("web").create().await;
    let public = app.client("spa").public().create().await;
    let exempt = app.client("exempt").with(|client| client.pkce = Some(PkcePolicy::Optional)).create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let (padded, long) = (format!("{}=", pkce.challenge), format!("{}A", pkce.challenge));
    let mangled = pkce.challenge.replacen(|_: char| true, "+", 1);

    for changes in [
        // RFC 7636 §4.3: without a method it would be `plain`, which OAuth 2.1 §7.5.1 leaves out.
        &[("code_challenge_method", "plain")][..],
        &[("code_challenge_method", "")],
        &[("code_challenge_method", "s256")],
        &[("code_challenge_method", "S256 plain")],
        &[("code_challenge_method", "S512")],
        &[("code_challenge", "")],
        // RFC 7636 §4.2: BASE64URL-ENCODE(SHA256(...)) has 43 characters.
        &[("code_challenge", "abc")],
        &[("code_challenge", &pkce.challenge[1..])],
        &[("code_challenge", &padded)],
        &[("code_challenge", &long)],
        &[("code_challenge", &mangled)],
    ] {
        // A method without a challenge, or a bad one, is a mistake even where PKCE may be left out.
        for rp in [&confidential, &public, &exempt] {
            let page = rp.authorize(&person, &pkce, changes).await;
            refused_at_the_client(&app, &page, "invalid_request", &format!("{} {changes:?}", rp.id));
        }
    }
    for rp in [&confidential, &public] {
        let page = rp.authorize(&person, &pkce, &WITHOUT).await;
        refused_at_the_client(&app, &page, "invalid_request", &rp.id);
    }
    for rp in [&confidential, &public, &exempt] {
        assert!(rp.authorize(&person, &pkce, &[]).await.asks_to_sign_in(), "{}", rp.id);
    }
}

async fn a_code_is_nobodys_without_its_verifier(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    let confidential = app.client("web").create().await;
    let public = app.client("spa").public().create().await;
    for rp in [&confidential, &public] {
        let (pkce, other) = (Pkce::new(), Pkce::new());
        let code = rp.code(&person, "ada", &pkce, &[]).await;
        for wrong in [
            "",
            other.verifier.as_str(),
            // The challenge is public; it must not pass for the verifier, as it would with `plain`.
            pkce.challenge.as_str(),
            // RFC 7636 §4.1: 43 to 128 unreserved characters
            &pkce.verifier[1..],
            &pkce.verifier.to_uppercase(),
            &format!("{} ", pkce.verifier),
            &format!("{}=", pkce.verifier),
            &"a".repeat(129),
            "short",
        ] {
            rp.redeem_with(&code, &pkce, &[("code_verifier", wrong)]).await.expect_error("invalid_grant");
        }
        // None of it burnt the code.
        rp.redeem(&code, &pkce).await.expect_tokens();
    }
}

async fn a_verifier_where_there_was_no_challenge_is_refused(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    let rp = app.client("web").with(|client| client.pkce = Some(PkcePolicy::Optional)).create().await;
    let pkce = Pkce::new();

    let code = rp.code(&person, "ada", &pkce, &WITHOUT).await;
    // OAuth 2.1 §4.1.3: a downgrade, where somebody took the challenge out of the request.
    rp.redeem(&code, &pkce).await.expect_error("invalid_grant");
    rp.redeem_with(&code, &pkce, &[("code_verifier", "")]).await.expect_tokens();

    // Whoever uses PKCE though it is optional is held to it.
    let code = rp.code(&person, "ada", &pkce, &[]).await;
    rp.redeem_with(&code, &pkce, &[("code_verifier", "")]).await.expect_error("invalid_grant");
    rp.redeem(&code, &pkce).await.expect_tokens();
}

async fn optional_pkce_exempts_confidential_openid_requests_and_no_others(app: TestApp) {
    let server = app.another("[authorization]\npkce = \"optional\"").await;
    for (app, own, strict) in [(&app, Some(PkcePolicy::Optional), None), (&server, None, Some(PkcePolicy::Required))] {
        app.user("ada").await;
        let (person, pkce) = (app.person(), Pkce::new());
        let exempt = app.client("exempt").with(|client| client.pkce = own).create().await;
        let strict = app.client("strict").with(|client| client.pkce = strict).create().await;
        let public = app.client("spa").public().create().await;

        let code = exempt.code(&person, "ada", &pkce, &WITHOUT).await;
        exempt.redeem_with(&code, &pkce, &[("code_verifier", "")]).await.expect_tokens();

        // Without openid there is no nonce that would protect it.
        let plain = [WITHOUT[0], WITHOUT[1], ("scope", "notes:read")];
        refused_at_the_client(app, &exempt.authorize(&person, &pkce, &plain).await, "invalid_request", "no openid");
        // The client's own policy stands above the server's, and a public client has none to choose.
        refused_at_the_client(app, &strict.authorize(&person, &pkce, &WITHOUT).await, "invalid_request", "strict");
        refused_at_the_client(app, &public.authorize(&person, &pkce, &WITHOUT).await, "invalid_request", "public");
    }
}
