//! Receipts on the wire, and how they become what can be verified.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use strongroom_domain::{
    audit::{self, Hash},
    id::{AccountId, TransactionId},
    money::{Amount, Currency},
    time::{Date, Timestamp},
    transaction::{Facts, TransactionKind},
};
use utoipa::ToSchema;

use crate::money::Money;

/// The form of a receipt. Another form gets another name.
pub const RECEIPT_FORMAT: &str = "strongroom-receipt/v1";

/// Proof that a transaction is in the bank's log. Verify it with the log's public key alone: `strongroom receipt
/// verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"format": "strongroom-receipt/v1",
    "transaction": {"id": "txn_01jd3vw4ezfkx8y0q4sfcmj2t9", "kind": "transfer", "from_account_id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9",
        "to_account_id": "acct_01jd3vw5m2e8qtw2j3k4v5x6y7", "amount": {"amount": 1250, "currency": "EUR"},
        "booked_at": "2026-11-20T12:01:00.000000Z", "value_date": "2026-11-20", "memo": null},
    "entries_digest": "EkzDbg3mCwBYp0LkNDhzY5k8Wd0Cm9yWbVxJcI3b3oA=", "record": "AQAAAAAAAAAB…", "caller": "VnRrc0K1…", "leaf": 0,
    "proof": [], "checkpoint": "localhost/log\n1\nEkzDbg3mCwBYp0LkNDhzY5k8Wd0Cm9yWbVxJcI3b3oA=\n\n— localhost/log …\n"}))]
pub struct Receipt {
    /// `strongroom-receipt/v1`.
    pub format: String,
    /// What is proved.
    pub transaction: ReceiptFacts,
    /// Base64: salted digest of the two entries. It binds balances without telling them.
    pub entries_digest: String,
    /// Base64: the audit record without who acted.
    pub record: String,
    /// Base64: commitment to who acted.
    pub caller: String,
    /// The record's position in the log, from 0.
    pub leaf: u64,
    /// Base64: hashes from the leaf's sibling upwards (RFC 9162, 2.1.3).
    #[schema(max_items = 64)]
    pub proof: Vec<String>,
    /// The signed head of the log (C2SP tlog-checkpoint), that the proof leads to.
    pub checkpoint: String,
}

/// The facts of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFacts {
    /// The transaction; a transfer, deposit or withdrawal has the same id under its own prefix.
    pub id: String,
    /// `transfer`, `deposit` or `withdrawal`.
    pub kind: String,
    /// The account debited.
    pub from_account_id: String,
    /// The account credited.
    pub to_account_id: String,
    /// How much.
    pub amount: Money,
    /// When it was booked.
    pub booked_at: String,
    /// The day it counts for.
    pub value_date: String,
    /// Base64: salted commitment to the free text; `null` where there is none.
    pub memo: Option<String>,
}

/// The text is no receipt of the form that this version reads. Names the member, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a receipt of the form {RECEIPT_FORMAT}: `{0}` cannot be read")]
pub struct ReceiptFormError(pub &'static str);

impl Receipt {
    /// Writes a receipt with the note that it leads to.
    pub fn new(receipt: &audit::Receipt, checkpoint: &str) -> Self {
        let facts = &receipt.facts;
        Self {
            format: RECEIPT_FORMAT.to_owned(),
            transaction: ReceiptFacts {
                id: facts.id.to_string(),
                kind: facts.kind.name().to_owned(),
                from_account_id: facts.from_account.to_string(),
                to_account_id: facts.to_account.to_string(),
                amount: Money {
                    amount: facts.amount.minor(),
                    currency: facts.currency.code().to_owned(),
                },
                booked_at: facts.booked_at.to_string(),
                value_date: facts.value_date.to_string(),
                memo: facts.memo.map(|memo| STANDARD.encode(memo)),
            },
            entries_digest: STANDARD.encode(receipt.entries),
            record: STANDARD.encode(&receipt.record),
            caller: STANDARD.encode(receipt.caller),
            leaf: receipt.leaf,
            proof: receipt.proof.iter().map(|hash| STANDARD.encode(hash)).collect(),
            checkpoint: checkpoint.to_owned(),
        }
    }

    /// The parts below the checkpoint, as they can be verified.
    ///
    /// # Errors
    /// [`ReceiptFormError`] with the first member that cannot be read.
    pub fn parts(&self) -> Result<audit::Receipt, ReceiptFormError> {
        if self.format != RECEIPT_FORMAT {
            return Err(ReceiptFormError("format"));
        }
        Ok(audit::Receipt {
            facts: self.transaction.facts()?,
            entries: hash(&self.entries_digest, "entries_digest")?,
            record: STANDARD
                .decode(&self.record)
                .map_err(|_| ReceiptFormError("record"))?,
            caller: hash(&self.caller, "caller")?,
            leaf: self.leaf,
            proof: self
                .proof
                .iter()
                .map(|text| hash(text, "proof"))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ReceiptFacts {
    fn facts(&self) -> Result<Facts, ReceiptFormError> {
        let account = |text: &str, name| AccountId::parse(text).map_err(|_| ReceiptFormError(name));
        Ok(Facts {
            id: TransactionId::parse(&self.id).map_err(|_| ReceiptFormError("transaction.id"))?,
            kind: TransactionKind::parse(&self.kind).ok_or(ReceiptFormError("transaction.kind"))?,
            from_account: account(&self.from_account_id, "transaction.from_account_id")?,
            to_account: account(&self.to_account_id, "transaction.to_account_id")?,
            amount: Amount::new(self.amount.amount).map_err(|_| ReceiptFormError("transaction.amount"))?,
            currency: Currency::parse(&self.amount.currency)
                .map_err(|_| ReceiptFormError("transaction.amount"))?,
            booked_at: Timestamp::parse(&self.booked_at)
                .map_err(|_| ReceiptFormError("transaction.booked_at"))?,
            value_date: Date::parse(&self.value_date)
                .map_err(|_| ReceiptFormError("transaction.value_date"))?,
            memo: self
                .memo
                .as_deref()
                .map(|text| hash(text, "transaction.memo"))
                .transpose()?,
        })
    }
}

fn hash(text: &str, name: &'static str) -> Result<Hash, ReceiptFormError> {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(ReceiptFormError(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> audit::Receipt {
        audit::Receipt {
            facts: Facts {
                id: TransactionId::from_bytes([4; 16]),
                kind: TransactionKind::Transfer,
                from_account: AccountId::from_bytes([1; 16]),
                to_account: AccountId::from_bytes([2; 16]),
                amount: Amount::new(1_250).unwrap(),
                currency: Currency::EUR,
                booked_at: Timestamp::from_micros(1_700_000_000_000_001),
                value_date: Date::parse("2023-11-14").unwrap(),
                memo: Some([9; 32]),
            },
            entries: [6; 32],
            record: vec![1, 2, 3],
            caller: [7; 32],
            leaf: 5,
            proof: vec![[1; 32], [2; 32]],
        }
    }

    #[test]
    fn a_receipt_comes_back_from_its_text_as_it_was() {
        let text = serde_json::to_string(&Receipt::new(&parts(), "note")).unwrap();
        let read: Receipt = serde_json::from_str(&text).unwrap();
        assert_eq!(read.parts(), Ok(parts()));
        assert_eq!(read.checkpoint, "note");
    }

    #[test]
    fn a_receipt_that_cannot_be_read_is_refused_by_the_name_of_the_member() {
        type Change = fn(&mut Receipt);
        let changes: [(&str, Change); 9] = [
            ("format", |r| r.format = "strongroom-receipt/v2".to_owned()),
            ("transaction.id", |r| r.transaction.id = "tfr_x".to_owned()),
            ("transaction.kind", |r| r.transaction.kind = "gift".to_owned()),
            ("transaction.amount", |r| r.transaction.amount.amount = 0),
            ("transaction.booked_at", |r| r.transaction.booked_at.clear()),
            ("transaction.memo", |r| {
                r.transaction.memo = Some("AAAA".to_owned())
            }),
            ("entries_digest", |r| r.entries_digest.clear()),
            ("caller", |r| r.caller.push('=')),
            ("proof", |r| r.proof.push("!".to_owned())),
        ];
        for (name, change) in changes {
            let mut receipt = Receipt::new(&parts(), "note");
            change(&mut receipt);
            assert_eq!(receipt.parts(), Err(ReceiptFormError(name)));
        }
    }
}
