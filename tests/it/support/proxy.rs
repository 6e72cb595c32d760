//! A way to a server that can fall silent: nothing breaks, and nothing comes through any more.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Carries connections to a server, for as long as the test runs.
pub struct Proxy {
    words: Words,
    connections: Arc<Mutex<JoinSet<()>>>,
}

/// A connection on which these are said is silent from then on.
type Words = Arc<Mutex<Option<&'static str>>>;

impl Proxy {
    /// One in front of a database server, and the URL of the same database through it.
    pub async fn before(url: &str) -> (Self, String) {
        let (start, database) = url.rsplit_once('/').expect("the URL of a database");
        let (start, server) = start.rsplit_once('@').expect("a user and a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let through = format!("{start}@{}/{database}", listener.local_addr().expect("it is bound"));
        let this = Self { words: Words::default(), connections: Arc::default() };
        let (words, connections, server) = (this.words.clone(), this.connections.clone(), server.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let mut connections = connections.lock().unwrap();
                connections.spawn(carry(from_client, to_server, words.clone()));
                connections.spawn(carry(from_server, to_client, words.clone()));
            }
        });
        (this, through)
    }

    /// Silences each connection on which these words are said; `""` is in everything that is said.
    pub fn silence(&self, words: &'static str) {
        *self.words.lock().unwrap() = Some(words);
    }

    /// Whoever connects from now on is heard again.
    pub fn let_through(&self) {
        *self.words.lock().unwrap() = None;
    }

    /// Breaks all connections, without a word.
    pub fn cut(&self) {
        self.connections.lock().unwrap().abort_all();
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, words: Words) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let said = String::from_utf8_lossy(&buffer[..length]);
        if words.lock().unwrap().is_some_and(|words| said.contains(words)) {
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}
