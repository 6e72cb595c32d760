//! Who guesses waits, longer and longer, and locks nobody out (ASVS 6.1.1, 6.3.1).

use std::time::Duration;

use grantor::store::{Counted, Pace};
use grantor::types::Clock as _;
use http::{HeaderMap, HeaderValue};

use super::second_factor::STEP;
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::behind::at_once;
use crate::support::{Engine, Page, Person, TestApp};

each_database!(
    whoever_guesses_waits_longer_and_longer,
    who_has_to_wait_is_not_told_whether_there_is_such_an_account,
    whoever_gets_it_right_begins_anew,
    strangers_who_guess_cannot_lock_out_who_is_known,
    a_known_browser_is_not_a_way_to_guess,
    one_address_cannot_go_through_many_accounts,
    of_many_guesses_at_once_no_more_are_judged_than_are_free,
    attempts_are_counted_on_all_nodes_and_outlive_them,
    codes_are_guessed_no_faster_by_signing_in_again,
    what_is_long_past_is_forgotten,
    whose_clock_is_behind_does_not_wait_for_it,
);

/// A server behind a proxy, so that people come from where they say.
async fn behind_a_proxy(app: &TestApp, throttle: &str) -> TestApp {
    app.another(&format!("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[throttle]\n{throttle}")).await
}

/// Somebody at this address.
pub fn at(app: &TestApp, address: &str) -> Person {
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_str(address).unwrap());
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).default_headers(headers);
    Person::over(&app.url, http.build().unwrap())
}

async fn guess(person: &Person, username: &str, password: &str) -> Page {
    person.sign_in(&person.get("/sign-in").await, username, password).await
}

async fn wrong(person: &Person, username: &str) -> u16 {
    guess(person, username, "not the password").await.status.as_u16()
}

async fn whoever_guesses_waits_longer_and_longer(app: TestApp) {
    let app = behind_a_proxy(&app, "").await;
    app.user("ada").await;
    let person = at(&app, "192.0.2.1");
    for _ in 0..5 {
        assert_eq!(wrong(&person, "ada").await, 422);
    }
    for seconds in [1, 2, 4, 8] {
        // The right password has to wait as well.
        let page = guess(&person, "ada", PASSWORD).await;
        assert_eq!(page.status, 429, "{page:?}");
        let retry_after: u64 = page.header("retry-after").unwrap().parse().unwrap();
        assert_eq!(retry_after, seconds + 1);
        assert!(page.body.contains("There were too many attempts. Wait "), "{}", page.body);
        assert_eq!(page.username(), "ada");
        // To ask meanwhile makes it no longer.
        assert_eq!(wrong(&person, "ada").await, 429);
        app.clock.advance(Duration::from_secs(seconds));
        assert_eq!(wrong(&person, "ada").await, 422, "{seconds}");
    }
    for _ in 0..20 {
        app.clock.advance(Duration::from_secs(15 * 60));
        assert_eq!(wrong(&person, "ada").await, 422, "it never takes longer than that");
    }
    // Somewhere else nobody has guessed.
    assert_eq!(wrong(&at(&app, "192.0.2.2"), "ada").await, 429, "but at the account there were more than 20");
    assert_eq!(wrong(&at(&app, "192.0.2.2"), "bob").await, 422);
}

async fn who_has_to_wait_is_not_told_whether_there_is_such_an_account(app: TestApp) {
    let app = behind_a_proxy(&app, "").await;
    app.user("ada").await;
    let shown = async |username: &str, address: &str| {
        let person = at(&app, address);
        let mut pages = Vec::new();
        for _ in 0..7 {
            let page = guess(&person, username, "not the password").await;
            let plain = page.without_secrets().replace(username, "NAME");
            pages.push((page.status.as_u16(), page.header("retry-after").map(str::to_owned), plain));
        }
        pages
    };
    // ASVS 6.3.8
    let known = shown("ada", "192.0.2.1").await;
    assert_eq!(shown("nobody", "192.0.2.2").await, known);
    assert_eq!(known.iter().map(|page| page.0).collect::<Vec<_>>(), [422, 422, 422, 422, 422, 429, 429]);
    // However it is written.
    assert_eq!(wrong(&at(&app, "192.0.2.1"), "ADA").await, 429);
    assert_eq!(wrong(&at(&app, "192.0.2.2"), "NoBody").await, 429);
}

async fn whoever_gets_it_right_begins_anew(app: TestApp) {
    let app = behind_a_proxy(&app, "free_attempts_per_account = 6\nfree_attempts_per_address = 6").await;
    app.user("ada").await;
    // Right ones are no attempts, however many.
    for _ in 0..10 {
        assert!(guess(&at(&app, "192.0.2.1"), "ada", PASSWORD).await.url.ends_with("/account"));
    }
    let person = at(&app, "192.0.2.1");
    for _ in 0..4 {
        assert_eq!(wrong(&person, "ada").await, 422);
    }
    assert!(guess(&person, "ada", PASSWORD).await.url.ends_with("/account"));
    // What was wrong here is forgotten; at the account and the address it counts on.
    let other = at(&app, "192.0.2.1");
    assert_eq!([wrong(&other, "ada").await, wrong(&other, "ada").await, wrong(&other, "ada").await], [422, 422, 429]);
}

async fn strangers_who_guess_cannot_lock_out_who_is_known(app: TestApp) {
    let app = behind_a_proxy(&app, "").await;
    app.user("ada").await;
    let own = at(&app, "192.0.2.1");
    assert!(guess(&own, "ada", PASSWORD).await.url.ends_with("/account"));
    own.sign_out().await;
    for n in 0..20 {
        assert_eq!(wrong(&at(&app, &format!("198.51.100.{n}")), "ada").await, 422);
    }
    // A browser that she never used has to wait; hers has not.
    assert_eq!(guess(&at(&app, "192.0.2.1"), "ada", PASSWORD).await.status, 429);
    assert!(guess(&own, "ada", PASSWORD).await.url.ends_with("/account"));

    // What tells that it is hers cannot be made, nor is it good for somebody else.
    let name = own.cookies().keys().find(|name| name.contains("-known-")).unwrap().clone();
    let cookie = own.cookies()[&name].clone();
    app.user("bob").await;
    let bob = at(&app, "192.0.2.9");
    assert!(guess(&bob, "bob", PASSWORD).await.url.ends_with("/account"));
    let swapped = bob.cookies()[&name].replace(cookie.split('.').nth(1).unwrap(), "x");
    for forged in [&cookie[1..], &format!("x{cookie}"), &bob.cookies()[&name], &swapped, "", "a.b.c"] {
        let stranger = at(&app, "192.0.2.3");
        stranger.set_cookie(&name, forged);
        assert_eq!(guess(&stranger, "ada", PASSWORD).await.status, 429, "{forged:?}");
    }
    // It lets nobody in by itself.
    let thief = at(&app, "192.0.2.4");
    thief.set_cookie(&name, &cookie);
    assert!(!thief.is_signed_in().await);
}

async fn a_known_browser_is_not_a_way_to_guess(app: TestApp) {
    let app = behind_a_proxy(&app, "").await;
    app.user("ada").await;
    let own = at(&app, "192.0.2.1");
    guess(&own, "ada", PASSWORD).await;
    own.sign_out().await;
    for n in 0..5 {
        // Wherever it is carried.
        let moved = at(&app, &format!("198.51.100.{n}"));
        moved.takes_cookies_of(&own);
        assert_eq!(wrong(&moved, "ada").await, 422);
    }
    assert_eq!(wrong(&own, "ada").await, 429);
    // At somebody else's account it is a browser like any other.
    assert_eq!(wrong(&own, "bob").await, 422);
}

async fn one_address_cannot_go_through_many_accounts(app: TestApp) {
    let app = behind_a_proxy(&app, "free_attempts_per_address = 10").await;
    for n in 0..10 {
        assert_eq!(wrong(&at(&app, "2001:db8:0:1::1"), &format!("user{n}")).await, 422);
    }
    assert_eq!(wrong(&at(&app, "2001:db8:0:1::1"), "another").await, 429);
    // All of a /64 is one place.
    assert_eq!(wrong(&at(&app, "2001:db8:0:1:ffff::2"), "another").await, 429);
    assert_eq!(wrong(&at(&app, "2001:db8:0:2::1"), "another").await, 422);
    // What a client writes itself before the proxy does is not believed.
    assert_eq!(wrong(&at(&app, "203.0.113.5, 2001:db8:0:1::1"), "another").await, 429);
}

async fn of_many_guesses_at_once_no_more_are_judged_than_are_free(app: TestApp) {
    let app = behind_a_proxy(&app, "").await;
    let other = app.second_node().await;
    app.user("ada").await;
    let people: Vec<Person> = (0..16).map(|n| at(if n % 2 == 0 { &app } else { &other }, "192.0.2.1")).collect();
    let mut pages = Vec::new();
    for person in &people {
        pages.push(person.get("/sign-in").await);
    }
    let answers = at_once(people.iter().zip(&pages).map(|(person, page)| person.sign_in(page, "ada", "wrong"))).await;
    let judged = answers.iter().filter(|page| page.status == 422).count();
    assert_eq!((judged, answers.iter().filter(|page| page.status == 429).count()), (5, 11));
}

async fn attempts_are_counted_on_all_nodes_and_outlive_them(app: TestApp) {
    let mut app = behind_a_proxy(&app, "").await;
    app.user("ada").await;
    let other = app.second_node().await;
    for n in 0..5 {
        let node = if n % 2 == 0 { &app } else { &other };
        assert_eq!(wrong(&at(node, "192.0.2.1"), "ada").await, 422);
    }
    app.stop().await;
    let third = other.second_node().await;
    assert_eq!(wrong(&at(&third, "192.0.2.1"), "ada").await, 429);
}

async fn codes_are_guessed_no_faster_by_signing_in_again(app: TestApp) {
    let app = behind_a_proxy(&app, "").await;
    app.user("ada").await;
    let own = at(&app, "192.0.2.1");
    guess(&own, "ada", PASSWORD).await;
    let (telephone, _) = own.sets_up_an_app(&app).await;
    app.clock.advance(STEP);
    for n in 0..5 {
        // The thief has the password, and another address each time.
        let thief = at(&app, &format!("198.51.100.{n}"));
        let page = guess(&thief, "ada", PASSWORD).await;
        assert_eq!(thief.enter(&page, "000000").await.status, 422);
    }
    let page = guess(&own, "ada", PASSWORD).await;
    let page = own.enter(&page, &telephone.code(&app)).await;
    assert_eq!(page.status, 429, "{page:?}");
    assert!(page.header("retry-after").is_some() && page.body.contains("too many attempts"), "{}", page.body);
    app.clock.advance(Duration::from_secs(1));
    assert!(own.enter(&page, &telephone.code(&app)).await.url.ends_with("/account"));
}

async fn what_is_long_past_is_forgotten(app: TestApp) {
    let app = behind_a_proxy(&app, "").await;
    for _ in 0..5 {
        assert_eq!(wrong(&at(&app, "192.0.2.1"), "ada").await, 422);
    }
    app.clock.advance(Duration::from_secs(24 * 3_600));
    for _ in 0..5 {
        assert_eq!(wrong(&at(&app, "192.0.2.1"), "ada").await, 422);
    }
    assert_eq!(wrong(&at(&app, "192.0.2.1"), "ada").await, 429);
    app.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    while app.store.delete_expired(app.clock.now()).await.unwrap() {}
    assert_eq!(app.count("attempts").await, 0);
}

async fn whose_clock_is_behind_does_not_wait_for_it(app: TestApp) {
    let app = behind_a_proxy(&app, "").await;
    let pace = Pace {
        free: 3,
        first_delay: Duration::from_secs(1),
        longest_delay: Duration::from_secs(60),
        forget_after: Duration::from_secs(3_600),
    };
    let now = app.clock.now();
    let count = async |at| app.change(async |tx| tx.count_attempt(&[7; 32], &pace, at).await).await;
    assert_eq!(count(now).await, Counted::Through(1));
    assert_eq!(count(now.minus(Duration::from_millis(5))).await, Counted::Through(2));
    assert_eq!(count(now.minus(Duration::from_millis(9))).await, Counted::Through(3));
    let until = now.minus(Duration::from_millis(9)).plus(Duration::from_secs(1));
    assert_eq!(count(now).await, Counted::Until(until));
    app.change(async |tx| tx.forgive_attempt(&[7; 32]).await).await;
    assert_eq!(count(now.minus(Duration::from_millis(20))).await, Counted::Through(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_where_it_is_off_or_their_address_is_excepted() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    for settings in ["enabled = false", "unlimited = [\"192.0.2.0/24\"]"] {
        let app = behind_a_proxy(&app, settings).await;
        for _ in 0..8 {
            assert_eq!(wrong(&at(&app, "192.0.2.1"), "ada").await, 422, "{settings}");
        }
        assert_eq!(app.count("attempts").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_nobody_vouches_for_is_not_believed() {
    let app = TestApp::with(Engine::Sqlite, "[throttle]\n").await;
    for n in 0..5 {
        assert_eq!(wrong(&at(&app, &format!("192.0.2.{n}")), "ada").await, 422);
    }
    assert_eq!(wrong(&at(&app, "192.0.2.99"), "ada").await, 429);
}
