//! What the command line says; it wins over everything.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::error::{Problem, Source};
use super::layers::Layers;

/// The flags that set configuration. No `Debug`: `database` may hold a password.
#[derive(Clone, Default)]
pub struct Overrides {
    /// `--config`: the TOML file. Without it there is no file: nothing is read that nobody named.
    pub config_file: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--issuer`
    pub issuer: Option<String>,
    /// `--database`
    pub database: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--tls-cert`
    pub tls_cert: Option<PathBuf>,
    /// `--tls-key`
    pub tls_key: Option<PathBuf>,
}

impl Overrides {
    pub(super) fn read_file(&self, layers: &mut Layers) {
        let Some(path) = &self.config_file else { return };
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => layers.file(&name, &text),
            Err(why) => layers.problems.push(Problem {
                source: Source::File { name: name.into(), line: None },
                key: None,
                message: format!("cannot be read: {why}"),
            }),
        }
    }

    pub(super) fn read_flags(&self, layers: &mut Layers) {
        let listen = self.listen.map(|address| address.to_string());
        let texts = [
            ("--listen", ("server", "listen"), &listen),
            ("--issuer", ("server", "issuer"), &self.issuer),
            ("--database", ("database", "url"), &self.database),
        ];
        for (flag, place, value) in texts {
            if let Some(value) = value {
                layers.flag(flag, place, value.clone());
            }
        }
        let paths = [
            ("--data-dir", ("server", "data_dir"), &self.data_dir),
            ("--tls-cert", ("tls", "cert"), &self.tls_cert),
            ("--tls-key", ("tls", "key"), &self.tls_key),
        ];
        for (flag, place, path) in paths {
            match path.as_ref().map(|path| path.to_str()) {
                Some(Some(path)) => layers.flag(flag, place, path.to_owned()),
                Some(None) => layers.problems.push(Problem {
                    source: Source::Flag(flag),
                    key: None,
                    message: "the path is not Unicode".into(),
                }),
                None => {}
            }
        }
    }
}
