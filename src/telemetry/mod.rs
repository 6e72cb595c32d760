//! Logs: one event a line, to standard error.
//!
//! | file | |
//! |---|---|
//! | `request` | what every line of a request says of it |
//! | `format` | an event as a line |
//! | `lines` | the way of a line to standard error |

mod format;
mod lines;
mod request;

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use lines::Logging;
pub use request::{Request, RequestIds, correlation_id, within};

use crate::config::Log;
use format::Format;
use lines::Lines;

/// Starts logging, until what it gives is dropped. A second call, as tests make it, keeps what the first one started.
///
/// # Errors
/// When the system has no thread left.
pub fn init(log: &Log) -> io::Result<Logging> {
    // The filter was checked when the configuration was read.
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = Lines::default();
    let format = Format { lines: lines.clone(), kind: log.format, colours: io::stderr().is_terminal() };
    drop(tracing_subscriber::registry().with(filter).with(format).try_init());
    Logging::to(lines, io::stderr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;

    #[test]
    fn starting_twice_is_harmless() {
        let _first = init(&Log { filter: "error".into(), ..Log::default() }).unwrap();
        let _second = init(&Log { format: LogFormat::Json, ..Log::default() }).unwrap();
    }
}
