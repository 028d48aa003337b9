//! Whoever sent a transfer that waits for a look is told what becomes of it: once, and nothing that is not so.

use std::time::UNIX_EPOCH;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    fraud::{NEAR, SETTINGS, Town, cancel, decide, town},
    harness::{Engine, Server, people::new_key, stories},
    notices::{told, until_told},
};

/// Above what one releases alone.
const LARGE: i64 = 970_000;
const ENDS: [&str; 3] = ["review_released", "review_rejected", "review_expired"];

stories! {
    with SETTINGS;
    the_first_of_two_releases_is_nobodys_news,
    what_is_rejected_is_told_and_what_is_taken_back_is_not,
    what_nobody_looked_at_in_time_is_told_once_and_leaves_an_event,
}

/// Everything that is in the log by now was told of, once this returns.
async fn everything_is_told(town: &Town) {
    let known = told(&town.alice, "limits_changed").await.len();
    let limits = json!({"daily": {"amount": 90_000_000 - known, "currency": "EUR"}});
    let request = town.alice.client.request(Method::PUT, "/api/v1/limits");
    town.alice.client.send(request.json(&limits)).await.expect(200);
    until_told(&town.alice, "limits_changed", known + 1).await;
}

async fn subjects(town: &Town, event: &str) -> Vec<Value> {
    let notices = told(&town.alice, event).await;
    notices
        .into_iter()
        .map(|notice| notice["subject_id"].clone())
        .collect()
}

async fn the_first_of_two_releases_is_nobodys_news(server: Server) {
    let town = town(server).await;
    let admin = town.server.operator("admin").await;
    let came = told(&town.bob, "money_received").await.len();
    let id = town.wait(LARGE).await;
    let started = until_told(&town.alice, "review_started", 1).await;
    assert_eq!(
        (&started[0]["subject_id"], &started[0]["says"]),
        (
            &json!(id),
            &json!("Your transfer of 9700.00 EUR waits to be looked at.")
        )
    );
    town.server
        .mail_with(&town.alice.email, "9700.00 EUR waits to be looked at.")
        .await;
    let first = decide(&town.teller, &id, "release").await.expect(200);
    assert_eq!(first.body["state"], "pending_review");
    everything_is_told(&town).await;
    for end in ENDS {
        assert_eq!(
            subjects(&town, end).await,
            Vec::<Value>::new(),
            "{end}: it waits for a second"
        );
    }
    decide(&admin, &id, "release").await.expect(200);
    let released = until_told(&town.alice, "review_released", 1).await;
    assert_eq!(
        (&released[0]["subject_id"], &released[0]["says"]),
        (&json!(id), &json!("Your transfer of 9700.00 EUR was made."))
    );
    let received = until_told(&town.bob, "money_received", came + 1).await;
    assert_eq!(received.last().unwrap()["subject_id"], json!(id));
    everything_is_told(&town).await;
    assert_eq!(subjects(&town, "review_released").await, [json!(id)]);
    assert_eq!(subjects(&town, "review_rejected").await, Vec::<Value>::new());
    assert_eq!(told(&town.bob, "review_started").await, Vec::<Value>::new());
}

async fn what_is_rejected_is_told_and_what_is_taken_back_is_not(server: Server) {
    let town = town(server).await;
    let (first, second) = (town.wait(NEAR).await, town.wait(LARGE).await);
    // Released by one, and rejected by another before there were two.
    decide(&town.teller, &second, "release").await.expect(200);
    decide(&town.teller, &first, "reject").await.expect(200);
    decide(&town.server.operator("admin").await, &second, "reject")
        .await
        .expect(200);
    let rejected = until_told(&town.alice, "review_rejected", 2).await;
    assert_eq!(
        rejected[0]["says"],
        "Your transfer of 9000.00 EUR was not made, and the money is yours."
    );
    let back = town.wait(NEAR).await;
    cancel(&town.alice, &back).await.expect(200);
    everything_is_told(&town).await;
    assert_eq!(
        subjects(&town, "review_rejected").await,
        [json!(first), json!(second)]
    );
    assert_eq!(
        subjects(&town, "review_started").await,
        [json!(first), json!(second), json!(back)]
    );
    for end in ["review_released", "review_expired"] {
        assert_eq!(subjects(&town, end).await, Vec::<Value>::new(), "{end}");
    }
}

/// As if three days had gone by: what waits ended two minutes ago.
fn three_days_later(engine: Engine) -> Vec<String> {
    let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let end = now - 120_000_000;
    let placed = end - 3 * 86_400_000_000;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for table in ["reviews", "holds"] {
        match engine {
            Engine::Sqlite => before.push(format!("DROP TRIGGER {table}_fixed")),
            Engine::Postgres => {
                before.push(format!("ALTER TABLE {table} DISABLE TRIGGER USER"));
                after.push(format!("ALTER TABLE {table} ENABLE TRIGGER USER"));
            }
        }
    }
    before.push(format!("UPDATE reviews SET expires_at = {end} WHERE state = 0"));
    before.push(format!(
        "UPDATE holds SET placed_at = {placed}, expires_at = {end} WHERE state = 0"
    ));
    before.push(format!(
        "UPDATE account_states SET hold_due = {end} WHERE hold_due IS NOT NULL"
    ));
    before.extend(after);
    before
}

async fn what_nobody_looked_at_in_time_is_told_once_and_leaves_an_event(server: Server) {
    let mut town = town(server).await;
    let admin = town.server.operator("admin").await;
    let released = town.wait(NEAR).await;
    decide(&town.teller, &released, "release").await.expect(200);
    let id = town.wait(LARGE).await;
    decide(&town.teller, &id, "release").await.expect(200);
    let before = town.balance().await;
    assert_eq!(before.0 - before.1, LARGE);
    let statements = three_days_later(town.server.engine);
    town.server.change_while_down(&statements).await;
    let lapsed = until_told(&town.alice, "review_expired", 1).await;
    assert_eq!(
        (
            &lapsed[0]["subject_id"],
            &lapsed[0]["amount"]["amount"],
            &lapsed[0]["says"]
        ),
        (
            &json!(id),
            &json!(LARGE),
            &json!(
                "Your transfer of 9700.00 EUR waited for three days and was not made; the money is yours."
            )
        )
    );
    town.server
        .mail_with(&town.alice.email, "9700.00 EUR waited for three days")
        .await;
    assert_eq!(town.balance().await, (before.0, before.0));
    assert_eq!(
        town.read(&town.alice, &id).await.expect(200).body["state"],
        "expired"
    );
    decide(&admin, &id, "release").await.refused(409, "review_closed");
    // The books write down that it ended with the next movement; that is no second notice.
    town.alice
        .transfer(&new_key(), &town.from, &town.to, 100)
        .await
        .expect(201);
    town.server.kill();
    town.server.resume().await;
    everything_is_told(&town).await;
    assert_eq!(subjects(&town, "review_expired").await, [json!(id)]);
    assert_eq!(subjects(&town, "review_rejected").await, Vec::<Value>::new());
    // Whoever defends the bank can see that nobody looked.
    let events = "/api/v1/admin/security/events?kind=review_expired&limit=10";
    let found = async {
        loop {
            let listed = admin.client.get(events).await.expect(200);
            let data = listed.body["data"].as_array().unwrap().clone();
            if !data.is_empty() {
                return data;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let found = tokio::time::timeout(std::time::Duration::from_secs(30), found).await;
    let found = found.expect("an event in time");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].to_string().contains(&id), "{found:?}");
}
