//! Every conditional update, raced: of any number of callers one makes the transition, and nobody's work is lost.

use std::time::Duration;

use grantor::crypto::{SystemRandom, random};
use grantor::store::{
    Ending, Grant, NewGrant, PendingKind, PendingRequest, Presented, Redeem, Redemption, Rotation, Store, Stored,
};
use grantor::types::{
    Authentication, ClientId, Clock, Fault, GrantId, Params, RequestId, Scope, SenderKey, Session, SessionId, Terms,
    Timestamp, UserId,
};

use crate::each_database;
use crate::support::TestApp;
use crate::support::app::eventually;
use crate::support::behind::at_once;
use crate::support::grants::{CHALLENGE, ENDS, TERMS, code, id, pending_grant, session_of, web};

each_database!(
    a_waiting_request_is_spent_once,
    a_request_that_is_nobodys_yet_goes_to_one_browser,
    a_waiting_request_belongs_to_its_browser_its_kind_and_its_time,
    a_session_ends_once,
    a_user_is_disabled_once,
    a_client_is_disabled_once,
    of_two_changes_to_a_client_the_second_is_told,
    of_two_changes_to_a_user_the_second_is_told,
    an_id_and_a_name_are_given_once,
    two_answers_at_once_are_both_remembered,
    a_code_is_redeemed_once,
    a_code_is_redeemed_only_as_it_was_given_out,
    a_bound_code_is_redeemed_with_its_key_alone,
    the_terms_of_a_grant_stay_with_it,
    a_generation_moves_on_once,
    a_grant_moves_on_only_while_what_it_hangs_on_lives,
    a_session_that_ended_is_not_brought_back,
    a_session_in_use_is_marked_and_one_that_ended_is_not,
    a_use_does_not_bring_an_old_authentication_back,
);

/// One transaction on a store of one's own choice.
pub async fn within<T>(store: &Store, change: impl AsyncFnOnce(&mut grantor::store::Tx) -> Result<T, Fault>) -> T {
    let mut tx = store.begin().await.expect("the store answers");
    let outcome = change(&mut tx).await.expect("no fault");
    tx.commit().await.expect("it commits");
    outcome
}

/// The same from twelve places: half of them from another process.
pub async fn raced<T>(app: &TestApp, what: impl AsyncFn(&Store) -> T) -> Vec<T> {
    let other = app.other_store().await;
    let stores = (0..12).map(|n| if n % 2 == 0 { &app.store } else { &other });
    let outcomes = at_once(stores.map(|store| what(store))).await;
    other.close().await;
    outcomes
}

fn waiting(app: &TestApp) -> PendingRequest {
    PendingRequest {
        id: RequestId::new(id()),
        kind: PendingKind::Authorize,
        browser: "a browser".to_owned(),
        params: Params::parse(b"client_id=web&state=%22%27%3B--").expect("parameters"),
        hint: None,
        chosen_session: None,
        pushed: None,
        created_at: app.clock.now(),
        expires_at: app.clock.now().plus(Duration::from_secs(60)),
    }
}

async fn a_waiting_request_is_spent_once(app: TestApp) {
    let request = waiting(&app);
    app.store.create_pending(&request).await.unwrap();
    let spent = raced(&app, async |store| within(store, async |tx| tx.spend_pending(&request).await).await).await;
    assert_eq!(spent.iter().filter(|spent| **spent).count(), 1);
    let gone = app.store.pending(PendingKind::Authorize, request.id, "a browser", app.clock.now()).await.unwrap();
    assert!(gone.is_none());
}

async fn a_request_that_is_nobodys_yet_goes_to_one_browser(app: TestApp) {
    let request = PendingRequest { browser: String::new(), ..waiting(&app) };
    app.store.create_pending(&request).await.unwrap();
    let now = app.clock.now();
    let adopt = async |store: &Store, kind, browser: &str, now| {
        store.adopt_pending(kind, request.id, browser, now).await.unwrap()
    };
    assert!(adopt(&app.store, PendingKind::Logout, "a", now).await.is_none());
    assert!(adopt(&app.store, PendingKind::Authorize, "a", request.expires_at).await.is_none());
    let won = raced(&app, async |store| {
        let browser = id().to_string();
        adopt(store, PendingKind::Authorize, &browser, now).await.map(|adopted| (browser, adopted))
    })
    .await;
    let won: Vec<_> = won.into_iter().flatten().collect();
    let [(browser, adopted)] = &won[..] else { panic!("{} browsers got it", won.len()) };
    assert_eq!((&adopted.browser, adopted.params.pairs()), (browser, request.params.pairs()));
    assert!(app.store.pending(PendingKind::Authorize, request.id, browser, now).await.unwrap().is_some());
    assert!(app.store.pending(PendingKind::Authorize, request.id, "", now).await.unwrap().is_none());
}

async fn a_waiting_request_belongs_to_its_browser_its_kind_and_its_time(app: TestApp) {
    let request = waiting(&app);
    app.store.create_pending(&request).await.unwrap();
    let read = async |kind, browser: &str, now| app.store.pending(kind, request.id, browser, now).await.unwrap();
    let now = app.clock.now();
    let found = read(PendingKind::Authorize, "a browser", now).await.expect("it is there");
    assert_eq!(found.params.pairs(), request.params.pairs());
    assert!(read(PendingKind::Logout, "a browser", now).await.is_none());
    assert!(read(PendingKind::Authorize, "another", now).await.is_none());
    assert!(read(PendingKind::Authorize, "a browser", request.expires_at).await.is_none());
    for wrong in [
        PendingRequest { browser: "another".to_owned(), ..request.clone() },
        PendingRequest { kind: PendingKind::Logout, ..request.clone() },
        PendingRequest { id: RequestId::new(id()), ..request.clone() },
    ] {
        assert!(!app.change(async |tx| tx.spend_pending(&wrong).await).await);
    }
    // An account is chosen for a request that waits, by its own browser, and else nothing is written.
    let session = SessionId::new(id());
    let choose = async |request: &PendingRequest, now| app.store.choose_session(request, session, now).await.unwrap();
    assert!(choose(&request, now).await);
    let read = app.store.pending(PendingKind::Authorize, request.id, "a browser", now).await.unwrap();
    assert_eq!(read.expect("it is there").chosen_session, Some(session));
    assert!(!choose(&PendingRequest { browser: "another".to_owned(), ..request.clone() }, now).await);
    assert!(!choose(&PendingRequest { kind: PendingKind::Logout, ..request.clone() }, now).await);
    assert!(!choose(&request, request.expires_at).await);
    assert!(app.change(async |tx| tx.spend_pending(&request).await).await);
    assert!(!choose(&request, now).await);
}

async fn a_session_ends_once(app: TestApp) {
    let ada = app.user("ada").await;
    let session = session_of(&app, ada);
    app.change(async |tx| tx.create_session(&session).await).await;
    let now = app.clock.now();
    let ended = raced(&app, async |store| {
        within(store, async |tx| tx.end_session(session.id, Ending::Everything, now).await).await
    });
    assert_eq!(ended.await.iter().filter(|ended| **ended).count(), 1);
    assert_eq!(app.count("changes WHERE kind = 'session_ended'").await, 1);
    assert!(app.store.session(session.id, now).await.unwrap().is_none());
}

async fn a_user_is_disabled_once(app: TestApp) {
    let ada = app.user("ada").await;
    let now = app.clock.now();
    let outcomes = raced(&app, async |store| within(store, async |tx| tx.disable_user(ada, now).await).await).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Stored::Stored).count(), 1);
    let outcomes = raced(&app, async |store| within(store, async |tx| tx.enable_user(ada, now).await).await).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Stored::Stored).count(), 1);
    let outcomes = raced(&app, async |store| within(store, async |tx| tx.delete_user(ada, now).await).await).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Stored::Stored).count(), 1);
    // Each that came to pass is told once.
    assert_eq!(app.count("changes WHERE kind = 'user_disabled'").await, 2);
    assert_eq!(app.count("changes WHERE kind = 'user_enabled'").await, 1);
}

async fn a_client_is_disabled_once(app: TestApp) {
    app.client("web").create().await;
    let now = app.clock.now();
    for expected in [1, 1] {
        let out = raced(&app, async |store| within(store, async |tx| tx.disable_client(&web(), now).await).await).await;
        assert_eq!(out.iter().filter(|outcome| **outcome == Stored::Stored).count(), expected);
        let out = raced(&app, async |store| within(store, async |tx| tx.enable_client(&web(), now).await).await).await;
        assert_eq!(out.iter().filter(|outcome| **outcome == Stored::Stored).count(), expected);
    }
    let out = raced(&app, async |store| within(store, async |tx| tx.delete_client(&web(), now).await).await).await;
    assert_eq!(out.iter().filter(|outcome| **outcome == Stored::Stored).count(), 1);
    let out = raced(&app, async |store| within(store, async |tx| tx.delete_client(&web(), now).await).await).await;
    assert!(out.iter().all(|outcome| *outcome == Stored::Conflict));
}

async fn of_two_changes_to_a_client_the_second_is_told(app: TestApp) {
    app.client("web").create().await;
    let read = (*app.store.client(&web()).await.unwrap().expect("it is there")).clone();
    app.advance(1);
    let now = app.clock.now();
    let outcomes = raced(&app, async |store| {
        let mut changed = read.clone();
        changed.metadata.client_name = random::token(&SystemRandom::new(), 4);
        let stored = within(store, async |tx| tx.update_client(&changed, now).await).await;
        (stored, changed.metadata.client_name)
    });
    let outcomes = outcomes.await;
    let winners: Vec<_> = outcomes.iter().filter(|(stored, _)| *stored == Stored::Stored).collect();
    assert_eq!(winners.len(), 1);
    let written = app.other_store().await.client(&web()).await.unwrap().expect("it is there");
    assert_eq!(written.metadata.client_name, winners[0].1, "the winner's, whole");
    // Whoever reads again may write again.
    let again = app.change(async |tx| tx.update_client(&written, now.plus(Duration::from_secs(1))).await).await;
    assert_eq!(again, Stored::Stored);
}

async fn of_two_changes_to_a_user_the_second_is_told(app: TestApp) {
    app.user("ada").await;
    app.user("bob").await;
    let read = app.store.user_by_login("ada").await.unwrap().expect("she is there");
    app.advance(1);
    let now = app.clock.now();
    let outcomes = raced(&app, async |store| {
        let mut changed = read.clone();
        changed.username = random::token(&SystemRandom::new(), 4);
        within(store, async |tx| tx.update_user(&changed, now).await).await
    });
    assert_eq!(outcomes.await.iter().filter(|stored| **stored == Stored::Stored).count(), 1);
    // A name that is another's, in whatever case.
    let mut bob = app.store.user_by_login("bob").await.unwrap().expect("he is there");
    bob.email = Some("ADA@example.org".to_owned());
    assert_eq!(app.change(async |tx| tx.update_user(&bob, now).await).await, Stored::Conflict);
}

async fn an_id_and_a_name_are_given_once(app: TestApp) {
    app.client("web").create().await;
    let mut client = (*app.store.client(&web()).await.unwrap().expect("it is there")).clone();
    client.id = "new".parse().expect("an id");
    let out = raced(&app, async |store| within(store, async |tx| tx.insert_client(&client).await).await).await;
    assert_eq!(out.iter().filter(|outcome| **outcome == Stored::Stored).count(), 1);

    app.user("ada").await;
    let ada = app.store.user_by_login("ada").await.unwrap().expect("she is there");
    let out = raced(&app, async |store| {
        let mut user = ada.clone();
        (user.id, user.username, user.email) = (UserId::new(id()), "Grace".to_owned(), None);
        within(store, async |tx| tx.insert_user(&user, None).await).await
    });
    assert_eq!(out.await.iter().filter(|outcome| **outcome == Stored::Stored).count(), 1);
    for (username, email) in [("ADA", None), ("other", Some("Ada@Example.Org")), ("other", Some("ada@example.org"))] {
        let mut user = ada.clone();
        (user.id, user.username, user.email) = (UserId::new(id()), username.to_owned(), email.map(str::to_owned));
        assert_eq!(app.change(async |tx| tx.insert_user(&user, None).await).await, Stored::Conflict, "{username}");
    }
}

async fn two_answers_at_once_are_both_remembered(app: TestApp) {
    let ada = app.user("ada").await;
    let now = app.clock.now();
    for round in 0..3 {
        let scopes: Vec<Scope> = (0..4).map(|n| Scope::from(format!("round{round}:{n}").as_str())).collect();
        let other = app.other_store().await;
        let answers = scopes.iter().enumerate().map(|(n, scope)| {
            let store = if n % 2 == 0 { &app.store } else { &other };
            within(store, async |tx| tx.grant_consent(ada, &web(), scope, now).await)
        });
        at_once(answers).await;
        other.close().await;
        let consent = app.store.consent(ada, &web()).await.unwrap().expect("there is one");
        for scope in &scopes {
            assert!(scope.is_within(&consent.scope), "{scope} was allowed and is lost: {}", consent.scope);
        }
    }
    let consent = app.store.consent(ada, &web()).await.unwrap().expect("there is one");
    assert_eq!(consent.scope.tokens().count(), 12);
}

async fn a_code_is_redeemed_once(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let grant = pending_grant(&app, false).await;
    let now = app.clock.now();
    let client = web();
    let out = raced(&app, async |store| store.redeem(&code(&grant, &client), &TERMS, now).await.unwrap()).await;
    let redeemed = out.iter().filter(|outcome| matches!(outcome, Redemption::Redeemed(_))).count();
    let refused =
        out.iter().filter(|outcome| matches!(outcome, Redemption::Refused(code) if code.redeemed_at == Some(now)));
    assert_eq!((redeemed, refused.count()), (1, 11));
}

async fn a_code_is_redeemed_only_as_it_was_given_out(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let (web, other) = (web(), "other".parse().expect("an id"));
    let grant = pending_grant(&app, false).await;
    let now = app.clock.now();
    let unknown = |outcome: &Redemption| matches!(outcome, Redemption::Unknown);
    let refused = |outcome: &Redemption| matches!(outcome, Redemption::Refused(code) if code.redeemed_at.is_none());
    let late = grant.code_expires_at;
    // Whoever has not the secret, or is not the client, does not even learn that there is such a code.
    for (redeem, at, expected) in [
        (Redeem { code_hash: [8; 32], ..code(&grant, &web) }, now, &unknown as &dyn Fn(&Redemption) -> bool),
        (Redeem { grant: GrantId::new(id()), ..code(&grant, &web) }, now, &unknown),
        (code(&grant, &other), now, &unknown),
        (Redeem { code_challenge: "", ..code(&grant, &web) }, now, &refused),
        (Redeem { code_challenge: &CHALLENGE[1..], ..code(&grant, &web) }, now, &refused),
        (Redeem { redirect_uri: Some("https://app.example/callback/"), ..code(&grant, &web) }, now, &refused),
        (code(&grant, &web), late, &refused),
    ] {
        let outcome = app.store.redeem(&redeem, &TERMS, at).await.unwrap();
        assert!(expected(&outcome), "{outcome:?}");
    }
    let redeem = Redeem { redirect_uri: Some("https://app.example/callback"), ..code(&grant, &web) };
    let outcome = app.store.redeem(&redeem, &TERMS, now).await.unwrap();
    assert!(matches!(&outcome, Redemption::Redeemed(grant) if grant.generation == 1), "{outcome:?}");
}

async fn a_bound_code_is_redeemed_with_its_key_alone(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let web = web();
    let (key, other) = (SenderKey::Jwk("a".repeat(43)), SenderKey::Jwk("b".repeat(43)));
    let certificate = SenderKey::Certificate("a".repeat(43));
    let now = app.clock.now();

    let bound = pending_grant(&app, false).await;
    let bound = NewGrant { id: GrantId::new(id()), sender_key: Some(key.clone()), ..bound };
    app.change(async |tx| tx.create_grant(&bound).await).await;
    for wrong in [None, Some(&other), Some(&certificate)] {
        let redeem = Redeem { sender_key: wrong, ..code(&bound, &web) };
        let outcome = app.store.redeem(&redeem, &TERMS, now).await.unwrap();
        assert!(
            matches!(&outcome, Redemption::Refused(code) if code.sender_key == Some(key.to_string())),
            "{outcome:?}"
        );
    }
    // Both at once, each with its own: one has it.
    let out = raced(&app, async |store| {
        let with = |key| Redeem { sender_key: Some(key), binds_refresh: true, ..code(&bound, &web) };
        let (own, stranger) = (with(&key), with(&other));
        let (first, second) = tokio::join!(store.redeem(&stranger, &TERMS, now), store.redeem(&own, &TERMS, now));
        assert!(matches!(first.unwrap(), Redemption::Refused(_)));
        second.unwrap()
    })
    .await;
    let redeemed: Vec<_> = out.iter().filter_map(redeemed).collect();
    assert_eq!((redeemed.len(), redeemed[0].sender_key.as_ref()), (1, Some(&key)));

    // One that is not bound takes the key of whoever redeems it, where its refresh tokens are to be bound.
    for (binds_refresh, kept) in [(true, Some(&other)), (false, None)] {
        let free = pending_grant(&app, false).await;
        let redeem = Redeem { sender_key: Some(&other), binds_refresh, ..code(&free, &web) };
        let outcome = app.store.redeem(&redeem, &TERMS, now).await.unwrap();
        assert_eq!(redeemed_of(&outcome).sender_key.as_ref(), kept);
        let presented = Presented { grant: free.id, generation: 1, client: &web };
        let rotated = app.store.rotate(&presented, &TERMS, now).await.unwrap();
        let Rotation::Rotated(grant) = &rotated else { panic!("{rotated:?}") };
        assert_eq!(grant.sender_key.as_ref(), kept);
    }
}

async fn the_terms_of_a_grant_stay_with_it(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let web = web();
    let now = app.clock.now();
    let terms = Terms {
        resources: vec!["https://api.example/v1".to_owned(), "https://\u{fc}'\"".to_owned()],
        claims: grantor::types::ClaimsRequest { id_token: vec!["name".to_owned()], userinfo: vec!["email".to_owned()] },
        details: serde_json::from_str(r#"[{"type":"a","it's":"\u00fc\""}]"#).unwrap(),
    };
    let mut grants = Vec::new();
    for _ in 0..8 {
        let grant = pending_grant(&app, false).await;
        grants.push(NewGrant { id: GrantId::new(id()), terms: terms.clone(), ..grant });
    }
    // Alone, and in batches.
    app.change(async |tx| tx.create_grant(&grants[0]).await).await;
    for created in at_once(grants[1..].iter().map(|grant| app.store.create_grant(grant))).await {
        created.unwrap();
    }
    let codes: Vec<_> = grants.iter().map(|grant| code(grant, &web)).collect();
    for outcome in at_once(codes.iter().map(|code| app.store.redeem(code, &TERMS, now))).await {
        assert_eq!(redeemed_of(&outcome.unwrap()).terms, terms);
    }
    assert_eq!(app.store.living_grant(grants[3].id, now).await.unwrap().unwrap().terms, terms);
}

fn redeemed(outcome: &Redemption) -> Option<&Grant> {
    match outcome {
        Redemption::Redeemed(grant) => Some(grant),
        Redemption::Refused(_) | Redemption::Unknown => None,
    }
}

fn redeemed_of(outcome: &Redemption) -> &Grant {
    redeemed(outcome).unwrap_or_else(|| panic!("{outcome:?}"))
}

async fn a_generation_moves_on_once(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let grant = pending_grant(&app, false).await;
    let client = web();
    let now = app.clock.now();
    app.store.redeem(&code(&grant, &client), &TERMS, now).await.unwrap();
    for generation in 1..5 {
        let presented = Presented { grant: grant.id, generation, client: &client };
        let out = raced(&app, async |store| store.rotate(&presented, &TERMS, now).await.unwrap()).await;
        let moved = |grant: &grantor::store::Grant| grant.generation == generation + 1;
        let rotated = out.iter().filter(|outcome| matches!(outcome, Rotation::Rotated(grant) if moved(grant)));
        let repeated = out.iter().filter(|outcome| matches!(outcome, Rotation::Repeated(grant) if moved(grant)));
        assert_eq!((rotated.count(), repeated.count()), (1, 11));
    }
    // What is past is reuse, what never was is unknown, and what is another's is unknown.
    let other: ClientId = "other".parse().expect("an id");
    for (generation, client, expected) in
        [(1, &client, "Reused"), (3, &client, "Reused"), (6, &client, "Unknown"), (5, &other, "Unknown")]
    {
        let presented = Presented { grant: grant.id, generation, client };
        let outcome = app.store.rotate(&presented, &TERMS, now).await.unwrap();
        assert_eq!(format!("{outcome:?}"), expected);
    }
}

async fn a_grant_moves_on_only_while_what_it_hangs_on_lives(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let client = web();
    // Behind everybody's back, so that the statement's own conditions are all that can refuse.
    for (statement, undo, offline_survives) in ENDS {
        for offline in [false, true] {
            let grant = pending_grant(&app, offline).await;
            let now = app.clock.now();
            app.sql(statement).await;
            let outcome = app.store.redeem(&code(&grant, &client), &TERMS, now).await.unwrap();
            assert!(matches!(outcome, Redemption::Refused(_)), "{statement}: {outcome:?}");
            app.sql(undo).await;
            app.store.redeem(&code(&grant, &client), &TERMS, now).await.unwrap();

            app.sql(statement).await;
            let presented = Presented { grant: grant.id, generation: 1, client: &client };
            let outcome = app.store.rotate(&presented, &TERMS, now).await.unwrap();
            let survives = offline && offline_survives;
            assert_eq!(matches!(outcome, Rotation::Rotated(_)), survives, "{statement}: {outcome:?}");
            assert!(survives || matches!(outcome, Rotation::Unknown), "{statement}: {outcome:?}");
            app.sql(undo).await;
            app.change(async |tx| tx.withdraw_consent(grant.user, &client, now).await).await;
        }
    }
}

async fn a_session_that_ended_is_not_brought_back(app: TestApp) {
    let ada = app.user("ada").await;
    let (ended, expired) = (session_of(&app, ada), session_of(&app, ada));
    app.change(async |tx| tx.create_session(&ended).await).await;
    app.change(async |tx| tx.create_session(&expired).await).await;
    assert!(app.change(async |tx| tx.renew_session(&ended).await).await, "while it lives, it can be renewed");
    let now = app.clock.now();
    app.change(async |tx| tx.end_session(ended.id, Ending::SignOut, now).await).await;

    let later: Timestamp = expired.idle_expires_at;
    let far = later.plus(Duration::from_secs(86_400));
    for session in [&ended, &expired] {
        let mut renewed = session.clone();
        renewed.authentication = Authentication::by_password(later);
        (renewed.seen_at, renewed.idle_expires_at, renewed.expires_at) = (later, far, far);
        assert!(!app.change(async |tx| tx.renew_session(&renewed).await).await);
        assert!(app.store.session(session.id, later).await.unwrap().is_none());
        assert!(app.store.remembered_session(session.id, later).await.unwrap().is_none());
    }
}

/// Somebody read the session, and uses it only after its person has proved again who they are.
async fn a_use_does_not_bring_an_old_authentication_back(app: TestApp) {
    let ada = app.user("ada").await;
    let session = session_of(&app, ada);
    app.change(async |tx| tx.create_session(&session).await).await;
    let read = app.store.session(session.id, app.clock.now()).await.unwrap().expect("it lives");

    let at = app.clock.now().plus(Duration::from_secs(600));
    let renewed = Session { authentication: Authentication::by_password(at), ..read.clone() };
    assert!(app.change(async |tx| tx.renew_session(&renewed).await).await);
    app.store.remembered_session(session.id, at).await.unwrap().expect("it lives");

    let later = at.plus(Duration::from_secs(600));
    app.store.use_session(&read, Duration::from_secs(3_600), later);
    let remembered = app.store.remembered_session(session.id, later).await.unwrap().expect("it lives");
    // When it was seen is told if the feed has not made this node forget it in between.
    assert_eq!(remembered.authentication.at, at);
}

async fn a_session_in_use_is_marked_and_one_that_ended_is_not(app: TestApp) {
    let ada = app.user("ada").await;
    let (ended, expired, living) = (session_of(&app, ada), session_of(&app, ada), session_of(&app, ada));
    for session in [&ended, &expired, &living] {
        app.change(async |tx| tx.create_session(session).await).await;
        app.store.remembered_session(session.id, app.clock.now()).await.unwrap().expect("it lives");
    }
    let now = app.clock.now();
    app.change(async |tx| tx.end_session(ended.id, Ending::SignOut, now).await).await;
    // A quarter of an hour before its end, and at its end.
    let (soon, late) = (living.idle_expires_at.minus(Duration::from_secs(900)), expired.idle_expires_at);
    let idle = Duration::from_secs(3_600);
    app.store.use_session(&ended, idle, soon);
    app.store.use_session(&expired, idle, late);
    app.store.use_session(&living, idle, soon);
    assert!(app.store.remembered_session(ended.id, soon).await.unwrap().is_none());
    let marked =
        format!("sessions WHERE seen_at = {} AND idle_expires_at = {}", soon.micros(), soon.plus(idle).micros());
    eventually("it is written", async || app.count(&marked).await == 1).await;
    let as_they_were = format!("sessions WHERE seen_at = {0} AND idle_expires_at = {1}", now.micros(), late.micros());
    assert_eq!(app.count(&as_they_were).await, 2, "the ended and the expired");
    let marked = app.store.remembered_session(living.id, late).await.unwrap().expect("it lives on");
    assert_eq!(marked.idle_expires_at, soon.plus(idle));
}
