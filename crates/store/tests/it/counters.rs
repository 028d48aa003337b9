//! What a batch costs: round trips, statements and flushes, counted and not guessed.

use std::process::Command as Process;

use strongroom_domain::ledger::{Answer, Command};
use strongroom_store::{StoreSettings, ledger::LaneCounters};

use crate::harness::{
    Kind, NOW, Proxy, TestStore, deposit, open_account, run, run_among_others, till, transfer, withdraw,
};

/// `count` transfers between accounts of their own, each with a key.
fn apart(ids: &[strongroom_domain::id::AccountId], count: usize) -> Vec<Command> {
    ids.chunks_exact(2)
        .take(count)
        .map(|pair| transfer(pair[0], pair[1], 1).with_key().command)
        .collect()
}

/// Statements, round trips, and what the wire saw of both: messages that wait for an answer, executions.
type Cost = (u64, u64, u64, u64);

async fn cost(bank: &mut TestStore, proxy: &Proxy, commands: &[Command]) -> Cost {
    let (before, trips, executes) = (bank.lane.counters(), proxy.round_trips(), proxy.executes());
    bank.run(commands).await;
    let after = bank.lane.counters();
    (
        after.statements - before.statements,
        after.round_trips - before.round_trips,
        proxy.round_trips() - trips,
        proxy.executes() - executes,
    )
}

#[test]
fn on_postgres_a_batch_is_seven_statements_in_three_round_trips_whatever_is_in_it() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2_048, 1_000).await;
        let owner = bank.customer().await;
        let proxy = Proxy::before_the_lane(&bank.place).await;
        let mut bank = TestStore::open_with(bank.place.clone(), &proxy.settings)
            .await
            .unwrap();
        // Connecting and preparing happen once.
        bank.run(&apart(&ids, 1)).await;
        // begin, advisory locks, accounts, their owners' limits and the read in one; write; commit. The write alone has
        // arguments of its own.
        let usual = (7, 3, 3, 1);
        for count in [1, 64, 1_024] {
            assert_eq!(
                cost(&mut bank, &proxy, &apart(&ids, count)).await,
                usual,
                "{count} commands"
            );
        }
        let mixed: Vec<_> = (0..600)
            .map(|n| match n % 5 {
                0 => open_account(owner).command,
                1 => deposit(ids[n], 3).with_key().command,
                2 => withdraw(ids[n], 1).with_memo(owner, 50).command,
                3 => transfer(ids[n], ids[n + 1], 1_000_000).with_key().command,
                _ => transfer(ids[n], till(), 1).command,
            })
            .collect();
        assert_eq!(
            cost(&mut bank, &proxy, &mixed).await,
            usual,
            "a mix of verbs and refusals"
        );
        let refused: Vec<_> = (0..64)
            .map(|n| transfer(ids[n], ids[n + 1], 1_000_000).command)
            .collect();
        assert_eq!(cost(&mut bank, &proxy, &refused).await, usual, "refusals alone");
        // Nothing to write: no write, and a rollback for the commit.
        let known = apart(&ids, 64);
        bank.run(&known).await;
        assert_eq!(
            cost(&mut bank, &proxy, &known).await,
            (6, 2, 2, 0),
            "replays alone"
        );
    });
}

fn delta(after: LaneCounters, before: LaneCounters) -> (u64, u64) {
    (
        after.statements - before.statements,
        after.keys_sealed - before.keys_sealed,
    )
}

#[test]
fn on_sqlite_a_transfer_between_known_accounts_is_eight_statements_in_a_batch_of_any_size() {
    run(Kind::Sqlite, async |mut bank: TestStore| {
        let (payers, payees) = (bank.accounts(1_024, 1_000).await, bank.accounts(1_024, 0).await);
        let ids: Vec<_> = payers
            .into_iter()
            .zip(payees)
            .flat_map(|(from, to)| [from, to])
            .collect();
        for count in [1, 64, 1_024] {
            let before = bank.lane.counters();
            bank.run(&apart(&ids, count)).await;
            // Two accounts written, the transaction, two entries, the key's outcome, the record, its leaf; around the
            // batch its begin, a look at the newest record, its commit, and a node of the tree for every 256 leaves.
            // The accounts are remembered since they were opened. The limits of the two customers are read; what the
            // bank's people move is not counted.
            let expected = 3 + 8 * count + 2 + bank.changes.nodes.len();
            assert!(bank.changes.nodes.len() <= count.div_ceil(256) + 1);
            assert_eq!(
                delta(bank.lane.counters(), before),
                (expected as u64, 0),
                "{count} commands"
            );
            assert_eq!(bank.lane.counters().round_trips, 0);
        }
    });
}

#[test]
fn on_sqlite_a_process_reads_an_account_once() {
    run(Kind::Sqlite, async |mut bank: TestStore| {
        let ids = bank.accounts(4, 1_000).await;
        bank = bank.reopen().await;
        let mut costs = Vec::new();
        for pair in [&ids[..2], &ids[..2], &ids[2..], &ids[2..]] {
            let before = bank.lane.counters();
            bank.run(&apart(pair, 1)).await;
            let (statements, _) = delta(bank.lane.counters(), before);
            costs.push(statements - bank.changes.nodes.len() as u64);
        }
        // Their customer each time, and both accounts once.
        assert_eq!(costs, [14, 12, 14, 12]);
    });
}

#[test]
fn on_sqlite_a_batch_costs_the_same_at_a_hundred_and_at_two_hundred_thousand_known_keys() {
    run(Kind::Sqlite, async |mut bank: TestStore| {
        let ids = bank.accounts(256, 1_000).await;
        let commands = |bank: &TestStore| {
            assert!(bank.lane.counters().batches > 0);
            apart(&ids, 128)
        };
        let mut costs = Vec::new();
        let mut known: Vec<Command> = Vec::new();
        for keys in [100, 200_000] {
            add_known_keys(&bank, keys);
            bank = bank.reopen().await;
            bank.run(&apart(&ids, 128)).await;
            let batch = commands(&bank);
            let before = bank.lane.counters();
            bank.run(&batch).await;
            let (statements, sealed) = delta(bank.lane.counters(), before);
            costs.push(statements - bank.changes.nodes.len() as u64);
            // A run in progress takes at most two keys along for every new one.
            assert!(sealed <= 256, "{sealed} keys sealed by 128 new ones");
            known.extend(batch);
        }
        // And once more with everything in runs that can be.
        for _ in 0..200 {
            bank.lane.idle().await;
        }
        let batch = commands(&bank);
        let before = bank.lane.counters();
        bank.run(&batch).await;
        let (statements, sealed) = delta(bank.lane.counters(), before);
        costs.push(statements - bank.changes.nodes.len() as u64);
        assert_eq!(sealed, 0);
        assert_eq!(costs, [costs[0]; 3]);
        // One customer's limits are read; between accounts of one customer nothing is counted.
        assert_eq!(costs[0], 3 + 8 * 128 + 1);
        let runs: i64 = bank
            .place
            .file()
            .query_row("SELECT count(*) FROM idempotency_run_heads", [], |row| row.get(0))
            .unwrap();
        assert!(runs >= 2, "{runs}");
        assert!(
            bank.run(&known)
                .await
                .iter()
                .all(|answer| matches!(answer, Answer::Replayed { .. }))
        );
    });
}

/// As if so many requests had come before.
fn add_known_keys(bank: &TestStore, count: u32) {
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO idempotency_outcomes (id, tag, fingerprint, code, resource, at) \
         SELECT (SELECT coalesce(max(id), 0) FROM idempotency_outcomes) + i, randomblob(16), x'0101010101010101', 0, \
         randomblob(16), 1795132800000000 FROM n"
    );
    bank.place.file().execute_batch(&sql).unwrap();
}

/// How many batches, of how many commands, the process below commits.
const BATCHES_VARIABLE: &str = "STRONGROOM_TEST_COMMIT_BATCHES";

/// Also run by the test below, as a process whose system calls are counted.
#[test]
fn a_process_commits_batches() {
    let asked = std::env::var(BATCHES_VARIABLE).unwrap_or("1 1".to_owned());
    let (batches, commands) = asked.split_once(' ').unwrap();
    let (batches, commands): (usize, usize) = (batches.parse().unwrap(), commands.parse().unwrap());
    run(Kind::Sqlite, async move |mut bank: TestStore| {
        let ids = bank.accounts(600, 1_000).await;
        std::fs::write(bank.place.path().with_file_name(BEGIN), "").unwrap();
        for _ in 0..batches {
            bank.run(&apart(&ids, commands)).await;
        }
        std::fs::write(bank.place.path().with_file_name(END), "").unwrap();
    });
}

/// Files that the child makes before its first batch and after its last.
const BEGIN: &str = "the-batches-begin";
const END: &str = "the-batches-end";

/// Flushes while a process commits so many batches; `None` without the means to count them.
fn flushes(batches: usize, commands: usize) -> Option<usize> {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let status = Process::new("strace")
        .args(["-f", "-e", "trace=fsync,fdatasync,openat", "-o"])
        .arg(&seen)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "counters::a_process_commits_batches"])
        .env(BATCHES_VARIABLE, format!("{batches} {commands}"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .ok()?;
    if !status.success() {
        return None;
    }
    let seen = std::fs::read_to_string(seen).unwrap();
    let (_, after) = seen.split_once(BEGIN).unwrap();
    let (between, _) = after.split_once(END).unwrap();
    let flushes = between
        .lines()
        .filter(|line| line.contains(" fsync(") || line.contains(" fdatasync("));
    Some(flushes.count())
}

#[test]
fn on_sqlite_a_batch_is_exactly_one_flush() {
    let Some(small) = flushes(20, 3) else {
        eprintln!("not run: there is no strace, or it may not trace");
        return;
    };
    assert_eq!(small, 20, "small batches");
    assert_eq!(flushes(20, 300), Some(20), "large batches");
}

#[test]
fn the_write_ahead_log_starts_over_under_constant_load() {
    /// Pages that start a checkpoint; at this many times the number the log is cut in any case.
    const PAGES: u32 = 400;
    const CUT: u64 = 4;
    run(Kind::Sqlite, async |bank: TestStore| {
        let settings = StoreSettings {
            checkpoint_pages: Some(PAGES),
            ..bank.place.settings.clone()
        };
        let place = bank.place.clone();
        drop(bank);
        let mut bank = TestStore::open_with(place, &settings).await.unwrap();
        let ids = bank.accounts(400, 1_000).await;
        let person = bank.customer().await;
        let (store, reader) = (bank.store.clone(), ids[0]);
        // Somebody always reads, which is what keeps a log from starting over.
        let reading = tokio::spawn(async move {
            loop {
                store.trial_balance().await.unwrap();
                store.account(reader, NOW).await.unwrap().unwrap();
            }
        });
        let log = bank.place.path().with_extension("db-wal");
        let (mut most, mut written) = (0, 0);
        for _ in 0..150 {
            let batch: Vec<_> = ids
                .chunks_exact(2)
                .take(30)
                .map(|pair| transfer(pair[0], pair[1], 1).with_memo(person, 3_000).command)
                .collect();
            bank.run(&batch).await;
            written += 30;
            most = most.max(std::fs::metadata(&log).unwrap().len());
        }
        reading.abort();
        let (page, bound) = (4_096 + 24, CUT * u64::from(PAGES) + 600);
        assert!(most / page <= bound, "{} pages in the log", most / page);
        let size = std::fs::metadata(bank.place.path()).unwrap().len();
        assert!(
            size / page > 2 * bound,
            "{written} transfers made {} pages: too few to tell",
            size / page
        );
    });
}
