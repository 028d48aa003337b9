//! Login: one refusal for everything, equal work, and a count of tries that no parallel caller escapes.

use futures::future::join_all;
use strongroom_app::identity::users::LoginChange;
use strongroom_domain::principal::Role;

use crate::harness::{OTHER_PASSWORD, TestBank, client, client_of, on_both_engines, tokens};

const WAIT_SECS: i64 = 15 * 60;

on_both_engines! {
    async fn unknown_wrong_locked_and_waiting_look_and_cost_the_same(bank: TestBank) {
        let admin = bank.operator(Role::Admin).await;
        let admin = bank.enter(&admin.tokens.access_token).await.unwrap();
        let wrong = bank.customer("wrong").await;
        let locked = bank.customer("locked").await;
        let waiting = bank.customer("waiting").await;
        bank.login(&locked).await;
        let found = bank.bank.users(&admin, Some(&locked.email), None, 1).await.unwrap();
        bank.bank.change_login(&admin, found[0].profile.id, LoginChange::Lock, "a test").await.unwrap();
        for _ in 0..5 {
            bank.try_login(&client(), &waiting.email, OTHER_PASSWORD).await.unwrap_err();
        }
        let mut seen = Vec::new();
        for (email, password) in [
            ("nobody@example.com", OTHER_PASSWORD),
            (&wrong.email, OTHER_PASSWORD),
            (&locked.email, &locked.password),
            (&waiting.email, &waiting.password),
            ("not an address", OTHER_PASSWORD),
        ] {
            let before = bank.bank.password_hashes();
            let refused = bank.try_login(&client(), email, password).await.unwrap_err();
            seen.push((bank.bank.password_hashes() - before, format!("{refused:?}")));
        }
        assert!(seen.iter().all(|each| *each == seen[0]), "{seen:?}");
        assert_eq!(seen[0].0, 1);
    }

    async fn the_sixth_try_waits_also_with_the_right_password(bank: TestBank) {
        let person = bank.customer("alice").await;
        bank.login(&person).await;
        for _ in 0..5 {
            bank.try_login(&client(), &person.email, OTHER_PASSWORD).await.unwrap_err();
        }
        let right = bank.try_login(&client(), &person.email, &person.password).await;
        assert_eq!(right.unwrap_err().code, "invalid_credentials");
        bank.clock.advance(WAIT_SECS + 1);
        bank.login(&person).await;
        // A complete login begins the count anew.
        for _ in 0..4 {
            bank.try_login(&client(), &person.email, OTHER_PASSWORD).await.unwrap_err();
        }
        bank.login(&person).await;
    }

    async fn spelling_the_address_otherwise_is_no_new_count(bank: TestBank) {
        let person = bank.customer("alice").await;
        for _ in 0..3 {
            bank.try_login(&client(), &person.email, OTHER_PASSWORD).await.unwrap_err();
            bank.try_login(&client(), &person.email.to_uppercase(), OTHER_PASSWORD).await.unwrap_err();
        }
        assert!(bank.try_login(&client(), &person.email, &person.password).await.is_err());
    }

    async fn fifty_tries_at_once_are_five_tries(bank: TestBank) {
        let person = bank.customer("alice").await;
        let tries = (0..50).map(|_| {
            let (bank, person) = (&bank, &person);
            async move {
                bank.try_login(&client(), &person.email, OTHER_PASSWORD).await.is_ok()
            }
        });
        assert!(!join_all(tries).await.contains(&true));
        assert!(bank.try_login(&client(), &person.email, &person.password).await.is_err());
        // A sixth that was counted would have doubled the wait.
        bank.clock.advance(WAIT_SECS + 1);
        let tries = (0..50).map(|_| {
            let (bank, person) = (&bank, &person);
            async move {
                bank.try_login(&client(), &person.email, OTHER_PASSWORD).await.is_ok()
            }
        });
        assert!(!join_all(tries).await.contains(&true));
        // One of those was counted, and the wait is twice as long now: not less, not more.
        bank.clock.advance(WAIT_SECS + 1);
        assert!(bank.try_login(&client(), &person.email, &person.password).await.is_err());
        bank.clock.advance(WAIT_SECS + 1);
        bank.login(&person).await;
    }

    async fn a_known_device_gets_in_while_strangers_wait(bank: TestBank) {
        let person = bank.customer("alice").await;
        let set = bank.login(&person).await;
        for _ in 0..6 {
            bank.try_login(&client(), &person.email, OTHER_PASSWORD).await.unwrap_err();
        }
        assert!(bank.try_login(&client(), &person.email, &person.password).await.is_err());
        let known = client_of(&set);
        let again = tokens(bank.try_login(&known, &person.email, &person.password).await.unwrap());
        assert!(again.device.is_none(), "a known device keeps its mark");
        // The mark of another person is none of this one's.
        let (_, others, _) = bank.logged_in("bob").await;
        assert!(bank.try_login(&client_of(&others), &person.email, &person.password).await.is_err());
    }
}
