//! The real binary in the place of a `TestApp`'s server: a process that can be killed and comes back.

use super::app::{Engine, Folder, TestApp, patiently};
use super::process::Process;

/// `grantor serve` on the database, under the issuer and at the address of a `TestApp` that has stopped.
pub struct Instance<'a> {
    app: &'a TestApp,
    environment: &'a [(&'a str, &'a str)],
    process: Option<Process>,
    /// Dropped after the process that writes there.
    folder: Folder,
}

impl TestApp {
    /// Leaves what it has made, the users and clients, to processes: the first of them will be where this now says.
    pub async fn retire(mut self) -> Self {
        self.stop().await;
        let mut heir = self.elsewhere();
        heir.config.server.issuer = heir.url.parse().expect("an issuer");
        heir
    }
}

impl<'a> Instance<'a> {
    /// Starts it, configured by these variables alone.
    pub async fn start(app: &'a TestApp, environment: &'a [(&'a str, &'a str)]) -> Self {
        let mut instance = Self { app, environment, process: None, folder: Folder::new() };
        instance.start_again().await;
        instance
    }

    pub async fn start_again(&mut self) {
        use secrecy::ExposeSecret as _;
        let config = &self.app.config;
        let listen = self.app.url.replace("http://localhost", "127.0.0.1");
        let (issuer, database) = (self.app.issuer(), self.app.database_url());
        let data = config.server.data_dir.display().to_string();
        let arguments =
            ["serve", "--listen", &listen, "--issuer", issuer, "--database", &database, "--data-dir", &data];
        let seal = config.seal.keys.as_ref().expect("test servers have a key ring").expose_secret();
        let environment = [&[("GRANTOR__SEAL__KEYS", seal)], self.environment].concat();
        let process = Process::start(&self.folder, &arguments, &environment);
        process.says("ready").await;
        self.process = Some(process);
    }

    /// As `kill -9`. When this returns its log, nothing of what it had begun can still happen.
    pub async fn kill(&mut self) -> String {
        let log = self.process.take().expect("it runs").kill().await;
        if self.app.engine() == Engine::Postgres {
            // A backend finishes its statement before it sees that nobody waits for it.
            let backends = "pg_stat_activity WHERE application_name = 'grantor' AND datname = current_database()";
            patiently("its connections are gone", async || self.app.count(backends).await == 0).await;
        }
        log
    }

    /// What it has said since it was started last.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::err).unwrap_or_default()
    }
}

impl Drop for Instance<'_> {
    /// A test that fails shows what the server complained of.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.log().lines().filter(|line| !line.contains(" INFO ")).for_each(|line| eprintln!("{line}"));
        }
    }
}
