//! The feed of security events: whoever follows its places misses nothing, whoever comes too late is told.

use std::collections::BTreeSet;

use strongroom_app::{
    Clock, Cx,
    security::{
        export::ExportedEvent,
        feed::{FEED_KEPT_SECS, FeedFilter, FeedPage},
    },
};
use strongroom_crypto::random;
use strongroom_domain::{
    id::{Id, SecurityEventId},
    principal::Role,
    time::Timestamp,
};
use strongroom_store::{
    Scope,
    identity::{FeedKept, NewFeedEvent},
};
use tokio::task::JoinSet;

use crate::harness::{TestBank, on_both_engines};

/// Portions of each writer, and events of a portion.
const PORTIONS: i64 = 25;
const EVENTS: i64 = 3;

fn event(at: i64) -> ExportedEvent {
    let id: SecurityEventId = Id::from_bytes(random::uuid_v7(at));
    ExportedEvent {
        id: id.to_string(),
        kind: "login_failed".to_owned(),
        at,
        outcome: "refused".to_owned(),
        reason: None,
        request_id: None,
        principal: None,
        session_id: None,
        incident_id: None,
        address: None,
        user_agent: None,
        subject: None,
        object: None,
        policy: None,
        token: None,
    }
}

async fn follow(bank: &TestBank, cx: &Cx, after: Option<u64>, limit: u32) -> FeedPage {
    let filter = FeedFilter::default();
    bank.bank.follow_events(cx, &filter, after, limit).await.unwrap()
}

async fn auditor(bank: &TestBank) -> Cx {
    let operator = bank.operator(Role::Auditor).await;
    bank.enter(&operator.tokens.access_token).await.unwrap()
}

on_both_engines! {
    async fn whoever_follows_while_others_write_gets_every_event_once(bank: TestBank) {
        let cx = auditor(&bank).await;
        let beside = if bank.is_postgres() { Some(bank.another_process().await) } else { None };
        let mut writers = JoinSet::new();
        for number in 0..6_i64 {
            let node = beside.as_ref().filter(|_| number % 2 == 0).unwrap_or(&bank).bank.clone();
            writers.spawn(async move {
                let mut written = Vec::new();
                for portion in 0..PORTIONS {
                    // Each is of an earlier time than the one before.
                    let at = 1_795_132_800_000_000 - (portion * 10 + number) * 1_000_000;
                    let events: Vec<_> = (0..EVENTS).map(|n| event(at - n)).collect();
                    node.append_to_feed(&events).await.unwrap();
                    // Brought twice, as after a kill between commit and note.
                    node.append_to_feed(&events[1..]).await.unwrap();
                    written.extend(events);
                }
                written
            });
        }
        let all = usize::try_from(6 * PORTIONS * EVENTS).unwrap();
        let (mut seen, mut place) = (Vec::new(), None);
        while seen.len() < all {
            let page = follow(&bank, &cx, place, 7).await;
            assert_eq!(page.missed, 0);
            seen.extend(page.events);
            place = Some(page.upto);
            if writers.is_empty() {
                assert!(!page.caught_up || seen.len() == all, "{} of {all}", seen.len());
            } else if page.caught_up {
                tokio::task::yield_now().await;
            }
            while let Some(done) = writers.try_join_next() {
                done.unwrap();
            }
        }
        let ids: BTreeSet<_> = seen.iter().map(|event| event.id.clone()).collect();
        assert_eq!(ids.len(), all);
        writers.join_all().await;
        // Whoever begins anew finds the same in the same order.
        let mut again = Vec::new();
        let mut place = None;
        loop {
            let page = follow(&bank, &cx, place, 100).await;
            again.extend(page.events);
            if page.caught_up {
                break;
            }
            place = Some(page.upto);
        }
        assert_eq!(again, seen);
    }

    async fn a_flood_of_harmless_events_does_not_push_out_what_somebody_has_to_act_on(bank: TestBank) {
        let cx = auditor(&bank).await;
        let of = |kind: &str, n: i64| ExportedEvent {
            kind: kind.to_owned(),
            ..event(1_795_132_800_000_000 + n)
        };
        let serious: Vec<_> = (0..3).map(|n| of("role_given", n)).collect();
        bank.bank.append_to_feed(&serious).await.unwrap();
        let flood: Vec<_> = (10..30).map(|n| of("login_failed", n)).collect();
        bank.bank.append_to_feed(&flood).await.unwrap();
        let forget = async |serious: bool| {
            let events = if serious {
                let late = of("role_given", 99);
                vec![NewFeedEvent {
                    id: SecurityEventId::parse(&late.id).unwrap(),
                    sealed: vec![7],
                    serious: true,
                }]
            } else {
                vec![]
            };
            let kept = FeedKept { newest: 4, serious: 2 };
            let tx = bank.bank.store().write(Scope::System).await.unwrap();
            tx.append_security_feed(&events, kept, Timestamp::from_micros(0)).await.unwrap();
            tx.commit().await.unwrap();
        };
        forget(false).await;
        let page = follow(&bank, &cx, None, 100).await;
        let kinds: Vec<_> = page.events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(&kinds[..3], ["role_given"; 3], "the serious ones are there");
        assert_eq!(kinds[3..], ["login_failed"; 4], "and the newest of all kinds");
        assert_eq!(page.missed, 0, "who never asked has lost nothing");
        // Whoever goes on behind the serious ones is told what lay between.
        let late = follow(&bank, &cx, Some(3), 100).await;
        assert_eq!((late.missed, late.events.len()), (16, 4));
        // The serious ones have a bound of their own.
        forget(true).await;
        let page = follow(&bank, &cx, None, 100).await;
        let serious = page.events.iter().filter(|event| event.kind == "role_given").count();
        assert_eq!(serious, 1, "one of the old ones is left beside the new one, which nobody can open");
    }

    async fn whoever_comes_too_late_is_told_what_is_lost(bank: TestBank) {
        let cx = auditor(&bank).await;
        let events: Vec<_> = (0..6).map(|n| event(1_795_132_800_000_000 + n)).collect();
        bank.bank.append_to_feed(&events).await.unwrap();
        assert_eq!(follow(&bank, &cx, None, 10).await.events, events);
        // More than are kept.
        let tx = bank.bank.store().write(Scope::System).await.unwrap();
        let kept = FeedKept { newest: 2, serious: 2 };
        tx.append_security_feed(&[], kept, Timestamp::from_micros(0)).await.unwrap();
        tx.commit().await.unwrap();
        let late = follow(&bank, &cx, Some(1), 10).await;
        assert_eq!((late.missed, late.upto, late.caught_up), (3, 6, true));
        assert_eq!(late.events, events[4..]);
        assert_eq!(follow(&bank, &cx, Some(4), 10).await.missed, 0);
        assert_eq!(follow(&bank, &cx, None, 10).await.missed, 0, "who never asked has lost nothing");
        // Older than what is kept.
        bank.clock.advance(FEED_KEPT_SECS + 1);
        bank.bank.sweep_identity().await.unwrap();
        let cx = auditor(&bank).await;
        let late = follow(&bank, &cx, Some(1), 10).await;
        assert_eq!((late.missed, late.upto, late.caught_up), (5, 6, true));
        assert_eq!(late.events, []);
        // A place is never given again.
        bank.bank.append_to_feed(&[event(bank.clock.now().micros())]).await.unwrap();
        let next = follow(&bank, &cx, Some(6), 10).await;
        assert_eq!((next.missed, next.upto, next.events.len()), (0, 7, 1));
        let beyond = bank.bank.follow_events(&cx, &FeedFilter::default(), Some(8), 10).await;
        assert_eq!(beyond.unwrap_err().code, "validation_failed");
    }
}
