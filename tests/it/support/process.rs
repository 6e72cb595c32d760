//! The real binary as a server of its own, for what only a process can show: signals, exit codes, its log.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use super::app::{Folder, within};
use super::dice::random;
use super::keeper::Keeper;

/// Starts the program and tells how it ends; ends it when we do.
const SCRIPT: &str = r#"
trap : HUP INT TERM
exec 3<&0
cd "$FOLDER"
"$GRANTOR" "$@" >"$FOLDER/out" 2>"$FOLDER/err" </dev/null &
PID=$!
echo "$PID"
(cat <&3 >/dev/null; kill -KILL "$PID" 2>/dev/null) >/dev/null 2>&1 &
wait "$PID" 2>/dev/null
echo "$?"
kill "$!" 2>/dev/null
"#;

/// A running `grantor`, in a folder of its own.
pub struct Process {
    keeper: Keeper,
    folder: PathBuf,
    pid: String,
}

impl Process {
    /// Starts it with nothing in its environment but these variables.
    pub fn start(folder: &Folder, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        // What the one before it said here is not this one's.
        for output in ["out", "err"] {
            let _ = fs::remove_file(folder.path(output));
        }
        let mut keeper = Keeper::start(SCRIPT, |command| {
            command.arg("grantor").args(arguments);
            command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
            command.env("GRANTOR", env!("CARGO_BIN_EXE_grantor")).env("FOLDER", &folder.0);
            // What the demo makes there goes with the test.
            command.env("TMPDIR", &folder.0);
            command.envs(environment.iter().copied());
        });
        let pid = keeper.answer().expect("the shell starts the program");
        Self { keeper, folder: folder.0.clone(), pid }
    }

    /// `grantor serve` on a free port, ready. Its log is told in JSON.
    pub async fn serve(folder: &Folder, arguments: &[&str], environment: &[(&str, &str)]) -> (Self, String) {
        let port = free_port();
        let (listen, issuer) = (format!("127.0.0.1:{port}"), format!("http://localhost:{port}"));
        let issuer = if arguments.contains(&"--tls-cert") { issuer.replace("http:", "https:") } else { issuer };
        let all = [&["serve", "--listen", &listen, "--issuer", &issuer], arguments].concat();
        let process = Self::start(folder, &all, environment);
        process.says("ready").await;
        (process, issuer)
    }

    /// What it has said on standard error.
    pub fn err(&self) -> String {
        read(&self.folder.join("err"))
    }

    /// What it has said on standard output.
    pub fn out(&self) -> String {
        read(&self.folder.join("out"))
    }

    /// Waits until some text is on one of its outputs.
    pub async fn says(&self, words: &str) {
        let said = || async { self.err().contains(words) || self.out().contains(words) };
        // A minute: it may wait for the disk.
        assert!(within(60, said).await, "the program does not say {words:?}: {}{}", self.out(), self.err());
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.send("TERM");
    }

    /// Sends SIGKILL, and waits until it is gone; what it had said on standard error.
    pub async fn kill(self) -> String {
        self.send("KILL");
        let (code, log) = self.ended().await;
        assert_eq!(code, 128 + 9, "it had not ended by itself: {log}");
        log
    }

    fn send(&self, signal: &str) {
        let kill = ["-c", "kill -s \"$1\" \"$2\"", "sh", signal, &self.pid];
        let done = std::process::Command::new("sh").args(kill).status();
        assert!(done.expect("a shell starts").success(), "the program runs: {}", self.err());
    }

    /// Waits for its end: the exit code, and what it said on standard error.
    pub async fn ended(mut self) -> (i32, String) {
        let ended = tokio::task::spawn_blocking(move || (self.keeper.answer(), self));
        let (code, this) = ended.await.expect("no panic");
        (code.expect("an exit code").parse().expect("a number"), this.err())
    }

    /// The memory that it holds now, as Linux counts it.
    pub fn resident_kib(&self) -> u64 {
        let status = read(&Path::new("/proc").join(&self.pid).join("status"));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the program runs");
        line.trim_end_matches("kB").trim().parse().expect("a number")
    }
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

/// A port below those that the kernel hands to clients: while its server is away, nobody takes it by chance.
pub fn free_port() -> u16 {
    let candidates = std::iter::repeat_with(|| 12_000 + (random() % 20_000) as u16);
    candidates.take(200).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port on loopback")
}
