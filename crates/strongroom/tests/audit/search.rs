//! Searching the log: what passes over blocks finds what a look at everything finds, and looks at little.

use strongroom_app::{
    Bank, Cx,
    audit::search::{EXAMINED_MAX, RecordFilter},
};
use strongroom_domain::{audit::SignedRecord, principal::Role, time::Timestamp};

use crate::{
    bank::{book, cx, history, person, published, records, stop},
    on_both_engines,
    place::{Kind, Place},
};

/// Everything that a filter takes, page by page, and how many records were looked at.
async fn found(bank: &Bank, cx: &Cx, filter: &RecordFilter, limit: u32) -> (Vec<(u64, SignedRecord)>, u32) {
    let (mut all, mut below, mut examined) = (Vec::new(), None, 0);
    loop {
        let page = bank.audit_records(cx, filter, below, limit).await.unwrap();
        assert!(page.records.len() <= limit as usize && page.examined <= EXAMINED_MAX + 256);
        examined += page.examined;
        all.extend(page.records);
        match page.next {
            Some(next) => {
                assert!(below.is_none_or(|below| next < below), "a cursor goes on");
                below = Some(next);
            }
            None => return (all, examined),
        }
    }
}

async fn a_search_finds_what_is_there_and_passes_over_the_rest(kind: Kind) {
    let place = Place::new(kind).await;
    let bank = place.open().await.unwrap();
    let people = history(&bank, &place).await;
    let auditor = person(&bank, &place).await;
    book(&bank, &people, 500).await;
    let count = records(&place).await;
    published(&bank, count).await;
    let auditor = cx(&bank, auditor, Role::Auditor).await;

    let (all, _) = found(&bank, &auditor, &RecordFilter::default(), 100).await;
    let positions: Vec<u64> = all.iter().map(|(leaf, _)| *leaf).collect();
    assert_eq!(positions, (0..count).rev().collect::<Vec<_>>());
    let early = &all[all.len() - 40].1;
    let (some, later) = (early.at, all[60].1.at);
    assert!(some < later);
    let moment = Timestamp::from_micros;
    type Naive = Box<dyn Fn(&SignedRecord) -> bool>;
    let (bob, object) = (*people.bob.as_bytes(), early.object_id);
    let cases: Vec<(RecordFilter, Naive)> = vec![
        (
            RecordFilter {
                principal: Some(bob),
                ..RecordFilter::default()
            },
            Box::new(move |record| record.principal_id == bob),
        ),
        (
            RecordFilter {
                object: Some(object),
                ..RecordFilter::default()
            },
            Box::new(move |record| record.object_id == object),
        ),
        (
            RecordFilter {
                action: Some("account.freeze".to_owned()),
                ..RecordFilter::default()
            },
            Box::new(|record| record.action == "account.freeze"),
        ),
        (
            RecordFilter {
                outcome: Some("insufficient_funds".to_owned()),
                ..RecordFilter::default()
            },
            Box::new(|record| record.outcome == "insufficient_funds"),
        ),
        (
            RecordFilter {
                refused: Some(true),
                ..RecordFilter::default()
            },
            Box::new(|record| record.outcome != "ok"),
        ),
        (
            RecordFilter {
                from: Some(moment(some)),
                to: Some(moment(later)),
                ..RecordFilter::default()
            },
            Box::new(move |record| (some..later).contains(&record.at)),
        ),
        (
            RecordFilter {
                to: Some(moment(some)),
                refused: Some(false),
                ..RecordFilter::default()
            },
            Box::new(move |record| record.at < some && record.outcome == "ok"),
        ),
        (
            RecordFilter {
                from: Some(moment(later)),
                principal: Some(bob),
                ..RecordFilter::default()
            },
            Box::new(move |record| record.at >= later && record.principal_id == bob),
        ),
        (
            RecordFilter {
                principal: Some([0x77; 16]),
                ..RecordFilter::default()
            },
            Box::new(|_| false),
        ),
    ];
    let same = async |summarised: bool| {
        for (number, (filter, naive)) in cases.iter().enumerate() {
            let wanted: Vec<_> = all.iter().filter(|(_, record)| naive(record)).cloned().collect();
            // One a page is a page each: not for what takes most of the log.
            let limits = if wanted.len() < 50 {
                &[1, 3, 100][..]
            } else {
                &[100]
            };
            for &limit in limits {
                let (got, _) = found(&bank, &auditor, filter, limit).await;
                assert_eq!(
                    got, wanted,
                    "case {number}, {limit} a page, summarised: {summarised}"
                );
            }
        }
    };
    same(false).await;
    let blocks = count / 256;
    assert!(blocks >= 3);
    assert_eq!(bank.summarise_log().await.unwrap(), blocks);
    assert_eq!(bank.summarise_log().await.unwrap(), 0, "each block once");
    same(true).await;

    let nobody = RecordFilter {
        principal: Some([0x77; 16]),
        ..RecordFilter::default()
    };
    let (_, examined) = found(&bank, &auditor, &nobody, 100).await;
    assert!(
        u64::from(examined) < count - blocks * 256 + 257,
        "{examined} of {count} were looked at"
    );
    let old = RecordFilter {
        object: Some(object),
        ..RecordFilter::default()
    };
    let (_, examined) = found(&bank, &auditor, &old, 100).await;
    assert!(
        u64::from(examined) <= count - blocks * 256 + 512,
        "{examined} of {count} were looked at"
    );

    // A summary that is gone hides nothing.
    let mut owner = place.owner().await;
    assert_eq!(owner.run("DELETE FROM audit_blocks WHERE block = 0").await, 1);
    owner.close().await;
    same(true).await;
    stop(bank).await;
}

on_both_engines!(a_search_finds_what_is_there_and_passes_over_the_rest);
