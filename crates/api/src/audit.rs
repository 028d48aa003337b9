//! The books and the audit log as operators see them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use strongroom_domain::audit::Hash;
use utoipa::ToSchema;

/// One line of the trial balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"kind": "checking", "ledger_code": 2000, "class": "liability", "currency": "EUR", "accounts": 12, "debit": 0, "credit": 125000}))]
pub struct TrialBalanceLine {
    /// Kind of account.
    pub kind: String,
    /// Its code in the chart of accounts.
    pub ledger_code: u16,
    /// `asset`, `liability`, `equity`, `income` or `expense`.
    pub class: String,
    /// Currency.
    pub currency: String,
    /// How many accounts.
    pub accounts: i64,
    /// Minor units in debit.
    pub debit: i64,
    /// Minor units in credit.
    pub credit: i64,
}

/// Debits and credits of one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialBalanceTotal {
    /// Currency.
    pub currency: String,
    /// Minor units in debit.
    pub debit: i64,
    /// Minor units in credit; equal to the debits in sound books.
    pub credit: i64,
}

/// The trial balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialBalance {
    /// Whether debits equal credits in every currency.
    pub balanced: bool,
    /// By currency and kind.
    pub lines: Vec<TrialBalanceLine>,
    /// By currency.
    pub totals: Vec<TrialBalanceTotal>,
}

/// A row that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"table": "entries", "row": "4711", "code": "balance_wrong",
    "detail": "the balance after the entry is not the balance before and the amount"}))]
pub struct Finding {
    /// In which table, or `checkpoint`.
    pub table: String,
    /// Which row, by its key.
    pub row: String,
    /// Stable name of what is wrong.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// What a verification checked and found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// Whether everything fits.
    pub clean: bool,
    /// Number of leaves of the log.
    pub size: u64,
    /// Base64: root of the verified log.
    pub root: String,
    /// Records checked.
    pub records: u64,
    /// Transactions checked.
    pub transactions: u64,
    /// Entries checked.
    pub entries: u64,
    /// Accounts rebuilt and compared.
    pub accounts: u64,
    /// Records that no leaf covers yet.
    pub unsealed: u64,
    /// Checkpoints that the log was shown to continue.
    pub checkpoints: u64,
    /// How many rows do not fit.
    pub findings_count: u64,
    /// The first 1,000 of them.
    pub findings: Vec<Finding>,
}

/// How far the online check is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerCheck {
    /// `running` or `finished`.
    pub state: String,
    /// When it was asked for.
    pub started_at: String,
    /// Records checked so far.
    pub records: u64,
    /// The outcome, once it is finished.
    pub result: Option<Verification>,
}

/// The newest signed head of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogCheckpoint {
    /// The signed note; `null` while nothing was sealed.
    pub checkpoint: Option<String>,
    /// Number of leaves that it covers.
    pub size: u64,
    /// The log's public keys, active first: keep them where the bank's operators cannot write.
    pub keys: Vec<String>,
    /// The newest head that each witness cosigned, as it was cosigned.
    pub cosigned: Vec<String>,
}

/// An audit record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// Its id.
    pub id: i64,
    /// Its position in the log.
    pub leaf: u64,
    /// When.
    pub at: String,
    /// The request that caused it.
    pub request_id: String,
    /// `anonymous`, `user`, `api_key`, `job` or `cli`.
    pub principal_kind: String,
    /// Who; hexadecimal digits of the id, or `null` where there is nobody.
    pub principal: Option<String>,
    /// In which session.
    pub session_id: Option<String>,
    /// `api`, `web`, `cli` or `job`.
    pub origin: String,
    /// What was done or refused.
    pub action: String,
    /// Kind of object.
    pub object_kind: String,
    /// The object's id, with its prefix where it has one.
    pub object: Option<String>,
    /// `ok`, or the code of the refusal.
    pub outcome: String,
    /// Version of the policy that decided.
    pub policy: i32,
    /// What changed, where the record tells it in words.
    pub details: Option<serde_json::Value>,
}

/// Proof that an audit record is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordProof {
    /// The record's id.
    pub record_id: i64,
    /// Base64: the record without who acted.
    pub record: String,
    /// Base64: commitment to who acted.
    pub caller: String,
    /// Its position in the log.
    pub leaf: u64,
    /// Base64: hashes from the leaf's sibling upwards.
    #[schema(max_items = 64)]
    pub proof: Vec<String>,
    /// The signed head that the proof leads to.
    pub checkpoint: String,
}

/// Proof that the log of one size continues that of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyProof {
    /// Leaves of the earlier log.
    pub from_size: u64,
    /// Base64: its root.
    pub from_root: String,
    /// Leaves of the later log.
    pub to_size: u64,
    /// Base64: its root.
    pub to_root: String,
    /// Base64: the hashes of RFC 9162, section 2.1.4.
    #[schema(max_items = 128)]
    pub proof: Vec<String>,
    /// The newest signed head, which continues both.
    pub checkpoint: String,
}

/// What a witness shows: the head that it saw last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WitnessedHead {
    /// The signed note of that head with the witness's cosignature of this moment (C2SP tlog-cosignature); of the empty
    /// log, where it has seen none.
    pub cosigned: String,
}

/// What a witness is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextHead {
    /// The newest signed head.
    pub checkpoint: String,
    /// Base64: proof that the larger of both heads continues the smaller (RFC 9162, section 2.1.4).
    #[schema(max_items = 128)]
    pub consistency: Vec<String>,
}

impl NextHead {
    /// The hashes of the proof; `None` where one cannot be read.
    pub fn proof(&self) -> Option<Vec<Hash>> {
        let hash = |text: &String| STANDARD.decode(text).ok()?.try_into().ok();
        self.consistency.iter().map(hash).collect()
    }
}
