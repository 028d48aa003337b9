//! What the limits know of customers, on SQLite, within the batch's transaction.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, params};
use strongroom_domain::{
    account::Account,
    fraud::Features,
    id::{AccountId, UserId},
    ledger::{Book, Changes},
    limits::{CustomerLimits, LimitsOfAccounts},
    money::Currency,
};

use crate::{
    error::StoreError,
    ledger::{
        LaneCounters, Need,
        leases::{Ask, LEASE_SQLITE},
        rows::{account_limits, customer_limits},
    },
};

/// Something per customer and currency.
type ByCustomer<T> = HashMap<(UserId, Currency), T>;

/// What the rows of customers say.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) limits: ByCustomer<CustomerLimits>,
    pub(super) accounts: ByCustomer<LimitsOfAccounts>,
    pub(super) features: ByCustomer<Features>,
}

pub(super) fn find_limits(
    connection: &Connection,
    need: &Need,
    accounts: &HashMap<AccountId, Account>,
    counters: &mut LaneCounters,
) -> Result<Known, StoreError> {
    let customers: BTreeSet<(UserId, Currency)> = accounts
        .values()
        .filter_map(|account| account.owner.map(|owner| (owner, account.currency)))
        .chain(need.customers.iter().copied())
        .collect();
    let mut found = Known {
        limits: HashMap::with_capacity(customers.len()),
        accounts: HashMap::new(),
        features: HashMap::with_capacity(customers.len()),
    };
    let mut find = connection.prepare_cached(
        "SELECT state, features, accounts FROM customer_limits WHERE owner = ?1 AND currency = ?2",
    )?;
    for key in customers {
        counters.statements += 1;
        let row = find
            .query_row(params![key.0.as_bytes(), key.1.code()], |row| {
                let (known, accounts): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
                Ok((row.get::<_, Vec<u8>>(0)?, known, accounts))
            })
            .optional()?;
        if let Some((state, known, accounts)) = row {
            found.limits.insert(key, customer_limits(&state)?);
            let accounts = account_limits(accounts.as_deref())?;
            found.accounts.extend(accounts.map(|accounts| (key, accounts)));
            // What cannot be read is not there: rules look at whoever has no row.
            let known = known.and_then(|known| Features::from_bytes(&known));
            found.features.extend(known.map(|known| (key, known)));
        }
    }
    Ok(found)
}

/// Takes more of what the bank lets all customers pay on a day. The row moves with the batch.
pub(super) fn lease(
    connection: &Connection,
    ask: &Ask,
    counters: &mut LaneCounters,
) -> Result<i64, StoreError> {
    counters.statements += 1;
    let values = params![ask.currency.code(), ask.day.days(), ask.amount, ask.limit];
    Ok(connection
        .prepare_cached(LEASE_SQLITE)?
        .query_row(values, |row| row.get(0))?)
}

pub(super) fn write_limits(
    connection: &Connection,
    book: &Book,
    changes: &Changes,
    counters: &mut LaneCounters,
) -> Result<(), StoreError> {
    const INSERT: &str = "INSERT INTO customer_limits (owner, currency, state, features, accounts) VALUES (?1, ?2, ?3, ?4, ?5)";
    const UPDATE: &str = "UPDATE customer_limits SET state = ?3, features = coalesce(?4, features), \
        accounts = coalesce(?5, accounts) \
        WHERE owner = ?1 AND currency = ?2";
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
                limits.to_bytes(),
                book.fraud.rows.get(key).map(Features::to_bytes),
                book.account_limits.get(key).map(LimitsOfAccounts::to_bytes)
            ])?;
            if written != 1 {
                return Err(StoreError::Corrupt("changed limits not in the books"));
            }
        }
    }
    Ok(())
}
