//! One account, rebuilt from its entries and the records about it.

use std::collections::{BTreeMap, HashMap};

use crate::{
    account::{Account, SkipPath},
    audit::{
        record::{Opening, SignedRecord, number_digest},
        replay::{Findings, PaymentSum, Problem, is_of_the_chart},
    },
    hold::{Hold, HoldState},
    id::HoldId,
    time::Timestamp,
    transaction::Entry,
};

/// Most entries of one account that wait for an earlier one: more than all nodes together have in a batch. When it is
/// reached an entry is missing, and the account goes on from there.
const WAITING_MAX: usize = 8_192;

/// Ended holds of one account that are remembered, because an older record about them may still come: more than all
/// nodes together have in a batch.
const ENDED_MAX: usize = 8_192;

/// Where an account stood at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Sum of its entries.
    pub balance: i64,
    /// Number of its entries.
    pub entries: u64,
    /// When the newest was booked.
    pub booked_at: Timestamp,
    /// The way back; `None` where it could not be read.
    pub path: Option<SkipPath>,
}

/// What a record says of an account's state: freezes, closed, floor.
type State = (u8, bool, Option<i64>);

/// What the log says of an account so far.
#[derive(Debug, Default)]
pub(super) struct Held {
    balance: i64,
    entries: u64,
    booked_at: Timestamp,
    path: SkipPath,
    /// A gap in the entries: pointers across it cannot be computed.
    path_lost: bool,
    /// Entries that came before those in front of them.
    waiting: BTreeMap<u64, Entry>,
    /// The newest record about the state, by id.
    state: Option<(i64, State)>,
    opening: Option<Opening>,
    /// By hold: the newest record about it. Of those that have ended the newest [`ENDED_MAX`] are kept.
    holds: HashMap<HoldId, (i64, Hold)>,
    /// What was paid to it.
    pub(super) payments: PaymentSum,
    begun: bool,
    seen: bool,
}

impl Held {
    pub(super) fn begin(&mut self, start: Start) {
        self.balance = start.balance;
        self.entries = start.entries;
        self.booked_at = start.booked_at;
        self.path_lost = start.path.is_none();
        self.path = start.path.unwrap_or_default();
        self.begun = true;
    }

    pub(super) const fn is_begun(&self) -> bool {
        self.begun
    }

    pub(super) const fn seen(&mut self) {
        self.seen = true;
    }

    pub(super) const fn is_seen(&self) -> bool {
        self.seen
    }

    /// Record ids ascend in the order of the locks, so the largest is the newest whatever order they come in.
    pub(super) fn state(&mut self, record: &SignedRecord, state: State) {
        if self.state.is_none_or(|(newest, _)| newest < record.id) {
            self.state = Some((record.id, state));
        }
        if let Some(opening) = record.details.opened_as() {
            self.opening = Some(opening);
            // An account's time begins with its opening.
            self.booked_at = self.booked_at.max(Timestamp::from_micros(record.at));
        }
    }

    /// As [`Self::state`]: the record with the largest id is the newest.
    pub(super) fn hold(&mut self, record: i64, hold: Hold) {
        let known = self
            .holds
            .entry(hold.id)
            .or_insert_with(|| (record, hold.clone()));
        if known.0 < record {
            *known = (record, hold);
        }
        if self.holds.len() > ENDED_MAX.saturating_mul(2) {
            self.forget_ended();
        }
    }

    fn forget_ended(&mut self) {
        let ended = |entry: &(i64, Hold)| entry.1.state != HoldState::Open;
        let mut records: Vec<i64> = self
            .holds
            .values()
            .filter(|entry| ended(entry))
            .map(|entry| entry.0)
            .collect();
        records.sort_unstable_by(|a, b| b.cmp(a));
        let oldest_kept = records.get(ENDED_MAX).copied().unwrap_or(i64::MIN);
        self.holds
            .retain(|_, entry| !ended(entry) || entry.0 > oldest_kept);
    }

    fn open_holds(&self) -> impl Iterator<Item = &Hold> {
        let newest = self.holds.values().map(|(_, hold)| hold);
        newest.filter(|hold| hold.state == HoldState::Open)
    }

    /// The open holds that the log knows, against those of the table.
    pub(super) fn compare_holds(&self, stored: &[Hold], from_nothing: bool, findings: &mut Findings) {
        for hold in stored {
            match self.holds.get(&hold.id) {
                Some((_, known)) if known == hold => {}
                None if !from_nothing => {}
                _ => findings.add("holds", hold.id, Problem::HoldChanged),
            }
        }
        for known in self.open_holds() {
            if !stored.iter().any(|hold| hold.id == known.id) {
                findings.add("holds", known.id, Problem::HoldMissing);
            }
        }
    }

    pub(super) fn entry(&mut self, entry: Entry, findings: &mut Findings) {
        self.begun = true;
        let next = self.entries.saturating_add(1);
        if entry.sequence == next {
            self.append(&entry, findings);
            self.take_waiting(findings);
        } else if entry.sequence > next {
            if self.waiting.insert(entry.sequence, entry).is_some() {
                findings.add("entries", entry.id, Problem::SequenceWrong);
            }
            if self.waiting.len() >= WAITING_MAX {
                self.skip_gap(findings);
            }
        } else {
            findings.add("entries", entry.id, Problem::SequenceWrong);
        }
    }

    fn append(&mut self, entry: &Entry, findings: &mut Findings) {
        let balance = self.balance.checked_add(entry.amount);
        if balance != Some(entry.balance_after) {
            findings.add("entries", entry.id, Problem::BalanceWrong);
        }
        if entry.booked_at < self.booked_at {
            findings.add("entries", entry.id, Problem::TimeWrong);
        }
        if !self.path_lost {
            if entry.id > self.path.head().unwrap_or(0) {
                let links = self.path.push(entry.id);
                if (links.prev, links.jump) != (entry.prev, entry.jump) {
                    findings.add("entries", entry.id, Problem::LinksWrong);
                }
            } else {
                findings.add("entries", entry.id, Problem::LinksWrong);
                self.path_lost = true;
            }
        }
        self.balance = balance.unwrap_or(entry.balance_after);
        self.entries = entry.sequence;
        self.booked_at = self.booked_at.max(entry.booked_at);
    }

    fn take_waiting(&mut self, findings: &mut Findings) {
        while let Some(entry) = self.waiting.remove(&self.entries.saturating_add(1)) {
            self.append(&entry, findings);
        }
    }

    /// Goes on behind a gap, and says in which row it shows.
    fn skip_gap(&mut self, findings: &mut Findings) {
        let Some((_, entry)) = self.waiting.pop_first() else {
            return;
        };
        findings.add("entries", entry.id, Problem::SequenceWrong);
        // The sum goes on from what is there: the missing amount shows in the balance at the end.
        self.entries = entry.sequence.saturating_sub(1);
        self.balance = entry.balance_after.saturating_sub(entry.amount);
        self.path_lost = true;
        self.append(&entry, findings);
        self.take_waiting(findings);
    }

    /// When nothing more can come in front of what waits.
    pub(super) fn settle(&mut self, findings: &mut Findings) {
        while !self.waiting.is_empty() {
            self.skip_gap(findings);
        }
    }

    pub(super) fn compare_entries(&self, account: &Account, from_nothing: bool, findings: &mut Findings) {
        if !from_nothing && !self.begun {
            return;
        }
        let reserved: i64 = self.open_holds().map(Hold::reserved).fold(0, i64::saturating_add);
        let open = self.open_holds().count();
        let first = self.open_holds().map(|hold| hold.expires_at).min();
        let checks = [
            (account.balance == self.balance, Problem::StateBalance),
            (account.entries == self.entries, Problem::StateEntries),
            (self.path_lost || account.path == self.path, Problem::StatePath),
            (self.is_time(account), Problem::StateTime),
            (!from_nothing || account.held == reserved, Problem::StateHeld),
            (
                !from_nothing || usize::try_from(account.holds) == Ok(open),
                Problem::StateHeld,
            ),
            // A moment that lies too late would let a hold outlive its time.
            (
                !from_nothing || first.is_none_or(|first| account.hold_due.is_some_and(|due| due <= first)),
                Problem::StateHeld,
            ),
        ];
        for (holds, problem) in checks {
            if !holds {
                findings.add("account_states", account.id, problem);
            }
        }
    }

    /// The chart's accounts are opened by the first account in their currency, whose record tells the time.
    fn is_time(&self, account: &Account) -> bool {
        account.last_booked_at == self.booked_at || (account.owner.is_none() && self.entries == 0)
    }

    pub(super) fn compare_state(
        &self,
        account: &Account,
        number: Option<&str>,
        from_nothing: bool,
        findings: &mut Findings,
    ) {
        if account.owner.is_none() {
            if !is_of_the_chart(account) {
                findings.add("accounts", account.id, Problem::AccountChanged);
            }
            return;
        }
        match (&self.opening, from_nothing) {
            (Some(opening), _) if *opening != opening_of(account, number) => {
                findings.add("accounts", account.id, Problem::AccountChanged);
            }
            (None, true) => findings.add("accounts", account.id, Problem::AccountUnrecorded),
            _ => {}
        }
        let Some((_, (freezes, closed, floor))) = self.state else {
            return;
        };
        let checks = [
            (account.freezes.bits() == freezes, Problem::StateFreezes),
            (account.closed == closed, Problem::StateClosed),
            (account.floor == floor, Problem::StateFloor),
        ];
        for (holds, problem) in checks {
            if !holds {
                findings.add("account_states", account.id, problem);
            }
        }
    }
}

fn opening_of(account: &Account, number: Option<&str>) -> Opening {
    Opening {
        owner: account.owner.as_ref().map_or([0; 16], |owner| *owner.as_bytes()),
        ledger_code: account.kind.ledger_code(),
        currency: account.currency.code_bytes(),
        number: number_digest(account.id, number.unwrap_or_default()),
    }
}
