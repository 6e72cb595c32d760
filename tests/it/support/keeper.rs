//! Programs that must not outlive the tests, whatever becomes of the tests.
//!
//! Statics are never dropped and a killed process drops nothing, so no destructor can be trusted with a
//! server. A keeper is a shell that holds the server and reads its standard input: that closes whichever way
//! this process ends, and then the shell stops the server and removes its directory.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Keeper {
    shell: Child,
    /// `None` once the keeper has been told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Keeper {
    /// Runs `script` under `sh`; `prepare` adds its environment. A process group of its own keeps the
    /// terminal's Ctrl-C from ending it before it has cleaned up.
    pub fn start(script: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        prepare(&mut command);
        let mut shell = command.spawn().expect("a shell starts");
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("standard output is a pipe"));
        Self { shell, orders, answers }
    }

    /// Sends one line to the script.
    pub fn order(&mut self, line: &str) {
        let orders = self.orders.as_mut().expect("the keeper is running");
        writeln!(orders, "{line}").expect("the keeper reads its orders");
    }

    /// The next line that the script prints; `None` when it has ended.
    pub fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the keeper's answer is text");
        (!line.is_empty()).then(|| line.trim_end().to_owned())
    }

    /// Tells the script to end and waits until it has cleaned up.
    pub fn end(&mut self) {
        self.orders = None;
        // An error would mean that it was waited for already; then it has ended.
        let _ = self.shell.wait();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where `program` is, as a shell would find it.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
