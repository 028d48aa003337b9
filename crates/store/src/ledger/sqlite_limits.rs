//! What the limits know of customers, on SQLite, within the batch's transaction.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, params};
use strongroom_domain::{
    account::Account,
    id::{AccountId, UserId},
    ledger::{Book, Changes},
    limits::CustomerLimits,
    money::Currency,
};

use crate::{
    error::StoreError,
    ledger::{LaneCounters, Need, rows::customer_limits},
};

pub(super) fn find_limits(
    connection: &Connection,
    need: &Need,
    accounts: &HashMap<AccountId, Account>,
    counters: &mut LaneCounters,
) -> Result<HashMap<(UserId, Currency), CustomerLimits>, StoreError> {
    let customers: BTreeSet<(UserId, Currency)> = accounts
        .values()
        .filter_map(|account| account.owner.map(|owner| (owner, account.currency)))
        .chain(need.customers.iter().copied())
        .collect();
    let mut found = HashMap::with_capacity(customers.len());
    let mut find =
        connection.prepare_cached("SELECT state FROM customer_limits WHERE owner = ?1 AND currency = ?2")?;
    for (owner, currency) in customers {
        counters.statements += 1;
        let state: Option<Vec<u8>> = find
            .query_row(params![owner.as_bytes(), currency.code()], |row| row.get(0))
            .optional()?;
        if let Some(state) = state {
            found.insert((owner, currency), customer_limits(&state)?);
        }
    }
    Ok(found)
}

pub(super) fn write_limits(
    connection: &Connection,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    const INSERT: &str = "INSERT INTO customer_limits (owner, currency, state) VALUES (?1, ?2, ?3)";
    const UPDATE: &str = "UPDATE customer_limits SET state = ?3 WHERE owner = ?1 AND currency = ?2";
    for (text, keys) in [(INSERT, &changes.customers), (UPDATE, &changes.limits)] {
        for key in keys {
            let limits = book
                .limits
                .get(key)
                .ok_or(StoreError::Corrupt("changed limits not in the book"))?;
            let (owner, currency) = key;
            counters.statements += 1;
            let written = connection.prepare_cached(text)?.execute(params![
                owner.as_bytes(),
                currency.code(),
                limits.to_bytes()
            ])?;
            if written != 1 {
                return Err(StoreError::Corrupt("changed limits not in the books"));
            }
        }
    }
    Ok(())
}
