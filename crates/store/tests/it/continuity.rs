//! What every writer continues: ids, time, the log and its root, whoever wrote last and however the process ended.

use strongroom_domain::{
    account::{FreezeScope, Side},
    action::Action,
    audit::{CompactRange, Details, Hash, Object, Record, SignedRecord},
    ledger::{AccountChange, Answer, Changes, Command, Refusal, Signer, decide},
    principal::{Caller, Origin, Principal},
    time::Timestamp,
};
use strongroom_store::{
    RecordSlot, Revoked, Scope, Store, StoreError, WriteTx,
    identity::{DecisionRow, SharedFacts},
    ledger::{BATCH_COMMANDS_MAX, LaneClock, Need},
};

use crate::{
    decisions::{decision, facts},
    harness::{
        Kind, TestSigner, TestStore, change, deposit, id, on_both_engines, open_account, posted, run,
        transfer, withdraw,
    },
};

/// Root over leaves in order, built from nothing.
fn root_of(leaves: &[Hash]) -> Hash {
    let mut range = CompactRange::default();
    leaves.iter().for_each(|leaf| range.append(*leaf, |_| ()));
    range.root()
}

async fn log_of(bank: &mut TestStore) -> Option<(u64, Hash)> {
    let book = bank.lane.begin(&Need::default()).await.unwrap();
    let log = book.log.as_ref().map(|log| (log.size(), log.root()));
    bank.lane.commit(book, &Changes::default()).await.unwrap();
    log
}

fn signed(slot: RecordSlot, now: Timestamp) -> SignedRecord {
    let record = Record {
        id: slot.id,
        at: now.max(slot.not_before),
        request: id(),
        caller: Caller {
            principal: Principal::Job,
            session: None,
            origin: Origin::Job,
        },
        action: Action::UserLock.name(),
        object: Object::Bank,
        outcome: "ok",
        policy: 1,
        details: Details::none(),
    };
    let (key, mac) = TestSigner.sign(&record.canonical());
    SignedRecord::new(record, key, mac)
}

/// What an operator did, recorded in its transaction.
async fn append(tx: &mut WriteTx, bank: &TestStore) -> SignedRecord {
    let slot = tx.next_record().await.unwrap();
    let signed = signed(slot, bank.clock.now());
    tx.append_record(&signed).await.unwrap();
    signed
}

/// Every verb, with and without refusals, a key and a text each.
async fn mixed(bank: &mut TestStore, count: usize) -> Vec<Command> {
    let ids = bank.accounts(16, 1_000_000).await;
    let owner = bank.customer().await;
    (0..count)
        .map(|n| {
            let (one, two) = (ids[n % 15], ids[(n * 7 + 1) % 15]);
            let asked = match n % 8 {
                0 => open_account(owner),
                1 => deposit(one, 5),
                2 => withdraw(one, 3),
                3 => transfer(one, two, 2_000_000),
                4 => change(ids[15], Side::Bank, AccountChange::Freeze(FreezeScope::All)),
                5 => transfer(ids[15], one, 1),
                6 => change(ids[15], Side::Bank, AccountChange::Unfreeze),
                _ => transfer(one, two, 1).with_memo(owner, 40),
            };
            asked.with_key().command
        })
        .collect()
}

on_both_engines! {
    async fn decisions_are_bound_once_whoever_appends_them_and_the_log_goes_on(bank: TestStore) {
        let now = bank.clock.now();
        let begin = log_of(&mut bank).await;
        let made = |number: u8| DecisionRow {
            id: id(),
            ..decision(number, now.micros() + i64::from(number))
        };
        let mut first: Vec<_> = (1..=3).map(made).collect();
        first.sort_by_key(|row| row.id);
        // Eight at once, as nodes are, or a process and its retry: each decision is there once, of one record.
        let store = bank.store.clone();
        let append_all = |rows: Vec<DecisionRow>, shared| {
            let store = store.clone();
            tokio::spawn(async move {
                let (tell, told) = std::sync::mpsc::channel();
                let bind = move |slot: RecordSlot, new: &[DecisionRow]| {
                    let record = (!new.is_empty()).then(|| signed(slot, now));
                    tell.send((record.clone(), new.to_vec())).unwrap();
                    record
                };
                store.append_decisions(rows, shared, bind).await.unwrap();
                told.recv().unwrap()
            })
        };
        let tries: Vec<_> = (0..8).map(|_| append_all(first.clone(), vec![facts(1, 2100)])).collect();
        let (mut records, mut bound) = (Vec::new(), Vec::new());
        for tried in tries {
            let (record, new) = tried.await.unwrap();
            assert_eq!(record.is_some(), !new.is_empty());
            if let Some(record) = record {
                let snapshot = bank.store.log_snapshot().await.unwrap();
                assert_eq!(snapshot.decisions_of(record.id).await.unwrap(), new);
                records.push(record);
            }
            bound.extend(new);
        }
        bound.sort_by_key(|row| row.id);
        assert_eq!(bound, first);
        // Whoever writes next continues the ids and the tree.
        let mut tx = bank.store.write(Scope::Operator).await.unwrap();
        records.push(append(&mut tx, &bank).await);
        tx.commit().await.unwrap();
        let (record, _) = append_all(vec![made(4)], vec![facts(4, 2100)]).await.unwrap();
        records.extend(record);
        // What is refused leaves nothing behind, and nobody in doubt.
        let (five, taken) = (made(5), records[0].clone());
        let refused = store.append_decisions(vec![five.clone()], vec![], |_, _| Some(taken)).await;
        assert!(refused.is_err());
        assert_eq!(bank.store.decision(five.id).await.unwrap(), None);
        let (record, _) = append_all(vec![five], vec![facts(5, 2100)]).await.unwrap();
        records.extend(record);
        assert!(records.is_sorted_by_key(|record| record.id));
        if let Some((size, _)) = begin {
            assert_eq!(size, 0);
            let leaves: Vec<Hash> = records.iter().map(SignedRecord::leaf).collect();
            assert_eq!(log_of(&mut bank).await, Some((leaves.len() as u64, root_of(&leaves))));
        }
        // Facts that are there stay as they are.
        let one = bound.iter().find(|row| row.inputs == [1; 16]).unwrap();
        let other = SharedFacts { sealed: vec![7], ..facts(1, 2100) };
        let (record, new) = append_all(first.clone(), vec![other]).await.unwrap();
        assert_eq!((record, new), (None, vec![]));
        assert_eq!(bank.store.decision(one.id).await.unwrap(), Some((one.clone(), Some(vec![1]))));
    }

    async fn a_full_batch_of_mixed_verbs_is_booked_whole(bank: TestStore) {
        let commands = mixed(&mut bank, BATCH_COMMANDS_MAX).await;
        let answers = bank.run(&commands).await;
        assert_eq!(answers.len(), BATCH_COMMANDS_MAX);
        let refused = answers.iter().filter(|answer| matches!(answer, Answer::Refused(_))).count();
        let done = answers.iter().filter(|answer| matches!(answer, Answer::Done(_))).count();
        assert_eq!(refused + done, BATCH_COMMANDS_MAX);
        assert!(refused >= BATCH_COMMANDS_MAX / 4 && done >= BATCH_COMMANDS_MAX / 2, "{refused} refused, {done} done");
        for transaction in bank.changes.transactions.clone() {
            let view = bank.store.transaction(transaction.id).await.unwrap().unwrap();
            assert_eq!(view.transaction, transaction);
        }
        let total: i64 = bank.store.trial_balance().await.unwrap().iter().map(|line| line.credit - line.debit).sum();
        assert_eq!(total, 0);
    }

    async fn ids_time_and_the_root_of_the_log_go_on_after_a_restart(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let mut leaves = Vec::new();
        let mut last_entry = 0;
        let mut last_at = None;
        let before = log_of(&mut bank).await;
        for round in 0..6 {
            // Some more than a tile of the log.
            for _ in 0..2 {
                let batch: Vec<_> = (0..40 + round).map(|_| transfer(ids[0], ids[1], 1).command).collect();
                bank.run(&batch).await;
                leaves.extend(bank.changes.records.iter().map(SignedRecord::leaf));
                for entry in &bank.changes.entries {
                    assert!(entry.id > last_entry, "{} after {last_entry}", entry.id);
                    assert!(Some(entry.booked_at) >= last_at);
                    (last_entry, last_at) = (entry.id, Some(entry.booked_at));
                }
            }
            // A clock that went back in the meantime must not take the books along.
            bank = bank.reopen().await;
            bank.clock.set(strongroom_domain::time::Timestamp::from_micros(1));
        }
        assert_eq!(log_of(&mut bank).await.is_some(), bank.place.kind() == Kind::Sqlite);
        if let (Some((size_before, _)), Some((size, _))) = (before, log_of(&mut bank).await) {
            assert_eq!(size - size_before, u64::try_from(leaves.len()).unwrap());
        }
    }

    async fn the_control_plane_and_the_lane_continue_each_other(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let mut last = bank.changes.records.last().unwrap().id;
        for round in 0..5 {
            let mut tx = bank.store.write(Scope::System).await.unwrap();
            for _ in 0..=round {
                let record = append(&mut tx, &bank).await;
                assert!(record.id > last);
                last = record.id;
            }
            tx.commit().await.unwrap();
            bank.run_one(transfer(ids[0], ids[1], 1).command).await;
            let record = bank.changes.records[0].id;
            assert!(record > last);
            last = record;
        }
    }

    async fn what_a_refused_command_asked_for_is_in_the_log_all_the_same(bank: TestStore) {
        let ids = bank.accounts(2, 0).await;
        let answer = bank.run_one(transfer(ids[0], ids[1], 1).with_key().command).await;
        assert_eq!(answer, Answer::Refused(Refusal::InsufficientFunds));
        assert_eq!(bank.changes.records[0].outcome, "insufficient_funds");
    }
}

on_both_engines! { alone
    async fn a_revocation_makes_every_older_permit_stale(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        assert_eq!(bank.store.epoch().await.unwrap(), 1);
        let mut tx = bank.store.write(Scope::System).await.unwrap();
        append(&mut tx, &bank).await;
        let epoch = tx.revoke(Revoked::User(id())).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((epoch, bank.store.epoch().await.unwrap()), (2, 2));
        assert_eq!(bank.run_one(transfer(ids[0], ids[1], 1).command).await, Answer::Stale);
        posted(bank.run_one(transfer(ids[0], ids[1], 1).at_epoch(2).command).await);
        bank = bank.reopen().await;
        assert_eq!(bank.store.epoch().await.unwrap(), 2);
    }

    async fn a_dropped_write_changes_nothing_and_holds_nobody_up(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let before = log_of(&mut bank).await;
        for _ in 0..20 {
            let mut tx = bank.store.write(Scope::System).await.unwrap();
            append(&mut tx, &bank).await;
            tx.revoke(Revoked::User(id())).await.unwrap();
            drop(tx);
            let asked = std::time::Instant::now();
            bank.run_one(transfer(ids[0], ids[1], 1).command).await;
            assert!(asked.elapsed().as_millis() < 4_000, "{:?}", asked.elapsed());
        }
        assert_eq!(bank.store.epoch().await.unwrap(), 1);
        if let (Some((before, _)), Some((after, _))) = (before, log_of(&mut bank).await) {
            assert_eq!(after - before, 20);
        }
    }

    async fn migrating_twice_is_migrating_once(bank: TestStore) {
        assert_eq!(Store::migrate(&bank.place.settings).await.unwrap(), 0);
        let ids = bank.accounts(1, 5).await;
        assert_eq!(Store::migrate(&bank.place.settings).await.unwrap(), 0);
        assert_eq!(bank.balance(ids[0]).await, 5);
    }

    async fn a_pending_migration_is_refused_where_serving_does_not_migrate(bank: TestStore) {
        let place = bank.place.clone();
        drop(bank);
        place.empty().await;
        let mut settings = place.settings.clone();
        settings.migrate_at_start = false;
        let refused = Store::open(&settings).await;
        assert!(matches!(&refused, Err(StoreError::Setup(why)) if why.contains("pending")), "{refused:?}");
        assert!(Store::migrate(&settings).await.unwrap() >= 4);
        let mut bank = TestStore::open_with(place, &settings).await.unwrap();
        bank.accounts(1, 1).await;
    }
}

/// The leaves are written in the commit on this engine, so their root can be compared with one built from nothing.
#[test]
fn the_root_over_batches_and_writes_of_the_control_plane_is_that_of_all_records_in_order() {
    run(Kind::Sqlite, async |mut bank: TestStore| {
        let mut leaves = Vec::new();
        let owner = bank.customer().await;
        for round in 0..120 {
            bank.run_one(open_account(owner).command).await;
            leaves.extend(bank.changes.records.iter().map(SignedRecord::leaf));
            let mut tx = bank.store.write(Scope::System).await.unwrap();
            for _ in 0..3 {
                leaves.push(append(&mut tx, &bank).await.leaf());
            }
            tx.commit().await.unwrap();
            if round % 40 == 39 {
                bank = bank.reopen().await;
            }
            if round % 10 == 9 {
                let expected = (u64::try_from(leaves.len()).unwrap(), root_of(&leaves));
                assert_eq!(log_of(&mut bank).await, Some(expected));
            }
        }
        assert!(leaves.len() > 256);
    });
}

/// What the lane remembers of accounts is true because nobody else changes them.
#[test]
fn accounts_are_changed_in_the_lane_alone() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut left, mut writers) = (vec![sources], Vec::new());
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
        } else {
            let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let writes = [
                "update account_states",
                "into account_states",
                "delete from account_states",
            ]
            .iter()
            .any(|verb| text.contains(verb));
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // Migrations run before there is a lane.
            writers.extend((writes && !name.starts_with("00")).then_some(name));
        }
    }
    writers.sort();
    assert_eq!(writers, ["sqlite_write.rs", "write.postgres.sql"]);
}

/// What one process remembers of accounts is what it wrote itself. Another on the same file is found out by its records
/// in the log: then everything is read again.
#[test]
fn on_sqlite_an_account_that_another_process_changed_is_read_again() {
    run(Kind::Sqlite, async |mut bank: TestStore| {
        let ids = bank.accounts(3, 1_000).await;
        let mut other = bank.another().await;
        let pays = |minor| transfer(ids[0], ids[1], minor).with_key().command;
        assert!(matches!(bank.run_one(pays(100)).await, Answer::Done(_)));

        assert!(matches!(other.run_one(pays(800)).await, Answer::Done(_)));
        let answer = bank.run_one(pays(800)).await;
        assert_eq!(
            answer,
            Answer::Refused(Refusal::InsufficientFunds),
            "a hundred is left"
        );

        let more = deposit(ids[0], 5_000).with_key().command;
        assert!(matches!(other.run_one(more).await, Answer::Done(_)));
        assert!(
            matches!(bank.run_one(pays(800)).await, Answer::Done(_)),
            "there is enough again"
        );

        let freeze = change(ids[0], Side::Bank, AccountChange::Freeze(FreezeScope::All)).command;
        assert!(matches!(other.run_one(freeze).await, Answer::Done(_)));
        assert_eq!(
            bank.run_one(pays(1)).await,
            Answer::Refused(Refusal::AccountFrozen)
        );
        let balances = [bank.balance(ids[0]).await, bank.balance(ids[1]).await];
        assert_eq!(balances, [4_300, 2_700]);
        assert_eq!([bank.reruns, other.reruns], [0, 0]);
    });
}

on_both_engines! {
    /// What was decided and never committed is nobody's memory.
    async fn a_batch_that_was_given_up_changes_nothing_for_the_next(bank: TestStore) {
        let ids = bank.accounts(2, 1_000).await;
        let all = [transfer(ids[0], ids[1], 1_000).with_key().command];
        let mut book = bank.lane.begin(&Need::of_commands(&all)).await.unwrap();
        let (changes, answers) = decide(&mut book, &all, &TestSigner);
        assert!(matches!(answers[0], Answer::Done(_)));
        assert!(!changes.is_empty());
        drop(book);
        bank.lane.abandon().await;
        assert!(matches!(bank.run(&all).await[0], Answer::Done(_)), "the thousand is still there");
        let again = transfer(ids[0], ids[1], 1).with_key().command;
        assert_eq!(bank.run_one(again).await, Answer::Refused(Refusal::InsufficientFunds));
    }
}
