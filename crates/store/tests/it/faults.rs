//! The disk is full, the connection dies, nobody says whether the commit was done: nothing is half done, and it goes
//! on.

use sqlx::{Executor, Row};
use strongroom_domain::{
    account::SystemAccount,
    ledger::{Answer, Changes, decide},
};
use strongroom_store::{Scope, Store, StoreError, StoreSettings, ledger::Need};

use crate::harness::{
    EUR, Kind, Proxy, TestSigner, TestStore, deposit, posted, run, run_among_others, transfer,
};

fn pages(bank: &TestStore) -> u32 {
    bank.place
        .file()
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap()
}

async fn bounded(bank: TestStore, pages_max: Option<u32>) -> TestStore {
    let settings = StoreSettings {
        pages_max,
        ..bank.place.settings.clone()
    };
    let place = bank.place.clone();
    drop(bank);
    TestStore::open_with(place, &settings).await.unwrap()
}

#[test]
fn on_sqlite_a_full_database_refuses_whole_batches_and_goes_on_when_there_is_room() {
    run(Kind::Sqlite, async |mut bank: TestStore| {
        let ids = bank.accounts(4, 1_000_000).await;
        let person = bank.customer().await;
        let room = pages(&bank) + 150;
        bank = bounded(bank, Some(room)).await;
        let batch = || -> Vec<_> {
            (0..20)
                .map(|n| {
                    transfer(ids[n % 2], ids[2], 1)
                        .with_memo(person, 3_000)
                        .with_key()
                        .command
                })
                .collect()
        };
        let mut booked = 0;
        let failed = loop {
            let commands = batch();
            match bank.try_run(&commands).await {
                Ok(_) => booked += 20,
                Err(error) => break (commands, error),
            }
            assert!(booked < 10_000);
        };
        assert!(booked > 0, "the bound leaves no room at all");
        assert!(
            matches!(failed.1, StoreError::Unavailable(_) | StoreError::CommitUnknown),
            "{:?}",
            failed.1
        );
        // Nothing of the refused batch is there, before and after it is tried again.
        for _ in 0..3 {
            assert_eq!(bank.balance(ids[2]).await, 1_000_000 + booked);
            let key = failed.0[0].idempotency.as_ref().unwrap().tag;
            assert_eq!(bank.store.outcome(&key).await.unwrap(), None);
            bank.try_run(&failed.0).await.expect_err("there is still no room");
        }
        assert_eq!(bank.run(&[]).await, []);
        bank = bounded(bank, None).await;
        let answers = bank.run(&failed.0).await;
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Done(_))));
        assert_eq!(bank.balance(ids[2]).await, 1_000_000 + booked + 20);
        let check: String = bank
            .place
            .file()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
    });
}

#[test]
fn on_sqlite_a_write_of_the_control_plane_that_found_no_room_leaves_the_way_free() {
    run(Kind::Sqlite, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 1_000).await;
        let room = pages(&bank) + 8;
        bank = bounded(bank, Some(room)).await;
        let mut added = 0;
        let refused = loop {
            let tx = bank.store.write(Scope::System).await.unwrap();
            let user = strongroom_store::NewUser {
                id: crate::harness::id(),
                email_index: None,
                sealed_email: Some(vec![1; 3_000]),
                sealed_name: None,
                wrapped_key: vec![3; 60],
                created_at: strongroom_domain::time::Timestamp::from_micros(1),
            };
            let done = async {
                tx.insert_user(&user).await?;
                tx.commit().await
            };
            match done.await {
                Ok(()) => added += 1,
                Err(error) => break error,
            }
            assert!(added < 1_000);
        };
        assert!(
            matches!(refused, StoreError::Unavailable(_) | StoreError::CommitUnknown),
            "{refused:?}"
        );
        // SQLite has ended that transaction by itself; the connection must not be stuck in it.
        for _ in 0..3 {
            drop(bank.store.write(Scope::System).await.unwrap());
        }
        bank.store
            .write(Scope::System)
            .await
            .unwrap()
            .commit()
            .await
            .unwrap();
        assert_eq!(bank.run(&[]).await, []);
        assert_eq!(bank.balance(ids[0]).await, 1_000);
        bank = bounded(bank, None).await;
        bank.customer().await;
    });
}

#[test]
fn on_postgres_a_database_that_may_forget_is_refused() {
    run(Kind::Postgres, async |bank: TestStore| {
        let place = bank.place.clone();
        drop(bank);
        let mut root = place.root().await;
        for (setting, refused) in [("off", true), ("local", true), ("on", false)] {
            let sql = format!(
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = {setting}', current_database()); END $$"
            );
            root.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
            let opened = Store::open(&place.settings).await;
            match opened {
                Err(StoreError::Setup(why)) => {
                    assert!(refused && why.contains("synchronous_commit"), "{setting}: {why}")
                }
                other => assert!(!refused && other.is_ok(), "{setting}: {other:?}"),
            }
        }
    });
}

#[test]
fn on_postgres_a_connection_killed_in_a_batch_is_an_error_and_the_next_batch_connects_again() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 1_000).await;
        let command = [transfer(ids[0], ids[1], 10).with_key().command];
        let mut root = bank.place.root().await;
        for round in 1..=3 {
            let mut book = bank.lane.begin(&Need::of_commands(&command)).await.unwrap();
            let sql = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
                       WHERE datname = current_database() AND state = 'idle in transaction'";
            let killed: i64 = root.fetch_one(sql).await.unwrap().get(0);
            assert_eq!(killed, 1);
            let (changes, _) = decide(&mut book, &command, &TestSigner);
            let failed = bank.lane.commit(book, &changes).await;
            assert!(
                matches!(failed, Err(StoreError::Unavailable(_))),
                "round {round}: {failed:?}"
            );
            assert_eq!(bank.balance(ids[1]).await, 1_000);
        }
        posted(bank.run_one(command[0].clone()).await);
        assert_eq!(bank.balance(ids[1]).await, 1_010);
    });
}

#[test]
fn on_postgres_a_connection_killed_between_batches_costs_one_batch_at_most() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 1_000).await;
        let mut root = bank.place.root().await;
        root.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
        let command = transfer(ids[0], ids[1], 10).with_key().command;
        let first = bank.try_run(std::slice::from_ref(&command)).await;
        assert!(matches!(first, Err(StoreError::Unavailable(_))), "{first:?}");
        posted(bank.run_one(command).await);
        assert_eq!(bank.balance(ids[1]).await, 1_010);
    });
}

#[test]
fn on_postgres_a_commit_that_nobody_confirmed_is_looked_up_and_never_done_twice() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 1_000).await;
        let proxy = Proxy::before_the_lane(&bank.place).await;
        let mut bank = TestStore::open_with(bank.place.clone(), &proxy.settings)
            .await
            .unwrap();
        for (round, done) in [(1, false), (2, true), (3, true), (4, false)] {
            let command = [transfer(ids[0], ids[1], 10).with_key().command];
            let mut book = bank.lane.begin(&Need::of_commands(&command)).await.unwrap();
            let (changes, _) = decide(&mut book, &command, &TestSigner);
            if done {
                proxy.cut_after_commit();
            } else {
                proxy.cut_before_commit();
            }
            assert_eq!(
                bank.lane.commit(book, &changes).await,
                Err(StoreError::CommitUnknown)
            );
            let answer = bank.run_one(command[0].clone()).await;
            assert_eq!(matches!(answer, Answer::Replayed { .. }), done, "{answer:?}");
            assert_eq!(bank.balance(ids[1]).await, 1_000 + 10 * round);
        }
    });
}

#[test]
fn on_sqlite_a_commit_that_failed_is_looked_up_by_those_who_ask_meanwhile() {
    run(Kind::Sqlite, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 1_000).await;
        let known = transfer(ids[0], ids[1], 10).with_key().command;
        posted(bank.run_one(known.clone()).await);
        let command = [deposit(ids[0], 5).with_key().command];
        let mut book = bank.lane.begin(&Need::of_commands(&command)).await.unwrap();
        let (changes, _) = decide(&mut book, &command, &TestSigner);
        // A promise that the deferred foreign key breaks at the commit: a transaction whose entries never come.
        let broken = Changes {
            entries: Vec::new(),
            ..changes
        };
        assert_eq!(
            bank.lane.commit(book, &broken).await,
            Err(StoreError::CommitUnknown)
        );
        let tag = |command: &strongroom_domain::ledger::Command| command.idempotency.as_ref().unwrap().tag;
        assert_eq!(bank.store.outcome(&tag(&command[0])).await.unwrap(), None);
        assert!(bank.store.outcome(&tag(&known)).await.unwrap().is_some());
        posted(bank.run_one(command[0].clone()).await);
        assert_eq!(bank.balance(SystemAccount::Cash.id(EUR)).await, -2_005);
    });
}
