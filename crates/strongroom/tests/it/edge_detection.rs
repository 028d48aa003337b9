//! Attacks are noted under a number that operators find, refused where there is no doubt, and people write what they
//! like.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Client, Server,
    people::{Person, new_key, transfer_body},
    stories,
};

/// What is tested here is neither how often somebody may ask nor what follows from suspicion.
const BLOCKING: &[(&str, &str)] = &[
    ("STRONGROOM_LIMITS__ANONYMOUS", "1000000/1h"),
    ("STRONGROOM_BLOCKS__MODE", "off"),
    ("STRONGROOM_DETECTION__MODE", "block"),
];
/// As shipped.
const OBSERVING: &[(&str, &str)] = &[("STRONGROOM_LIMITS__ANONYMOUS", "1000000/1h")];

const ATTACK: &str = "/api/v1/accounts?cursor=1%2527%20un%2569on%20select%20password,2%20from%20users--";
const HONEST: &str = "/api/v1/accounts?cursor=O%27Brien";

stories! {
    with BLOCKING;
    an_attack_in_the_address_is_refused_under_a_number_that_operators_find,
    what_people_write_in_a_memo_is_never_refused,
}

/// The events of recognised attacks.
async fn seen(auditor: &Person, filter: &str) -> Vec<Value> {
    let path = format!("/api/v1/admin/security-events?kind=attack_recognised{filter}");
    let answer = auditor.client.get(&path).await.expect(200);
    answer.body["data"].as_array().unwrap().clone()
}

async fn agent(who: &Client, path: &str) -> reqwest::RequestBuilder {
    who.request(Method::GET, path).header("user-agent", "a browser")
}

async fn an_attack_in_the_address_is_refused_under_a_number_that_operators_find(server: Server) {
    let alice = server.customer("alice").await;
    let auditor = server.operator("auditor").await;
    let here = server.client_from("127.0.0.2");
    here.send(agent(&here, HONEST).await)
        .await
        .refused(401, "unauthenticated");
    assert_eq!(seen(&auditor, "").await, Vec::<Value>::new());

    let first = here
        .send(agent(&here, ATTACK).await)
        .await
        .refused(403, "attack_suspected");
    let number = first.text("incident_id");
    assert!(!format!("{:?}", first.body).contains("union"), "{first:?}");
    let found = seen(&auditor, &format!("&incident_id={number}")).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["id"], number);
    assert_eq!(found[0]["address"], "127.0.0.2");
    let incident = &found[0]["incident"];
    assert_eq!(
        (&incident["attack"], &incident["refused"]),
        (&json!("sql"), &json!(true))
    );
    assert_eq!(incident["request_id"], first.header("x-request-id").unwrap());
    assert!(!format!("{found:?}").contains("password,2"));
    // A number is no secret, and worth nothing to others.
    let path = format!("/api/v1/admin/security-events?incident_id={number}");
    alice.client.get(&path).await.refused(403, "forbidden");
    auditor
        .client
        .get("/api/v1/admin/security-events?incident_id=nonsense")
        .await
        .refused(400, "validation_failed");

    // A session does not make an attack honest, and its honest requests are served.
    alice.client.get(ATTACK).await.refused(403, "attack_suspected");
    alice.client.get("/api/v1/accounts").await.expect(200);

    // Whoever goes on hears no more numbers; each is noted all the same.
    here.send(agent(&here, ATTACK).await)
        .await
        .refused(403, "attack_suspected");
    let third = here
        .send(agent(&here, ATTACK).await)
        .await
        .refused(429, "rate_limited");
    assert_eq!(third.body.get("incident_id"), None);
    assert_eq!(seen(&auditor, "&address=127.0.0.2").await.len(), 3);
    here.send(agent(&here, HONEST).await)
        .await
        .refused(401, "unauthenticated");
}

async fn what_people_write_in_a_memo_is_never_refused(server: Server) {
    let (alice, bob, teller) = (
        server.customer("alice").await,
        server.customer("bob").await,
        server.operator("teller").await,
    );
    let auditor = server.operator("auditor").await;
    let (from, to) = (alice.account("Household").await, bob.account("O'Brien").await);
    teller.deposit(&from, 10_000).await.expect(201);
    let transfer = async |memo: &str| {
        let mut body = transfer_body(&from, &to, 100);
        body["description"] = json!(memo);
        let posted = alice
            .client
            .post_once("/api/v1/transfers", &new_key(), body)
            .await;
        posted.expect(201)
    };
    for memo in [
        "update the lease",
        "select committee",
        "O'Brien",
        "2 > 1 = true",
        "Drop-off fee; thanks!",
    ] {
        transfer(memo).await;
    }
    assert_eq!(seen(&auditor, "").await, Vec::<Value>::new());
    // A teacher pays for an example: it is noted, and booked.
    let posted = transfer("' UNION SELECT password FROM users --").await;
    let found = seen(&auditor, "").await;
    assert_eq!(found.len(), 1, "{found:?}");
    let incident = &found[0]["incident"];
    assert_eq!(incident["request_id"], posted.header("x-request-id").unwrap());
    assert_eq!(
        (&incident["route"], &incident["refused"]),
        (&json!("/api/v1/transfers"), &json!(false))
    );
    assert!(
        incident["principal"]
            .as_str()
            .is_some_and(|id| id.starts_with("user_")),
        "{incident}"
    );
    // Secrets are not looked at.
    let login = json!({"email": alice.email, "password": "' UNION SELECT password FROM users --"});
    server
        .client()
        .post("/api/v1/auth/login", login)
        .await
        .refused(401, "invalid_credentials");
    assert_eq!(seen(&auditor, "").await.len(), 1);
}

mod observing {
    use super::*;

    stories! {
        with OBSERVING;
        attacks_are_only_noted_and_make_a_stranger_suspicious,
    }

    async fn attacks_are_only_noted_and_make_a_stranger_suspicious(server: Server) {
        let admin = server.operator("admin").await;
        let here = server.client_from("127.0.0.2");
        here.send(agent(&here, ATTACK).await)
            .await
            .refused(401, "unauthenticated");
        let found = seen(&admin, "&address=127.0.0.2").await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["incident"]["refused"], false);
        // With two other kinds of signal an attack is what blocks.
        let wrong = json!({"email": "nobody@example.com", "password": "wrong"});
        join_all((0..3).map(async |_| here.post("/api/v1/auth/login", wrong.clone()).await)).await;
        join_all((0..4).map(async |_| here.get(ATTACK).await)).await;
        join_all((0..2).map(async |_| here.get("/.env").await)).await;
        here.get(ATTACK).await.refused(429, "rate_limited");
        let blocks = admin.client.get("/api/v1/admin/blocks").await.expect(200);
        let signals = blocks.body["data"][0]["signals"].as_array().unwrap().clone();
        assert!(signals.contains(&json!("detection")), "{blocks:?}");
    }
}
