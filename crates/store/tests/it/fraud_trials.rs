//! Drafts of the rules about fraud that run beside the set in force: one at a time, counted by everybody at once.

use std::sync::Arc;

use strongroom_domain::{
    fraud::{Compared, Outcome, Verdict},
    ledger::Tried,
};
use strongroom_store::{
    Revoked, Scope, Store, StoreError,
    identity::{TrialRow, TrialTally},
};
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{NOW, TestStore, id, on_both_engines};

fn row(trial: i64) -> TrialRow {
    TrialRow {
        trial,
        base: 0,
        rules: format!("draft {trial}"),
        digest: [u8::try_from(trial % 250).unwrap(); 32],
        maker: Some(id()),
        sealed_reason: vec![9; 40],
        started_at: NOW,
        ended_at: None,
        judged: 0,
        differing: 0,
        kept: 0,
    }
}

async fn start(bank: &TestStore, row: &TrialRow, end_before: bool) -> Result<(), StoreError> {
    let mut tx = bank.store.write(Scope::Operator).await?;
    tx.revoke(Revoked::FraudRules).await?;
    if end_before {
        tx.end_fraud_trial(NOW.plus_seconds(5)).await?;
    }
    tx.insert_fraud_trial(row).await?;
    tx.commit().await
}

fn tried(trial: i64) -> Tried {
    let outcome = |verdict, rules: &str| Outcome {
        verdict,
        score: 0,
        rules: rules.to_owned(),
    };
    Tried {
        id: id(),
        at: NOW,
        compared: Compared {
            trial,
            in_force: outcome(Verdict::Allow, ""),
            draft: outcome(Verdict::Review, "velocity/2,drain/1"),
        },
    }
}

fn tally(differences: Vec<Tried>) -> TrialTally {
    let differing = i64::try_from(differences.len()).unwrap();
    TrialTally {
        judged: differing + 1,
        differing,
        counts: vec![
            ("allow>allow".to_owned(), 1),
            ("allow>review".to_owned(), differing.max(1)),
        ],
        differences,
    }
}

async fn add(store: &Store, trial: i64, tally: &TrialTally, kept_max: i64) -> Result<(), StoreError> {
    let tx = store.write(Scope::System).await?;
    tx.add_to_fraud_trial(trial, tally, kept_max).await?;
    tx.commit().await
}

on_both_engines! { alone
    async fn one_draft_runs_at_a_time_and_what_it_is_of_is_fixed(bank: TestStore) {
        let first = bank.store.fraud_trials(None, 1).await.unwrap().first().map_or(0, |row| row.trial) + 1;
        let one = row(first);
        let before = bank.store.epoch().await.unwrap();
        start(&bank, &one, true).await.unwrap();
        let after = bank.store.epoch().await.unwrap();
        assert!(bank.store.revocations(before, after).await.unwrap().touches_fraud_rules());
        assert_eq!(bank.store.fraud_trial(first).await.unwrap().unwrap(), one);
        assert!(start(&bank, &row(first + 1), false).await.is_err(), "two at once");
        assert!(start(&bank, &row(first), true).await.is_err(), "its number again");
        let two = row(first + 1);
        start(&bank, &two, true).await.unwrap();
        let ended = TrialRow { ended_at: Some(NOW.plus_seconds(5)), ..one };
        let found = bank.store.fraud_trials(None, 2).await.unwrap();
        assert_eq!(found, [two.clone(), ended.clone()]);
        assert_eq!(bank.store.fraud_trials(Some(first + 1), 1).await.unwrap(), [ended]);
        assert_eq!(bank.store.fraud_trials_of(0, &two.digest).await.unwrap(), std::slice::from_ref(&two));
        assert_eq!(bank.store.fraud_trials_of(1, &two.digest).await.unwrap(), []);
        for change in [
            "UPDATE fraud_trials SET rules = 'x'",
            "UPDATE fraud_trials SET ended_at = NULL",
            "UPDATE fraud_trials SET ended_at = ended_at + 1",
            "UPDATE fraud_trials SET base = 7",
            "UPDATE fraud_trials SET judged = -1",
            "DELETE FROM fraud_trials",
        ] {
            assert!(bank.place.tamper(change).await.is_err(), "{change}");
        }
        let tx = bank.store.write(Scope::Operator).await.unwrap();
        assert!(tx.end_fraud_trial(NOW).await.unwrap());
        assert!(!tx.end_fraud_trial(NOW).await.unwrap(), "nothing runs");
        tx.commit().await.unwrap();
    }

    async fn what_many_count_at_once_is_the_sum_and_what_is_kept_is_bounded(bank: TestStore) {
        const AT_ONCE: usize = 8;
        const KEPT_MAX: i64 = 10;
        let trial = bank.store.fraud_trials(None, 1).await.unwrap().first().map_or(0, |row| row.trial) + 1;
        start(&bank, &row(trial), true).await.unwrap();
        let barrier = Arc::new(Barrier::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (store, barrier) = (bank.store.clone(), barrier.clone());
            tasks.spawn(async move {
                barrier.wait().await;
                add(&store, trial, &tally(vec![tried(trial), tried(trial)]), KEPT_MAX).await.unwrap();
            });
        }
        tasks.join_all().await;
        let found = bank.store.fraud_trial(trial).await.unwrap().unwrap();
        assert_eq!((found.judged, found.differing, found.kept), (24, 16, KEPT_MAX));
        let counts = bank.store.fraud_trial_counts(trial).await.unwrap();
        assert_eq!(counts, [("allow>allow".to_owned(), 8), ("allow>review".to_owned(), 16)]);
        let mut read = Vec::new();
        loop {
            let before = read.last().map(|row: &strongroom_store::identity::DifferenceRow| row.id);
            let page = bank.store.fraud_trial_differences(trial, before, 3).await.unwrap();
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read.len(), 10);
        assert!(read.windows(2).all(|two| two[0].id > two[1].id));
        assert_eq!(read[0].draft.rules, "velocity/2,drain/1");
        assert_eq!((read[0].in_force.verdict, read[0].draft.verdict), (Verdict::Allow, Verdict::Review));

        // What is counted twice under one id is kept once.
        let other = trial + 1;
        start(&bank, &row(other), true).await.unwrap();
        let same = tried(other);
        for _ in 0..2 {
            add(&bank.store, other, &tally(vec![same.clone()]), KEPT_MAX).await.unwrap();
        }
        let found = bank.store.fraud_trial(other).await.unwrap().unwrap();
        assert_eq!((found.differing, found.kept), (2, 1));
        assert!(add(&bank.store, other + 1, &tally(vec![]), KEPT_MAX).await.is_err(), "of no trial");

        let tx = bank.store.write(Scope::System).await.unwrap();
        assert_eq!(tx.forget_fraud_differences(NOW).await.unwrap(), 0);
        assert_eq!(tx.forget_fraud_differences(NOW.plus_seconds(1)).await.unwrap(), 11);
        tx.commit().await.unwrap();
        assert_eq!(bank.store.fraud_trial_differences(trial, None, 9).await.unwrap(), []);
        let tx = bank.store.write(Scope::Operator).await.unwrap();
        tx.end_fraud_trial(NOW).await.unwrap();
        tx.commit().await.unwrap();
    }
}
