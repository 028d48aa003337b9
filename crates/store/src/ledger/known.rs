//! What is committed of accounts and customers, remembered for the next batch: the embedded engine has one writer.
//!
//! An entry is what a batch found before it wrote anything, or what it wrote, once it was committed. All of it lies in
//! the head: a batch that finds the head in doubt (a commit of unknown outcome, records in the log that another process
//! wrote) loads a new one, which remembers nothing.

use std::collections::HashMap;

use strongroom_domain::{
    account::Account,
    fraud::Features,
    id::{AccountId, UserId},
    ledger::{Book, Changes},
    limits::{CustomerLimits, LimitsOfAccounts},
    money::Currency,
};

/// Accounts that are remembered, at most: some ten megabytes.
const ACCOUNTS_MAX: usize = 32_768;
/// Customers' limits that are remembered, at most: some ten megabytes.
const CUSTOMERS_MAX: usize = 8_192;

/// What the limits and the rules about fraud know of a customer, per currency.
#[derive(Debug, Clone)]
pub(super) struct KnownCustomer {
    pub(super) limits: CustomerLimits,
    pub(super) accounts: Option<LimitsOfAccounts>,
    pub(super) features: Option<Features>,
}

impl KnownCustomer {
    /// Whether who reads it decides like who remembers it.
    fn reads_back(&self) -> bool {
        let Self {
            limits,
            accounts,
            features,
        } = self;
        CustomerLimits::from_bytes(&limits.to_bytes()).as_ref() == Some(limits)
            && accounts
                .as_ref()
                .is_none_or(|known| LimitsOfAccounts::from_bytes(&known.to_bytes()).as_ref() == Some(known))
            && features
                .as_ref()
                .is_none_or(|known| Features::from_bytes(&known.to_bytes()).as_ref() == Some(known))
    }
}

/// What is remembered. Whoever reaches a bound begins again.
#[derive(Debug, Default)]
pub(crate) struct Known {
    accounts: HashMap<AccountId, Account>,
    customers: HashMap<(UserId, Currency), KnownCustomer>,
}

impl Known {
    pub(super) fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    pub(super) fn customer(&self, key: &(UserId, Currency)) -> Option<&KnownCustomer> {
        self.customers.get(key)
    }

    /// Remembers an account as it was found by a batch that wrote nothing yet.
    pub(super) fn found_account(&mut self, account: &Account) {
        make_room(&mut self.accounts, ACCOUNTS_MAX);
        self.accounts.insert(account.id, account.clone());
    }

    /// Remembers a customer as found by a batch that wrote nothing yet.
    pub(super) fn found_customer(&mut self, key: (UserId, Currency), known: KnownCustomer) {
        make_room(&mut self.customers, CUSTOMERS_MAX);
        self.customers.insert(key, known);
    }

    /// Remembers what this batch wrote. It is committed.
    pub(super) fn committed(&mut self, mut book: Book, changes: &Changes) {
        for id in &changes.touched {
            if let Some(account) = book.accounts.remove(id) {
                make_room(&mut self.accounts, ACCOUNTS_MAX);
                self.accounts.insert(*id, account);
            }
        }
        for key in changes.customers.iter().chain(&changes.limits) {
            if let Some(limits) = book.limits.remove(key) {
                let known = KnownCustomer {
                    limits,
                    accounts: book.account_limits.remove(key),
                    features: book.fraud.rows.remove(key),
                };
                debug_assert!(
                    known.reads_back(),
                    "what is stored of a customer is what was decided"
                );
                self.found_customer(*key, known);
            }
        }
    }
}

fn make_room<K, V>(known: &mut HashMap<K, V>, most: usize) {
    if known.len() >= most {
        known.clear();
    }
}
