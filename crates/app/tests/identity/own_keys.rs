//! Keys that customers make for their own programs, and how far they reach.

use strongroom_app::{
    Arrival, Credential, Cx, Error, ExposeSecret, SecretString,
    api_keys::{AddApiKey, ApiKeyAdded, Caveats, KeyOwner, RotateApiKey, networks::Networks},
    identity::{
        factors::Binder,
        login::LoginAnswer,
        step_up::{ShownFactor, SteppedUp},
    },
    money::transfers::{CreateTransfer, Payee},
};
use strongroom_crypto::SecretBytes;
use strongroom_domain::{
    id::AccountId,
    ledger::Budget,
    money::{Amount, Currency},
    principal::{Origin, Role},
};
use tokio::task::JoinSet;

use crate::harness::{Person, TestBank, arrival, client, key, on_both_engines, secret, secret_of, tokens};

/// How long a code lasts, in seconds.
const STEP_SECS: i64 = 30;

fn eur(minor: i64) -> (Amount, Currency) {
    (Amount::new(minor).unwrap(), Currency::EUR)
}

/// The same person in a session with a factor proved just now.
async fn proved(bank: &TestBank, cx: &Cx, person: &Person) -> Cx {
    let password = ShownFactor::Password(secret(&person.password));
    match bank.bank.step_up(cx, &client(), password, None).await.unwrap() {
        SteppedUp::Settings(set) => bank.enter(&set.access_token).await.unwrap(),
        SteppedUp::Approved => panic!("nothing was to be approved"),
    }
}

async fn proved_by(bank: &TestBank, cx: &Cx, code: SecretString) -> Cx {
    match bank
        .bank
        .step_up(cx, &client(), ShownFactor::Totp(code), None)
        .await
        .unwrap()
    {
        SteppedUp::Settings(set) => bank.enter(&set.access_token).await.unwrap(),
        SteppedUp::Approved => panic!("nothing was to be approved"),
    }
}

/// Binds an authenticator; its secret. The code of this moment is spent.
async fn bind(bank: &TestBank, binder: &Binder) -> SecretBytes {
    let new = bank.bank.start_totp(binder).await.unwrap();
    let totp = secret_of(&new.otpauth_uri);
    bank.bank.confirm_totp(binder, bank.code(&totp)).await.unwrap();
    totp
}

fn wish(cx: &Cx, caveats: Caveats) -> AddApiKey {
    AddApiKey {
        caveats,
        ..AddApiKey::new(
            KeyOwner::User(cx.person().unwrap()),
            "Bookkeeping",
            &["accounts:read", "transfers:write"],
        )
    }
}

/// Who shows the key, from within.
async fn shows(bank: &TestBank, added: &ApiKeyAdded, address: Option<&str>) -> Result<Cx, Error> {
    let arrival = Arrival {
        origin: Origin::Job,
        ..arrival(address.map(|text| text.parse().unwrap()))
    };
    let credential = Credential::ApiKey(added.key.expose_secret());
    bank.bank.authenticate(credential, arrival).await
}

fn pay(from: AccountId, to: AccountId, minor: i64, idempotency_key: &str) -> CreateTransfer {
    CreateTransfer {
        from,
        to: Payee::Account(to),
        amount: Amount::new(minor).unwrap(),
        currency: Currency::EUR,
        description: None,
        idempotency_key: Some(idempotency_key.to_owned()),
        dry_run: false,
        value_date: None,
    }
}

/// A customer with money, another account, and a session that may change settings.
async fn customer(bank: &TestBank) -> (Person, Cx, AccountId, AccountId) {
    let (person, _, cx) = bank.logged_in("alice").await;
    let teller = bank.operator(Role::Teller).await;
    let teller = bank.enter(&teller.tokens.access_token).await.unwrap();
    let (from, to) = (bank.account(&cx).await, bank.account(&cx).await);
    bank.deposit(&teller, from, 5_000_000).await;
    let cx = proved(bank, &cx, &person).await;
    (person, cx, from, to)
}

fn budget(minor: i64) -> Caveats {
    let (amount, currency) = eur(minor);
    Caveats {
        budget: Some(Budget {
            amount,
            currency,
            window_secs: 3_600,
        }),
        ..Caveats::default()
    }
}

on_both_engines! {
    async fn many_transfers_of_a_key_at_once_never_move_more_than_its_budget(bank: TestBank) {
        let (_, cx, from, to) = customer(&bank).await;
        let added = bank.bank.add_own_api_key(&cx, wish(&cx, budget(1_000))).await.unwrap();
        let replaced = RotateApiKey { overlap_secs: 3_600, public_key: None, certificate: None };
        let next = bank.bank.rotate_api_key(&cx, added.id, replaced).await.unwrap();
        // Two keys of one integration, on PostgreSQL on two nodes.
        let other = if bank.is_postgres() { Some(bank.another_process().await) } else { None };
        let mut tasks = JoinSet::new();
        for n in 0..40 {
            let on = other.as_ref().filter(|_| n % 2 == 0).unwrap_or(&bank);
            let cx = shows(on, if n % 2 == 0 { &added } else { &next }, None).await.unwrap();
            let node = on.bank.clone();
            tasks.spawn(async move { node.create_transfer(&cx, pay(from, to, 70, &key())).await });
        }
        let answers = tasks.join_all().await;
        let done = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(done, 14, "fourteen times 70 fit into 1000");
        let refused = answers.into_iter().filter_map(Result::err).all(|error| error.code == "limit_exceeded");
        assert!(refused);
        let cx_key = shows(&bank, &next, None).await.unwrap();
        assert_eq!(bank.bank.account(&cx_key, to).await.unwrap().posted, 980);
        // On PostgreSQL the books go by the database's clock, which no test moves.
        if !bank.is_postgres() {
            bank.clock.advance(3_600);
            let cx_key = shows(&bank, &next, None).await.unwrap();
            bank.bank.create_transfer(&cx_key, pay(from, to, 1_000, &key())).await.unwrap();
        }
    }

    async fn a_key_pays_within_its_caveats_and_not_beside_them(bank: TestBank) {
        let (_, cx, from, to) = customer(&bank).await;
        let third = bank.account(&cx).await;
        let caveats = Caveats { max_amount: Some(eur(500)), payees: Some(vec![to]), budget: None };
        let added = bank.bank.add_own_api_key(&cx, wish(&cx, caveats)).await.unwrap();
        let by_key = shows(&bank, &added, None).await.unwrap();
        bank.bank.create_transfer(&by_key, pay(from, to, 500, &key())).await.unwrap();
        let refused = async |to, minor| {
            let asked = bank.bank.create_transfer(&by_key, pay(from, to, minor, &key())).await;
            asked.unwrap_err().code
        };
        assert_eq!(refused(to, 501).await, "limit_exceeded");
        assert_eq!(refused(third, 1).await, "payee_not_allowed");
    }

    async fn without_a_factor_a_key_moves_no_more_at_once_than_its_owner(bank: TestBank) {
        let (_, cx, from, to) = customer(&bank).await;
        let added = bank.bank.add_own_api_key(&cx, wish(&cx, Caveats::default())).await.unwrap();
        let by_key = shows(&bank, &added, None).await.unwrap();
        bank.bank.create_transfer(&by_key, pay(from, to, 1_000_000, &key())).await.unwrap();
        let above = bank.bank.create_transfer(&by_key, pay(from, to, 1_000_001, &key())).await;
        assert_eq!(above.unwrap_err().code, "limit_exceeded");
        let wide = Caveats { max_amount: Some(eur(1_000_001)), ..Caveats::default() };
        let refused = bank.bank.add_own_api_key(&cx, wish(&cx, wide)).await.unwrap_err();
        assert_eq!(refused.code, "no_second_factor");
    }

    async fn a_new_factor_of_an_old_login_replaces_no_key_for_large_amounts(bank: TestBank) {
        let (person, cx, ..) = customer(&bank).await;
        let small = bank.bank.add_own_api_key(&cx, wish(&cx, Caveats::default())).await.unwrap();
        let totp = bind(&bank, &Binder::Session(Box::new(cx.clone()))).await;
        bank.clock.advance(STEP_SECS);
        let cx = proved_by(&bank, &cx, bank.code(&totp)).await;
        let caveats = Caveats { max_amount: Some(eur(2_000_000)), ..Caveats::default() };
        let large = bank.bank.add_own_api_key(&cx, wish(&cx, caveats)).await.unwrap();
        let replace = RotateApiKey { overlap_secs: 0, public_key: None, certificate: None };
        // Whoever takes the login over a week later binds a factor of their own, and has with it a fresh proof.
        bank.clock.advance(7 * 24 * 60 * 60);
        let answer = bank.try_login(&client(), &person.email, &person.password).await.unwrap();
        let LoginAnswer::MfaRequired { mfa_token, .. } = answer else { panic!("{answer:?}") };
        let set = tokens(bank.answer_code(&mfa_token, &bank.code(&totp)).await.unwrap());
        let cx = bank.enter(&set.access_token).await.unwrap();
        let theirs = bind(&bank, &Binder::Session(Box::new(cx.clone()))).await;
        bank.clock.advance(STEP_SECS);
        let cx = proved_by(&bank, &cx, bank.code(&theirs)).await;
        let refused = bank.bank.rotate_api_key(&cx, large.id, replace).await;
        assert_eq!(refused.unwrap_err().code, "factor_too_new");
        assert!(shows(&bank, &large, None).await.is_ok(), "nothing happened to it");
        // One that moves no more than its owner does without a factor is replaced as ever.
        bank.bank.rotate_api_key(&cx, small.id, replace).await.unwrap();
    }

    async fn a_key_that_ended_at_one_node_opens_nothing_at_the_other(bank: TestBank) {
        // On SQLite there is one node, where the same holds.
        let node = if bank.is_postgres() { Some(bank.another_process().await) } else { None };
        let other = node.as_ref().unwrap_or(&bank);
        let (_, cx, ..) = customer(&bank).await;
        let one = bank.bank.add_own_api_key(&cx, wish(&cx, Caveats::default())).await.unwrap();
        let two = bank.bank.add_own_api_key(&cx, wish(&cx, Caveats::default())).await.unwrap();
        for key in [&one, &two] {
            shows(other, key, None).await.unwrap();
        }
        // Remembered there by now; the very next use is refused, whether it was taken away or replaced at once.
        bank.bank.revoke_own_api_key(&cx, one.id).await.unwrap();
        assert_eq!(shows(other, &one, None).await.unwrap_err().code, "token_invalid");
        let replace = RotateApiKey { overlap_secs: 0, public_key: None, certificate: None };
        let next = bank.bank.rotate_api_key(&cx, two.id, replace).await.unwrap();
        assert_eq!(shows(other, &two, None).await.unwrap_err().code, "token_invalid");
        shows(other, &next, None).await.unwrap();
    }

    async fn a_replaced_key_pays_once_under_one_idempotency_key(bank: TestBank) {
        let (_, cx, from, to) = customer(&bank).await;
        let old = bank.bank.add_own_api_key(&cx, wish(&cx, Caveats::default())).await.unwrap();
        let (once, by_old) = (key(), shows(&bank, &old, None).await.unwrap());
        assert!(!bank.bank.create_transfer(&by_old, pay(from, to, 10, &once)).await.unwrap().replayed);
        let input = RotateApiKey { overlap_secs: 60, public_key: None, certificate: None };
        let new = bank.bank.rotate_api_key(&cx, old.id, input).await.unwrap();
        let by_new = shows(&bank, &new, None).await.unwrap();
        assert!(bank.bank.create_transfer(&by_new, pay(from, to, 10, &once)).await.unwrap().replayed);
        // Its owner's own keys are others.
        assert!(!bank.bank.create_transfer(&cx, pay(from, to, 10, &once)).await.unwrap().replayed);
        shows(&bank, &old, None).await.unwrap();
        bank.clock.advance(60);
        assert_eq!(shows(&bank, &old, None).await.unwrap_err().code, "token_invalid");
        shows(&bank, &new, None).await.unwrap();
    }

    async fn of_many_that_replace_one_key_at_once_one_does(bank: TestBank) {
        let (_, cx, ..) = customer(&bank).await;
        let old = bank.bank.add_own_api_key(&cx, wish(&cx, Caveats::default())).await.unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let (node, cx) = (bank.bank.clone(), cx.clone());
            let input = RotateApiKey { overlap_secs: 60, public_key: None, certificate: None };
            tasks.spawn(async move { node.rotate_api_key(&cx, old.id, input).await.map(drop) });
        }
        let answers = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(answers.into_iter().filter_map(Result::err).all(|error| error.code == "api_key_replaced"));
    }

    async fn a_key_is_used_from_its_networks_alone(bank: TestBank) {
        let (_, cx, ..) = customer(&bank).await;
        let office = Networks::new(vec![Networks::parse_one("203.0.113.0/24").unwrap()]);
        let input = AddApiKey { networks: office, ..wish(&cx, Caveats::default()) };
        let added = bank.bank.add_own_api_key(&cx, input).await.unwrap();
        shows(&bank, &added, Some("203.0.113.77")).await.unwrap();
        for elsewhere in [Some("203.0.114.1"), Some("2001:db8::1"), None] {
            assert_eq!(shows(&bank, &added, elsewhere).await.unwrap_err().code, "token_invalid", "{elsewhere:?}");
        }
        let listed = bank.bank.own_api_keys(&cx, None, 10).await.unwrap();
        assert_eq!(listed[0].networks.as_ref().unwrap().texts(), ["203.0.113.0/24"]);
    }

    async fn a_bound_key_is_nothing_without_its_certificate(bank: TestBank) {
        let (_, cx, ..) = customer(&bank).await;
        let input = AddApiKey { certificate: Some([1; 32]), ..wish(&cx, Caveats::default()) };
        let bound = bank.bank.add_own_api_key(&cx, input).await.unwrap();
        let free = bank.bank.add_own_api_key(&cx, wish(&cx, Caveats::default())).await.unwrap();
        let with = async |key: &ApiKeyAdded, certificate: Option<[u8; 32]>| {
            let arrival = Arrival { origin: Origin::Job, certificate, ..arrival(None) };
            let entered = bank.bank.authenticate(Credential::ApiKey(key.key.expose_secret()), arrival).await;
            entered.map(drop).map_err(|error| error.code)
        };
        for certificate in [Some([1; 32]), Some([2; 32]), None] {
            assert_eq!(with(&free, certificate).await, Ok(()));
            let right = certificate == Some([1; 32]);
            assert_eq!(with(&bound, certificate).await, if right { Ok(()) } else { Err("token_invalid") });
        }
        // Whoever replaces it can bind it to another, and cannot unbind it.
        let input = RotateApiKey { overlap_secs: 60, public_key: None, certificate: None };
        let next = bank.bank.rotate_api_key(&cx, bound.id, input).await.unwrap();
        assert_eq!(with(&next, None).await, Err("token_invalid"));
        assert_eq!(with(&next, Some([1; 32])).await, Ok(()));
        let input = RotateApiKey { certificate: Some([2; 32]), ..input };
        let last = bank.bank.rotate_api_key(&cx, next.id, input).await.unwrap();
        assert_eq!(with(&last, Some([1; 32])).await, Err("token_invalid"));
        assert_eq!(with(&last, Some([2; 32])).await, Ok(()));
        let listed = bank.bank.own_api_keys(&cx, None, 10).await.unwrap();
        let last = listed.iter().find(|key| key.id == last.id).unwrap();
        assert_eq!(last.certificate, Some([2; 32]));
    }

    async fn an_address_that_shows_wrong_keys_waits_and_stops_nobody_elses_right_one(bank: TestBank) {
        let (_, cx, ..) = customer(&bank).await;
        let added = bank.bank.add_own_api_key(&cx, wish(&cx, Caveats::default())).await.unwrap();
        let guess = async |address: &str| {
            let arrival = arrival(Some(address.parse().unwrap()));
            bank.bank.authenticate(Credential::ApiKey("sr_test_wrong"), arrival).await.unwrap_err().code
        };
        for _ in 0..5 {
            assert_eq!(guess("203.0.113.5").await, "token_invalid");
        }
        for _ in 0..3 {
            assert_eq!(guess("203.0.113.5").await, "rate_limited");
        }
        assert_eq!(guess("203.0.113.6").await, "token_invalid");
        shows(&bank, &added, Some("203.0.113.5")).await.unwrap();
        bank.clock.advance(15 * 60 + 1);
        assert_eq!(guess("203.0.113.5").await, "token_invalid");
    }
}
