//! What other providers may say, and what of it is believed (ASVS 6.8.2, OpenID Connect Core §3.1.3.7, RFC 9207).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantor::types::{Algorithm, Clock as _};
use serde_json::{Value, json};

use crate::each_engine;
use crate::support::app::PASSWORD;
use crate::support::assertion::Signer;
use crate::support::behind::at_once;
use crate::support::party::SECRET;
use crate::support::upstream::{Fake, leaves, param};
use crate::support::{Engine, Page};

each_engine!(
    an_id_token_that_does_not_hold_lets_nobody_in,
    an_answer_of_another_provider_is_not_believed,
    a_provider_that_says_nothing_useful_lets_nobody_in,
    keys_that_rotated_are_fetched_again,
    an_account_is_made_by_the_rule_alone,
    whoever_was_invited_has_an_account_made_once,
    of_many_who_come_first_at_once_one_account_is_made,
    an_address_is_theirs_if_the_provider_says_so,
    two_factors_count_by_the_word_of_a_trusted_provider_alone,
    a_plain_provider_is_asked_who_that_is,
    a_plain_provider_proves_nobody_again,
    what_a_provider_says_is_shown_as_text,
    whoever_brings_wrong_answers_waits,
);

const OPEN: &str = "create = \"open\"\n";

fn failed(page: &Page) -> bool {
    page.status == 502 && page.body.contains("Signing in with Fake did not work this time")
}

fn arrived(page: &Page) -> bool {
    page.url.ends_with("/account")
}

async fn an_id_token_that_does_not_hold_lets_nobody_in(engine: Engine) {
    let fake = Fake::start();
    let app = fake.openid(engine, OPEN).await;
    let person = app.person();
    assert!(arrived(&fake.comes(&app, &person, |_| {}).await));
    let refused = async |what: &str, change: &dyn Fn(&mut Value)| {
        let person = app.person();
        let page = fake.comes(&app, &person, change).await;
        assert!(failed(&page), "{what}: {page:?}");
        assert!(!person.is_signed_in().await, "{what}");
    };
    let now = app.clock.now().secs();
    refused("iss", &|claims| claims["iss"] = json!("https://evil.example")).await;
    refused("iss/", &|claims| claims["iss"] = json!(format!("{}/", claims["iss"].as_str().unwrap()))).await;
    refused("aud", &|claims| claims["aud"] = json!("another")).await;
    refused("aud and more", &|claims| claims["aud"] = json!(["here", "another"])).await;
    refused("azp", &|claims| claims["azp"] = json!("another")).await;
    refused("exp", &|claims| claims["exp"] = json!(now - 1)).await;
    refused("nonce", &|claims| claims["nonce"] = json!("another")).await;
    refused("no nonce", &|claims| drop(claims.as_object_mut().unwrap().remove("nonce"))).await;
    refused("at_hash", &|claims| claims["at_hash"] = json!("MTIzNDU2Nzg5MDEyMzQ1Ng")).await;
    refused("sub", &|claims| claims["sub"] = json!("")).await;
    refused("long sub", &|claims| claims["sub"] = json!("1".repeat(256))).await;
    refused("a sub with NUL", &|claims| claims["sub"] = json!("1\u{0}2")).await;

    // ASVS 6.8.2
    let refused = async |what: &str, token: &dyn Fn(&Value) -> String| {
        let person = app.person();
        let url = leaves(&person).await;
        let token = token(&fake.claims(&app, &url));
        fake.says(|says| says.id_token = token);
        let page = person.get(&fake.callback(&app, &url)).await;
        assert!(failed(&page), "{what}: {page:?}");
        assert!(!person.is_signed_in().await, "{what}");
    };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = json!({ "alg": "none" });
    refused("none", &|claims| format!("{}.{}.", encode(&none), encode(claims))).await;
    refused("no signature", &|claims| {
        let token = fake.signer.sign(&json!({ "alg": "RS256" }), &claims.to_string());
        format!("{}.", token.rsplit_once('.').unwrap().0)
    })
    .await;
    refused("a MAC by our own secret", &|claims| {
        Signer::with_secret("here").sign(&json!({ "alg": "HS256" }), &claims.to_string())
    })
    .await;
    let other = Signer::new("other", Algorithm::Rs256);
    refused("another key", &|claims| {
        other.sign(&json!({ "alg": "RS256", "kid": fake.signer.header()["kid"] }), &claims.to_string())
    })
    .await;
    refused("other claims", &|claims| {
        let token = fake.signer.sign(&json!({ "alg": "RS256" }), &claims.to_string());
        let mut claims = claims.clone();
        claims["sub"] = json!("2");
        let parts: Vec<&str> = token.split('.').collect();
        format!("{}.{}.{}", parts[0], encode(&claims), parts[2])
    })
    .await;
    refused("nonsense", &|_| "nonsense".to_owned()).await;
    refused("nothing", &|_| String::new()).await;
}

async fn an_answer_of_another_provider_is_not_believed(engine: Engine) {
    let fake = Fake::start();
    fake.says(|says| says.metadata = json!({ "authorization_response_iss_parameter_supported": true }));
    let app = fake.openid(engine, OPEN).await;
    let attempt = async |iss: Option<&str>| {
        let person = app.person();
        let url = leaves(&person).await;
        fake.signs(&fake.claims(&app, &url));
        let iss = iss.map(|iss| format!("&iss={iss}")).unwrap_or_default();
        person.get(&format!("{}{iss}", fake.callback(&app, &url))).await
    };
    // RFC 9207 §2.4: it says that it always tells, and whom.
    assert!(failed(&attempt(None).await));
    assert!(failed(&attempt(Some("https://evil.example")).await));
    assert_eq!(fake.asked.lock().unwrap().len(), 0, "the code was sent out");
    assert!(arrived(&attempt(Some(fake.url())).await));

    // Where it does not, a wrong one is wrong all the same.
    let silent = Fake::start();
    let app = silent.openid(engine, OPEN).await;
    let person = app.person();
    let url = leaves(&person).await;
    silent.signs(&silent.claims(&app, &url));
    let page = person.get(&format!("{}&iss={}", silent.callback(&app, &url), fake.url())).await;
    assert!(failed(&page), "{page:?}");

    // OpenID Connect Discovery §4.3
    let liar = Fake::start();
    liar.says(|says| says.metadata = json!({ "issuer": "https://accounts.example" }));
    let app = liar.openid(engine, OPEN).await;
    let person = app.person();
    let page = person.get("/sign-in").await;
    assert!(failed(&person.post("/sign-in/upstream/fake", &[("csrf", &page.hidden("csrf"))]).await));

    // RFC 9700 §4.4: what was asked of one comes back to the address of that one.
    let more = format!(
        "{OPEN}[upstream.\"other\"]\ntitle = \"Other\"\nissuer = \"{}\"\nclient_id = \"here\"\n{OPEN}",
        silent.url()
    );
    let app = fake.openid(engine, &more).await;
    let person = app.person();
    let url = leaves(&person).await;
    assert!(param(&url, "redirect_uri").unwrap().ends_with("/sign-in/upstream/fake/callback"), "{url}");
    let elsewhere = fake.callback(&app, &url).replace("/fake/", "/other/");
    person.get(&elsewhere).await.expect_error_page(400);
}

async fn a_provider_that_says_nothing_useful_lets_nobody_in(engine: Engine) {
    let fake = Fake::start();
    let app = fake.openid(engine, OPEN).await;
    for tokens in [
        (400, json!({ "error": "invalid_grant" })),
        // As GitHub says it.
        (200, json!({ "error": "bad_verification_code" })),
        (200, json!("tokens")),
        (500, json!({})),
        (200, json!({ "access_token": "a token", "token_type": "bearer" })),
        (200, json!({ "access_token": "a token", "token_type": "DPoP", "id_token": "x" })),
        (200, json!({ "token_type": "bearer", "id_token": "x" })),
    ] {
        fake.says(|says| says.tokens = tokens.clone());
        let person = app.person();
        let page = fake.comes(&app, &person, |_| {}).await;
        assert!(failed(&page), "{tokens:?} {page:?}");
    }
    fake.says(|says| says.tokens = (200, Value::Null));
    // An answer without a code, and one with an error of the protocol.
    for answer in ["", "error=server_error&error_description=%3Cscript%3E"] {
        let person = app.person();
        let url = leaves(&person).await;
        let state = param(&url, "state").unwrap();
        let page = person.get(&format!("/sign-in/upstream/fake/callback?state={state}&{answer}")).await;
        assert!(failed(&page) && !page.body.contains("script"), "{page:?}");
    }
    // UserInfo of somebody else (OpenID Connect Core §5.3.2), and a token that no header can carry.
    fake.says(|says| says.userinfo = json!({ "sub": "2", "email": "eve@example.org" }));
    let without_email = |claims: &mut Value| drop(claims.as_object_mut().unwrap().remove("email"));
    assert!(failed(&fake.comes(&app, &app.person(), without_email).await));
    let person = app.person();
    let url = leaves(&person).await;
    let mut claims = fake.claims(&app, &url);
    without_email(&mut claims);
    fake.signs(&claims);
    fake.says(|says| {
        let id_token = says.id_token.clone();
        says.tokens = (200, json!({ "access_token": "a\ntoken", "token_type": "bearer", "id_token": id_token }));
    });
    assert!(failed(&person.get(&fake.callback(&app, &url)).await));
    // One that is not there at all.
    let url = {
        let gone = Fake::start();
        gone.url().to_owned()
    };
    let toml = format!(
        "{}[upstream.\"fake\"]\ntitle = \"Fake\"\nissuer = \"{url}\"\nclient_id = \"here\"\n",
        crate::support::upstream::ALLOW
    );
    let app = app.another(&toml).await;
    let person = app.person();
    let page = person.get("/sign-in").await;
    assert!(failed(&person.post("/sign-in/upstream/fake", &[("csrf", &page.hidden("csrf"))]).await));
    // Whoever has a password gets in all the same.
    app.user("ada").await;
    assert!(person.sign_in(&person.get("/sign-in").await, "ada", PASSWORD).await.url.ends_with("/account"));
}

async fn keys_that_rotated_are_fetched_again(engine: Engine) {
    let mut fake = Fake::start();
    let app = fake.openid(engine, OPEN).await;
    assert!(arrived(&fake.comes(&app, &app.person(), |_| {}).await));
    fake.rotates();
    assert!(arrived(&fake.comes(&app, &app.person(), |_| {}).await));
}

async fn an_account_is_made_by_the_rule_alone(engine: Engine) {
    let at = |email: &'static str, verified: Value| {
        move |claims: &mut Value| {
            (claims["email"], claims["email_verified"]) = (json!(email), verified.clone());
        }
    };
    let domain = "create = \"domain\"\ndomains = [\"example.org\"]\n";
    for (rule, email, verified, made) in [
        ("", "ada@example.org", json!(true), false),
        ("create = \"off\"\n", "ada@example.org", json!(true), false),
        (domain, "ada@example.org", json!(true), true),
        (domain, "Ada@EXAMPLE.ORG", json!(true), true),
        (domain, "ada@example.org", json!(false), false),
        (domain, "ada@example.org", Value::Null, false),
        (domain, "ada@sub.example.org", json!(true), false),
        (domain, "ada@example.org@evil.example", json!(true), false),
        ("create = \"invited\"\n[sign_up]\nmode = \"invitation\"\n", "ada@example.org", json!(true), false),
        (OPEN, "ada@elsewhere.example", json!(true), true),
        (OPEN, "ada@elsewhere.example", json!(false), true),
    ] {
        let fake = Fake::start();
        let app = fake.openid(engine, rule).await;
        let person = app.person();
        let page = fake.comes(&app, &person, at(email, verified.clone())).await;
        assert_eq!(arrived(&page), made, "{rule} {email} {verified} {page:?}");
        assert_eq!(person.is_signed_in().await, made, "{rule} {email}");
        assert_eq!(app.count("users").await, i64::from(made), "{rule} {email}");
        if !made {
            assert!(page.url.contains("/sign-in/unknown"), "{page:?}");
            continue;
        }
        let user = app.store.users().await.unwrap().remove(0);
        // An address counts that the provider says is theirs; another is nobody's.
        let kept = (verified == true).then(|| email.to_owned());
        assert_eq!((&user.email, user.email_verified), (&kept, kept.is_some()), "{user:?}");
        assert_eq!(user.username.starts_with("fake-"), kept.is_none(), "{user:?}");
        // The same person comes back to the same account, whatever their address is by then.
        let page = fake.comes(&app, &app.person(), at("new@elsewhere.example", json!(true))).await;
        assert!(arrived(&page), "{page:?}");
        assert_eq!(app.count("users").await, 1);
    }
}

async fn whoever_was_invited_has_an_account_made_once(engine: Engine) {
    let fake = Fake::start();
    let app = fake.openid(engine, "create = \"invited\"\n[sign_up]\nmode = \"invitation\"\n").await;
    app.invites("ada@example.org").await;
    // Not for whoever merely says that it is their address, nor for another.
    let unverified = fake.comes(&app, &app.person(), |claims| claims["email_verified"] = json!(false)).await;
    assert!(unverified.url.contains("/sign-in/unknown"));
    let other = fake.comes(&app, &app.person(), |claims| claims["email"] = json!("bob@example.org")).await;
    assert!(other.url.contains("/sign-in/unknown"));
    assert!(arrived(&fake.comes(&app, &app.person(), |_| {}).await));
    // The invitation is used up.
    let another = |claims: &mut Value| claims["sub"] = json!("2");
    assert!(fake.comes(&app, &app.person(), another).await.url.contains("/sign-in/unknown"));
    assert_eq!(app.count("users").await, 1);
    // One that has expired is none.
    app.invites("eve@example.org").await;
    app.clock.advance(Duration::from_secs(8 * 24 * 3_600));
    let late = |claims: &mut Value| {
        (claims["sub"], claims["email"]) = (json!("3"), json!("eve@example.org"));
    };
    assert!(fake.comes(&app, &app.person(), late).await.url.contains("/sign-in/unknown"));
}

async fn of_many_who_come_first_at_once_one_account_is_made(engine: Engine) {
    let fake = Fake::start();
    let app = fake.openid(engine, OPEN).await;
    // The provider gives everybody the same ID token, so all have one nonce.
    let person = app.person();
    let mut callbacks = Vec::new();
    for _ in 0..6 {
        callbacks.push(leaves(&person).await);
    }
    let (name, value) = person.own_cookie().unwrap();
    let claims = fake.claims(&app, &callbacks[0]);
    fake.signs_for_each(&callbacks, &claims);
    let pages = at_once(callbacks.iter().map(|url| {
        let person = app.person();
        person.set_cookie(&name, &value);
        let (state, index) = (param(url, "state").unwrap(), param(url, "nonce").unwrap());
        async move { person.get(&format!("/sign-in/upstream/fake/callback?code={index}&state={state}")).await }
    }))
    .await;
    assert!(pages.iter().all(arrived), "{pages:#?}");
    assert_eq!((app.count("users").await, app.count("identities").await), (1, 1));
}

async fn an_address_is_theirs_if_the_provider_says_so(engine: Engine) {
    let fake = Fake::start();
    // The ID token says nothing of it, and UserInfo does.
    fake.says(|says| {
        says.userinfo = json!({ "sub": "1", "email": "ada@example.org", "email_verified": true, "name": "Ada" });
    });
    let app = fake.openid(engine, "create = \"domain\"\ndomains = [\"example.org\"]\n").await;
    let silent = |claims: &mut Value| {
        claims.as_object_mut().unwrap().retain(|name, _| !name.starts_with("email"));
    };
    assert!(arrived(&fake.comes(&app, &app.person(), silent).await));
    let user = app.store.users().await.unwrap().remove(0);
    assert_eq!((user.email.as_deref(), user.name()), (Some("ada@example.org"), Some("Ada")));
    // The code went with what proves us, in the header that is usual, and with the verifier.
    let asked = fake.asked.lock().unwrap().clone();
    let (body, authorization) = &asked[0];
    assert_eq!(authorization.as_deref(), Some(format!("Basic {}", STANDARD.encode(format!("here:{SECRET}"))).as_str()));
    assert!(body.contains("grant_type=authorization_code&code=a+code") && body.contains("code_verifier="), "{body}");
    assert!(!body.contains("client_secret"), "{body}");
    // One that takes it in the form alone gets it there.
    let fake = Fake::start();
    fake.says(|says| says.metadata = json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] }));
    let app = fake.openid(engine, OPEN).await;
    assert!(arrived(&fake.comes(&app, &app.person(), |_| {}).await));
    let asked = fake.asked.lock().unwrap().clone();
    let (body, authorization) = &asked[0];
    assert!(authorization.is_none() && body.contains(&format!("client_id=here&client_secret={SECRET}")), "{body}");
}

async fn two_factors_count_by_the_word_of_a_trusted_provider_alone(engine: Engine) {
    let required = "[second_factor]\npolicy = \"required\"\n";
    let trust = "trust_amr = true\n";
    let by_acr = "trust_amr = true\ntwo_factor_acr = [\"urn:two\"]\n";
    // ASVS 6.8.4
    for (settings, amr, acr, counts) in [
        ("", json!(["pwd", "otp", "mfa"]), json!("urn:two"), false),
        (trust, json!(["pwd", "otp", "mfa"]), Value::Null, true),
        (trust, json!(["pwd", "otp"]), json!("urn:two"), false),
        (trust, Value::Null, Value::Null, false),
        (by_acr, Value::Null, json!("urn:two"), true),
        (by_acr, Value::Null, json!("urn:one"), false),
    ] {
        let fake = Fake::start();
        let app = fake.openid(engine, &format!("{OPEN}{settings}{required}")).await;
        let page = fake
            .comes(&app, &app.person(), |claims| {
                (claims["amr"], claims["acr"]) = (amr.clone(), acr.clone());
                claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            })
            .await;
        assert_eq!(arrived(&page), counts, "{settings} {amr} {acr} {page:?}");
        assert_eq!(page.url.contains("/sign-in/second"), !counts, "{settings} {amr} {acr}");
    }
}

async fn a_plain_provider_is_asked_who_that_is(engine: Engine) {
    let fake = Fake::start();
    let app = fake.plain(engine, "create = \"domain\"\ndomains = [\"example.org\"]\n").await;
    fake.says(|says| {
        says.tokens = (200, json!({ "access_token": "gho_1", "token_type": "bearer", "scope": "read:user" }));
        says.userinfo =
            json!({ "id": 583_231, "login": "octocat", "name": "Ada", "email": "public@elsewhere.example" });
        says.emails = json!([
            { "email": "old@example.org", "primary": false, "verified": true },
            { "email": "ada@example.org", "primary": true, "verified": true },
        ]);
    });
    let comes = async || {
        let person = app.person();
        let url = leaves(&person).await;
        assert!(url.starts_with(&format!("{}/authorize?", fake.url())), "{url}");
        assert_eq!(param(&url, "scope").as_deref(), Some("read:user user:email"));
        assert_eq!((param(&url, "nonce"), param(&url, "prompt")), (None, None));
        assert!(param(&url, "code_challenge").is_some(), "{url}");
        person.get(&fake.callback(&app, &url)).await
    };
    assert!(arrived(&comes().await));
    let user = app.store.users().await.unwrap().remove(0);
    assert_eq!(user.email.as_deref(), Some("ada@example.org"));
    let identity = app.store.identity("fake", "583231").await.unwrap().unwrap();
    assert_eq!((identity.user, identity.email.as_deref()), (user.id, Some("ada@example.org")));
    let asked = fake.asked.lock().unwrap().clone();
    let (body, authorization) = &asked[0];
    assert!(authorization.is_none() && body.contains(&format!("client_secret={SECRET}")), "{body}");
    // The same number is the same person, and no other is: not a text that looks like it, nor who has the address.
    assert!(arrived(&comes().await));
    assert_eq!(app.count("users").await, 1);
    fake.says(|says| says.userinfo = json!({ "id": 2, "email": "ada@example.org" }));
    assert!(comes().await.url.contains("/sign-in/unknown"));
    for nobody in [json!({}), json!({ "id": null }), json!({ "id": ["583231"] }), json!({ "id": "" }), json!("583231")]
    {
        fake.says(|says| says.userinfo = nobody.clone());
        assert!(failed(&comes().await), "{nobody}");
    }
    // Addresses that are not verified make nobody one of the domain.
    fake.says(|says| {
        says.userinfo = json!({ "id": 3, "email": "eve@example.org", "email_verified": true });
        says.emails = json!([{ "email": "eve@example.org", "primary": true, "verified": false }]);
    });
    assert!(comes().await.url.contains("/sign-in/unknown"));
}

async fn a_plain_provider_proves_nobody_again(engine: Engine) {
    let fake = Fake::start();
    let app = fake.plain(engine, OPEN).await;
    fake.says(|says| {
        says.tokens = (200, json!({ "access_token": "gho_1", "token_type": "bearer" }));
        says.userinfo = json!({ "id": 1 });
    });
    let person = app.person();
    let url = leaves(&person).await;
    assert!(arrived(&person.get(&fake.callback(&app, &url)).await));
    app.clock.advance(Duration::from_secs(3_600));
    let page = person.get("/account/security/app").await;
    // It would say that they are who they are, and not when they proved it: so it is not offered.
    assert!(page.asks_to_sign_in() && !page.body.contains("Continue with"), "{}", page.body);
    let fields = [("csrf", page.hidden("csrf")), ("next", page.hidden("next"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let page = person.post("/sign-in/upstream/fake", &fields).await;
    let url = crate::support::upstream::sent_to(&page);
    let page = person.get(&fake.callback(&app, &url)).await;
    assert!(page.asks_to_sign_in() && page.body.contains("It was not asked again there"), "{page:?}");
    assert!(person.get("/account/security/app").await.asks_to_sign_in());
}

async fn what_a_provider_says_is_shown_as_text(engine: Engine) {
    let fake = Fake::start();
    let app = fake.openid(engine, "").await;
    let page = fake
        .comes(&app, &app.person(), |claims| claims["email"] = json!("\"<script>alert(1)</script>\"@example.org"))
        .await;
    assert!(page.url.contains("/sign-in/unknown") && !page.body.contains("<script>"), "{}", page.body);
    let page = fake.comes(&app, &app.person(), |claims| claims["email"] = json!("<b>x</b>@example.org")).await;
    assert!(!page.body.contains("<b>x"), "{}", page.body);
    // Nothing of a name that is too long, or holds a line break, is kept.
    let open = fake.openid(engine, OPEN).await;
    let page = fake.comes(&open, &open.person(), |claims| claims["name"] = json!("Ada\r\nLovelace")).await;
    assert!(arrived(&page), "{page:?}");
    assert_eq!(open.store.users().await.unwrap()[0].name(), None);
}

async fn whoever_brings_wrong_answers_waits(engine: Engine) {
    let fake = Fake::start();
    let app = fake.openid(engine, &format!("{OPEN}[throttle]\nfree_attempts_per_address = 5\n")).await;
    let person = app.person();
    person.get("/sign-in").await;
    for _ in 0..5 {
        person.get("/sign-in/upstream/fake/callback?code=a&state=wrong").await.expect_error_page(400);
    }
    // ASVS 6.3.1
    let page = person.get("/sign-in/upstream/fake/callback?code=a&state=wrong").await;
    assert_eq!(page.status, 429, "{page:?}");
    assert!(page.header("retry-after").is_some() && page.body.contains("There were too many attempts"), "{page:?}");
    app.clock.advance(Duration::from_secs(3_600));
    for _ in 0..8 {
        assert!(arrived(&fake.comes(&app, &app.person(), |_| {}).await));
    }
}
