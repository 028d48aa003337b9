//! Passwords: changed, forgotten, reset.

use strongroom_app::identity::{
    credentials::RESET_SECS,
    customers::{AddCustomer, FirstPassword},
};
use strongroom_domain::principal::Role;

use crate::harness::{OTHER_PASSWORD, Person, TestBank, client, client_of, on_both_engines, secret};

on_both_engines! {
    async fn an_imported_hash_lets_its_owner_in_once_and_is_ours_then(bank: TestBank) {
        // Published with the algorithm.
        let (password, hash) = ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
        let cx = bank.bank.cx_cli(0).await.unwrap();
        let input = AddCustomer {
            email: "ida@example.com".to_owned(),
            full_name: "Ida Imported".to_owned(),
            password: FirstPassword::Imported(secret(hash)),
        };
        let ida = bank.bank.add_customer(&cx, input).await.unwrap();
        let stored = async || bank.bank.store().password(ida).await.unwrap().unwrap().hash;
        let before = bank.bank.password_hashes();
        assert!(bank.try_login(&client(), "ida@example.com", "U*V").await.is_err());
        assert_eq!(bank.bank.password_hashes() - before, 1, "as for everybody");
        assert_eq!(stored().await, format!("2:{hash}"));
        bank.try_login(&client(), "ida@example.com", password).await.unwrap();
        assert!(stored().await.contains("$argon2id$"), "{}", stored().await);
        bank.try_login(&client(), "ida@example.com", password).await.unwrap();
    }

    async fn a_changed_password_ends_all_other_sessions(bank: TestBank) {
        let (person, set, cx) = bank.logged_in("alice").await;
        let elsewhere = bank.login(&person).await;
        bank.bank.change_password(&cx, secret(&person.password), secret(OTHER_PASSWORD)).await.unwrap();
        bank.enter(&set.access_token).await.unwrap();
        assert_eq!(bank.enter(&elsewhere.access_token).await.unwrap_err().code, "token_invalid");
        assert!(bank.bank.refresh(&bank.anonymous(), &client(), elsewhere.refresh_token).await.is_err());
        assert!(bank.try_login(&client(), &person.email, &person.password).await.is_err());
        bank.login(&Person { password: OTHER_PASSWORD.to_owned(), ..person.clone() }).await;
        let mails = bank.mails_to(&person.email).await;
        assert!(mails.iter().any(|mail| mail.contains("password was changed")), "{mails:?}");
    }

    async fn a_wrong_present_password_changes_nothing_and_counts(bank: TestBank) {
        let (person, _, cx) = bank.logged_in("alice").await;
        for _ in 0..5 {
            let wrong = bank.bank.change_password(&cx, secret(OTHER_PASSWORD), secret(OTHER_PASSWORD)).await;
            assert_eq!(wrong.unwrap_err().code, "invalid_credentials");
        }
        let right = bank.bank.change_password(&cx, secret(&person.password), secret(OTHER_PASSWORD)).await;
        assert_eq!(right.unwrap_err().code, "invalid_credentials");
        bank.login(&person).await;
    }

    async fn a_weak_new_password_is_refused_with_its_reasons(bank: TestBank) {
        let (person, _, cx) = bank.logged_in("alice").await;
        let weak = bank.bank.change_password(&cx, secret(&person.password), secret("Password1234!")).await;
        let weak = weak.unwrap_err();
        assert_eq!((weak.code, weak.fields[0].pointer.as_str()), ("validation_failed", "/new_password"));
        bank.login(&person).await;
    }

    async fn a_known_device_is_forgotten_with_the_password(bank: TestBank) {
        let (person, set, cx) = bank.logged_in("alice").await;
        let known = client_of(&set);
        bank.bank.change_password(&cx, secret(&person.password), secret(OTHER_PASSWORD)).await.unwrap();
        let again = bank.try_login(&known, &person.email, OTHER_PASSWORD).await.unwrap();
        assert!(crate::harness::tokens(again).device.is_some(), "a new mark");
    }

    async fn a_forgotten_password_is_reset_once_by_mail(bank: TestBank) {
        let (person, set, _) = bank.logged_in("alice").await;
        bank.bank.forget_password(&bank.anonymous(), &person.email.to_uppercase()).await.unwrap();
        bank.bank.forget_password(&bank.anonymous(), "nobody@example.com").await.unwrap();
        let token = bank.mailed_token(&person.email).await.unwrap();
        assert!(bank.mails_to("nobody@example.com").await.is_empty());
        let text = strongroom_app::ExposeSecret::expose_secret(&token).to_owned();
        let weak = bank.bank.reset_password(&bank.anonymous(), &text, secret("short")).await;
        assert_eq!(weak.unwrap_err().code, "validation_failed");
        bank.bank.reset_password(&bank.anonymous(), &text, secret(OTHER_PASSWORD)).await.unwrap();
        assert_eq!(bank.enter(&set.access_token).await.unwrap_err().code, "token_invalid");
        bank.login(&Person { password: OTHER_PASSWORD.to_owned(), ..person.clone() }).await;
        let again = bank.bank.reset_password(&bank.anonymous(), &text, secret(OTHER_PASSWORD)).await;
        assert_eq!(again.unwrap_err().code, "invalid_credentials");
    }

    async fn a_token_for_a_reset_ages_quickly(bank: TestBank) {
        let person = bank.customer("alice").await;
        bank.bank.forget_password(&bank.anonymous(), &person.email).await.unwrap();
        let token = bank.mailed_token(&person.email).await.unwrap();
        bank.clock.advance(RESET_SECS + 1);
        let text = strongroom_app::ExposeSecret::expose_secret(&token).to_owned();
        let late = bank.bank.reset_password(&bank.anonymous(), &text, secret(OTHER_PASSWORD)).await;
        assert_eq!(late.unwrap_err().code, "invalid_credentials");
    }

    async fn no_mail_resets_an_operators_password(bank: TestBank) {
        let operator = bank.operator(Role::Teller).await;
        let before = bank.mails_to(&operator.person.email).await.len();
        bank.bank.forget_password(&bank.anonymous(), &operator.person.email).await.unwrap();
        assert_eq!(bank.mails_to(&operator.person.email).await.len(), before);
    }
}
