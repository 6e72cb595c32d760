//! https by the server itself.

use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::Folder;
use crate::support::process::Process;

/// A certificate for localhost that nobody else trusts.
fn certificate(folder: &Folder) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "tls.key", "-out", "tls.crt"])
        .current_dir(&folder.0)
        .output();
    let made = made.expect("openssl: install Debian's `openssl`, or run scripts/test");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_it_speaks_https_and_nothing_else() {
    let folder = Folder::new();
    certificate(&folder);
    let (process, url) = Process::serve(&folder, &["--tls-cert", "tls.crt", "--tls-key", "tls.key"], &[]).await;
    assert!(url.starts_with("https://"));

    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(&std::fs::read(folder.path("tls.crt")).unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).timeout(Duration::from_secs(30)).build().unwrap();
    let answer = client.get(format!("{url}/.well-known/openid-configuration")).send().await.unwrap();
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    let metadata: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(metadata["issuer"], url);
    let page = client.get(format!("{url}/sign-in")).send().await.unwrap();
    let cookie = page.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-") && cookie.contains("Secure"), "{cookie}");

    // Plain http gets no answer of ours.
    let mut plain = TcpStream::connect(url.replace("https://localhost", "127.0.0.1")).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said).await;
    assert!(!String::from_utf8_lossy(&said).contains("HTTP/1.1 200"), "{said:?}");

    process.terminate();
    assert_eq!(process.ended().await.0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_protocol_is_not_spoken() {
    let folder = Folder::new();
    certificate(&folder);
    let (_process, url) = Process::serve(&folder, &["--tls-cert", "tls.crt", "--tls-key", "tls.key"], &[]).await;
    let address = url.replace("https://localhost", "127.0.0.1");
    let handshake = |version: &str| {
        let command =
            format!("openssl s_client -connect {address} {version} -cipher ALL:@SECLEVEL=0 </dev/null 2>/dev/null");
        let done = Command::new("sh").args(["-c", &command]).output().unwrap();
        String::from_utf8_lossy(&done.stdout).contains("BEGIN CERTIFICATE")
    };
    // ASVS 12.1.1
    assert!(handshake("-tls1_2") && handshake("-tls1_3"));
    assert!(!handshake("-tls1") && !handshake("-tls1_1"));
}
