//! Customers are told of what happens to their money: once, by the ways that they chose, whatever happens to the
//! server.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, BUSY, Engine, Person, Server, people::new_key, stories},
    payments::euros,
};

const NOTICES: &str = "/api/v1/me/notices";
const PREFERENCES: &str = "/api/v1/me/notice-preferences";
const SECONDS: u64 = 30;

stories! {
    with BUSY;
    both_sides_of_a_payment_are_told_once_and_nobody_else_is,
    a_customer_chooses_by_which_ways_and_a_thief_hides_nothing,
    notices_are_read_in_pages_and_taken_note_of_by_their_reader,
    whatever_is_killed_everybody_is_told_once,
}

async fn page(person: &Person, query: &str) -> Answer {
    person.client.get(&format!("{NOTICES}?{query}")).await.expect(200)
}

/// What somebody was told of an event, oldest first.
pub(crate) async fn told(person: &Person, event: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = page(person, &format!("limit=100{cursor}")).await;
        found.extend(answer.body["data"].as_array().unwrap().iter().cloned());
        match answer.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    found.retain(|notice| notice["event"] == event);
    found.reverse();
    found
}

/// Waits until somebody was told of an event so often.
pub(crate) async fn until_told(person: &Person, event: &str, times: usize) -> Vec<Value> {
    let found = async {
        loop {
            let found = told(person, event).await;
            if found.len() >= times {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(SECONDS), found)
        .await
        .expect("a notice in time")
}

struct Town {
    alice: Person,
    bob: Person,
    teller: Person,
    from: Value,
    to: Value,
}

async fn town(server: &Server) -> Town {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    teller.deposit(&from, 1_000_000).await.expect(201);
    Town {
        alice,
        bob,
        teller,
        from,
        to,
    }
}

async fn prefer(person: &Person, event: &str, app: bool, mail: bool) -> Answer {
    let body = json!({"events": [{"event": event, "app": app, "mail": mail}]});
    let request = person.client.request(Method::PUT, PREFERENCES).json(&body);
    person.client.send(request).await
}

async fn both_sides_of_a_payment_are_told_once_and_nobody_else_is(server: Server) {
    let town = town(&server).await;
    let small = town.alice.transfer(&new_key(), &town.from, &town.to, 9_999).await;
    let large = town
        .alice
        .transfer(&new_key(), &town.from, &town.to, 10_000)
        .await;
    let (small, large) = (small.expect(201).text("id"), large.expect(201).text("id"));
    let refused = town
        .alice
        .transfer(&new_key(), &town.from, &town.to, 9_000_000)
        .await;
    refused.refused(422, "insufficient_funds");
    let came = until_told(&town.bob, "money_received", 2).await;
    assert_eq!(
        [&came[0]["subject_id"], &came[1]["subject_id"]],
        [&json!(small), &json!(large)]
    );
    assert_eq!(
        (&came[1]["amount"], &came[1]["says"], &came[1]["read_at"]),
        (&euros(10_000), &json!("You received 100.00 EUR."), &Value::Null)
    );
    let went = until_told(&town.alice, "money_sent", 1).await;
    assert_eq!(went.len(), 1, "less than a hundred euros are nobody's news");
    assert_eq!(went[0]["subject_id"], json!(large));
    // The cash that was brought, and nothing of Bob's.
    let cash = told(&town.alice, "money_received").await;
    assert_eq!((cash.len(), &cash[0]["amount"]), (1, &euros(1_000_000)));
    let mail = server.mail_with(&town.alice.email, "Money went out").await;
    assert!(mail.contains("100.00 EUR left one of your accounts."), "{mail}");
    assert!(told(&town.bob, "money_sent").await.is_empty());
    assert!(told(&town.teller, "money_received").await.is_empty());
    // Money between accounts of one's own is no news, a hold is.
    let own = town.alice.account("Savings").await;
    town.alice
        .transfer(&new_key(), &town.from, &own, 50_000)
        .await
        .expect(201);
    let hold = json!({"account_id": town.from["id"], "to_account_id": town.to["id"], "amount": euros(700)});
    let hold = town
        .alice
        .client
        .post_once("/api/v1/holds", &new_key(), hold)
        .await
        .expect(201);
    let held = until_told(&town.alice, "hold_placed", 1).await;
    assert_eq!(
        (&held[0]["subject_id"], &held[0]["amount"]),
        (&hold.body["id"], &euros(700))
    );
    assert_eq!(told(&town.alice, "money_sent").await.len(), 1);
    assert_eq!(told(&town.bob, "money_received").await.len(), 2);
}

async fn a_customer_chooses_by_which_ways_and_a_thief_hides_nothing(server: Server) {
    let town = town(&server).await;
    let known = town.alice.client.get(PREFERENCES).await.expect(200);
    assert!(known.body["events"].as_array().unwrap().len() >= 10);
    for event in ["security", "limits_changed"] {
        let refused = prefer(&town.alice, event, true, false).await;
        let refused = refused.refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], "/events/0");
        prefer(&town.alice, event, true, true).await.expect(200);
    }
    prefer(&town.alice, "everything", true, true)
        .await
        .refused(400, "validation_failed");
    prefer(&town.alice, "money_sent", false, true).await.expect(200);
    let set = prefer(&town.bob, "money_received", false, false)
        .await
        .expect(200);
    let wish = |name: &str| {
        let events = set.body["events"].as_array().unwrap();
        events.iter().find(|wish| wish["event"] == name).unwrap().clone()
    };
    assert_eq!(
        wish("money_received"),
        json!({"event": "money_received", "app": false, "mail": false})
    );
    assert_eq!(wish("money_sent")["mail"], true, "what is not named stays");
    town.alice
        .transfer(&new_key(), &town.from, &town.to, 20_000)
        .await
        .expect(201);
    server
        .mail_with(&town.alice.email, "200.00 EUR left one of your accounts.")
        .await;
    // What came later was told: so was everything before it.
    let limits = json!({"daily": euros(90_000)});
    let request = town
        .alice
        .client
        .request(Method::PUT, "/api/v1/limits")
        .json(&limits);
    town.alice.client.send(request).await.expect(200);
    until_told(&town.alice, "limits_changed", 1).await;
    server
        .mail_with(&town.alice.email, "Your limits were changed")
        .await;
    assert!(told(&town.alice, "money_sent").await.is_empty());
    assert!(told(&town.bob, "money_received").await.is_empty());
    // What is mailed about a login is in the list with the deed itself.
    let mut bob = town.bob;
    let change = json!({"current_password": bob.password, "new_password": "osprey-58-lantern-quilt-harbour"});
    bob.client
        .post("/api/v1/auth/password/change", change)
        .await
        .expect(204);
    bob = server.login(&bob.email, "osprey-58-lantern-quilt-harbour").await;
    let security = told(&bob, "security").await;
    assert_eq!(security[0]["says"], "Your password was changed.");
}

async fn notices_are_read_in_pages_and_taken_note_of_by_their_reader(server: Server) {
    let town = town(&server).await;
    for minor in 1..=5 {
        town.alice
            .transfer(&new_key(), &town.from, &town.to, minor)
            .await
            .expect(201);
    }
    until_told(&town.bob, "money_received", 5).await;
    let first = page(&town.bob, "limit=2").await;
    let cursor = first.text("next_cursor");
    let second = page(&town.bob, &format!("limit=3&cursor={cursor}")).await;
    assert_eq!([&first, &second].map(amounts_of).concat(), [5, 4, 3, 2, 1]);
    assert_eq!(
        (&second.body["next_cursor"], &second.body["unread"]),
        (&Value::Null, &json!(5))
    );
    let id = first.body["data"][0]["id"].as_str().unwrap();
    let path = format!("{NOTICES}/{id}/read");
    town.alice
        .client
        .post(&path, json!({}))
        .await
        .refused(404, "not_found");
    for _ in 0..2 {
        town.bob.client.post(&path, json!({})).await.expect(204);
    }
    let third = second.body["data"][0]["id"].as_str().unwrap();
    let path = format!("{NOTICES}/{third}/read");
    town.bob.client.post(&path, json!({})).await.expect(204);
    let left = page(&town.bob, "unread=true&limit=100").await;
    assert_eq!(
        (amounts_of(&left), &left.body["unread"]),
        (vec![4, 2, 1], &json!(3))
    );
    // What was read stays in its place among the rest.
    let newest = page(&town.bob, "limit=2").await;
    let older = page(
        &town.bob,
        &format!("limit=2&cursor={}", newest.text("next_cursor")),
    )
    .await;
    let oldest = page(
        &town.bob,
        &format!("limit=2&cursor={}", older.text("next_cursor")),
    )
    .await;
    assert_eq!(
        [&newest, &older, &oldest].map(amounts_of).concat(),
        [5, 4, 3, 2, 1]
    );
    assert!(newest.body["data"][0]["read_at"].is_string());
    assert!(newest.body["data"][1]["read_at"].is_null());
}

fn amounts_of(page: &Answer) -> Vec<i64> {
    let notices = page.body["data"].as_array().unwrap();
    let amounts = notices
        .iter()
        .map(|notice| notice["amount"]["amount"].as_i64().unwrap());
    amounts.collect()
}

async fn whatever_is_killed_everybody_is_told_once(mut server: Server) {
    let town = town(&server).await;
    let mut paid = Vec::new();
    for _ in 0..3 {
        let sent = (0..12).map(|_| town.alice.transfer_as_told(&town.from, &town.to));
        paid.extend(join_all(sent).await);
        // Some of it was told, and some was not.
        server.kill();
        server.resume().await;
    }
    let came = until_told(&town.bob, "money_received", paid.len()).await;
    assert_eq!(subjects(&came), sorted(paid));
    // One more look of the job tells nobody again.
    let last = town.alice.transfer_as_told(&town.from, &town.to).await;
    let came = until_told(&town.bob, "money_received", came.len() + 1).await;
    assert_eq!(came.last().unwrap()["subject_id"], json!(last));
    assert_eq!(came.len(), 37);
}

impl Person {
    /// A transfer that is posted, by its id.
    async fn transfer_as_told(&self, from: &Value, to: &Value) -> String {
        self.transfer(&new_key(), from, to, 150)
            .await
            .expect(201)
            .text("id")
    }
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}

fn subjects(notices: &[Value]) -> Vec<String> {
    let ids = notices
        .iter()
        .map(|notice| notice["subject_id"].as_str().unwrap().to_owned());
    sorted(ids.collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_tell_everybody_once() {
    let Some(first) = Server::start_with(Engine::Postgres, BUSY).await else {
        return;
    };
    let mut second = first.start_beside().await;
    let town = town(&first).await;
    let there = second.login(&town.alice.email, &town.alice.password).await;
    let mut paid = Vec::new();
    for round in 0..6 {
        let here = (0..4).map(|_| town.alice.transfer_as_told(&town.from, &town.to));
        let beside = (0..4).map(|_| there.transfer_as_told(&town.from, &town.to));
        let (some, others) = tokio::join!(join_all(here), join_all(beside));
        paid.extend(some);
        paid.extend(others);
        if round == 2 {
            second.kill();
            second.resume().await;
        }
    }
    let came = until_told(&town.bob, "money_received", paid.len()).await;
    assert_eq!(subjects(&came), sorted(paid));
}
