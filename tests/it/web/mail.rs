//! Mail: from the outbox to a mail server, whatever that does meanwhile.

use std::time::Duration;

use crate::each_engine;
use crate::support::app::{Folder, eventually};
use crate::support::rows::rows;
use crate::support::smtp::{MailServer, Manner, Protection, acceptor};
use crate::support::website::certificate;
use crate::support::{Engine, TestApp};

each_engine!(
    a_letter_has_a_text_and_an_html_part,
    nothing_goes_in_the_clear_where_tls_is_required,
    who_is_away_or_stalls_gets_it_later,
    a_refusal_is_final,
    a_letter_is_given_up_when_its_link_is_worth_nothing,
    what_waits_is_sealed,
    without_mail_nothing_offers_it,
);

impl TestApp {
    /// Waits until nothing is left to be sent.
    pub async fn outbox_is_empty(&self) {
        eventually("the outbox is empty", async || self.count("outbox").await == 0).await;
    }

    /// Waits until so many attempts have failed, each after the wait that it asks for.
    async fn has_failed(&self, attempts: usize) {
        let failed = format!("outbox WHERE attempts = {attempts} AND next_at < {}", self.in_a_minute());
        eventually("an attempt has failed", async || self.count(&failed).await == 1).await;
    }

    fn in_a_minute(&self) -> i64 {
        use grantor::types::Clock as _;
        self.clock.now().plus(Duration::from_secs(60)).micros()
    }
}

async fn a_letter_has_a_text_and_an_html_part(engine: Engine) {
    let mails = MailServer::start().await;
    let toml = format!("[server]\nname = \"Größe & Co\"\n{}reply_to = \"help@acme.example\"\n", mails.toml());
    let app = TestApp::with(engine, &toml).await;
    app.user("ada").await;
    app.person().forgot("ada").await;
    let mail = mails.receives(1).await;
    assert_eq!(mail.to, "ada@example.org");
    assert_eq!(mail.header("To"), "ada@example.org");
    assert_eq!(mail.header("From"), "Acme <no-reply@acme.example>");
    assert_eq!(mail.header("Reply-To"), "help@acme.example");
    assert_eq!(mail.header("Subject"), "Choose a new password");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert!(mail.header("Message-ID").ends_with("@localhost>"), "{}", mail.raw);
    assert!(mail.text().contains("for the account ada at Größe & Co."), "{}", mail.text());
    assert!(mail.html().contains("for the account ada at Größe &#38; Co."), "{}", mail.html());
    assert!(mail.html().contains(&format!("href=\"{}\"", mail.link())), "{}", mail.html());
    assert!(mail.link().starts_with(&format!("{}/reset-password?link=", app.url)), "{}", mail.link());
    app.outbox_is_empty().await;
}

async fn nothing_goes_in_the_clear_where_tls_is_required(engine: Engine) {
    let folder = Folder::new();
    certificate(&folder);
    let credentials = "username = \"grantor\"\npassword = \"of the mail server\"\nhost = \"localhost\"\n";
    let trusted = format!("{credentials}extra_ca = {:?}\n", folder.path("tls.crt"));
    for (tls, protection) in
        [("required", Protection::StartTls(acceptor(&folder))), ("implicit", Protection::Implicit(acceptor(&folder)))]
    {
        let mails = MailServer::start_at(0, protection).await;
        let app = TestApp::with(engine, &mails.toml_with(&format!("tls = {tls:?}\n{trusted}"))).await;
        app.user("ada").await;
        app.person().forgot("ada").await;
        let mail = mails.receives(1).await;
        assert!(mail.encrypted);
        assert_eq!(mail.signed_in.as_deref(), Some("grantor:of the mail server"));

        // A certificate that nobody answers for.
        let app = TestApp::with(engine, &mails.toml_with(&format!("tls = {tls:?}\n{credentials}"))).await;
        app.user("ada").await;
        app.person().forgot("ada").await;
        app.has_failed(1).await;
        assert_eq!(mails.mails().len(), 1);
    }
    // Somebody in between took the offer of TLS away.
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml_with(&trusted)).await;
    app.user("ada").await;
    app.person().forgot("ada").await;
    app.has_failed(1).await;
    assert!(mails.visits() > 0 && mails.mails().is_empty());
}

async fn who_is_away_or_stalls_gets_it_later(engine: Engine) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml_in_a_hurry()).await;
    app.user("ada").await;
    mails.behaves(Manner::Says("451 4.7.1 come again later"));
    app.person().forgot("ada").await;
    app.has_failed(1).await;

    mails.behaves(Manner::Stalls);
    app.advance(10);
    eventually("the second attempt begins", async || mails.visits() == 2).await;
    app.has_failed(2).await;

    let port = mails.port;
    drop(mails);
    app.advance(40);
    eventually("the third attempt has begun", async || app.count("outbox WHERE attempts = 3").await == 1).await;
    app.advance(160);
    // Whoever is back gets it, once.
    let mails = MailServer::start_at(port, Protection::None).await;
    mails.receives(1).await;
    app.outbox_is_empty().await;
    app.advance(600);
    assert_eq!(mails.mails().len(), 1);
}

async fn a_refusal_is_final(engine: Engine) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml()).await;
    app.user("ada").await;
    mails.behaves(Manner::Says("550 5.1.1 nobody here is called that"));
    app.person().forgot("ada").await;
    eventually("it is tried", async || mails.visits() == 1).await;
    app.outbox_is_empty().await;
    // A password that is not right is set right soon, and what waits goes out then.
    let wrong = "username = \"grantor\"\npassword = \"wrong\"\n";
    let folder = Folder::new();
    certificate(&folder);
    let mails = MailServer::start_at(0, Protection::Implicit(acceptor(&folder))).await;
    let ca = format!("extra_ca = {:?}\nhost = \"localhost\"\n", folder.path("tls.crt"));
    let app = TestApp::with(engine, &mails.toml_with(&format!("tls = \"implicit\"\n{wrong}{ca}"))).await;
    app.user("ada").await;
    app.person().forgot("ada").await;
    app.has_failed(1).await;
}

async fn a_letter_is_given_up_when_its_link_is_worth_nothing(engine: Engine) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml()).await;
    app.user("ada").await;
    mails.behaves(Manner::Says("451 4.7.1 come again later"));
    app.person().forgot("ada").await;
    app.has_failed(1).await;
    mails.behaves(Manner::Takes);
    app.advance(15 * 60);
    // Others' mail goes out again.
    app.user("bob").await;
    app.person().forgot("bob").await;
    assert_eq!(mails.receives(1).await.to, "bob@example.org");
    eventually("hers alone is left", async || app.count("outbox").await == 1).await;
    app.advance(1);
    app.sweep().await;
    assert_eq!((app.count("outbox").await, app.count("links").await), (0, 1));
}

async fn what_waits_is_sealed(engine: Engine) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml()).await;
    app.user_with("ada", |user| user.email = Some("very.private@example.org".into())).await;
    mails.behaves(Manner::Says("451 4.7.1 come again later"));
    app.person().forgot("ada").await;
    app.has_failed(1).await;
    let waiting = rows(&app).await;
    let waiting: Vec<_> = waiting.iter().filter(|row| row.starts_with("outbox ")).collect();
    assert!(waiting.len() == 1 && !waiting[0].contains("very.private"), "{waiting:?}");

    mails.behaves(Manner::Takes);
    app.advance(10);
    let link = mails.receives(1).await.link();
    let secret = link.rsplit('=').next().unwrap();
    assert_eq!(secret.len(), 43);
    assert!(!rows(&app).await.iter().any(|row| row.contains(secret)), "only a hash of it is kept");
}

async fn without_mail_nothing_offers_it(engine: Engine) {
    let app = TestApp::spawn(engine).await;
    app.user("ada").await;
    let person = app.person();
    assert!(!person.get("/sign-in").await.body.contains("/forgot-password"));
    person.get("/forgot-password").await.expect_error_page(404);
}
