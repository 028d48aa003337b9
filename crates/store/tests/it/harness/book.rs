//! What the books must say, kept on paper: one plain list of lines per account.

use std::collections::HashMap;

use strongroom_domain::{id::AccountId, ledger::Changes, time::Timestamp};

/// One line of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) amount: i64,
    pub(crate) balance_after: i64,
    pub(crate) booked_at: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct PaperBank {
    lines: HashMap<AccountId, Vec<Line>>,
}

impl PaperBank {
    /// Writes down what a batch booked; balances are added up here, not taken over.
    pub(crate) fn take(&mut self, changes: &Changes) {
        for entry in &changes.entries {
            let lines = self.lines.entry(entry.account).or_default();
            let before = lines.last().map_or(0, |line| line.balance_after);
            lines.push(Line {
                amount: entry.amount,
                balance_after: before + entry.amount,
                booked_at: entry.booked_at,
            });
        }
    }

    pub(crate) fn lines(&self, account: AccountId) -> &[Line] {
        self.lines.get(&account).map_or(&[], Vec::as_slice)
    }

    /// The balance after the last line booked at `at` or before, by looking at all of them.
    pub(crate) fn balance_at(&self, account: AccountId, at: Timestamp) -> Option<i64> {
        let mut lines = self.lines(account).iter();
        let line = lines.rfind(|line| line.booked_at <= at);
        line.map(|line| line.balance_after)
    }
}
