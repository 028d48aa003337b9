//! Blocks by suspicion that nodes have in common, in a Redis that nobody here wrote.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    edge_shared::start,
    harness::{Answer, Client, Engine, Server, mail_server::logged, redis::Redis, until},
};

const BLOCKS: &str = "/api/v1/admin/blocks";
const SETTINGS: &[(&str, &str)] = &[("STRONGROOM_LIMITS__ANONYMOUS", "1000000/1h")];
const SHARED: &str = "blocks are shared with other nodes";
const ALONE: &str = "blocks are not shared with other nodes";
const STRANGE: &str = "shared blocks that this bank did not write are ignored";
/// The name of what is shared.
const KEY: &str = "strongroom:blocks";
/// Between two looks: whoever asks often is soon blocked for that.
const LOOK_PAUSE: Duration = Duration::from_millis(700);

async fn ask(client: &Client) -> Answer {
    client.get("/nothing").await
}

fn is_blocked(answer: &Answer) -> bool {
    answer.status == 429 && answer.text("detail").ends_with("from this address.")
}

/// Waits until an address is refused at a node, or served again.
async fn until_blocked(client: &Client, blocked: bool) {
    until("the other node", async || {
        tokio::time::sleep(LOOK_PAUSE).await;
        is_blocked(&ask(client).await) == blocked
    })
    .await;
}

/// Waits until a node has looked, and another one after it: who tells of a block has read before.
async fn looked(node: &Server, then: &Server, address: &str) {
    node.client_from(address).scan().await;
    until_blocked(&then.client_from(address), true).await;
}

async fn blocks(who: &Client) -> Vec<String> {
    let answer = who.get(BLOCKS).await.expect(200);
    let data = answer.body["data"].as_array().unwrap().clone();
    let address = |block: &Value| block["address"].as_str().unwrap().to_owned();
    let mut all: Vec<_> = data.iter().map(address).collect();
    all.sort();
    all
}

async fn lift(who: &Client, address: &str) -> Answer {
    who.send(who.request(Method::DELETE, &format!("{BLOCKS}/{address}")))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_outlives_a_restart_where_it_is_shared() {
    let Some(redis) = Redis::start() else { return };
    let Some(mut server) = start(Engine::Sqlite, &redis, SETTINGS).await else {
        return;
    };
    logged(&server, SHARED).await;
    server.client_from("127.0.0.2").scan().await;
    assert!(is_blocked(&ask(&server.client_from("127.0.0.2")).await));
    until("it is told", async || redis.ask(&["EXISTS", KEY]).trim() == "1").await;
    server.kill();
    server.resume().await;
    until_blocked(&server.client_from("127.0.0.2"), true).await;
    ask(&server.client_from("127.0.0.3"))
        .await
        .refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_holds_at_every_node_and_so_does_its_lifting() {
    let Some(mut redis) = Redis::start() else { return };
    let Some(first) = start(Engine::Postgres, &redis, SETTINGS).await else {
        return;
    };
    let mut second = first.start_with_own_ring().await;
    // Whom one node never blocks it does not refuse for another.
    second.kill();
    second.set("STRONGROOM_BLOCKS__ALLOW", "127.0.0.9");
    second.resume().await;
    for node in [&first, &second] {
        logged(node, SHARED).await;
    }
    let (alice, admin) = (first.customer("alice").await, first.operator("admin").await);
    let admin_there = second.client().with_token(admin.client.token());
    let both = |address: &str| (first.client_from(address), second.client_from(address));

    let (here, there) = both("127.0.0.2");
    ask(&there).await.refused(404, "not_found");
    here.scan().await;
    assert!(is_blocked(&ask(&here).await));
    until_blocked(&there, true).await;
    let login = json!({"email": alice.email, "password": alice.password});
    assert!(is_blocked(&there.post("/api/v1/auth/login", login.clone()).await));
    let known = there.with_token(alice.client.token());
    known.get("/api/v1/me").await.expect(200);
    for who in [&admin.client, &admin_there] {
        assert_eq!(blocks(who).await, ["127.0.0.2"]);
    }
    // Nobody learns from Redis who it is.
    let value = redis.ask(&["GET", KEY]);
    assert!(!value.contains("127.0") && !value.contains("7f0000"), "{value}");
    let left: i64 = redis.ask(&["PTTL", KEY]).trim().parse().unwrap();
    assert!((1..=900_000).contains(&left), "{left}");

    // Lifted where it did not begin.
    lift(&admin_there, "127.0.0.2").await.expect(204);
    ask(&there).await.refused(404, "not_found");
    until_blocked(&here, false).await;
    there.post("/api/v1/auth/login", login).await.expect(200);
    for who in [&admin.client, &admin_there] {
        assert_eq!(blocks(who).await, Vec::<String>::new());
    }
    // Put back there, it is not believed again.
    redis.ask(&["SET", KEY, &value]);
    let (other, other_there) = both("127.0.0.4");
    other.scan().await;
    until_blocked(&other_there, true).await;
    ask(&there).await.refused(404, "not_found");

    // The second node's own exception counts more than what the first one found.
    let (spared, spared_there) = both("127.0.0.9");
    spared.scan().await;
    assert!(is_blocked(&ask(&spared).await));
    until("it is shown", async || {
        blocks(&admin_there).await.contains(&"127.0.0.9".to_owned())
    })
    .await;
    ask(&spared_there).await.refused(404, "not_found");

    // Whoever can write to Redis brings no block: not made up, not of another address, not longer.
    let value = redis.ask(&["GET", KEY]);
    let line = value.lines().nth(1).unwrap();
    let (_, rest) = line.split_once(' ').unwrap();
    let (_, block) = rest.split_once(' ').unwrap();
    let far = "9999999999999";
    let forged = format!("1\n{:032x} {far} {block}\n{:032x} {far} 00ff\n", 1, 2);
    redis.ask(&["SET", KEY, &forged]);
    // The node that writes next has looked before.
    logged(&first, STRANGE).await;
    looked(&second, &first, "127.0.0.6").await;
    until_blocked(&other_there, true).await;
    // What is taken away comes back from the node that knows it.
    redis.ask(&["FLUSHALL"]);
    until("it is told again", async || {
        redis.ask(&["EXISTS", KEY]).trim() == "1"
    })
    .await;
    looked(&second, &first, "127.0.0.7").await;
    until_blocked(&other_there, true).await;

    // Away, each node goes on by itself, with what it knows.
    redis.kill();
    logged(&first, ALONE).await;
    logged(&second, ALONE).await;
    assert!(is_blocked(&ask(&other).await) && is_blocked(&ask(&other_there).await));
    let (alone, alone_there) = both("127.0.0.5");
    alone.scan().await;
    assert!(is_blocked(&ask(&alone).await));
    ask(&alone_there).await.refused(404, "not_found");
    redis.resume("right");
    until_blocked(&alone_there, true).await;
}
