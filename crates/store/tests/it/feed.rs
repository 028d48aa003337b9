//! A page of the feed of security events reads as many rows as it shows, however long the feed is.

use sqlx::{AssertSqlSafe, Executor};

use crate::{
    harness::{Kind, TestStore, run},
    plans::read_so_far,
};

/// Pages of a walk, each from another place.
const PAGES: u64 = 12;
const PAGE: u32 = 20;

/// Events that are there; rows that a walk over pages read, and scans from end to end.
async fn walk(bank: TestStore, events: u64) -> (TestStore, i64, i64) {
    let mut root = bank.place.root().await;
    for sql in [
        format!(
            "INSERT INTO security_feed SELECT n, gen_random_uuid(), n, 'x' FROM generate_series(1, {events}) n \
             ON CONFLICT DO NOTHING"
        ),
        format!("UPDATE security_feed_head SET newest = {events}"),
        "ANALYZE security_feed".to_owned(),
    ] {
        root.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    drop(root);
    let (scans, rows) = read_so_far(&bank).await["security_feed"];
    let place = bank.place.clone();
    let bank = bank.another().await;
    for page in 0..PAGES {
        let after = page * (events / PAGES);
        let found = bank.store.security_feed(after, PAGE).await.unwrap();
        let places: Vec<u64> = found.rows.iter().map(|row| row.position).collect();
        assert_eq!(places, (after + 1..=after + u64::from(PAGE)).collect::<Vec<_>>());
        assert_eq!(found.newest, events);
    }
    drop(bank);
    let bank = TestStore::open(place).await;
    let (scans_after, rows_after) = read_so_far(&bank).await["security_feed"];
    (bank, scans_after - scans, rows_after - rows)
}

#[test]
fn a_page_of_the_feed_reads_as_many_rows_however_long_the_feed_is() {
    run(Kind::Postgres, async |bank: TestStore| {
        let shown = i64::try_from(PAGES).unwrap() * i64::from(PAGE);
        // The planner looks at the ends of the index, at most at both for each page.
        let most = shown + 2 * i64::try_from(PAGES).unwrap();
        let (bank, scans, short) = walk(bank, 10_000).await;
        assert_eq!(scans, 0, "the feed was read from end to end");
        assert!((shown..=most).contains(&short), "{short} rows for {shown}");
        let (_, scans, long) = walk(bank, 40_000).await;
        assert_eq!(scans, 0, "the feed was read from end to end");
        assert!((shown..=most).contains(&long), "{long} rows for {shown}");
    });
}
