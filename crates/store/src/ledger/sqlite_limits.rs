//! What the limits know of customers, on SQLite, within the batch's transaction.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, Statement, params};
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
        known::{Known, KnownCustomer},
        leases::{Ask, LEASE_SQLITE},
        rows::{account_limits, customer_limits},
    },
};

/// Something per customer and currency.
type ByCustomer<T> = HashMap<(UserId, Currency), T>;

/// What the rows of customers say.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) limits: ByCustomer<CustomerLimits>,
    pub(super) accounts: ByCustomer<LimitsOfAccounts>,
    pub(super) features: ByCustomer<Features>,
}

pub(super) fn find_limits(
    connection: &Connection,
    known: &mut Known,
    need: &Need,
    accounts: &HashMap<AccountId, Account>,
    counters: &mut LaneCounters,
) -> Result<Found, StoreError> {
    let customers: BTreeSet<(UserId, Currency)> = accounts
        .values()
        .filter_map(|account| account.owner.map(|owner| (owner, account.currency)))
        .chain(need.customers.iter().copied())
        .collect();
    let mut found = Found {
        limits: HashMap::with_capacity(customers.len()),
        accounts: HashMap::new(),
        features: HashMap::with_capacity(customers.len()),
    };
    let mut find = connection.prepare_cached(
        "SELECT state, features, accounts FROM customer_limits WHERE owner = ?1 AND currency = ?2",
    )?;
    for key in customers {
        let customer = match known.customer(&key) {
            Some(customer) => customer.clone(),
            None => {
                counters.statements += 1;
                let Some(customer) = find_customer(&mut find, key)? else {
                    continue;
                };
                known.found_customer(key, customer.clone());
                customer
            }
        };
        found.limits.insert(key, customer.limits);
        found
            .accounts
            .extend(customer.accounts.map(|accounts| (key, accounts)));
        found
            .features
            .extend(customer.features.map(|features| (key, features)));
    }
    Ok(found)
}

fn find_customer(
    find: &mut Statement<'_>,
    (owner, currency): (UserId, Currency),
) -> Result<Option<KnownCustomer>, StoreError> {
    let row = find
        .query_row(params![owner.as_bytes(), currency.code()], |row| {
            let (features, accounts): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
            Ok((row.get::<_, Vec<u8>>(0)?, features, accounts))
        })
        .optional()?;
    let Some((state, features, accounts)) = row else {
        return Ok(None);
    };
    Ok(Some(KnownCustomer {
        limits: customer_limits(&state)?,
        accounts: account_limits(accounts.as_deref())?,
        // What cannot be read is not there: rules look at whoever has no row.
        features: features.and_then(|features| Features::from_bytes(&features)),
    }))
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
