//! Two things at once, and only one order may be seen.

use std::{collections::BTreeMap, sync::Arc};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    sync::{Barrier, Notify},
    task::JoinSet,
};

use crate::harness::{
    Answer, BUSY, Engine, Person, Server,
    load::whole_history,
    people::{new_key, transfer_body},
    stories,
};

stories! {
    with BUSY;
    the_same_key_ten_times_at_once_debits_once,
    one_key_with_ten_bodies_at_once_lets_exactly_one_win,
    one_key_for_a_deposit_and_a_withdrawal_at_once_does_one_of_them,
    nothing_is_posted_after_the_answer_of_a_freeze,
    an_account_is_never_both_closed_and_holding_money,
    nothing_is_posted_by_a_session_after_the_answer_of_its_logout,
    a_storm_of_opposite_transfers_deadlocks_nowhere,
    ten_openings_under_one_key_open_one_account,
    a_freeze_that_races_a_close_brings_no_account_back,
}

/// Most rounds until both orders of a race were seen.
const ROUNDS_MAX: usize = 60;

/// Sends requests at the same moment and gives the answers in their order.
async fn at_once(person: &Person, path: &str, key: &str, bodies: Vec<Value>) -> Vec<Answer> {
    let start = Arc::new(Barrier::new(bodies.len()));
    let mut tasks = JoinSet::new();
    for (number, body) in bodies.into_iter().enumerate() {
        let (person, start) = (person.clone(), start.clone());
        let (path, key) = (path.to_owned(), key.to_owned());
        tasks.spawn(async move {
            start.wait().await;
            (number, person.client.post_once(&path, &key, body).await)
        });
    }
    let answers: BTreeMap<_, _> = tasks.join_all().await.into_iter().collect();
    answers.into_values().collect()
}

async fn the_same_key_ten_times_at_once_debits_once(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 10_000).await.expect(201);
    for round in 1..=8 {
        let bodies = vec![transfer_body(&from, &to, 100); 10];
        let answers = at_once(&alice, "/api/v1/transfers", &new_key(), bodies).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (201, &answers[0].body));
        }
        let fresh = answers
            .iter()
            .filter(|answer| answer.header("idempotent-replayed").is_none())
            .count();
        assert_eq!(
            fresh, 1,
            "one is the first, the others are told that they repeat it"
        );
        assert_eq!(
            (alice.posted(&from).await, alice.posted(&to).await),
            (10_000 - 100 * round, 100 * round)
        );
    }
    // A refusal by the bank's rules is one answer, too.
    let bodies = vec![transfer_body(&from, &to, 999_999); 10];
    for answer in at_once(&alice, "/api/v1/transfers", &new_key(), bodies).await {
        answer.refused(422, "insufficient_funds");
    }
}

async fn ten_openings_under_one_key_open_one_account(server: Server) {
    let alice = server.customer("alice").await;
    let accounts = async || {
        let listed = alice.client.get("/api/v1/accounts?limit=100").await.expect(200);
        listed.body["data"].as_array().unwrap().len()
    };
    for round in 1..=6 {
        let body = json!({"kind": "checking", "currency": "EUR", "name": format!("Round {round}")});
        let answers = at_once(&alice, "/api/v1/accounts", &new_key(), vec![body; 10]).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (201, &answers[0].body));
        }
        assert_eq!(accounts().await, round);
    }
    // Of two meanings of one key one is opened, and the other is told so.
    let body = |number: usize| json!({"kind": "savings", "currency": "EUR", "name": format!("Meaning {}", number % 2)});
    let answers = at_once(
        &alice,
        "/api/v1/accounts",
        &new_key(),
        (0..10).map(body).collect(),
    )
    .await;
    let opened: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(opened.len(), 5, "{answers:?}");
    assert!(opened.iter().all(|answer| answer.body == opened[0].body));
    for lost in answers.iter().filter(|answer| answer.status != 201) {
        lost.clone().refused(422, "idempotency_key_reused");
    }
    assert_eq!(accounts().await, 7);
}

async fn one_key_with_ten_bodies_at_once_lets_exactly_one_win(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 10_000).await.expect(201);
    let mut left = 10_000;
    for _ in 0..8 {
        let bodies: Vec<_> = (1..=10).map(|minor| transfer_body(&from, &to, minor)).collect();
        let answers = at_once(&alice, "/api/v1/transfers", &new_key(), bodies).await;
        let won: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        left -= won[0].body["amount"]["amount"].as_i64().unwrap();
        for lost in answers.iter().filter(|answer| answer.status != 201) {
            let lost = lost.clone().refused(422, "idempotency_key_reused");
            assert_eq!(lost.body["errors"][0]["pointer"], "/amount/amount");
        }
        assert_eq!(alice.posted(&from).await, left);
    }
}

async fn one_key_for_a_deposit_and_a_withdrawal_at_once_does_one_of_them(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let account = alice.account("Cash").await;
    teller.deposit(&account, 10_000).await.expect(201);
    let body = json!({"account_id": account["id"], "amount": {"amount": 10, "currency": "EUR"}});
    let mut posted = 10_000;
    for _ in 0..8 {
        let key = new_key();
        let (deposit, withdrawal) = tokio::join!(
            teller.client.post_once("/api/v1/deposits", &key, body.clone()),
            teller.client.post_once("/api/v1/withdrawals", &key, body.clone()),
        );
        let (lost, change) = match (deposit.status, withdrawal.status) {
            (201, _) => (withdrawal, 10),
            (_, 201) => (deposit, -10),
            _ => panic!("{deposit:?} {withdrawal:?}"),
        };
        lost.refused(422, "idempotency_key_reused");
        posted += change;
        assert_eq!(alice.posted(&account).await, posted);
    }
}

async fn nothing_is_posted_after_the_answer_of_a_freeze(server: Server) {
    const CLIENTS: usize = 50;
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    for round in 0..3 {
        let (from, to) = (
            alice.account(&format!("From {round}")).await,
            alice.account(&format!("To {round}")).await,
        );
        teller.deposit(&from, 100_000).await.expect(201);
        let mut race = Race::start(CLIENTS, &alice, &from, &to);
        race.booked(CLIENTS).await;
        let path = format!("/api/v1/accounts/{}/freeze", from["id"].as_str().unwrap());
        let freeze = alice
            .client
            .send(alice.client.request(Method::POST, &path))
            .await
            .expect(200);
        assert_eq!(freeze.body["state"], "frozen");
        let then = alice.posted(&from).await;
        assert_eq!(
            freeze.body["balance"]["posted"], then,
            "the freeze saw the last transfer"
        );
        // Everybody goes on until the freeze is felt, so that each client saw both orders.
        let booked = race.ended(422, "account_frozen").await;
        assert_eq!(alice.posted(&from).await, then, "the freeze was answered before");
        assert_eq!(then, 100_000 - 3 * booked);
    }
}

/// Clients that send one transfer after the other until one is refused.
struct Race {
    some_booked: Arc<Notify>,
    tasks: JoinSet<(i64, Answer)>,
}

impl Race {
    fn start(clients: usize, person: &Person, from: &Value, to: &Value) -> Self {
        let (some_booked, mut tasks) = (Arc::new(Notify::new()), JoinSet::new());
        for _ in 0..clients {
            let (person, from, to, some) = (person.clone(), from.clone(), to.clone(), some_booked.clone());
            tasks.spawn(async move {
                let mut booked = 0;
                loop {
                    let answer = person.transfer(&new_key(), &from, &to, 3).await;
                    some.notify_one();
                    if answer.status != 201 {
                        return (booked, answer);
                    }
                    booked += 1;
                }
            });
        }
        Self { some_booked, tasks }
    }

    /// Waits until so many answers came at least.
    async fn booked(&mut self, count: usize) {
        for _ in 0..count {
            self.some_booked.notified().await;
        }
    }

    /// How many were booked by clients who all ended with this refusal.
    async fn ended(self, status: u16, code: &str) -> i64 {
        let mut all = 0;
        for (booked, last) in self.tasks.join_all().await {
            last.refused(status, code);
            all += booked;
        }
        all
    }
}

async fn an_account_is_never_both_closed_and_holding_money(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (mut closed_first, mut booked_first, mut rounds) = (0, 0, 0);
    while closed_first == 0 || booked_first == 0 {
        rounds += 1;
        assert!(
            rounds <= ROUNDS_MAX,
            "{closed_first} closed, {booked_first} booked first"
        );
        let account = alice.account("Short").await;
        let path = format!("/api/v1/accounts/{}/close", account["id"].as_str().unwrap());
        let close = async { alice.client.send(alice.client.request(Method::POST, &path)).await };
        let deposit = teller.deposit(&account, 10);
        // Both begin together; who is asked for first changes.
        let (close, deposit) = if rounds % 2 == 0 {
            tokio::join!(close, deposit)
        } else {
            let (deposit, close) = tokio::join!(deposit, close);
            (close, deposit)
        };
        let posted = alice.posted(&account).await;
        if close.status == 200 {
            closed_first += 1;
            deposit.refused(422, "account_closed");
            assert_eq!(posted, 0);
        } else {
            booked_first += 1;
            deposit.expect(201);
            close.refused(409, "account_not_empty");
            assert_eq!(posted, 10);
        }
    }
}

async fn a_freeze_that_races_a_close_brings_no_account_back(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (mut closed_first, mut frozen_first, mut rounds) = (0, 0, 0);
    while closed_first == 0 || frozen_first == 0 {
        rounds += 1;
        assert!(
            rounds <= ROUNDS_MAX,
            "{closed_first} closed, {frozen_first} frozen first"
        );
        let account = alice.account("Short").await;
        let id = account["id"].as_str().unwrap();
        let ask =
            async |who: &Person, path: String| who.client.send(who.client.request(Method::POST, &path)).await;
        let close = ask(&alice, format!("/api/v1/accounts/{id}/close"));
        let freeze = ask(&teller, format!("/api/v1/admin/accounts/{id}/freeze"));
        let (close, freeze) = if rounds % 2 == 0 {
            tokio::join!(close, freeze)
        } else {
            let (freeze, close) = tokio::join!(freeze, close);
            (close, freeze)
        };
        let state = async || {
            let read = alice.client.get(&format!("/api/v1/accounts/{id}")).await;
            read.expect(200).text("state")
        };
        if freeze.status == 200 {
            frozen_first += 1;
            close.refused(422, "account_frozen");
            assert_eq!(state().await, "frozen");
            continue;
        }
        closed_first += 1;
        close.expect(200);
        freeze.refused(422, "account_closed");
        // What is closed stays so, whatever is asked of it.
        for verb in ["unfreeze", "freeze"] {
            let path = format!("/api/v1/admin/accounts/{id}/{verb}");
            ask(&teller, path).await.refused(422, "account_closed");
            assert_eq!(state().await, "closed");
        }
        teller.deposit(&account, 10).await.refused(422, "account_closed");
    }
}

async fn nothing_is_posted_by_a_session_after_the_answer_of_its_logout(server: Server) {
    const CLIENTS: usize = 16;
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 1_000_000).await.expect(201);
    for _ in 0..3 {
        let before = alice.posted(&from).await;
        let visitor = server.login(&alice.email, &alice.password).await;
        let mut race = Race::start(CLIENTS, &visitor, &from, &to);
        race.booked(2 * CLIENTS).await;
        let body = json!({"refresh_token": visitor.tokens["refresh_token"]});
        server
            .client()
            .post("/api/v1/auth/logout", body)
            .await
            .expect(204);
        let dead = visitor.client.get("/api/v1/accounts").await;
        dead.refused(401, "token_invalid");
        let then = alice.posted(&from).await;
        let booked = race.ended(401, "token_invalid").await;
        assert_eq!(alice.posted(&from).await, then, "the logout was answered before");
        assert_eq!(then, before - 3 * booked);
        // The owner's other session goes on.
        alice.transfer(&new_key(), &from, &to, 1).await.expect(201);
    }
}

async fn a_storm_of_opposite_transfers_deadlocks_nowhere(server: Server) {
    let (alice, bob, teller) = (
        server.customer("alice").await,
        server.customer("bob").await,
        server.operator("teller").await,
    );
    let (hers, his) = (alice.account("Hers").await, bob.account("His").await);
    teller.deposit(&hers, 50_000).await.expect(201);
    teller.deposit(&his, 50_000).await.expect(201);
    let mut tasks = JoinSet::new();
    for number in 0..200 {
        let (sender, from, to) = if number % 2 == 0 {
            (alice.clone(), hers.clone(), his.clone())
        } else {
            (bob.clone(), his.clone(), hers.clone())
        };
        tasks.spawn(async move { sender.transfer(&new_key(), &from, &to, 1 + number % 3).await });
    }
    for answer in tasks.join_all().await {
        answer.expect(201);
    }
    assert_eq!(alice.posted(&hers).await + bob.posted(&his).await, 100_000);
    assert_eq!(whole_history(&alice, &hers).await.len(), 201);
    assert!(!server.logged().contains("given up"));
    if server.engine == Engine::Postgres {
        let database = server.database().unwrap();
        let mut outside = database.connect_outside().await;
        let deadlocks: i64 = sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = $1")
            .bind(database.name())
            .fetch_one(&mut outside)
            .await
            .unwrap();
        assert_eq!(deadlocks, 0);
    }
}
