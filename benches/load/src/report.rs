//! What was measured, and how it is told.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::pace::Window;

/// What takes longer counts as this.
const LONGEST_MICROS: u64 = 120_000_000;

/// Counts answers as they come.
pub struct Tally {
    window: Window,
    open: bool,
    /// Of right answers, in microseconds.
    latencies: Histogram<u64>,
    /// Right answers that came within the window, in an open loop those included that were due before it.
    within: u64,
    /// What went wrong, and how often.
    errors: BTreeMap<String, u64>,
}

impl Tally {
    pub fn new(window: Window, open: bool) -> anyhow::Result<Self> {
        Ok(Self {
            window,
            open,
            latencies: Histogram::new_with_bounds(1, LONGEST_MICROS, 3)?,
            within: 0,
            errors: BTreeMap::new(),
        })
    }

    /// `from` is when the request was due, or in a closed loop was sent.
    pub fn count(&mut self, from: Instant, outcome: anyhow::Result<()>) {
        let now = Instant::now();
        let Window { begin, end } = self.window;
        let came_within = (begin..=end).contains(&now);
        // A request that was due within the window counts however late its answer comes: to leave it out would be to
        // time only what was fast.
        let is_timed = if self.open { from >= begin } else { came_within };
        match outcome {
            Ok(()) => {
                self.within += u64::from(came_within);
                if is_timed {
                    let micros = u64::try_from(now.duration_since(from).as_micros()).unwrap_or(u64::MAX);
                    self.latencies.saturating_record(micros);
                }
            }
            Err(why) => self.fail(format!("{why:#}"), u64::from(is_timed || came_within)),
        }
    }

    pub fn fail(&mut self, why: String, times: u64) {
        // What differs in every answer, as a reference number does, must not fill the report.
        let why = if self.errors.len() < 8 || self.errors.contains_key(&why) { why } else { "others".to_owned() };
        if times > 0 {
            *self.errors.entry(why).or_default() += times;
        }
    }

    /// What has been answered so far.
    fn answers(&self) -> u64 {
        self.within + self.errors.values().sum::<u64>()
    }
}

/// Processor time that went by within the window.
#[derive(Clone, Copy)]
pub struct Used {
    pub server: Option<Duration>,
    pub database: Option<Duration>,
    pub generator: Duration,
}

/// What the command line asked for.
#[derive(Clone, Serialize)]
pub struct Setup {
    pub operation: String,
    pub url: String,
    pub connections: usize,
    pub seconds: f64,
    /// Requests a second; none in a closed loop.
    pub rate_asked: Option<f64>,
}

#[derive(Serialize)]
pub struct Report {
    #[serde(flatten)]
    setup: Setup,
    /// Right answers a second.
    rate: f64,
    answers: u64,
    errors: u64,
    error_kinds: BTreeMap<String, u64>,
    latency_ms: Latency,
    cpu_micros: CpuMicros,
    connections_opened: u64,
    tokens: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Latency {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

/// A request.
#[derive(Serialize)]
struct CpuMicros {
    server: Option<f64>,
    database: Option<f64>,
    generator: f64,
}

impl Report {
    pub fn new(setup: Setup, tally: &Tally, used: Used) -> Self {
        let at = |quantile| tally.latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        let answers = tally.answers();
        let each = |time: Duration| time.as_secs_f64() * 1e6 / answers.max(1) as f64;
        Self {
            rate: tally.within as f64 / setup.seconds,
            answers,
            errors: tally.errors.values().sum(),
            error_kinds: tally.errors.clone(),
            latency_ms: Latency { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) },
            cpu_micros: CpuMicros {
                server: used.server.map(each),
                database: used.database.map(each),
                generator: each(used.generator),
            },
            connections_opened: 0,
            tokens: BTreeMap::new(),
            setup,
        }
    }

    /// What the workers can tell.
    pub fn with(mut self, connections_opened: u64, tokens: BTreeMap<&'static str, String>) -> Self {
        self.connections_opened = connections_opened;
        self.tokens = tokens;
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { operation, url, connections, seconds, rate_asked } = &self.setup;
        writeln!(f, "{operation} at {url}, {connections} connections, {seconds} s")?;
        match rate_asked {
            Some(rate) => writeln!(f, "  open loop, {rate}/s asked: latency counts from when a request was due")?,
            None => writeln!(f, "  closed loop, as fast as it goes: what a user would wait is not in the latencies")?,
        }
        writeln!(f, "  rate     {:.1}/s", self.rate)?;
        let Latency { p50, p95, p99, max } = self.latency_ms;
        writeln!(f, "  latency  p50 {p50:.2} ms, p95 {p95:.2} ms, p99 {p99:.2} ms, max {max:.2} ms")?;
        let mut cpu = String::new();
        for (who, micros) in [("server", self.cpu_micros.server), ("database", self.cpu_micros.database)] {
            if let Some(micros) = micros {
                write!(cpu, "{who} {micros:.0} µs, ")?;
            }
        }
        writeln!(f, "  CPU      {cpu}generator {:.0} µs a request", self.cpu_micros.generator)?;
        writeln!(f, "  errors   {}", self.errors)?;
        for (why, times) in &self.error_kinds {
            writeln!(f, "    {times} x {why}")?;
        }
        for (what, kind) in &self.tokens {
            writeln!(f, "  {what}: {kind}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_to_a_request_that_was_due_counts_with_all_that_it_took() {
        let now = Instant::now();
        let window = Window { begin: now - Duration::from_secs(5), end: now - Duration::from_secs(1) };
        let mut open = Tally::new(window, true).unwrap();
        open.count(now - Duration::from_secs(6), Ok(()));
        open.count(now - Duration::from_secs(3), Ok(()));
        assert_eq!((open.latencies.len(), open.within), (1, 0));
        assert!(open.latencies.max() >= 3_000_000);

        let mut closed = Tally::new(window, false).unwrap();
        closed.count(now - Duration::from_secs(3), Ok(()));
        assert_eq!(closed.latencies.len(), 0);
    }

    #[test]
    fn errors_are_counted_by_kind_and_not_timed() {
        let now = Instant::now();
        let window = Window { begin: now - Duration::from_secs(1), end: now + Duration::from_secs(60) };
        let mut tally = Tally::new(window, false).unwrap();
        for number in 0..20 {
            tally.count(now, Err(anyhow::anyhow!("number {number}")));
        }
        assert_eq!(tally.latencies.len(), 0);
        assert_eq!((tally.errors.len(), tally.errors["others"], tally.answers()), (9, 12, 20));
    }
}
