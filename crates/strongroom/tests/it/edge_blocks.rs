//! Addresses that behave like scanners are refused for a while, sessions go on, and operators see and lift it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, browser::Browser, people::new_key, stories, until};

/// What is tested here is not how often somebody may ask.
const SETTINGS: &[(&str, &str)] = &[
    ("STRONGROOM_LIMITS__ANONYMOUS", "1000000/1h"),
    ("STRONGROOM_BLOCKS__ALLOW", "127.0.0.7"),
];
/// Another scanner is only watched.
const OBSERVED: &[(&str, &str)] = &[
    ("STRONGROOM_LIMITS__ANONYMOUS", "1000000/1h"),
    ("STRONGROOM_BLOCKS__MODE", "observe"),
];

stories! {
    with SETTINGS;
    a_scanner_is_blocked_until_an_operator_lifts_it_and_a_session_goes_on,
    what_only_looks_like_a_credential_does_nothing_from_a_blocked_address,
}

/// What scanners send as credentials.
const JUNK: &[(&str, &str)] = &[
    ("cookie", "a=b"),
    ("cookie", "__Host-sid=junk"),
    ("authorization", "Bearer no.such.token"),
    ("x-api-key", "sr_test_0"),
    ("x-api-key-id", "key_0"),
];

async fn blocks(who: &Client) -> Vec<Value> {
    let answer = who.get("/api/v1/admin/blocks").await.expect(200);
    answer.body["data"].as_array().unwrap().clone()
}

fn is_blocked(answer: &Answer) -> bool {
    answer.status == 429 && answer.text("detail").ends_with("from this address.")
}

async fn a_scanner_is_blocked_until_an_operator_lifts_it_and_a_session_goes_on(server: Server) {
    let alice = server.customer("alice").await;
    let (admin, auditor) = (server.operator("admin").await, server.operator("auditor").await);
    let (here, spared) = (server.client_from("127.0.0.2"), server.client_from("127.0.0.7"));
    here.get("/nothing").await.refused(404, "not_found");
    assert_eq!(blocks(&admin.client).await, Vec::<Value>::new());
    here.scan().await;
    spared.scan().await;

    let refused = here.get("/nothing").await.refused(429, "rate_limited");
    assert!(is_blocked(&refused), "{refused:?}");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    let login = json!({"email": alice.email, "password": alice.password});
    assert!(is_blocked(&here.post("/api/v1/auth/login", login.clone()).await));
    assert!(is_blocked(&here.get("/.well-known/jwks.json").await));
    assert!(is_blocked(
        &here.with_token("no.such.token").get("/api/v1/me").await
    ));
    here.get("/livez").await.expect(200);
    // A session is valid wherever it is used from, and other addresses are served.
    let known = here.with_token(alice.client.token());
    known.get("/api/v1/me").await.expect(200);
    assert!(
        is_blocked(&known.post("/api/v1/auth/login", login.clone()).await),
        "a login is no session"
    );
    server
        .client_from("127.0.0.3")
        .post("/api/v1/auth/login", login.clone())
        .await
        .expect(200);
    spared.get("/nothing").await.refused(404, "not_found");

    let found = blocks(&auditor.client).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["address"], "127.0.0.2");
    assert_eq!(found[0]["count"], 1);
    let block = "/api/v1/admin/blocks/127.0.0.2";
    let lift = async |who: &Client, path: &str| who.send(who.request(Method::DELETE, path)).await;
    lift(&auditor.client, block).await.refused(403, "forbidden");
    lift(&alice.client, block).await.refused(403, "forbidden");
    alice
        .client
        .get("/api/v1/admin/blocks")
        .await
        .refused(403, "forbidden");
    assert!(is_blocked(&here.get("/nothing").await), "a refusal lifts nothing");
    for other in ["127.0.0.3", "no-address"] {
        lift(&admin.client, &format!("/api/v1/admin/blocks/{other}"))
            .await
            .refused(404, "not_found");
    }
    lift(&admin.client, block).await.expect(204);
    here.get("/nothing").await.refused(404, "not_found");
    here.post("/api/v1/auth/login", login).await.expect(200);
    lift(&admin.client, block).await.refused(404, "not_found");
    // Whoever follows the feed sees which address it was, and who lifted it.
    let feed = async |kind: &str| {
        let path = format!("/api/v1/admin/security/events?kind={kind}");
        let page = auditor.client.get(&path).await.expect(200);
        page.body["data"].as_array().unwrap().clone()
    };
    until("both events", async || {
        feed("address_blocked").await.len() == 1 && feed("block_lifted").await.len() == 1
    })
    .await;
    let (blocked, lifted) = (feed("address_blocked").await, feed("block_lifted").await);
    assert_eq!(
        (&blocked[0]["address"], &blocked[0]["outcome"]),
        (&json!("127.0.0.2"), &json!("refused"))
    );
    assert_eq!(lifted[0]["object"], "127.0.0.2");
    assert_eq!(lifted[0]["principal"], admin.id().await);
    let lifts = async || {
        let path = "/api/v1/admin/audit/records?limit=20";
        let records = auditor.client.get(path).await.expect(200);
        let records = records.body["data"].as_array().unwrap().clone();
        records
            .iter()
            .filter(|record| record["action"] == "block.lift")
            .count()
    };
    // The log is sealed in the background.
    until("a sealed record", async || lifts().await > 0).await;
    assert_eq!(lifts().await, 1);
}

async fn what_only_looks_like_a_credential_does_nothing_from_a_blocked_address(server: Server) {
    let alice = server.customer("alice").await;
    let admin = server.operator("admin").await;
    let here = server.client_from("127.0.0.2");
    let browser = Browser::at(&server, "127.0.0.2".parse().unwrap());
    let fields = [
        ("email", alice.email.as_str()),
        ("password", alice.password.as_str()),
    ];
    browser.fill("/login", "/login", &fields).await.leads_to("/");
    here.scan().await;
    let token_mails = |email: &str| {
        let mails = server.mails_to(email);
        mails.iter().filter(|mail| mail.contains("Token:")).count()
    };
    let mails = token_mails(&alice.email);
    let new = format!("{}@example.com", new_key());
    for (name, value) in JUNK {
        for (path, body) in [
            (
                "register",
                json!({"email": new, "password": "blocked-horse-battery-1", "full_name": "Nobody"}),
            ),
            (
                "login",
                json!({"email": alice.email, "password": "wrong-horse-battery-1"}),
            ),
            ("password/forgot", json!({"email": alice.email})),
            (
                "password/reset",
                json!({"token": "0", "new_password": "blocked-horse-battery-1"}),
            ),
            (
                "password/change",
                json!({"current_password": "x", "new_password": "blocked-horse-battery-1"}),
            ),
        ] {
            let request = here.request(Method::POST, &format!("/api/v1/auth/{path}"));
            let answer = here.send(request.header(*name, *value).json(&body)).await;
            assert!(is_blocked(&answer), "{path} with {name}: {answer:?}");
        }
    }
    for event in ["login_failed", "mail_token_refused"] {
        assert!(!server.logged().contains(event), "{event}");
    }
    let junk = json!({"refresh_token": "junk"});
    for path in ["/api/v1/auth/refresh", "/api/v1/auth/logout"] {
        assert!(is_blocked(&here.post(path, junk.clone()).await), "{path}");
    }

    // Whoever has a session goes on with all of it: reading, changing, renewing, in a program and in a browser.
    let known = here.with_token(alice.client.token());
    known.get("/api/v1/me").await.expect(200);
    let name = json!({"full_name": "Alice Behind"});
    known.patch("/api/v1/me", name).await.expect(200);
    let tokens = json!({"refresh_token": alice.tokens["refresh_token"]});
    let renewed = here.post("/api/v1/auth/refresh", tokens).await.expect(200);
    let known = here.with_token(&renewed.text("access_token"));
    known.get("/api/v1/me").await.expect(200);
    let wrong = json!({"current_password": "wrong-horse-battery-1", "new_password": "other-horse-battery-2"});
    let looked_at = known.post("/api/v1/auth/password/change", wrong).await;
    assert!(!is_blocked(&looked_at), "{looked_at:?}");
    browser.get("/").await.expect(200);
    browser.get("/login").await.expect(429);
    let tokens = json!({"refresh_token": renewed.text("refresh_token")});
    here.post("/api/v1/auth/logout", tokens).await.expect(204);
    known.get("/api/v1/me").await.expect(429);

    // Nothing of what was refused has happened: nobody is new, and nobody got a mail.
    let found = format!("/api/v1/admin/users?email={new}");
    let found = admin.client.get(&found).await.expect(200);
    assert_eq!(found.body["data"], json!([]), "{found:?}");
    assert_eq!((token_mails(&alice.email), token_mails(&new)), (mails, 0));
}

mod observed {
    use super::*;

    stories! {
        with OBSERVED;
        a_simulation_shows_who_would_be_blocked_and_refuses_nobody,
    }

    async fn a_simulation_shows_who_would_be_blocked_and_refuses_nobody(server: Server) {
        let admin = server.operator("admin").await;
        let here = server.client_from("127.0.0.2");
        here.scan().await;
        here.get("/nothing").await.refused(404, "not_found");
        let shown = admin.client.get("/api/v1/admin/blocks").await.expect(200);
        assert_eq!(shown.body["enforced"], false);
        assert_eq!(shown.body["data"][0]["address"], "127.0.0.2");
    }
}
