//! Why support reads about customers, and who reads about too many.

use serde_json::{Value, json};

use crate::audit_explorer::grown;
use crate::harness::{BUSY, Person, Server, awaited, stories};

/// Longest wait until a decision is written.
/// Three people are too many.
const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_ACCESS__READERS_PEOPLE_MAX", "2"),
];

stories!(
    with SETTINGS;
    support_reads_for_a_reason_that_is_kept,
    who_reads_about_too_many_people_is_named,
    who_takes_the_log_away_is_named,
    who_goes_through_the_log_page_by_page_is_named,
    who_takes_the_events_away_is_named_and_who_follows_them_is_not,
);

async fn decisions(auditor: &Person, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/admin/decisions?{query}");
    let listed = auditor.client.get(&path).await.expect(200);
    listed.body["data"].as_array().unwrap().clone()
}

/// Asks until a portion of decisions was written.
async fn decided(auditor: &Person, query: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    awaited("decisions", async || {
        Some(decisions(auditor, query).await).filter(|found| enough(found))
    })
    .await
}

async fn support_reads_for_a_reason_that_is_kept(server: Server) {
    let alice = server.customer("alice").await;
    let account = alice.account("Main").await;
    let path = format!("/api/v1/accounts/{}", account["id"].as_str().unwrap());
    let (support, auditor) = (server.operator("support").await, server.operator("auditor").await);
    let (reader, whose) = (support.id().await, alice.id().await);
    support.client.get(&path).await.expect(200);

    let silent = support.client.with_reason(None);
    let users = format!("/api/v1/admin/users?email={}", alice.email);
    for read in [
        path.as_str(),
        &users,
        "/api/v1/admin/accounts",
        &format!("{path}/transactions"),
    ] {
        silent.get(read).await.refused(403, "reason_required");
    }
    for wrong in [String::new(), " ".to_owned(), "a".repeat(201)] {
        let request = silent.request(reqwest::Method::GET, &path);
        let refused = silent.send(request.header("X-Access-Reason", wrong)).await;
        let refused = refused.refused(400, "validation_failed");
        assert_eq!(
            refused.body["errors"][0]["pointer"], "X-Access-Reason:",
            "{refused:?}"
        );
    }
    // About oneself, and for those who serve at the counter, there is nothing to explain.
    silent.get("/api/v1/me").await.expect(200);
    server
        .operator("teller")
        .await
        .client
        .get(&path)
        .await
        .expect(200);
    // A reason opens nothing: it is for those who may.
    let request = support.client.request(
        reqwest::Method::POST,
        &format!("/api/v1/admin{}/freeze", &path[7..]),
    );
    support.client.send(request).await.refused(403, "forbidden");

    let query = format!("principal={reader}&action=account.read");
    let found = decided(&auditor, &query, |found| {
        let of = |word: &str| found.iter().any(|one| one["decision"] == word);
        of("allow") && of("deny")
    })
    .await;
    let allowed = found.iter().find(|one| one["decision"] == "allow").unwrap();
    assert_eq!(
        (&allowed["reason"], &allowed["about"]),
        (&json!("ticket 1042"), &json!(whose))
    );
    let denied = found.iter().find(|one| one["decision"] == "deny").unwrap();
    assert!(denied.get("reason").is_none(), "{denied}");
    // Both are decided the same again: the reason is a fact.
    for decision in [allowed, denied] {
        let path = format!(
            "/api/v1/admin/decisions/{}/evaluate",
            decision["id"].as_str().unwrap()
        );
        let request = auditor.client.request(reqwest::Method::POST, &path);
        let again = auditor.client.send(request).await.expect(200);
        assert_eq!(again.body["same"], true, "{again:?}");
    }
}

async fn told(auditor: &Person) -> Vec<Value> {
    let path = "/api/v1/admin/security-events?kind=reads_out_of_pattern";
    let listed = auditor.client.get(path).await.expect(200);
    listed.body["data"].as_array().unwrap().clone()
}

async fn told_in_time(auditor: &Person) -> Vec<Value> {
    awaited("an event", async || {
        Some(told(auditor).await).filter(|found| !found.is_empty())
    })
    .await
}

/// The log tells of everybody: a section of it counts as a page of people.
async fn who_takes_the_log_away_is_named(server: Server) {
    let auditor = server.operator("auditor").await;
    let reader = auditor.id().await;
    auditor
        .client
        .get("/api/v1/admin/audit/records")
        .await
        .expect(200);
    assert_eq!(told(&auditor).await, Vec::<Value>::new());
    let export = "/api/v1/admin/audit/exports";
    grown(&auditor, 0).await;
    auditor.client.post(export, json!({"limit": 1})).await.expect(200);
    let found = told_in_time(&auditor).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let incident = &found[0]["incident"];
    assert_eq!(
        (&incident["principal"], &incident["score"]),
        (&json!(reader), &json!(5))
    );
}

/// A look at what happened just now is nobody's business; going through the log is as taking it away.
async fn who_goes_through_the_log_page_by_page_is_named(server: Server) {
    let (auditor, looker) = (server.operator("auditor").await, server.operator("auditor").await);
    let reader = auditor.id().await;
    let page = "/api/v1/admin/audit/records?limit=1";
    let first = auditor.client.get(page).await.expect(200);
    // Checkpoints and proofs are no pages.
    for one in ["checkpoint", "consistency?from=1"] {
        let path = format!("/api/v1/admin/audit/{one}");
        auditor.client.get(&path).await;
    }
    let noted = format!("principal={reader}&action=audit.browse");
    decided(&looker, &noted, |found| found.len() == 1).await;
    assert_eq!(told(&looker).await, Vec::<Value>::new());
    let next = format!("{page}&cursor={}", first.text("next_cursor"));
    auditor.client.get(&next).await.expect(200);
    let found = told_in_time(&looker).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let incident = &found[0]["incident"];
    assert_eq!(
        (&incident["principal"], &incident["score"]),
        (&json!(reader), &json!(5))
    );
}

/// Whoever asks again and again for what happened since does so all day; a history is taken away once.
async fn who_takes_the_events_away_is_named_and_who_follows_them_is_not(server: Server) {
    let (auditor, looker) = (server.operator("auditor").await, server.operator("auditor").await);
    let reader = auditor.id().await;
    let page = "/api/v1/admin/security/events";
    let at_the_end = awaited("events", async || {
        let whole = auditor.client.get(&format!("{page}?limit=100")).await.expect(200);
        assert_eq!(whole.body["caught_up"], true);
        let events = whole.body["data"].as_array().unwrap().len();
        (events > 3).then_some(whole)
    })
    .await;
    for _ in 0..5 {
        let next = format!("{page}?cursor={}", at_the_end.text("next_cursor"));
        auditor.client.get(&next).await.expect(200);
    }
    let followed = format!("principal={reader}&action=security_event.read");
    decided(&looker, &followed, |found| found.len() >= 6).await;
    assert_eq!(told(&looker).await, Vec::<Value>::new());
    for _ in 0..2 {
        let part = auditor.client.get(&format!("{page}?limit=1")).await.expect(200);
        assert_eq!(part.body["caught_up"], false);
    }
    let found = told_in_time(&looker).await;
    assert_eq!(found[0]["incident"]["principal"], json!(reader), "{found:?}");
}

async fn who_reads_about_too_many_people_is_named(server: Server) {
    let (teller, auditor) = (server.operator("teller").await, server.operator("auditor").await);
    let reader = teller.id().await;
    let query = format!("principal={reader}&action=account.read");
    let mut paths = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let account = server.customer(name).await.account("Main").await;
        paths.push(format!("/api/v1/accounts/{}", account["id"].as_str().unwrap()));
    }
    // Two people, one of them again and again.
    for path in [&paths[0], &paths[1], &paths[0], &paths[0]] {
        teller.client.get(path).await.expect(200);
    }
    decided(&auditor, &query, |found| found.len() == 4).await;
    assert_eq!(told(&auditor).await, Vec::<Value>::new());
    teller.client.get(&paths[2]).await.expect(200);
    let found = told_in_time(&auditor).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let incident = &found[0]["incident"];
    assert_eq!(
        (&incident["principal"], &incident["score"]),
        (&json!(reader), &json!(3))
    );
    // Nobody is stopped.
    teller.client.get(&paths[2]).await.expect(200);
}
