//! Another address for a login, and leaving.

use futures::future::join_all;
use strongroom_app::{
    Cx, SecretString,
    identity::{
        email_change::{EMAIL_CHANGE_SECS, EMAIL_WAIT_SECS, EmailProved},
        step_up::{ShownFactor, SteppedUp},
    },
};
use strongroom_domain::principal::Role;

use crate::harness::{Person, TestBank, client, on_both_engines, secret, tokens};

/// Somebody who has just proved the password again.
async fn proved(bank: &TestBank, name: &str) -> (Person, Cx) {
    let person = bank.customer(name).await;
    let cx = step_up_again(bank, &person).await;
    (person, cx)
}

async fn token_of(bank: &TestBank, email: &str, text: &str) -> SecretString {
    let mails = bank.mails_to(email).await;
    let mail = mails.iter().rfind(|mail| mail.contains(text)).unwrap();
    secret(
        mail.lines()
            .find_map(|line| line.strip_prefix("Token: "))
            .unwrap(),
    )
}

/// Asks for an address; the tokens of the old one and of the new one.
async fn asked(bank: &TestBank, person: &Person, cx: &Cx, new: &str) -> (SecretString, SecretString) {
    bank.bank.ask_email_change(cx, new).await.unwrap();
    (
        token_of(bank, &person.email, "another e-mail address").await,
        token_of(bank, new, "wants this address").await,
    )
}

async fn prove(bank: &TestBank, token: &SecretString) -> Result<EmailProved, &'static str> {
    let proved = bank.bank.prove_email(&bank.anonymous(), token.clone()).await;
    proved.map_err(|error| error.code)
}

async fn logs_in(bank: &TestBank, email: &str, person: &Person) -> bool {
    bank.try_login(&client(), email, &person.password).await.is_ok()
}

on_both_engines! {
    async fn an_address_changes_when_both_addresses_say_so(bank: TestBank) {
        let (alice, cx) = proved(&bank, "alice").await;
        let elsewhere = bank.login(&alice).await;
        let (old, new) = asked(&bank, &alice, &cx, "Alice@new.example").await;
        assert_eq!(prove(&bank, &old).await, Ok(EmailProved::Waiting { effective_at: None }));
        assert!(logs_in(&bank, &alice.email, &alice).await && !logs_in(&bank, "alice@new.example", &alice).await);
        assert_eq!(prove(&bank, &new).await, Ok(EmailProved::Changed));
        assert!(!logs_in(&bank, &alice.email, &alice).await);
        for token in [&old, &new] {
            assert_eq!(prove(&bank, token).await, Err("invalid_credentials"));
        }
        // Whoever was in has to come in again, by the new address.
        assert_eq!(bank.enter(&elsewhere.access_token).await.unwrap_err().code, "token_invalid");
        let set = tokens(bank.try_login(&client(), "alice@new.example", &alice.password).await.unwrap());
        let me = bank.bank.me(&bank.enter(&set.access_token).await.unwrap()).await.unwrap();
        assert_eq!(me.profile.email.as_deref(), Some("Alice@new.example"));
        for address in [alice.email.as_str(), "Alice@new.example"] {
            let told = bank.mails_to(address).await;
            assert!(told.iter().any(|mail| mail.contains("address of your login was changed")), "{told:?}");
        }
    }

    async fn a_change_that_nobody_agrees_to_waits_for_a_day(bank: TestBank) {
        let (alice, cx) = proved(&bank, "alice").await;
        let (_, new) = asked(&bank, &alice, &cx, "alice@new.example").await;
        let Ok(EmailProved::Waiting { effective_at: Some(at) }) = prove(&bank, &new).await else { panic!("no wait") };
        bank.clock.advance(EMAIL_WAIT_SECS - 60);
        assert_eq!(bank.bank.change_due_emails().await.unwrap(), 0);
        // To prove it again moves nothing.
        assert_eq!(prove(&bank, &new).await, Ok(EmailProved::Waiting { effective_at: Some(at) }));
        bank.clock.advance(61);
        assert_eq!(bank.bank.change_due_emails().await.unwrap(), 1);
        assert!(logs_in(&bank, "alice@new.example", &alice).await && !logs_in(&bank, &alice.email, &alice).await);
        assert_eq!(bank.bank.change_due_emails().await.unwrap(), 0);
    }

    async fn the_old_address_stops_a_change_and_the_new_one_cannot(bank: TestBank) {
        let (alice, cx) = proved(&bank, "alice").await;
        let (old, new) = asked(&bank, &alice, &cx, "alice@new.example").await;
        prove(&bank, &new).await.unwrap();
        let cx = bank.anonymous();
        let stop = |token: &SecretString| bank.bank.stop_email_change(&cx, token.clone());
        assert_eq!(stop(&new).await.unwrap_err().code, "invalid_credentials");
        stop(&old).await.unwrap();
        bank.clock.advance(EMAIL_WAIT_SECS + 1);
        assert_eq!(bank.bank.change_due_emails().await.unwrap(), 0);
        assert_eq!(prove(&bank, &new).await, Err("invalid_credentials"));
        assert!(logs_in(&bank, &alice.email, &alice).await);
    }

    async fn a_change_ends_with_its_time_or_with_the_next_wish(bank: TestBank) {
        let (alice, cx) = proved(&bank, "alice").await;
        let (_, first) = asked(&bank, &alice, &cx, "one@new.example").await;
        let (_, second) = asked(&bank, &alice, &cx, "two@new.example").await;
        assert_eq!(prove(&bank, &first).await, Err("invalid_credentials"));
        bank.clock.advance(EMAIL_CHANGE_SECS);
        assert_eq!(prove(&bank, &second).await, Err("invalid_credentials"));
        let cx = step_up_again(&bank, &alice).await;
        let (_, third) = asked(&bank, &alice, &cx, "three@new.example").await;
        assert!(prove(&bank, &third).await.is_ok());
    }

    async fn an_address_of_somebody_else_hears_the_same_and_its_owner_is_told(bank: TestBank) {
        let bob = bank.customer("bob").await;
        let (alice, cx) = proved(&bank, "alice").await;
        bank.bank.ask_email_change(&cx, &bob.email.to_uppercase()).await.unwrap();
        let told = bank.mails_to(&bob.email).await;
        assert!(told.last().unwrap().contains("has one already") && !told.last().unwrap().contains("Token:"));
        assert!(bank.mails_to(&bob.email.to_uppercase()).await.is_empty());
        let old = token_of(&bank, &alice.email, "another e-mail address").await;
        assert_eq!(prove(&bank, &old).await, Ok(EmailProved::Waiting { effective_at: None }));
        assert!(logs_in(&bank, &bob.email, &bob).await);
    }

    async fn of_many_who_want_one_address_one_gets_it(bank: TestBank) {
        let mut all = Vec::new();
        for number in 0..6 {
            let (person, cx) = proved(&bank, &format!("p{number}")).await;
            bank.bank.ask_email_change(&cx, "wanted@new.example").await.unwrap();
            let old = token_of(&bank, &person.email, "another e-mail address").await;
            all.push((person, cx, old));
        }
        // Three of a kind an hour: those who got none cannot prove it.
        let mails = bank.mails_to("wanted@new.example").await;
        assert_eq!(mails.len(), 3);
        for (_, _, old) in &all {
            prove(&bank, old).await.unwrap();
        }
        let proofs = mails.iter().map(|mail| {
            let token = secret(mail.lines().find_map(|line| line.strip_prefix("Token: ")).unwrap());
            let bank = &bank;
            async move { prove(bank, &token).await }
        });
        let proofs = join_all(proofs).await;
        assert_eq!(proofs.iter().filter(|proof| **proof == Ok(EmailProved::Changed)).count(), 1, "{proofs:?}");
    }

    async fn another_address_and_leaving_need_a_fresh_proof_and_a_customer(bank: TestBank) {
        let (_, _, cx) = bank.logged_in("alice").await;
        let code = |error: strongroom_app::Error| error.code;
        assert_eq!(bank.bank.ask_email_change(&cx, "a@new.example").await.map_err(code), Err("step_up_required"));
        assert_eq!(bank.bank.close_login(&cx).await.map_err(code), Err("step_up_required"));
        let operator = bank.operator(Role::Admin).await;
        let cx = bank.enter(&operator.tokens.access_token).await.unwrap();
        assert_eq!(bank.bank.ask_email_change(&cx, "a@new.example").await.map_err(code), Err("forbidden"));
        assert_eq!(bank.bank.close_login(&cx).await.map_err(code), Err("forbidden"));
        let (_, cx) = proved(&bank, "bob").await;
        assert_eq!(bank.bank.ask_email_change(&cx, "no address").await.map_err(code), Err("validation_failed"));
        bank.bank.ask_email_change(&cx, "a@new.example").await.unwrap();
        bank.bank.drop_email_wish(&cx).await.unwrap();
        assert_eq!(bank.bank.drop_email_wish(&cx).await.map_err(code), Err("not_found"));
    }

    async fn whoever_leaves_leaves_no_money_and_nothing_to_read(bank: TestBank) {
        let (alice, cx) = proved(&bank, "alice").await;
        let me = cx.person().unwrap();
        let account = bank.account(&cx).await;
        let refused = bank.bank.close_login(&cx).await.unwrap_err();
        assert_eq!(refused.code, "accounts_open");
        // A refusal changes nothing.
        let elsewhere = bank.login(&alice).await;
        bank.bank.me(&cx).await.unwrap();
        bank.bank.close_account(&cx, account).await.unwrap();
        bank.bank.close_login(&cx).await.unwrap();
        assert_eq!(bank.enter(&elsewhere.access_token).await.unwrap_err().code, "token_invalid");
        assert!(bank.bank.refresh(&bank.anonymous(), &client(), elsewhere.refresh_token).await.is_err());
        assert!(!logs_in(&bank, &alice.email, &alice).await);
        assert_eq!(bank.bank.store().data_key(me).await.unwrap(), None);
        let row = bank.bank.store().user(me).await.unwrap().unwrap();
        assert!(row.sealed_email.is_none() && row.sealed_name.is_none() && row.email_index.is_none());
        assert!(bank.mails_to(&alice.email).await.iter().any(|mail| mail.contains("your login is closed")));
        // The address is free again, and whoever takes it is somebody else.
        bank.register(&alice.email, &alice.password).await.unwrap();
        let token = token_of(&bank, &alice.email, "confirm that this address").await;
        let next = bank.bank.verify_email(&bank.anonymous(), token, secret(&alice.password)).await.unwrap();
        assert_ne!(next, me);
        let operator = bank.operator(Role::Support).await;
        let support = bank.enter(&operator.tokens.access_token).await.unwrap();
        let support = support.for_reason("the customer asks").unwrap();
        let all = bank.bank.users(&support, None, None, 100).await.unwrap();
        let gone = all.iter().find(|user| user.profile.id == me).unwrap();
        assert_eq!((gone.profile.email.as_deref(), gone.profile.full_name.as_str()), (None, ""));
    }

    async fn nobody_leaves_while_an_account_is_being_opened(bank: TestBank) {
        for round in 0..8 {
            let (_, cx) = proved(&bank, &format!("r{round}")).await;
            let me = cx.person().unwrap();
            let opening = async {
                let input = strongroom_app::money::accounts::OpenAccount {
                    customer: None,
                    kind: strongroom_domain::account::CustomerKind::Checking,
                    currency: strongroom_domain::money::Currency::EUR,
                    name: "Late".to_owned(),
                    overdraft: 0,
                    idempotency_key: None,
                };
                bank.bank.open_account(&cx, input).await.is_ok()
            };
            let leaving = async { bank.bank.close_login(&cx).await.is_ok() };
            let (opened, left) = futures::join!(opening, leaving);
            let closed = bank.bank.store().data_key(me).await.unwrap().is_none();
            assert_eq!(closed, left);
            assert!(!(opened && left), "an account of nobody");
        }
    }
}

async fn step_up_again(bank: &TestBank, person: &Person) -> Cx {
    let set = bank.login(person).await;
    let cx = bank.enter(&set.access_token).await.unwrap();
    let shown = ShownFactor::Password(secret(&person.password));
    match bank.bank.step_up(&cx, &client(), shown, None).await.unwrap() {
        SteppedUp::Settings(set) => bank.enter(&set.access_token).await.unwrap(),
        other => panic!("{other:?}"),
    }
}
