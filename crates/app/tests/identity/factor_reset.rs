//! A lost factor comes back by two people of the bank.

use futures::future::join_all;
use strongroom_app::{
    Cx, ExposeSecret,
    authority::approvals::Decision,
    identity::{factors::Binder, login::LoginAnswer, operators::OperatorAdded},
};
use strongroom_domain::{id::ApprovalId, principal::Role};

use crate::harness::{Operator, PASSWORD, TestBank, client, on_both_engines, secret, secret_of, tokens};

const DAY_SECS: i64 = 24 * 60 * 60;

/// An administrator who may decide, logged in just now.
async fn admin(bank: &TestBank) -> (Operator, Cx) {
    let admin = bank.operator(Role::Admin).await;
    bank.clock.advance(DAY_SECS + 31);
    let cx = again(bank, &admin).await;
    (admin, cx)
}

async fn again(bank: &TestBank, operator: &Operator) -> Cx {
    bank.clock.advance(31);
    let set = bank.login_operator(operator).await;
    bank.enter(&set.access_token).await.unwrap()
}

async fn approve(
    bank: &TestBank,
    cx: &Cx,
    approval: ApprovalId,
) -> Result<Option<OperatorAdded>, &'static str> {
    let done = bank.bank.approve_request(cx, approval, Decision::default()).await;
    done.map(|done| done.operator).map_err(|error| error.code)
}

on_both_engines! {
    async fn an_operators_factor_is_reset_by_two_others_and_begins_as_at_first(bank: TestBank) {
        let (maker, _) = admin(&bank).await;
        let (checker, _) = admin(&bank).await;
        let lost = bank.operator(Role::Admin).await;
        let lost_cx = bank.enter(&lost.tokens.access_token).await.unwrap();
        let person = lost_cx.person().unwrap();
        let ask = |cx: Cx| { let bank = &bank; async move {
            bank.bank.ask_for_factor_reset(&cx, person, "lost the phone, seen in person").await
        } };
        // Neither for oneself, nor by oneself, nor alone.
        assert_eq!(ask(lost_cx.clone()).await.unwrap_err().code, "forbidden");
        let maker_cx = again(&bank, &maker).await;
        let approval = ask(maker_cx.clone()).await.unwrap();
        assert_eq!(approve(&bank, &maker_cx, approval).await.unwrap_err(), "maker_is_checker");
        assert!(bank.enter(&lost.tokens.access_token).await.is_ok(), "nothing happened yet");
        let checker_cx = again(&bank, &checker).await;
        let Ok(Some(OperatorAdded::Ready { password, totp_uri, email, .. })) =
            approve(&bank, &checker_cx, approval).await else { panic!("no secrets") };
        assert_eq!(approve(&bank, &checker_cx, approval).await.unwrap_err(), "approval_closed");
        assert_eq!(email, lost.person.email);
        // What there was opens nothing any more.
        assert_eq!(bank.enter(&lost.tokens.access_token).await.unwrap_err().code, "token_invalid");
        assert!(bank.try_login(&client(), &email, PASSWORD).await.is_err());
        let told = bank.mails_to(&email).await;
        assert!(told.iter().any(|mail| mail.contains("took away the second factors")), "{told:?}");
        let answer = bank.try_login(&client(), &email, password.expose_secret()).await.unwrap();
        let LoginAnswer::MfaRequired { mfa_token, methods } = answer else { panic!("{answer:?}") };
        assert_eq!(methods, ["totp"]);
        assert!(bank.answer_code(&mfa_token, &bank.code(&lost.totp)).await.is_err(), "the old device is dead");
        let answer = bank.answer_code(&mfa_token, &bank.code(&secret_of(&totp_uri))).await.unwrap();
        let LoginAnswer::PasswordChangeRequired { change_token } = answer else { panic!("{answer:?}") };
        let new = secret("lantern-58-osprey-quilt-harbour");
        let (nobody, change) = (bank.anonymous(), change_token.expose_secret());
        let answer = bank.bank.set_first_password(&nobody, &client(), change, new).await.unwrap();
        let LoginAnswer::TotpRequired { otpauth_uri, mfa_token, .. } = answer else { panic!("{answer:?}") };
        let set = tokens(bank.answer_code(&mfa_token, &bank.code(&secret_of(&otpauth_uri))).await.unwrap());
        let back = bank.enter(&set.access_token).await.unwrap();
        // For a day the one who came back decides nothing.
        let maker_cx = again(&bank, &maker).await;
        let other = bank.customer("carol").await;
        let carol = bank.enter(&bank.login(&other).await.access_token).await.unwrap().person().unwrap();
        let approval = bank.bank.ask_for_factor_reset(&maker_cx, carol, "lost").await.unwrap();
        assert_eq!(approve(&bank, &back, approval).await.unwrap_err(), "checker_too_new");
    }

    async fn a_customer_whose_factor_is_reset_logs_in_by_password_and_binds_anew(bank: TestBank) {
        let (maker, _) = admin(&bank).await;
        let (checker, _) = admin(&bank).await;
        let (alice, set, cx) = bank.logged_in("alice").await;
        let me = cx.person().unwrap();
        let binder = Binder::Session(Box::new(cx.clone()));
        let new = bank.bank.start_totp(&binder).await.unwrap();
        let totp = secret_of(&new.otpauth_uri);
        bank.bank.confirm_totp(&binder, bank.code(&totp)).await.unwrap();
        let answer = bank.try_login(&client(), &alice.email, &alice.password).await.unwrap();
        assert!(matches!(answer, LoginAnswer::MfaRequired { .. }), "{answer:?}");
        let maker_cx = again(&bank, &maker).await;
        let approval = bank.bank.ask_for_factor_reset(&maker_cx, me, "lost").await.unwrap();
        let checker_cx = again(&bank, &checker).await;
        let decisions = (0..6).map(|_| approve(&bank, &checker_cx, approval));
        let decisions = join_all(decisions).await;
        assert_eq!(decisions.iter().filter(|done| done.is_ok()).count(), 1, "{decisions:?}");
        assert!(matches!(decisions.iter().find(|done| done.is_ok()), Some(Ok(None))));
        assert!(bank.enter(&set.access_token).await.is_err());
        tokens(bank.try_login(&client(), &alice.email, &alice.password).await.unwrap());
    }
}
