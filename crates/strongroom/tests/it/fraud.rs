//! What looks like fraud: asked for a factor, or reserved until somebody of the bank has looked at it.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{
    Answer, BUSY, Person, Server,
    people::{code_of, new_key, next_code_of, transfer_body},
    stories,
};
use crate::payments::{euros, is_clean};

pub(crate) const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
    ("STRONGROOM_FRAUD__MODE", "enforce"),
    ("STRONGROOM_FRAUD__TWO_RELEASE_OVER", "9500"),
];
const REVIEWS: &str = "/api/v1/admin/reviews";
/// A little below what is reported: the third of a day waits.
pub(crate) const NEAR: i64 = 900_000;

stories! {
    with SETTINGS;
    what_waits_is_reserved_seen_by_its_sender_alone_and_booked_once_it_is_released,
    of_release_reject_and_cancel_at_once_one_counts,
    above_the_bound_it_takes_two_people_to_release_and_one_to_reject,
    whoever_may_not_decide_is_refused_and_learns_nothing,
    an_unusual_payment_needs_a_factor_and_the_same_request_goes_with_it,
    a_payment_and_a_hold_that_look_like_fraud_do_not_wait,
    what_a_batch_finds_unusual_waits_within_it,
}

pub(crate) struct Town {
    pub(crate) server: Server,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) teller: Person,
    pub(crate) from: Value,
    pub(crate) to: Value,
}

/// Alice has paid Bob twice a little below what is reported.
pub(crate) async fn town(server: Server) -> Town {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    teller.deposit(&from, 9_000_000).await.expect(201);
    for _ in 0..2 {
        let sent = alice.transfer(&new_key(), &from, &to, NEAR).await.expect(201);
        assert_eq!(sent.body["state"], "posted");
    }
    Town {
        server,
        alice,
        bob,
        teller,
        from,
        to,
    }
}

impl Town {
    pub(crate) async fn wait(&self, minor: i64) -> String {
        let sent = self
            .alice
            .transfer(&new_key(), &self.from, &self.to, minor)
            .await
            .expect(201);
        assert_eq!(sent.body["state"], "pending_review", "{:?}", sent.body);
        sent.text("id")
    }

    pub(crate) async fn read(&self, who: &Person, id: &str) -> Answer {
        who.client.get(&format!("/api/v1/transfers/{id}")).await
    }

    pub(crate) async fn balance(&self) -> (i64, i64) {
        let path = format!("/api/v1/accounts/{}", self.from["id"].as_str().unwrap());
        let found = self.alice.client.get(&path).await.expect(200);
        let of = |name: &str| found.body["balance"][name].as_i64().unwrap();
        (of("posted"), of("available"))
    }
}

pub(crate) async fn decide(who: &Person, id: &str, verb: &str) -> Answer {
    let path = format!("{REVIEWS}/{id}/{verb}");
    who.client
        .post(&path, json!({"reason": "Called the customer."}))
        .await
}

pub(crate) async fn cancel(who: &Person, id: &str) -> Answer {
    let path = format!("/api/v1/transfers/{id}/cancel");
    who.client.send(who.client.request(Method::POST, &path)).await
}

async fn what_waits_is_reserved_seen_by_its_sender_alone_and_booked_once_it_is_released(server: Server) {
    let town = town(server).await;
    let before = town.balance().await;
    let (key, mut body) = (new_key(), transfer_body(&town.from, &town.to, NEAR));
    body["description"] = json!("Third part");
    let send = async || {
        let path = "/api/v1/transfers";
        town.alice
            .client
            .post_once(path, &key, body.clone())
            .await
            .expect(201)
    };
    let first = send().await;
    assert_eq!(first.body["state"], "pending_review");
    assert_eq!(send().await.body, first.body, "a repetition is told the same");
    let id = first.text("id");
    // Its sender is told that it waits, and not why; the payee is told nothing.
    assert!(!first.body.to_string().contains("structuring"));
    assert_eq!(town.read(&town.alice, &id).await.expect(200).body, first.body);
    town.read(&town.bob, &id).await.refused(404, "not_found");
    assert_eq!(town.balance().await, (before.0, before.1 - NEAR));
    // No verb of holds sees what reserves it.
    let hold = id.replace("tfr_", "hold_");
    let from = town.from["id"].as_str().unwrap();
    let listed = town
        .alice
        .client
        .get(&format!("/api/v1/holds?account_id={from}"))
        .await;
    assert_eq!(listed.expect(200).body["data"], json!([]));
    for who in [&town.alice, &town.bob, &town.teller] {
        let path = format!("/api/v1/holds/{hold}/void");
        who.client
            .post_once(&path, &new_key(), json!({}))
            .await
            .refused(404, "hold_not_found");
    }
    let listed = town.teller.client.get(REVIEWS).await.expect(200);
    let review = &listed.body["data"][0];
    assert_eq!(
        (&review["id"], &review["rules"]),
        (&json!(id), &json!(["structuring/1"]))
    );
    assert_eq!(review["amount"], euros(NEAR));

    let released = decide(&town.teller, &id, "release").await.expect(200);
    assert_eq!(released.body["state"], "released");
    assert_eq!(town.balance().await, (before.0 - NEAR, before.1 - NEAR));
    for who in [&town.alice, &town.bob] {
        let read = town.read(who, &id).await.expect(200);
        assert_eq!(
            (&read.body["state"], &read.body["description"]),
            (&json!("posted"), &json!("Third part"))
        );
    }
    for verb in ["release", "reject"] {
        decide(&town.teller, &id, verb)
            .await
            .refused(409, "review_closed");
    }
    cancel(&town.alice, &id).await.refused(409, "review_closed");
    let listed = town.teller.client.get(REVIEWS).await.expect(200);
    assert_eq!(listed.body["data"], json!([]));
    is_clean(&town.server);
}

async fn of_release_reject_and_cancel_at_once_one_counts(server: Server) {
    let town = town(server).await;
    let admin = town.server.operator("admin").await;
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..40 {
        let before = town.balance().await;
        let id = town.wait(NEAR + round).await;
        let start = Arc::new(Barrier::new(6));
        let mut tasks = JoinSet::new();
        for number in 0..6 {
            let (start, id) = (start.clone(), id.clone());
            let (alice, teller, admin) = (town.alice.clone(), town.teller.clone(), admin.clone());
            tasks.spawn(async move {
                start.wait().await;
                match number {
                    0 => ("released", decide(&teller, &id, "release").await),
                    1 => ("released", decide(&admin, &id, "release").await),
                    2 => ("rejected", decide(&teller, &id, "reject").await),
                    3 => ("rejected", decide(&admin, &id, "reject").await),
                    _ => ("cancelled", cancel(&alice, &id).await),
                }
            });
        }
        let mut winners = Vec::new();
        for (state, answer) in tasks.join_all().await {
            match answer.status {
                200 => winners.push(state),
                _ => drop(answer.refused(409, "review_closed")),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        *seen.entry(winners[0]).or_insert(0) += 1;
        let went = if winners[0] == "released" { NEAR + round } else { 0 };
        assert_eq!(town.balance().await, (before.0 - went, before.1 - went));
        let state = town.read(&town.alice, &id).await.expect(200).text("state");
        assert_eq!(state, if went > 0 { "posted" } else { winners[0] });
        if seen.len() == 3 || (seen.len() == 2 && round > 20) || town.balance().await.1 < 2_000_000 {
            break;
        }
    }
    assert!(seen.len() > 1, "only one order was seen: {seen:?}");
    is_clean(&town.server);
}

async fn above_the_bound_it_takes_two_people_to_release_and_one_to_reject(server: Server) {
    let town = town(server).await;
    let admin = town.server.operator("admin").await;
    let id = town.wait(970_000).await;
    let before = town.balance().await;
    let first = decide(&town.teller, &id, "release").await.expect(200);
    assert_eq!(first.body["state"], "pending_review");
    assert_eq!(
        first.body["first_released_by"],
        town.teller.client.get("/api/v1/me").await.expect(200).body["id"]
    );
    assert_eq!(town.balance().await, before, "one is not two");
    decide(&town.teller, &id, "release")
        .await
        .refused(403, "maker_is_checker");
    assert_eq!(town.balance().await, before);
    let second = decide(&admin, &id, "release").await.expect(200);
    assert_eq!(second.body["state"], "released");
    assert_eq!(town.balance().await.0, before.0 - 970_000);
    let id = town.wait(970_000).await;
    let rejected = decide(&admin, &id, "reject").await.expect(200);
    assert_eq!(rejected.body["state"], "rejected");
    assert_eq!(
        town.read(&town.alice, &id).await.expect(200).body["state"],
        "rejected"
    );
}

async fn whoever_may_not_decide_is_refused_and_learns_nothing(server: Server) {
    let town = town(server).await;
    let id = town.wait(NEAR).await;
    for who in [&town.alice, &town.bob] {
        who.client.get(REVIEWS).await.refused(403, "forbidden");
        for verb in ["release", "reject"] {
            decide(who, &id, verb).await.refused(403, "forbidden");
        }
    }
    let auditor = town.server.operator("auditor").await;
    auditor.client.get(REVIEWS).await.expect(200);
    decide(&auditor, &id, "release").await.refused(403, "forbidden");
    cancel(&town.bob, &id).await.refused(404, "review_not_found");
    let unknown = "tfr_01jd3vw4ezfkx8y0q4sfcmj2t9";
    cancel(&town.bob, unknown).await.refused(404, "review_not_found");
    decide(&town.teller, unknown, "release")
        .await
        .refused(404, "review_not_found");
    let path = format!("{REVIEWS}/{id}/release");
    for reason in ["", "two\nlines", "right\u{202e}left"] {
        let refused = town.teller.client.post(&path, json!({"reason": reason})).await;
        let refused = refused.refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], "/reason");
    }
    let cancelled = cancel(&town.alice, &id).await.expect(200);
    assert_eq!(cancelled.body["state"], "cancelled");
    decide(&town.teller, &id, "release")
        .await
        .refused(409, "review_closed");
}

/// A history of small payments to Bob.
async fn small_history(town: &Town) {
    for _ in 0..9 {
        town.alice
            .transfer(&new_key(), &town.from, &town.to, 500)
            .await
            .expect(201);
    }
}

async fn quiet_town(server: Server) -> Town {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    teller.deposit(&from, 9_000_000).await.expect(201);
    let town = Town {
        server,
        alice,
        bob,
        teller,
        from,
        to,
    };
    small_history(&town).await;
    town
}

async fn an_unusual_payment_needs_a_factor_and_the_same_request_goes_with_it(server: Server) {
    let town = quiet_town(server).await;
    let client = &town.alice.client;
    let offered = client.post("/api/v1/me/mfa/totp", json!({})).await.expect(200);
    let uri = offered.text("otpauth_uri");
    client
        .post("/api/v1/me/mfa/totp/confirm", json!({"code": code_of(&uri)}))
        .await
        .expect(200);
    // To somebody new no factor is enough.
    let other = town.server.customer("carol").await;
    let to = other.account("Unknown").await;
    let sent = town
        .alice
        .transfer(&new_key(), &town.from, &to, 90_000)
        .await
        .expect(201);
    assert_eq!(sent.body["state"], "pending_review");
    let key = new_key();
    let send = async |minor: i64| town.alice.transfer(&key, &town.from, &town.to, minor).await;
    let refused = send(50_000).await.refused(401, "step_up_required");
    let challenge = refused.text("challenge");
    assert_eq!(town.bob.posted(&town.to).await, 4_500);
    let proof = json!({"method": "totp", "code": next_code_of(&uri), "challenge": challenge});
    client.post("/api/v1/auth/step-up", proof).await.expect(204);
    // The approval is of that request, not of another amount.
    send(50_001).await.refused(401, "step_up_required");
    let sent = send(50_000).await.expect(201);
    assert_eq!(sent.body["state"], "posted");
    assert_eq!(town.bob.posted(&town.to).await, 54_500);
    assert_eq!(send(50_000).await.expect(201).body, sent.body);
    // What nobody approved is noted for operators.
    let noted = town
        .teller
        .client
        .get(&format!("{REVIEWS}?state=all"))
        .await
        .expect(200);
    assert_eq!(noted.body["data"][0]["verdict"], "step_up");
    assert_eq!(noted.body["data"][0]["state"], "noted");
}

async fn a_payment_and_a_hold_that_look_like_fraud_do_not_wait(server: Server) {
    let town = quiet_town(server).await;
    let carol = town.server.customer("carol").await;
    let to = carol.account("Unknown").await;
    let body = json!({"account_id": town.from["id"], "to_account_id": to["id"], "amount": euros(90_000)});
    let before = town.balance().await;
    town.alice
        .client
        .post_once("/api/v1/holds", &new_key(), body.clone())
        .await
        .refused(422, "transfer_declined");
    let small = json!({"account_id": town.from["id"], "to_account_id": to["id"], "amount": euros(900)});
    town.alice
        .client
        .post_once("/api/v1/holds", &new_key(), small)
        .await
        .expect(201);
    assert_eq!(town.balance().await, (before.0, before.1 - 900));
    // Alice has no factor to show: what can wait does, instead of a question that nobody can answer.
    let sent = town
        .alice
        .transfer(&new_key(), &town.from, &town.to, 50_000)
        .await;
    assert_eq!(sent.expect(201).body["state"], "pending_review");
    // With one she is asked for it.
    let client = &town.alice.client;
    let offered = client.post("/api/v1/me/mfa/totp", json!({})).await.expect(200);
    let code = json!({"code": code_of(&offered.text("otpauth_uri"))});
    client.post("/api/v1/me/mfa/totp/confirm", code).await.expect(200);
    for asked in [
        client.post_once("/api/v1/holds", &new_key(), body).await,
        town.alice
            .transfer(&new_key(), &town.from, &town.to, 50_001)
            .await,
    ] {
        asked.refused(401, "step_up_required");
    }
}

async fn what_a_batch_finds_unusual_waits_within_it(server: Server) {
    let town = town(server).await;
    let body = json!({"mode": "atomic", "transfers": [
        transfer_body(&town.from, &town.to, 100),
        transfer_body(&town.from, &town.to, NEAR),
    ]});
    let key = new_key();
    let send = async || {
        let path = "/api/v1/transfers/batch";
        town.alice
            .client
            .post_once(path, &key, body.clone())
            .await
            .expect(200)
            .body
    };
    let told = send().await;
    let states: Vec<&Value> = told["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["transfer"]["state"])
        .collect();
    assert_eq!(states, [&json!("posted"), &json!("pending_review")], "{told}");
    let statuses = |told: &Value| -> Vec<String> {
        let results = told["results"].as_array().unwrap().iter();
        results
            .map(|result| result["status"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(statuses(&told), ["posted", "pending_review"]);
    assert_eq!(send().await["results"], told["results"]);
    // What became of it since is said in a repetition.
    let waits = told["results"][1]["transfer"]["id"].as_str().unwrap();
    decide(&town.teller, waits, "reject").await.expect(200);
    assert_eq!(statuses(&send().await), ["posted", "rejected"]);
}
