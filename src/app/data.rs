//! What lies on disk: the data directory, the key ring, the database. Each is made when it is missing, and whatever
//! is in the way is told with its path and what to do.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::config::mail::{self, Transport};
use crate::config::{ACCESS_TOKEN_CEILING, Config, DatabaseUrl};
use crate::crypto::random::token;
use crate::crypto::{Authorities, JwkSet, KeyRing, Random};
use crate::outgoing::mail::{Mailer, Security, Way};
use crate::outgoing::{self, Outgoing};
use crate::store::{Location, Options, Store};
use crate::types::Clock;

/// Makes the data directory, for its owner alone, if anything is to be kept there.
///
/// # Errors
/// When it cannot be made, or something else has its name.
pub fn prepare(config: &Config) -> anyhow::Result<()> {
    let keeps_ring = config.seal.keys.is_none() && config.seal.file.is_none();
    if config.database.url.is_some() && !keeps_ring {
        return Ok(());
    }
    let path = &config.server.data_dir;
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => bail!(
            "the data directory {} is not a directory: move that file away, or name another directory with --data-dir",
            path.display()
        ),
        Err(why) if why.kind() == ErrorKind::NotFound => {}
        Err(why) => return Err(unusable("the data directory", path, why)),
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|why| unusable("the data directory", path, why))
}

/// The key ring: `seal.keys`, or else the file, which is made with one new key when it is missing.
///
/// # Errors
/// When it cannot be read, cannot be made, or is not a key ring.
pub fn key_ring(config: &Config, rng: &dyn Random) -> anyhow::Result<KeyRing> {
    if let Some(keys) = &config.seal.keys {
        return KeyRing::parse(keys.expose_secret()).map_err(|why| anyhow!("seal.keys: {why}"));
    }
    let path = config.seal_file();
    let text = match read(&path) {
        Err(why) if why.kind() == ErrorKind::NotFound => {
            make(&path, KeyRing::generate(rng).as_bytes(), &token(rng, 9))
                .map_err(|why| unusable("the key ring file", &path, why))?;
            // Perhaps that of another process, which was faster.
            read(&path)
        }
        read => read,
    };
    let text = text.map_err(|why| unusable("the key ring file", &path, why))?;
    KeyRing::parse(&text).map_err(|why| {
        anyhow!(
            "{}: {why}. Restore the file from a backup; without its keys the signing keys in the database stay shut. \
             Only if there is no database yet, remove it: a new one is made then",
            path.display()
        )
    })
}

/// Where the SQLite file would be made, if it is not there yet.
pub fn missing_database(config: &Config) -> Option<PathBuf> {
    match config.database_url() {
        DatabaseUrl::Sqlite(path) if !path.exists() => Some(path),
        _ => None,
    }
}

/// Opens the database, and brings its schema up to date.
///
/// # Errors
/// When it cannot be reached, made or migrated.
pub async fn open_store(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
    let url = config.database_url();
    let location = match &url {
        DatabaseUrl::Postgres(url) => Location::Postgres(url.expose_secret().to_owned()),
        DatabaseUrl::Sqlite(path) => {
            make_database_files(path).map_err(|why| unusable("the database", path, why))?;
            Location::Sqlite(path.clone())
        }
    };
    let options = Options {
        location,
        max_connections: config.database.max_connections,
        acquire_timeout: config.database.acquire_timeout,
        token_ceiling: ACCESS_TOKEN_CEILING,
        events_kept: config.account.events_kept,
        max_staleness: config.feed.max_staleness,
    };
    Store::open(options, clock).await.map_err(|fault| anyhow!("{fault}")).with_context(|| match &url {
        DatabaseUrl::Postgres(_) => format!("the database {url} cannot be opened"),
        DatabaseUrl::Sqlite(path) => format!("the database {} cannot be opened", path.display()),
    })
}

/// The client for what is fetched from others.
///
/// # Errors
/// When the file of its authorities cannot be used.
pub fn outgoing(config: &Config) -> anyhow::Result<Outgoing> {
    let settings = &config.outgoing;
    let extra_ca = settings.extra_ca.as_ref().map(fs::read).transpose();
    let named = || settings.extra_ca.iter().map(|path| path.display().to_string()).collect::<String>();
    let options = outgoing::Options {
        allow: settings.allow.clone(),
        extra_ca: extra_ca.with_context(|| format!("outgoing.extra_ca {}", named()))?,
        timeout: settings.timeout,
        max_bytes: settings.max_bytes,
    };
    Outgoing::new(&options).map_err(|why| anyhow!("outgoing.extra_ca {}: {why}", named()))
}

/// What sends mail, where any goes out.
///
/// # Errors
/// When a file that it needs cannot be used.
pub fn mailer(config: &Config) -> anyhow::Result<Option<Mailer>> {
    let settings = &config.mail;
    // Where there is mail there is a sender: the configuration was checked.
    let Some(from) = settings.from.as_ref().filter(|_| settings.is_on()) else { return Ok(None) };
    let read = |key: &str, path: &PathBuf| {
        fs::read(path).with_context(|| format!("mail.{key}: the file {} cannot be read", path.display()))
    };
    let way = match settings.transport {
        Transport::Off => return Ok(None),
        Transport::Console => Way::Console,
        Transport::File => {
            Way::Files(settings.directory.clone().unwrap_or_else(|| config.server.data_dir.join("mail")))
        }
        Transport::Smtp => {
            let extra_ca = settings.extra_ca.as_ref().map(|path| read("extra_ca", path)).transpose()?;
            let password = match (&settings.password, &settings.password_file) {
                (Some(password), _) => Some(password.expose_secret().to_owned()),
                (None, Some(path)) => {
                    let text = String::from_utf8(read("password_file", path)?);
                    Some(text.map_err(|_| anyhow!("mail.password_file is not text"))?.trim_end().to_owned())
                }
                (None, None) => None,
            };
            Way::Smtp {
                host: settings.host.clone().unwrap_or_default(),
                port: settings.port(),
                security: match settings.tls {
                    mail::Tls::Required => Security::StartTls(extra_ca),
                    mail::Tls::Implicit => Security::Implicit(extra_ca),
                    mail::Tls::None => Security::None,
                },
                credentials: settings.username.clone().zip(password),
            }
        }
    };
    let options = outgoing::mail::Options {
        way,
        from: from.0.clone(),
        reply_to: settings.reply_to.as_ref().map(|reply_to| reply_to.0.clone()),
        domain: config.server.issuer.host().to_owned(),
        timeout: settings.timeout,
    };
    Mailer::new(options).map(Some).map_err(|why| anyhow!("[mail]: {why}"))
}

/// The authorities whose certificates clients may show.
///
/// # Errors
/// When their file cannot be used.
pub fn authorities(config: &Config) -> anyhow::Result<Option<Authorities>> {
    let Some(path) = &config.tls.client_ca else { return Ok(None) };
    let pem = fs::read(path).with_context(|| format!("tls.client_ca {}", path.display()))?;
    Authorities::from_pem(&pem).map(Some).map_err(|why| anyhow!("tls.client_ca {}: {why}", path.display()))
}

/// Whose software statements are believed.
///
/// # Errors
/// When the file cannot be read, or has no key.
pub fn statement_keys(config: &Config) -> anyhow::Result<JwkSet> {
    let Some(path) = &config.registration.software_statement_keys else { return Ok(JwkSet::default()) };
    let named = || format!("registration.software_statement_keys {}", path.display());
    let keys = JwkSet::parse(&fs::read(path).with_context(named)?).with_context(named)?;
    if keys.keys().is_empty() {
        return Err(anyhow!("{}: it has no key of a type that is known here", named()));
    }
    Ok(keys)
}

/// Makes the file that SQLite will fill, and the one beside it that the store locks, for their owner alone (SQLite's
/// own side files follow suit); and finds out what SQLite would only call "unable to open".
fn make_database_files(path: &Path) -> io::Result<()> {
    for path in [path, &path.with_extension("lock")] {
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    }
    Ok(())
}

/// The key ring's text; who else can read the file is told in the log.
fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        let path = path.display().to_string();
        tracing::warn!(path, "the key ring file is open to others than its owner: run chmod 600 on it");
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Puts a file in place whole, or not at all; where there is one already, it stays.
fn make(path: &Path, contents: &[u8], nonce: &str) -> io::Result<()> {
    let directory = directory(path);
    let draft = directory.join(format!(".seal-{nonce}.tmp"));
    let written = write_new(&draft, contents).and_then(|()| match fs::hard_link(&draft, path) {
        Err(why) if why.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&draft);
    written?;
    removed?;
    // The name is durable before anything is sealed with what it names.
    File::open(directory)?.sync_all()
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn unusable(what: &str, path: &Path, why: io::Error) -> anyhow::Error {
    let place = directory(path);
    let advice = match why.kind() {
        ErrorKind::NotFound => format!("the directory {} is not there: make it, or name another", place.display()),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("this user must be allowed to write it, and in the directory {}", place.display())
        }
        ErrorKind::NotADirectory => format!("part of the path {} is a file", path.display()),
        ErrorKind::IsADirectory => "there is a directory of that name: move it away, or name another file".to_owned(),
        ErrorKind::InvalidData => "it is not text".to_owned(),
        _ => return anyhow!("{what} {} cannot be used: {why}", path.display()),
    };
    anyhow!("{what} {} cannot be used: {advice}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::crypto::SystemRandom;
    use crate::types::SystemClock;

    /// A directory of this test's own, gone with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("grantor-{}", token(&SystemRandom::new(), 9)));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn config(&self, toml: &str) -> Config {
            let file = self.path("grantor.toml");
            fs::write(&file, toml).unwrap();
            let overrides =
                Overrides { config_file: Some(file), data_dir: Some(self.path("data")), ..Overrides::default() };
            Config::load(&overrides, std::iter::empty()).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn told<T>(result: anyhow::Result<T>) -> String {
        format!("{:#}", result.err().expect("it is refused"))
    }

    #[tokio::test]
    async fn what_is_missing_is_made_for_its_owner_alone_and_found_the_next_time() {
        let (scratch, rng) = (Scratch::new(), SystemRandom::new());
        let config = scratch.config("");
        for _ in 0..2 {
            prepare(&config).unwrap();
            let store = open_store(&config, Arc::new(SystemClock)).await.unwrap();
            store.ping().await.unwrap();
            assert_eq!(mode(&scratch.path("data")), 0o700);
            assert_eq!(mode(&scratch.path("data/grantor.db")), 0o600);
            assert_eq!(mode(&scratch.path("data/grantor.db-wal")), 0o600);
            assert_eq!(mode(&scratch.path("data/grantor.lock")), 0o600);
            store.close().await;
        }
        let sealed = key_ring(&config, &rng).unwrap().seal(&rng, "test", b"hush");
        assert_eq!(*key_ring(&config, &rng).unwrap().open("test", &sealed).unwrap(), b"hush");
        assert_eq!(mode(&scratch.path("data/seal.key")), 0o600);
        let mut names: Vec<_> = fs::read_dir(scratch.path("data")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort_unstable();
        assert_eq!(names, ["grantor.db", "grantor.lock", "seal.key"]);
    }

    #[test]
    fn of_many_who_make_the_key_ring_at_once_one_does() {
        let (scratch, rng) = (Scratch::new(), SystemRandom::new());
        let config = scratch.config("");
        prepare(&config).unwrap();
        let rings: Vec<KeyRing> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| key_ring(&config, &rng).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let sealed = rings[0].seal(&rng, "test", b"hush");
        assert!(rings.iter().all(|ring| ring.open("test", &sealed).is_ok()));
    }

    #[test]
    fn nothing_is_made_where_nothing_is_kept() {
        let scratch = Scratch::new();
        let config = scratch.config(
            "[database]\nurl = \"postgres://db/grantor\"\n\
             [seal]\nkeys = \"a:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n",
        );
        prepare(&config).unwrap();
        assert!(!scratch.path("data").exists());
        assert!(key_ring(&config, &SystemRandom::new()).is_ok());
    }

    #[test]
    fn a_file_in_the_place_of_the_data_directory_is_told() {
        let scratch = Scratch::new();
        let config = scratch.config("");
        fs::write(scratch.path("data"), "").unwrap();
        let why = told(prepare(&config));
        assert!(why.contains("data is not a directory") && why.contains("--data-dir"), "{why}");

        let inside = Overrides { data_dir: Some(scratch.path("data/inside")), ..Overrides::default() };
        let why = told(prepare(&Config::load(&inside, std::iter::empty()).unwrap()));
        assert!(why.contains("data/inside cannot be used: part of the path"), "{why}");
    }

    #[test]
    fn a_key_ring_that_is_empty_or_broken_is_told_and_never_replaced() {
        let (scratch, rng) = (Scratch::new(), SystemRandom::new());
        let config = scratch.config("");
        prepare(&config).unwrap();
        let file = scratch.path("data/seal.key");
        for (text, why) in [
            (&b""[..], "no key in it"),
            (b"a:AAECAwQ", "line 1: the key is not base64"),
            (b"a:AAEC", "line 1: a key is 32 bytes"),
            (b"\xff\xfe", "it is not text"),
        ] {
            fs::write(&file, text).unwrap();
            let told = told(key_ring(&config, &rng));
            assert!(told.contains(why) && told.contains("seal.key"), "{told}");
            assert!(!told.contains("AAEC"), "{told}");
            assert_eq!(fs::read(&file).unwrap(), text);
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let why = told(key_ring(&config, &rng));
        assert!(why.contains("there is a directory of that name"), "{why}");
    }

    #[test]
    fn a_key_ring_goes_into_a_directory_that_is_there() {
        let scratch = Scratch::new();
        let file = scratch.path("etc/seal.key");
        let config = scratch.config(&format!("[seal]\nfile = {:?}\n", file.to_str().unwrap()));
        let why = told(key_ring(&config, &SystemRandom::new()));
        assert!(why.contains("etc/seal.key cannot be used: the directory"), "{why}");
        fs::create_dir(scratch.path("etc")).unwrap();
        assert!(key_ring(&config, &SystemRandom::new()).is_ok());
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_is_told_with_its_name() {
        let scratch = Scratch::new();
        let garbage = scratch.path("garbage.db");
        fs::write(&garbage, "not a database, and long enough to be told from an empty one".repeat(20)).unwrap();
        for (path, why) in [
            (scratch.path("missing/g.db"), "missing is not there"),
            (scratch.path("garbage.db/g.db"), "is a file"),
            (scratch.0.clone(), "there is a directory of that name"),
            (garbage.clone(), "not a database"),
        ] {
            let database = format!("sqlite:{}", path.display());
            let config =
                Config::load(&Overrides { database: Some(database), ..Overrides::default() }, std::iter::empty())
                    .unwrap();
            let told = told(open_store(&config, Arc::new(SystemClock)).await);
            assert!(told.contains(why) && told.contains(path.to_str().unwrap()), "{told}");
        }
        assert!(fs::read(&garbage).unwrap().starts_with(b"not a database"));
    }

    #[tokio::test]
    async fn a_database_server_that_is_away_is_told_without_its_password() {
        let database = Some("postgres://ada:s3cret@127.0.0.1:1/grantor".to_owned());
        let config = Config::load(&Overrides { database, ..Overrides::default() }, std::iter::empty()).unwrap();
        let told = told(open_store(&config, Arc::new(SystemClock)).await);
        assert!(told.contains("postgres://ada:***@127.0.0.1:1/grantor cannot be opened"), "{told}");
        assert!(told.contains("refused"), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}
