//! Customers' second factors: bound, asked for, lost, replaced, and what they approve.

use futures::{
    StreamExt,
    future::{join, join_all},
    stream::FuturesUnordered,
};
use strongroom_app::{
    Cx, Error, ExposeSecret, SecretString,
    identity::{
        factors::Binder,
        login::LoginAnswer,
        step_up::{ShownFactor, SteppedUp},
        token_set::TokenSet,
    },
    money::transfers::{CreateTransfer, Payee},
};
use strongroom_crypto::SecretBytes;
use strongroom_domain::{
    id::AccountId,
    money::{Amount, Currency},
    principal::{Assurance, Role},
};

use crate::harness::{Person, TestBank, client, key, on_both_engines, secret, secret_of, tokens};

const DAY_SECS: i64 = 24 * 60 * 60;
const STEP_SECS: i64 = 30;
/// Rounds of a race; in each, what is asked at once meets otherwise.
const ROUNDS: usize = 12;
/// Above the bound of 10,000 euros.
const LARGE: i64 = 1_000_001;

/// Who shows the tokens of a login, at this moment.
async fn now(bank: &TestBank, set: &TokenSet) -> Cx {
    bank.enter(&set.access_token).await.unwrap()
}

fn of(cx: &Cx) -> Binder {
    Binder::Session(Box::new(cx.clone()))
}

/// Binds an authenticator; its secret and the recovery codes. The code of this moment is spent.
async fn bind(bank: &TestBank, binder: &Binder) -> (SecretBytes, Vec<SecretString>) {
    let new = bank.bank.start_totp(binder).await.unwrap();
    let totp = secret_of(&new.otpauth_uri);
    let codes = bank.bank.confirm_totp(binder, bank.code(&totp)).await.unwrap();
    (totp, codes)
}

/// The ticket of a login that wants a second factor, and what would do.
async fn half_login(bank: &TestBank, person: &Person) -> (SecretString, Vec<&'static str>) {
    let answer = bank
        .try_login(&client(), &person.email, &person.password)
        .await
        .unwrap();
    let LoginAnswer::MfaRequired { mfa_token, methods } = answer else {
        panic!("{answer:?}")
    };
    (mfa_token, methods)
}

async fn log_in(bank: &TestBank, person: &Person, totp: &SecretBytes) -> TokenSet {
    let (ticket, _) = half_login(bank, person).await;
    tokens(bank.answer_code(&ticket, &bank.code(totp)).await.unwrap())
}

async fn recover(bank: &TestBank, ticket: &SecretString, code: &str) -> Result<SecretString, Error> {
    let answer = bank
        .bank
        .login_by_recovery_code(&bank.anonymous(), &client(), ticket.expose_secret(), secret(code))
        .await?;
    let LoginAnswer::RebindRequired { rebind_token } = answer else {
        panic!("{answer:?}")
    };
    Ok(rebind_token)
}

async fn prove(
    bank: &TestBank,
    cx: &Cx,
    code: SecretString,
    challenge: Option<&str>,
) -> Result<SteppedUp, Error> {
    bank.bank
        .step_up(cx, &client(), ShownFactor::Totp(code), challenge)
        .await
}

/// The same person in the session that a step-up for settings gave.
async fn stepped_up(bank: &TestBank, cx: &Cx, code: SecretString) -> TokenSet {
    match prove(bank, cx, code, None).await.unwrap() {
        SteppedUp::Settings(set) => *set,
        SteppedUp::Approved => panic!("nothing was to be approved"),
    }
}

fn transfer(from: AccountId, to: AccountId, minor: i64) -> CreateTransfer {
    CreateTransfer {
        from,
        to: Payee::Account(to),
        amount: Amount::new(minor).unwrap(),
        currency: Currency::EUR,
        description: Some("house".to_owned()),
        idempotency_key: Some(key()),
        dry_run: false,
        value_date: None,
    }
}

/// The challenge that a transfer is answered with.
async fn challenge(bank: &TestBank, cx: &Cx, input: CreateTransfer) -> String {
    let refused = bank.bank.create_transfer(cx, input).await.unwrap_err();
    assert_eq!(refused.code, "step_up_required");
    refused.challenge.clone().unwrap().into()
}

/// Two accounts of somebody's, with much in the first.
async fn accounts(bank: &TestBank, cx: &Cx) -> (AccountId, AccountId) {
    let teller = bank.operator(Role::Teller).await;
    let teller = bank.enter(&teller.tokens.access_token).await.unwrap();
    let (from, to) = (bank.account(cx).await, bank.account(cx).await);
    bank.deposit(&teller, from, 100 * LARGE).await;
    (from, to)
}

on_both_engines! {
    async fn an_authenticator_counts_from_its_first_code_on(bank: TestBank) {
        let (person, other, cx) = bank.logged_in("alice").await;
        let elsewhere = bank.login(&person).await;
        let new = bank.bank.start_totp(&of(&cx)).await.unwrap();
        let totp = secret_of(&new.otpauth_uri);
        assert!(new.otpauth_uri.expose_secret().contains(new.secret.expose_secret()));
        assert!(new.qr_svg.expose_secret().contains("<svg"));
        bank.login(&person).await;
        let wrong = bank.bank.confirm_totp(&of(&cx), secret("000000")).await;
        assert_eq!(wrong.unwrap_err().code, "invalid_credentials");
        let codes = bank.bank.confirm_totp(&of(&cx), bank.code(&totp)).await.unwrap();
        assert_eq!(codes.len(), 10);
        bank.enter(&other.access_token).await.unwrap();
        assert!(bank.enter(&elsewhere.access_token).await.is_err(), "other sessions end");
        assert!(bank.mails_to(&person.email).await.last().unwrap().contains("second factor"));
        // The code that bound it is spent; the next one logs in, and only with both.
        let (ticket, methods) = half_login(&bank, &person).await;
        assert_eq!(methods, ["totp", "recovery_code"]);
        assert!(bank.answer_code(&ticket, &bank.code(&totp)).await.is_err());
        bank.clock.advance(STEP_SECS);
        let set = tokens(bank.answer_code(&ticket, &bank.code(&totp)).await.unwrap());
        assert_eq!(bank.enter(&set.access_token).await.unwrap().assurance, Assurance::Aal2);
    }

    async fn binding_needs_a_fresh_login_and_taking_away_a_factor(bank: TestBank) {
        let (person, _, cx) = bank.logged_in("alice").await;
        bank.clock.advance(5 * 60 + 1);
        let late = bank.enter(&bank.login(&person).await.access_token).await.unwrap();
        let stale = Cx::new(cx.caller, cx.rights.clone(), cx.assurance, cx.request, late.now(), 0);
        assert_eq!(bank.bank.start_totp(&of(&stale)).await.unwrap_err().code, "step_up_required");
        let (totp, _) = bind(&bank, &of(&late)).await;
        // The login is fresh, and still no proof for taking a factor away.
        assert_eq!(bank.bank.remove_totp(&late).await.unwrap_err().code, "step_up_required");
        assert_eq!(bank.bank.renew_recovery_codes(&late).await.unwrap_err().code, "step_up_required");
        bank.clock.advance(STEP_SECS);
        let proved = stepped_up(&bank, &late, bank.code(&totp)).await;
        let proved = now(&bank, &proved).await;
        let codes = bank.bank.renew_recovery_codes(&proved).await.unwrap();
        assert_eq!(codes.len(), 10);
        bank.bank.remove_totp(&proved).await.unwrap();
        assert_eq!(bank.bank.remove_totp(&proved).await.unwrap_err().code, "not_found");
        assert_eq!(bank.bank.renew_recovery_codes(&proved).await.unwrap_err().code, "no_second_factor");
        bank.login(&person).await;
    }

    async fn an_operator_never_goes_without_a_factor(bank: TestBank) {
        let operator = bank.operator(Role::Support).await;
        bank.clock.advance(STEP_SECS);
        let proved = stepped_up(&bank, &now(&bank, &operator.tokens).await, bank.code(&operator.totp)).await;
        let proved = now(&bank, &proved).await;
        assert_eq!(bank.bank.remove_totp(&proved).await.unwrap_err().code, "forbidden");
        bank.bank.renew_recovery_codes(&proved).await.unwrap();
    }

    async fn a_waiting_authenticator_does_not_replace_the_one_in_use(bank: TestBank) {
        let (person, set, cx) = bank.logged_in("alice").await;
        let (first, _) = bind(&bank, &of(&cx)).await;
        let second = secret_of(&bank.bank.start_totp(&of(&cx)).await.unwrap().otpauth_uri);
        bank.clock.advance(STEP_SECS);
        let (ticket, _) = half_login(&bank, &person).await;
        assert!(bank.answer_code(&ticket, &bank.code(&second)).await.is_err(), "it waits");
        tokens(bank.answer_code(&ticket, &bank.code(&first)).await.unwrap());
        let cx = now(&bank, &set).await;
        bank.bank.confirm_totp(&of(&cx), bank.code(&second)).await.unwrap();
        bank.clock.advance(STEP_SECS);
        let (ticket, _) = half_login(&bank, &person).await;
        assert!(bank.answer_code(&ticket, &bank.code(&first)).await.is_err(), "it is replaced");
        tokens(bank.answer_code(&ticket, &bank.code(&second)).await.unwrap());
    }

    async fn no_login_without_a_factor_begins_beside_its_binding(bank: TestBank) {
        let (mut without, mut asked) = (0, 0);
        for round in 0..ROUNDS {
            let (person, set, cx) = bank.logged_in("alice").await;
            let new = bank.bank.start_totp(&of(&cx)).await.unwrap();
            let code = bank.code(&secret_of(&new.otpauth_uri));
            let device = client();
            let mut logins: FuturesUnordered<_> =
                (0..4).map(|_| bank.try_login(&device, &person.email, &person.password)).collect();
            let mut answers: Vec<_> = logins.by_ref().take(1 + round % 3).collect().await;
            let binder = of(&cx);
            let confirm = bank.bank.confirm_totp(&binder, code);
            let (bound, rest) = join(confirm, logins.collect::<Vec<_>>()).await;
            bound.unwrap();
            answers.extend(rest);
            for answer in answers {
                match answer {
                    Ok(LoginAnswer::Session(set)) => {
                        without += 1;
                        assert_eq!(bank.enter(&set.access_token).await.unwrap_err().code, "token_invalid");
                    }
                    Ok(LoginAnswer::MfaRequired { .. }) => asked += 1,
                    Ok(other) => panic!("{other:?}"),
                    // The factor was bound between the question and the session.
                    Err(error) => assert_eq!(error.code, "invalid_credentials"),
                }
            }
            now(&bank, &set).await;
        }
        assert!(without > 0 && asked > 0, "{without} {asked}");
    }

    async fn one_code_proves_once_however_many_show_it_at_once(bank: TestBank) {
        let (_, set, cx) = bank.logged_in("alice").await;
        let (totp, _) = bind(&bank, &of(&cx)).await;
        bank.clock.advance(STEP_SECS);
        let cx = now(&bank, &set).await;
        let code = bank.code(&totp);
        let at_once = async |cx: &Cx, code: &SecretString, many: usize| {
            let spaced = format!(" {} {} ", &code.expose_secret()[..3], &code.expose_secret()[3..]);
            let tries = (0..many).map(|number| {
                let typed = if number % 2 == 0 { code.expose_secret() } else { &spaced };
                prove(&bank, cx, secret(typed), None)
            });
            join_all(tries).await.into_iter().filter(Result::is_ok).count()
        };
        // Fewer than end a session.
        assert_eq!(at_once(&cx, &code, 4).await, 1);
        bank.clock.advance(STEP_SECS);
        // None where five of the others were counted first: that ends the session, and what it was about to prove.
        let proved = at_once(&cx, &bank.code(&totp), 50).await;
        assert!(proved <= 1, "{proved}");
    }

    async fn one_code_proves_in_one_session_however_many_show_it_at_once(bank: TestBank) {
        for _ in 0..ROUNDS {
            let (person, _, cx) = bank.logged_in("alice").await;
            let (totp, _) = bind(&bank, &of(&cx)).await;
            let mut sessions = Vec::new();
            for _ in 0..4 {
                bank.clock.advance(STEP_SECS);
                sessions.push(log_in(&bank, &person, &totp).await);
            }
            bank.clock.advance(STEP_SECS);
            let mut callers = Vec::new();
            for set in &sessions {
                callers.push(now(&bank, set).await);
            }
            // A proof ends its session and no other: among sessions only the step, which is spent, keeps the rest out.
            let tries = callers.iter().map(|cx| prove(&bank, cx, bank.code(&totp), None));
            let proved = join_all(tries).await.into_iter().filter(Result::is_ok).count();
            assert_eq!(proved, 1);
        }
    }

    async fn one_code_approves_one_request_however_many_it_is_shown_for_at_once(bank: TestBank) {
        for _ in 0..ROUNDS / 2 {
            let (_, set, cx) = bank.logged_in("alice").await;
            let (from, to) = accounts(&bank, &cx).await;
            let (totp, _) = bind(&bank, &of(&cx)).await;
            let mut asked = Vec::new();
            for more in 0..4 {
                asked.push(challenge(&bank, &cx, transfer(from, to, LARGE + more)).await);
            }
            bank.clock.advance(STEP_SECS);
            let cx = now(&bank, &set).await;
            let tries = asked.iter().map(|asked| prove(&bank, &cx, bank.code(&totp), Some(asked)));
            let approved = join_all(tries).await.into_iter().filter(Result::is_ok).count();
            assert_eq!(approved, 1);
        }
    }

    async fn a_recovery_code_binds_a_new_factor_and_opens_nothing_else(bank: TestBank) {
        let (person, set, cx) = bank.logged_in("alice").await;
        let (_, codes) = bind(&bank, &of(&cx)).await;
        let (ticket, _) = half_login(&bank, &person).await;
        assert_eq!(recover(&bank, &ticket, "7q0v-9f3k-2m8d-x1tc-4hnb-w6ze").await.unwrap_err().code, "invalid_credentials");
        let typed = codes[3].expose_secret().to_uppercase().replace('-', " ");
        let rebind = recover(&bank, &ticket, &typed).await.unwrap();
        assert!(bank.mails_to(&person.email).await.last().unwrap().contains("recovery codes was used"));
        assert!(bank.enter(&rebind).await.is_err(), "it is no access token");
        assert!(bank.answer_code(&rebind, &secret("000000")).await.is_err(), "nor a ticket of a login");
        let binder = Binder::Recovered(Box::new(bank.anonymous()), rebind);
        let (totp, fresh) = bind(&bank, &binder).await;
        assert!(bank.enter(&set.access_token).await.is_err(), "all sessions end");
        assert!(bank.bank.start_totp(&binder).await.is_err(), "the ticket is spent");
        bank.clock.advance(STEP_SECS);
        log_in(&bank, &person, &totp).await;
        // The set before is worth nothing, the new one is.
        let (ticket, _) = half_login(&bank, &person).await;
        assert!(recover(&bank, &ticket, codes[4].expose_secret()).await.is_err());
        recover(&bank, &ticket, fresh[0].expose_secret()).await.unwrap();
    }

    async fn a_recovery_code_is_good_once_however_many_use_it_at_once(bank: TestBank) {
        let (person, _, cx) = bank.logged_in("alice").await;
        let (_, codes) = bind(&bank, &of(&cx)).await;
        // As many as the tries that there are: two to get so far, two with the code.
        let tickets = [half_login(&bank, &person).await.0, half_login(&bank, &person).await.0];
        let tries = tickets.iter().map(|ticket| recover(&bank, ticket, codes[0].expose_secret()));
        let right = join_all(tries).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(right, 1);
        assert!(recover(&bank, &tickets[0], codes[0].expose_secret()).await.is_err());
    }

    async fn a_large_transfer_is_approved_for_itself_alone_and_once(bank: TestBank) {
        let (_, set, cx) = bank.logged_in("alice").await;
        let (from, to) = accounts(&bank, &cx).await;
        // Without a factor nobody is asked, as the bank has it here.
        bank.bank.create_transfer(&cx, transfer(from, to, LARGE)).await.unwrap();
        let (totp, _) = bind(&bank, &of(&cx)).await;
        bank.bank.create_transfer(&cx, transfer(from, to, LARGE - 1)).await.unwrap();
        let asked = challenge(&bank, &cx, transfer(from, to, LARGE)).await;
        let dry = CreateTransfer { dry_run: true, idempotency_key: None, ..transfer(from, to, LARGE) };
        bank.bank.create_transfer(&cx, dry).await.unwrap();
        bank.clock.advance(STEP_SECS);
        let cx = now(&bank, &set).await;
        let approved = prove(&bank, &cx, bank.code(&totp), Some(&asked)).await.unwrap();
        assert!(matches!(approved, SteppedUp::Approved));
        // Every part of it is part of what was approved.
        for other in [
            transfer(from, to, LARGE + 1),
            transfer(to, from, LARGE),
            CreateTransfer { description: None, ..transfer(from, to, LARGE) },
            CreateTransfer { description: Some("boat".to_owned()), ..transfer(from, to, LARGE) },
        ] {
            challenge(&bank, &cx, other).await;
        }
        let input = transfer(from, to, LARGE);
        let done = bank.bank.create_transfer(&cx, input.clone()).await.unwrap();
        let again = bank.bank.create_transfer(&cx, input).await.unwrap();
        assert!(again.replayed && again.value == done.value, "its key repeats it");
        challenge(&bank, &cx, transfer(from, to, LARGE)).await;
        // A challenge is used once, and raises nothing else.
        bank.clock.advance(STEP_SECS);
        let cx = now(&bank, &set).await;
        let used = prove(&bank, &cx, bank.code(&totp), Some(&asked)).await.unwrap_err();
        assert_eq!(used.code, "validation_failed");
        assert_eq!(bank.bank.remove_totp(&cx).await.unwrap_err().code, "step_up_required");
    }

    async fn one_approval_and_many_requests_at_once_post_one(bank: TestBank) {
        let (_, set, cx) = bank.logged_in("alice").await;
        let (from, to) = accounts(&bank, &cx).await;
        let (totp, _) = bind(&bank, &of(&cx)).await;
        for _ in 0..4 {
            let cx = now(&bank, &set).await;
            let asked = challenge(&bank, &cx, transfer(from, to, LARGE)).await;
            bank.clock.advance(STEP_SECS);
            let cx = now(&bank, &set).await;
            prove(&bank, &cx, bank.code(&totp), Some(&asked)).await.unwrap();
            let tries = (0..32).map(|_| bank.bank.create_transfer(&cx, transfer(from, to, LARGE)));
            let (done, refused): (Vec<_>, Vec<_>) = join_all(tries).await.into_iter().partition(Result::is_ok);
            assert_eq!(done.len(), 1);
            assert!(refused.into_iter().all(|refused| refused.unwrap_err().code == "step_up_required"));
        }
    }

    async fn a_proof_for_settings_approves_no_money_and_no_challenge_is_anothers(bank: TestBank) {
        let (person, set, cx) = bank.logged_in("alice").await;
        let (from, to) = accounts(&bank, &cx).await;
        let (totp, _) = bind(&bank, &of(&cx)).await;
        bank.clock.advance(STEP_SECS);
        let fresh = stepped_up(&bank, &now(&bank, &set).await, bank.code(&totp)).await;
        let proved = now(&bank, &fresh).await;
        let asked = challenge(&bank, &proved, transfer(from, to, LARGE)).await;
        bank.clock.advance(STEP_SECS);
        let set = log_in(&bank, &person, &totp).await;
        bank.clock.advance(STEP_SECS);
        let (elsewhere, proved) = (now(&bank, &set).await, now(&bank, &fresh).await);
        let foreign = prove(&bank, &elsewhere, bank.code(&totp), Some(&asked)).await.unwrap_err();
        assert_eq!(foreign.code, "validation_failed");
        let password = ShownFactor::Password(secret(&person.password));
        let by_password = bank.bank.step_up(&proved, &client(), password, Some(&asked)).await;
        assert_eq!(by_password.unwrap_err().code, "validation_failed");
        // In its own session and in time it counts; what is approved in one session is not in another.
        prove(&bank, &proved, bank.code(&totp), Some(&asked)).await.unwrap();
        challenge(&bank, &elsewhere, transfer(from, to, LARGE)).await;
        bank.bank.create_transfer(&proved, transfer(from, to, LARGE)).await.unwrap();
    }

    async fn challenges_and_approvals_end_after_five_minutes(bank: TestBank) {
        let (_, set, cx) = bank.logged_in("alice").await;
        let (from, to) = accounts(&bank, &cx).await;
        let (totp, _) = bind(&bank, &of(&cx)).await;
        let asked = challenge(&bank, &cx, transfer(from, to, LARGE)).await;
        bank.clock.advance(5 * 60 - 2);
        let cx = bank.enter(&set.access_token).await.unwrap();
        prove(&bank, &cx, bank.code(&totp), Some(&asked)).await.unwrap();
        bank.clock.advance(3);
        let cx = bank.enter(&set.access_token).await.unwrap();
        let asked = challenge(&bank, &cx, transfer(from, to, LARGE)).await;
        bank.clock.advance(5 * 60);
        let cx = bank.enter(&set.access_token).await.unwrap();
        let late = prove(&bank, &cx, bank.code(&totp), Some(&asked)).await.unwrap_err();
        assert_eq!(late.code, "validation_failed");
    }

    async fn a_refused_transfer_spends_no_approval(bank: TestBank) {
        let (_, set, cx) = bank.logged_in("alice").await;
        let (from, to) = accounts(&bank, &cx).await;
        let (totp, _) = bind(&bank, &of(&cx)).await;
        let asked = challenge(&bank, &cx, transfer(to, from, LARGE)).await;
        bank.clock.advance(STEP_SECS);
        let cx = now(&bank, &set).await;
        prove(&bank, &cx, bank.code(&totp), Some(&asked)).await.unwrap();
        let refused = bank.bank.create_transfer(&cx, transfer(to, from, LARGE)).await.unwrap_err();
        assert_eq!(refused.code, "insufficient_funds");
        // Small ones fill the account; then the approval that was not spent still stands.
        for minor in [LARGE - 1, 1] {
            bank.bank.create_transfer(&cx, transfer(from, to, minor)).await.unwrap();
        }
        bank.bank.create_transfer(&cx, transfer(to, from, LARGE)).await.unwrap();
    }

    async fn a_new_factor_of_an_old_login_approves_no_money_for_a_day(bank: TestBank) {
        let person = bank.customer("alice").await;
        bank.clock.advance(DAY_SECS + 1);
        let set = bank.login(&person).await;
        let cx = now(&bank, &set).await;
        let (from, to) = accounts(&bank, &cx).await;
        let (totp, _) = bind(&bank, &of(&cx)).await;
        let asked = challenge(&bank, &cx, transfer(from, to, LARGE)).await;
        bank.clock.advance(STEP_SECS);
        let cx = now(&bank, &set).await;
        let early = prove(&bank, &cx, bank.code(&totp), Some(&asked)).await.unwrap_err();
        assert_eq!(early.code, "factor_too_new");
        // The code was not spent on that: for settings it counts.
        stepped_up(&bank, &cx, bank.code(&totp)).await;
        bank.clock.advance(DAY_SECS);
        let set = log_in(&bank, &person, &totp).await;
        let asked = challenge(&bank, &now(&bank, &set).await, transfer(from, to, LARGE)).await;
        bank.clock.advance(STEP_SECS);
        let cx = now(&bank, &set).await;
        prove(&bank, &cx, bank.code(&totp), Some(&asked)).await.unwrap();
        bank.bank.create_transfer(&cx, transfer(from, to, LARGE)).await.unwrap();
    }
}
