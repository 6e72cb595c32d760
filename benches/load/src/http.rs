//! One HTTP/1.1 connection that is kept, written by hand: it shares the machine with the server, so it does nothing that
//! a measurement does not need.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer that takes longer is an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// Larger than any answer that is asked for.
const MAX_ANSWER: usize = 1024 * 1024;

pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    received: Vec<u8>,
    /// How often it was opened.
    pub opened: u64,
}

/// An answer, as it lies in the connection's buffer.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    pub status: u16,
    head: &'a [u8],
    pub body: &'a [u8],
}

/// Where an answer lies in the buffer; its head is all before its body.
struct Extent {
    status: u16,
    body: Range<usize>,
    /// The connection can be used again.
    keep: bool,
}

impl Answer<'_> {
    /// The values of a header, in its order.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        values(self.head, name)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        values(self.head, name).next()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(self.body).unwrap_or_default()
    }

    /// For the words of an error.
    pub fn excerpt(&self) -> String {
        self.text().chars().take(160).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

fn values<'a>(head: &'a [u8], name: &str) -> impl Iterator<Item = &'a str> {
    lines(head).filter_map(move |line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.strip_prefix(b":"))??;
        std::str::from_utf8(value.trim_ascii()).ok()
    })
}

/// Those after the first.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = memmem::find(head, b"\r\n").map_or(head.len(), |end| end + 2);
    std::iter::from_fn(move || {
        let rest = head.get(from..).filter(|rest| !rest.is_empty())?;
        let end = memmem::find(rest, b"\r\n").unwrap_or(rest.len());
        from += end + 2;
        Some(&rest[..end])
    })
}

impl Connection {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, received: Vec::with_capacity(16 * 1024), opened: 0 }
    }

    /// Sends one request, whole, and waits for its answer.
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        let exchanged = timeout(PATIENCE, self.exchange(request)).await;
        if !matches!(exchanged, Ok(Ok(Extent { keep: true, .. }))) {
            self.stream = None;
        }
        let Ok(extent) = exchanged else { bail!("no answer in {PATIENCE:?}") };
        let Extent { status, body, .. } = extent?;
        Ok(Answer { status, head: &self.received[..body.start], body: &self.received[body] })
    }

    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Extent> {
        // A server may close a connection that lay idle, just as we use it again.
        let was_open = self.stream.is_some();
        match self.attempt(request).await {
            Err(_) if was_open && self.received.is_empty() => {
                self.stream = None;
                self.attempt(request).await
            }
            read => read,
        }
    }

    async fn attempt(&mut self, request: &[u8]) -> anyhow::Result<Extent> {
        self.received.clear();
        let stream = match &mut self.stream {
            Some(stream) => stream,
            closed => {
                let stream = TcpStream::connect(self.address).await.context("the server cannot be reached")?;
                stream.set_nodelay(true)?;
                self.opened += 1;
                closed.insert(stream)
            }
        };
        stream.write_all(request).await.context("the connection broke")?;
        let mut reader = Reader { stream, received: &mut self.received };
        let head = reader.until(b"\r\n\r\n", 0).await? + 4;
        let lead = &reader.received[..head];
        let status = lead.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let status: u16 = status.context("not an HTTP answer")?;
        let keep =
            lead.starts_with(b"HTTP/1.1") && !values(lead, "connection").any(|v| v.eq_ignore_ascii_case("close"));
        let length = values(lead, "content-length").next().map(str::parse::<usize>).transpose()?;
        let chunked = values(lead, "transfer-encoding").any(|v| v.eq_ignore_ascii_case("chunked"));
        let end = match length {
            _ if status == 204 || status == 304 => head,
            _ if chunked => reader.dechunk(head).await?,
            Some(length) => reader.at_least(head + length).await?,
            None => reader.until_closed().await?,
        };
        Ok(Extent { status, body: head..end, keep: keep && (chunked || length.is_some() || end == head) })
    }
}

struct Reader<'a> {
    stream: &'a mut TcpStream,
    received: &'a mut Vec<u8>,
}

impl Reader<'_> {
    async fn more(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(self.received).await.context("the connection broke")?;
        ensure!(read != 0, "the server closed the connection within its answer");
        ensure!(self.received.len() <= MAX_ANSWER, "the answer is longer than {MAX_ANSWER} bytes");
        Ok(())
    }

    /// Where `what` begins, at or after `from`.
    async fn until(&mut self, what: &[u8], from: usize) -> anyhow::Result<usize> {
        loop {
            if let Some(at) = self.received.get(from..).and_then(|rest| memmem::find(rest, what)) {
                return Ok(from + at);
            }
            self.more().await?;
        }
    }

    async fn at_least(&mut self, end: usize) -> anyhow::Result<usize> {
        while self.received.len() < end {
            self.more().await?;
        }
        Ok(end)
    }

    async fn until_closed(&mut self) -> anyhow::Result<usize> {
        while self.stream.read_buf(self.received).await? != 0 {
            ensure!(self.received.len() <= MAX_ANSWER, "the answer is longer than {MAX_ANSWER} bytes");
        }
        Ok(self.received.len())
    }

    /// Takes the lengths out of a chunked body (RFC 9112 §7.1); what is left ends at the returned place.
    async fn dechunk(&mut self, head: usize) -> anyhow::Result<usize> {
        let (mut end, mut at) = (head, head);
        loop {
            let line = self.until(b"\r\n", at).await?;
            let size = std::str::from_utf8(&self.received[at..line])?.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size.trim(), 16).context("a chunk without a length")?;
            let data = line + 2;
            self.at_least(data + size + 2).await?;
            self.received.copy_within(data..data + size, end);
            end += size;
            at = data + size + 2;
            if size == 0 {
                return Ok(end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What a client makes of one answer, sent in pieces as a network might.
    async fn read(answer: &'static [u8], piece: usize) -> anyhow::Result<(u16, String, Vec<String>, bool)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::new(listener.local_addr().unwrap());
        let server = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 64];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            for piece in answer.chunks(piece) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let client = async {
            let answer = connection.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await?;
            let cookies = answer.headers("Set-Cookie").map(str::to_owned).collect();
            Ok((answer.status, answer.text().to_owned(), cookies))
        };
        let ((), read): ((), anyhow::Result<_>) = tokio::join!(server, client);
        read.map(|(status, body, cookies)| (status, body, cookies, connection.stream.is_some()))
    }

    #[tokio::test]
    async fn an_answer_is_read_however_it_is_cut() {
        let sized = b"HTTP/1.1 303 See Other\r\nset-cookie: a=1\r\nContent-Length: 5\r\nSET-COOKIE:b=2\r\n\r\nhello";
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n";
        let closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";
        for piece in [1, 3, 1000] {
            let cookies = vec!["a=1".to_owned(), "b=2".to_owned()];
            assert_eq!(read(sized, piece).await.unwrap(), (303, "hello".into(), cookies, true));
            assert_eq!(read(chunked, piece).await.unwrap(), (200, "hello".into(), vec![], true));
            assert_eq!(read(closing, piece).await.unwrap(), (200, "hello".into(), vec![], false));
        }
    }

    #[tokio::test]
    async fn half_an_answer_is_none() {
        for half in [&b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello"[..], b"HTTP/1.1 200 OK\r\ncontent-", b""] {
            assert!(read(half, 1000).await.is_err());
        }
    }
}
