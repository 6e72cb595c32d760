//! `grantor demo`, as somebody sees it who has just cloned the repository.

use std::process::Command;

use crate::support::app::Folder;
use crate::support::browser::Browser;
use crate::support::process::Process;

/// The running demo, and what its start says.
struct Demo {
    process: Process,
    _folder: Folder,
}

impl Demo {
    async fn start() -> Self {
        let folder = Folder::new();
        let process = Process::start(&folder, &["demo", "--listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0"], &[]);
        process.says("Ctrl-C").await;
        Self { process, _folder: folder }
    }

    /// The value behind a label of the start text.
    fn told(&self, label: &str) -> String {
        let out = self.process.out();
        let line = out.lines().find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label:?} in {out}")).trim().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_goes_from_the_sign_in_to_the_refusal_of_the_api() {
    let demo = Demo::start().await;
    let browser = Browser::open().await;
    browser.goto(&demo.told("Open this in a browser")).await.unwrap();
    browser.arrives_at("Sign in to read your notes").await;
    browser.picture("demo-1-home").await;
    browser.press(".go button").await;
    browser.arrives_at("Sign in to Grantor").await;
    browser.sign_in(&demo.told("Sign in as"), &demo.told("Password")).await;
    browser.arrives_at("Notes wants to use your account").await;
    assert!(browser.text("main").await.contains("Read your notes"));
    browser.picture("demo-2-consent").await;
    browser.press("button[value=allow]").await;
    browser.arrives_at("Ada Lovelace").await;
    let claims = browser.text(".main").await;
    for claim in ["sub", "auth_time", "nonce"] {
        assert!(claims.contains(claim), "{claim}: {claims}");
    }
    browser.picture("demo-3-signed-in").await;

    let latest = async |button: &str, title: &str| {
        browser.press(&format!("button[formaction='{button}']")).await;
        browser.says("#happened", title).await;
    };
    latest("/call-api", "The API answered").await;
    assert!(!browser.text(".notes").await.is_empty());
    browser.picture("demo-4-api").await;
    latest("/userinfo", "UserInfo answered").await;
    assert!(browser.text(".main").await.contains("ada@example.org"));
    latest("/refresh", "Refreshed").await;
    browser.picture("demo-5-refreshed").await;
    latest("/call-api", "The API answered").await;
    latest("/revoke", "Access revoked").await;
    browser.picture("demo-6-revoked").await;
    latest("/call-api", "The API refused").await;
    browser.picture("demo-7-refused").await;
    latest("/refresh", "Refreshing was refused").await;

    browser.press("form[action='/sign-out'] button").await;
    browser.arrives_at("Sign in to read your notes").await;
    assert!(browser.text(".pitch").await.contains("signed out"));
    browser.picture("demo-8-signed-out").await;
    // At the server too.
    browser.goto(&demo.told("Your account there")).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    browser.has_no_complaints().await;

    demo.process.terminate();
    let (code, err) = demo.process.ended().await;
    assert_eq!(code, 0, "{err}");
    assert!(!err.contains("ERROR") && !err.contains("panicked"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_turns_away_is_told_so_by_the_demo() {
    let demo = Demo::start().await;
    let browser = Browser::open().await;
    // The other name of this machine: the demo leads to the one that its cookies belong to.
    browser.goto(&demo.told("Open this in a browser").replace("localhost", "127.0.0.1")).await.unwrap();
    browser.press(".go button").await;
    browser.sign_in(&demo.told("Sign in as"), &demo.told("Password")).await;
    browser.press("button[value=deny]").await;
    browser.arrives_at("Sign in to read your notes").await;
    let note = browser.text(".pitch .note").await;
    assert!(!note.is_empty());
    browser.picture("demo-denied").await;
    browser.has_no_complaints().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_start_says_to_paste_works_when_pasted() {
    let demo = Demo::start().await;
    let out = demo.process.out();
    let lines: Vec<&str> = out.lines().filter(|line| line.contains("curl -s")).map(str::trim).collect();
    assert_eq!(lines.len(), 2, "{out}");
    let done = Command::new("sh").args(["-c", &lines.join("\n")]).output().expect("a shell starts");
    let answer = String::from_utf8(done.stdout).unwrap();
    let answer: serde_json::Value =
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("curl (install it): {answer:?}"));
    assert_eq!((&answer["active"], &answer["client_id"]), (&true.into(), &"demo-machine".into()));
    assert_eq!(answer["scope"], "notes:read");
}
