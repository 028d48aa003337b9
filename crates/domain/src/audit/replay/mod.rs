//! The books rebuilt from the log.
//!
//! A fold: it is fed with the log's records and the transactions that they tell of, and compared with the accounts at
//! the end. Nothing that is stored is believed: balances, sequences, pointers and states are computed again from
//! nothing.
//!
//! Records come in the order of the leaves. On several nodes that is nearly, not exactly, the order in which an
//! account's entries were booked (a transaction gets its number before it has all its locks), so an entry that comes
//! too early waits for those before it. Memory is per account, not per record; a bank with more accounts than fit is
//! replayed in several slices.

mod account;
mod finding;
mod payments;
mod transaction;

use std::collections::{HashMap, hash_map};

use account::Held;
pub use account::Start;
pub use finding::{FINDINGS_MAX, Finding, Findings, Problem};
pub use payments::PaymentSum;
pub use transaction::check_transaction;

use crate::{
    account::{Account, AccountKind},
    audit::record::SignedRecord,
    hold::Hold,
    id::AccountId,
    transaction::Entry,
};

/// Which accounts a pass looks at: those whose id falls on `index` of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// From 0.
    pub index: u64,
    /// How many slices there are; at least 1.
    pub count: u64,
}

impl Slice {
    /// All accounts.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// Whether an account is looked at.
    pub fn has(self, account: AccountId) -> bool {
        self.has_id(account.as_bytes())
    }

    /// As [`Self::has`], of any other object by its id.
    pub fn has_id(self, id: &[u8; 16]) -> bool {
        let [.., a, b, c, d] = *id;
        u64::from(u32::from_be_bytes([a, b, c, d])).checked_rem(self.count) == Some(self.index)
    }
}

/// The fold.
#[derive(Debug)]
pub struct Replay {
    slice: Slice,
    accounts: HashMap<AccountId, Held>,
    /// Whether accounts begin at nothing; else they begin where [`Replay::begin`] says.
    from_nothing: bool,
}

impl Replay {
    /// From an empty bank.
    pub fn new(slice: Slice) -> Self {
        Self {
            slice,
            accounts: HashMap::new(),
            from_nothing: true,
        }
    }

    /// From a checkpoint on: only accounts that are touched after it are rebuilt and compared.
    pub fn tail() -> Self {
        Self {
            slice: Slice::ALL,
            accounts: HashMap::new(),
            from_nothing: false,
        }
    }

    /// Number of accounts in memory.
    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }

    /// Whether the fold needs to be told where an account stood before this entry.
    pub fn wants_start(&self, entry: &Entry) -> bool {
        !self.from_nothing
            && self
                .accounts
                .get(&entry.account)
                .is_none_or(|held| !held.is_begun())
            && entry.sequence > 1
    }

    /// Whether this pass looks at an account.
    pub fn looks_at(&self, account: AccountId) -> bool {
        self.slice.has(account)
    }

    /// Whether it has seen an account.
    pub fn knows(&self, account: AccountId) -> bool {
        self.accounts.contains_key(&account)
    }

    /// Where an account stood at the checkpoint.
    pub fn begin(&mut self, account: AccountId, start: Start) {
        self.held(account).begin(start);
    }

    fn held(&mut self, account: AccountId) -> &mut Held {
        match self.accounts.entry(account) {
            hash_map::Entry::Occupied(held) => held.into_mut(),
            hash_map::Entry::Vacant(free) => free.insert(Held::default()),
        }
    }

    /// A record of the log: remembers what it says about an account's state and its holds.
    pub fn record(&mut self, record: &SignedRecord) {
        if record.outcome != "ok" {
            return;
        }
        if let Some(hold) = record.details.hold_state()
            && self.slice.has(hold.account)
        {
            self.held(hold.account).hold(record.id, hold);
        }
        if let Some((payment, moved)) = record.details.payment_state()
            && self.slice.has(payment.to_account)
        {
            let booked = record.object_id == *payment.id.as_bytes();
            let before = if booked { None } else { payment.before(moved) };
            self.held(payment.to_account)
                .payments
                .change(before.as_ref(), &payment);
        }
        if record.object_kind != "account" {
            return;
        }
        let Some(state) = record.details.account_state() else {
            return;
        };
        let id = AccountId::from_bytes(record.object_id);
        if self.slice.has(id) {
            self.held(id).state(record, state);
        }
    }

    /// The entries of a transaction.
    pub fn entries(&mut self, entries: &[Entry], findings: &mut Findings) {
        for entry in entries {
            if self.slice.has(entry.account) {
                self.held(entry.account).entry(*entry, findings);
            }
        }
    }

    /// Compares an account as the books hold it, at a moment when all its entries and records were fed.
    /// Tells whether it was one of this pass.
    pub fn compare(&mut self, account: &Account, number: Option<&str>, findings: &mut Findings) -> bool {
        if !self.slice.has(account.id) {
            return false;
        }
        let from_nothing = self.from_nothing;
        if !from_nothing && !self.knows(account.id) {
            return false;
        }
        let held = self.held(account.id);
        held.settle(findings);
        held.compare_entries(account, from_nothing, findings);
        held.compare_state(account, number, from_nothing, findings);
        held.seen();
        true
    }

    /// Compares the open holds of an account as the books hold them.
    pub fn compare_holds(&mut self, account: AccountId, stored: &[Hold], findings: &mut Findings) {
        if self.slice.has(account) {
            let from_nothing = self.from_nothing;
            self.held(account).compare_holds(stored, from_nothing, findings);
        }
    }

    /// Compares the payments to the accounts after one id up to and with another as the books hold them; accounts
    /// without payments may be left out. Only a fold from an empty bank knows them all.
    pub fn compare_payments(
        &self,
        (after, last): (AccountId, AccountId),
        stored: &HashMap<AccountId, PaymentSum>,
        findings: &mut Findings,
    ) {
        if !self.from_nothing {
            return;
        }
        let of_page = |id: &AccountId| *id > after && *id <= last;
        let none = PaymentSum::default();
        let known = |id: &AccountId| self.accounts.get(id).map_or(&none, |held| &held.payments);
        let mut wrong: Vec<AccountId> = stored
            .iter()
            .filter(|(id, sum)| self.slice.has(**id) && known(id) != *sum)
            .map(|(id, _)| *id)
            .collect();
        let missing = |id: &&AccountId| of_page(id) && !stored.contains_key(*id) && *known(id) != none;
        wrong.extend(self.accounts.keys().filter(missing));
        wrong.sort_unstable();
        for id in wrong {
            findings.add("payments", id, Problem::PaymentChanged);
        }
    }

    /// The accounts that the log knows and that [`Self::compare`] was never asked about. Call it when all were.
    pub fn finish(&mut self, findings: &mut Findings) {
        for (id, held) in &mut self.accounts {
            held.settle(findings);
            if !held.is_seen() {
                findings.add("accounts", id, Problem::AccountMissing);
            }
        }
    }
}

/// Whether an account without owner is what the chart has under this id.
fn is_of_the_chart(account: &Account) -> bool {
    match account.kind {
        AccountKind::System(system) => {
            account.owner.is_none()
                && system.id(account.currency) == account.id
                && account.floor.is_none()
                && account.freezes.bits() == 0
                && !account.closed
        }
        AccountKind::Customer(_) => false,
    }
}

#[cfg(test)]
mod tests;
