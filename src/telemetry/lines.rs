//! Lines on their way to standard error.
//!
//! Whoever answers a request only puts its line behind the others; a thread writes all that there are, a hundred times a
//! second at most. A write for each was half of what an introspection cost. No line is dropped: while standard error takes
//! no more and a megabyte waits, everybody waits. The last hundredth of a second is lost with a process that is killed.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How much may wait, in bytes.
const MOST: usize = 1024 * 1024;

/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(10);

/// Lines that wait to be written. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Queue>);

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
    pub(super) fn to(lines: Lines, to: impl Write + Send + 'static) -> io::Result<Self> {
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

    /// Puts a line behind the others.
    pub(super) fn push(&self, line: &str) {
        let mut waiting = self.wait_while(|waiting| waiting.lines.len() > MOST && !waiting.is_over);
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line.as_bytes());
        drop(waiting);
        if is_first {
            self.0.changed.notify_all();
        }
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
    fn every_line_is_written_whole_and_in_order() {
        let kept = Kept::default();
        let lines = Lines::default();
        let logging = Logging::to(lines.clone(), kept.clone()).unwrap();
        thread::scope(|scope| {
            for writer in 0..4 {
                let lines = lines.clone();
                scope.spawn(move || {
                    (0..5_000).for_each(|n| lines.push(&format!("{writer} {n} {}\n", "x".repeat(100))));
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
}
