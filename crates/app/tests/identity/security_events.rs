//! Failures of nobody in particular: counted and not listed, bounded, readable by operators only.

use strongroom_app::{
    Cx, Error,
    identity::personal::Client,
    security::{
        events::{SecurityEvent, SecurityEventKind, SecurityEventQuery},
        stream::Whence,
    },
};
use strongroom_domain::principal::Role;
use strongroom_store::identity::SecurityEventFilter;

use crate::harness::{OTHER_PASSWORD, TestBank, client, on_both_engines, secret};

const DAY_SECS: i64 = 24 * 60 * 60;

fn from(address: &str) -> Client {
    Client {
        address: address.to_owned(),
        ..client()
    }
}

async fn events(bank: &TestBank, cx: &Cx, query: &SecurityEventQuery) -> Result<Vec<SecurityEvent>, Error> {
    bank.bank.security_events(cx, query, None, 100).await
}

async fn auditor(bank: &TestBank) -> Cx {
    let operator = bank.operator(Role::Auditor).await;
    bank.enter(&operator.tokens.access_token).await.unwrap()
}

on_both_engines! {
    async fn failures_of_one_kind_place_and_login_are_one_event_with_a_count(bank: TestBank) {
        let alice = bank.customer("alice").await;
        for _ in 0..4 {
            bank.try_login(&from("192.0.2.7"), &alice.email, OTHER_PASSWORD).await.unwrap_err();
        }
        bank.try_login(&from("192.0.2.8"), &alice.email, OTHER_PASSWORD).await.unwrap_err();
        bank.try_login(&from("192.0.2.7"), "nobody@example.com", OTHER_PASSWORD).await.unwrap_err();
        bank.try_login(&from("192.0.2.9"), &alice.email, &alice.password).await.unwrap_err();
        bank.bank.refresh(&bank.anonymous(), &from("192.0.2.7"), secret("no token")).await.unwrap_err();
        let cx = auditor(&bank).await;
        let all = events(&bank, &cx, &SecurityEventQuery::default()).await.unwrap();
        // What the auditor did on the way in is beside them.
        let own = ["password_changed", "factor_added"];
        let others = all.iter().filter(|it| !own.contains(&it.kind.as_str()));
        let mut seen: Vec<_> = others.map(|it| (it.kind.as_str(), it.address.as_deref(), it.count)).collect();
        seen.sort_unstable();
        assert_eq!(seen, [
            ("login_failed", Some("192.0.2.7"), 1),
            ("login_failed", Some("192.0.2.7"), 4),
            ("login_failed", Some("192.0.2.8"), 1),
            // The password was right and the tries used up: that is a failure like the others.
            ("login_failed", Some("192.0.2.9"), 1),
            // The fifth wrong try, and the auditor who looks here.
            ("login_locked", None, 1),
            ("operator_added", None, 1),
            ("refresh_refused", Some("192.0.2.7"), 1),
        ]);
        // More of the same within minutes adds up in the same row.
        bank.try_login(&from("192.0.2.7"), &alice.email, OTHER_PASSWORD).await.unwrap_err();
        let query = SecurityEventQuery {
            kind: Some(SecurityEventKind::LoginFailed),
            address: Some("192.0.2.7".to_owned()),
            email: Some(format!(" {} ", alice.email.to_uppercase())),
            id: None,
        };
        let found = events(&bank, &cx, &query).await.unwrap();
        assert_eq!(found.iter().map(|it| it.count).collect::<Vec<_>>(), [5]);
        bank.clock.advance(5 * 60);
        bank.try_login(&from("192.0.2.7"), &alice.email, OTHER_PASSWORD).await.unwrap_err();
        assert_eq!(events(&bank, &cx, &query).await.unwrap().len(), 2, "later is another event");
    }

    async fn a_success_and_a_token_of_yesterday_are_no_failures(bank: TestBank) {
        let (alice, set, _) = bank.logged_in("alice").await;
        bank.clock.advance(901);
        assert_eq!(bank.enter(&set.access_token).await.unwrap_err().code, "token_expired");
        bank.login(&alice).await;
        assert_eq!(bank.bank.write_security_events().await.unwrap(), 0);
    }

    async fn a_flood_of_failures_is_a_handful_of_rows_and_none_is_lost(bank: TestBank) {
        let note = |address: String, outcome: &Result<(), Error>| {
            bank.bank.note_failure(SecurityEventKind::TokenRefused, &Whence::address(&address), None, outcome);
        };
        let refused = Err(Error::unauthenticated());
        for number in 0..20_000_u32 {
            note(format!("10.{}.{}.1", number / 256 % 256, number % 256), &refused);
        }
        let written = bank.bank.write_security_events().await.unwrap();
        assert!(written <= 257, "{written} rows");
        assert_eq!(bank.bank.write_security_events().await.unwrap(), 0, "each count is written once");
        let rows = bank.bank.store().security_events(&SecurityEventFilter::default(), None, 1_000).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.number).sum::<u64>(), 20_000);
        assert!(rows.iter().any(|row| row.source.is_none() && row.number > 19_000));
    }

    async fn neither_addresses_nor_logins_are_readable_in_the_rows(bank: TestBank) {
        let alice = bank.customer("alice").await;
        bank.try_login(&from("192.0.2.77"), &alice.email, OTHER_PASSWORD).await.unwrap_err();
        bank.bank.write_security_events().await.unwrap();
        let rows = bank.bank.store().security_events(&SecurityEventFilter::default(), None, 10).await.unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        let sealed = row.sealed_source.clone().unwrap();
        let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(holds(b"seen from 192.0.2.77", "192.0.2.77"), "the search finds what is there");
        assert!(!holds(&sealed, "192.0.2.77"));
        for digest in [row.source.unwrap(), row.subject.unwrap()] {
            assert!(!holds(&digest, "192.0") && !holds(&digest, &alice.email[..6]));
        }
    }

    async fn events_are_for_auditors_and_administrators(bank: TestBank) {
        let query = SecurityEventQuery::default();
        events(&bank, &auditor(&bank).await, &query).await.unwrap();
        for role in [Role::Support, Role::Teller] {
            let operator = bank.operator(role).await;
            let cx = bank.enter(&operator.tokens.access_token).await.unwrap();
            assert_eq!(events(&bank, &cx, &query).await.unwrap_err().code, "forbidden");
        }
        let (_, _, alice) = bank.logged_in("alice").await;
        assert_eq!(events(&bank, &alice, &query).await.unwrap_err().code, "forbidden");
        assert_eq!(events(&bank, &bank.anonymous(), &query).await.unwrap_err().code, "unauthenticated");
    }

    async fn events_are_forgotten_when_they_are_too_old_or_too_many(bank: TestBank) {
        let all = SecurityEventFilter::default();
        let refused: Result<(), Error> = Err(Error::unauthenticated());
        for number in 0..5 {
            bank.clock.advance(6 * 60);
            bank.bank.note_failure(SecurityEventKind::TokenRefused, &Whence::address("192.0.2.1"), None, &refused);
            assert_eq!(bank.bank.write_security_events().await.unwrap(), 1, "{number}");
        }
        let store = bank.bank.store();
        let rows = store.security_events(&all, None, 10).await.unwrap();
        assert_eq!(store.security_event_beyond(5).await.unwrap(), None);
        assert_eq!(store.security_event_beyond(2).await.unwrap(), Some(rows[2].id), "two newer ones are kept");
        bank.bank.sweep_identity().await.unwrap();
        assert_eq!(store.security_events(&all, None, 10).await.unwrap().len(), 5);
        bank.clock.advance(90 * DAY_SECS - 3 * 6 * 60 + 60);
        bank.bank.sweep_identity().await.unwrap();
        assert_eq!(store.security_events(&all, None, 10).await.unwrap().len(), 3, "what is old is gone");
    }
}
