//! What people of the bank do against an incident counts at once, on every node, and after a restart.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, BUSY, Client, Engine, Person, Server,
    people::{in_minutes, new_key},
    stories, until,
};

const ACTIONS: &str = "/api/v1/admin/incident-actions";
/// Between two looks whether a network is served again: a network has few addresses to ask from.
const LOOK_PAUSE: Duration = Duration::from_millis(300);

stories! {
    with BUSY;
    a_read_only_bank_moves_no_money_also_after_a_restart_until_it_is_lifted,
    no_transfer_is_posted_after_the_answer_that_the_bank_is_read_only,
    all_sessions_end_but_the_one_that_ended_them,
    an_account_is_frozen_and_a_key_taken_away_with_a_reason,
    a_blocked_network_is_refused_until_it_is_lifted_and_sessions_go_on,
    whoever_may_not_act_changes_nothing,
    on_the_host_the_same_is_done_by_commands,
}

async fn act(admin: &Client, body: Value) -> Answer {
    admin.post(ACTIONS, body).await
}

async fn lift(admin: &Client, id: &str) -> Answer {
    admin
        .send(admin.request(Method::DELETE, &format!("{ACTIONS}/{id}")))
        .await
}

struct Money {
    alice: Person,
    teller: Person,
    from: Value,
    to: Value,
}

async fn money(server: &Server) -> Money {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Giro").await, bob.account("Giro").await);
    teller.deposit(&from, 100_000).await.expect(201);
    Money {
        alice,
        teller,
        from,
        to,
    }
}

async fn a_read_only_bank_moves_no_money_also_after_a_restart_until_it_is_lifted(mut server: Server) {
    let Money {
        alice,
        teller,
        from,
        to,
    } = money(&server).await;
    let admin = server.operator("admin").await;
    alice.transfer(&new_key(), &from, &to, 100).await.expect(201);
    let done = act(
        &admin.client,
        json!({"action": "read_only", "reason": "Balances do not verify."}),
    )
    .await;
    let done = done.expect(201);
    assert_eq!(done.body["lifted_at"], Value::Null);
    let again = act(&admin.client, json!({"action": "read_only", "reason": "Twice."})).await;
    again.refused(409, "already_in_force");
    let key = new_key();
    for _ in 0..2 {
        alice
            .transfer(&key, &from, &to, 100)
            .await
            .refused(503, "read_only");
        teller.deposit(&from, 100).await.refused(503, "read_only");
        let hold = json!({"account_id": from["id"], "to_account_id": to["id"],
            "amount": {"amount": 100, "currency": "EUR"}});
        let hold = alice.client.post_once("/api/v1/holds", &new_key(), hold).await;
        hold.refused(503, "read_only");
        // Reading goes on, and so do those who may not move money at all.
        assert_eq!(alice.posted(&from).await, 99_900);
        admin
            .client
            .post_once(
                "/api/v1/deposits",
                &new_key(),
                json!({"account_id": from["id"], "amount": {"amount": 100, "currency": "EUR"}}),
            )
            .await
            .refused(403, "forbidden");
        server.kill();
        server.resume().await;
    }
    lift(&admin.client, &done.text("id")).await.expect(204);
    lift(&admin.client, &done.text("id"))
        .await
        .refused(404, "not_found");
    // The refusal was no outcome of the key.
    alice.transfer(&key, &from, &to, 100).await.expect(201);
    assert_eq!(alice.posted(&from).await, 99_800);
}

async fn no_transfer_is_posted_after_the_answer_that_the_bank_is_read_only(server: Server) {
    let Money { alice, from, to, .. } = money(&server).await;
    let admin = server.operator("admin").await;
    // Two nodes where there can be two: the one that is told, and the one that moves money.
    let beside = match server.engine {
        Engine::Postgres => Some(server.start_behind_the_same_name().await),
        Engine::Sqlite => None,
    };
    let there = match &beside {
        Some(node) => node.client().with_token(alice.client.token()),
        None => alice.client.clone(),
    };
    let there = Person {
        client: there,
        ..alice.clone()
    };
    let payments = async {
        let mut answers = Vec::new();
        for _ in 0..20 {
            let many = (0..10).map(|_| async { there.transfer(&new_key(), &from, &to, 1).await });
            answers.extend(join_all(many).await);
        }
        answers
    };
    let stop = async {
        let done = act(
            &admin.client,
            json!({"action": "read_only", "reason": "In the middle."}),
        )
        .await;
        done.expect(201);
        alice.posted(&from).await
    };
    let (answers, stopped_at) = tokio::join!(payments, stop);
    let posted = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers
        .iter()
        .filter(|answer| (answer.status, answer.code()) == (503, "read_only"))
        .count();
    assert_eq!(posted + refused, answers.len());
    assert!(refused > 0, "it was stopped in the middle");
    assert_eq!(
        alice.posted(&from).await,
        stopped_at,
        "nothing moved after the answer"
    );
    assert_eq!(stopped_at, 100_000 - i64::try_from(posted).unwrap());
    there
        .transfer(&new_key(), &from, &to, 1)
        .await
        .refused(503, "read_only");
}

async fn all_sessions_end_but_the_one_that_ended_them(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let admin = server.operator("admin").await;
    alice.client.get("/api/v1/me").await.expect(200);
    teller.client.get("/api/v1/me").await.expect(200);
    act(
        &admin.client,
        json!({"action": "end_sessions", "reason": "A token was seen elsewhere."}),
    )
    .await
    .expect(201);
    alice.client.get("/api/v1/me").await.refused(401, "token_invalid");
    teller
        .client
        .get("/api/v1/me")
        .await
        .refused(401, "token_invalid");
    let refresh = json!({"refresh_token": alice.tokens["refresh_token"]});
    server
        .client()
        .post("/api/v1/auth/refresh", refresh)
        .await
        .refused(401, "token_invalid");
    admin.client.get("/api/v1/me").await.expect(200);
    let again = server.login(&alice.email, &alice.password).await;
    again.client.get("/api/v1/me").await.expect(200);
}

async fn an_account_is_frozen_and_a_key_taken_away_with_a_reason(server: Server) {
    let Money { alice, from, to, .. } = money(&server).await;
    let (admin, auditor) = (server.operator("admin").await, server.operator("auditor").await);
    let reason = "Mules: <ask> Alice.";
    let body = json!({"action": "freeze_account", "reason": reason, "account_id": from["id"]});
    act(&admin.client, body).await.expect(201);
    alice
        .transfer(&new_key(), &from, &to, 1)
        .await
        .refused(422, "account_frozen");
    let absent =
        json!({"action": "revoke_key", "reason": reason, "api_key_id": "key_00000000000000000000000000"});
    act(&admin.client, absent).await.refused(404, "not_found");
    let listed = auditor.client.get(ACTIONS).await.expect(200);
    let data = listed.body["data"].as_array().unwrap();
    assert_eq!(data.len(), 1, "what did not happen is not listed: {data:?}");
    assert_eq!(data[0]["target"], from["id"]);
    assert_eq!(data[0]["reason"], reason);
    assert!(data[0]["taken_by"].as_str().unwrap().starts_with("user_"));
    let id = data[0]["id"].as_str().unwrap();
    // A freeze is lifted where freezes are.
    lift(&admin.client, id).await.refused(404, "not_found");
}

async fn a_blocked_network_is_refused_until_it_is_lifted_and_sessions_go_on(server: Server) {
    let alice = server.customer("alice").await;
    let admin = server.operator("admin").await;
    let here = server.client_from("127.0.9.2");
    let known = here.with_token(alice.client.token());
    here.get("/nothing").await.refused(404, "not_found");
    let block = |network: &str| json!({"action": "block_network", "reason": "Guesses passwords.", "network": network, "ends_at": in_minutes(10)});
    for (wrong, field) in [
        (block("0.0.0.0/0"), "/network"),
        (block("127.0.0.1"), "/network"),
        (block("127.0.9.2/24"), "/network"),
        (
            json!({"action": "block_network", "reason": "x", "network": "127.0.9.0/24"}),
            "/ends_at",
        ),
        (
            json!({"action": "read_only", "reason": "x", "network": "127.0.9.0/24"}),
            "/network",
        ),
        (json!({"action": "none", "reason": "x"}), "/action"),
    ] {
        let refused = act(&admin.client, wrong).await.refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], field, "{refused:?}");
    }
    here.get("/nothing").await.refused(404, "not_found");
    let done = act(&admin.client, block("127.0.9.0/24")).await.expect(201);
    here.get("/nothing").await.refused(429, "rate_limited");
    let login = json!({"email": alice.email, "password": alice.password});
    here.post("/api/v1/auth/login", login.clone())
        .await
        .refused(429, "rate_limited");
    here.get("/livez").await.expect(200);
    known.get("/api/v1/me").await.expect(200);
    here.with_token("x.y.z")
        .get("/api/v1/me")
        .await
        .refused(429, "rate_limited");
    server
        .client_from("127.0.8.2")
        .get("/nothing")
        .await
        .refused(404, "not_found");
    if server.engine == Engine::Postgres {
        // A node that starts knows it before its first request, and of the lifting it learns by itself. Whoever asks
        // the same again and again is soon refused for that: each time it is another address of the network.
        let beside = server.start_beside().await;
        let hosts = AtomicU8::new(3);
        let status = async || {
            let host = hosts.fetch_add(1, Ordering::Relaxed);
            let there = beside.client_from(&format!("127.0.9.{host}"));
            there.get("/nothing").await.status
        };
        assert_eq!(status().await, 429);
        lift(&admin.client, &done.text("id")).await.expect(204);
        until("the lifting", async || {
            tokio::time::sleep(LOOK_PAUSE).await;
            status().await != 429
        })
        .await;
    } else {
        lift(&admin.client, &done.text("id")).await.expect(204);
    }
    here.get("/nothing").await.refused(404, "not_found");
    here.post("/api/v1/auth/login", login).await.expect(200);
}

async fn whoever_may_not_act_changes_nothing(server: Server) {
    let Money {
        alice,
        teller,
        from,
        to,
    } = money(&server).await;
    let auditor = server.operator("auditor").await;
    let body = json!({"action": "read_only", "reason": "Because I can."});
    for who in [&alice, &teller, &auditor] {
        act(&who.client, body.clone()).await.refused(403, "forbidden");
    }
    act(&server.client(), body).await.refused(401, "unauthenticated");
    alice.client.get(ACTIONS).await.refused(403, "forbidden");
    teller.client.get(ACTIONS).await.refused(403, "forbidden");
    alice.transfer(&new_key(), &from, &to, 1).await.expect(201);
    assert_eq!(
        auditor.client.get(ACTIONS).await.expect(200).body["data"],
        json!([])
    );
}

async fn on_the_host_the_same_is_done_by_commands(server: Server) {
    let Money { alice, from, to, .. } = money(&server).await;
    let (ok, out, err) = server.cli(&["incident", "read-only", "--reason", "Night shift.", "--json"]);
    assert!(ok, "{err}");
    let done: Value = serde_json::from_str(&out).unwrap();
    alice
        .transfer(&new_key(), &from, &to, 1)
        .await
        .refused(503, "read_only");
    let (ok, out, _) = server.cli(&["incident", "list"]);
    assert!(ok && out.contains("read_only"), "{out}");
    let (ok, _, err) = server.cli(&["incident", "lift", "--id", done["id"].as_str().unwrap()]);
    assert!(ok, "{err}");
    alice.transfer(&new_key(), &from, &to, 1).await.expect(201);
    let freeze = ["incident", "freeze-account", "--reason", "x", "--account"];
    let (ok, _, err) = server.cli(&[&freeze[..], &[from["id"].as_str().unwrap()]].concat());
    assert!(ok, "{err}");
    alice
        .transfer(&new_key(), &from, &to, 1)
        .await
        .refused(422, "account_frozen");
    let (ok, _, err) = server.cli(&["incident", "end-sessions", "--reason", "x"]);
    assert!(ok, "{err}");
    alice.client.get("/api/v1/me").await.refused(401, "token_invalid");
}
