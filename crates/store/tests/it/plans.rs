//! With a big database nothing that a request waits for reads a number of rows that grows with it, by the server's own
//! count.

use std::collections::BTreeMap;

use sqlx::{Connection, Executor, PgConnection, Row};
use strongroom_domain::{
    account::{Account, SkipPath},
    id::AccountId,
    time::Timestamp,
};
use strongroom_store::ledger::HistoryStart;

use crate::harness::{Kind, NOW, TestStore, run, transfer};

/// Rows of accounts, of keys, and of entries of one account.
const ROWS: i64 = 100_000;
const ENTRIES: i64 = 30_000;
const TABLES: [&str; 6] = [
    "accounts",
    "account_states",
    "transactions",
    "entries",
    "idempotency_outcomes_1",
    "memos",
];

/// Fills the tables behind the store's back: what is to be shown is how they are read.
async fn fill(root: &mut PgConnection, hot: AccountId, start: &Account) -> Account {
    root.execute("SET session_replication_role = replica")
        .await
        .unwrap();
    for sql in [
        format!(
            "INSERT INTO accounts SELECT gen_random_uuid(), NULL, 'cash', 'EUR', NULL, 1 FROM generate_series(1, {ROWS})"
        ),
        "INSERT INTO account_states SELECT id, NULL, 0, false, 0, 0, 0, NULL, 0, 1, '' FROM accounts \
         ON CONFLICT DO NOTHING"
            .to_owned(),
        format!(
            "INSERT INTO idempotency_outcomes SELECT 1, gen_random_uuid(), '', 0, NULL, 1 FROM generate_series(1, {ROWS})"
        ),
        format!(
            "INSERT INTO memos SELECT gen_random_uuid(), gen_random_uuid(), '' FROM generate_series(1, {ENTRIES})"
        ),
    ] {
        root.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
    let mut account = start.clone();
    let (mut ids, mut prevs, mut jumps) = (Vec::new(), Vec::new(), Vec::new());
    account.path = SkipPath::default();
    for n in 1..=ENTRIES {
        // Far above what the lane draws in this test.
        let id = 1_000_000_000 + n;
        let links = account.path.push(id);
        ids.push(id);
        prevs.push(links.prev);
        jumps.push(links.jump);
    }
    let who = uuid::Uuid::from_bytes(*hot.as_bytes());
    sqlx::query(
        "WITH e AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS e (id, prev, jump, n)), \
         t AS (INSERT INTO transactions SELECT id, gen_random_uuid(), id - 1, 'deposit', gen_random_uuid(), $4, 1, 'EUR', n, 1, NULL, \
         decode(repeat('00', 16), 'hex'), 1 FROM e) \
         INSERT INTO entries SELECT id, id, $4, n, 1, 'EUR', n, n, prev, jump FROM e",
    )
    .bind(&ids)
    .bind(&prevs)
    .bind(&jumps)
    .bind(who)
    .execute(&mut *root)
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    account.entries = u64::try_from(ENTRIES).unwrap();
    account.balance = ENTRIES;
    account.last_booked_at = Timestamp::from_micros(ENTRIES);
    root.execute("ANALYZE").await.unwrap();
    account
}

/// Rows read from each table since the server counts: sequential scans, and rows fetched in any way.
pub(crate) async fn read_so_far(bank: &TestStore) -> BTreeMap<String, (i64, i64)> {
    let mut root = bank.place.root().await;
    // A session tells what it did when it ends, at the latest.
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                    AND backend_type = 'client backend'";
    loop {
        let others: i64 = root.fetch_one(sessions).await.unwrap().get(0);
        if others == 0 {
            break;
        }
        root.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' \
             AND pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
        tokio::task::yield_now().await;
    }
    let sql = "SELECT relname::text, coalesce(seq_scan, 0)::bigint, (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint \
               FROM pg_stat_user_tables";
    let rows = root.fetch_all(sql).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2))))
        .collect()
}

#[test]
fn with_a_hundred_thousand_accounts_and_keys_every_read_goes_by_an_index_to_a_few_rows() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(40, 1_000).await;
        let hot = fill(&mut bank.place.root().await, ids[0], &bank.account(ids[0]).await).await;
        let before = read_so_far(&bank).await;

        // More batches than the server needs to turn to a plan that does not know the values.
        let mut bank = bank.another().await;
        for _ in 0..12 {
            let batch: Vec<_> = ids[1..]
                .chunks_exact(2)
                .map(|pair| transfer(pair[0], pair[1], 1).with_key().command)
                .collect();
            bank.run(&batch).await;
        }
        let commands = 12 * 19;
        for n in 0..12_i64 {
            let sequence = 1 + n * (ENTRIES / 12);
            let at = Timestamp::from_micros(sequence);
            assert_eq!(bank.store.balance_at(&hot, at).await.unwrap(), Some(sequence));
            let start = HistoryStart::Sequence(u64::try_from(sequence).unwrap());
            let page = bank.store.history(&hot, start, 20).await.unwrap();
            assert_eq!(page[0].sequence, u64::try_from(sequence).unwrap());
            bank.store.account(ids[1], NOW).await.unwrap().unwrap();
            bank.store.outcome(&crate::harness::tag()).await.unwrap();
            bank.store
                .accounts(bank.account(ids[1]).await.owner, None, 20, NOW)
                .await
                .unwrap();
        }
        let place = bank.place.clone();
        drop(bank);
        let bank = TestStore::open(place).await;
        let after = read_so_far(&bank).await;

        let spent: BTreeMap<_, _> = TABLES
            .iter()
            .map(|table| {
                let (scans, rows) = after[*table];
                let (scans_before, rows_before) = before[*table];
                (*table, (scans - scans_before, rows - rows_before))
            })
            .collect();
        for (table, (scans, _)) in &spent {
            assert_eq!(*scans, 0, "{table} was read from end to end: {spent:?}");
        }
        // Each command reads its two accounts a few times (lock, update, checks of the triggers); each walk some fifty
        // entries to its start, twice as many to look where a jump leads, and its page.
        let walks = 12 * 2 * 150 + 12 * 20 * 2;
        assert!(spent["entries"].1 <= walks + commands * 4, "{spent:?}");
        assert!(spent["account_states"].1 <= commands * 8 + 12 * 60, "{spent:?}");
        assert!(spent["accounts"].1 <= commands * 12 + 12 * 60, "{spent:?}");
        assert!(spent["idempotency_outcomes_1"].1 <= commands, "{spent:?}");
    });
}

/// Statements are prepared when a server connects, and in its first minutes that is a bank without customers: the plans
/// of then have to be right for whatever it has become by the next analysis.
#[test]
fn a_bank_that_grows_between_two_analyses_is_read_by_key_as_before() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(40, 1_000).await;
        let batch = || -> Vec<_> {
            let pairs = ids.chunks_exact(2);
            pairs
                .map(|pair| transfer(pair[0], pair[1], 1).with_key().command)
                .collect()
        };
        // More than the server needs to turn to a plan that does not know the values.
        for _ in 0..12 {
            bank.run(&batch()).await;
        }
        let mut root = bank.place.root().await;
        root.execute("SET session_replication_role = replica")
            .await
            .unwrap();
        let owned = "INSERT INTO accounts SELECT gen_random_uuid(), gen_random_uuid(), 'checking', 'EUR', 'number ' || n, 1 \
                     FROM generate_series(1, 20000) n";
        root.execute(owned).await.unwrap();
        root.close().await.unwrap();
        let before = owners_so_far(&bank).await;
        for _ in 0..12 {
            bank.run(&batch()).await;
        }
        let place = bank.place.clone();
        drop(bank);
        let bank = TestStore::open(place).await;
        read_so_far(&bank).await;
        assert!(before > 20_000, "nothing was counted");
        // Whose the accounts are was looked up by their ids.
        let spent = owners_so_far(&bank).await - before;
        assert!(spent < 100, "{spent} pages of the index of owners");
    });
}

/// Pages of the index of owners that were looked at since the server counts.
async fn owners_so_far(bank: &TestStore) -> i64 {
    let mut root = bank.place.root().await;
    let sql = "SELECT sum(idx_blks_hit + idx_blks_read)::bigint FROM pg_statio_user_indexes \
               WHERE indexrelname = 'accounts_owner'";
    root.fetch_one(sql).await.unwrap().get(0)
}
