//! Several nodes that count requests together in a Redis that nobody here wrote.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{
    Answer, BUSY, Client, Engine, Person, Server, awaited,
    load::Town,
    mail_server::logged,
    people::new_key,
    redis::{PASSWORD, Redis},
    until,
};

const LOGIN: &str = "/api/v1/auth/login";
/// What customers of these stories may change in an hour, at all nodes together.
const TEN_WRITES: &[(&str, &str)] = &[("STRONGROOM_LIMITS__API_WRITE", "10/1h")];
const TOGETHER: &str = "requests are counted together with other nodes";
const ALONE: &str = "requests are counted by this node alone";
/// Longest wait until a node counts together with others again.
const TOGETHER_AGAIN: Duration = Duration::from_secs(20);
/// How often everything is forgotten while money moves.
const FORGOTTEN: usize = 20;

/// Starts a server that counts in this Redis.
pub(crate) async fn start(engine: Engine, redis: &Redis, settings: &[(&str, &str)]) -> Option<Server> {
    let mut server = Server::start_with(engine, settings).await?;
    server.stop().await;
    redis.count_for(&mut server);
    server.resume().await;
    logged(&server, TOGETHER).await;
    Some(server)
}

async fn guess(client: &Client) -> Answer {
    let body = json!({"email": format!("{}@example.com", new_key()), "password": "wrong-horse-battery-1"});
    client.post(LOGIN, body).await
}

/// Asks again until the login is looked at.
async fn login_once_possible(server: &Server, person: &Person) {
    let body = json!({"email": person.email, "password": person.password});
    let looked = async {
        while server.client().post(LOGIN, body.clone()).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TOGETHER_AGAIN, looked)
        .await
        .expect("nodes count together again");
}

/// How many of these answers have each status.
fn statuses(answers: &[Answer]) -> std::collections::BTreeMap<u16, usize> {
    answers.iter().fold(Default::default(), |mut all, answer| {
        *all.entry(answer.status).or_default() += 1;
        all
    })
}

/// Everybody at once, in turn at each of the clients.
async fn at_once<F>(clients: &[Client], times: usize, ask: impl Fn(Client, usize) -> F) -> Vec<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let mut all = JoinSet::new();
    for number in 0..times {
        all.spawn(ask(clients[number % clients.len()].clone(), number));
    }
    all.join_all().await
}

/// Without Redis nobody guesses; whoever is known goes on, counted by the node alone; one alert tells it.
async fn without_redis_nobody_guesses_and_everybody_else_goes_on(engine: Engine) {
    let Some(mut redis) = Redis::start() else { return };
    let Some(server) = start(engine, &redis, TEN_WRITES).await else {
        return;
    };
    let (alice, admin) = (server.customer("alice").await, server.operator("admin").await);
    let health = async || server.client().get("/readyz").await;
    health().await.expect(200);
    redis.kill();
    logged(&server, ALONE).await;
    let failing = awaited("a server that is not ready", async || {
        Some(health().await).filter(|told| told.status == 503)
    })
    .await;
    let checks = failing.body["checks"].as_array().unwrap();
    let failed = checks.iter().filter(|check| check["ok"] == false);
    let failed: Vec<&Value> = failed.map(|check| &check["name"]).collect();
    assert_eq!(failed, ["redis"], "{failing:?}");
    let right = json!({"email": alice.email, "password": alice.password});
    let refused = server
        .client()
        .post(LOGIN, right)
        .await
        .refused(503, "unavailable");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    guess(&server.client_from("127.0.0.2"))
        .await
        .refused(503, "unavailable");
    // Reading, changing and renewing go on, within what this node knows.
    alice.client.get("/api/v1/me").await.expect(200);
    let refresh = json!({"refresh_token": alice.tokens["refresh_token"]});
    server
        .client()
        .post("/api/v1/auth/refresh", refresh)
        .await
        .expect(200);
    for number in 0..11 {
        let status = if number < 10 { 200 } else { 429 };
        let body = json!({"full_name": format!("Alice {number}")});
        alice.client.patch("/api/v1/me", body).await.expect(status);
    }
    redis.resume("right");
    login_once_possible(&server, &alice).await;
    until("a server that is ready again", async || {
        health().await.status == 200
    })
    .await;
    // It is known here what was used up meanwhile.
    let body = json!({"full_name": "Alice"});
    alice.client.patch("/api/v1/me", body).await.expect(429);
    let alerts = admin
        .client
        .get("/api/v1/admin/alerts?limit=100")
        .await
        .expect(200);
    let alerts = alerts.body["data"].as_array().unwrap();
    let told = alerts.iter().filter(|alert| alert["rule"] == "limiter_away");
    assert_eq!(told.count(), 1, "{alerts:?}");
    let events = "/api/v1/admin/security-events?kind=limiter_degraded";
    let events = admin.client.get(events).await.expect(200);
    assert_eq!(events.body["data"][0]["count"], 1, "{events:?}");
}

/// Whoever empties Redis while money moves gives requests away, and no money.
async fn a_redis_that_forgets_everything_harms_no_money(engine: Engine) {
    let Some(redis) = Redis::start() else { return };
    let Some(server) = start(engine, &redis, BUSY).await else {
        return;
    };
    let mut town = Arc::new(Town::build(&server).await);
    let mut load = town.load(4);
    for _ in 0..FORGOTTEN {
        load.more(5).await;
        redis.ask(&["FLUSHALL"]);
        redis.ask(&["SCRIPT", "FLUSH"]);
        // Something else under every name that is there.
        for name in redis.ask(&["--scan"]).lines() {
            redis.ask(&[
                "EVAL",
                "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 'x')",
                "1",
                name,
            ]);
        }
    }
    let heard = load.stop().await;
    for one in &heard {
        assert!(one.refusals.is_empty(), "{:?}", one.refusals);
    }
    town.settle(heard).await;
    town.check().await;
    assert!(!server.logged().contains(ALONE), "it was there all the time");
}

/// A server that cannot prove to be the named one, or a login that it does not know, is no place to count.
async fn a_redis_that_is_not_the_named_one_is_not_counted_in(engine: Engine) {
    let Some(mut redis) = Redis::start() else { return };
    let Some(mut server) = start(engine, &redis, &[]).await else {
        return;
    };
    let alice = server.customer("alice").await;
    for certificate in ["forged", "elsewhere"] {
        redis.kill();
        redis.resume(certificate);
        server.kill();
        std::fs::write(server.folder().join("log"), "").unwrap();
        server.begin().await;
        logged(&server, ALONE).await;
        guess(&server.client()).await.refused(503, "unavailable");
        alice.client.get("/api/v1/me").await.expect(200);
    }
    redis.kill();
    redis.resume("right");
    login_once_possible(&server, &alice).await;
    redis.count_for_login(&mut server, "another-canary-9914");
    server.kill();
    std::fs::write(server.folder().join("log"), "").unwrap();
    server.begin().await;
    logged(&server, ALONE).await;
    guess(&server.client()).await.refused(503, "unavailable");
    let log = server.logged();
    assert!(!log.contains("canary"), "{log}");
    let (_, shown, _) = server.cli(&["config", "check", "--json"]);
    assert!(
        shown.contains("redis.url") && !shown.contains("canary"),
        "{shown}"
    );
}

mod sqlite {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn without_redis_nobody_guesses_and_everybody_else_goes_on() {
        super::without_redis_nobody_guesses_and_everybody_else_goes_on(Engine::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_redis_that_forgets_everything_harms_no_money() {
        super::a_redis_that_forgets_everything_harms_no_money(Engine::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_redis_that_is_not_the_named_one_is_not_counted_in() {
        super::a_redis_that_is_not_the_named_one_is_not_counted_in(Engine::Sqlite).await;
    }
}

mod postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn without_redis_nobody_guesses_and_everybody_else_goes_on() {
        super::without_redis_nobody_guesses_and_everybody_else_goes_on(Engine::Postgres).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_redis_that_forgets_everything_harms_no_money() {
        super::a_redis_that_forgets_everything_harms_no_money(Engine::Postgres).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_nodes_have_one_quota_and_one_budget_of_guesses() {
        let Some(redis) = Redis::start() else { return };
        let Some(first) = start(Engine::Postgres, &redis, TEN_WRITES).await else {
            return;
        };
        let alice = first.customer("alice").await;
        let mut second = first.start_beside().await;
        logged(&second, TOGETHER).await;

        // In turn: three guesses here and two there are five.
        let both = |address: &str| [first.client_from(address), second.client_from(address)];
        let clients = both("127.0.0.2");
        for number in 0..5 {
            let answer = guess(&clients[number % 2])
                .await
                .refused(401, "invalid_credentials");
            let left = format!("\"auth\";r={}", 4 - number);
            assert!(answer.header("ratelimit").unwrap().contains(&left), "{answer:?}");
        }
        for client in &clients {
            let refused = guess(client).await.refused(429, "rate_limited");
            let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
            assert!((100..=180).contains(&wait), "{refused:?}");
        }
        // At once: never more, and an office that logs in at both nodes at nine uses up nothing.
        let answers = at_once(
            &both("127.0.0.3"),
            40,
            |client, _| async move { guess(&client).await },
        )
        .await;
        assert_eq!(statuses(&answers), [(401, 5), (429, 35)].into());
        let right = json!({"email": alice.email, "password": alice.password});
        let desks = both("127.0.0.4");
        // Twice a quota; each waits for those before it, three seconds at most, and a busy machine hashes slowly.
        let office = at_once(&desks, 10, |client, _| {
            let right = right.clone();
            async move { client.post(LOGIN, right).await }
        });
        assert_eq!(statuses(&office.await), [(200, 10)].into());
        for client in &desks {
            guess(client).await.refused(401, "invalid_credentials");
        }

        // Whoever is known has one quota, too: ten changes of twenty, wherever they arrive.
        let there = second.login(&alice.email, &alice.password).await;
        let known = [alice.client.clone(), there.client.clone()];
        let answers = at_once(&known, 20, |client, number| async move {
            client
                .patch("/api/v1/me", json!({"full_name": format!("Alice {number}")}))
                .await
        });
        assert_eq!(statuses(&answers.await), [(200, 10), (429, 10)].into());
        // A node that starts anew forgets nothing of it.
        let before = second.logged().matches(TOGETHER).count();
        second.kill();
        second.resume().await;
        until(TOGETHER, async || {
            second.logged().matches(TOGETHER).count() > before
        })
        .await;
        let again = there
            .client
            .patch("/api/v1/me", json!({"full_name": "Alice"}))
            .await;
        again.refused(429, "rate_limited");
        guess(&second.client_from("127.0.0.2"))
            .await
            .refused(429, "rate_limited");

        // Names in Redis say nothing about anybody.
        let id = alice.client.get("/api/v1/me").await.expect(200).text("id");
        let names = redis.ask(&["--scan"]);
        assert!(names.lines().count() > 5, "{names}");
        for line in names.lines() {
            assert!(line.starts_with("strongroom:"), "{line}");
            assert!(
                !line.contains("127.0.0") && !line.contains("7f0000") && !line.contains(&id),
                "{line}"
            );
        }
        assert!(!first.logged().contains(PASSWORD));
    }
}
