//! OpenID Connect Back-Channel Logout 1.0: relying parties are told that a session has ended, however it ends, and
//! whether they are there at the moment or not.

use grantor::store::Kind;
use grantor::types::{Algorithm, ClientMetadata, Clock};
use serde_json::json;

use crate::each_engine;
use crate::support::app::{PASSWORD, eventually};
use crate::support::behind::at_once;
use crate::support::party::{Party, encode};
use crate::support::receiver::{NEARBY, Receiver, Reply, verified};
use crate::support::{Engine, Person, Pkce, TestApp};

each_engine!(
    a_logout_token_says_whose_session_has_ended,
    every_end_of_a_session_is_told,
    an_expiry_is_no_sign_out,
    only_the_relying_parties_of_the_session_are_told,
    a_refusal_is_final,
    who_is_away_is_told_when_they_are_back,
    who_stalls_keeps_nobody_else_waiting,
    after_a_day_nobody_is_told_any_more,
    of_two_nodes_one_delivers,
    a_message_is_taken_once_and_again_when_its_node_has_vanished,
    a_code_that_waits_is_worth_nothing_after_the_sign_out,
    who_is_not_registered_for_it_any_more_is_not_told,
);

fn told_at(receiver: &Receiver) -> impl FnOnce(&mut ClientMetadata) {
    let uri = receiver.uri();
    move |client| client.backchannel_logout_uri = Some(uri)
}

async fn party<'a>(app: &'a TestApp, id: &str, receiver: &Receiver) -> Party<'a> {
    app.client(id).with(told_at(receiver)).create().await
}

async fn is_settled(app: &TestApp) {
    eventually("the outbox is empty", async || app.count("outbox").await == 0).await;
}

async fn a_logout_token_says_whose_session_has_ended(engine: Engine) {
    let (app, receiver) = (TestApp::with(engine, NEARBY).await, Receiver::start(Reply::Status(200)).await);
    let ada = app.user("ada").await;
    for (id, algorithm) in [("web", Algorithm::Rs256), ("other", Algorithm::Es256)] {
        let signed_by = |client: &mut ClientMetadata| client.id_token_signed_response_alg = algorithm;
        app.client(id).with(told_at(&receiver)).with(signed_by).create().await;
        let rp = Party::existing(&app, id, crate::support::party::SECRET);
        let person = app.person();
        let tokens = rp.sign_in_with(&person, "ada", &[]).await;
        // Once for each relying party, however often it got tokens.
        rp.sign_in_with(&person, "ada", &[]).await;
        let heard = receiver.tokens().len();
        person.sign_out().await;

        let token = receiver.hears(heard + 1).await.pop().unwrap();
        let (header, claims) = verified(&app, &token, id).await;
        assert_eq!(header.typ.as_deref(), Some("logout+jwt"));
        assert_eq!(format!("{:?}", header.alg).to_uppercase(), algorithm.as_str());
        // §2.4
        let now = app.clock.now().secs();
        let jti = claims["jti"].as_str().unwrap().to_owned();
        assert!(jti.len() >= 22, "{jti}");
        let expected = json!({
            "iss": app.issuer(),
            "sub": ada.to_string(),
            "aud": id,
            "iat": now,
            "exp": now + 120,
            "jti": jti,
            "sid": app.session_of(tokens.id_token()).to_string(),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        assert_eq!(claims, expected, "and no nonce");
        is_settled(&app).await;

        // §4.1: it is no token of any other kind.
        rp.userinfo(&token).await.expect_error("invalid_token");
        app.introspect(&token).await.expect_inactive();
        app.person().get(&format!("/oauth/logout?id_token_hint={token}")).await.expect_error_page(400);
    }
    assert_eq!(receiver.tokens().len(), 2);
}

/// One way in which the session of a person's browser ends.
async fn ends(app: &TestApp, rp: &Party<'_>, way: &str) -> String {
    let username = way.replace(' ', "-");
    let user = app.user(&username).await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, &username, &[]).await;
    let session = app.session_of(tokens.id_token());
    let now = app.clock.now();
    match way {
        "sign out" => drop(person.sign_out().await),
        "at the wish of a client" => {
            person.get(&format!("/oauth/logout?id_token_hint={}", tokens.id_token())).await;
        }
        "ended from the list" => {
            let elsewhere = app.person();
            elsewhere.sign_in_to_account(&username).await;
            let csrf = elsewhere.get("/account").await.hidden("csrf");
            let session = session.to_string();
            elsewhere.post("/account/sessions/end", &[("csrf", &csrf), ("session", &session)]).await;
        }
        "somebody else signs in" => {
            app.user("grace").await;
            let page = rp.authorize(&person, &Pkce::new(), &[("prompt", "login")]).await;
            person.sign_in(&page, "grace", PASSWORD).await;
        }
        "another password" => drop(app.change(async |tx| tx.set_password(user, "hash", now).await).await),
        "disabled" => app.disable_user(user).await,
        "deleted" => drop(app.change(async |tx| tx.delete_user(user, now).await).await),
        other => panic!("{other}"),
    }
    session.to_string()
}

async fn every_end_of_a_session_is_told(engine: Engine) {
    let one_account = format!("{NEARBY}[session]\naccounts_per_browser = 1\n");
    let (app, receiver) = (TestApp::with(engine, &one_account).await, Receiver::start(Reply::Status(204)).await);
    let rp = party(&app, "web", &receiver).await;
    let ways = [
        "sign out",
        "at the wish of a client",
        "ended from the list",
        "somebody else signs in",
        "another password",
        "disabled",
        "deleted",
    ];
    for (heard, way) in ways.into_iter().enumerate() {
        let session = ends(&app, &rp, way).await;
        receiver.hears(heard + 1).await;
        assert_eq!(receiver.sessions().last(), Some(&session), "{way}");
    }
    is_settled(&app).await;
}

async fn an_expiry_is_no_sign_out(engine: Engine) {
    let (app, receiver) = (TestApp::with(engine, NEARBY).await, Receiver::start(Reply::Status(200)).await);
    app.user("ada").await;
    let rp = party(&app, "web", &receiver).await;
    let (idle, busy) = (app.person(), app.person());
    rp.sign_in_with(&idle, "ada", &[]).await;
    app.advance(30 * 86_400);
    app.sweep().await;
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
    assert_eq!(app.count("outbox").await, 0);
    // It had expired and nobody had noticed yet, when its person signs out.
    let expired = rp.sign_in_with(&busy, "ada", &[]).await;
    app.disable_user(app.store.user_by_login("ada").await.unwrap().unwrap().id).await;
    receiver.hears(1).await;
    assert_eq!(receiver.sessions(), [app.session_of(expired.id_token()).to_string()]);
}

async fn only_the_relying_parties_of_the_session_are_told(engine: Engine) {
    let (app, receiver) = (TestApp::with(engine, NEARBY).await, Receiver::start(Reply::Status(200)).await);
    app.user("ada").await;
    let person = app.person();
    let rp = party(&app, "web", &receiver).await;
    let second = party(&app, "second", &receiver).await;
    // Without openid there is no sid to end; without a redeemed code, no session at the client.
    party(&app, "api-only", &receiver).await.sign_in_with(&person, "ada", &[("scope", "notes:read")]).await;
    party(&app, "waits", &receiver).await.code(&person, "ada", &Pkce::new(), &[]).await;
    app.client("quiet").create().await.sign_in_with(&person, "ada", &[]).await;
    party(&app, "gone", &receiver).await.sign_in_with(&person, "ada", &[]).await;
    app.disable_client("gone").await;
    let elsewhere = rp.sign_in_with(&app.person(), "ada", &[]).await;
    let here = rp.sign_in_with(&person, "ada", &[]).await;
    second.sign_in_with(&person, "ada", &[("scope", "openid")]).await;
    person.sign_out().await;

    let tokens = receiver.hears(2).await;
    is_settled(&app).await;
    let mut told: Vec<_> =
        tokens.iter().map(|token| crate::support::party::decode(token).1["aud"].as_str().unwrap().to_owned()).collect();
    told.sort_unstable();
    assert_eq!(told, ["second", "web"]);
    let session = app.session_of(here.id_token()).to_string();
    assert_eq!(receiver.sessions(), [session.clone(), session.clone()]);
    assert_ne!(session, app.session_of(elsewhere.id_token()).to_string());
}

async fn a_refusal_is_final(engine: Engine) {
    let app = TestApp::with(engine, NEARBY).await;
    app.user("ada").await;
    // §2.8: 400 is its answer to a token that it does not believe; and no redirect is followed.
    for (id, status) in [("bad", 400), ("moved", 302), ("missing", 404)] {
        let receiver = Receiver::start(Reply::Status(status)).await;
        let (rp, person) = (party(&app, id, &receiver).await, app.person());
        rp.sign_in_with(&person, "ada", &[]).await;
        person.sign_out().await;
        receiver.hears(1).await;
        is_settled(&app).await;
        assert_eq!(receiver.tokens().len(), 1, "{id}");
    }
    // An address that is not public and that the configuration does not name.
    let uri = "https://127.0.0.2:9/out".to_owned();
    let rp = app.client("inside").with(|client| client.backchannel_logout_uri = Some(uri)).create().await;
    let person = app.person();
    rp.sign_in_with(&person, "ada", &[]).await;
    person.sign_out().await;
    is_settled(&app).await;
}

async fn who_is_away_is_told_when_they_are_back(engine: Engine) {
    let app = TestApp::with(engine, NEARBY).await;
    app.user("ada").await;
    let away = Receiver::start(Reply::Status(200)).await;
    let (rp, person, port) = (party(&app, "web", &away).await, app.person(), away.port);
    rp.sign_in_with(&person, "ada", &[]).await;
    drop(away);
    person.sign_out().await;
    let now = app.clock.now();
    // The next attempt after 10 seconds, and the one after that 40 seconds later.
    let due_at = async |attempts: u32, seconds: i64| {
        let at = now.micros() + seconds * 1_000_000;
        let row = format!("outbox WHERE attempts = {attempts} AND next_at = {at}");
        eventually("the attempt has failed", async || app.count(&row).await == 1).await;
    };
    due_at(1, 10).await;
    app.advance(10);
    due_at(2, 50).await;

    let back = Receiver::start_at(port, Reply::Status(503)).await;
    app.advance(40);
    due_at(3, 210).await;
    let first = back.hears(1).await;
    back.answers(Reply::Status(200));
    app.advance(160);
    let tokens = back.hears(2).await;
    is_settled(&app).await;
    // A token of its own for each attempt: the first may have arrived and expired.
    let (_, claims) = verified(&app, &tokens[1], "web").await;
    assert_eq!(claims["iat"], app.clock.now().secs());
    assert_ne!(claims["jti"], crate::support::party::decode(&first[0]).1["jti"]);
}

async fn who_stalls_keeps_nobody_else_waiting(engine: Engine) {
    let app = TestApp::with(engine, NEARBY).await;
    let (slow, quick) = (Receiver::start(Reply::Stall).await, Receiver::start(Reply::Status(200)).await);
    app.user("ada").await;
    let (stalls, answers) = (party(&app, "a-slow-one", &slow).await, party(&app, "quick", &quick).await);
    for _ in 0..3 {
        let person = app.person();
        stalls.sign_in_with(&person, "ada", &[]).await;
        answers.sign_in_with(&person, "ada", &[]).await;
        person.sign_out().await;
    }
    quick.hears(3).await;
    // What stalled counts as failed, and is tried again later.
    eventually("it is given up for now", async || app.count("outbox WHERE attempts = 1").await == 3).await;
    slow.hears(3).await;
    slow.answers(Reply::Status(200));
    eventually("each has failed", async || {
        let due = app.clock.now().micros() + 10_000_000;
        app.count(&format!("outbox WHERE next_at = {due}")).await == 3
    })
    .await;
    app.advance(10);
    is_settled(&app).await;
    slow.hears(6).await;
}

async fn after_a_day_nobody_is_told_any_more(engine: Engine) {
    let app = TestApp::with(engine, NEARBY).await;
    app.user("ada").await;
    let away = Receiver::start(Reply::Status(200)).await;
    let rp = party(&app, "web", &away).await;
    let (first, second) = (app.person(), app.person());
    rp.sign_in_with(&first, "ada", &[]).await;
    rp.sign_in_with(&second, "ada", &[]).await;
    let port = away.port;
    drop(away);
    first.sign_out().await;
    eventually("it was tried", async || app.count("outbox WHERE attempts = 1").await == 1).await;
    // Nobody runs for a day: housekeeping takes it away.
    second.sign_out().await;
    eventually("it was tried", async || app.count("outbox WHERE attempts = 1").await == 2).await;
    app.sql(&format!("UPDATE outbox SET next_at = {}", i64::MAX)).await;
    app.advance(86_400 + 1);
    app.sweep().await;
    assert_eq!(app.count("outbox").await, 0);
    // It was tried until the last moment: whoever comes back then hears nothing.
    let third = app.person();
    rp.sign_in_with(&third, "ada", &[]).await;
    third.sign_out().await;
    eventually("it was tried", async || app.count("outbox WHERE attempts = 1").await == 1).await;
    app.advance(86_400 - 5);
    is_settled(&app).await;
    let back = Receiver::start_at(port, Reply::Status(200)).await;
    app.advance(3_600);
    assert!(back.tokens().is_empty());
}

async fn of_two_nodes_one_delivers(engine: Engine) {
    let (app, receiver) = (TestApp::with(engine, NEARBY).await, Receiver::start(Reply::Status(200)).await);
    let other = app.second_node().await;
    app.user("ada").await;
    let (here, there) =
        (party(&app, "web", &receiver).await, Party::existing(&other, "web", crate::support::party::SECRET));
    let people: Vec<Person> = (0..12).map(|n| if n % 2 == 0 { app.person() } else { other.person() }).collect();
    let mut sessions = Vec::new();
    for (n, person) in people.iter().enumerate() {
        let rp = if n % 2 == 0 { &here } else { &there };
        sessions.push(app.session_of(rp.sign_in_with(person, "ada", &[]).await.id_token()).to_string());
    }
    at_once(people.iter().map(Person::sign_out)).await;
    eventually("all are told", async || receiver.tokens().len() >= sessions.len()).await;
    is_settled(&app).await;
    let mut told = receiver.sessions();
    told.sort_unstable();
    sessions.sort_unstable();
    assert_eq!(told, sessions, "each once");
}

async fn a_message_is_taken_once_and_again_when_its_node_has_vanished(engine: Engine) {
    let mut app = TestApp::with(engine, NEARBY).await;
    let receiver = Receiver::start(Reply::Status(200)).await;
    app.user("ada").await;
    let rp = party(&app, "web", &receiver).await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(app.session_of(rp.sign_in_with(&app.person(), "ada", &[]).await.id_token()));
    }
    // Nobody delivers while the server is down.
    app.stop().await;
    let (one, two) = (app.other_store().await, app.other_store().await);
    let now = app.clock.now();
    for session in sessions {
        let mut tx = one.begin().await.unwrap();
        assert!(tx.end_session(session, grantor::store::Ending::SignOut, now).await.unwrap());
        // It is there with the end of the session, or not at all.
        assert_eq!(app.count("outbox").await, app.count("sessions WHERE ended_at IS NOT NULL").await);
        tx.commit().await.unwrap();
    }
    let lease = now.plus(std::time::Duration::from_secs(60));
    let nodes = (0..10).map(|n| if n % 2 == 0 { &one } else { &two });
    let taken = at_once(nodes.map(|node| node.take_messages(Kind::Logout, 3, lease, now))).await;
    let mut taken: Vec<_> = taken.into_iter().flat_map(|taken| taken.expect("the store answers")).collect();
    assert!(taken.iter().all(|message| message.attempts == 1));
    taken.sort_unstable_by_key(|message| format!("{:?}", message.content));
    taken.dedup_by_key(|message| format!("{:?}", message.content));
    while taken.len() < 5 {
        // Whoever came second took none of the three that it saw.
        let more = one.take_messages(Kind::Logout, 1, lease, now).await.unwrap();
        assert_eq!(more.len(), 1);
        taken.extend(more);
    }
    assert_eq!(app.count("outbox WHERE attempts = 1").await, 5, "nobody took what another had");
    assert!(two.take_messages(Kind::Logout, 9, lease, now).await.unwrap().is_empty());

    // Those who took them vanish.
    let later = lease.plus(std::time::Duration::from_secs(60));
    let again = two.take_messages(Kind::Logout, 9, later, lease).await.unwrap();
    assert_eq!(again.iter().map(|message| message.attempts).collect::<Vec<_>>(), [2; 5]);
    // One of them had not, and must not undo that.
    one.postpone_message(&taken[0], now).await.unwrap();
    assert_eq!(app.count("outbox WHERE attempts = 2").await, 5);
    assert!(one.take_messages(Kind::Logout, 9, later, lease).await.unwrap().is_empty());
    two.postpone_message(&again[0], lease).await.unwrap();
    assert_eq!(one.take_messages(Kind::Logout, 9, later, lease).await.unwrap().len(), 1);
    for message in &again {
        two.finish_message(message).await.unwrap();
    }
    assert_eq!(app.count("outbox").await, 0);
    one.close().await;
    two.close().await;
}

async fn a_code_that_waits_is_worth_nothing_after_the_sign_out(engine: Engine) {
    let (app, receiver) = (TestApp::with(engine, NEARBY).await, Receiver::start(Reply::Status(200)).await);
    app.user("ada").await;
    let rp = party(&app, "web", &receiver).await;
    // Redeemed at the moment of the sign-out: either the client gets nothing, or it is told.
    for _ in 0..8 {
        let (person, pkce) = (app.person(), Pkce::new());
        let heard = receiver.tokens().len();
        let code = rp.code(&person, "ada", &pkce, &[]).await;
        let page = person.get("/oauth/logout").await;
        let csrf = page.hidden("csrf");
        let confirm = [("csrf", csrf.as_str()), ("decision", "sign_out")];
        let (redeemed, _) = tokio::join!(rp.redeem(&code, &pkce), person.post("/oauth/logout/confirm", &confirm));
        is_settled(&app).await;
        let told = receiver.tokens().len() - heard;
        assert_eq!(told == 1, redeemed.status == 200, "{redeemed:?}");
        rp.redeem(&code, &pkce).await.expect_error("invalid_grant");
    }
}

async fn who_is_not_registered_for_it_any_more_is_not_told(engine: Engine) {
    let app = TestApp::with(engine, NEARBY).await;
    app.user("ada").await;
    let (old, new) = (Receiver::start(Reply::Status(503)).await, Receiver::start(Reply::Status(200)).await);
    let (rp, moot) = (party(&app, "web", &old).await, party(&app, "other", &old).await);
    let person = app.person();
    rp.sign_in_with(&person, "ada", &[]).await;
    moot.sign_in_with(&person, "ada", &[]).await;
    person.sign_out().await;
    eventually("both have failed", async || {
        let due = app.clock.now().micros() + 10_000_000;
        app.count(&format!("outbox WHERE next_at = {due}")).await == 2
    })
    .await;
    app.reregister("web", told_at(&new)).await;
    app.reregister("other", |client| client.backchannel_logout_uri = None).await;
    app.advance(10);
    is_settled(&app).await;
    assert_eq!((old.tokens().len(), new.tokens().len()), (2, 1));
}

#[test]
fn where_logouts_are_told_must_be_a_web_address() {
    let client = |member: &str, uri: &str| {
        let mut client = ClientMetadata { client_name: "x".into(), ..ClientMetadata::default() };
        client.redirect_uris = vec!["https://app.example/cb".parse().unwrap(), "http://127.0.0.1/cb".parse().unwrap()];
        client.set(member, uri.into()).unwrap();
        client.validate()
    };
    for member in ["backchannel_logout_uri", "frontchannel_logout_uri"] {
        for good in ["https://app.example/out", "https://app.example/out?a=b", "http://127.0.0.1/out"] {
            assert_eq!(client(member, good), Ok(()), "{member} {good}");
        }
        for bad in [
            "",
            "/out",
            "https://app.example/out#x",
            "https://me@app.example/out",
            "com.example.app:/out",
            "javascript:alert(1)",
        ] {
            assert!(client(member, bad).is_err_and(|why| why.contains(member)), "{member} {bad}");
        }
    }
    // Front-Channel Logout §2: at the origin of a redirect URI. The other may be anywhere.
    for elsewhere in [
        "https://other.example/out",
        "https://app.example:8443/out",
        "http://app.example/out",
        "http://127.0.0.1:80800/out",
    ] {
        assert!(client("frontchannel_logout_uri", elsewhere).is_err(), "{elsewhere}");
    }
    // Over http it depends on outgoing.allow, and is for confidential clients.
    for anywhere in ["https://other.example/out", "http://10.1.2.3/out"] {
        assert_eq!(client("backchannel_logout_uri", anywhere), Ok(()));
    }
    let mut public = ClientMetadata { client_name: "x".into(), ..ClientMetadata::default() };
    public.token_endpoint_auth_method = grantor::types::AuthMethod::None;
    public.backchannel_logout_uri = Some("http://10.1.2.3/out".into());
    assert!(public.validate().is_err());
}

/// The fields of a request, as the tests of the front channel send them too.
pub fn query(fields: &[(&str, &str)]) -> String {
    encode(&fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
}
