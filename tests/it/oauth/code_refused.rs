//! Codes that are not redeemed, and what that leaves behind (OAuth 2.1 §4.1.3, RFC 6749 §4.1.2, RFC 9700 §4.5).

use std::time::Duration;

use crate::each_database;
use crate::support::party::{SECRET, decode};
use crate::support::{Party, Pkce, TestApp, Tokens};

each_database!(
    a_code_lives_for_a_minute,
    a_code_is_its_own_clients,
    garbage_is_no_code,
    a_redirect_uri_may_be_left_out_and_must_be_right_when_it_is_sent,
    of_fifty_redemptions_at_once_one_wins_and_the_rest_end_what_it_got,
    only_a_whole_replay_ends_what_the_code_issued,
    the_id_of_a_grant_proves_nothing,
    a_code_ends_with_what_it_hangs_on,
);

async fn a_code_lives_for_a_minute(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());

    // ASVS 10.4.3
    let code = rp.code(&person, "ada", &pkce, &[]).await;
    app.clock.advance(Duration::from_secs(60) - Duration::from_micros(1));
    rp.redeem(&code, &pkce).await.expect_tokens();

    let code = rp.code(&person, "ada", &pkce, &[]).await;
    app.clock.advance(Duration::from_secs(60));
    let refused = rp.redeem(&code, &pkce).await.expect_error("invalid_grant");
    assert!(refused.body.contains("expired"), "{}", refused.body);
}

async fn a_code_is_its_own_clients(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let other = app.client("other").create().await;
    let spa = app.client("spa").public().create().await;
    let pkce = Pkce::new();
    let code = rp.code(&app.person(), "ada", &pkce, &[]).await;

    // RFC 6749 §4.1.3: "ensure that the authorization code was issued to the authenticated confidential client".
    let wrong_client = other.redeem(&code, &pkce).await.expect_error("invalid_grant").body;
    assert_eq!(wrong_client, spa.redeem(&code, &pkce).await.expect_error("invalid_grant").body);
    // They learn no more than of a code that never was, and the code is none the worse.
    let unknown = format!("{}.{}", uuid(), "A".repeat(43));
    assert_eq!(wrong_client, rp.redeem(&unknown, &pkce).await.expect_error("invalid_grant").body);
    rp.redeem(&code, &pkce).await.expect_tokens();
}

fn uuid() -> String {
    "0197c0de-0000-7000-8000-000000000000".to_owned()
}

async fn garbage_is_no_code(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let pkce = Pkce::new();
    let code = rp.code(&app.person(), "ada", &pkce, &[]).await;
    let (id, secret) = code.split_once('.').expect("a code is id.secret");

    rp.redeem_with("", &pkce, &[("code", "")]).await.expect_error("invalid_request");
    for garbage in [
        "x",
        ".",
        id,
        secret,
        &format!("{id}."),
        &format!(".{secret}"),
        &format!("{secret}.{id}"),
        &format!("{id}.{secret}."),
        &format!("{id}.{secret}A"),
        &format!("{id}.{}", &secret[1..]),
        &format!("{id}..{secret}"),
        &format!(" {code}"),
        &format!("{code}\n"),
        &format!("{id}.{}", "A".repeat(43)),
        &format!("{}.{secret}", uuid()),
        &format!("{}.{secret}", id.to_uppercase()),
        &format!("{}.{secret}", id.replace('-', "")),
        &format!("{{{id}}}.{secret}"),
        &format!("{id}.{}\u{e9}", &secret[..41]),
        "' OR 1=1 --.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        &"A".repeat(10_000),
    ] {
        rp.redeem(garbage, &pkce).await.expect_error("invalid_grant");
    }
    rp.redeem(&code, &pkce).await.expect_tokens();
}

async fn a_redirect_uri_may_be_left_out_and_must_be_right_when_it_is_sent(app: TestApp) {
    app.user("ada").await;
    let both = ["https://app.example/callback", "https://app.example/other"];
    let rp = app.client("web").redirect_uris(&both).create().await;
    let (person, pkce) = (app.person(), Pkce::new());

    let code = rp.code(&person, "ada", &pkce, &[]).await;
    for wrong in [
        // Registered, but not where this code went.
        "https://app.example/other",
        "https://app.example/callback/",
        "https://app.example/callback?",
        "https://APP.example/callback",
        "https://app.example:443/callback",
        "https://evil.example/callback",
        "x",
    ] {
        rp.redeem_with(&code, &pkce, &[("redirect_uri", wrong)]).await.expect_error("invalid_grant");
    }
    rp.redeem(&code, &pkce).await.expect_tokens();

    // OAuth 2.1 §4.1.3 has no redirect_uri any more.
    let code = rp.code(&person, "ada", &pkce, &[]).await;
    rp.redeem_with(&code, &pkce, &[("redirect_uri", "")]).await.expect_tokens();
}

async fn of_fifty_redemptions_at_once_one_wins_and_the_rest_end_what_it_got(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let pkce = Pkce::new();
    let code = rp.code(&app.person(), "ada", &pkce, &[]).await;

    let answers = fifty(&rp, &code, &pkce).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| *status == 200);
    assert_eq!((won.len(), lost.len()), (1, 49), "{lost:?}");
    for (status, body) in lost {
        assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()), "{body}");
    }
    // RFC 6749 §4.1.2: the rest were replays.
    let tokens = Tokens(won[0].1.clone());
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    rp.userinfo(tokens.access_token()).await.expect_status(401);
}

/// One code, fifty times, from as many connections.
async fn fifty(rp: &Party<'_>, code: &str, pkce: &Pkce) -> Vec<(u16, serde_json::Value)> {
    let fields = [("grant_type", "authorization_code"), ("code", code), ("code_verifier", &pkce.verifier)];
    let requests = (0..50).map(|_| {
        let request = rp.app.http.post(format!("{}/oauth/token", rp.app.url)).form(&fields);
        let sent = request.header("authorization", crate::support::party::basic(&rp.id, SECRET)).send();
        tokio::spawn(async move {
            let response = sent.await.expect("the server answers");
            (response.status().as_u16(), response.json().await.expect("the body is JSON"))
        })
    });
    let mut answers = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        answers.push(request.await.expect("the request ends"));
    }
    answers
}

async fn only_a_whole_replay_ends_what_the_code_issued(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (other, thief) = (app.client("other").create().await, Party::existing(&app, "web", "wrong secret"));
    let (pkce, wrong) = (Pkce::new(), Pkce::new());
    let code = rp.code(&app.person(), "ada", &pkce, &[]).await;
    let tokens = rp.redeem(&code, &pkce).await.expect_tokens();
    app.clock.advance(Duration::from_secs(90));

    // Who saw the code in a log or a referrer has not its client's secret, nor its verifier.
    thief.redeem(&code, &pkce).await.expect_error("invalid_client");
    other.redeem(&code, &pkce).await.expect_error("invalid_grant");
    rp.redeem(&code, &wrong).await.expect_error("invalid_grant");
    rp.redeem_with(&code, &pkce, &[("code_verifier", "")]).await.expect_error("invalid_grant");
    rp.redeem_with(&code, &pkce, &[("redirect_uri", "https://evil.example/")]).await.expect_error("invalid_grant");
    app.introspect(tokens.access_token()).await.expect_active();
    let tokens = rp.refresh(&tokens).await.expect_tokens();

    // A replay ends it all, long after the code itself has expired, and whatever was refreshed since.
    rp.redeem(&code, &pkce).await.expect_error("invalid_grant");
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.refresh(&tokens).await.expect_error("invalid_grant");
}

async fn the_id_of_a_grant_proves_nothing(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let (_, claims) = decode(tokens.access_token());
    let grant = claims["grant_id"].as_str().expect("the grant stands in the token");

    // It stands in every access token, so a resource server knows it; the verifier's challenge too is no secret.
    for secret in ["A".repeat(43), pkce.challenge.clone()] {
        let forged = format!("{grant}.{secret}");
        let refused = rp.redeem(&forged, &pkce).await.expect_error("invalid_grant");
        assert!(refused.body.contains("unknown"), "it was not told that such a grant exists: {}", refused.body);
    }
    app.introspect(tokens.access_token()).await.expect_active();
    rp.refresh(&tokens).await.expect_tokens();
}

async fn a_code_ends_with_what_it_hangs_on(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let pkce = Pkce::new();
    let refused = async |code: &str| {
        rp.redeem(code, &pkce).await.expect_error("invalid_grant");
    };

    // With offline_access or without: what is not yet redeemed follows the session.
    for scope in ["openid", "openid offline_access"] {
        let person = app.person();
        let code = rp.code(&person, "ada", &pkce, &[("scope", scope)]).await;
        assert!(person.sign_out().await.url.ends_with("/signed-out"));
        refused(&code).await;
    }

    let person = app.person();
    let code = rp.code(&person, "ada", &pkce, &[]).await;
    assert!(person.withdraw("web").await.url.ends_with("done=withdrawn"));
    refused(&code).await;
    // Allowed again: the new code is good, the old one stays dead.
    let again = rp.code(&person, "ada", &pkce, &[]).await;
    refused(&code).await;
    rp.redeem(&again, &pkce).await.expect_tokens();

    let code = rp.code(&person, "ada", &pkce, &[]).await;
    app.disable_user(ada).await;
    refused(&code).await;

    app.user("grace").await;
    let code = rp.code(&app.person(), "grace", &pkce, &[]).await;
    app.disable_client("web").await;
    // RFC 6749 §5.2: the client is not even let in.
    rp.redeem(&code, &pkce).await.expect_error("invalid_client");
}
