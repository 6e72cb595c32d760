//! Threads for work that keeps a core busy: they come with the work, and go when there is none.
//!
//! A thread that is started and ended for each piece takes, for its stack and its memory, the lock of the address space
//! that everybody's allocator needs too. So a thread stays for the next piece, and keeps its memory for it.

use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a thread waits for work before it gives its memory back, and then before it ends. Longer than the allocator's
/// own patience (mimalloc, `purge_delay`: a second), or what is given back would stay with the allocator.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// A piece of work, and the memory that the thread keeps for it.
pub(super) type Work<M> = Box<dyn FnOnce(&mut M) + Send>;

/// So many threads, and a queue before them. Cheap to clone; the clones share them.
pub(super) struct Threads<M>(Arc<Shared<M>>);

struct Shared<M> {
    state: Mutex<State<M>>,
    changed: Condvar,
    most: usize,
}

struct State<M> {
    waiting: VecDeque<Work<M>>,
    threads: usize,
    /// Of those, the ones that wait for work.
    idle: usize,
    /// And the ones that do some.
    working: usize,
}

impl<M: Default + 'static> Threads<M> {
    pub(super) fn new(most: usize) -> Self {
        let state = State { waiting: VecDeque::new(), threads: 0, idle: 0, working: 0 };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), most }))
    }

    /// How many pieces are being worked on, and how many wait.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.working, state.waiting.len())
    }

    /// Has it done when it is its turn. Whoever calls bounds how much waits.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(super) fn run(&self, work: Work<M>) -> io::Result<()> {
        let mut state = self.0.lock();
        state.waiting.push_back(work);
        if state.idle >= state.waiting.len() {
            self.0.changed.notify_one();
        } else if state.threads < self.0.most {
            let shared = self.0.clone();
            // Under the lock: nobody else counts on a thread that does not come.
            match thread::Builder::new().name("password".into()).spawn(move || shared.serve()) {
                Ok(_) => state.threads += 1,
                // One that is there will come to it.
                Err(_) if state.threads > 0 => {}
                Err(error) => {
                    state.waiting.pop_back();
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl<M: Default> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let_others_go_first();
        let mut memory = M::default();
        let mut keeps_memory = false;
        loop {
            match self.next(!keeps_memory) {
                // One that panics takes nothing along but its memory.
                Some(work) => {
                    keeps_memory = panic::catch_unwind(AssertUnwindSafe(|| work(&mut memory))).is_ok();
                    if !keeps_memory {
                        memory = M::default();
                    }
                    self.lock().working -= 1;
                }
                None if keeps_memory => {
                    memory = M::default();
                    keeps_memory = false;
                }
                None => return,
            }
        }
    }

    /// The next piece, if one comes soon; if none does and `is_over` then, the thread counts no more.
    fn next(&self, is_over: bool) -> Option<Work<M>> {
        let mut state = self.lock();
        state.idle += 1;
        let nothing = |state: &mut State<M>| state.waiting.is_empty();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        let work = state.waiting.pop_front();
        if work.is_some() {
            state.working += 1;
        } else if is_over {
            state.threads -= 1;
        }
        work
    }
}

impl<M> Clone for Threads<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> std::fmt::Debug for Threads<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Threads")
    }
}

/// How much less such a thread counts than one that answers: a thirtieth where both want the core, so that an answer is
/// not held up; and yet so much that people are let in while the cores are full. With 5, p99 of token requests beside a
/// crowd that signs in was four times what it is alone; with 15 it is within twice.
#[cfg(target_os = "linux")]
pub(super) const NICE: i32 = 15;

/// Gives this thread a lower priority: on a machine whose cores are all at work, a hash that has one would keep it for
/// milliseconds while a token request waits. Where the system refuses, all are equal.
fn let_others_go_first() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc;
    use std::thread::ThreadId;

    use super::*;

    /// Which thread did it, and how often it had worked with its memory before.
    fn ask(threads: &Threads<usize>) -> (ThreadId, usize) {
        let (tell, told) = mpsc::channel();
        let work = move |times: &mut usize| {
            tell.send((thread::current().id(), *times)).unwrap();
            *times += 1;
        };
        threads.run(Box::new(work)).unwrap();
        told.recv().unwrap()
    }

    #[test]
    fn a_thread_stays_for_the_next_piece_with_its_memory() {
        let threads = Threads::new(1);
        let (first, times) = ask(&threads);
        assert_eq!(times, 0);
        assert_eq!(ask(&threads), (first, 1));
        assert_eq!(ask(&threads), (first, 2));
    }

    #[test]
    fn there_are_never_more_threads_than_may_be() {
        let threads = Threads::<()>::new(2);
        let (started, starts) = mpsc::channel();
        let mut finish = Vec::new();
        for n in 0..5 {
            let (tell, told) = mpsc::channel::<()>();
            finish.push(tell);
            let started = started.clone();
            let work = move |_: &mut ()| {
                started.send(n).unwrap();
                told.recv().unwrap();
            };
            threads.run(Box::new(work)).unwrap();
        }
        let first_two = BTreeSet::from([starts.recv().unwrap(), starts.recv().unwrap()]);
        assert_eq!(first_two, BTreeSet::from([0, 1]));
        assert_eq!(threads.load(), (2, 3));
        assert!(starts.try_recv().is_err());
        // The others come in their order, each when a thread is free.
        for n in 2..5 {
            finish[n - 2].send(()).unwrap();
            assert_eq!(starts.recv().unwrap(), n);
        }
    }

    #[test]
    fn one_that_panics_leaves_the_thread_as_it_was() {
        let threads = Threads::<usize>::new(1);
        let (first, _) = ask(&threads);
        threads.run(Box::new(|_| panic!("on purpose"))).unwrap();
        assert_eq!(ask(&threads), (first, 0));
    }

    #[test]
    fn without_work_the_memory_goes_and_then_the_thread() {
        let threads = Threads::new(2);
        let (first, _) = ask(&threads);
        while Arc::strong_count(&threads.0) > 1 {
            thread::yield_now();
        }
        assert_eq!(threads.load(), (0, 0));
        let (second, times) = ask(&threads);
        assert!(first != second && times == 0);
    }
}
