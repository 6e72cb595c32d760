//! The log of the real binary: one line a request, and no secret (ASVS 16.2.5).

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::app::{Folder, PASSWORD, http_client};
use crate::support::authenticator::Authenticator;
use crate::support::process::Process;
use crate::support::smtp::MailServer;
use crate::support::{Answer, Person, Pkce};

/// One command of the real binary in the folder of a test.
fn run(folder: &Folder, arguments: &[&str], stdin: &str) -> String {
    use std::io::Write as _;
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantor"));
    let command = command.args(arguments).env_clear().current_dir(&folder.0);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_whole_flow_holds_no_secret() {
    for format in ["text", "json"] {
        let folder = Folder::new();
        let environment = [("GRANTOR__LOG__FILTER", "debug"), ("GRANTOR__LOG__FORMAT", format)];
        let (process, url) = Process::serve(&folder, &[], &environment).await;
        let create =
            ["client", "create", "--name", "Web", "--id", "web", "--redirect-uri", "https://app.example/callback"];
        let more = [
            "--grant-type",
            "authorization_code",
            "--grant-type",
            "refresh_token",
            "--scope",
            "openid offline_access",
            "--json",
        ];
        let client: Value = serde_json::from_str(&run(&folder, &[&create[..], &more].concat(), "")).unwrap();
        let secret = client["client_secret"].as_str().unwrap();
        run(&folder, &["user", "create", "--username", "ada", "--password-stdin"], PASSWORD);

        let (person, pkce, http) = (Person::new(&url), Pkce::new(), http_client());
        let mut secrets = vec![("password", PASSWORD.to_owned()), ("client secret", secret.to_owned())];
        let path = format!(
            "/oauth/authorize?response_type=code&client_id=web&redirect_uri=https://app.example/callback&scope=openid+offline_access&state=the-state-of-it&nonce=the-nonce-of-it&code_challenge={}&code_challenge_method=S256",
            pkce.challenge
        );
        let page = person.get(&path).await;
        assert!(page.asks_to_sign_in(), "{page:?}");
        secrets.push(("form token", page.hidden("csrf")));
        secrets.extend(person.cookies().into_values().map(|value| ("cookie", value)));
        let page = person.sign_in(&page, "ada", "a password typed wrong").await;
        secrets.push(("wrong password", "a password typed wrong".into()));
        let page = person.sign_in(&page, "ada", PASSWORD).await;
        secrets.push(("form token", page.hidden("csrf")));
        secrets.extend(person.cookies().into_values().map(|value| ("cookie", value)));
        let page = person.decide(&page, "allow").await;
        let code = page.code();
        secrets.push(("code", code.clone()));
        secrets.push(("verifier", pkce.verifier.clone()));
        secrets.extend([("state", "the-state-of-it".into()), ("nonce", "the-nonce-of-it".into())]);

        let post = async |path: &str, fields: &[(&str, &str)]| {
            let request = http.post(format!("{url}{path}")).basic_auth("web", Some(secret)).form(fields);
            Answer::of(request.send().await.unwrap()).await
        };
        let redeem = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", "https://app.example/callback"),
            ("code_verifier", &pkce.verifier),
        ];
        let first = post("/oauth/token", &redeem).await.expect_tokens();
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", first.refresh_token())];
        let second = post("/oauth/token", &refresh).await.expect_tokens();
        post("/oauth/introspect", &[("token", second.access_token())]).await.expect_active();
        let request = http.get(format!("{url}/oauth/userinfo")).bearer_auth(second.access_token());
        assert_eq!(request.send().await.unwrap().status(), 200);
        post("/oauth/revoke", &[("token", second.refresh_token())]).await.expect_status(200);
        // Refusals, which are logged with their reason.
        post("/oauth/token", &redeem).await.expect_error("invalid_grant");
        post("/oauth/token", &refresh).await.expect_error("invalid_grant");
        let wrong = http.post(format!("{url}/oauth/token")).basic_auth("web", Some("a-wrong-secret-of-somebody"));
        assert_eq!(wrong.form(&[("grant_type", "client_credentials")]).send().await.unwrap().status(), 401);
        secrets.push(("wrong client secret", "a-wrong-secret-of-somebody".into()));
        person.get(&format!("/oauth/logout?id_token_hint={}", second.id_token())).await;
        for tokens in [&first, &second] {
            for token in [tokens.access_token(), tokens.refresh_token(), tokens.id_token()] {
                // Its signature, without which it is worth nothing; and whole.
                secrets.push(("token", token.to_owned()));
                secrets.push(("signature", token.rsplit('.').next().unwrap().to_owned()));
            }
        }

        process.terminate();
        let (code, log) = process.ended().await;
        assert_eq!(code, 0, "{log}");
        assert!(log.contains("/oauth/token") && log.contains("sign-in"), "requests are logged: {log}");
        for (what, secret) in secrets {
            assert!(secret.len() > 10, "{what}");
            assert!(!log.contains(&secret), "the log holds a {what}:\n{log}");
            let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            assert!(!log.contains(&encoded), "the log holds a {what}:\n{log}");
        }
        if format == "json" {
            assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
        }
    }
}

/// Nor do the links that are mailed, whom they go to, and how we sign in at the mail server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_forgotten_password_holds_no_secret() {
    let (folder, mails) = (Folder::new(), MailServer::start_tls().await);
    let (port, ca) = (mails.port.to_string(), mails.certificate());
    let environment = [
        ("GRANTOR__LOG__FILTER", "trace"),
        ("GRANTOR__MAIL__TRANSPORT", "smtp"),
        ("GRANTOR__MAIL__HOST", "localhost"),
        ("GRANTOR__MAIL__PORT", &port),
        ("GRANTOR__MAIL__EXTRA_CA", &ca),
        ("GRANTOR__MAIL__FROM", "no-reply@acme.example"),
        ("GRANTOR__MAIL__NEW_DEVICES", "false"),
        ("GRANTOR__MAIL__USERNAME", "grantor"),
        ("GRANTOR__MAIL__PASSWORD", "of-the-mail-server"),
    ];
    let (process, url) = Process::serve(&folder, &[], &environment).await;
    let create = ["user", "create", "--username", "ada", "--email", "ada@example.org", "--email-verified"];
    run(&folder, &[&create[..], &["--password-stdin"]].concat(), PASSWORD);

    let person = Person::new(&url);
    person.forgot("ada").await;
    let mail = mails.receives(1).await;
    assert_eq!(mail.signed_in.as_deref(), Some("grantor:of-the-mail-server"));
    let page = person.resets(&mail.link(), "two boats and a candle").await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    person.resets(&mail.link(), PASSWORD).await;
    mails.receives(2).await;
    process.terminate();
    let (code, log) = process.ended().await;
    assert_eq!(code, 0, "{log}");
    for event in ["mail_written", "mail_sent", "password_reset", "password_changed"] {
        assert!(log.contains(event), "{event} is recorded: {log}");
    }
    let secret = mail.link().rsplit('=').next().unwrap().to_owned();
    for secret in [&secret, "ada@example.org", "two boats", "two+boats", "of-the-mail-server"] {
        assert!(!log.contains(secret), "the log holds {secret}:\n{log}");
    }
}

/// What a stranger writes into an address does not become a line of the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_text_stays_out_of_the_log() {
    let folder = Folder::new();
    let (process, url) = Process::serve(&folder, &[], &[]).await;
    let http = http_client();
    let path = "/nothing%0aforged%20line?token=of-somebody%0d%0aforged";
    assert_eq!(
        http.get(format!("{url}{path}")).header("user-agent", "forged-agent").send().await.unwrap().status(),
        404
    );
    let answer = http.post(format!("{url}/oauth/token")).form(&[("client_id", "forged\nline"), ("grant_type", "x")]);
    assert_eq!(answer.send().await.unwrap().status(), 401);
    process.terminate();
    let (_, log) = process.ended().await;
    assert!(log.contains("status=404") && log.contains("status=401"), "{log}");
    assert!(!log.contains("forged") && !log.contains("of-somebody"), "{log}");
}

/// ASVS 16.3.1, 16.3.3: who failed to authenticate, and what was revoked; each once, and only what happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_recorded_once() {
    let folder = Folder::new();
    let (process, url) = Process::serve(&folder, &[], &[]).await;
    let create =
        ["client", "create", "--name", "Robot", "--id", "robot", "--grant-type", "client_credentials", "--json"];
    let client: Value = serde_json::from_str(&run(&folder, &create, "")).unwrap();
    let http = http_client();
    let post = async |id: &str, secret: &str, path: &str, fields: &[(&str, &str)]| {
        let request = http.post(format!("{url}{path}")).basic_auth(id, Some(secret)).form(fields);
        Answer::of(request.send().await.unwrap()).await
    };
    let credentials = [("grant_type", "client_credentials")];
    post("nobody-we-know", "x", "/oauth/token", &credentials).await.expect_status(401);
    post("robot", "x", "/oauth/token", &credentials).await.expect_status(401);
    let secret = client["client_secret"].as_str().unwrap();
    let tokens = post("robot", secret, "/oauth/token", &credentials).await.expect_tokens();
    for _ in 0..2 {
        post("robot", secret, "/oauth/revoke", &[("token", tokens.access_token())]).await.expect_status(200);
    }
    process.terminate();
    let (_, log) = process.ended().await;
    let recorded = |event: &str, client: &str| {
        log.lines().filter(|line| line.contains("audit") && line.contains(event) && line.contains(client)).count()
    };
    assert_eq!(recorded("client_authentication", "nobody-we-know"), 1, "{log}");
    assert_eq!(recorded("client_authentication", "robot"), 1, "{log}");
    assert_eq!(recorded("token_revoked", "robot"), 1, "{log}");
}

/// WebAuthn §6.1.1: a device that has counted less far than before may be a copy. Somebody should look into it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_that_counts_back_is_recorded() {
    let folder = Folder::new();
    let (process, url) = Process::serve(&folder, &[], &[]).await;
    run(&folder, &["user", "create", "--username", "ada", "--password-stdin"], PASSWORD);
    let (person, mut device) = (Person::new(&url), Authenticator::of(&url));
    person.sign_in_to_account("ada").await;
    assert_eq!(person.adds_a_passkey(&mut device).await.status, 200);
    let mut copy = device.clone();
    for (device, counter, status) in [(&mut device, 9, 200), (&mut copy, 3, 422)] {
        device.counter = counter;
        let person = Person::new(&url);
        assert_eq!(person.shows(&person.get("/sign-in").await, device).await.status, status);
    }
    process.terminate();
    let (_, log) = process.ended().await;
    let recorded = |words: &[&str]| log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    assert_eq!(recorded(&["audit", "passkey_added"]), 1, "{log}");
    assert_eq!(recorded(&["audit", "passkey_counted_back"]), 1, "{log}");
    assert_eq!(recorded(&["audit", "event=\"sign_in\"", "by=\"passkey\""]), 1, "{log}");
}
