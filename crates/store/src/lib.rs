//! The only crate with SQL. It sees sealed bytes and ids, never a key and never a readable name.
//!
//! Two engines behind one surface: SQLite embedded, PostgreSQL for several nodes. The control plane has one query text
//! for both, through SeaORM. What forks, each in one file per engine: the ledger lane ([`ledger`]), the hot reads, the
//! migrations' SQL.
//!
//! * [`Store::open`] connects, migrates where it may, and checks that the database is set up to be durable
//! * [`Store::read`] and [`Store::write`] open a transaction for the control plane
//! * [`Store::lane`] gives the one writer of the books

pub mod audit;
mod epoch;
mod error;
pub mod identity;
mod keys;
pub mod ledger;
mod maintain;
mod migrations;
mod people;
mod postgres;
mod settings;
mod sqlite;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;

pub use epoch::{Delta, REVOCATIONS_READ_MAX, Revoked};
pub use error::StoreError;
pub use keys::{KeyCheckRow, KeyRotationRow};
pub use maintain::{KEYS_KEPT_SECONDS, Maintained};
pub use people::NewUser;
pub use settings::{DatabaseUrl, StoreSettings};
pub use store::{BankRow, Engine, PoolSize, Store};
pub use tx::{ReadTx, RecordSlot, Scope, WriteTx};
