//! An event as a line: text for people, JSON for machines.
//!
//! tracing-subscriber's own formats need a span for what all lines of a request have in common, and that was a tenth of
//! an introspection.

use std::cell::Cell;
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::Context;

use super::lines::Lines;
use super::request::{self, Request};
use crate::config::LogFormat;

pub(super) struct Format {
    pub lines: Lines,
    pub kind: LogFormat,
    /// For a terminal.
    pub colours: bool,
}

thread_local! {
    /// The memory of this thread's last line, for its next.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

impl<S: Subscriber> Layer<S> for Format {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = LINE.take();
        line.clear();
        let written = match self.kind {
            LogFormat::Text => text(&mut line, event, self.colours),
            LogFormat::Json => json(&mut line, event),
        };
        // Writing to memory fails only where a value will not be shown; then the rest of its line is better than none.
        if written.is_err() || !line.ends_with('\n') {
            line.push('\n');
        }
        self.lines.push(&line);
        LINE.set(line);
    }
}

/// `2026-11-22T10:00:00.000000Z  INFO grantor::web: answered status=200 correlation_id=… peer=…`
fn text(line: &mut String, event: &Event<'_>, colours: bool) -> fmt::Result {
    SystemTime.format_time(&mut Writer::new(line))?;
    let level = event.metadata().level();
    if colours {
        write!(line, " \u{1b}[{}m{level:>5}\u{1b}[0m", colour(*level))?;
    } else {
        write!(line, " {level:>5}")?;
    }
    write!(line, " {}:", event.metadata().target())?;
    event.record(&mut Text(line));
    if let Some(Request { id, peer }) = request::current() {
        write!(line, " correlation_id={id}")?;
        peer.map_or(Ok(()), |peer| write!(line, " peer={peer}"))?;
    }
    line.write_char('\n')
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "31",
        Level::WARN => "33",
        Level::INFO => "32",
        _ => "2",
    }
}

/// Fields as `name=value`, in which no value can end its line and pretend to be the next (ASVS 16.4.1).
struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push(' ');
        if field.name() != "message" {
            self.0.push_str(field.name());
            self.0.push('=');
        }
        // A value that will not be shown leaves its name.
        let _ = write!(Escaped(self.0), "{value:?}");
    }
}

/// Writes control characters as Rust's escapes.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
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

/// One object, its fields beside the time, the level and the target.
fn json(line: &mut String, event: &Event<'_>) -> fmt::Result {
    line.push_str("{\"timestamp\":\"");
    SystemTime.format_time(&mut Writer::new(line))?;
    write!(line, "\",\"level\":\"{}\"", event.metadata().level())?;
    let mut members = Json(line);
    members.add("target", event.metadata().target().into());
    event.record(&mut members);
    if let Some(Request { id, peer }) = request::current() {
        members.add("correlation_id", id.as_str().into());
        if let Some(peer) = peer {
            members.add("peer", peer.to_string().into());
        }
    }
    line.write_str("}\n")
}

/// Fields as the members of an object that was begun.
struct Json<'a>(&'a mut String);

impl Json<'_> {
    fn add(&mut self, name: &str, value: serde_json::Value) {
        let name = serde_json::Value::from(name);
        // Nothing is written but text, to memory.
        let _ = write!(self.0, ",{name}:{value}");
    }
}

impl Visit for Json<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.add(field.name(), text.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::lines::Logging;
    use super::super::request::{RequestIds, within};
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

    /// What is written of what `logs` says.
    fn written(kind: LogFormat, logs: impl FnOnce()) -> String {
        let (kept, lines) = (Kept::default(), Lines::default());
        let logging = Logging::to(lines.clone(), kept.clone()).unwrap();
        let subscriber = tracing_subscriber::registry().with(EnvFilter::new("info"));
        tracing::subscriber::with_default(subscriber.with(Format { lines, kind, colours: false }), logs);
        drop(logging);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn forge() {
        let name = "ada\n2026-01-01 INFO \u{1b}[31mforged";
        tracing::info!(display = %name, debug = ?name, text = name, count = 3, right = true, "hello {name}");
        tracing::debug!("not this");
    }

    #[test]
    fn an_event_is_one_line_whatever_it_says() {
        let written = written(LogFormat::Text, forge);
        assert_eq!(written.lines().count(), 1, "{written}");
        assert!(!written.contains('\u{1b}'), "{written}");
        let forged = r"ada\n2026-01-01 INFO \u{1b}[31mforged";
        let fields = format!("display={forged} debug=\"{forged}\" text=\"{forged}\" count=3 right=true\n");
        assert!(written.ends_with(&format!(" INFO {}: hello {forged} {fields}", module_path!())), "{written}");
    }

    #[test]
    fn an_event_is_one_object_whatever_it_says() {
        let written = written(LogFormat::Json, forge);
        assert_eq!(written.lines().count(), 1, "{written}");
        let mut event: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert!(event["timestamp"].take().as_str().unwrap().ends_with('Z'));
        let name = "ada\n2026-01-01 INFO \u{1b}[31mforged";
        assert_eq!(
            event,
            json!({ "timestamp": null, "level": "INFO", "target": module_path!(), "message": format!("hello {name}"),
                "display": name, "debug": format!("{name:?}"), "text": name, "count": 3, "right": true })
        );
    }

    #[test]
    fn the_lines_of_a_request_say_whose_they_are() {
        let request = Request { id: RequestIds::from(1).next(), peer: Some([192, 0, 2, 7].into()) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let logs = || runtime.block_on(within(request, async { tracing::warn!("there") }));
        let end = format!("there correlation_id={} peer=192.0.2.7\n", request.id);
        let text = written(LogFormat::Text, logs);
        assert!(text.ends_with(&end), "{text}");
        let logs = || runtime.block_on(within(request, async { tracing::warn!("there") }));
        let event: serde_json::Value = serde_json::from_str(&written(LogFormat::Json, logs)).unwrap();
        assert_eq!((&event["correlation_id"], &event["peer"]), (&json!(request.id.as_str()), &json!("192.0.2.7")));
    }
}
