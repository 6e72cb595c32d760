//! Logs: one event a line, to standard error.
//!
//! A thread of its own writes them, all that wait in one go: whoever answers a request does not wait for a pipe or a disk,
//! unless eight thousand lines are waiting already. None is dropped. The last few are lost with a process that is killed.

use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, IsTerminal};

use tracing::Subscriber;
use tracing::field::Field;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt as logs};

use crate::config::{Log, LogFormat};

/// How many lines may wait.
const LINES: usize = 8_192;

/// How many bytes are written in one go at most.
const CHUNK: usize = 64 * 1024;

/// Writes what still waits when it is dropped.
#[must_use]
pub struct Logging(#[allow(dead_code, reason = "it is dropped")] WorkerGuard);

/// Starts logging, until what it gives is dropped. A second call, as tests make it, keeps what the first one started.
pub fn init(log: &Log) -> Logging {
    // The filter was checked when the configuration was read.
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let (writer, guard) = beside();
    let started = match log.format {
        LogFormat::Text => text(filter, writer, io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logs().json().with_env_filter(filter).with_writer(writer).finish().try_init(),
    };
    drop(started);
    Logging(guard)
}

/// What it is given is written when there is nothing more to write, or a chunk of it.
fn beside() -> (NonBlocking, WorkerGuard) {
    let builder = NonBlockingBuilder::default().lossy(false).buffered_lines_limit(LINES).thread_name("log");
    builder.finish(BufWriter::with_capacity(CHUNK, io::stderr()))
}

/// The text format, in which no value can end its line and pretend to be the next (ASVS 16.4.1).
fn text<W>(filter: EnvFilter, writer: W, ansi: bool) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let fields = debug_fn(|writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        match field.name() {
            "message" => {}
            name => write!(writer, "{name}=")?,
        }
        write!(Escaped(writer), "{value:?}")
    });
    logs().with_ansi(ansi).with_env_filter(filter).fmt_fields(fields.delimited(" ")).with_writer(writer).finish()
}

/// Writes control characters as Rust's escapes.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.contains(char::is_control) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|c| match c {
            c if c.is_control() => write!(self.0, "{}", c.escape_default()),
            c => self.0.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_it_says() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = text(EnvFilter::new("info"), move || writer.clone(), false);
        tracing::subscriber::with_default(subscriber, || {
            let name = "ada\n2026-01-01 INFO \u{1b}[31mforged";
            tracing::info!(display = %name, debug = ?name, text = name, count = 3, "hello {name}");
            tracing::debug!("not this");
        });
        let written = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 1, "{written}");
        assert!(!written.contains('\u{1b}'), "{written}");
        let forged = r"ada\n2026-01-01 INFO \u{1b}[31mforged";
        assert!(
            written
                .ends_with(&format!("hello {forged} display={forged} debug=\"{forged}\" text=\"{forged}\" count=3\n")),
            "{written}"
        );
    }

    #[test]
    fn starting_twice_is_harmless() {
        let _first = init(&Log { filter: "error".into(), ..Log::default() });
        let _second = init(&Log { format: LogFormat::Json, ..Log::default() });
    }
}
