//! What is committed of accounts, remembered for the next batch: the embedded engine has one writer of them.
//!
//! An entry is what a batch found before it wrote anything, or what it wrote, once it was committed. All of it lies in
//! the head: a batch that finds the head in doubt (a commit of unknown outcome, records in the log that another process
//! wrote) loads a new one, which remembers nothing. What others than the lane write is not remembered: limits of
//! customers are lowered with a login's reset.

use std::collections::HashMap;

use strongroom_domain::{
    account::Account,
    id::AccountId,
    ledger::{Book, Changes},
};

/// Accounts that are remembered, at most: some ten megabytes. Whoever reaches the bound begins again.
const ACCOUNTS_MAX: usize = 32_768;

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<AccountId, Account>);

impl Known {
    pub(super) fn account(&self, id: &AccountId) -> Option<&Account> {
        self.0.get(id)
    }

    /// Remembers an account as it was found by a batch that wrote nothing yet.
    pub(super) fn found(&mut self, account: &Account) {
        self.keep(account.clone());
    }

    /// Remembers what this batch wrote. It is committed.
    pub(super) fn committed(&mut self, mut book: Book, changes: &Changes) {
        for id in &changes.touched {
            if let Some(account) = book.accounts.remove(id) {
                self.keep(account);
            }
        }
    }

    fn keep(&mut self, account: Account) {
        if self.0.len() >= ACCOUNTS_MAX {
            self.0.clear();
        }
        self.0.insert(account.id, account);
    }
}
