//! Operators: printed secrets for one thing, two factors always, and nobody makes a colleague alone.

use futures::future::join_all;
use strongroom_app::{
    ExposeSecret,
    identity::{login::LoginAnswer, operators::OperatorAdded, users::LoginChange},
};
use strongroom_domain::principal::{Assurance, Role};

use crate::harness::{
    OTHER_PASSWORD, PASSWORD, TestBank, client, client_of, on_both_engines, secret, secret_of, tokens,
};

const DAY_SECS: i64 = 24 * 60 * 60;

on_both_engines! {
    async fn the_first_login_replaces_everything_that_was_printed(bank: TestBank) {
        let OperatorAdded::Ready { email, password, totp_uri, .. } = bank.add_operator(Role::Admin, false).await else {
            panic!("the first administrator works at once")
        };
        let printed = secret_of(&totp_uri);
        let operator = {
            let answer = bank.try_login(&client(), &email, password.expose_secret()).await.unwrap();
            let LoginAnswer::MfaRequired { mfa_token, methods } = answer else { panic!("{answer:?}") };
            assert_eq!(methods, ["totp"]);
            let answer = bank.answer_code(&mfa_token, &bank.code(&printed)).await.unwrap();
            let LoginAnswer::PasswordChangeRequired { change_token } = answer else { panic!("{answer:?}") };
            let change = change_token.expose_secret();
            let weak = bank.bank.set_first_password(&bank.anonymous(), &client(), change, secret("short")).await;
            assert_eq!(weak.unwrap_err().code, "validation_failed");
            let answer = bank.bank.set_first_password(&bank.anonymous(), &client(), change, secret(PASSWORD)).await;
            let answer = answer.unwrap();
            let LoginAnswer::TotpRequired { otpauth_uri, qr_svg, mfa_token } = answer else { panic!("{answer:?}") };
            assert!(qr_svg.expose_secret().contains("<svg"));
            let totp = secret_of(&otpauth_uri);
            let old = bank.answer_code(&mfa_token, &bank.code(&printed)).await;
            assert!(old.is_err(), "the printed code is no new device");
            let set = tokens(bank.answer_code(&mfa_token, &bank.code(&totp)).await.unwrap());
            (totp, set)
        };
        let cx = bank.enter(&operator.1.access_token).await.unwrap();
        assert_eq!(cx.assurance, Assurance::Aal2);
        let old = bank.try_login(&client(), &email, password.expose_secret()).await;
        assert!(old.is_err(), "the printed password is dead");
        bank.clock.advance(31);
        let answer = bank.try_login(&client(), &email, PASSWORD).await.unwrap();
        let LoginAnswer::MfaRequired { mfa_token, .. } = answer else { panic!("{answer:?}") };
        assert!(bank.answer_code(&mfa_token, &bank.code(&printed)).await.is_err(), "the printed device is dead");
        tokens(bank.answer_code(&mfa_token, &bank.code(&operator.0)).await.unwrap());
    }

    async fn an_interrupted_first_login_goes_on_with_the_new_password_and_the_printed_code(bank: TestBank) {
        let OperatorAdded::Ready { email, password, totp_uri, .. } = bank.add_operator(Role::Admin, false).await else {
            panic!("no operator")
        };
        let printed = secret_of(&totp_uri);
        let answer = bank.try_login(&client(), &email, password.expose_secret()).await.unwrap();
        let LoginAnswer::MfaRequired { mfa_token, .. } = answer else { panic!("{answer:?}") };
        let answer = bank.answer_code(&mfa_token, &bank.code(&printed)).await.unwrap();
        let LoginAnswer::PasswordChangeRequired { change_token } = answer else { panic!("{answer:?}") };
        let change = change_token.expose_secret();
        bank.bank.set_first_password(&bank.anonymous(), &client(), change, secret(PASSWORD)).await.unwrap();
        // Here the power went out. The password alone gives nothing.
        bank.clock.advance(31);
        let answer = bank.try_login(&client(), &email, PASSWORD).await.unwrap();
        let LoginAnswer::MfaRequired { mfa_token, .. } = answer else { panic!("{answer:?}") };
        let answer = bank.answer_code(&mfa_token, &bank.code(&printed)).await.unwrap();
        let LoginAnswer::TotpRequired { otpauth_uri, mfa_token, .. } = answer else { panic!("{answer:?}") };
        tokens(bank.answer_code(&mfa_token, &bank.code(&secret_of(&otpauth_uri))).await.unwrap());
    }

    async fn printed_secrets_die_after_a_day(bank: TestBank) {
        let OperatorAdded::Ready { email, password, .. } = bank.add_operator(Role::Admin, false).await else {
            panic!("no operator")
        };
        bank.try_login(&client(), &email, password.expose_secret()).await.unwrap();
        bank.clock.advance(DAY_SECS + 1);
        let late = bank.try_login(&client(), &email, password.expose_secret()).await;
        assert_eq!(late.unwrap_err().code, "invalid_credentials");
    }

    async fn a_code_is_good_once_however_many_use_it_at_once(bank: TestBank) {
        let operator = bank.operator(Role::Teller).await;
        // Four known devices: each has a count of tries of its own, so that nothing else keeps the uses apart.
        let mut devices = Vec::new();
        for _ in 0..4 {
            bank.clock.advance(31);
            let answer = bank.try_login(&client(), &operator.person.email, PASSWORD).await.unwrap();
            let LoginAnswer::MfaRequired { mfa_token, .. } = answer else { panic!("{answer:?}") };
            let set = tokens(bank.answer_code(&mfa_token, &bank.code(&operator.totp)).await.unwrap());
            devices.push(client_of(&set));
        }
        bank.clock.advance(31);
        let mut tickets = Vec::new();
        for device in &devices {
            let answer = bank.try_login(device, &operator.person.email, PASSWORD).await.unwrap();
            let LoginAnswer::MfaRequired { mfa_token, .. } = answer else { panic!("{answer:?}") };
            tickets.push(mfa_token);
        }
        let code = bank.code(&operator.totp);
        let uses = tickets.iter().cycle().take(16).map(|ticket| bank.answer_code(ticket, &code));
        let in_now = join_all(uses).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(in_now, 1);
    }

    async fn codes_of_now_count_and_codes_of_then_do_not(bank: TestBank) {
        let operator = bank.operator(Role::Teller).await;
        bank.clock.advance(300);
        let old = bank.code(&operator.totp);
        bank.clock.advance(90);
        let LoginAnswer::MfaRequired { mfa_token, .. } =
            bank.try_login(&client(), &operator.person.email, PASSWORD).await.unwrap() else { panic!() };
        assert!(bank.answer_code(&mfa_token, &old).await.is_err());
        tokens(bank.answer_code(&mfa_token, &bank.code(&operator.totp)).await.unwrap());
    }

    async fn codes_are_guessed_at_no_more_often_than_passwords(bank: TestBank) {
        let operator = bank.operator(Role::Teller).await;
        bank.clock.advance(31);
        let LoginAnswer::MfaRequired { mfa_token, .. } =
            bank.try_login(&client(), &operator.person.email, PASSWORD).await.unwrap() else { panic!() };
        let right = bank.code(&operator.totp);
        let wrong = if right.expose_secret() == "000000" { "000001" } else { "000000" };
        for _ in 0..5 {
            assert!(bank.answer_code(&mfa_token, &secret(wrong)).await.is_err());
        }
        assert_eq!(bank.answer_code(&mfa_token, &right).await.unwrap_err().code, "invalid_credentials");
    }

    async fn the_ticket_of_one_is_not_opened_by_the_code_of_another(bank: TestBank) {
        let (first, second) = (bank.operator(Role::Teller).await, bank.operator(Role::Teller).await);
        bank.clock.advance(31);
        let LoginAnswer::MfaRequired { mfa_token, .. } =
            bank.try_login(&client(), &first.person.email, PASSWORD).await.unwrap() else { panic!() };
        assert!(bank.enter(&mfa_token).await.is_err(), "a ticket opens nothing else");
        assert!(bank.answer_code(&mfa_token, &bank.code(&second.totp)).await.is_err());
        tokens(bank.answer_code(&mfa_token, &bank.code(&first.totp)).await.unwrap());
    }

    async fn a_second_operator_is_a_request(bank: TestBank) {
        let first = bank.add_operator(Role::Admin, false).await;
        assert!(matches!(first, OperatorAdded::Ready { .. }), "{first:?}");
        let second = bank.add_operator(Role::Teller, false).await;
        assert!(matches!(second, OperatorAdded::Requested { .. }), "{second:?}");
    }

    async fn a_broken_glass_is_heard_by_every_administrator(bank: TestBank) {
        let admin = bank.operator(Role::Admin).await;
        let before = bank.mails_to(&admin.person.email).await.len();
        let second = bank.add_operator(Role::Teller, true).await;
        assert!(matches!(second, OperatorAdded::Ready { .. }), "{second:?}");
        let mails = bank.mails_to(&admin.person.email).await;
        assert_eq!(mails.len(), before + 1);
        assert!(mails.last().unwrap().contains("without the approval"));
    }

    async fn only_administrators_stop_logins_and_never_their_own(bank: TestBank) {
        let admin = bank.operator(Role::Admin).await;
        let admin = bank.enter(&admin.tokens.access_token).await.unwrap();
        let support = bank.operator(Role::Support).await;
        let support = bank.enter(&support.tokens.access_token).await.unwrap();
        let (_, _, alice) = bank.logged_in("alice").await;
        let (_, _, bob) = bank.logged_in("bob").await;
        let target = alice.person().unwrap();
        for cx in [&support, &bob] {
            let refused = bank.bank.change_login(cx, target, LoginChange::Lock, "a test").await;
            assert_eq!(refused.unwrap_err().code, "forbidden");
            assert_eq!(bank.bank.users(&bob, None, None, 10).await.unwrap_err().code, "forbidden");
        }
        let own = bank.bank.change_login(&admin, admin.person().unwrap(), LoginChange::Lock, "a test").await;
        assert_eq!(own.unwrap_err().code, "forbidden");
        let locked = bank.bank.change_login(&admin, target, LoginChange::Lock, "a test").await.unwrap();
        assert_eq!(locked.profile.state.name(), "locked");
        let odd = bank.bank.change_login(&admin, target, LoginChange::Enable, "a test").await;
        assert_eq!(odd.unwrap_err().code, "user_state");
    }

    async fn an_operator_lets_a_customer_in_again_before_the_wait_is_over(bank: TestBank) {
        let admin = bank.operator(Role::Admin).await;
        let admin = bank.enter(&admin.tokens.access_token).await.unwrap();
        let (person, _, cx) = bank.logged_in("alice").await;
        for _ in 0..5 {
            bank.try_login(&client(), &person.email, OTHER_PASSWORD).await.unwrap_err();
        }
        assert!(bank.try_login(&client(), &person.email, PASSWORD).await.is_err());
        bank.bank.change_login(&admin, cx.person().unwrap(), LoginChange::Unlock, "identified by phone").await.unwrap();
        bank.login(&person).await;
    }
}
