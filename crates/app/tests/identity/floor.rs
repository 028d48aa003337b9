//! After signs of a takeover a customer pays little for three days, whatever else the sign comes with.

use strongroom_app::{
    Clock, Cx, ExposeSecret, SecretString,
    identity::{
        email_change::{EMAIL_WAIT_SECS, EmailProved},
        factors::Binder,
        login::LoginAnswer,
        step_up::{NEW_FACTOR_SECS, ShownFactor, SteppedUp},
    },
};
use strongroom_crypto::SecretBytes;
use strongroom_domain::{
    id::UserId,
    limits::{CustomerLimits, FLOOR_SECS},
    money::Currency,
    principal::Role,
    time::Timestamp,
};

use crate::harness::{Person, TestBank, client, on_both_engines, secret, secret_of};

/// A customer with an account, logged in again when so many seconds have passed.
async fn customer_of(bank: &TestBank, age_secs: i64) -> (Person, Cx, UserId) {
    let person = bank.customer("alice").await;
    let cx = entered(bank, &person).await;
    bank.account(&cx).await;
    bank.clock.advance(age_secs);
    let cx = entered(bank, &person).await;
    let me = cx.person().unwrap();
    (person, cx, me)
}

async fn entered(bank: &TestBank, person: &Person) -> Cx {
    let set = bank.login(person).await;
    bank.enter(&set.access_token).await.unwrap()
}

async fn limits(bank: &TestBank, person: UserId) -> CustomerLimits {
    let known = bank.bank.store().customer_limits(person).await.unwrap();
    let [(Currency::EUR, limits)] = known.as_slice() else {
        panic!("one account in euros, not {known:?}")
    };
    *limits
}

/// Until when the floor holds.
async fn floor(bank: &TestBank, person: UserId) -> Option<Timestamp> {
    limits(bank, person).await.floor_until(bank.clock.now())
}

/// The floor holds, from a moment ago on and for three days.
async fn assert_floor(bank: &TestBank, person: UserId) {
    let now = bank.clock.now();
    let left = floor(bank, person).await.map(|until| until.seconds_since(now));
    assert!(
        matches!(left, Some(left) if left > FLOOR_SECS - 60 && left <= FLOOR_SECS),
        "{left:?}"
    );
}

async fn bind(bank: &TestBank, binder: &Binder) -> (SecretBytes, Vec<SecretString>) {
    let new = bank.bank.start_totp(binder).await.unwrap();
    let totp = secret_of(&new.otpauth_uri);
    let codes = bank.bank.confirm_totp(binder, bank.code(&totp)).await.unwrap();
    (totp, codes)
}

fn of(cx: &Cx) -> Binder {
    Binder::Session(Box::new(cx.clone()))
}

async fn token_of(bank: &TestBank, email: &str, text: &str) -> SecretString {
    let mails = bank.mails_to(email).await;
    let mail = mails.iter().rfind(|mail| mail.contains(text)).unwrap();
    let token = mail.lines().find_map(|line| line.strip_prefix("Token: "));
    secret(token.unwrap())
}

/// Asks for an address; the tokens of the old one and of the new one.
async fn asked(bank: &TestBank, person: &Person, cx: &Cx, new: &str) -> (SecretString, SecretString) {
    let proof = ShownFactor::Password(secret(&person.password));
    let SteppedUp::Settings(set) = bank.bank.step_up(cx, &client(), proof, None).await.unwrap() else {
        panic!("nothing was to be approved")
    };
    let cx = bank.enter(&set.access_token).await.unwrap();
    bank.bank.ask_email_change(&cx, new).await.unwrap();
    (
        token_of(bank, &person.email, "another e-mail address").await,
        token_of(bank, new, "wants this address").await,
    )
}

on_both_engines! {
    async fn another_address_holds_its_owner_to_the_floor_when_the_wait_is_over_too(bank: TestBank) {
        let (alice, cx, me) = customer_of(&bank, 0).await;
        let (old, new) = asked(&bank, &alice, &cx, "alice@new.example").await;
        let prove = |token: SecretString| {
            let bank = &bank;
            async move { bank.bank.prove_email(&bank.anonymous(), token).await.unwrap() }
        };
        assert!(matches!(prove(old).await, EmailProved::Waiting { .. }));
        assert_eq!(floor(&bank, me).await, None, "nothing has changed yet");
        assert_eq!(prove(new).await, EmailProved::Changed);
        assert_floor(&bank, me).await;
        let (bob, cx, me) = customer_of(&bank, 0).await;
        let (_, new) = asked(&bank, &bob, &cx, "bob@new.example").await;
        assert!(matches!(prove(new).await, EmailProved::Waiting { .. }));
        bank.clock.advance(EMAIL_WAIT_SECS);
        assert_eq!(floor(&bank, me).await, None, "nothing has changed yet");
        assert_eq!(bank.bank.change_due_emails().await.unwrap(), 1);
        assert_floor(&bank, me).await;
        bank.clock.advance(FLOOR_SECS);
        assert_eq!(floor(&bank, me).await, None, "and no longer");
    }

    async fn a_factor_that_an_old_login_gets_holds_to_the_floor_and_one_of_its_first_day_does_not(bank: TestBank) {
        let (_, cx, me) = customer_of(&bank, NEW_FACTOR_SECS - 60).await;
        bind(&bank, &of(&cx)).await;
        assert_eq!(floor(&bank, me).await, None, "the first day");
        let (_, cx, me) = customer_of(&bank, NEW_FACTOR_SECS).await;
        bank.bank.start_totp(&of(&cx)).await.unwrap();
        assert_eq!(floor(&bank, me).await, None, "it waits for its first code");
        bind(&bank, &of(&cx)).await;
        assert_floor(&bank, me).await;
    }

    async fn a_recovery_holds_to_the_floor_on_the_first_day_too(bank: TestBank) {
        let (alice, cx, me) = customer_of(&bank, 0).await;
        let (_, codes) = bind(&bank, &of(&cx)).await;
        assert_eq!(floor(&bank, me).await, None);
        let answer = bank.try_login(&client(), &alice.email, &alice.password).await.unwrap();
        let LoginAnswer::MfaRequired { mfa_token, .. } = answer else { panic!("{answer:?}") };
        let code = secret(codes[0].expose_secret());
        let answer = bank
            .bank
            .login_by_recovery_code(&bank.anonymous(), &client(), mfa_token.expose_secret(), code)
            .await
            .unwrap();
        let LoginAnswer::RebindRequired { rebind_token } = answer else { panic!("{answer:?}") };
        let recovered = Binder::Recovered(Box::new(bank.anonymous()), rebind_token);
        bind(&bank, &recovered).await;
        assert_floor(&bank, me).await;
    }

    async fn factors_that_the_bank_takes_away_hold_to_the_floor(bank: TestBank) {
        let (maker, checker) = (bank.operator(Role::Admin).await, bank.operator(Role::Admin).await);
        let (_, _, me) = customer_of(&bank, NEW_FACTOR_SECS).await;
        let mut admins = Vec::new();
        for admin in [&maker, &checker] {
            bank.clock.advance(31);
            let set = bank.login_operator(admin).await;
            admins.push(bank.enter(&set.access_token).await.unwrap());
        }
        let approval = bank.bank.ask_for_factor_reset(&admins[0], me, "lost").await.unwrap();
        assert_eq!(floor(&bank, me).await, None, "asked for only");
        bank.bank.approve_request(&admins[1], approval, Default::default()).await.unwrap();
        assert_floor(&bank, me).await;
    }
}
