//! Budgets of integrations and nonces of signed requests, where they are spent: in the books' own commit.

use std::sync::Arc;

use strongroom_domain::{
    id::{AccountId, ApiKeyId, RequestId},
    ledger::{Answer, Budget, Command, KeyBounds, Nonce, Refusal},
    money::Amount,
    time::Timestamp,
};
use strongroom_store::{
    Scope,
    identity::{KeySigning, NewApiKey},
};

use crate::harness::{EUR, Kind, TestStore, id, on_both_engines, posted, run_among_others, tag, transfer};

const WINDOW_SECS: i64 = 3_600;

/// A key of somebody whose integration may move so much in an hour.
async fn integration(bank: &TestStore, minor: i64) -> KeyBounds {
    let key: ApiKeyId = id();
    let bounds = KeyBounds {
        integration: key,
        max_amount: Some((Amount::new(minor).unwrap(), EUR)),
        payees: Some(vec![id(), id()]),
        budget: Some(Budget {
            amount: Amount::new(minor).unwrap(),
            currency: EUR,
            window_secs: WINDOW_SECS,
        }),
    };
    let new = NewApiKey {
        id: key,
        owner: bank.customer().await,
        sealed_name: vec![1],
        scopes: "transfers:write".to_owned(),
        hash: [3; 32],
        hash_key: 1,
        created_at: Timestamp::default(),
        expires_at: None,
        sealed_networks: Some(vec![2]),
        certificate: Some([5; 32]),
        bounds,
        signing: KeySigning {
            schemes: "rfc9421".to_owned(),
            public_key: Some([4; 32]),
            sealed_secret: None,
        },
    };
    let tx = bank.store.write(Scope::Person(new.owner)).await.unwrap();
    tx.insert_api_key(&new).await.unwrap();
    tx.commit().await.unwrap();
    let row = bank.store.api_key(key).await.unwrap().unwrap();
    assert_eq!((&row.bounds, &row.signing), (&new.bounds, &new.signing));
    assert_eq!(row.sealed_networks, new.sealed_networks);
    assert_eq!(row.certificate, new.certificate);
    row.bounds
}

fn spending(from: AccountId, to: AccountId, minor: i64, bounds: &KeyBounds) -> Command {
    let mut command = transfer(from, to, minor).with_key().command;
    let bounds = KeyBounds {
        max_amount: None,
        payees: None,
        ..bounds.clone()
    };
    command.bounds = Some(Arc::new(bounds));
    command
}

fn signed(mut command: Command, nonce: Nonce) -> Command {
    command.nonce = Some(nonce);
    command
}

on_both_engines! {
    async fn a_budget_is_spent_in_the_commit_of_the_movement_and_outlives_the_process(bank: TestStore) {
        let ids = bank.accounts(2, 1_000).await;
        let bounds = integration(&bank, 100).await;
        let (first, second) = (spending(ids[0], ids[1], 60, &bounds), spending(ids[0], ids[1], 40, &bounds));
        let answers = bank.run(&[first, spending(ids[0], ids[1], 41, &bounds), second]).await;
        assert_eq!(answers[1], Answer::Refused(Refusal::LimitExceeded));
        bank = bank.reopen().await;
        let more = bank.run_one(spending(ids[0], ids[1], 1, &bounds)).await;
        assert_eq!(more, Answer::Refused(Refusal::LimitExceeded));
        // What another integration spends is another's.
        let other = integration(&bank, 100).await;
        posted(bank.run_one(spending(ids[0], ids[1], 100, &other)).await);
        assert_eq!(bank.balance(ids[1]).await, 1_200);
    }

    async fn a_nonce_is_used_up_in_the_commit_of_its_request_and_outlives_the_process(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let made_at = Timestamp::from_micros(Nonce::PERIOD_SECS * 5_000_000);
        let nonce = Nonce::new(tag(), made_at);
        let first = signed(transfer(ids[0], ids[1], 1).with_key().command, nonce);
        posted(bank.run_one(first.clone()).await);
        bank = bank.reopen().await;
        // Also where the request says that it was made a little earlier or later.
        for secs in [-1, 0, Nonce::PERIOD_SECS] {
            let nonce = Nonce::new(nonce.digest, made_at.plus_seconds(secs));
            let again = signed(transfer(ids[0], ids[1], 1).with_key().command, nonce);
            assert_eq!(bank.run_one(again).await, Answer::NonceUsed, "{secs}");
        }
        // The lane's own repetition after a commit that it was not told about.
        assert!(matches!(bank.run_one(first.clone()).await, Answer::Replayed { .. }));
        // A repetition by the client has a nonce of its own, and uses it up although nothing else is written.
        let again = Command { request: id(), nonce: Some(Nonce::new(tag(), made_at)), ..first };
        assert!(matches!(bank.run_one(again.clone()).await, Answer::Replayed { .. }));
        assert_eq!(bank.run_one(Command { request: id(), ..again }).await, Answer::NonceUsed);
        assert_eq!(bank.balance(ids[1]).await, 101);
    }

    async fn nonces_are_one_table_for_the_books_and_for_everything_else(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let made_at = Timestamp::from_micros(Nonce::PERIOD_SECS * 5_000_000);
        let (nonce, request): (_, RequestId) = (Nonce::new(tag(), made_at), id());
        let uses = async |nonce: Nonce, request| {
            let tx = bank.store.write(Scope::System).await.unwrap();
            let fresh = tx.use_nonce(&nonce, request).await.unwrap();
            tx.commit().await.unwrap();
            fresh
        };
        assert!(uses(nonce, request).await);
        assert!(uses(nonce, request).await, "its own request");
        assert!(!uses(nonce, id()).await);
        assert!(!uses(Nonce { period: nonce.period + 1, ..nonce }, id()).await);
        let spent = signed(transfer(ids[0], ids[1], 1).with_key().command, nonce);
        assert_eq!(bank.run_one(spent).await, Answer::NonceUsed);
    }
}

#[test]
fn nonces_are_forgotten_by_the_period_when_their_requests_can_come_no_more() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        crate::harness::run(kind, async |bank: TestStore| {
            let made_at = Timestamp::from_micros(Nonce::PERIOD_SECS * 5_000_000);
            let tx = bank.store.write(Scope::System).await.unwrap();
            for secs in [0, 1, Nonce::PERIOD_SECS] {
                let nonce = Nonce::new(tag(), made_at.plus_seconds(secs));
                assert!(tx.use_nonce(&nonce, id()).await.unwrap());
            }
            let end = made_at.plus_seconds(2 * Nonce::PERIOD_SECS);
            assert_eq!(tx.forget_nonces(end).await.unwrap(), 0, "two windows are kept");
            let end = end.plus_seconds(Nonce::PERIOD_SECS);
            assert_eq!(tx.forget_nonces(end).await.unwrap(), 2);
            assert_eq!(tx.forget_nonces(end).await.unwrap(), 0);
            tx.commit().await.unwrap();
        });
    }
}

#[test]
fn two_nodes_with_one_budget_never_spend_more_than_it() {
    run_among_others(Kind::Postgres, async |mut first: TestStore| {
        let ids = first.accounts(4, 1_000).await;
        let mut second = first.another().await;
        for _ in 0..20 {
            let bounds = integration(&first, 10).await;
            // Accounts of their own, so that nothing but the budget makes one wait for the other.
            let (one, other) = tokio::join!(
                first.run_one(spending(ids[0], ids[1], 6, &bounds)),
                second.run_one(spending(ids[2], ids[3], 6, &bounds)),
            );
            let done = [&one, &other]
                .iter()
                .filter(|answer| matches!(answer, Answer::Done(_)))
                .count();
            assert_eq!(done, 1, "{one:?} {other:?}");
            assert!([one, other].contains(&Answer::Refused(Refusal::LimitExceeded)));
        }
    });
}

#[test]
fn two_nodes_with_one_nonce_decide_once() {
    run_among_others(Kind::Postgres, async |mut first: TestStore| {
        let ids = first.accounts(4, 1_000).await;
        let mut second = first.another().await;
        for _ in 0..20 {
            let nonce = Nonce::new(tag(), Timestamp::default());
            let (one, other) = tokio::join!(
                first.run_one(signed(transfer(ids[0], ids[1], 1).with_key().command, nonce)),
                second.run_one(signed(transfer(ids[2], ids[3], 1).with_key().command, nonce)),
            );
            let done = [&one, &other]
                .iter()
                .filter(|answer| matches!(answer, Answer::Done(_)))
                .count();
            assert_eq!(done, 1, "{one:?} {other:?}");
            assert!([one, other].contains(&Answer::NonceUsed));
        }
    });
}

/// Statements and round trips of a batch beyond those of the same batch without keys and nonces.
async fn extra(bank: &mut TestStore, ids: &[AccountId], count: usize, bounds: &[KeyBounds]) -> (u64, u64) {
    let mut costs = Vec::new();
    for with_key in [false, true] {
        let commands: Vec<Command> = (0..count)
            .map(|n| {
                let (from, to) = (ids[2 * n], ids[2 * n + 1]);
                match with_key {
                    false => transfer(from, to, 1).with_key().command,
                    true => {
                        let nonce = Nonce::new(tag(), Timestamp::default());
                        signed(spending(from, to, 1, &bounds[n % bounds.len()]), nonce)
                    }
                }
            })
            .collect();
        let before = bank.lane.counters();
        bank.run(&commands).await;
        let after = bank.lane.counters();
        costs.push((
            after.statements - before.statements - bank.changes.nodes.len() as u64,
            after.round_trips - before.round_trips,
        ));
    }
    (costs[1].0 - costs[0].0, costs[1].1 - costs[0].1)
}

#[test]
fn on_postgres_budgets_and_nonces_are_two_statements_each_whatever_the_size_of_the_batch() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(512, 1_000).await;
        let bounds = [integration(&bank, 10_000).await, integration(&bank, 10_000).await];
        for count in [1, 16, 256] {
            // Read with the locks, in the same round trip; written in one statement each.
            assert_eq!(
                extra(&mut bank, &ids, count, &bounds).await,
                (4, 2),
                "{count} commands"
            );
        }
    });
}

#[test]
fn on_sqlite_a_nonce_is_two_statements_and_a_budget_two_per_batch() {
    crate::harness::run(Kind::Sqlite, async |mut bank: TestStore| {
        let ids = bank.accounts(512, 1_000).await;
        let bounds = [integration(&bank, 10_000).await];
        for count in [1, 16, 256] {
            let expected = 2 + 2 * count as u64;
            assert_eq!(
                extra(&mut bank, &ids, count, &bounds).await,
                (expected, 0),
                "{count} commands"
            );
        }
    });
}
