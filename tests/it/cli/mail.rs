use std::fs;

use super::place::Place;
use crate::support::smtp::{MailServer, Manner};

const FROM: &str = "from = \"Acme <no-reply@acme.example>\"\n";

#[test]
fn a_test_says_where_the_message_went() {
    let place = Place::empty();
    place.run(&["mail", "test", "ada@example.org"]).expect_refused(1, "no mail goes out: set mail.transport");

    fs::write(place.path("grantor.toml"), format!("[mail]\ntransport = \"file\"\n{FROM}")).unwrap();
    let said = place.ok(&["mail", "test", "ada@example.org", "--config", "grantor.toml"]);
    let path = said.strip_prefix("Sent to ada@example.org: it is in ").expect(&said).trim();
    let message = fs::read_to_string(place.path(path)).unwrap();
    assert!(message.contains("Subject: A test\r\n") && message.contains("Grantor can send mail to you."), "{message}");
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(place.path(path)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("data/mail"), mode(path)), (0o700, 0o600));

    fs::write(place.path("grantor.toml"), format!("[mail]\ntransport = \"console\"\n{FROM}")).unwrap();
    let said = place.ok(&["mail", "test", "ada@example.org", "--config", "grantor.toml"]);
    assert!(said.starts_with("To: ada@example.org\n\nGrantor can send mail to you."), "{said}");
    let bad = ["mail", "test", "ada@example.org\nBcc: eve@example.org", "--config", "grantor.toml"];
    place.run(&bad).expect_refused(1, "the address cannot be written to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_says_what_the_server_said() {
    let mails = MailServer::start().await;
    let place = std::sync::Arc::new(Place::empty());
    fs::write(place.path("grantor.toml"), mails.toml_in_a_hurry()).unwrap();
    let test = async || {
        let place = place.clone();
        let run = move || place.run(&["mail", "test", "ada@example.org", "--config", "grantor.toml"]);
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    assert_eq!(test().await.expect_ok(), "Sent to ada@example.org: 250 2.0.0 queued as 42\n");
    assert_eq!(mails.receives(1).await.text().lines().next(), Some("Grantor can send mail to you."));
    mails.behaves(Manner::Says("550 5.1.1 nobody here is called that"));
    test().await.expect_refused(1, "nobody here is called that");
    mails.behaves(Manner::Stalls);
    test().await.expect_refused(1, "the server took too long");
    drop(mails);
    test().await.expect_refused(1, "refused");
}

#[test]
fn an_administrator_starts_a_reset_and_never_chooses_the_password() {
    let place = Place::new();
    let create = ["user", "create", "--username", "ada", "--email", "ada@example.org", "--password-stdin"];
    place.run_with(&create, "engines that weave algebra").expect_ok();
    // ASVS 6.4.6
    let printed = place.ok(&["user", "reset-password", "ada"]);
    let link = printed.lines().next().unwrap();
    assert!(link.starts_with("http://localhost:8080/reset-password?link="), "{printed}");
    assert!(printed.contains("within 15 minutes"), "{printed}");
    let secret = link.rsplit('=').next().unwrap();
    assert!(secret.len() == 43 && !place.keeps_in_clear(secret));

    fs::write(place.path("grantor.toml"), format!("[mail]\ntransport = \"console\"\n{FROM}")).unwrap();
    let by_mail = place.ok(&["user", "reset-password", "ada", "--config", "grantor.toml"]);
    assert!(by_mail.starts_with("A link is on its way to ada@example.org"), "{by_mail}");
    assert!(!by_mail.contains("?link="), "{by_mail}");
    let printed = place.ok(&["user", "reset-password", "ada", "--print", "--config", "grantor.toml"]);
    assert!(printed.contains("?link="), "{printed}");
    place.run(&["user", "reset-password", "nobody"]).expect_refused(1, "no user has");
    place.ok(&["user", "disable", "ada"]);
    place.run(&["user", "reset-password", "ada"]).expect_refused(1, "ada is disabled");
}
