//! PostgreSQL for the tests: a private cluster in a temporary directory, never the system's.
//!
//! One cluster serves the whole test process and starts with its first use; a test that takes the database
//! away starts its own with [`Cluster::start`]. Nothing waits for the disk. Commits
//! are written before they are answered all the same: without fsync that costs nothing, and a cluster that was
//! stopped at once must come back with all of them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::dice::random;
use super::keeper::{Keeper, in_path};
use super::process::free_port;

/// Makes the cluster, then starts and stops it as told, and leaves nothing behind.
///
/// A signal that is caught ends `read`, so that the way out is the same. `AS` is how to run a program as who
/// runs the server; the shell itself keeps our rights, since it removes the directory.
const SCRIPT: &str = r#"
trap : HUP INT TERM
$AS "$BIN/initdb" -A trust -U grantor --no-sync --no-instructions -E UTF8 --locale=C.UTF-8 -D "$DIR/data" >"$DIR/initdb.log" 2>&1 &&
    echo made || { cat "$DIR/initdb.log" >&2; echo failed; }
while read -r order port; do
    case $order in
    start)
        $AS "$BIN/pg_ctl" start -w -t 60 -D "$DIR/data" -l "$DIR/log" -o "-p $port -c listen_addresses=127.0.0.1 \
            -c unix_socket_directories='' -c max_connections=300 -c shared_buffers=64MB -c fsync=off \
            -c wal_level=minimal -c max_wal_senders=0 -c autovacuum=off" </dev/null >/dev/null 2>&1 && echo started || { cat "$DIR/log" >&2; echo failed; } ;;
    kill)
        SERVER=$(head -n 1 "$DIR/data/postmaster.pid") && kill -STOP "$SERVER" || { echo failed; continue; }
        # Stopped first, it makes no new process and does not see its own go.
        ALL="$SERVER $(grep -l "^PPid:[[:space:]]*$SERVER\$" /proc/[0-9]*/status 2>/dev/null | cut -d / -f 3)"
        kill -KILL $ALL 2>/dev/null
        for PROCESS in $ALL; do
            while grep -q '^State:[[:space:]][^ZX]' "/proc/$PROCESS/status" 2>/dev/null; do sleep 0.01; done
        done
        # Where nobody collects the dead, the next server would take it for one that runs.
        rm -f "$DIR/data/postmaster.pid"
        echo killed ;;
    stop)
        $AS "$BIN/pg_ctl" stop -w -t 60 -m immediate -D "$DIR/data" </dev/null >/dev/null 2>&1 && echo stopped || echo failed ;;
    esac
done
$AS "$BIN/pg_ctl" stop -w -t 60 -m immediate -D "$DIR/data" </dev/null >/dev/null 2>&1
rm -rf "$DIR"
"#;

/// A PostgreSQL server of our own; it and its directory go when this is dropped or the process ends.
pub struct Cluster {
    keeper: Keeper,
    port: u16,
}

impl Cluster {
    /// Makes a cluster and starts it; takes about a second.
    pub fn start() -> Self {
        let programs = programs();
        let account = unprivileged();
        let directory = directory(account);
        let mut keeper = Keeper::start(SCRIPT, |command| {
            command.env("BIN", &programs).env("DIR", &directory).current_dir(&directory);
            for (name, _) in std::env::vars_os() {
                if name.to_string_lossy().starts_with("PG") {
                    command.env_remove(name);
                }
            }
            command.env(
                "AS",
                account.map_or(String::new(), |Account { user, group }| {
                    format!("setpriv --reuid={user} --regid={group} --clear-groups --")
                }),
            );
        });
        assert_eq!(keeper.answer().as_deref(), Some("made"), "initdb failed; what it said is above");

        // Between looking at a port and taking it, another process may have it.
        for port in (0..5).map(|_| free_port()) {
            keeper.order(&format!("start {port}"));
            if keeper.answer().as_deref() == Some("started") {
                return Self { keeper, port };
            }
        }
        panic!("PostgreSQL does not start; its log is above");
    }

    /// The URL of a database of this cluster.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://grantor@127.0.0.1:{}/{database}", self.port)
    }

    /// Takes the server away as a crash does: connections break, and what was committed is there again later.
    pub fn stop(&mut self) {
        self.keeper.order("stop");
        assert_eq!(self.keeper.answer().as_deref(), Some("stopped"), "PostgreSQL does not stop");
    }

    /// As `kill -9` of every process of the server at once. What they wrote is with the kernel, which lives, so this
    /// needs no fsync; a page that was half written is mended from the log.
    pub fn kill(&mut self) {
        self.keeper.order("kill");
        assert_eq!(self.keeper.answer().as_deref(), Some("killed"), "PostgreSQL was not running");
    }

    /// Brings the server back after [`Cluster::stop`] or [`Cluster::kill`], under the same address.
    pub fn start_again(&mut self) {
        self.keeper.order(&format!("start {}", self.port));
        assert_eq!(self.keeper.answer().as_deref(), Some("started"), "PostgreSQL does not come back");
    }

    /// A connection of the superuser. Not a pool: every test has its own runtime, and a connection dies with
    /// the runtime that opened it.
    pub async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.url("postgres")).await.expect("the cluster accepts connections")
    }

    /// The URL of a fresh, empty database.
    pub async fn create_database(&self) -> String {
        self.create("template0").await
    }

    /// The URL of a fresh copy of the database `template` (a name, or a URL that this module gave out), to
    /// which nobody may be connected meanwhile.
    pub async fn create_from_template(&self, template: &str) -> String {
        self.create(database_name(template)).await
    }

    /// Drops the database behind a URL that this module gave out, and who is still connected to it.
    pub async fn drop_database(&self, url: &str) {
        self.execute(format!("DROP DATABASE \"{}\" WITH (FORCE)", database_name(url))).await;
    }

    async fn create(&self, template: &str) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.execute(format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"")).await;
        self.url(&name)
    }

    async fn execute(&self, sql: String) {
        let mut admin = self.admin().await;
        admin.execute(AssertSqlSafe(sql)).await.expect("the superuser may do this");
        admin.close().await.expect("the connection closes");
    }
}

/// The cluster that the tests of this process share, each with databases of its own.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

/// The URL of a fresh, empty database in the shared cluster.
pub async fn create_database() -> String {
    shared().create_database().await
}

/// The URL of a fresh copy of `template` in the shared cluster.
pub async fn create_from_template(template: &str) -> String {
    shared().create_from_template(template).await
}

/// Drops a database of the shared cluster, for tests that would else fill the disk.
pub async fn drop_database(url: &str) {
    shared().drop_database(url).await;
}

fn database_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// The folder of the server's programs: Debian keeps `initdb` and `pg_ctl` out of the PATH.
fn programs() -> PathBuf {
    let of_debian = || {
        let version = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
        let mut installed: Vec<PathBuf> =
            fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        installed.sort_by_key(|folder| version(folder));
        installed.into_iter().rev().map(|folder| folder.join("bin")).find(|bin| bin.join("initdb").is_file())
    };
    // Through a link, as in /usr/local/bin, the folder beside it holds only some of the programs.
    let in_path = || Some(fs::canonicalize(in_path("initdb")?).ok()?.parent()?.to_owned());
    in_path().or_else(of_debian).expect("PostgreSQL's initdb: install Debian's `postgresql`, or run scripts/test")
}

#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

/// Who runs the server: PostgreSQL refuses root. `None` when we are not root, and it runs as we do.
fn unprivileged() -> Option<Account> {
    let root = fs::metadata("/proc/self").expect("/proc is mounted").uid() == 0;
    root.then(|| {
        let accounts = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
        let account = |wanted: &str| {
            let fields: Vec<&str> =
                accounts.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|f| f[0] == wanted)?;
            Some(Account { user: fields.get(2)?.parse().ok()?, group: fields.get(3)?.parse().ok()? })
        };
        account("postgres").or_else(|| account("nobody")).expect("there is an unprivileged account")
    })
}

/// A new directory for the cluster, that its account owns and can reach.
fn directory(account: Option<Account>) -> PathBuf {
    let reachable = |folder: &PathBuf| {
        account.is_none()
            || folder.ancestors().all(|part| fs::metadata(part).is_ok_and(|m| m.permissions().mode() & 0o001 != 0))
    };
    let parent = [std::env::temp_dir(), PathBuf::from("/tmp")].into_iter().find(reachable);
    let parent = parent.expect("a temporary directory that the database's account can reach: set TMPDIR");
    let directory = parent.join(format!("grantor-postgres-{}-{:08x}", std::process::id(), random() as u32));
    fs::create_dir(&directory).expect("the temporary directory is writable");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("its mode can be set");
    if let Some(Account { user, group }) = account {
        chown(&directory, Some(user), Some(group)).expect("root may give it away");
    }
    directory
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    async fn connect(url: &str) -> PgConnection {
        PgConnection::connect(url).await.expect("the database accepts connections")
    }

    #[tokio::test]
    async fn a_database_from_a_template_has_what_the_template_has_and_is_its_own() {
        let template = create_database().await;
        let mut connection = connect(&template).await;
        connection.execute("CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (7)").await.unwrap();
        connection.close().await.unwrap();

        let (first, second) = tokio::join!(create_from_template(&template), create_from_template(&template));
        connect(&first).await.execute("UPDATE t SET n = 8").await.unwrap();

        let n: (i64,) = sqlx::query_as("SELECT n FROM t").fetch_one(&mut connect(&second).await).await.unwrap();
        assert_eq!(n, (7,));

        drop_database(&first).await;
        PgConnection::connect(&first).await.expect_err("a dropped database is gone");
    }

    #[tokio::test]
    async fn a_cluster_goes_away_and_comes_back_with_what_was_committed() {
        let mut cluster = Cluster::start();
        let url = cluster.create_database().await;
        let mut before = connect(&url).await;
        before.execute("CREATE TABLE t (n BIGINT)").await.unwrap();

        cluster.stop();
        before.execute("SELECT 1").await.expect_err("its connections broke");
        PgConnection::connect(&url).await.expect_err("nobody listens");

        cluster.start_again();
        connect(&url).await.execute("SELECT n FROM t").await.unwrap();
    }

    /// Set for the copy of this process that [`a_killed_test_process_leaves_no_server_and_no_directory`] kills.
    const VICTIM: &str = "GRANTOR_TEST_VICTIM";

    #[tokio::test]
    async fn a_killed_test_process_leaves_no_server_and_no_directory() {
        if std::env::var_os(VICTIM).is_some() {
            return wait_to_be_killed().await;
        }
        let folder = directory(None);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let this = std::thread::current().name().expect("the harness names threads after tests").to_owned();
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &this])
            .env(VICTIM, "1")
            .env("TMPDIR", &folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let cluster = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir());
        let url = wait_until(|| fs::read_to_string(folder.join("url")).ok()).await;
        connect(&url).await.close().await.unwrap();
        assert!(cluster().is_some(), "the cluster is in TMPDIR");

        victim.kill().unwrap();
        victim.wait().unwrap();

        wait_until(|| cluster().is_none().then_some(())).await;
        PgConnection::connect(&url).await.expect_err("nobody listens");
        fs::remove_dir_all(&folder).unwrap();
    }

    async fn wait_to_be_killed() {
        let cluster = Cluster::start();
        let folder = std::env::temp_dir();
        // Written beside and renamed, so that the reader never sees half of it.
        fs::write(folder.join("url.part"), cluster.url("postgres")).unwrap();
        fs::rename(folder.join("url.part"), folder.join("url")).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    }

    async fn wait_until<T>(ready: impl Fn() -> Option<T>) -> T {
        for _ in 0..600 {
            if let Some(value) = ready() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited for half a minute");
    }
}
