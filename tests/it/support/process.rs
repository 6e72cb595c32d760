//! The real binary as a server of its own, for what only a process can show: signals, exit codes, its log.

use std::fs;
use std::path::{Path, PathBuf};

use super::app::{Folder, eventually};
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
wait "$PID"
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
        eventually(&format!("the program says {words:?}"), said).await;
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let done = std::process::Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &self.pid]).status();
        assert!(done.expect("a shell starts").success(), "the program runs");
    }

    /// Waits for its end: the exit code, and what it said on standard error.
    pub async fn ended(mut self) -> (i32, String) {
        let ended = tokio::task::spawn_blocking(move || (self.keeper.answer(), self));
        let (code, this) = ended.await.expect("no panic");
        (code.expect("an exit code").parse().expect("a number"), this.err())
    }
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
