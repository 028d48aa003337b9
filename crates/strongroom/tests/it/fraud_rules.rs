//! Rules about fraud are set while the bank runs: by two people, on every node, and no movement is decided by half of
//! two sets.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use strongroom_domain::id::{TransactionId, TransferKind};

use crate::{
    harness::{
        Answer, BUSY, Engine, Person, Server, awaited, decide,
        people::{new_key, transfer_body},
        stories, until,
    },
    payments::is_clean,
};

pub(crate) const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
    ("STRONGROOM_FRAUD__MODE", "enforce"),
];
pub(crate) const RULES: &str = "/api/v1/admin/fraud/rules";
pub(crate) const APPROVALS: &str = "/api/v1/admin/approvals";
/// Steps of whoever changes sets: before the first one, one for each of eight sets; this is the end.
const STEPS: i64 = 9;
/// Payments of one sender within a step.
const SENT_OF_STEP_MAX: usize = 25;

stories! {
    with SETTINGS;
    rules_come_in_force_by_two_people_and_an_earlier_set_comes_back,
    all_that_is_wrong_with_a_draft_is_told_at_once_and_nothing_of_it_is_kept,
    who_would_gain_from_weaker_rules_neither_reads_nor_sets_them,
    what_was_asked_for_on_another_base_is_stale,
    of_many_sets_approved_at_once_one_is_in_force,
    every_payment_is_held_against_one_set_while_sets_change,
}

/// Who asks and who decides.
pub(crate) struct Desk {
    pub(crate) maker: Person,
    pub(crate) checker: Person,
}

impl Desk {
    pub(crate) async fn of(server: &Server) -> Self {
        Self {
            maker: server.operator("compliance").await,
            checker: server.operator("admin").await,
        }
    }

    pub(crate) async fn put_in_force(&self, rules: Value) -> i64 {
        let asked = propose(&self.maker, rules).await.expect(202);
        approve(&self.checker, &asked).await.expect(200);
        in_force(&self.checker).await
    }

    pub(crate) async fn revision(&self) -> i64 {
        in_force(&self.checker).await
    }

    async fn bring_back(&self, revision: i64) -> i64 {
        let asked = restore(&self.maker, revision).await.expect(202);
        approve(&self.checker, &asked).await.expect(200);
        in_force(&self.checker).await
    }
}

async fn propose(who: &Person, rules: Value) -> Answer {
    let body =
        json!({"reason": "A story.", "rules": rules, "untried_reason": "Trials have a story of their own."});
    who.client.post(&format!("{RULES}/proposals"), body).await
}

async fn restore(who: &Person, revision: i64) -> Answer {
    let path = format!("{RULES}/revisions/{revision}/restore");
    who.client.post(&path, json!({"reason": "It was better."})).await
}

pub(crate) async fn approve(who: &Person, asked: &Answer) -> Answer {
    decide(who, &asked.text("approval_id"), "approve").await
}

pub(crate) async fn in_force(who: &Person) -> i64 {
    let found = who.client.get(RULES).await.expect(200);
    found.body["revision"].as_i64().unwrap()
}

/// Two units at most are small: with these rules such payments wait, or nothing does.
pub(crate) fn small_ones(wait: bool) -> Value {
    let mode = if wait { "enforce" } else { "off" };
    json!([
        {"rule": "card_testing", "mode": mode, "verdict": "review",
            "parameters": [{"name": "small_hour", "value": 1}, {"name": "age_days", "value": 0},
                {"name": "amount_percent", "value": 100_000}]},
        {"rule": "card_testing_flood", "mode": "off"},
        {"rule": "velocity", "mode": "off"},
        {"rule": "velocity_sustained", "mode": "off"},
    ])
}

pub(crate) async fn pair(server: &Server) -> (Person, Value, Value) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    let teller = server.operator("teller").await;
    teller.deposit(&from, 1_000_000).await.expect(201);
    (alice, from, to)
}

/// Pays two units at most, and tells whether it was booked, or waits.
pub(crate) async fn pays(who: &Person, from: &Value, to: &Value) -> String {
    let sent = who.transfer(&new_key(), from, to, 150).await.expect(201);
    sent.text("state")
}

async fn rules_come_in_force_by_two_people_and_an_earlier_set_comes_back(mut server: Server) {
    let desk = Desk::of(&server).await;
    let (alice, from, to) = pair(&server).await;
    assert_eq!(pays(&alice, &from, &to).await, "posted");
    let own = desk.maker.client.get(RULES).await.expect(200);
    assert_eq!(
        (&own.body["revision"], &own.body["bank_mode"]),
        (&json!(0), &json!("enforce"))
    );
    let rule = |body: &Value| {
        let rules = body["rules"].as_array().unwrap().clone();
        rules
            .into_iter()
            .find(|rule| rule["rule"] == "card_testing")
            .unwrap()
    };
    assert_eq!(
        rule(&own.body)["parameters"][0],
        json!({"name": "small_hour", "is": "at_least", "value": 10,
        "unit": "count", "min": 1, "max": 1000, "default": 10})
    );

    let asked = propose(&desk.maker, small_ones(true)).await.expect(202);
    assert_eq!(
        pays(&alice, &from, &to).await,
        "posted",
        "one person changes nothing"
    );
    // Whoever decides sees what is weaker by it.
    let listed = desk.checker.client.get(APPROVALS).await.expect(200);
    let request = &listed.body["data"][0];
    assert_eq!(
        (&request["id"], &request["action"]),
        (&asked.body["approval_id"], &json!("fraud_rules.change"))
    );
    let changes = request["request"]["changes"].as_array().unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                change["rule"].as_str().unwrap(),
                change["field"].as_str().unwrap(),
                &change["weaker"],
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("velocity", "mode", &json!(true)),
            ("velocity_sustained", "mode", &json!(true)),
            ("card_testing", "verdict", &json!(false)),
            ("card_testing", "small_hour", &json!(false)),
            ("card_testing", "age_days", &json!(false)),
            ("card_testing", "amount_percent", &json!(false)),
            ("card_testing_flood", "mode", &json!(true)),
        ]
    );
    approve(&desk.checker, &asked).await.expect(200);
    assert_eq!(pays(&alice, &from, &to).await, "pending_review");
    let listed = desk.checker.client.get("/api/v1/admin/reviews").await.expect(200);
    let review = &listed.body["data"][0];
    assert_eq!(
        (&review["rules"], &review["rules_revision"]),
        (&json!(["card_testing/2"]), &json!(1))
    );
    let now = desk.maker.client.get(RULES).await.expect(200);
    assert_eq!(
        (&now.body["revision"], &now.body["digest"]),
        (&json!(1), &request["request"]["digest"])
    );
    assert_eq!(
        (&now.body["reason"], &now.body["approval_id"]),
        (&json!("A story."), &asked.body["approval_id"])
    );
    assert_ne!(now.body["maker_id"], now.body["checker_id"]);
    assert_eq!(rule(&now.body)["version"], 2);

    // Also in the next process.
    assert_eq!(server.stop().await, Some(0));
    server.resume().await;
    assert_eq!(pays(&alice, &from, &to).await, "pending_review");
    assert_eq!(desk.bring_back(0).await, 2);
    assert_eq!(pays(&alice, &from, &to).await, "posted");
    let page = desk
        .maker
        .client
        .get(&format!("{RULES}/revisions?limit=2"))
        .await
        .expect(200);
    let numbers = |page: &Answer| -> Vec<i64> {
        let sets = page.body["data"].as_array().unwrap();
        sets.iter().map(|set| set["revision"].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers(&page), [2, 1]);
    assert_eq!(page.body["data"][0]["restores"], 0);
    let next = format!("{RULES}/revisions?cursor={}", page.text("next_cursor"));
    let rest = desk.maker.client.get(&next).await.expect(200);
    assert_eq!(
        (numbers(&rest), &rest.body["next_cursor"]),
        (vec![0], &Value::Null)
    );
    let read = desk
        .maker
        .client
        .get(&format!("{RULES}/revisions/1"))
        .await
        .expect(200);
    assert_eq!(read.body["changes"].as_array().unwrap().len(), 7);
    assert_eq!(rule(&read.body)["parameters"][0]["value"], 1);
    for unknown in ["3", "-1", "x"] {
        let path = format!("{RULES}/revisions/{unknown}");
        desk.maker.client.get(&path).await.refused(404, "not_found");
    }
    restore(&desk.maker, 7).await.refused(404, "not_found");

    // The log tells which rules decided, and who put them in force; administrators are told besides.
    let auditor = server.operator("auditor").await;
    let records = "/api/v1/admin/audit/records?limit=100";
    until("records of both sets", async || {
        let found = auditor.client.get(records).await.expect(200);
        let all = found.body["data"].as_array().unwrap().clone();
        let by_rules = |action: &str, revision: i64| {
            let named = json!({"fraud_rules": revision});
            all.iter()
                .any(|record| record["action"] == action && record["details"] == named)
        };
        let set = |revision: i64| {
            let of = |record: &&Value| {
                record["action"] == "fraud_rules.change" && record["details"]["revision"] == revision
            };
            all.iter().filter(of).count()
        };
        by_rules("transfer.create", 1) && by_rules("transfer.create", 2) && (set(1), set(2)) == (1, 1)
    })
    .await;
    until("an alert", async || {
        let alerts = desk.checker.client.get("/api/v1/admin/alerts").await.expect(200);
        alerts.body["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|alert| alert["rule"] == "fraud_rules")
    })
    .await;
    is_clean(&server);
}

async fn all_that_is_wrong_with_a_draft_is_told_at_once_and_nothing_of_it_is_kept(server: Server) {
    let desk = Desk::of(&server).await;
    let good = json!([{"rule": "velocity", "score": 51, "parameters": [{"name": "out_hour", "value": 20}]}]);
    let validate = async |rules: &Value| {
        let path = format!("{RULES}/validate");
        desk.maker.client.post(&path, json!({"rules": rules})).await
    };
    let found = validate(&good).await.expect(200);
    assert_eq!(found.body["base_revision"], 0);
    assert_eq!(
        found.body["changes"],
        json!([
            {"rule": "velocity", "field": "score", "before": "50", "after": "51", "weaker": false},
            {"rule": "velocity", "field": "out_hour", "before": "15", "after": "20", "weaker": true},
        ])
    );
    let bad = json!([
        {"rule": "velocity", "mode": "observe", "verdict": "allow", "score": 101,
            "parameters": [{"name": "out_hour", "value": 0}, {"name": "program", "value": 1}]},
        {"rule": "haste"},
        {"rule": "velocity"},
        {"rule": "unknown_customer", "mode": "off"},
        {"rule": "takeover_new_payee", "verdict": "step_up"},
    ]);
    let wrong = json!([
        ["/rules/0/mode", "invalid_value"],
        ["/rules/0/verdict", "invalid_value"],
        ["/rules/0/score", "out_of_range"],
        ["/rules/0/parameters/0/value", "out_of_range"],
        ["/rules/0/parameters/1/name", "not_found"],
        ["/rules/1/rule", "not_found"],
        ["/rules/2/rule", "duplicate"],
        ["/rules/3/mode", "rule_relied_on"],
        ["/rules/4/verdict", "rule_relied_on"],
    ]);
    for refused in [validate(&bad).await, propose(&desk.maker, bad.clone()).await] {
        let refused = refused.refused(400, "validation_failed");
        let told: Vec<_> = refused.body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| json!([error["pointer"], error["code"]]))
            .collect();
        assert_eq!(Value::from(told), wrong);
    }
    let many = Value::from(vec![json!({"rule": "velocity"}); 65]);
    validate(&many).await.refused(400, "validation_failed");
    for reason in ["", "two\nlines"] {
        let body = json!({"reason": reason, "rules": good});
        let refused = desk.maker.client.post(&format!("{RULES}/proposals"), body).await;
        assert_eq!(
            refused.refused(400, "validation_failed").body["errors"][0]["pointer"],
            "/reason"
        );
    }
    let unknown = json!([{"rule": "velocity", "parameter": 1}]);
    validate(&unknown).await.refused(400, "validation_failed");
    let listed = desk.checker.client.get(APPROVALS).await.expect(200);
    assert_eq!(listed.body["data"], json!([]));
    assert_eq!(in_force(&desk.maker).await, 0);
}

async fn who_would_gain_from_weaker_rules_neither_reads_nor_sets_them(server: Server) {
    let desk = Desk::of(&server).await;
    let (teller, support) = (server.operator("teller").await, server.operator("support").await);
    let (auditor, alice) = (server.operator("auditor").await, server.customer("alice").await);
    let good = json!([{"rule": "velocity", "mode": "off"}]);
    let paths = [
        RULES.to_owned(),
        format!("{RULES}/revisions"),
        format!("{RULES}/revisions/0"),
    ];
    for path in &paths {
        for reader in [&auditor, &desk.maker, &desk.checker] {
            reader.client.get(path).await.expect(200);
        }
        for stranger in [&teller, &support, &alice] {
            stranger.client.get(path).await.refused(403, "forbidden");
        }
        server.client().get(path).await.refused(401, "unauthenticated");
    }
    for stranger in [&teller, &support, &alice] {
        let path = format!("{RULES}/validate");
        let refused = stranger.client.post(&path, json!({"rules": good})).await;
        refused.refused(403, "forbidden");
    }
    for stranger in [&teller, &support, &alice, &auditor] {
        propose(stranger, good.clone()).await.refused(403, "forbidden");
        restore(stranger, 0).await.refused(403, "forbidden");
    }
    // Who asks does not decide, whatever the role; and deciding is an administrator's.
    let asked = propose(&desk.maker, good.clone()).await.expect(202);
    let other = server.operator("compliance").await;
    for stranger in [&desk.maker, &other, &teller, &support, &auditor, &alice] {
        approve(stranger, &asked).await.refused(403, "forbidden");
    }
    let own = propose(&desk.checker, good.clone()).await.expect(202);
    approve(&desk.checker, &own)
        .await
        .refused(403, "maker_is_checker");
    assert_eq!(in_force(&auditor).await, 0);
    // A maker who may no longer ask takes the request along.
    let id = desk.maker.id().await;
    let grants = format!("/api/v1/admin/users/{id}/grants");
    let listed = desk.checker.client.get(&grants).await.expect(200);
    let grant = format!("{grants}/{}", listed.body["data"][0]["id"].as_str().unwrap());
    let request = desk.checker.client.request(Method::DELETE, &grant);
    desk.checker.client.send(request).await.expect(204);
    approve(&desk.checker, &asked)
        .await
        .refused(409, "approval_closed");
    assert_eq!(in_force(&auditor).await, 0);
    let second = server.operator("admin").await;
    approve(&second, &own).await.expect(200);
    assert_eq!(in_force(&auditor).await, 1);
    approve(&second, &own).await.refused(409, "approval_closed");
    assert_eq!(in_force(&auditor).await, 1);
}

async fn what_was_asked_for_on_another_base_is_stale(server: Server) {
    let desk = Desk::of(&server).await;
    let score = |score: i64| json!([{"rule": "kiting", "score": score}]);
    let early = propose(&desk.maker, score(60)).await.expect(202);
    assert_eq!(desk.put_in_force(score(61)).await, 1);
    approve(&desk.checker, &early)
        .await
        .refused(409, "approval_stale");
    assert_eq!(in_force(&desk.checker).await, 1);
    decide(&desk.checker, &early.text("approval_id"), "reject")
        .await
        .expect(200);
    propose(&desk.maker, score(61))
        .await
        .refused(409, "fraud_rules_unchanged");
    restore(&desk.maker, 1)
        .await
        .refused(409, "fraud_rules_unchanged");
    let body = |base: i64| json!({"base_revision": base, "reason": "A story.", "untried_reason": "As well.", "rules": score(62)});
    let path = format!("{RULES}/proposals");
    let late = desk.maker.client.post(&path, body(0)).await;
    late.refused(409, "fraud_rules_moved");
    desk.maker.client.post(&path, body(1)).await.expect(202);
}

async fn of_many_sets_approved_at_once_one_is_in_force(server: Server) {
    let desk = Desk::of(&server).await;
    let checkers = [
        server.operator("admin").await,
        server.operator("admin").await,
        server.operator("admin").await,
        server.operator("admin").await,
    ];
    for round in 0..6 {
        assert_eq!(in_force(&desk.checker).await, round);
        let mut asked = Vec::new();
        for number in 0..4 {
            let rules = json!([{"rule": "kiting", "score": 10 * (round + 1) + number}]);
            asked.push(propose(&desk.maker, rules).await.expect(202));
        }
        let sent = asked
            .iter()
            .zip(&checkers)
            .map(|(asked, checker)| approve(checker, asked));
        let mut won = Vec::new();
        for (number, answer) in join_all(sent).await.into_iter().enumerate() {
            match answer.status {
                200 => won.push(number),
                _ => drop(answer.refused(409, "approval_stale")),
            }
        }
        let [won] = won.as_slice() else {
            panic!("in force at once: {won:?}")
        };
        let found = desk.checker.client.get(RULES).await.expect(200);
        assert_eq!(found.body["revision"], round + 1);
        assert_eq!(found.body["approval_id"], asked[*won].body["approval_id"]);
    }
    is_clean(&server);
}

async fn every_payment_is_held_against_one_set_while_sets_change(server: Server) {
    let desk = Desk::of(&server).await;
    let (alice, from, to) = pair(&server).await;
    let auditor = server.operator("auditor").await;
    // Sets with even numbers let everything go, those with odd ones nothing.
    desk.put_in_force(small_ones(true)).await;
    let (step, watch) = tokio::sync::watch::channel(0_i64);
    let mut senders = tokio::task::JoinSet::new();
    for many in [false, true, false] {
        let (alice, from, to, mut watch) = (alice.clone(), from.clone(), to.clone(), watch.clone());
        senders.spawn(async move {
            let mut states = BTreeMap::new();
            let (mut known, mut sent) = (0_i64, 0_usize);
            loop {
                let now = *watch.borrow_and_update();
                if now == STEPS {
                    break;
                }
                if now != known {
                    (known, sent) = (now, 0);
                }
                // What waits holds money, and of that an account has a bounded number.
                if sent >= SENT_OF_STEP_MAX {
                    if watch.changed().await.is_err() {
                        break;
                    }
                    continue;
                }
                sent += if many { 5 } else { 1 };
                if many {
                    let body =
                        json!({"mode": "independent", "transfers": vec![transfer_body(&from, &to, 150); 5]});
                    let told = alice
                        .client
                        .post_once("/api/v1/transfers/batch", &new_key(), body)
                        .await;
                    let told = told.expect(200);
                    let results = told.body["results"].as_array().unwrap();
                    let told: BTreeSet<_> = results
                        .iter()
                        .map(|one| one["transfer"]["state"].to_string())
                        .collect();
                    assert_eq!(told.len(), 1, "{results:?}");
                    continue;
                }
                let told = alice.transfer(&new_key(), &from, &to, 150).await.expect(201);
                states.insert(told.text("id"), told.text("state"));
            }
            states
        });
    }
    for number in 0..STEPS - 1 {
        // Payments are under way while the next set comes in force.
        step.send_replace(number + 1);
        let waits = number % 2 == 1;
        assert_eq!(desk.put_in_force(small_ones(waits)).await, number + 2);
        let state = pays(&alice, &from, &to).await;
        assert_eq!(state, if waits { "pending_review" } else { "posted" });
    }
    step.send_replace(STEPS);
    let mut states = BTreeMap::new();
    for one in senders.join_all().await {
        states.extend(one);
    }
    // What the log says of each is what became of it.
    let found = awaited("records of all payments", async || {
        let found = judged_by(&auditor).await;
        states.keys().all(|id| found.contains_key(id)).then_some(found)
    })
    .await;
    let mut seen = BTreeSet::new();
    for (id, state) in &states {
        let revision = found[id];
        let waits = revision % 2 == 1;
        assert_eq!(
            state,
            if waits { "pending_review" } else { "posted" },
            "{id} by {revision}"
        );
        seen.insert(revision);
    }
    assert!(seen.len() > 2, "too few sets were seen: {seen:?}");
    is_clean(&server);
}

/// Which rules each transfer in the log was held against.
async fn judged_by(auditor: &Person) -> BTreeMap<String, i64> {
    let (mut found, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let path = format!("/api/v1/admin/audit/records?action=transfer.create&limit=100{cursor}");
        let page = auditor.client.get(&path).await.expect(200);
        for record in page.body["data"].as_array().unwrap() {
            let object = record["object"].as_str().unwrap();
            // What waits is no transaction yet.
            let id = match TransactionId::parse(object) {
                Ok(id) => id,
                Err(_) => TransactionId::from_bytes(u128::from_str_radix(object, 16).unwrap().to_be_bytes()),
            };
            let revision = record["details"]["fraud_rules"].as_i64();
            found.insert(
                id.cast::<TransferKind>().to_string(),
                revision.unwrap_or_default(),
            );
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

mod on_two_nodes {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_next_payment_on_every_node_is_held_against_the_new_rules() {
        let Some(first) = Server::start_with(Engine::Postgres, SETTINGS).await else {
            return;
        };
        let second = first.start_beside().await;
        let desk = Desk::of(&first).await;
        let (alice, from, to) = pair(&first).await;
        let there = second.login(&alice.email, &alice.password).await;
        for number in 0..6 {
            let waits = number % 2 == 0;
            assert_eq!(desk.put_in_force(small_ones(waits)).await, number + 1);
            let state = if waits { "pending_review" } else { "posted" };
            assert_eq!(pays(&there, &from, &to).await, state, "at the other node");
            assert_eq!(pays(&alice, &from, &to).await, state);
        }
        is_clean(&first);
    }
}
