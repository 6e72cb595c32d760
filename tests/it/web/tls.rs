//! https by the server itself.

use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::Folder;
use crate::support::process::Process;
use crate::support::website::certificate;

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
            format!("openssl s_client -connect {address} -cipher ALL:@SECLEVEL=0 {version} </dev/null 2>/dev/null");
        let done = Command::new("sh").args(["-c", &command]).output().unwrap();
        String::from_utf8_lossy(&done.stdout).contains("BEGIN CERTIFICATE")
    };
    // ASVS 12.1.1
    assert!(handshake("-tls1_2") && handshake("-tls1_3"));
    assert!(!handshake("-tls1") && !handshake("-tls1_1"));
    // FAPI 2.0 §5.2.2: of TLS 1.2 what has ephemeral keys and AES-GCM.
    let cipher = |name: &str| handshake(&format!("-tls1_2 -cipher {name}:@SECLEVEL=0"));
    assert!(cipher("ECDHE-ECDSA-AES128-GCM-SHA256") && cipher("ECDHE-ECDSA-AES256-GCM-SHA384"));
    assert!(!cipher("ECDHE-ECDSA-CHACHA20-POLY1305") && !cipher("ECDHE-ECDSA-AES128-SHA"));
}
