//! Logs: one event a line, to standard error.
//!
//! Whoever answers a request only puts its line behind the others; a thread writes all that there are, a hundred times a
//! second at most. A write for each was half of what an introspection cost. No line is dropped: while standard error takes
//! no more and a megabyte waits, everybody waits. The last hundredth of a second is lost with a process that is killed.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::Subscriber;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt as logs};

use crate::config::{Log, LogFormat};

/// How much may wait, in bytes.
const MOST: usize = 1024 * 1024;

/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(10);

/// Starts logging, until what it gives is dropped. A second call, as tests make it, keeps what the first one started.
///
/// # Errors
/// When the system has no thread left.
pub fn init(log: &Log) -> io::Result<Logging> {
    // The filter was checked when the configuration was read.
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = Lines::default();
    let writer = {
        let lines = lines.clone();
        move || lines.clone()
    };
    let started = match log.format {
        LogFormat::Text => text(filter, writer, io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logs().json().with_env_filter(filter).with_writer(writer).finish().try_init(),
    };
    drop(started);
    Logging::to(lines, io::stderr())
}

/// Lines that wait to be written. Cheap to clone.
#[derive(Clone, Default)]
struct Lines(Arc<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    is_over: bool,
}

/// Writes what still waits when it is dropped.
pub struct Logging {
    lines: Lines,
    /// `None` once it has ended.
    thread: Option<JoinHandle<()>>,
}

impl Logging {
    fn to(lines: Lines, to: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = lines.clone();
        let thread = thread::Builder::new().name("log".into()).spawn(move || writer.write_all_to(to))?;
        Ok(Self { lines, thread: Some(thread) })
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.lines.lock().is_over = true;
        self.lines.0.changed.notify_all();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, is_so: impl FnMut(&mut Waiting) -> bool) -> MutexGuard<'_, Waiting> {
        self.0.changed.wait_while(self.lock(), is_so).unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it is over, and nothing is left.
    fn write_all_to(&self, mut to: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut waiting = self.wait_while(|waiting| waiting.lines.is_empty() && !waiting.is_over);
            if waiting.lines.is_empty() {
                return;
            }
            if !waiting.is_over {
                drop(waiting);
                thread::sleep(GATHER);
                waiting = self.lock();
            }
            mem::swap(&mut waiting.lines, &mut lines);
            drop(waiting);
            self.0.changed.notify_all();
            // There is nobody left to tell.
            let _ = to.write_all(&lines);
            let _ = to.flush();
            lines.clear();
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.wait_while(|waiting| waiting.lines.len() > MOST && !waiting.is_over);
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    fn every_line_is_written_whole_and_in_order() {
        let kept = Kept::default();
        let lines = Lines::default();
        let logging = Logging::to(lines.clone(), kept.clone()).unwrap();
        thread::scope(|scope| {
            for writer in 0..4 {
                let mut lines = lines.clone();
                scope.spawn(move || {
                    (0..5_000).for_each(|n| {
                        lines.write_all(format!("{writer} {n} {}\n", "x".repeat(100)).as_bytes()).unwrap()
                    })
                });
            }
        });
        drop(logging);
        let written = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 20_000);
        for writer in 0..4 {
            let own = written.lines().filter_map(|line| line.strip_prefix(&format!("{writer} ")));
            let numbers = own.map(|line| line.trim_end_matches('x').trim().parse::<usize>().unwrap());
            assert!(numbers.eq(0..5_000));
        }
    }

    #[test]
    fn starting_twice_is_harmless() {
        let _first = init(&Log { filter: "error".into(), ..Log::default() }).unwrap();
        let _second = init(&Log { format: LogFormat::Json, ..Log::default() }).unwrap();
    }
}
