//! Several processes on one PostgreSQL: the same accounts, the same keys, the same log of ids.

use std::collections::HashSet;

use strongroom_domain::{
    id::AccountId,
    ledger::{Answer, Command, decide},
    money::Currency,
};
use strongroom_store::{Revoked, Scope, StoreError, ledger::Need};
use tokio::sync::Barrier;

use crate::harness::{
    Kind, TestSigner, TestStore, deposit, id, opened, posted, run, run_among_others, tag, till, transfer,
    withdraw,
};

/// Batches that each node commits.
const BATCHES: usize = 25;

/// Transfers among the accounts in an order of its own, and cash, which everybody books against the one till.
fn batch(ids: &[AccountId], node: usize, round: usize) -> Vec<Command> {
    let count = ids.len();
    (0..40)
        .map(|n| {
            let (from, to) = (
                (n * (node + 2) + round) % count,
                (n * (node + 3) + round * 5 + 1) % count,
            );
            let asked = match n % 4 {
                0 => deposit(ids[from], 7),
                1 => withdraw(ids[to], 7),
                _ if from == to => deposit(ids[from], 1),
                _ => transfer(ids[from], ids[to], 3),
            };
            asked.with_key().command
        })
        .collect()
}

/// The books add up whichever way they are added: states, entries, and per account in order.
async fn assert_whole(bank: &TestStore) {
    use sqlx::{Executor, Row};
    let mut root = bank.place.root().await;
    for (what, sql) in [
        ("balances", "SELECT sum(balance)::bigint FROM account_states"),
        ("entries", "SELECT sum(amount)::bigint FROM entries"),
        (
            "states that are not the sum of their entries",
            "SELECT count(*) FROM account_states s WHERE balance <> (SELECT coalesce(sum(amount), 0) FROM entries e WHERE e.account_id = s.account_id)",
        ),
        (
            "entries out of order",
            "SELECT count(*) FROM (SELECT amount, balance_after, booked_at, sequence, prev, \
             lag(balance_after, 1, 0) OVER w AS before, lag(booked_at, 1, 0) OVER w AS at_before, \
             lag(id) OVER w AS id_before, row_number() OVER w AS line \
             FROM entries WINDOW w AS (PARTITION BY account_id ORDER BY id)) e \
             WHERE balance_after <> before + amount OR booked_at < at_before OR sequence <> line OR prev IS DISTINCT FROM id_before",
        ),
    ] {
        let wrong: Option<i64> = root.fetch_one(sql).await.unwrap().get(0);
        assert_eq!(wrong.unwrap_or(0), 0, "{what}");
    }
}

#[test]
fn two_nodes_hammer_the_same_accounts_without_deadlock_and_every_sum_is_right() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(12, 1_000_000).await;
        let mut nodes = vec![bank.another().await, bank.another().await];
        let tasks: Vec<_> = nodes
            .drain(..)
            .enumerate()
            .map(|(node, mut bank)| {
                let ids = ids.clone();
                tokio::spawn(async move {
                    let mut records = Vec::new();
                    for round in 0..BATCHES {
                        let commands = batch(&ids, node, round);
                        let need = Need::of_commands(&commands);
                        // Exactly once: neither a deadlock nor a time-out ever asks for another try.
                        let mut book = bank.lane.begin(&need).await.unwrap();
                        let (changes, answers) = decide(&mut book, &commands, &TestSigner);
                        bank.lane.commit(book, &changes).await.unwrap();
                        assert!(answers.iter().all(|answer| matches!(answer, Answer::Done(_))));
                        records.extend(changes.records.iter().map(|record| record.id));
                    }
                    records
                })
            })
            .collect();
        let mut records = HashSet::new();
        for task in tasks {
            for record in task.await.unwrap() {
                assert!(records.insert(record), "a record's id was given twice");
            }
        }
        assert_eq!(records.len(), 2 * BATCHES * 40);
        assert_whole(&bank).await;
    });
}

#[test]
fn a_key_raced_between_two_nodes_posts_once() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let ids = [bank.accounts(2, 1_000).await, bank.accounts(2, 1_000).await].concat();
        let mut nodes = [bank.another().await, bank.another().await];
        let (mut waited, mut before) = (0, 0);
        for round in 0..12_i64 {
            let key = tag();
            // Other accounts of other customers, so that only the key can hold one of them up.
            let commands = [
                [transfer(ids[0], ids[1], 1).keyed(key, 1).command],
                [transfer(ids[2], ids[3], 1).keyed(key, 1).command],
            ];
            let barrier = Barrier::new(2);
            let [one, two] = &mut nodes;
            let race = async |bank: &mut TestStore, commands: &[Command]| {
                let need = Need::of_commands(commands);
                let mut book = bank.lane.begin(&need).await.unwrap();
                assert!(book.outcomes.is_empty());
                // Both have looked the key up and found nothing.
                barrier.wait().await;
                let (changes, answers) = decide(&mut book, commands, &TestSigner);
                match bank.lane.commit(book, &changes).await {
                    Ok(()) => answers,
                    Err(error) => {
                        assert!(
                            matches!(&error, StoreError::Constraint(name) if name.contains("idempotency")),
                            "{error}"
                        );
                        bank.reruns += 1;
                        bank.run(commands).await
                    }
                }
            };
            let (a, b) = tokio::join!(race(one, &commands[0]), race(two, &commands[1]));
            let done = [&a[0], &b[0]]
                .iter()
                .filter(|answer| matches!(answer, Answer::Done(_)))
                .count();
            let replayed = [&a[0], &b[0]]
                .iter()
                .filter(|answer| matches!(answer, Answer::Replayed { .. }))
                .count();
            assert_eq!((done, replayed), (1, 1), "round {round}: {a:?} {b:?}");
            waited += 1;
            before += 1;
            let moved = bank.balance(ids[1]).await + bank.balance(ids[3]).await;
            assert_eq!(moved, 2_000 + before);
        }
        assert_eq!(nodes[0].reruns + nodes[1].reruns, waited);
    });
}

#[test]
fn keys_that_two_batches_share_in_opposite_orders_do_not_deadlock() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let ids = [bank.accounts(2, 100_000).await, bank.accounts(2, 100_000).await].concat();
        let mut nodes = [bank.another().await, bank.another().await];
        for _ in 0..4 {
            let keys: Vec<_> = (0..1_000).map(|_| tag()).collect();
            let of = |from: AccountId, to: AccountId, keys: Vec<[u8; 16]>| -> Vec<Command> {
                keys.into_iter()
                    .map(|key| transfer(from, to, 1).keyed(key, 1).command)
                    .collect()
            };
            let forwards = of(ids[0], ids[1], keys.clone());
            let backwards = of(ids[2], ids[3], keys.into_iter().rev().collect());
            let [one, two] = &mut nodes;
            let barrier = Barrier::new(2);
            let race = async |bank: &mut TestStore, commands: &[Command]| {
                let mut book = bank.lane.begin(&Need::of_commands(commands)).await.unwrap();
                let (changes, answers) = decide(&mut book, commands, &TestSigner);
                barrier.wait().await;
                match bank.lane.commit(book, &changes).await {
                    Ok(()) => answers,
                    // Who comes second is refused by the index; a deadlock would be told as a retry.
                    Err(StoreError::Constraint(_)) => bank.run(commands).await,
                    Err(error) => panic!("{error}"),
                }
            };
            let (a, b) = tokio::join!(race(one, &forwards), race(two, &backwards));
            let done = a
                .iter()
                .chain(&b)
                .filter(|answer| matches!(answer, Answer::Done(_)))
                .count();
            assert_eq!(done, 1_000);
        }
        assert_whole(&bank).await;
    });
}

#[test]
fn two_nodes_that_open_the_first_account_of_a_currency_at_once_share_its_chart() {
    run(Kind::Postgres, async |bank: TestStore| {
        let (one, two) = (bank.customer().await, bank.customer().await);
        let mut nodes = [bank.another().await, bank.another().await];
        for code in ["EUR", "USD", "CHF", "JPY", "SEK"] {
            let currency = Currency::parse(code).unwrap();
            let of = |owner| {
                let mut command = crate::harness::open_account(owner).command;
                if let strongroom_domain::ledger::Verb::Open(new) = &mut command.verb {
                    new.currency = currency;
                }
                [command]
            };
            let (first, second) = (of(one), of(two));
            let [a, b] = &mut nodes;
            let (a, b) = tokio::join!(a.run(&first), b.run(&second));
            for mut answers in [a, b] {
                assert_eq!(opened(answers.remove(0)).currency, currency);
            }
        }
        assert_eq!(bank.store.trial_balance().await.unwrap().len(), 5 * 7);
    });
}

#[test]
fn a_batch_that_waited_for_a_lock_reads_what_the_other_node_committed() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 1_000).await;
        let key = tag();
        let command = [transfer(ids[0], ids[1], 600).keyed(key, 1).command];
        let mut paused = bank.another().await;
        let need = Need::of_commands(&command);
        let mut book = paused.lane.begin(&need).await.unwrap();
        // The other node sends its lock and waits for it.
        let racing = tokio::spawn({
            let command = command.clone();
            async move {
                let answers = bank.run(&command).await;
                (bank, answers)
            }
        });
        wait_for_a_lock(&paused).await;
        let (changes, _) = decide(&mut book, &command, &TestSigner);
        paused.lane.commit(book, &changes).await.unwrap();
        let (bank, answers) = racing.await.unwrap();
        assert!(matches!(answers[0], Answer::Replayed { .. }), "{answers:?}");
        assert_eq!(bank.reruns, 0);
        assert_eq!(
            (bank.balance(ids[0]).await, bank.balance(ids[1]).await),
            (400, 1_600)
        );
    });
}

#[test]
fn rights_cannot_change_in_the_middle_of_a_batch() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 1_000).await;
        let command = [transfer(ids[0], ids[1], 1).command];
        let mut book = bank.lane.begin(&Need::of_commands(&command)).await.unwrap();
        let other = bank.another().await;
        let store = other.store.clone();
        let revoking = tokio::spawn(async move {
            let mut tx = store.write(Scope::System).await.unwrap();
            tx.revoke(Revoked::User(id())).await.unwrap();
            tx.commit().await.unwrap();
        });
        wait_for_a_lock(&other).await;
        assert_eq!(other.store.epoch().await.unwrap(), 1);
        let (changes, answers) = decide(&mut book, &command, &TestSigner);
        bank.lane.commit(book, &changes).await.unwrap();
        posted(answers.into_iter().next().unwrap());
        revoking.await.unwrap();
        assert_eq!(other.store.epoch().await.unwrap(), 2);
        assert_eq!(bank.run_one(command[0].clone()).await, Answer::Stale);
        assert_eq!(bank.balance(till()).await, -2_000);
    });
}

/// Until some session of this database waits for a lock that another holds.
async fn wait_for_a_lock(bank: &TestStore) {
    use sqlx::{Executor, Row};
    let mut root = bank.place.root().await;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..10_000 {
        let waiting: i64 = root.fetch_one(sql).await.unwrap().get(0);
        if waiting > 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("nobody waited for a lock");
}
