//! `[password]`: what a password must be, and what hashing it costs (ASVS 6.2).

use std::path::PathBuf;
use std::thread::available_parallelism;

use serde::Deserialize;

use super::section::{Found, Section};

/// Memory in KiB and iterations of argon2id that are strong enough, each pair as good as the others
/// (OWASP Password Storage Cheat Sheet).
const ENOUGH: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Password {
    /// The fewest characters of a new password.
    pub min_length: usize,
    /// Words that no password may be, beside the user's own names: product, organisation.
    pub context_words: Vec<String>,
    /// A file of refused passwords, one a line, beside the built-in list.
    pub blocklist: Option<PathBuf>,
    /// Memory of one argon2id hash, in KiB.
    pub memory_kib: u32,
    /// Passes of one argon2id hash over its memory.
    pub iterations: u32,
    /// Lanes of one argon2id hash.
    pub parallelism: u32,
    /// Threads that hash; by default one fewer than there are cores, so that sign-ins leave one to the tokens.
    pub workers: usize,
    /// Sign-ins that may wait for a thread; more are answered with 503.
    pub queue: usize,
}

impl Default for Password {
    fn default() -> Self {
        Self {
            min_length: 12,
            context_words: Vec::new(),
            blocklist: None,
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            workers: available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1)),
            queue: 64,
        }
    }
}

impl Section for Password {
    fn check(&self, found: &mut Found) {
        // ASVS 6.2.1, 6.2.9
        found.number("min_length", self.min_length, 8..=64);
        if self.context_words.iter().any(|word| word.trim().is_empty() || word.chars().count() > 64) {
            found.refuse("context_words", "each must have 1 to 64 characters");
        }
        let enough = |&(memory, iterations): &(u32, u32)| self.memory_kib >= memory && self.iterations >= iterations;
        if !ENOUGH.iter().any(enough) {
            let pairs = ENOUGH.map(|(memory, iterations)| format!("{memory} with {iterations}")).join(", ");
            found.refuse("memory_kib", format!("too weak with password.iterations: take at least one of {pairs}"));
        }
        found.number("memory_kib", self.memory_kib, 1..=1024 * 1024);
        found.number("iterations", self.iterations, 1..=100);
        found.number("parallelism", self.parallelism, 1..=16);
        found.number("workers", self.workers, 1..=1024);
        found.number("queue", self.queue, 1..=65_536);
    }
}
