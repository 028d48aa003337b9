//! The audit log from outside: what it proves, and that nobody changes the books or the log unseen, not even with the
//! database and the keys in hand.

mod bank;
mod forged;
mod forged_books;
mod online;
mod owner;
mod passes;
mod place;
mod receipts;
mod rows;
mod sealing;
mod search;
mod since;
mod start;
mod stolen_keys;
mod tamper;
mod tamper_rows;
mod tamper_standing;

/// Each story below, once per engine.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::place::Kind::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if $crate::place::has_postgres() {
                    super::$name($crate::place::Kind::Postgres).await;
                }
            })*
        }
    };
}
pub(crate) use on_both_engines;
