//! The past: every page and every moment, against a plain list.

use strongroom_domain::{account::Account, id::AccountId, time::Timestamp};
use strongroom_store::ledger::{HistoryLine, HistoryStart};

use crate::harness::{PaperBank, TestStore, deposit, on_both_engines, transfer};

/// Entries of the account whose past is read.
const ENTRIES: usize = 2_000;
/// Movements in one batch, which share one moment.
const TOGETHER: usize = 50;

/// An account with [`ENTRIES`] entries among others', and what its lines must be.
async fn long_history(bank: &mut TestStore) -> (AccountId, PaperBank) {
    let mut paper = PaperBank::default();
    let ids = bank.accounts(2, 0).await;
    let mut asked = 0;
    while asked < ENTRIES {
        let batch: Vec<_> = (0..TOGETHER)
            .map(|n| match (asked + n) % 3 {
                0 | 1 => deposit(ids[0], 10 + i64::try_from(n).unwrap()).command,
                _ => transfer(ids[0], ids[1], 3).command,
            })
            .collect();
        bank.run(&batch).await;
        asked += batch.len();
        paper.take(&bank.changes);
    }
    assert_eq!(paper.lines(ids[0]).len(), ENTRIES);
    (ids[0], paper)
}

async fn page(bank: &TestStore, account: &Account, start: HistoryStart, lines: u32) -> Vec<HistoryLine> {
    bank.store.history(account, start, lines).await.unwrap()
}

fn same(found: &[HistoryLine], paper: &PaperBank, account: AccountId, newest: usize) {
    for (line, sequence) in found.iter().zip((1..=newest).rev()) {
        let expected = paper.lines(account)[sequence - 1];
        assert_eq!(usize::try_from(line.sequence).unwrap(), sequence);
        assert_eq!(
            (line.amount, line.balance_after),
            (expected.amount, expected.balance_after)
        );
        assert_eq!(line.view.transaction.booked_at, expected.booked_at);
        assert_eq!(line.view.transaction.amount.minor(), expected.amount.abs());
    }
}

on_both_engines! {
    async fn every_moment_of_two_thousand_entries_has_the_balance_of_the_plain_list(bank: TestStore) {
        let (id, paper) = long_history(&mut bank).await;
        let account = bank.account(id).await;
        let mut moments: Vec<_> = paper.lines(id).iter().map(|line| line.booked_at.micros()).collect();
        moments.dedup();
        assert_eq!(moments.len(), ENTRIES / TOGETHER);
        for moment in moments {
            for at in [moment - 1, moment, moment + 1].map(Timestamp::from_micros) {
                let found = bank.store.balance_at(&account, at).await.unwrap();
                assert_eq!(found, paper.balance_at(id, at), "{at:?}");
            }
        }
        let future = Timestamp::from_micros(i64::MAX);
        assert_eq!(bank.store.balance_at(&account, future).await.unwrap(), Some(account.balance));
    }

    async fn pages_from_the_newest_entry_join_to_the_whole_history(bank: TestStore) {
        let (id, paper) = long_history(&mut bank).await;
        let account = bank.account(id).await;
        let mut newest = ENTRIES;
        let mut start = HistoryStart::Newest;
        while newest > 0 {
            let lines = page(&bank, &account, start, 77).await;
            assert_eq!(lines.len(), newest.min(77));
            same(&lines, &paper, id, newest);
            newest -= lines.len();
            start = HistoryStart::Sequence(u64::try_from(newest).unwrap());
        }
        assert_eq!(page(&bank, &account, start, 77).await, []);
    }

    async fn a_page_starts_at_any_sequence(bank: TestStore) {
        let (id, paper) = long_history(&mut bank).await;
        let account = bank.account(id).await;
        for sequence in (1..=ENTRIES).step_by(13).chain([ENTRIES - 1, ENTRIES]) {
            let lines = page(&bank, &account, HistoryStart::Sequence(u64::try_from(sequence).unwrap()), 2).await;
            assert_eq!(lines.len(), sequence.min(2));
            same(&lines, &paper, id, sequence);
        }
        for beyond in [u64::try_from(ENTRIES).unwrap() + 1, u64::MAX] {
            same(&page(&bank, &account, HistoryStart::Sequence(beyond), 3).await, &paper, id, ENTRIES);
        }
    }

    async fn a_page_starts_at_any_moment(bank: TestStore) {
        let (id, paper) = long_history(&mut bank).await;
        let account = bank.account(id).await;
        let mut moments: Vec<_> = paper.lines(id).iter().map(|line| line.booked_at.micros()).collect();
        moments.dedup();
        for moment in moments {
            for at in [moment - 1, moment].map(Timestamp::from_micros) {
                let newest = paper.lines(id).iter().filter(|line| line.booked_at <= at).count();
                let lines = page(&bank, &account, HistoryStart::At(at), 2).await;
                assert_eq!(lines.len(), newest.min(2));
                same(&lines, &paper, id, newest);
            }
        }
    }

    async fn an_account_without_entries_has_no_past(bank: TestStore) {
        let id = bank.accounts(1, 0).await[0];
        let account = bank.account(id).await;
        let now = Timestamp::from_micros(i64::MAX);
        assert_eq!(bank.store.balance_at(&account, now).await.unwrap(), None);
        for start in [HistoryStart::Newest, HistoryStart::Sequence(1), HistoryStart::At(now)] {
            assert_eq!(page(&bank, &account, start, 5).await, []);
        }
    }
}
