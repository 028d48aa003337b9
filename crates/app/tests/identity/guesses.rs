//! The budget of guesses: one count for every secret, waits that grow, a stop, and an owner who hears of it.

use futures::future::join_all;
use strongroom_app::{ExposeSecret, identity::login::LoginAnswer};
use strongroom_domain::principal::Role;

use crate::harness::{
    OTHER_PASSWORD, PASSWORD, TestBank, client, client_of, on_both_engines, secret, tokens,
};

const WAIT_SECS: i64 = 15 * 60;
const WAIT_SECS_MAX: i64 = 4 * 60 * 60;
const DAY_SECS: i64 = 24 * 60 * 60;
const GUESSED: &str = "wrong five times";
const STOPPED: &str = "no longer accepted";

async fn wrong_tries(bank: &TestBank, email: &str, number: usize) {
    for _ in 0..number {
        let refused = bank.try_login(&client(), email, OTHER_PASSWORD).await;
        assert_eq!(refused.unwrap_err().code, "invalid_credentials");
    }
}

async fn mails_with(bank: &TestBank, email: &str, text: &str) -> usize {
    bank.mails_to(email)
        .await
        .iter()
        .filter(|mail| mail.contains(text))
        .count()
}

on_both_engines! {
    async fn two_hundred_tries_by_password_and_code_at_once_are_five(bank: TestBank) {
        let operator = bank.operator(Role::Teller).await;
        bank.clock.advance(31);
        let email = operator.person.email.as_str();
        let LoginAnswer::MfaRequired { mfa_token, .. } =
            bank.try_login(&client(), email, PASSWORD).await.unwrap() else { panic!("no ticket") };
        let right = bank.code(&operator.totp);
        let wrong = secret(if right.expose_secret() == "000000" { "000001" } else { "000000" });
        let before = bank.bank.guesses_made();
        let tries = (0..200).map(|number| {
            let (bank, mfa_token, wrong) = (&bank, &mfa_token, &wrong);
            async move {
                let spelling = if number % 4 == 0 { email.to_uppercase() } else { email.to_owned() };
                let answer = match number % 2 {
                    0 => bank.try_login(&client(), &spelling, OTHER_PASSWORD).await,
                    _ => bank.answer_code(mfa_token, wrong).await,
                };
                answer.is_ok()
            }
        });
        assert!(!join_all(tries).await.contains(&true));
        assert_eq!(bank.bank.guesses_made() - before, 5);
        assert!(bank.answer_code(&mfa_token, &right).await.is_err());
        assert!(bank.try_login(&client(), email, PASSWORD).await.is_err());
        // A sixth that was counted would have doubled the wait.
        bank.clock.advance(WAIT_SECS + 1);
        // And the second factor need not wait for the first one's try.
        let LoginAnswer::MfaRequired { mfa_token, .. } =
            bank.try_login(&client(), email, PASSWORD).await.unwrap() else { panic!("no ticket") };
        tokens(bank.answer_code(&mfa_token, &bank.code(&operator.totp)).await.unwrap());
    }

    async fn a_hundred_failures_stop_unknown_devices_until_the_owner_acts(bank: TestBank) {
        let person = bank.customer("alice").await;
        let known = client_of(&bank.login(&person).await);
        wrong_tries(&bank, &person.email, 5).await;
        for number in 6..=100 {
            bank.clock.advance(WAIT_SECS_MAX);
            wrong_tries(&bank, &person.email, 1).await;
            // A notice is of use for a week, and more than that passes here.
            bank.bank.send_mails().await.unwrap();
            if number == 99 {
                // As long as it is not the hundredth, waiting helps; a stranger's success would begin anew.
                assert_eq!(mails_with(&bank, &person.email, STOPPED).await, 0);
            }
        }
        bank.clock.advance(20 * DAY_SECS);
        assert!(bank.try_login(&client(), &person.email, &person.password).await.is_err());
        assert_eq!(mails_with(&bank, &person.email, STOPPED).await, 1);
        // Once a day, however many tries there are.
        let told = mails_with(&bank, &person.email, GUESSED).await;
        assert!((15..=17).contains(&told), "{told}");
        // The owner's device knows nothing of it, and its login opens nothing for others.
        tokens(bank.try_login(&known, &person.email, &person.password).await.unwrap());
        assert!(bank.try_login(&client(), &person.email, &person.password).await.is_err());
        // The owner acts.
        bank.bank.forget_password(&bank.anonymous(), &person.email).await.unwrap();
        let token = bank.mailed_token(&person.email).await.unwrap();
        bank.bank
            .reset_password(&bank.anonymous(), token.expose_secret(), secret(OTHER_PASSWORD))
            .await
            .unwrap();
        tokens(bank.try_login(&client(), &person.email, OTHER_PASSWORD).await.unwrap());
    }

    async fn the_owner_is_told_once_and_nobody_where_there_is_nobody(bank: TestBank) {
        let person = bank.customer("alice").await;
        wrong_tries(&bank, &person.email.to_uppercase(), 4).await;
        assert_eq!(mails_with(&bank, &person.email, GUESSED).await, 0);
        wrong_tries(&bank, &person.email, 10).await;
        assert_eq!(mails_with(&bank, &person.email, GUESSED).await, 1);
        bank.clock.advance(WAIT_SECS + 1);
        wrong_tries(&bank, &person.email, 2).await;
        assert_eq!(mails_with(&bank, &person.email, GUESSED).await, 1);
        wrong_tries(&bank, "nobody@example.com", 10).await;
        assert_eq!(bank.mails_to("nobody@example.com").await.len(), 0);
    }

    async fn all_sessions_have_one_count_that_strangers_do_not_touch(bank: TestBank) {
        let (person, _, first) = bank.logged_in("alice").await;
        let second = bank.enter(&bank.login(&person).await.access_token).await.unwrap();
        wrong_tries(&bank, &person.email, 5).await;
        let change = async |cx, current: &str, new: &str| {
            let outcome = bank.bank.change_password(cx, secret(current), secret(new)).await;
            outcome.map_err(|refused| refused.code)
        };
        for _ in 0..5 {
            assert_eq!(change(&first, "not-this-one", OTHER_PASSWORD).await, Err("invalid_credentials"));
        }
        assert_eq!(change(&second, &person.password, OTHER_PASSWORD).await, Err("invalid_credentials"));
        bank.clock.advance(WAIT_SECS + 1);
        let third = bank.enter(&bank.login(&person).await.access_token).await.unwrap();
        assert_eq!(change(&third, &person.password, OTHER_PASSWORD).await, Ok(()));
    }
}
