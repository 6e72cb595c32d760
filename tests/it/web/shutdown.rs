//! How the real binary starts and stops.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::{Folder, http_client};
use crate::support::process::{Process, free_port};

fn address(url: &str) -> String {
    url.replace("http://localhost", "127.0.0.1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_the_request_in_flight_and_ends_in_order() {
    let folder = Folder::new();
    let (process, url) = Process::serve(&folder, &[], &[]).await;
    let body = "grant_type=client_credentials&client_id=nobody";
    let (first, rest) = body.split_at(20);

    let mut slow = TcpStream::connect(address(&url)).await.unwrap();
    // The interim answer says that the handler waits for the body (RFC 9110 §10.1.1).
    let head = format!(
        "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    slow.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    slow.write_all(first.as_bytes()).await.unwrap();
    // A connection on which nobody asks anything does not hold it up.
    let mut idle = TcpStream::connect(address(&url)).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut some = [0; 12];
    idle.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 200");

    process.terminate();
    process.says("stopping").await;
    crate::support::app::eventually("nobody new is let in", || async {
        TcpStream::connect(address(&url)).await.is_err()
    })
    .await;
    slow.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("invalid_client"), "{answer}");
    let (code, log) = process.ended().await;
    assert_eq!(code, 0, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_by_one_process_goes_on_in_the_next() {
    let folder = Folder::new();
    let (process, url) = Process::serve(&folder, &[], &[]).await;
    let jwks =
        async |url: &str| http_client().get(format!("{url}/oauth/jwks")).send().await.unwrap().text().await.unwrap();
    let keys = jwks(&url).await;
    process.terminate();
    assert_eq!(process.ended().await.0, 0);
    let (process, url) = Process::serve(&folder, &[], &[]).await;
    assert_eq!(jwks(&url).await, keys, "the signing keys are kept");
    process.terminate();
    assert_eq!(process.ended().await.0, 0);
}

/// Each is told on standard error in words, with the key to change, and ends with exit code 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_it_from_starting_is_told_with_its_key() {
    let folder = Folder::new();
    fs::write(folder.path("typo.toml"), "[server]\nlistne = \"127.0.0.1:0\"\n").unwrap();
    fs::write(folder.path("section.toml"), "[sevrer]\n").unwrap();
    fs::write(folder.path("value.toml"), "[tokens]\naccess_token_lifetime = \"2h\"\n").unwrap();
    fs::write(folder.path("broken.toml"), "[server\n").unwrap();
    fs::write(folder.path("half.pem"), "no certificate").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = format!("127.0.0.1:{}", free_port());
    for (arguments, environment, words) in [
        (&["--config", "typo.toml"][..], &[][..], "server.listne"),
        (&["--config", "section.toml"], &[], "sevrer"),
        (&["--config", "value.toml"], &[], "tokens.access_token_lifetime"),
        (&["--config", "broken.toml"], &[], "broken.toml:1"),
        (&[], &[("GRANTOR__SERVER__LISTNE", "127.0.0.1:0")], "GRANTOR__SERVER__LISTNE"),
        (&["--listen", &taken], &[], "server.listen"),
        (&["--issuer", "http://auth.example"], &[], "server.allow_insecure_issuer = true"),
        (&["--issuer", "https://auth.example/?x"], &[], "server.issuer"),
        (&["--listen", "0.0.0.0:8080"], &[], "server.issuer"),
        (&["--tls-cert", "half.pem"], &[], "tls.key"),
        (&["--listen", &free, "--tls-cert", "half.pem", "--tls-key", "half.pem"], &[], "tls.cert"),
        (&["--listen", &free, "--data-dir", "/proc/grantor"], &[], "/proc/grantor"),
        (&["--listen", &free, "--data-dir", "typo.toml"], &[], "typo.toml is not a directory"),
    ] {
        let process = Process::start(&folder, &[&["serve"], arguments].concat(), environment);
        let (code, err) = process.ended().await;
        assert_eq!(code, 1, "{arguments:?}: {err}");
        assert!(err.contains(words), "{words:?} is not in: {err}");
        assert!(!err.contains("panicked") && !err.contains("Error("), "{err}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_that_cannot_be_written_stops_the_start() {
    // Nothing is closed to the superuser.
    let folder = Folder::new();
    fs::create_dir(folder.path("data")).unwrap();
    fs::set_permissions(folder.path("data"), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.path("data/probe"), "").is_ok() {
        fs::remove_file(folder.path("data/probe")).unwrap();
        fs::remove_dir(folder.path("data")).unwrap();
        std::os::unix::fs::symlink("/proc/self", folder.path("data")).unwrap();
    }
    let listen = format!("127.0.0.1:{}", free_port());
    let (code, err) = Process::start(&folder, &["serve", "--listen", &listen], &[]).ended().await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("data"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_issuer_without_https_must_be_allowed_by_name() {
    let folder = Folder::new();
    let listen = format!("127.0.0.1:{}", free_port());
    let arguments = ["serve", "--listen", &listen, "--issuer", "http://auth.example"];
    let process = Process::start(&folder, &arguments, &[("GRANTOR__SERVER__ALLOW_INSECURE_ISSUER", "true")]);
    process.says("ready").await;
    let metadata = http_client().get(format!("http://{listen}/.well-known/openid-configuration")).send().await.unwrap();
    assert_eq!(metadata.json::<serde_json::Value>().await.unwrap()["issuer"], "http://auth.example");
    process.terminate();
    assert_eq!(process.ended().await.0, 0);
}
