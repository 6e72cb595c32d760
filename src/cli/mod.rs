//! The command line. One file a command; folders are nouns.
//!
//! What the administrative commands print is returned as text, and written here, once they are done. A mistake in the
//! command itself ends with 2, anything else that fails with 1, each problem told in one line on standard error.

mod admin;
pub mod authorization_type;
pub mod client;
pub mod demo;
pub mod doctor;
mod group;
mod input;
pub mod keys;
pub mod mail;
mod migrate;
mod output;
pub mod registration_token;
pub mod resource;
pub mod serve;
mod token;
pub mod user;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigError, Overrides};
use admin::Admin;

#[derive(Parser)]
#[command(
    name = "grantor",
    version,
    about = "An OAuth 2.1 authorization server and OpenID Provider",
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration and the data are; taken by every command.
#[derive(Args)]
struct Place {
    /// The configuration, a TOML file.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Where the data is")]
    config: Option<PathBuf>,
    /// postgres://… or sqlite:FILE. With a password in it, better set as GRANTOR__DATABASE__URL.
    #[arg(long, global = true, value_name = "URL", help_heading = "Where the data is")]
    database: Option<String>,
    /// Where the embedded database and the generated key ring are. [default: ./data; the demo's is thrown away]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Where the data is")]
    data_dir: Option<PathBuf>,
}

impl From<Place> for Overrides {
    fn from(Place { config, database, data_dir }: Place) -> Self {
        Self { config_file: config, database, data_dir, ..Self::default() }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Run the server with a user and an example application, to try it out.
    Demo(demo::DemoArgs),
    /// Bring the database's schema up to date.
    Migrate,
    /// Register and manage client applications.
    #[command(subcommand, arg_required_else_help = true)]
    Client(client::Command),
    /// Create and manage users.
    #[command(subcommand, arg_required_else_help = true)]
    User(user::Command),
    /// Create groups of people, and say who is in them.
    #[command(subcommand, arg_required_else_help = true)]
    Group(group::Command),
    /// Make API keys for clients; list and revoke these and people's personal access tokens.
    #[command(subcommand, arg_required_else_help = true)]
    Token(token::Command),
    /// Make and revoke the tokens with which clients may register themselves.
    #[command(subcommand, arg_required_else_help = true)]
    RegistrationToken(registration_token::Command),
    /// Register the APIs that tokens are for, by their own URIs.
    #[command(subcommand, arg_required_else_help = true)]
    Resource(resource::Command),
    /// Register what clients may ask for in particular (RFC 9396).
    #[command(subcommand, arg_required_else_help = true)]
    AuthorizationType(authorization_type::Command),
    /// List, rotate and revoke the keys that sign tokens.
    #[command(subcommand, arg_required_else_help = true)]
    Keys(keys::Command),
    /// Try whether mail goes out.
    #[command(subcommand, arg_required_else_help = true)]
    Mail(mail::Command),
    /// Say what RFC 9700 and FAPI 2.0 would object to in the configuration and in each client.
    Doctor(doctor::Doctor),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(help_or_error) => {
            let _ = help_or_error.print();
            return ExitCode::from(u8::try_from(help_or_error.exit_code()).unwrap_or(2));
        }
    };
    let mut threads = match cli.command {
        Command::Serve(_) | Command::Demo(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let done = match threads.enable_all().build() {
        Ok(runtime) => runtime.block_on(dispatch(cli)),
        Err(why) => Err(why.into()),
    };
    match done.and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<doctor::Objections>() {
            // They are what was asked for, and no failure of the command.
            Ok(doctor::Objections(report)) => print(&report).map_or_else(|why| tell(&why), |()| ExitCode::from(1)),
            Err(error) => tell(&error),
        },
    }
}

/// Does what was asked, and gives what is to be printed.
async fn dispatch(Cli { place, command }: Cli) -> anyhow::Result<String> {
    let overrides = Overrides::from(place);
    match command {
        Command::Serve(args) => serve::run(args, overrides).await.map(|()| String::new()),
        Command::Demo(args) => demo::run(args, overrides).await.map(|()| String::new()),
        Command::Migrate => migrate::run(&overrides).await,
        Command::Client(command) => client::run(command, &overrides).await,
        Command::User(command) => user::run(command, &overrides).await,
        Command::Group(command) => group::run(command, &overrides).await,
        Command::Token(command) => token::run(command, &overrides).await,
        Command::RegistrationToken(command) => registration_token::run(command, &overrides).await,
        Command::Resource(command) => resource::run(command, &overrides).await,
        Command::AuthorizationType(command) => authorization_type::run(command, &overrides).await,
        Command::Keys(command) => keys::run(command, &overrides).await,
        Command::Mail(command) => mail::run(command, &overrides).await,
        Command::Doctor(doctor) => doctor.run(&overrides).await,
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has seen enough: `grantor client list | head`.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// A command that cannot be carried out as it was written.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// One line a problem, and the exit code.
fn tell(error: &anyhow::Error) -> ExitCode {
    let mut err = io::stderr().lock();
    for line in lines(error) {
        let _ = writeln!(err, "error: {line}");
    }
    ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
}

fn lines(error: &anyhow::Error) -> Vec<String> {
    match error.downcast_ref::<ConfigError>() {
        Some(config) => config.problems.iter().map(|problem| bare(&problem.to_string()).to_owned()).collect(),
        None => format!("{error:#}").lines().map(str::to_owned).collect(),
    }
}

/// A problem of the configuration without the words that `error:` says already.
fn bare(problem: &str) -> &str {
    let place = ["config error in ", "config error: "].into_iter().find_map(|prefix| problem.strip_prefix(prefix));
    place.unwrap_or(problem)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_grammar_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_place_of_the_data_may_stand_before_or_behind_the_command() {
        for line in [
            "--data-dir d --database u migrate",
            "migrate --database u --data-dir d",
            "--database u client list --data-dir d",
        ] {
            let words = std::iter::once("grantor").chain(line.split(' '));
            let overrides = Overrides::from(Cli::try_parse_from(words).ok().unwrap().place);
            assert_eq!(overrides.database.as_deref(), Some("u"), "{line}");
            assert_eq!(overrides.data_dir, Some("d".into()), "{line}");
        }
    }

    #[test]
    fn every_problem_has_its_line_and_no_debug_format() {
        let config = crate::config::Config::parse("[server]\nnmae = 1\nlisten = 2\n").unwrap_err();
        let told = lines(&config.into());
        assert!(told.len() == 2 && told.iter().all(|line| line.starts_with("config:")), "{told:?}");
        let chain = anyhow::anyhow!("inner").context("outer");
        assert_eq!(lines(&chain), ["outer: inner"]);
    }
}
