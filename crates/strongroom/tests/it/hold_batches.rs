//! Many holds in one request: placed, captured and given back, each on its own, or all or none, and once.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::{
    harness::{
        Answer, BUSY, Engine, Person, Server,
        people::{code_of, new_key, next_code_of},
        stories,
    },
    holds::{act, balance, body, euros, place, town},
    payments::is_clean,
};

mod with_rules;

stories! {
    with BUSY;
    many_holds_are_placed_captured_and_given_back_each_with_its_own_answer,
    an_atomic_batch_of_holds_is_all_or_none,
    a_thousand_holds_fit_and_one_more_does_not,
    a_batch_of_holds_is_answered_once_however_often_it_is_sent,
    bad_items_of_holds_are_named_all_at_once_and_nothing_changes,
    somebody_elses_holds_look_like_none_in_a_batch_and_a_session_that_ended_does_nothing,
    of_batches_of_all_verbs_at_once_the_money_moves_once,
    one_batch_of_holds_ten_times_at_once_is_reserved_once,
    many_small_holds_need_the_factor_that_one_large_one_needs,
}

const BATCH: &str = "/api/v1/holds/batch";
const CAPTURE: &str = "/api/v1/holds/batch/capture";
const VOID: &str = "/api/v1/holds/batch/void";

async fn placed(person: &Person, mode: &str, holds: &[Value]) -> Answer {
    let body = json!({"mode": mode, "holds": holds});
    person.client.post_once(BATCH, &new_key(), body).await.expect(200)
}

async fn captured(person: &Person, mode: &str, captures: &[Value]) -> Answer {
    let body = json!({"mode": mode, "captures": captures});
    person
        .client
        .post_once(CAPTURE, &new_key(), body)
        .await
        .expect(200)
}

async fn voided(person: &Person, mode: &str, ids: &[String]) -> Answer {
    let body = json!({"mode": mode, "hold_ids": ids});
    person.client.post_once(VOID, &new_key(), body).await.expect(200)
}

/// The code of each result, or the state in which it left its hold.
fn codes(answer: &Answer) -> Vec<String> {
    let results = answer.body["results"].as_array().unwrap();
    let code = |result: &Value| match result["status"].as_str().unwrap() {
        "refused" => result["problem"]["code"].as_str().unwrap().to_owned(),
        state => {
            assert_eq!(result["hold"]["state"], state);
            state.to_owned()
        }
    };
    results.iter().map(code).collect()
}

/// The ids of the holds of those that were not refused.
fn ids(answer: &Answer) -> Vec<String> {
    let results = answer.body["results"].as_array().unwrap();
    let id = |result: &Value| result["hold"]["id"].as_str().map(str::to_owned);
    results.iter().filter_map(id).collect()
}

fn of(hold: &str, minor: i64, last: bool) -> Value {
    json!({"hold_id": hold, "amount": euros(minor), "final": last})
}

async fn many_holds_are_placed_captured_and_given_back_each_with_its_own_answer(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let foreign = body(&to, &from, 1);
    let told = placed(
        &alice,
        "independent",
        &[
            body(&from, &to, 500),
            body(&from, &to, 501),
            foreign,
            body(&from, &to, 300),
            body(&from, &from, 1),
            body(&from, &to, 200),
        ],
    )
    .await;
    assert_eq!(
        codes(&told),
        [
            "held",
            "insufficient_funds",
            "account_not_found",
            "held",
            "same_account",
            "held"
        ]
    );
    let refused = &told.body["results"][1]["problem"];
    assert_eq!(
        (&refused["status"], &refused["request_id"]),
        (&json!(422), &json!(told.header("x-request-id")))
    );
    assert_eq!(balance(&alice, &from).await, (1_000, 1_000, 0));
    let holds = ids(&told);
    let read = bob
        .client
        .get(&format!("/api/v1/holds/{}", holds[0]))
        .await
        .expect(200);
    assert_eq!(
        read.body, told.body["results"][0]["hold"],
        "each is a hold like any other"
    );

    // The payee pays out of them: twice out of one, too much of another, of one that there is not, in no euros.
    let nobodys = "hold_01jd3vw4ezfkx8y0q4sfcmj2t9";
    let told = captured(
        &bob,
        "independent",
        &[
            of(&holds[0], 200, false),
            of(&holds[0], 100, false),
            of(&holds[1], 301, false),
            of(nobodys, 1, false),
            json!({"hold_id": holds[1], "amount": {"amount": 1, "currency": "USD"}}),
            of(&holds[0], 50, true),
            of(&holds[0], 1, false),
            json!({"hold_id": holds[2]}),
        ],
    )
    .await;
    assert_eq!(
        codes(&told),
        [
            "partially_captured",
            "partially_captured",
            "exceeds_hold",
            "hold_not_found",
            "currency_mismatch",
            "captured",
            "hold_not_open",
            "captured"
        ]
    );
    let left: Vec<_> = [0, 1, 5]
        .map(|at: usize| told.body["results"][at]["hold"]["remaining"]["amount"].clone())
        .into();
    assert_eq!(
        left,
        [300, 200, 0],
        "each answer shows the hold as it was left then"
    );
    assert_eq!(balance(&alice, &from).await, (450, 300, 150));
    assert_eq!(bob.posted(&to).await, 550);

    let told = voided(
        &alice,
        "independent",
        &[holds[1].clone(), holds[0].clone(), holds[1].clone()],
    )
    .await;
    assert_eq!(codes(&told), ["voided", "hold_not_open", "hold_not_open"]);
    assert_eq!(balance(&alice, &from).await, (450, 0, 450));
    is_clean(&server);
}

async fn an_atomic_batch_of_holds_is_all_or_none(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let (large, small) = (body(&from, &to, 600), body(&from, &to, 400));
    let told = placed(&alice, "atomic", &[large.clone(), large.clone(), small.clone()]).await;
    assert_eq!(
        codes(&told),
        ["batch_refused", "insufficient_funds", "batch_refused"]
    );
    assert_eq!(balance(&alice, &from).await, (1_000, 0, 1_000));
    let told = placed(&alice, "atomic", &[large, small]).await;
    assert_eq!(codes(&told), ["held", "held"]);
    let holds = ids(&told);

    let told = captured(
        &bob,
        "atomic",
        &[of(&holds[0], 600, false), of(&holds[1], 401, false)],
    )
    .await;
    assert_eq!(codes(&told), ["batch_refused", "exceeds_hold"]);
    let told = captured(
        &bob,
        "atomic",
        &[of(&holds[0], 100, false), of(&holds[0], 100, false)],
    )
    .await;
    assert_eq!(codes(&told), ["partially_captured", "partially_captured"]);
    assert_eq!(balance(&alice, &from).await, (800, 800, 0));

    act(&alice, &holds[1], "void", json!({})).await.expect(200);
    let told = voided(&alice, "atomic", &holds).await;
    assert_eq!(codes(&told), ["batch_refused", "hold_not_open"]);
    assert_eq!(balance(&alice, &from).await, (800, 400, 400));
    let told = voided(&alice, "atomic", &holds[..1]).await;
    assert_eq!(codes(&told), ["voided"]);
    assert_eq!(balance(&alice, &from).await, (800, 0, 800));
    is_clean(&server);
}

async fn a_thousand_holds_fit_and_one_more_does_not(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let mut items = vec![body(&from, &to, 1); 1_000];
    let told = placed(&alice, "atomic", &items).await;
    assert!(codes(&told).iter().all(|code| code == "held"));
    assert_eq!(balance(&alice, &from).await, (1_000, 1_000, 0));
    let holds = ids(&told);
    let captures: Vec<Value> = holds[..500].iter().map(|hold| json!({"hold_id": hold})).collect();
    let told = captured(&bob, "atomic", &captures).await;
    assert!(codes(&told).iter().all(|code| code == "captured"));
    let told = voided(&bob, "independent", &holds).await;
    let told = codes(&told);
    assert_eq!(told.iter().filter(|code| *code == "voided").count(), 500);
    assert_eq!(balance(&alice, &from).await, (500, 0, 500));
    assert_eq!(bob.posted(&to).await, 500);
    items.push(body(&from, &to, 1));
    let sent = json!({"mode": "atomic", "holds": items});
    let refused = alice.client.post_once(BATCH, &new_key(), sent).await;
    let refused = refused.refused(400, "validation_failed");
    assert_eq!(refused.body["errors"][0]["pointer"], "/holds");
    is_clean(&server);
}

async fn a_batch_of_holds_is_answered_once_however_often_it_is_sent(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let key = new_key();
    let whole = json!({"mode": "independent", "holds": [body(&from, &to, 600), body(&from, &to, 600)]});
    let send =
        async |path: &str, key: &str, body: &Value| alice.client.post_once(path, key, body.clone()).await;
    let first = send(BATCH, &key, &whole).await.expect(200);
    let hold = ids(&first)[0].clone();
    let (capture, capture_key) = (
        json!({"mode": "atomic", "captures": [of(&hold, 100, false)]}),
        new_key(),
    );
    let paid = send(CAPTURE, &capture_key, &capture).await.expect(200);
    let (void, void_key) = (json!({"mode": "atomic", "hold_ids": [hold]}), new_key());
    let given = send(VOID, &void_key, &void).await.expect(200);
    for (path, key, body, before) in [
        (BATCH, &key, &whole, &first),
        (CAPTURE, &capture_key, &capture, &paid),
        (VOID, &void_key, &void, &given),
    ] {
        let again = send(path, key, body).await.expect(200);
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{path}");
        assert_eq!(again.body["results"][0], before.body["results"][0], "{path}");
        assert_eq!(codes(&again), codes(before), "{path}");
    }
    assert_eq!(balance(&alice, &from).await, (900, 0, 900));
    assert_eq!(bob.posted(&to).await, 100);
    // Another mode, another length, another item, another operation: another request.
    for (path, other, pointer) in [
        (BATCH, json!({"mode": "atomic", "holds": whole["holds"]}), "/mode"),
        (
            BATCH,
            json!({"mode": "independent", "holds": [whole["holds"][0]]}),
            "/holds",
        ),
        (
            BATCH,
            json!({"mode": "independent", "holds": [body(&from, &to, 601), body(&from, &to, 600)]}),
            "/amount/amount",
        ),
        ("/api/v1/holds", body(&from, &to, 600), ""),
        (VOID, void.clone(), ""),
    ] {
        let refused = send(path, &key, &other)
            .await
            .refused(422, "idempotency_key_reused");
        let told = refused.body["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert_eq!(told, pointer, "{other}");
    }
    alice
        .client
        .post(BATCH, whole)
        .await
        .refused(400, "idempotency_key_missing");
}

async fn bad_items_of_holds_are_named_all_at_once_and_nothing_changes(server: Server) {
    let (alice, from, _, to) = town(&server, 1_000).await;
    let mut wrong = body(&from, &to, 0);
    wrong["account_id"] = json!("acct_1");
    let mut over = body(&from, &to, 1);
    over["expires_at"] = json!("2020-01-01T00:00:00Z");
    let mut far = body(&from, &to, 1);
    far["expires_at"] = json!("2120-01-01T00:00:00Z");
    let pointers = |refused: Answer| -> Vec<String> {
        let refused = refused.refused(400, "validation_failed");
        let errors = refused.body["errors"].as_array().unwrap().clone();
        let pointer = |error: &Value| error["pointer"].as_str().unwrap().to_owned();
        errors.iter().map(pointer).collect()
    };
    let send = async |path: &str, body: Value| alice.client.post_once(path, &new_key(), body).await;
    let told = send(
        BATCH,
        json!({"mode": "atomic", "holds": [body(&from, &to, 1), wrong, over]}),
    )
    .await;
    assert_eq!(pointers(told), ["/holds/1/account_id", "/holds/1/amount/amount"]);
    let told = send(
        BATCH,
        json!({"mode": "atomic", "holds": [far, body(&from, &to, 1), {"account_id": from["id"],
            "to_account_id": to["id"], "amount": euros(1), "expires_at": "2020-01-01T00:00:00Z"}]}),
    )
    .await;
    assert_eq!(pointers(told), ["/holds/0/expires_at", "/holds/2/expires_at"]);
    let told = send(
        CAPTURE,
        json!({"mode": "atomic", "captures": [{"hold_id": "hold_1"},
        {"hold_id": "x", "amount": euros(-1)}]}),
    )
    .await;
    assert_eq!(
        pointers(told),
        [
            "/captures/0/hold_id",
            "/captures/1/hold_id",
            "/captures/1/amount/amount"
        ]
    );
    let told = send(
        VOID,
        json!({"mode": "atomic", "hold_ids": ["x", "acct_01jd3vw4ezfkx8y0q4sfcmj2t9"]}),
    )
    .await;
    assert_eq!(pointers(told), ["/hold_ids/0", "/hold_ids/1"]);
    for (path, empty) in [
        (BATCH, json!({"mode": "atomic", "holds": []})),
        (CAPTURE, json!({"mode": "atomic", "captures": []})),
        (VOID, json!({"mode": "atomic", "hold_ids": []})),
        (
            VOID,
            json!({"mode": "some", "hold_ids": ["hold_01jd3vw4ezfkx8y0q4sfcmj2t9"]}),
        ),
    ] {
        send(path, empty).await.refused(400, "validation_failed");
    }
    assert_eq!(balance(&alice, &from).await, (1_000, 0, 1_000));
}

async fn somebody_elses_holds_look_like_none_in_a_batch_and_a_session_that_ended_does_nothing(
    server: Server,
) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let carol = server.customer("carol").await;
    let told = placed(&alice, "atomic", &[body(&from, &to, 300), body(&from, &to, 300)]).await;
    let holds = ids(&told);
    let nobodys = "hold_01jd3vw4ezfkx8y0q4sfcmj2t9".to_owned();
    let asked = [holds[0].clone(), nobodys];
    let told = voided(&carol, "independent", &asked).await;
    let problems: Vec<_> = told.body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["problem"].clone())
        .collect();
    assert_eq!(codes(&told), ["hold_not_found"; 2]);
    assert_eq!(problems[0], problems[1], "nobody can tell them apart");
    let captures = asked.clone().map(|hold| json!({"hold_id": hold}));
    assert_eq!(
        codes(&captured(&carol, "independent", &captures).await),
        ["hold_not_found"; 2]
    );
    let teller = server.operator("teller").await;
    // Who may give back anybody's hold does that one by one: a batch is about one's own.
    let told = voided(&teller, "independent", &holds).await;
    assert_eq!(codes(&told), ["hold_not_found"; 2]);
    assert_eq!(balance(&alice, &from).await, (1_000, 600, 400));
    bob.client
        .post(
            "/api/v1/auth/logout",
            json!({"refresh_token": bob.tokens["refresh_token"]}),
        )
        .await
        .expect(204);
    for path in [BATCH, CAPTURE, VOID] {
        let sent = bob.client.post_once(path, &new_key(), json!({})).await;
        assert_eq!(sent.status, 401, "{sent:?}");
    }
    assert_eq!(balance(&alice, &from).await, (1_000, 600, 400));
}

async fn of_batches_of_all_verbs_at_once_the_money_moves_once(server: Server) {
    const HOLDS: usize = 12;
    let (alice, from, bob, to) = town(&server, 1_000_000).await;
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut paid = 0;
    for round in 0..12 {
        let items = vec![body(&from, &to, 100); HOLDS];
        let holds = ids(&placed(&alice, "atomic", &items).await);
        let start = Arc::new(Barrier::new(5));
        let mut tasks = JoinSet::new();
        for number in 0..5 {
            let (start, mut holds) = (start.clone(), holds.clone());
            let (alice, bob) = (alice.clone(), bob.clone());
            if number % 2 == 1 {
                holds.reverse();
            }
            tasks.spawn(async move {
                let whole: Vec<Value> = holds.iter().map(|hold| json!({"hold_id": hold})).collect();
                let parts: Vec<Value> = holds.iter().map(|hold| of(hold, 30, false)).collect();
                start.wait().await;
                match number {
                    0 => codes(&captured(&bob, "atomic", &whole).await),
                    1 => codes(&captured(&alice, "independent", &whole).await),
                    2 => codes(&voided(&alice, "independent", &holds).await),
                    3 => codes(&captured(&bob, "independent", &parts).await),
                    _ => {
                        let mut told = Vec::new();
                        for hold in &holds {
                            let one = act(&bob, hold, "void", json!({})).await;
                            let told_one = if one.status == 200 {
                                "voided".to_owned()
                            } else {
                                one.code().to_owned()
                            };
                            told.push(told_one);
                        }
                        told
                    }
                }
            });
        }
        let (mut ended, mut parts) = (0, 0);
        for told in tasks.join_all().await {
            for code in told {
                match code.as_str() {
                    "captured" | "voided" => {
                        ended += 1;
                        *seen
                            .entry(if code == "voided" { "voided" } else { "captured" })
                            .or_default() += 1;
                    }
                    "partially_captured" => parts += 1,
                    "hold_not_open" | "batch_refused" => {}
                    other => panic!("{other}"),
                }
            }
        }
        assert_eq!(ended, HOLDS, "each hold ended once, in round {round}");
        let mut moved = 0;
        for hold in &holds {
            let read = alice
                .client
                .get(&format!("/api/v1/holds/{hold}"))
                .await
                .expect(200);
            moved += read.body["captured"]["amount"].as_i64().unwrap();
            assert_eq!(read.body["remaining"]["amount"], 0);
        }
        assert!(parts <= HOLDS);
        paid += moved;
        assert_eq!(bob.posted(&to).await, paid);
        assert_eq!(
            balance(&alice, &from).await,
            (1_000_000 - paid, 0, 1_000_000 - paid)
        );
        if seen.len() == 2 && round > 3 {
            break;
        }
    }
    assert_eq!(seen.len(), 2, "only one order was seen: {seen:?}");
    is_clean(&server);
}

async fn one_batch_of_holds_ten_times_at_once_is_reserved_once(server: Server) {
    let (alice, from, _, to) = town(&server, 100_000).await;
    for round in 1..=5 {
        let (key, start) = (new_key(), Arc::new(Barrier::new(10)));
        let mut tasks = JoinSet::new();
        for _ in 0..10 {
            let (start, alice, key) = (start.clone(), alice.clone(), key.clone());
            let items = vec![body(&from, &to, 10); 20];
            tasks.spawn(async move {
                start.wait().await;
                let body = json!({"mode": "atomic", "holds": items});
                alice.client.post_once(BATCH, &key, body).await
            });
        }
        let answers: Vec<_> = tasks
            .join_all()
            .await
            .into_iter()
            .map(|answer| answer.expect(200))
            .collect();
        assert!(answers.iter().all(|answer| answer.body == answers[0].body));
        let fresh = answers
            .iter()
            .filter(|answer| answer.header("idempotent-replayed").is_none());
        assert_eq!(fresh.count(), 1);
        assert_eq!(balance(&alice, &from).await.1, 200 * round);
    }
    is_clean(&server);
}

async fn many_small_holds_need_the_factor_that_one_large_one_needs(server: Server) {
    let (alice, from, _, to) = town(&server, 50_000_000).await;
    let offered = alice
        .client
        .post("/api/v1/me/mfa/totp", Value::Null)
        .await
        .expect(200);
    let uri = offered.text("otpauth_uri");
    let code = json!({"code": code_of(&uri)});
    alice
        .client
        .post("/api/v1/me/mfa/totp/confirm", code)
        .await
        .expect(200);
    let (key, whole) = (
        new_key(),
        json!({"mode": "atomic", "holds": vec![body(&from, &to, 600_000); 3]}),
    );
    let asked = alice.client.post_once(BATCH, &key, whole.clone()).await;
    let asked = asked.refused(401, "step_up_required");
    let proof = json!({"method": "totp", "code": next_code_of(&uri), "challenge": asked.text("challenge")});
    alice.client.post("/api/v1/auth/step-up", proof).await.expect(204);
    let done = alice
        .client
        .post_once(BATCH, &key, whole.clone())
        .await
        .expect(200);
    assert_eq!(codes(&done), ["held"; 3]);
    // It is spent: the same again is another request. What is given back needs none.
    let again = alice.client.post_once(BATCH, &new_key(), whole).await;
    again.refused(401, "step_up_required");
    assert_eq!(codes(&voided(&alice, "atomic", &ids(&done)).await), ["voided"; 3]);
    assert_eq!(balance(&alice, &from).await, (50_000_000, 0, 50_000_000));
}

mod on_two_nodes {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_nodes_capture_and_give_back_many_holds_once() {
        let Some(first) = Server::start_with(Engine::Postgres, BUSY).await else {
            return;
        };
        let (alice, from, bob, to) = town(&first, 100_000).await;
        // Only now: whoever sends the mails of registration would be either node.
        let second = first.start_beside().await;
        let there = second.login(&bob.email, &bob.password).await;
        for _ in 0..6 {
            let (before, at_bob) = (balance(&alice, &from).await.0, bob.posted(&to).await);
            let holds = ids(&placed(&alice, "atomic", &vec![body(&from, &to, 10); 30]).await);
            let captures: Vec<Value> = holds.iter().map(|hold| json!({"hold_id": hold})).collect();
            let mut backwards = holds.clone();
            backwards.reverse();
            let key = new_key();
            let whole = json!({"mode": "independent", "captures": captures});
            let (paid, again, given) = tokio::join!(
                there.client.post_once(CAPTURE, &key, whole.clone()),
                bob.client.post_once(CAPTURE, &key, whole.clone()),
                voided(&alice, "independent", &backwards),
            );
            let (paid, again) = (paid.expect(200), again.expect(200));
            assert_eq!(codes(&paid), codes(&again), "one key, one answer");
            let count = |told: &Answer, state: &str| codes(told).iter().filter(|code| *code == state).count();
            let (went, back) = (count(&paid, "captured"), count(&given, "voided"));
            assert_eq!(went + back, 30);
            let moved = 10 * i64::try_from(went).unwrap();
            assert_eq!(balance(&alice, &from).await, (before - moved, 0, before - moved));
            assert_eq!(bob.posted(&to).await, at_bob + moved);
        }
        is_clean(&first);
    }
}
