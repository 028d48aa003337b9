//! What the limits know of customers: one query text for both engines.

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use strongroom_domain::{
    id::{AccountId, UserId},
    limits::{CustomerLimits, LimitsOfAccounts},
    money::Currency,
    time::Timestamp,
};
use uuid::Uuid;

use super::sql::uuid;
use crate::{
    error::StoreError,
    ledger::rows::{account_limits, currency_of, customer_limits},
    store::Store,
    tx::{WriteTx, rows},
};

#[derive(Debug, FromQueryResult)]
struct LimitsSql {
    currency: String,
    state: Vec<u8>,
}

#[derive(Debug, FromQueryResult)]
struct AccountSql {
    id: Uuid,
}

const LIMITS: &str = "SELECT currency, state FROM customer_limits WHERE owner = $1 ORDER BY currency";
const LIMITS_LOCKED: &str =
    "SELECT currency, state FROM customer_limits WHERE owner = $1 ORDER BY currency FOR UPDATE";
const UPDATE: &str = "UPDATE customer_limits SET state = $3 WHERE owner = $1 AND currency = $2";
const ACCOUNT_IN: &str = "SELECT a.id FROM accounts a JOIN account_states s ON s.account_id = a.id \
    WHERE a.owner = $1 AND a.currency = $2 ORDER BY s.closed, a.id LIMIT 1";

#[derive(Debug, FromQueryResult)]
struct AccountsSql {
    state: Vec<u8>,
    accounts: Option<Vec<u8>>,
}

const OF_ACCOUNTS: &str = "SELECT state, accounts FROM customer_limits WHERE owner = $1 AND currency = $2";

impl Store {
    /// A customer's limits in a currency, and those of single accounts; `None` without an account in it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn limits_of_accounts(
        &self,
        owner: UserId,
        currency: Currency,
    ) -> Result<Option<(CustomerLimits, LimitsOfAccounts)>, StoreError> {
        let values = vec![uuid(owner.as_bytes()).into(), currency.code().into()];
        let found: Vec<AccountsSql> = rows(self.books(), OF_ACCOUNTS, values).await?;
        let read = |row: AccountsSql| {
            let accounts = account_limits(row.accounts.as_deref())?.unwrap_or_default();
            Ok((customer_limits(&row.state)?, accounts))
        };
        found.into_iter().next().map(read).transpose()
    }

    /// A customer's limits, by currency; those in which the customer has or had an account.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn customer_limits(
        &self,
        owner: UserId,
    ) -> Result<Vec<(Currency, CustomerLimits)>, StoreError> {
        let found = rows(self.books(), LIMITS, vec![uuid(owner.as_bytes()).into()]).await?;
        found.into_iter().map(limits).collect()
    }

    /// One of a customer's accounts in a currency, an open one where there is one.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn account_in(
        &self,
        owner: UserId,
        currency: Currency,
    ) -> Result<Option<AccountId>, StoreError> {
        let values = vec![uuid(owner.as_bytes()).into(), currency.code().into()];
        let found: Vec<AccountSql> = rows(self.books(), ACCOUNT_IN, values).await?;
        let first = found.into_iter().next();
        Ok(first.map(|row| AccountId::from_bytes(row.id.into_bytes())))
    }
}

impl WriteTx {
    /// Holds a customer to the floor of the limits from now on, after signs of a takeover. Takes the rights lock alone.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn hold_to_floor(&mut self, owner: UserId, at: Timestamp) -> Result<(), StoreError> {
        // Batches take it before these rows: the other way round, each would wait for the other.
        self.lock_rights().await?;
        // On SQLite whoever writes writes alone.
        let text = match self.tx.get_database_backend() {
            DbBackend::Postgres => LIMITS_LOCKED,
            _ => LIMITS,
        };
        let found: Vec<LimitsSql> = rows(&self.tx, text, vec![uuid(owner.as_bytes()).into()]).await?;
        for row in found {
            let (currency, mut state) = limits(row)?;
            state.take_over_suspected(at);
            let values = vec![
                uuid(owner.as_bytes()).into(),
                currency.code().into(),
                state.to_bytes().into(),
            ];
            self.execute(UPDATE, values).await?;
        }
        Ok(())
    }
}

fn limits(row: LimitsSql) -> Result<(Currency, CustomerLimits), StoreError> {
    Ok((currency_of(&row.currency)?, customer_limits(&row.state)?))
}
