//! When the next request is due: at once when the last was answered, or at its place in a fixed rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};

/// Warm-up until `begin`, measured until `end`.
#[derive(Clone, Copy)]
pub struct Window {
    pub begin: Instant,
    pub end: Instant,
}

/// Where workers wait for their next request.
#[derive(Clone)]
pub enum Pace {
    /// Closed loop: the server's pace. A slow answer keeps the requests behind it from being sent, so its latencies
    /// tell nothing of what a user would wait.
    Closed,
    /// Open loop: each request has its time, whether or not a connection is free then.
    Open(Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>),
}

/// How long requests that were due within the window may take after it.
pub const OVERTIME: Duration = Duration::from_secs(10);

impl Pace {
    /// From when the next request's latency counts; `None` when it is over.
    pub async fn next(&self, window: Window) -> Option<Instant> {
        let now = Instant::now();
        match self {
            Self::Closed => (now < window.end).then_some(now),
            Self::Open(due) => {
                let due = due.lock().await.recv().await?;
                (Instant::now() < window.end + OVERTIME).then_some(due)
            }
        }
    }

    /// How many were due and never sent.
    pub async fn never_sent(&self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Open(due) => due.lock().await.len() as u64,
        }
    }

    /// So many requests a second, evenly, from now until the window's end.
    pub fn open(rate: f64, window: Window) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let start = Instant::now();
        // A thread, because tokio's timers tell no less than milliseconds.
        std::thread::spawn(move || {
            for count in 0_u64.. {
                let due = start + Duration::from_secs_f64(count as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if due >= window.end || sender.send(due).is_err() {
                    break;
                }
            }
        });
        Self::Open(Arc::new(Mutex::new(receiver)))
    }
}
