//! The whole server from outside: the compiled binary, a real database, real HTTPS.

pub(crate) mod authenticator;
pub(crate) mod browser;
mod client;
pub(crate) mod issuer;
pub(crate) mod load;
pub(crate) mod mail_server;
pub(crate) mod nginx;
pub(crate) mod otlp;
pub(crate) mod pebble;
pub(crate) mod people;
pub(crate) mod place;
pub(crate) mod problem;
pub(crate) mod programs;
pub(crate) mod qr;
pub(crate) mod redis;
pub(crate) mod rsyslog;
pub(crate) mod server;
pub(crate) mod signed;
pub(crate) mod together;
mod wait;
pub(crate) mod webhook;

pub(crate) use client::{Answer, Client};
pub(crate) use people::{Person, decide};
pub(crate) use server::Server;
pub(crate) use wait::{awaited, if_at_all, until};

/// Which database a server of a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Embedded.
    Sqlite,
    /// A database of its own on the server that `STRONGROOM_TEST_POSTGRES` names.
    Postgres,
}

/// Limits for stories that ask a server more than a person does. All other stories run with those that are shipped.
pub(crate) const BUSY: &[(&str, &str)] = &[
    ("STRONGROOM_LIMITS__ANONYMOUS", "1000000/1h"),
    ("STRONGROOM_LIMITS__AUTH", "1000000/1h"),
    ("STRONGROOM_LIMITS__API_READ", "1000000/1h"),
    ("STRONGROOM_LIMITS__API_WRITE", "1000000/1h"),
    ("STRONGROOM_LIMITS__PREVIEW", "1000000/1h"),
    ("STRONGROOM_BLOCKS__MODE", "observe"),
    ("STRONGROOM_LIMITS__SESSION", "1000000/1h"),
];

/// Makes one test per engine out of a story: `stories! { name, … }`, or with settings beyond the defaults
/// `stories! { with SETTINGS; name, … }`.
macro_rules! stories {
    (with $settings:expr; $($name:ident),* $(,)?) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let server = $crate::harness::Server::start_with($crate::harness::Engine::Sqlite, $settings);
                super::$name(server.await.unwrap()).await;
            })*
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let server = $crate::harness::Server::start_with($crate::harness::Engine::Postgres, $settings);
                let Some(server) = server.await else { return };
                super::$name(server).await;
            })*
        }
    };
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::harness::Server::start($crate::harness::Engine::Sqlite).await.unwrap()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(server) = $crate::harness::Server::start($crate::harness::Engine::Postgres).await {
                    super::$name(server).await;
                }
            })*
        }
    };
}
pub(crate) use stories;
