//! Idempotency keys live for seven days, and not for ever.

use std::{
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{Executor, Row};
use strongroom_domain::{ledger::Answer, time::Timestamp};
use strongroom_store::{KEYS_KEPT_SECONDS, Maintained, StoreError};

use crate::harness::{Kind, TestClock, TestStore, deposit, posted, run, transfer};

async fn maintain_fully(bank: &TestStore, now: Timestamp) -> u32 {
    let mut steps = 0;
    loop {
        match bank.store.maintain(now).await {
            Ok(Maintained::Nothing) => return steps,
            Ok(Maintained::Some) | Err(StoreError::Retry) => steps += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(steps < 1_000);
    }
}

#[test]
fn on_sqlite_keys_go_after_seven_days_in_bounded_steps_between_batches() {
    run(Kind::Sqlite, async |mut bank: TestStore| {
        // A time long past, because the database itself refuses to delete keys that are still owed.
        let long_ago = Timestamp::from_micros(TestClock::START - 900 * 86_400_000_000);
        bank.clock.set(long_ago);
        let ids = bank.accounts(2, 10_000).await;
        let old = transfer(ids[0], ids[1], 1).with_key().command;
        bank.run_one(old.clone()).await;
        let batch: Vec<_> = (0..1_000)
            .map(|_| deposit(ids[0], 1).with_key().command)
            .collect();
        bank.run(&batch).await;
        let later = long_ago.plus_seconds(KEYS_KEPT_SECONDS + 3_600);
        bank.clock.set(later);
        let young = transfer(ids[0], ids[1], 1).with_key().command;
        bank.run_one(young.clone()).await;

        assert_eq!(
            maintain_fully(&bank, long_ago.plus_seconds(KEYS_KEPT_SECONDS - 3_600)).await,
            0
        );
        assert!(matches!(bank.run_one(old.clone()).await, Answer::Replayed { .. }));
        assert!(bank.store.maintain(later).await.unwrap() == Maintained::Some);
        // One step took no more than its share.
        assert!(
            bank.store
                .outcome(&batch[990].idempotency.as_ref().unwrap().tag)
                .await
                .unwrap()
                .is_some()
        );
        maintain_fully(&bank, later).await;
        assert!(
            bank.store
                .outcome(&old.idempotency.as_ref().unwrap().tag)
                .await
                .unwrap()
                .is_none()
        );
        assert!(matches!(
            bank.run_one(young.clone()).await,
            Answer::Replayed { .. }
        ));
        // The key is free again: the same command, under another transaction's id, is posted.
        let mut again = transfer(ids[0], ids[1], 1).command;
        again.idempotency = old.idempotency.clone();
        posted(bank.run_one(again).await);
        bank = bank.reopen().await;
        assert!(matches!(bank.run_one(young).await, Answer::Replayed { .. }));
    });
}

#[test]
fn on_sqlite_a_key_that_is_still_owed_cannot_be_deleted() {
    run(Kind::Sqlite, async |mut bank: TestStore| {
        let ids = bank.accounts(1, 0).await;
        bank.run_one(deposit(ids[0], 1).with_key().command).await;
        let refused = bank.place.tamper("DELETE FROM idempotency_outcomes").await;
        assert!(refused.unwrap_err().contains("seven days"));
    });
}

async fn age(bank: &TestStore, days: i64) {
    let mut root = bank.place.root().await;
    let sql =
        format!("UPDATE idempotency_generations SET begun_at = begun_at - {days} * 86400000000::bigint");
    root.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
}

async fn generations(bank: &TestStore) -> Vec<i64> {
    let mut root = bank.place.root().await;
    let sql = "SELECT substring(inhrelid::regclass::text FROM '[0-9]+$')::bigint FROM pg_inherits \
               WHERE inhparent = 'idempotency_outcomes'::regclass ORDER BY 1";
    root.fetch_all(sql)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[test]
fn on_postgres_generations_are_made_ahead_turned_daily_and_dropped_after_seven_days() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let now = Timestamp::from_micros(0);
        let ids = bank.accounts(2, 1_000).await;
        let old = transfer(ids[0], ids[1], 1).with_key().command;
        bank.run_one(old.clone()).await;
        maintain_fully(&bank, now).await;
        assert_eq!(
            generations(&bank).await,
            [1, 2],
            "the next one is there before it is needed"
        );
        assert_eq!(maintain_fully(&bank, now).await, 0);

        let mut young = Vec::new();
        for day in 1..=8 {
            age(&bank, 1).await;
            maintain_fully(&bank, now).await;
            let command = transfer(ids[0], ids[1], 1).with_key().command;
            bank.run_one(command.clone()).await;
            young.push(command);
            let there = generations(&bank).await;
            assert_eq!(
                there.first(),
                Some(if day < 8 { &1 } else { &2 }),
                "day {day}: {there:?}"
            );
            assert_eq!(there.last(), Some(&(day + 2)));
            if day < 8 {
                assert!(
                    matches!(bank.run_one(old.clone()).await, Answer::Replayed { .. }),
                    "day {day}"
                );
            }
        }
        assert!(
            bank.store
                .outcome(&old.idempotency.as_ref().unwrap().tag)
                .await
                .unwrap()
                .is_none()
        );
        for command in young {
            assert!(matches!(bank.run_one(command).await, Answer::Replayed { .. }));
        }
        let mut again = transfer(ids[0], ids[1], 1).command;
        again.idempotency = old.idempotency;
        posted(bank.run_one(again).await);
    });
}

#[test]
fn on_postgres_batches_and_turns_of_the_generation_do_not_meet() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 100_000).await;
        let other = bank.another().await;
        // Less than seven days in all, so that nothing expires.
        let steps = AtomicU32::new(0);
        let batches = async {
            let mut commands = Vec::new();
            while steps.load(Ordering::Relaxed) < 6 {
                let command = transfer(ids[0], ids[1], 1).with_key().command;
                posted(bank.run_one(command.clone()).await);
                commands.push(command);
            }
            commands
        };
        let turning = async {
            while steps.load(Ordering::Relaxed) < 6 {
                age(&other, 1).await;
                steps.fetch_add(
                    maintain_fully(&other, Timestamp::from_micros(0)).await,
                    Ordering::Relaxed,
                );
            }
        };
        let (commands, ()) = tokio::join!(batches, turning);
        assert_eq!(generations(&bank).await.first(), Some(&1));
        let paid = i64::try_from(commands.len()).unwrap();
        for command in commands {
            assert!(matches!(bank.run_one(command).await, Answer::Replayed { .. }));
        }
        assert_eq!(bank.balance(ids[1]).await, 100_000 + paid);
    });
}

/// The lock of the generation of idempotency keys, shared by batches, taken alone by a turn.
const GENERATION: i64 = 1_397_882_882;

/// The generation that is written now.
async fn generation(bank: &TestStore) -> i64 {
    let sql = "SELECT generation FROM idempotency_generation";
    bank.place.root().await.fetch_one(sql).await.unwrap().get(0)
}

/// Until somebody waits for the generation's lock in this mode.
async fn somebody_waits(bank: &TestStore, mode: &str) {
    let mut root = bank.place.root().await;
    loop {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::bigint::oid \
                       AND mode = $2 AND NOT granted \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let asked = sqlx::query(waiting).bind(GENERATION).bind(mode);
        if root.fetch_one(asked).await.unwrap().get::<i64, _>(0) > 0 {
            return;
        }
    }
}

#[test]
fn on_postgres_a_turn_waits_for_the_batch_that_is_in_and_a_batch_for_the_turn() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 1_000).await;
        let other = bank.another().await;
        age(&bank, 1).await;
        let before = generation(&bank).await;
        let mut holder = bank.place.root().await;
        let (shared, alone) = ("pg_advisory_lock_shared", "pg_advisory_lock");

        // As a batch holds it.
        let hold = async |holder: &mut sqlx::PgConnection, how: &str| {
            let sql = format!("SELECT {how}({GENERATION})");
            holder.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        };
        hold(&mut holder, shared).await;
        {
            let mut turn = pin!(maintain_fully(&other, Timestamp::from_micros(0)));
            tokio::select! {
                _ = &mut turn => panic!("a turn within a batch"),
                () = somebody_waits(&bank, "ExclusiveLock") => {}
            }
            assert_eq!(generation(&bank).await, before);
            hold(&mut holder, "pg_advisory_unlock_shared").await;
            assert!(turn.await > 0);
        }
        assert_eq!(generation(&bank).await, before + 1);

        // As a turn holds it.
        hold(&mut holder, alone).await;
        let watcher = bank.another().await;
        {
            let mut batch = pin!(bank.run_one(transfer(ids[0], ids[1], 1).with_key().command));
            tokio::select! {
                _ = &mut batch => panic!("a batch within a turn"),
                () = somebody_waits(&watcher, "ShareLock") => {}
            }
            hold(&mut holder, "pg_advisory_unlock").await;
            posted(batch.await);
        }
        assert_eq!(bank.balance(ids[1]).await, 1_001);
    });
}
