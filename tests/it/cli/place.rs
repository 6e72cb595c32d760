use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A directory in which the program runs without any configuration; gone with the test.
pub struct Place(PathBuf);

/// What a command came to.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    /// One that has a database.
    pub fn new() -> Self {
        let place = Self::empty();
        place.ok(&["migrate"]);
        place
    }

    pub fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("grantor-cli-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, "")
    }

    /// With text on standard input.
    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Done {
        let mut child = Command::new(env!("CARGO_BIN_EXE_grantor"))
            .args(arguments)
            .env_clear()
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses early does not read it.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let done = child.wait_with_output().unwrap();
        Done {
            code: done.status.code().unwrap(),
            out: String::from_utf8(done.stdout).unwrap(),
            err: String::from_utf8(done.stderr).unwrap(),
        }
    }

    /// What a command that must succeed prints.
    pub fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).expect_ok()
    }

    /// The same as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let out = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&out).unwrap()
    }

    /// Whether a text stands in a file of the data directory as it is.
    pub fn keeps_in_clear(&self, text: &str) -> bool {
        let files = fs::read_dir(self.path("data")).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files.into_iter().any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    }
}

impl Done {
    #[track_caller]
    pub fn expect_ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// A refusal is told in lines of its own, in words, on standard error alone.
    #[track_caller]
    pub fn expect_refused(self, code: i32, words: &str) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.err);
        assert!(self.err.starts_with("error: "), "{}", self.err);
        assert!(self.err.contains(words), "{words:?} is not in: {}", self.err);
        for debug in ["Error(", "Some(", "backtrace", "panicked", "Database(", " { "] {
            assert!(!self.err.contains(debug), "{}", self.err);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
