//! What does not fit, and in which row.

use std::fmt;

/// Most findings that are kept; more are only counted. A person needs the first ones, and memory is bounded.
pub const FINDINGS_MAX: usize = 1_000;

macro_rules! problems {
    ($($variant:ident = $code:literal, $text:literal;)*) => {
        /// What is wrong with a row.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Problem { $(#[doc = $text] $variant,)* }

        impl Problem {
            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// For people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

problems! {
    Unreadable = "unreadable", "the row holds values that this program never writes";
    LeafMissing = "leaf_missing", "the leaf of this position is missing";
    LeafAgain = "leaf_again", "a second leaf of a record that has one";
    RecordMissing = "record_missing", "the audit record of this leaf is missing";
    RecordChanged = "record_changed", "the audit record is not the one that the leaf was made of";
    MacWrong = "mac_wrong", "the record was not signed by the node's audit key";
    MacKeyUnknown = "mac_key_unknown", "the audit key that the record names is not in the keyring";
    DecisionsChanged = "decisions_changed", "the decisions of this batch are not those that its audit record was made of";
    DecisionsMissing = "decisions_missing", "decisions of this batch are missing";
    DecisionsUnrecorded = "decisions_unrecorded", "decisions that no audit record tells of";
    RecordUnsealed = "record_unsealed", "the audit record has no leaf";
    NodeMissing = "node_missing", "an inner node of the tree is missing";
    NodeWrong = "node_wrong", "an inner node of the tree is not the hash of what is below it";
    NodeStray = "node_stray", "an inner node of the tree that the log is too short for";
    HeadWrong = "head_wrong", "the sealer's position is not the end of the log";
    CheckpointShort = "checkpoint_short", "the log is shorter than this checkpoint says: its tail was cut off or an old copy was put back";
    CheckpointBeside = "checkpoint_beside", "the log does not continue this checkpoint: it was rewritten";
    TransactionMissing = "transaction_missing", "the transaction that the audit record is about is missing";
    TransactionUnrecorded = "transaction_unrecorded", "the transaction has no audit record";
    TransactionChanged = "transaction_changed", "the transaction or its entries are not what the audit record was made of";
    EntryMissing = "entry_missing", "an entry of this transaction is missing";
    EntryStray = "entry_stray", "the entry belongs to no transaction";
    EntryChanged = "entry_changed", "the entry does not agree with its transaction";
    Unbalanced = "unbalanced", "debits and credits of the transaction differ";
    SequenceWrong = "sequence_wrong", "the entry is out of its account's order, or one before it is missing";
    BalanceWrong = "balance_wrong", "the balance after the entry is not the balance before and the amount";
    TimeWrong = "time_wrong", "the entry is older than the account's previous one";
    LinksWrong = "links_wrong", "the entry's pointers to earlier entries are wrong";
    StateBalance = "state_balance", "the account's balance is not the sum of its entries";
    StateEntries = "state_entries", "the account's number of entries is wrong";
    StateTime = "state_time", "the account's last booking time is wrong";
    StatePath = "state_path", "the account's pointers to its entries are wrong";
    StateHeld = "state_held", "what is reserved on the account is not the sum of its open holds";
    HoldChanged = "hold_changed", "the hold is not as the log left it";
    HoldMissing = "hold_missing", "a hold that is open by the log is not open in the table";
    PaymentChanged = "payment_changed", "the payments to this account are not those of the log";
    StateFreezes = "state_freezes", "the account's freezes are not those of the log";
    StateClosed = "state_closed", "the account is closed or open against the log";
    StateFloor = "state_floor", "the account's floor is not that of the log";
    AccountMissing = "account_missing", "an account that the log knows is missing";
    AccountUnrecorded = "account_unrecorded", "the opening of the account is not in the log";
    AccountChanged = "account_changed", "owner, kind, currency or number are not those of the opening";
    RowChanged = "row_changed", "the row is not what the newest audit record about it says";
    RowMissing = "row_missing", "the row that the audit log tells of is missing";
    RowUnrecorded = "row_unrecorded", "no audit record tells of this row, or the newest one says that it is gone";
}

/// One row that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In which table, or `checkpoint`.
    pub table: &'static str,
    /// Which row, by its key.
    pub row: String,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.table, self.row, self.problem.text())
    }
}

/// What was found, bounded.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    count: u64,
}

impl Findings {
    /// Adds one.
    pub fn add(&mut self, table: &'static str, row: impl fmt::Display, problem: Problem) {
        self.count = self.count.saturating_add(1);
        if self.kept.len() < FINDINGS_MAX {
            let row = row.to_string();
            self.kept.push(Finding { table, row, problem });
        }
    }

    /// The first [`FINDINGS_MAX`].
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// How many there were.
    pub const fn count(&self) -> u64 {
        self.count
    }
}
