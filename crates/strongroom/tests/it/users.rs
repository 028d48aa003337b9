//! Operators on users: read with their sessions by whoever may, and nobody is given more by a field that nobody has.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    grants::in_seconds,
    harness::{Answer, Person, Server, decide, stories},
};

const USERS: &str = "/api/v1/admin/users";
/// An id that names nobody.
const NOBODY: &str = "user_01h455vb4pex5vsknk084sn02q";

/// New administrators decide at once.
const SETTINGS: &[(&str, &str)] = &[("STRONGROOM_APPROVALS__BOOTSTRAP", "true")];

stories!(
    with SETTINGS;
    a_user_and_the_sessions_are_read_by_whoever_may,
    a_field_that_would_give_more_is_refused_and_gives_nothing,
    the_last_who_administrates_for_good_is_neither_stopped_nor_robbed,
);

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

async fn a_user_and_the_sessions_are_read_by_whoever_may(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let admin = server.operator("admin").await;
    let (support, auditor) = (server.operator("support").await, server.operator("auditor").await);
    let id = alice.id().await;
    let path = format!("{USERS}/{id}");
    let read = admin.client.get(&path).await.expect(200);
    assert_eq!(
        (&read.body["id"], &read.body["email"]),
        (&json!(id), &json!("alice@example.com"))
    );
    let listed = admin
        .client
        .get(&format!("{USERS}?email=alice%40example.com"))
        .await
        .expect(200);
    assert_eq!(listed.body["data"][0], read.body);
    let fields = [
        "created_at",
        "department",
        "email",
        "full_name",
        "id",
        "mfa",
        "roles",
        "state",
    ];
    assert_eq!(names(&read.body), BTreeSet::from(fields));
    // Support says why; an auditor needs no name.
    support.client.get(&path).await.expect(200);
    support
        .client
        .with_reason(None)
        .get(&path)
        .await
        .refused(403, "reason_required");
    let audited = auditor.client.get(&path).await.expect(200);
    assert!(audited.body.get("email").is_none() && audited.body.get("full_name").is_none());
    for nobody in [&alice, &bob] {
        nobody.client.get(&path).await.refused(403, "forbidden");
    }
    admin
        .client
        .get(&format!("{USERS}/{NOBODY}"))
        .await
        .refused(404, "not_found");
    bob.client
        .get(&format!("{USERS}/{NOBODY}"))
        .await
        .refused(403, "forbidden");

    let again = server.login(&alice.email, &alice.password).await;
    let sessions = format!("{path}/sessions");
    let seen = admin.client.get(&sessions).await.expect(200);
    let found = seen.body["data"].as_array().unwrap();
    let ids: Vec<&str> = found.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        [&again, &alice].map(|person| person.tokens["session_id"].as_str().unwrap())
    );
    assert!(found.iter().all(|one| one["current"] == false), "{found:?}");
    assert_eq!(found[0]["user_agent"], "strongroom-tests");
    let first = admin.client.get(&format!("{sessions}?limit=1")).await.expect(200);
    let next = format!("{sessions}?limit=1&cursor={}", first.text("next_cursor"));
    let second = admin.client.get(&next).await.expect(200);
    assert_eq!(second.body["data"][0]["id"], ids[1]);
    for other in [&support, &auditor, &alice] {
        other.client.get(&sessions).await.refused(403, "forbidden");
    }
    admin
        .client
        .get(&format!("{USERS}/{NOBODY}/sessions"))
        .await
        .refused(404, "not_found");
    // Ended ones are gone.
    let end = admin.client.request(Method::DELETE, &sessions);
    admin.client.send(end).await.expect(204);
    let none = admin.client.get(&sessions).await.expect(200);
    assert_eq!(none.body["data"], json!([]));
    alice.client.get("/api/v1/me").await.refused(401, "token_invalid");
}

async fn change(person: &Person, method: Method, path: &str, body: Value) -> Answer {
    let request = person.client.request(method, path).json(&body);
    person.client.send(request).await
}

async fn a_field_that_would_give_more_is_refused_and_gives_nothing(server: Server) {
    let alice = server.customer("alice").await;
    let (admin, sue) = (server.operator("admin").await, server.operator("support").await);
    let (hers, sues) = (alice.id().await, sue.id().await);
    let more = [
        ("roles", json!(["admin"])),
        ("role", json!("admin")),
        ("state", json!("active")),
        ("id", json!(NOBODY)),
        ("mfa", json!([])),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("__proto__", json!({"role": "admin"})),
    ];
    let bodies = [
        (
            &alice,
            Method::PATCH,
            "/api/v1/me".to_owned(),
            json!({"full_name": "Alice Other"}),
        ),
        (
            &sue,
            Method::PATCH,
            "/api/v1/me".to_owned(),
            json!({"full_name": "Sue Other"}),
        ),
        (
            &admin,
            Method::PUT,
            format!("{USERS}/{sues}/department"),
            json!({"department": "north"}),
        ),
        (
            &admin,
            Method::POST,
            format!("{USERS}/{hers}/lock"),
            json!({"reason": "asked for by phone"}),
        ),
    ];
    let before = [&hers, &sues].map(|id| format!("{USERS}/{id}"));
    let look = async || {
        let mut seen = Vec::new();
        for path in &before {
            seen.push(admin.client.get(path).await.expect(200).body);
        }
        seen
    };
    let was = look().await;
    for (person, method, path, good) in &bodies {
        for (field, value) in &more {
            let mut body = good.clone();
            body[*field] = value.clone();
            let refused = change(person, method.clone(), path, body).await;
            let refused = refused.refused(400, "validation_failed");
            let pointer = &refused.body["errors"][0]["pointer"];
            assert_eq!(pointer, &format!("/{field}"), "{refused:?}");
        }
        // Nothing to change is no change.
        if *method != Method::PUT {
            change(person, method.clone(), path, json!({}))
                .await
                .refused(400, "validation_failed");
        }
    }
    assert_eq!(look().await, was);
    let ghost = change(&admin, Method::PATCH, &before[1], json!({"role": "admin"})).await;
    ghost.refused(405, "method_not_allowed");
    // Each without the field is a good one.
    for (person, method, path, good) in bodies {
        change(person, method, &path, good).await.expect(200);
    }
}

async fn the_last_who_administrates_for_good_is_neither_stopped_nor_robbed(server: Server) {
    let (maker, other) = (server.operator("admin").await, server.operator("admin").await);
    let sue = server.operator("support").await;
    let (makers, others, sues) = (maker.id().await, other.id().await, sue.id().await);
    // Sue administrates for an hour.
    let body = json!({"role": "admin", "expires_at": in_seconds(3_600)});
    let asked = maker.client.post(&format!("{USERS}/{sues}/grants"), body).await;
    let approval = asked.expect(202).text("approval_id");
    decide(&other, &approval, "approve").await.expect(200);
    let stop = async |who: &Person, whom: &str, verb: &str| {
        let path = format!("{USERS}/{whom}/{verb}");
        who.client.post(&path, json!({"reason": "leaves the bank"})).await
    };
    stop(&maker, &others, "disable").await.expect(200);
    // Nobody but the maker administrates for good: not by either way.
    for verb in ["lock", "disable"] {
        stop(&sue, &makers, verb).await.refused(409, "last_administrator");
    }
    let grants = format!("{USERS}/{makers}/grants");
    let held = sue.client.get(&grants).await.expect(200);
    let grant = held.body["data"][0]["id"].as_str().unwrap().to_owned();
    let take = || sue.client.request(Method::DELETE, &format!("{grants}/{grant}"));
    sue.client.send(take()).await.refused(409, "last_administrator");
    maker.client.get(USERS).await.expect(200);
    // With another one it is no more than leaving.
    stop(&maker, &others, "enable").await.expect(200);
    sue.client.send(take()).await.expect(204);
    maker.client.get(USERS).await.refused(403, "forbidden");
}
