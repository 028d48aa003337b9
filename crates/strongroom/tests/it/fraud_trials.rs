//! A draft of the rules about fraud runs beside the set in force: everything is held against it, nothing follows, and
//! it is asked for once it has run for long enough, or with a reason why it cannot wait.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{
    fraud_rules::{APPROVALS, Desk, RULES, approve, in_force, pair, pays, small_ones},
    harness::{
        Answer, BUSY, Engine, Person, Server,
        people::{new_key, transfer_body},
        stories,
    },
    payments::is_clean,
};

/// Three payments are enough.
const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
    ("STRONGROOM_FRAUD__MODE", "enforce"),
    ("STRONGROOM_FRAUD__TRIAL_HOURS_MIN", "0"),
    ("STRONGROOM_FRAUD__TRIAL_PAYMENTS_MIN", "3"),
];

stories! {
    with SETTINGS;
    a_draft_runs_beside_the_set_in_force_and_nothing_follows_until_two_people_agree,
    of_many_trials_begun_at_once_one_runs,
    every_payment_is_counted_once_while_many_pay_and_drafts_come_and_go,
    who_may_not_set_rules_neither_begins_nor_reads_a_trial,
}

mod as_shipped {
    use super::*;

    const SHIPPED: &[(&str, &str)] = crate::fraud_rules::SETTINGS;

    stories! {
        with SHIPPED;
        a_draft_that_did_not_run_for_a_day_needs_a_reason,
    }

    async fn a_draft_that_did_not_run_for_a_day_needs_a_reason(server: Server) {
        let desk = Desk::of(&server).await;
        let begun = begin(&desk.maker, small_ones(true)).await.expect(201);
        assert_eq!(
            (&begun.body["tried"], &begun.body["state"]),
            (&json!(false), &json!("running"))
        );
        let hours = |name: &str| begun.text(name).parse::<jiff::Timestamp>().unwrap();
        assert_eq!(
            hours("tried_from").duration_since(hours("started_at")).as_hours(),
            24
        );
        ask(&desk.maker, small_ones(true), None)
            .await
            .refused(409, "fraud_rules_untried");
        for wrong in ["", "two\nlines"] {
            let refused = ask(&desk.maker, small_ones(true), Some(wrong)).await;
            let refused = refused.refused(400, "validation_failed");
            assert_eq!(refused.body["errors"][0]["pointer"], "/untried_reason");
        }
        let asked = ask(&desk.maker, small_ones(true), Some("Cards are tested right now.")).await;
        let asked = asked.expect(202);
        let listed = desk.checker.client.get(APPROVALS).await.expect(200);
        let request = &listed.body["data"][0]["request"];
        assert_eq!(request["untried_reason"], "Cards are tested right now.");
        assert_eq!(request["tried"], Value::Null);
        approve(&desk.checker, &asked).await.expect(200);
        // What was in force once was tried.
        let back = format!("{RULES}/revisions/0/restore");
        desk.maker
            .client
            .post(&back, json!({"reason": "It is over."}))
            .await
            .expect(202);
    }
}

async fn begin(who: &Person, rules: Value) -> Answer {
    let body = json!({"reason": "A story.", "rules": rules});
    who.client.post(&format!("{RULES}/trials"), body).await
}

async fn ask(who: &Person, rules: Value, untried: Option<&str>) -> Answer {
    let mut body = json!({"reason": "A story.", "rules": rules});
    if let Some(reason) = untried {
        body["untried_reason"] = json!(reason);
    }
    who.client.post(&format!("{RULES}/proposals"), body).await
}

async fn report(who: &Person, trial: i64) -> Answer {
    who.client.get(&format!("{RULES}/trials/{trial}")).await
}

async fn differences(who: &Person, trial: i64) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{RULES}/trials/{trial}/differences?limit=2{cursor}");
        let page = who.client.get(&path).await.expect(200);
        found.extend(page.body["data"].as_array().unwrap().clone());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

fn number(answer: &Answer) -> i64 {
    answer.body["trial"].as_i64().unwrap()
}

async fn a_draft_runs_beside_the_set_in_force_and_nothing_follows_until_two_people_agree(server: Server) {
    let desk = Desk::of(&server).await;
    let (alice, from, to) = pair(&server).await;
    // Before there is a draft nothing is held against it.
    alice.transfer(&new_key(), &from, &to, 5_000).await.expect(201);
    let begun = begin(&desk.maker, small_ones(true)).await.expect(201);
    let trial = number(&begun);
    assert_eq!(begun.body["judged"], 0);
    // What the draft would let go as well is no difference, and what is only tried out is no payment.
    let large = alice.transfer(&new_key(), &from, &to, 5_000).await.expect(201);
    assert_eq!(large.body["state"], "posted");
    let mut sent = BTreeSet::new();
    for _ in 0..2 {
        let one = alice.transfer(&new_key(), &from, &to, 150).await.expect(201);
        assert_eq!(one.body["state"], "posted", "nothing follows from a draft");
        sent.insert(one.text("id").replace("tfr_", "txn_"));
    }
    let dry = "/api/v1/transfers?dry_run=true";
    alice
        .client
        .post(dry, transfer_body(&from, &to, 150))
        .await
        .expect(200);

    let told = report(&desk.checker, trial).await.expect(200);
    assert_eq!(
        (&told.body["judged"], &told.body["differing"]),
        (&json!(3), &json!(2)),
        "{told:?}"
    );
    assert_eq!(
        told.body["verdicts"],
        json!([{"in_force": "allow", "draft": "allow", "times": 1},
            {"in_force": "allow", "draft": "review", "times": 2}])
    );
    assert_eq!(
        told.body["rules"],
        json!([{"rule": "card_testing", "in_force": 0, "draft": 2}])
    );
    assert!(!told.body["changes"].as_array().unwrap().is_empty());
    let found = differences(&desk.maker, trial).await;
    let ids: BTreeSet<String> = found
        .iter()
        .map(|one| one["transaction_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, sent);
    assert_eq!(found[0]["draft_rules"], json!(["card_testing/2"]));
    assert_eq!(found[0]["in_force_rules"], json!([]));

    // Another draft was not tried, this one was.
    ask(&desk.maker, small_ones(false), None)
        .await
        .refused(409, "fraud_rules_untried");
    let asked = ask(&desk.maker, small_ones(true), None).await.expect(202);
    let listed = desk.checker.client.get(APPROVALS).await.expect(200);
    let request = &listed.body["data"][0]["request"];
    assert_eq!(
        request["tried"],
        json!({"trial": trial, "hours": 0, "judged": 3, "differing": 2})
    );
    assert_eq!(
        pays(&alice, &from, &to).await,
        "posted",
        "one person changes nothing"
    );
    approve(&desk.checker, &asked).await.expect(200);
    assert_eq!(pays(&alice, &from, &to).await, "pending_review");
    // It ends with the set that it ran beside; what was counted last is written within a second.
    crate::harness::awaited("the end of the trial", async || {
        let ended = report(&desk.maker, trial).await.expect(200);
        (ended.body["state"] == "ended" && ended.body["judged"] == 4).then_some(())
    })
    .await;
    // And what was tried beside another set was not tried beside this one.
    ask(&desk.maker, small_ones(false), None)
        .await
        .refused(409, "fraud_rules_untried");
    is_clean(&server);
}

async fn of_many_trials_begun_at_once_one_runs(server: Server) {
    const AT_ONCE: i64 = 6;
    let desk = Desk::of(&server).await;
    let begun = join_all((0..AT_ONCE).map(|number| {
        let rules = json!([{"rule": "kiting", "score": 1 + number}]);
        begin(&desk.maker, rules)
    }))
    .await;
    let numbers: BTreeSet<i64> = begun.into_iter().map(|one| number(&one.expect(201))).collect();
    assert_eq!(numbers, (1..=AT_ONCE).collect());
    let listed = desk
        .maker
        .client
        .get(&format!("{RULES}/trials?limit=100"))
        .await
        .expect(200);
    let listed = listed.body["data"].as_array().unwrap().clone();
    let running: Vec<_> = listed.iter().filter(|one| one["state"] == "running").collect();
    assert_eq!((listed.len(), running.len()), (6, 1));
    assert_eq!(running[0]["trial"], AT_ONCE);
    // Many end it, once, and an end is no beginning.
    let path = format!("{RULES}/trials/{AT_ONCE}/end");
    let ends = join_all((0..4).map(|_| desk.maker.client.post(&path, json!({})))).await;
    for one in &ends {
        assert_eq!(
            (one.status, &one.body["state"]),
            (200, &json!("ended")),
            "{one:?}"
        );
        assert_eq!(one.body["ended_at"], ends[0].body["ended_at"]);
    }
    let none = format!("{RULES}/trials/99/end");
    desk.maker
        .client
        .post(&none, json!({}))
        .await
        .refused(404, "not_found");
    let same = json!([{"rule": "kiting", "mode": "enforce"}]);
    begin(&desk.maker, same)
        .await
        .refused(409, "fraud_rules_unchanged");
    let moved = json!({"base_revision": 7, "reason": "A story.", "rules": [{"rule": "kiting", "score": 3}]});
    let moved = desk.maker.client.post(&format!("{RULES}/trials"), moved).await;
    moved.refused(409, "fraud_rules_moved");
}

async fn every_payment_is_counted_once_while_many_pay_and_drafts_come_and_go(server: Server) {
    const SENDERS: usize = 4;
    const EACH: usize = 15;
    let desk = Desk::of(&server).await;
    let (alice, from, to) = pair(&server).await;
    let first = number(&begin(&desk.maker, small_ones(true)).await.expect(201));
    let start = Arc::new(Barrier::new(SENDERS + 1));
    let mut senders = tokio::task::JoinSet::new();
    for many in [false, true, false, true] {
        let (alice, from, to, start) = (alice.clone(), from.clone(), to.clone(), start.clone());
        senders.spawn(async move {
            start.wait().await;
            for _ in 0..EACH {
                if many {
                    let body =
                        json!({"mode": "independent", "transfers": vec![transfer_body(&from, &to, 150); 3]});
                    let path = "/api/v1/transfers/batch";
                    let told = alice.client.post_once(path, &new_key(), body).await.expect(200);
                    for one in told.body["results"].as_array().unwrap() {
                        assert_eq!(one["status"], "posted", "{one}");
                    }
                } else {
                    assert_eq!(pays(&alice, &from, &to).await, "posted");
                }
            }
        });
    }
    start.wait().await;
    let mut last = first;
    for _ in 0..5 {
        last = number(&begin(&desk.maker, small_ones(true)).await.expect(201));
        assert_eq!(pays(&alice, &from, &to).await, "posted");
    }
    senders.join_all().await;
    let paid = i64::try_from(2 * EACH + 2 * 3 * EACH + 5).unwrap();
    let (mut judged, mut differing, mut kept) = (0, 0, 0);
    for trial in first..=last {
        let told = report(&desk.maker, trial).await.expect(200);
        judged += told.body["judged"].as_i64().unwrap();
        differing += told.body["differing"].as_i64().unwrap();
        kept += differences(&desk.maker, trial).await.len();
    }
    assert_eq!((judged, differing), (paid, paid), "each by exactly one draft");
    assert_eq!(i64::try_from(kept).unwrap(), paid);
    is_clean(&server);
}

async fn who_may_not_set_rules_neither_begins_nor_reads_a_trial(server: Server) {
    let desk = Desk::of(&server).await;
    let trial = number(&begin(&desk.maker, small_ones(true)).await.expect(201));
    let rules = json!([{"rule": "kiting", "score": 3}]);
    let end = format!("{RULES}/trials/{trial}/end");
    let (teller, alice) = (server.operator("teller").await, server.customer("alice").await);
    for who in [&teller, &alice] {
        for path in ["", "/1", "/1/differences"] {
            let path = format!("{RULES}/trials{path}");
            who.client.get(&path).await.refused(403, "forbidden");
        }
        begin(who, rules.clone()).await.refused(403, "forbidden");
        who.client.post(&end, json!({})).await.refused(403, "forbidden");
    }
    let auditor = server.operator("auditor").await;
    report(&auditor, trial).await.expect(200);
    begin(&auditor, rules).await.refused(403, "forbidden");
    auditor
        .client
        .post(&end, json!({}))
        .await
        .refused(403, "forbidden");
    let listed = desk
        .maker
        .client
        .get(&format!("{RULES}/trials"))
        .await
        .expect(200);
    assert_eq!(listed.body["data"][0]["state"], "running");
    assert_eq!(in_force(&desk.maker).await, 0);
}

mod on_two_nodes {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_draft_that_began_at_one_node_is_asked_by_the_next_payment_at_the_other() {
        let Some(first) = Server::start_with(Engine::Postgres, SETTINGS).await else {
            return;
        };
        let desk = Desk::of(&first).await;
        let (alice, from, to) = pair(&first).await;
        // Only now: whoever sends the mails of registration would be either node.
        let second = first.start_beside().await;
        let there = second.login(&alice.email, &alice.password).await;
        for _ in 0..4 {
            let trial = number(&begin(&desk.maker, small_ones(true)).await.expect(201));
            assert_eq!(pays(&there, &from, &to).await, "posted", "at the other node");
            assert_eq!(pays(&alice, &from, &to).await, "posted");
            // Each node tells at once what it counted itself, and within a second what the other one did.
            let told = crate::harness::awaited("both payments", async || {
                let told = report(&desk.maker, trial).await.expect(200);
                (told.body["judged"] == 2).then_some(told)
            })
            .await;
            assert_eq!(told.body["differing"], 2);
            let end = format!("{RULES}/trials/{trial}/end");
            desk.maker.client.post(&end, json!({})).await.expect(200);
            assert_eq!(pays(&there, &from, &to).await, "posted");
            let told = report(&desk.maker, trial).await.expect(200);
            assert_eq!(told.body["judged"], 2, "nothing is held against what ended");
        }
        is_clean(&first);
    }
}
