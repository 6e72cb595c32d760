//! Somebody else's server, from which ours fetches.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum_server::tls_rustls::RustlsConfig;
use tokio::task::JoinHandle;

use super::app::Folder;

/// A server on loopback that answers everything in one way, and counts.
pub struct Website {
    pub url: String,
    asked: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Website {
    /// Over http.
    pub fn start(answer: impl Fn(Request) -> Response + Clone + Send + Sync + 'static) -> Self {
        Self::start_slow(move |request| std::future::ready(answer(request)))
    }

    /// Over http, by somebody who may wait before they answer.
    pub fn start_slow<F: Future<Output = Response> + Send + 'static>(
        answer: impl Fn(Request) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let (listener, port) = listen();
        let (router, asked) = router(answer);
        let server = tokio::spawn(async move {
            let server = axum_server::from_tcp(listener).expect("it listens");
            server.serve(router.into_make_service()).await.expect("it serves");
        });
        Self { url: format!("http://127.0.0.1:{port}"), asked, server }
    }

    /// Over https, with the certificate in a folder.
    pub async fn start_secure(
        folder: &Folder,
        answer: impl Fn(Request) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (listener, port) = listen();
        let (router, asked) = router(move |request| std::future::ready(answer(request)));
        let tls = RustlsConfig::from_pem_file(folder.path("tls.crt"), folder.path("tls.key")).await;
        let tls = tls.expect("there is a certificate");
        let server = tokio::spawn(async move {
            let server = axum_server::from_tcp_rustls(listener, tls).expect("it listens");
            server.serve(router.into_make_service()).await.expect("it serves");
        });
        Self { url: format!("https://localhost:{port}"), asked, server }
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Website {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

fn router<F: Future<Output = Response> + Send + 'static>(
    answer: impl Fn(Request) -> F + Clone + Send + Sync + 'static,
) -> (Router, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let handler = move |request: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        answer(request)
    };
    (Router::new().fallback(handler), asked)
}

/// A certificate for localhost that nobody else trusts: `tls.crt` and `tls.key`.
pub fn certificate(folder: &Folder) {
    openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
         -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
         -keyout tls.key -out tls.crt",
    );
}

/// Runs openssl there; no argument has a space in it.
pub fn openssl(folder: &Folder, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split_whitespace()).current_dir(&folder.0).output();
    let made = made.expect("openssl: install Debian's `openssl`, or run scripts/test");
    assert!(made.status.success(), "{arguments}\n{}", String::from_utf8_lossy(&made.stderr));
}
