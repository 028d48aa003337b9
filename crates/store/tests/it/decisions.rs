//! Decisions are appended, kept, and forgotten when they are old.

use strongroom_domain::{id::DecisionId, time::Timestamp};
use strongroom_store::{
    Scope,
    identity::{DecisionRow, SharedFacts},
};

use crate::harness::{TestStore, id, on_both_engines};

/// 2015: older than anybody has to keep.
const OLD: i64 = 1_420_106_400_000_000;
const OLD_YEAR: i64 = 2015;
/// 2100.
const YOUNG: i64 = 4_102_484_400_000_000;
const YOUNG_YEAR: i64 = 2100;

pub(crate) fn facts(number: u8, period: i64) -> SharedFacts {
    SharedFacts {
        digest: [number; 16],
        period,
        sealed: vec![number],
    }
}

pub(crate) fn decision(number: u8, at: i64) -> DecisionRow {
    let mut bytes = [number; 16];
    let millis = u64::try_from(at / 1_000).unwrap().to_be_bytes();
    bytes[..6].copy_from_slice(&millis[2..]);
    DecisionRow {
        id: DecisionId::from_bytes(bytes),
        at: Timestamp::from_micros(at),
        request: id(),
        principal_kind: 1,
        principal_id: [1; 16],
        action: "account.read".to_owned(),
        allowed: true,
        version: 1,
        inputs: [number; 16],
        money: Some((i64::from(number), "EUR".to_owned())),
        owner: None,
        person: None,
        sealed_address: None,
        sealed_reason: None,
        mac_key: 1,
        mac: [0; 32],
    }
}

fn first_of(at: i64) -> DecisionId {
    let mut row = decision(0, at);
    row.id = DecisionId::from_bytes({
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&row.id.as_bytes()[..6]);
        bytes
    });
    row.id
}

async fn forget(bank: &TestStore, below: i64, year: i64) -> Result<u64, strongroom_store::StoreError> {
    let tx = bank.store.write(Scope::System).await?;
    let forgotten = tx.forget_decisions(first_of(below), year).await?;
    tx.commit().await?;
    Ok(forgotten)
}

on_both_engines! {
    async fn decisions_are_forgotten_when_they_are_old_and_not_before(bank: TestStore) {
        let rows: Vec<_> = (1..=4)
            .map(|number| decision(number, OLD + i64::from(number) * 1_000_000))
            .chain([decision(9, YOUNG)])
            .collect();
        let shared = (1..=4).map(|number| facts(number, OLD_YEAR));
        let shared = shared.chain([facts(9, YOUNG_YEAR)]).collect();
        bank.store.append_decisions(rows, shared, |_, _| None).await.unwrap();
        let all = async || bank.store.decisions(None, None, 100).await.unwrap();
        assert_eq!(all().await.len(), 5);
        // What lies below the bound goes, the younger stays; a fact goes with its year.
        assert_eq!(forget(&bank, OLD + 3_000_000, OLD_YEAR).await.unwrap(), 2);
        assert_eq!(all().await.len(), 3);
        assert_eq!(forget(&bank, OLD + 60_000_000, OLD_YEAR + 1).await.unwrap(), 4);
        assert_eq!(all().await.iter().map(|(row, _)| row.inputs).collect::<Vec<_>>(), [[9; 16]]);
        assert_eq!(forget(&bank, OLD + 60_000_000, OLD_YEAR + 1).await.unwrap(), 0);
        // Whatever the bank sets, the database keeps what is young.
        assert!(forget(&bank, YOUNG + 60_000_000, OLD_YEAR).await.is_err());
        assert!(forget(&bank, OLD, YOUNG_YEAR + 1).await.is_err());
        for change in ["DELETE FROM decisions", "DELETE FROM decision_inputs", "UPDATE decisions SET version = 7"] {
            let refused = bank.place.tamper(change).await.unwrap_err();
            assert!(refused.contains("append-only"), "{change}: {refused}");
        }
        assert_eq!(all().await.len(), 1);
    }
}
