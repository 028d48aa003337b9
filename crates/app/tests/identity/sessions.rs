//! Sessions end when they should, and what ended moves no money.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use strongroom_app::{
    ExposeSecret,
    money::transfers::{CreateTransfer, Payee},
};
use strongroom_domain::{
    money::{Amount, Currency},
    principal::Role,
};

use crate::harness::{TestBank, client, key, on_both_engines, secret};

const IDLE_SECS: i64 = 15 * 60;

on_both_engines! {
    async fn sessions_are_listed_and_ended_by_their_owner(bank: TestBank) {
        let (person, first, cx) = bank.logged_in("alice").await;
        let second = bank.login(&person).await;
        let listed = bank.bank.own_sessions(&cx, None, 10).await.unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed.iter().filter(|session| session.current).count(), 1);
        assert!(listed.iter().all(|session| session.client.user_agent == "test/1"));
        bank.enter(&second.access_token).await.unwrap();
        bank.bank.end_own_session(&cx, second.session).await.unwrap();
        assert_eq!(bank.enter(&second.access_token).await.unwrap_err().code, "token_invalid");
        bank.enter(&first.access_token).await.unwrap();
        assert_eq!(bank.bank.end_own_session(&cx, second.session).await.unwrap_err().code, "not_found");
        bank.bank.end_own_sessions(&cx).await.unwrap();
        assert_eq!(bank.enter(&first.access_token).await.unwrap_err().code, "token_invalid");
    }

    async fn somebody_elses_session_is_no_session(bank: TestBank) {
        let (_, alices, _) = bank.logged_in("alice").await;
        let (_, _, bob) = bank.logged_in("bob").await;
        assert_eq!(bank.bank.end_own_session(&bob, alices.session).await.unwrap_err().code, "not_found");
        bank.enter(&alices.access_token).await.unwrap();
    }

    async fn logout_ends_the_session_at_once_and_tells_strangers_nothing(bank: TestBank) {
        let (_, set, _) = bank.logged_in("alice").await;
        bank.enter(&set.access_token).await.unwrap();
        bank.bank.logout(&bank.anonymous(), &client(), set.refresh_token.clone()).await.unwrap();
        assert_eq!(bank.enter(&set.access_token).await.unwrap_err().code, "token_invalid");
        assert!(bank.bank.refresh(&bank.anonymous(), &client(), set.refresh_token.clone()).await.is_err());
        for unknown in [set.refresh_token.expose_secret(), "srr_nothing", ""] {
            bank.bank.logout(&bank.anonymous(), &client(), secret(unknown)).await.unwrap();
        }
    }

    async fn an_idle_session_ends_and_use_keeps_it(bank: TestBank) {
        let (_, first, _) = bank.logged_in("alice").await;
        bank.clock.advance(IDLE_SECS - 10);
        bank.enter(&first.access_token).await.unwrap();
        let set = bank.bank.refresh(&bank.anonymous(), &client(), first.refresh_token).await.unwrap();
        bank.clock.advance(IDLE_SECS - 10);
        bank.enter(&set.access_token).await.unwrap();
        let set = bank.bank.refresh(&bank.anonymous(), &client(), set.refresh_token).await.unwrap();
        bank.clock.advance(IDLE_SECS + 10);
        let late = bank.bank.refresh(&bank.anonymous(), &client(), set.refresh_token).await;
        assert_eq!(late.unwrap_err().code, "token_invalid");
    }

    async fn the_last_hour_is_the_last_however_busy(bank: TestBank) {
        let (_, mut set, _) = bank.logged_in("alice").await;
        let mut hours = 0.0;
        loop {
            bank.clock.advance(600);
            hours += 1.0 / 6.0;
            match bank.bank.refresh(&bank.anonymous(), &client(), set.refresh_token.clone()).await {
                Ok(next) => set = next,
                Err(error) => {
                    assert_eq!(error.code, "token_invalid");
                    break;
                }
            }
            assert!(hours < 13.0);
        }
        assert!((11.8..12.3).contains(&hours), "{hours}");
        let operator = bank.operator(Role::Teller).await;
        let cx = bank.enter(&operator.tokens.access_token).await.unwrap();
        let listed = bank.bank.own_sessions(&cx, None, 1).await.unwrap();
        assert_eq!(listed[0].expires_at.seconds_since(listed[0].created_at), 8 * 3600);
    }

    async fn the_last_use_is_written_once_and_survives_a_restart(bank: TestBank) {
        let (_, set, _) = bank.logged_in("alice").await;
        bank.bank.write_last_seen().await.unwrap();
        bank.clock.advance(IDLE_SECS - 100);
        bank.enter(&set.access_token).await.unwrap();
        bank.enter(&set.access_token).await.unwrap();
        assert_eq!(bank.bank.write_last_seen().await.unwrap(), 1);
        assert_eq!(bank.bank.write_last_seen().await.unwrap(), 0);
        let restarted = bank.another_process().await;
        bank.clock.advance(99);
        restarted.enter(&set.access_token).await.unwrap();
    }

    async fn no_transfer_of_a_session_commits_after_its_logout_was_answered(bank: TestBank) {
        let teller = bank.operator(Role::Teller).await;
        let teller = bank.enter(&teller.tokens.access_token).await.unwrap();
        let mut both_orders = (0_u32, 0_u32);
        for round in 0..6 {
            let (_, set, cx) = bank.logged_in("alice").await;
            let (from, to) = (bank.account(&cx).await, bank.account(&cx).await);
            bank.deposit(&teller, from, 1_000_000).await;
            let out = Arc::new(AtomicBool::new(false));
            let tasks: Vec<_> = (0..16)
                .map(|_| {
                    let (bank, out, cx) = (bank.bank.clone(), out.clone(), cx.clone());
                    tokio::spawn(async move {
                        let (mut before, mut refused) = (0_u32, 0_u32);
                        for _ in 0..20 {
                            let was_out = out.load(Ordering::SeqCst);
                            let input = CreateTransfer {
                                from,
                                to: Payee::Account(to),
                                amount: Amount::new(1).unwrap(),
                                currency: Currency::EUR,
                                description: None,
                                idempotency_key: Some(key()),
                                dry_run: false,
                                value_date: None,
                            };
                            // The context is the one of before: a request that was on its way.
                            match bank.create_transfer(&cx, input).await {
                                Ok(_) => {
                                    assert!(!was_out, "a transfer of a session that was over");
                                    before += 1;
                                }
                                Err(error) => {
                                    assert_eq!(error.code, "token_invalid", "{error:?}");
                                    refused += 1;
                                }
                            }
                        }
                        (before, refused)
                    })
                })
                .collect();
            tokio::time::sleep(std::time::Duration::from_millis(5 + round * 5)).await;
            bank.bank.logout(&bank.anonymous(), &client(), set.refresh_token).await.unwrap();
            out.store(true, Ordering::SeqCst);
            for task in tasks {
                let (before, refused) = task.await.unwrap();
                both_orders = (both_orders.0 + before, both_orders.1 + refused);
            }
        }
        assert!(both_orders.0 > 0 && both_orders.1 > 0, "only one order happened: {both_orders:?}");
    }
}
