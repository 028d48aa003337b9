//! Holds in both databases: kept, released on time, and never changed once they have ended.

use sqlx::Executor;
use strongroom_domain::{
    hold::HoldState,
    id::AccountId,
    ledger::{Answer, Command, HoldRef, Refusal, Verb},
    time::Timestamp,
};

use crate::harness::{
    Kind, Proxy, TestClock, TestStore, capture, hold, on_both_engines, posted, run, run_among_others,
    transfer, void,
};

/// Some years after every clock of these tests.
const FAR: Timestamp = Timestamp::from_micros(TestClock::START + 200_000_000_000_000);

async fn place(bank: &mut TestStore, ids: &[AccountId], minor: i64) -> HoldRef {
    let (asked, reference) = hold(ids[0], ids[1], minor, FAR);
    done(bank, asked.with_key().command).await;
    reference
}

async fn done(bank: &mut TestStore, command: Command) {
    let answer = bank.run_one(command).await;
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
}

async fn refused(bank: &mut TestStore, command: Command, refusal: Refusal) {
    assert_eq!(bank.run_one(command).await, Answer::Refused(refusal));
}

/// Lets the time of a hold be over: by the bank's clock where it is ours, else by moving the hold into the past.
async fn end(bank: &TestStore, hold: HoldRef) {
    match bank.place.kind() {
        Kind::Sqlite => bank.clock.set(FAR),
        Kind::Postgres => {
            let mut root = bank.place.root().await;
            let uuid = sqlx::types::Uuid::from_bytes(*hold.id.as_bytes());
            let account = sqlx::types::Uuid::from_bytes(*hold.account.as_bytes());
            let past = format!(
                "ALTER TABLE holds DISABLE TRIGGER holds_fixed; \
                 UPDATE holds SET placed_at = 1, expires_at = 2 WHERE id = '{uuid}'; \
                 ALTER TABLE holds ENABLE TRIGGER holds_fixed; \
                 UPDATE account_states SET hold_due = 2 WHERE account_id = '{account}'"
            );
            root.execute(sqlx::AssertSqlSafe(past)).await.unwrap();
        }
    }
}

on_both_engines! {
    async fn a_hold_is_kept_captured_and_remembered(bank: TestStore) {
        let mut bank = bank;
        let ids = bank.accounts(2, 1_000).await;
        let held = place(&mut bank, &ids, 600).await;
        let account = bank.account(ids[0]).await;
        assert_eq!((account.held, account.holds, account.hold_due), (600, 1, Some(FAR)));
        refused(&mut bank, transfer(ids[0], ids[1], 401).command, Refusal::InsufficientFunds).await;

        let part = capture(held, Some(200), false).command;
        done(&mut bank, part.clone()).await;
        bank = bank.reopen().await;
        let stored = bank.store.hold(held.id).await.unwrap().unwrap();
        assert_eq!((stored.captured, stored.state, stored.reserved()), (200, HoldState::Open, 400));
        assert_eq!(bank.store.open_holds(ids[0], None, 10).await.unwrap(), [stored]);

        done(&mut bank, capture(held, Some(50), true).with_key().command).await;
        assert_eq!(bank.store.open_holds(ids[0], None, 10).await.unwrap(), []);
        let Verb::Capture(first) = &part.verb else { unreachable!() };
        let left = bank.store.capture(first.id).await.unwrap().unwrap();
        assert_eq!((left.hold, left.captured, left.state), (held.id, 200, HoldState::Open));
        let account = bank.account(ids[0]).await;
        assert_eq!((account.balance, account.held, account.holds, account.hold_due), (750, 0, 0, None));
        assert_eq!(bank.balance(ids[1]).await, 1_250);
        for late in [capture(held, None, false), void(held)] {
            refused(&mut bank, late.command, Refusal::HoldNotOpen).await;
        }
    }

    async fn a_voided_hold_reserves_nothing(bank: TestStore) {
        let mut bank = bank;
        let ids = bank.accounts(2, 1_000).await;
        let held = place(&mut bank, &ids, 1_000).await;
        done(&mut bank, void(held).with_key().command).await;
        posted(bank.run_one(transfer(ids[0], ids[1], 1_000).command).await);
        let stored = bank.store.hold(held.id).await.unwrap().unwrap();
        assert_eq!((stored.state, stored.closed_at.is_some()), (HoldState::Voided, true));
    }

    async fn what_is_over_is_released_before_the_next_batch_and_reads_know_it_before(bank: TestStore) {
        let mut bank = bank;
        let ids = bank.accounts(3, 1_000).await;
        let over = place(&mut bank, &ids, 600).await;
        end(&bank, over).await;
        // Nothing has released it yet, and nothing counts it any more.
        let now = FAR.plus_seconds(1);
        let view = bank.store.account(ids[0], now).await.unwrap().unwrap();
        assert_eq!((view.account.held, view.account.spendable()), (0, Some(1_000)));
        let stored = bank.store.hold(over.id).await.unwrap().unwrap();
        assert_eq!((stored.state, stored.remaining(now)), (HoldState::Open, 0));

        refused(&mut bank, capture(over, None, false).command, Refusal::HoldNotOpen).await;
        let stored = bank.store.hold(over.id).await.unwrap().unwrap();
        assert_eq!((stored.state, stored.closed_at), (HoldState::Expired, Some(stored.expires_at)));
        posted(bank.run_one(transfer(ids[0], ids[1], 1_000).command).await);
        let account = bank.account(ids[0]).await;
        assert_eq!((account.held, account.holds, account.hold_due), (0, 0, None));
    }

    async fn an_ended_hold_cannot_be_opened_again_by_anybody(bank: TestStore) {
        let mut bank = bank;
        let ids = bank.accounts(2, 1_000).await;
        let held = place(&mut bank, &ids, 100).await;
        for change in ["amount = 200", "captured = -1", "expires_at = expires_at + 1", "captured = 101", "state = 1"] {
            assert!(bank.place.tamper(&format!("UPDATE holds SET {change}")).await.is_err(), "{change}");
        }
        assert!(bank.place.tamper("DELETE FROM holds").await.is_err());
        done(&mut bank, capture(held, Some(40), true).command).await;
        for change in ["state = 0, closed_at = NULL", "captured = 41", "state = 2"] {
            assert!(bank.place.tamper(&format!("UPDATE holds SET {change}")).await.is_err(), "{change}");
        }
        assert!(bank.place.tamper("UPDATE hold_captures SET captured = 1").await.is_err());
        assert!(bank.place.tamper("DELETE FROM hold_captures").await.is_err());
        assert_eq!(bank.store.hold(crate::harness::id()).await.unwrap(), None);
    }
}

#[test]
fn on_postgres_two_nodes_pay_a_hold_once() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 10_000).await;
        let mut other = bank.another().await;
        for _ in 0..20 {
            let held = place(&mut bank, &ids, 100).await;
            let (one, two) = (
                capture(held, None, false).command,
                capture(held, None, false).command,
            );
            let (one, two) = tokio::join!(bank.run_one(one), other.run_one(two));
            let done = [&one, &two]
                .into_iter()
                .filter(|answer| matches!(answer, Answer::Done(_)));
            assert_eq!(done.count(), 1, "{one:?} {two:?}");
        }
        assert_eq!(bank.balance(ids[1]).await, 12_000);
    });
}

#[test]
fn on_postgres_holds_cost_a_batch_one_round_trip_whatever_their_number() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 1_000_000).await;
        let proxy = Proxy::before_the_lane(&bank.place).await;
        let mut bank = TestStore::open_with(bank.place.clone(), &proxy.settings)
            .await
            .unwrap();
        posted(bank.run_one(transfer(ids[0], ids[1], 1).command).await);
        for count in [1, 64] {
            let (placing, holds): (Vec<_>, Vec<_>) = (0..count).map(|_| hold(ids[0], ids[1], 1, FAR)).unzip();
            let placing: Vec<_> = placing
                .into_iter()
                .map(|asked| asked.with_key().command)
                .collect();
            let ending: Vec<_> = holds
                .iter()
                .enumerate()
                .map(|(at, held)| match at % 2 {
                    0 => capture(*held, None, false).command,
                    _ => void(*held).command,
                })
                .collect();
            for (batch, expected) in [(placing, (8, 4)), (ending, (9, 4))] {
                let before = bank.lane.counters();
                bank.run(&batch).await;
                let after = bank.lane.counters();
                let cost = (
                    after.statements - before.statements,
                    after.round_trips - before.round_trips,
                );
                assert_eq!(cost, expected, "{count}");
            }
        }
    });
}
