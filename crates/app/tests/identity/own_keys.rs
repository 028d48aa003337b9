//! Keys that customers make for their own programs, and how far they reach.

use strongroom_app::{
    Arrival, Credential, Cx, Error, ExposeSecret,
    api_keys::{AddApiKey, ApiKeyAdded, Caveats, KeyOwner, RotateApiKey},
    networks::Networks,
    step_up::{ShownFactor, SteppedUp},
    transfers::{CreateTransfer, Payee},
};
use strongroom_domain::{
    id::AccountId,
    ledger::Budget,
    money::{Amount, Currency},
    principal::{Origin, Role},
};
use tokio::task::JoinSet;

use crate::harness::{Person, TestBank, arrival, client, key, on_both_engines, secret};

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
        let replaced = RotateApiKey { overlap_secs: 3_600, public_key: None };
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

    async fn a_replaced_key_pays_once_under_one_idempotency_key(bank: TestBank) {
        let (_, cx, from, to) = customer(&bank).await;
        let old = bank.bank.add_own_api_key(&cx, wish(&cx, Caveats::default())).await.unwrap();
        let (once, by_old) = (key(), shows(&bank, &old, None).await.unwrap());
        assert!(!bank.bank.create_transfer(&by_old, pay(from, to, 10, &once)).await.unwrap().replayed);
        let input = RotateApiKey { overlap_secs: 60, public_key: None };
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
            let input = RotateApiKey { overlap_secs: 60, public_key: None };
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
