//! The whole check of a receipt: from the facts of a transaction to a signature of the log. Needs the receipt, the note
//! it came with and the log's public key; no server, no database, no secret.

use strongroom_domain::audit::{Receipt, ReceiptError};

use crate::note::{Checkpoint, NoteError, VerifierKey};

/// Why a receipt proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedReceipt {
    /// The checkpoint is not signed by the log.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// The chain from the facts to the tree is broken.
    #[error("the receipt: {0}")]
    Receipt(#[from] ReceiptError),
    /// The chain leads to another tree than the one that was signed.
    #[error("the receipt does not lead to the signed root")]
    Root,
}

/// Checks a receipt against a signed checkpoint and gives the checkpoint.
///
/// # Errors
/// [`RefusedReceipt`], whatever does not fit.
pub fn verify(receipt: &Receipt, note: &str, keys: &[VerifierKey]) -> Result<Checkpoint, RefusedReceipt> {
    let checkpoint = Checkpoint::open(note, keys)?;
    if receipt.root(checkpoint.size)? == checkpoint.root {
        Ok(checkpoint)
    } else {
        Err(RefusedReceipt::Root)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_domain::{
        audit::{CompactRange, Details, NodeStore, SignedRecord, inclusion_proof, leaf, leaf_hash},
        id::{AccountId, TransactionId},
        money::{Amount, Currency},
        time::{Date, Timestamp},
        transaction::{Facts, TransactionKind},
    };

    use super::*;
    use crate::keyring::{Keyring, Purpose};

    const ORIGIN: &str = "bank.example/log";

    fn facts() -> Facts {
        Facts {
            id: TransactionId::from_bytes([4; 16]),
            kind: TransactionKind::Transfer,
            from_account: AccountId::from_bytes([1; 16]),
            to_account: AccountId::from_bytes([2; 16]),
            amount: Amount::new(1_250).unwrap(),
            currency: Currency::EUR,
            booked_at: Timestamp::from_micros(1_700_000_000_000_001),
            value_date: Date::parse("2023-11-14").unwrap(),
            memo: Some([9; 32]),
        }
    }

    fn record(facts: &Facts, entries: &[u8; 32]) -> SignedRecord {
        SignedRecord {
            id: 7,
            at: facts.booked_at.micros(),
            request: [1; 16],
            principal_kind: 1,
            principal_id: [2; 16],
            session: [3; 16],
            origin: 1,
            action: "transfer.create".to_owned(),
            object_kind: "transaction".to_owned(),
            object_id: *facts.id.as_bytes(),
            outcome: "ok".to_owned(),
            policy: 1,
            details: Details::transaction(&facts.digest(entries)),
            mac_key: 1,
            mac: [8; 32],
        }
    }

    /// A receipt for leaf 5 of a log of 11, with the note over it.
    fn issue(ring: &Keyring) -> (Receipt, String) {
        let (facts, entries) = (facts(), [6; 32]);
        let record = record(&facts, &entries);
        let (mut range, mut nodes) = (CompactRange::default(), NodeStore::default());
        for place in 0..11_u64 {
            let hash = if place == 5 {
                record.leaf()
            } else {
                leaf_hash(&place.to_be_bytes())
            };
            nodes.insert(0, place, hash);
            range.append(hash, |_| ());
        }
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: range.size(),
            root: range.root(),
            extensions: Vec::new(),
        };
        let (public, caller) = leaf::split(record.canonical(), record.mac_key, &record.mac);
        let receipt = Receipt {
            facts,
            entries,
            record: public,
            caller,
            leaf: 5,
            proof: inclusion_proof(5, 11, &nodes).unwrap(),
        };
        (
            receipt,
            checkpoint.sign(&ring.note_signer(ORIGIN).unwrap()).unwrap(),
        )
    }

    #[test]
    fn a_receipt_is_proved_by_the_public_key_alone() {
        let ring = Keyring::generate(0);
        let (receipt, note) = issue(&ring);
        let key = VerifierKey::parse(&ring.note_signer(ORIGIN).unwrap().verifier().to_string()).unwrap();
        assert_eq!(verify(&receipt, &note, &[key]).unwrap().size, 11);
    }

    #[test]
    fn whatever_is_changed_in_a_receipt_it_proves_nothing() {
        let ring = Keyring::generate(0);
        let (good, note) = issue(&ring);
        let keys = ring.note_verifiers(ORIGIN).unwrap();
        type Change = fn(&mut Receipt);
        let changes: Vec<Change> = vec![
            |r| r.facts.id = TransactionId::from_bytes([5; 16]),
            |r| r.facts.kind = TransactionKind::Deposit,
            |r| r.facts.from_account = AccountId::from_bytes([3; 16]),
            |r| r.facts.to_account = AccountId::from_bytes([3; 16]),
            |r| r.facts.amount = Amount::new(1_251).unwrap(),
            |r| r.facts.currency = Currency::parse("USD").unwrap(),
            |r| r.facts.booked_at = Timestamp::from_micros(1_700_000_000_000_002),
            |r| r.facts.value_date = Date::parse("2023-11-15").unwrap(),
            |r| r.facts.memo = None,
            |r| r.entries[0] ^= 1,
            |r| r.record[5] ^= 1,
            |r| r.record.push(0),
            |r| r.record.clear(),
            |r| r.caller[0] ^= 1,
            |r| r.leaf = 4,
            |r| r.leaf = 11,
            |r| r.proof[1][0] ^= 1,
            |r| r.proof.truncate(1),
            |r| r.proof.push([0; 32]),
            |r| r.proof = vec![[0; 32]; 1_000],
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(verify(&good, &note, &keys).is_ok());
            let mut changed = good.clone();
            change(&mut changed);
            assert!(verify(&changed, &note, &keys).is_err(), "change {number}");
        }
    }

    #[test]
    fn a_checkpoint_by_another_key_or_of_another_log_proves_nothing() {
        let mut ring = Keyring::generate(0);
        let (receipt, note) = issue(&ring);
        let stranger = Keyring::generate(0).note_verifiers(ORIGIN).unwrap();
        assert_eq!(
            verify(&receipt, &note, &stranger),
            Err(NoteError::Unsigned.into())
        );
        let other_log = ring.note_verifiers("other.example/log").unwrap();
        assert_eq!(
            verify(&receipt, &note, &other_log),
            Err(NoteError::Unsigned.into())
        );
        let altered = note.replace("\n11\n", "\n12\n");
        let keys = ring.note_verifiers(ORIGIN).unwrap();
        assert_eq!(
            verify(&receipt, &altered, &keys),
            Err(NoteError::BadSignature.into())
        );
        ring.rotate(Purpose::Checkpoint, 1).unwrap();
        let keys = ring.note_verifiers(ORIGIN).unwrap();
        assert!(
            verify(&receipt, &note, &keys).is_ok(),
            "a retired key still proves what it signed"
        );
    }

    #[test]
    fn the_record_of_a_refusal_is_no_receipt() {
        let ring = Keyring::generate(0);
        let (good, note) = issue(&ring);
        let keys = ring.note_verifiers(ORIGIN).unwrap();
        let mut refused = record(&good.facts, &good.entries);
        refused.outcome = "account_frozen".to_owned();
        let (public, caller) = leaf::split(refused.canonical(), 1, &refused.mac);
        let changed = Receipt {
            record: public,
            caller,
            ..good
        };
        let refusal = verify(&changed, &note, &keys);
        assert_eq!(refusal, Err(ReceiptError::OtherTransaction.into()));
    }
}
