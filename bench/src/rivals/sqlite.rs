//! A raw SQLite program: one thread, WAL, FULL, prepared statements, one commit per transfer.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};

use super::{ACCOUNTS, Managed};
use crate::{
    cpu,
    draw::{Draw, Pairs, Spread},
    outcome::Outcome,
};

/// What each account has at first: more than a measurement can spend.
const OPENING: i64 = 1_000_000_000;
const SCHEMA: &str = "
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY,
        balance INTEGER NOT NULL CHECK (balance >= 0),
        entries INTEGER NOT NULL DEFAULT 0,
        frozen INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE keys (key BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE transfers (
        id INTEGER PRIMARY KEY,
        from_account INTEGER NOT NULL,
        to_account INTEGER NOT NULL,
        amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL, booked_at INTEGER NOT NULL, key BLOB NOT NULL
    ) STRICT;
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY,
        transfer INTEGER NOT NULL,
        account INTEGER NOT NULL,
        amount INTEGER NOT NULL CHECK (amount <> 0), balance_after INTEGER NOT NULL, booked_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX entries_account ON entries (account, id);
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        principal INTEGER NOT NULL,
        action TEXT NOT NULL, object INTEGER NOT NULL, outcome TEXT NOT NULL, details BLOB NOT NULL, mac BLOB NOT NULL
    ) STRICT;
";

/// The rival's database.
pub(crate) struct RawSqlite {
    folder: tempfile::TempDir,
    connection: Connection,
    draw: Draw,
}

impl RawSqlite {
    pub(crate) fn make() -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("strongroom-bench-").tempdir()?;
        let connection = Connection::open(folder.path().join("raw.db"))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
        )?;
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch("BEGIN")?;
        for id in 1..=ACCOUNTS {
            connection
                .prepare_cached("INSERT INTO accounts (id, balance) VALUES (?1, ?2)")?
                .execute((i64::try_from(id)?, OPENING))?;
        }
        connection.execute_batch("COMMIT")?;
        Ok(Self {
            folder,
            connection,
            draw: Draw::new(9),
        })
    }

    /// Runs for so long and checks the sums.
    pub(crate) fn run(&mut self, spread: Spread, time: Duration) -> Outcome<Managed> {
        let pairs = Pairs::new(spread, ACCOUNTS);
        let (start, used) = (Instant::now(), cpu::thread());
        let mut done = 0_u32;
        while start.elapsed() < time {
            let (from, to) = pairs.next(&mut self.draw);
            let key = self.draw.wide();
            transfer(
                &self.connection,
                i64::try_from(from + 1)?,
                i64::try_from(to + 1)?,
                key,
            )?;
            done += 1;
        }
        let (wall, used) = (start.elapsed().as_secs_f64(), cpu::thread() - used);
        self.check_sums()?;
        let done = f64::from(done.max(1));
        Ok(Managed {
            rate: done / wall,
            mean_ms: wall * 1e3 / done,
            cpu_us: used.as_secs_f64() * 1e6 / done,
        })
    }

    fn check_sums(&self) -> Outcome<()> {
        let sums = "SELECT (SELECT sum(balance) FROM accounts), (SELECT coalesce(sum(amount), 0) FROM entries), \
            (SELECT count(*) FROM transfers) * 2 - (SELECT count(*) FROM entries)";
        let (money, entries, lines): (i64, i64, i64) = self
            .connection
            .query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if money == OPENING * i64::try_from(ACCOUNTS)? && entries == 0 && lines == 0 {
            Ok(())
        } else {
            Err("the raw SQLite program left books that do not balance".into())
        }
    }

    pub(crate) fn remove(self) -> Outcome<()> {
        drop(self.connection);
        Ok(self.folder.close()?)
    }
}

fn transfer(connection: &Connection, from: i64, to: i64, key: u128) -> Outcome<()> {
    let key = key.to_be_bytes();
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<usize> {
        connection.prepare_cached(sql)?.execute(params)
    };
    run("BEGIN IMMEDIATE", &[])?;
    let known: Option<i64> = connection
        .prepare_cached("SELECT at FROM keys WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    if known.is_some() {
        return Err("a random key came twice".into());
    }
    let balance = |id: i64| -> rusqlite::Result<(i64, bool)> {
        connection
            .prepare_cached("SELECT balance, frozen FROM accounts WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    let ((payer, payer_frozen), (payee, payee_frozen)) = (balance(from)?, balance(to)?);
    if payer < 1 || payer_frozen || payee_frozen {
        return Err("the payer has no money".into());
    }
    let at = 1_795_132_800_000_000_i64;
    run(
        "INSERT INTO keys (key, fingerprint, at) VALUES (?1, ?2, ?3)",
        params![key, [0x5a_u8; 56], at],
    )?;
    let update = "UPDATE accounts SET balance = ?2, entries = entries + 1 WHERE id = ?1";
    run(update, params![from, payer - 1])?;
    run(update, params![to, payee + 1])?;
    run(
        "INSERT INTO transfers (from_account, to_account, amount, currency, booked_at, key) VALUES (?1, ?2, 1, 'EUR', ?3, ?4)",
        params![from, to, at, key],
    )?;
    let id = connection.last_insert_rowid();
    let entry = "INSERT INTO entries (transfer, account, amount, balance_after, booked_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    run(entry, params![id, from, -1, payer - 1, at])?;
    run(entry, params![id, to, 1, payee + 1, at])?;
    run(
        "INSERT INTO audit (at, principal, action, object, outcome, details, mac) VALUES (?1, ?2, 'transfer.create', ?3, 'ok', ?4, ?4)",
        params![at, from, id, [0xa5_u8; 32]],
    )?;
    run("COMMIT", &[])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_raw_program_books_transfers_whose_sums_hold() {
        let mut raw = RawSqlite::make().expect("a database");
        let managed = raw
            .run(Spread::Hot, Duration::from_millis(50))
            .expect("transfers");
        assert!(managed.rate > 0.0);
        let count: i64 = raw
            .connection
            .query_row("SELECT count(*) FROM entries", [], |row| row.get(0))
            .expect("a count");
        assert!(count >= 2);
        raw.connection
            .execute("UPDATE accounts SET balance = balance + 1 WHERE id = 1", [])
            .expect("a thief");
        assert!(raw.check_sums().is_err());
    }
}
