//! The guarded client: what it reaches, how much it reads, and how often it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use grantor::outgoing::{Documents, Kind, Options, Outgoing, OutgoingError};
use grantor::types::Timestamp;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::app::Folder;
use crate::support::website::{Website, certificate};

fn options(allow: &[&str]) -> Options {
    Options {
        allow: allow.iter().map(|range| range.parse().unwrap()).collect(),
        extra_ca: None,
        timeout: Duration::from_secs(2),
        max_bytes: 1_000,
    }
}

fn client(allow: &[&str]) -> Outgoing {
    Outgoing::new(&options(allow)).unwrap()
}

#[tokio::test]
async fn nothing_private_is_reached_unless_it_is_named() {
    let site = Website::start(|_| "here".into_response());
    let path = site.url.split_once("127.0.0.1").unwrap().1;
    assert_eq!(client(&["127.0.0.1/32"]).document(&site.url, &[]).await.unwrap(), b"here");
    // A name is what it resolves to: `localhost` is ::1 as well, which is not named.
    let named = format!("http://localhost{path}");
    assert_eq!(client(&["127.0.0.1/32"]).document(&named, &[]).await.unwrap(), b"here");
    assert_eq!(site.asked(), 2);

    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "127.0.0.1.", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}{path}");
        for client in [client(&[]), client(&["10.0.0.0/8", "::1"])] {
            let refused = client.document(&url, &[]).await.unwrap_err();
            assert!(matches!(refused, OutgoingError::Forbidden | OutgoingError::Unreachable(_)), "{url}: {refused}");
            let refused = client.post_form(&url, &[("a", "b")]).await.unwrap_err();
            assert!(matches!(refused, OutgoingError::Forbidden | OutgoingError::Unreachable(_)), "{url}: {refused}");
        }
    }
    for address in
        ["10.0.0.1", "169.254.169.254", "192.168.0.1", "[::1]", "[fd00::1]", "[fe80::1]", "[64:ff9b::7f00:1]"]
    {
        let refused = client(&["127.0.0.1/32"]).document(&format!("https://{address}/"), &[]).await;
        assert_eq!(refused, Err(OutgoingError::Forbidden), "{address}");
    }
    // Public, but in the clear.
    assert_eq!(client(&[]).document("http://93.184.216.34/", &[]).await, Err(OutgoingError::Forbidden));
    assert_eq!(site.asked(), 2);
}

#[tokio::test]
async fn a_url_that_is_not_plain_is_refused() {
    let client = client(&["0.0.0.0/0", "::/0"]);
    for url in [
        "",
        "/jwks",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1/",
        "data:application/json,{}",
        "http://user@127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "http://:secret@127.0.0.1/",
        &format!("http://127.0.0.1/{}", "x".repeat(3_000)),
    ] {
        let refused = client.document(url, &[]).await.unwrap_err();
        assert!(matches!(refused, OutgoingError::Url(_)), "{url}: {refused}");
    }
}

#[tokio::test]
async fn only_the_document_itself_is_taken() {
    let site = Website::start(|request| match request.uri().path() {
        "/found" => ([("location", "/json")], StatusCode::FOUND).into_response(),
        "/moved" => (StatusCode::PERMANENT_REDIRECT, [("location", "/json")]).into_response(),
        "/json" => ([("content-type", "Application/JSON; charset=utf-8")], "{}").into_response(),
        "/html" => ([("content-type", "text/html")], "{}").into_response(),
        "/bare" => Response::new(Body::from("{}")),
        _ => StatusCode::NOT_FOUND.into_response(),
    });
    let client = client(&["127.0.0.1"]);
    let get = async |path: &str| client.document(&format!("{}{path}", site.url), &["application/json"]).await;
    assert_eq!(get("/json").await.unwrap(), b"{}");
    for (path, status) in [("/moved", StatusCode::PERMANENT_REDIRECT), ("/none", StatusCode::NOT_FOUND)] {
        assert_eq!(get(path).await, Err(OutgoingError::Status(status)));
    }
    for path in ["/found", "/html", "/bare"] {
        assert!(matches!(get(path).await, Err(OutgoingError::Status(_) | OutgoingError::Document(_))), "{path}");
    }
    // As many requests as answers: nobody followed.
    assert_eq!(site.asked(), 6);
}

#[tokio::test]
async fn nothing_of_ours_goes_out() {
    let (seen, mut headers) = tokio::sync::mpsc::unbounded_channel::<HeaderMap>();
    let site = Website::start(move |request| {
        seen.send(request.headers().clone()).unwrap();
        ([("set-cookie", "a=b")], "x").into_response()
    });
    let client = client(&["127.0.0.1"]);
    for _ in 0..2 {
        client.document(&site.url, &[]).await.unwrap();
        let headers = headers.recv().await.unwrap();
        let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "host", "user-agent"]);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let exact = "x".repeat(1_000);
    let site = Website::start(move |request| match request.uri().path() {
        "/exact" => exact.clone().into_response(),
        _ => "x".repeat(1_001).into_response(),
    });
    let client = client(&["127.0.0.1"]);
    assert_eq!(client.document(&format!("{}/exact", site.url), &[]).await.unwrap().len(), 1_000);
    let announced = client.document(&format!("{}/announced", site.url), &[]).await;
    assert_eq!(announced, Err(OutgoingError::TooLarge));

    // Without a length, as long as somebody reads.
    let endless = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", endless.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = endless.accept().await.unwrap();
        stream.read_buf(&mut Vec::new()).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 100]).await.is_ok() {}
    });
    assert_eq!(client.document(&url, &[]).await, Err(OutgoingError::TooLarge));
    server.await.expect("it sees that nobody reads any more");
}

#[tokio::test]
async fn whoever_does_not_answer_is_not_waited_for() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let client = Outgoing::new(&Options { timeout: Duration::from_millis(200), ..options(&["127.0.0.1"]) }).unwrap();
    assert_eq!(client.document(&url, &[]).await, Err(OutgoingError::TooSlow));
    drop(silent);
    assert!(matches!(client.document(&url, &[]).await, Err(OutgoingError::Unreachable(_))));
}

#[tokio::test]
async fn over_https_the_certificate_is_checked_against_the_authorities() {
    let folder = Folder::new();
    certificate(&folder);
    let site = Website::start_secure(&folder, |_| "here".into_response()).await;
    let pem = std::fs::read(folder.path("tls.crt")).unwrap();
    let trusting = Outgoing::new(&Options { extra_ca: Some(pem), ..options(&["127.0.0.1"]) }).unwrap();
    assert_eq!(trusting.document(&site.url, &[]).await.unwrap(), b"here");
    assert!(matches!(client(&["127.0.0.1"]).document(&site.url, &[]).await, Err(OutgoingError::Unreachable(_))));
    // Trusted, but private.
    let pem = std::fs::read(folder.path("tls.crt")).unwrap();
    let narrow = Outgoing::new(&Options { extra_ca: Some(pem), ..options(&[]) }).unwrap();
    assert_eq!(narrow.document(&site.url, &[]).await, Err(OutgoingError::Forbidden));
    // The extra authorities are checked when the client is made.
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(Outgoing::new(&Options { extra_ca: Some(pem.into()), ..options(&[]) }).is_err(), "{pem}");
    }
}

fn documents() -> Documents<String> {
    let read = |body: &[u8]| match std::str::from_utf8(body) {
        Ok("broken") | Err(_) => Err("broken".to_owned()),
        Ok(text) => Ok(text.to_owned()),
    };
    Documents::new(client(&["127.0.0.1"]), Kind { media_types: &[], life: Duration::from_secs(3_600), read })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + seconds)
}

#[tokio::test]
async fn a_document_is_fetched_once_while_it_is_believed() {
    let version = Arc::new(AtomicUsize::new(1));
    let now = version.clone();
    let site = Website::start(move |_| format!("version {}", now.load(Ordering::SeqCst)).into_response());
    let documents = documents();
    // Of many at once, one asks.
    let (a, b, c) =
        tokio::join!(documents.get(&site.url, at(0)), documents.get(&site.url, at(0)), documents.get(&site.url, at(0)));
    for answer in [a, b, c] {
        assert_eq!(*answer.unwrap(), "version 1");
    }
    version.store(2, Ordering::SeqCst);
    assert_eq!(*documents.get(&site.url, at(3_599)).await.unwrap(), "version 1");
    assert_eq!(site.asked(), 1);
    assert_eq!(*documents.get(&site.url, at(3_600)).await.unwrap(), "version 2");
    assert_eq!(site.asked(), 2);
}

#[tokio::test]
async fn a_document_that_lacks_something_is_fetched_again_but_not_as_often_as_strangers_like() {
    let version = Arc::new(AtomicUsize::new(1));
    let now = version.clone();
    let site = Website::start(move |_| match now.load(Ordering::SeqCst) {
        0 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        version => format!("version {version}").into_response(),
    });
    let documents = documents();
    let first = documents.get(&site.url, at(0)).await.unwrap();
    version.store(2, Ordering::SeqCst);
    let second = documents.newer(&site.url, &first, at(1)).await.unwrap();
    assert_eq!(*second, "version 2");
    version.store(3, Ordering::SeqCst);
    for _ in 0..100 {
        assert_eq!(*documents.newer(&site.url, &second, at(60)).await.unwrap(), "version 2");
    }
    assert_eq!(site.asked(), 2);
    // Who holds an older one gets the newer without a request.
    assert_eq!(*documents.newer(&site.url, &first, at(100)).await.unwrap(), "version 2");
    assert_eq!(site.asked(), 2);
    // When it fails, what was there is as good as before.
    version.store(0, Ordering::SeqCst);
    assert!(documents.newer(&site.url, &second, at(100)).await.is_err());
    assert_eq!(*documents.get(&site.url, at(101)).await.unwrap(), "version 2");
    assert_eq!(site.asked(), 3);
}

#[tokio::test]
async fn what_failed_is_not_tried_again_at_once() {
    let good = Arc::new(AtomicUsize::new(0));
    let now = good.clone();
    let site = Website::start(move |_| if now.load(Ordering::SeqCst) == 1 { "good" } else { "broken" }.into_response());
    let documents = documents();
    for second in [0, 1, 9] {
        let failed = documents.get(&site.url, at(second)).await;
        assert_eq!(failed, Err(OutgoingError::Document("broken".to_owned())));
    }
    assert_eq!(site.asked(), 1);
    good.store(1, Ordering::SeqCst);
    assert_eq!(*documents.get(&site.url, at(10)).await.unwrap(), "good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_goes_on_when_whoever_asked_hangs_up() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let release = gate.clone();
    let site = Website::start_slow(move |_| {
        let gate = gate.clone();
        async move {
            gate.notified().await;
            "slow".into_response()
        }
    });
    let documents = documents();
    let gone = tokio::time::timeout(Duration::from_millis(50), documents.get(&site.url, at(0))).await;
    assert!(gone.is_err());
    release.notify_one();
    assert_eq!(*documents.get(&site.url, at(0)).await.unwrap(), "slow");
    assert_eq!(site.asked(), 1);
}
