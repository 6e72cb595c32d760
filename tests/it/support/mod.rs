//! What the tests stand on: databases, a server, a person with a browser, a relying party.

pub mod app;
pub mod assertion;
pub mod authenticator;
pub mod behind;
pub mod browser;
pub mod device;
pub mod dice;
pub mod grants;
pub mod instance;
pub mod jwe;
mod keeper;
pub mod party;
pub mod person;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod rows;
pub mod signing_keys;
pub mod smtp;
pub mod upstream;
pub mod website;

pub use app::{Engine, TestApp};
pub use party::{Answer, Party, Pkce, Tokens};
pub use person::{Page, Person};

/// Makes two tests of one function, on SQLite and on PostgreSQL:
///
/// ```text
/// each_database!(a_code_works_once);
/// async fn a_code_works_once(app: TestApp) { … }
/// ```
#[macro_export]
macro_rules! each_database {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::support::TestApp::spawn($crate::support::Engine::Sqlite).await).await;
                }
            )+
        }
        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::support::TestApp::spawn($crate::support::Engine::Postgres).await).await;
                }
            )+
        }
    };
}

/// As `each_database!`, for tests that make servers of their own:
///
/// ```text
/// each_engine!(a_refresh_token_lies_idle_for_so_long);
/// async fn a_refresh_token_lies_idle_for_so_long(engine: Engine) { … }
/// ```
#[macro_export]
macro_rules! each_engine {
    ($($name:ident),+ $(,)?) => {
        mod on_any_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::support::Engine::Sqlite).await;
                }
            )+
        }
        mod on_any_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::support::Engine::Postgres).await;
                }
            )+
        }
    };
}
