//! What takes two people: cash above the bank's bound, and limits beyond its rules.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use strongroom_crypto::http_signature::SigningKey;

use crate::{
    harness::{
        Answer, BUSY, Person, Server, decide,
        people::{in_minutes, new_key},
        signed::{Signed, shared},
        stories,
    },
    payments::{euros, is_clean},
};

const APPROVALS: &str = "/api/v1/admin/approvals";
/// New administrators decide at once; cash above a hundred euros takes two; nobody pays more than ten at once.
const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
    ("STRONGROOM_COUNTER__TWO_PEOPLE_OVER", "100"),
    ("STRONGROOM_CUSTOMER_LIMITS__ALL", "10/1000/-"),
];

stories! {
    with SETTINGS;
    cash_above_the_bound_takes_a_second_person,
    cash_asked_for_and_approved_many_times_at_once_is_booked_once,
    who_lost_the_role_meanwhile_neither_asks_nor_decides,
    a_checker_whose_role_is_taken_at_the_same_time_decides_before_or_not_at_all,
    what_was_asked_under_one_bound_is_decided_under_it,
    approved_cash_that_the_books_refuse_waits_for_better_times,
    what_a_key_asks_for_a_person_decides_as_long_as_the_key_counts,
    a_customer_pays_beyond_the_rules_for_a_time_by_two_people,
    of_two_exceptions_approved_at_once_one_is_given,
}

async fn cash(teller: &Person, verb: &str, key: &str, account: &Value, minor: i64) -> Answer {
    let body = json!({"account_id": account["id"], "amount": euros(minor), "reference": "slip 12"});
    let path = format!("/api/v1/{verb}");
    teller.client.post_once(&path, key, body).await
}

/// Takes the only role of an operator.
async fn take_role(admin: &Person, from: &str) -> Answer {
    let grants = format!("/api/v1/admin/users/{from}/grants");
    let listed = admin.client.get(&grants).await.expect(200);
    let grant = listed.body["data"][0]["id"].as_str().unwrap().to_owned();
    let request = admin.client.request(Method::DELETE, &format!("{grants}/{grant}"));
    admin.client.send(request).await
}

async fn cash_above_the_bound_takes_a_second_person(server: Server) {
    let alice = server.customer("alice").await;
    let (maker, teller, admin) = (
        server.operator("teller").await,
        server.operator("teller").await,
        server.operator("admin").await,
    );
    let (support, auditor) = (server.operator("support").await, server.operator("auditor").await);
    let account = alice.account("Household").await;
    // The bound itself takes one.
    cash(&maker, "deposits", &new_key(), &account, 10_000)
        .await
        .expect(201);
    let key = new_key();
    let asked = cash(&maker, "deposits", &key, &account, 10_001).await.expect(202);
    let approval = asked.text("approval_id");
    assert_eq!(alice.posted(&account).await, 10_000);
    // Sent again it is the same request, and another one is none under this key.
    let again = cash(&maker, "deposits", &key, &account, 10_001).await.expect(202);
    assert_eq!(again.text("approval_id"), approval);
    cash(&maker, "deposits", &key, &account, 10_002)
        .await
        .refused(422, "idempotency_key_reused");
    cash(&maker, "withdrawals", &key, &account, 10_001)
        .await
        .refused(422, "idempotency_key_reused");

    // Tellers see what is about cash and nothing else.
    let operator = json!({"email": "tom@bank.example", "full_name": "Tom", "role": "teller"});
    let other = admin
        .client
        .post("/api/v1/admin/users", operator)
        .await
        .expect(202);
    let seen = teller.client.get(APPROVALS).await.expect(200);
    let [request] = seen.body["data"].as_array().unwrap().as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!(
        (&request["id"], &request["action"], &request["request"]["amount"]),
        (&json!(approval), &json!("deposit.create"), &json!(10_001))
    );
    assert_eq!(
        request["rule"],
        json!({"makers": ["teller"], "checkers": ["teller", "admin"], "over": 100})
    );
    let listed = auditor.client.get(APPROVALS).await.expect(200);
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 2);
    for verb in ["approve", "reject"] {
        decide(&maker, &approval, verb)
            .await
            .refused(403, "maker_is_checker");
        for stranger in [&alice, &support, &auditor] {
            decide(stranger, &approval, verb).await.refused(403, "forbidden");
        }
        // What is not about cash is not there for tellers, nor is nothing.
        for absent in [&other.text("approval_id"), "appr_01h455vb4pex5vsknk084sn02q"] {
            decide(&teller, absent, verb).await.refused(403, "forbidden");
        }
    }
    alice.client.get(APPROVALS).await.refused(403, "forbidden");
    support.client.get(APPROVALS).await.refused(403, "forbidden");
    assert_eq!(alice.posted(&account).await, 10_000);

    let done = decide(&teller, &approval, "approve").await.expect(200);
    assert_eq!(done.body["state"], "approved");
    assert_eq!(alice.posted(&account).await, 20_001);
    let read = format!("/api/v1/transfers/{}", done.text("transfer_id"));
    let booked = alice.client.get(&read).await.expect(200);
    assert_eq!(booked.body["amount"], euros(10_001));
    decide(&admin, &approval, "approve")
        .await
        .refused(409, "approval_closed");
    // And now it is the same movement.
    let replayed = cash(&maker, "deposits", &key, &account, 10_001).await.expect(201);
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    assert_eq!(alice.posted(&account).await, 20_001);

    // Out again, by an administrator's word; rejected, nothing moves.
    let asked = cash(&maker, "withdrawals", &new_key(), &account, 20_000)
        .await
        .expect(202);
    decide(&admin, &asked.text("approval_id"), "approve")
        .await
        .expect(200);
    let asked = cash(&maker, "withdrawals", &new_key(), &account, 10_001)
        .await
        .expect(202);
    decide(&teller, &asked.text("approval_id"), "reject")
        .await
        .expect(200);
    decide(&teller, &asked.text("approval_id"), "approve")
        .await
        .refused(409, "approval_closed");
    assert_eq!(alice.posted(&account).await, 1);
    is_clean(&server);
}

async fn cash_asked_for_and_approved_many_times_at_once_is_booked_once(server: Server) {
    let alice = server.customer("alice").await;
    let maker = server.operator("teller").await;
    let mut checkers = Vec::new();
    for role in ["teller", "admin", "teller", "admin", "teller"] {
        checkers.push(server.operator(role).await);
    }
    let account = alice.account("Household").await;
    let mut rejected = 0;
    for round in 0..6 {
        let key = new_key();
        let asked = join_all((0..6).map(|_| cash(&maker, "deposits", &key, &account, 20_000))).await;
        let mut ids: Vec<String> = asked
            .into_iter()
            .map(|answer| answer.expect(202).text("approval_id"))
            .collect();
        ids.dedup();
        let [approval] = ids.as_slice() else {
            panic!("one request was filed as {ids:?}")
        };
        let before = alice.posted(&account).await;
        let answers = join_all(checkers.iter().enumerate().map(|(number, checker)| {
            let rejects = round % 2 == 0 && (number + round) % 5 == 0;
            let verb = if rejects { "reject" } else { "approve" };
            async move { (verb, decide(checker, approval, verb).await) }
        }))
        .await;
        let won: Vec<_> = answers
            .iter()
            .filter(|(_, answer)| answer.status == 200)
            .collect();
        let [(verb, _)] = won.as_slice() else {
            panic!("{answers:?}")
        };
        let moved = if *verb == "approve" { 20_000 } else { 0 };
        assert_eq!(alice.posted(&account).await - before, moved, "{answers:?}");
        rejected += usize::from(moved == 0);
        for (_, lost) in answers.into_iter().filter(|(_, answer)| answer.status != 200) {
            // Who finds the request closed, or its key spent by whoever was faster.
            let code = lost.text("code");
            assert!(
                ["approval_closed", "approval_stale"].contains(&code.as_str()),
                "{lost:?}"
            );
        }
    }
    assert!(rejected <= 3, "nobody rejects every other round");
    is_clean(&server);
}

async fn who_lost_the_role_meanwhile_neither_asks_nor_decides(server: Server) {
    let alice = server.customer("alice").await;
    let admin = server.operator("admin").await;
    let (maker, checker) = (server.operator("teller").await, server.operator("teller").await);
    let account = alice.account("Household").await;
    let ask = async || {
        let asked = cash(&maker, "deposits", &new_key(), &account, 10_001).await;
        asked.expect(202).text("approval_id")
    };
    let (first, second, third) = (ask().await, ask().await, ask().await);
    decide(&checker, &first, "approve").await.expect(200);
    take_role(&admin, &checker.id().await).await.expect(204);
    assert_eq!(decide(&checker, &second, "approve").await.status, 403);
    take_role(&admin, &maker.id().await).await.expect(204);
    decide(&admin, &second, "approve")
        .await
        .refused(409, "approval_closed");
    // The maker took it along: it is over, and so it stays.
    let seen = admin
        .client
        .get(&format!("{APPROVALS}?state=expired"))
        .await
        .expect(200);
    assert_eq!(seen.body["data"][0]["id"], second.as_str());
    decide(&admin, &third, "reject").await.expect(200);
    assert_eq!(alice.posted(&account).await, 10_001);
}

async fn a_checker_whose_role_is_taken_at_the_same_time_decides_before_or_not_at_all(server: Server) {
    let alice = server.customer("alice").await;
    let admin = server.operator("admin").await;
    let maker = server.operator("teller").await;
    let account = alice.account("Household").await;
    for _ in 0..6 {
        let checker = server.operator("teller").await;
        let id = checker.id().await;
        let asked = cash(&maker, "deposits", &new_key(), &account, 10_001).await;
        let approval = asked.expect(202).text("approval_id");
        let before = alice.posted(&account).await;
        let (decided, taken) =
            futures::future::join(decide(&checker, &approval, "approve"), take_role(&admin, &id)).await;
        taken.expect(204);
        let moved = alice.posted(&account).await - before;
        match decided.status {
            200 => assert_eq!(moved, 10_001),
            // Whoever holds no role any more is a stranger, to whom the account looks like none.
            403 | 404 => assert_eq!(moved, 0),
            _ => panic!("{decided:?}"),
        }
        // After the answer that the role is gone nothing is decided any more.
        assert_eq!(decide(&checker, &approval, "approve").await.status, 403);
    }
}

async fn what_was_asked_under_one_bound_is_decided_under_it(mut server: Server) {
    let alice = server.customer("alice").await;
    let (maker, teller) = (server.operator("teller").await, server.operator("teller").await);
    let account = alice.account("Household").await;
    let key = new_key();
    let asked = cash(&maker, "deposits", &key, &account, 15_000).await.expect(202);
    assert_eq!(server.stop().await, Some(0));
    server.set("STRONGROOM_COUNTER__TWO_PEOPLE_OVER", "1000");
    server.resume().await;
    // One is enough for such a sum now; what was asked for still waits for its second person.
    cash(&maker, "deposits", &new_key(), &account, 15_000)
        .await
        .expect(201);
    let approval = asked.text("approval_id");
    let seen = teller.client.get(APPROVALS).await.expect(200);
    assert_eq!(
        (
            &seen.body["data"][0]["state"],
            &seen.body["data"][0]["rule"]["over"]
        ),
        (&json!("open"), &json!(100))
    );
    decide(&maker, &approval, "approve")
        .await
        .refused(403, "maker_is_checker");
    decide(&teller, &approval, "approve").await.expect(200);
    assert_eq!(alice.posted(&account).await, 30_000);
    is_clean(&server);
}

async fn approved_cash_that_the_books_refuse_waits_for_better_times(server: Server) {
    let alice = server.customer("alice").await;
    let (maker, teller) = (server.operator("teller").await, server.operator("teller").await);
    let account = alice.account("Household").await;
    cash(&maker, "deposits", &new_key(), &account, 10_000)
        .await
        .expect(201);
    let asked = cash(&maker, "withdrawals", &new_key(), &account, 10_001)
        .await
        .expect(202);
    let approval = asked.text("approval_id");
    decide(&teller, &approval, "approve")
        .await
        .refused(422, "insufficient_funds");
    cash(&maker, "deposits", &new_key(), &account, 1)
        .await
        .expect(201);
    let path = format!(
        "/api/v1/admin/accounts/{}/freeze",
        account["id"].as_str().unwrap()
    );
    teller
        .client
        .post(&path, json!({"scope": "all"}))
        .await
        .expect(200);
    decide(&teller, &approval, "approve")
        .await
        .refused(422, "account_frozen");
    let path = path.replace("freeze", "unfreeze");
    teller.client.post(&path, json!({})).await.expect(200);
    decide(&teller, &approval, "approve").await.expect(200);
    assert_eq!(alice.posted(&account).await, 0);
    // In dollars there is no such account, and for nobody there is none.
    let nobody = json!({"id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9"});
    cash(&maker, "deposits", &new_key(), &nobody, 10_001)
        .await
        .refused(404, "account_not_found");
    is_clean(&server);
}

async fn what_a_key_asks_for_a_person_decides_as_long_as_the_key_counts(server: Server) {
    let alice = server.customer("alice").await;
    let (teller, admin) = (server.operator("teller").await, server.operator("admin").await);
    let account = alice.account("Household").await;
    let arguments = [
        "api-key",
        "add",
        "--name",
        "till",
        "--role",
        "teller",
        "--scopes",
        "deposits:write",
        "--json",
    ];
    let (ok, out, error) = server.cli(&arguments);
    assert!(ok, "{out}{error}");
    let made: Value = serde_json::from_str(&out).unwrap();
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["signing_secret"].as_str().unwrap(),
    );
    let ask = async |minor: i64| {
        let body = json!({"account_id": account["id"], "amount": euros(minor)});
        let signed = Signed::new(Method::POST, "/api/v1/deposits", Some(&body), id);
        let signed = signed.by(&server, &SigningKey::Shared(shared(secret)), id);
        let answer = signed.send(&server).await;
        // A signed request is decided once, also where it waits for somebody.
        signed.send(&server).await.refused(401, "signature_replayed");
        answer
    };
    ask(10_000).await.expect(201);
    let (first, second) = (ask(10_001).await.expect(202), ask(10_001).await.expect(202));
    decide(&teller, &first.text("approval_id"), "approve")
        .await
        .expect(200);
    assert_eq!(alice.posted(&account).await, 20_001);
    let revoke = json!({"action": "revoke_key", "reason": "the till was stolen", "api_key_id": id});
    admin
        .client
        .post("/api/v1/admin/incident-actions", revoke)
        .await
        .expect(201);
    let late = second.text("approval_id");
    decide(&teller, &late, "approve")
        .await
        .refused(409, "approval_stale");
    decide(&teller, &late, "reject").await.expect(200);
    assert_eq!(alice.posted(&account).await, 20_001);
    is_clean(&server);
}

fn limits_path(account: &Value) -> String {
    format!(
        "/api/v1/admin/accounts/{}/limits",
        account["id"].as_str().unwrap()
    )
}

async fn put(person: &Person, account: &Value, body: Value) -> Answer {
    let request = person
        .client
        .request(Method::PUT, &limits_path(account))
        .json(&body);
    person.client.send(request).await
}

fn wish(minor: i64) -> Value {
    json!({"per_transfer": euros(minor), "until": in_minutes(60), "reason": "buys a house"})
}

async fn a_customer_pays_beyond_the_rules_for_a_time_by_two_people(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let (teller, admin, support) = (
        server.operator("teller").await,
        server.operator("admin").await,
        server.operator("support").await,
    );
    let (from, to) = (alice.account("Household").await, bob.account("House").await);
    cash(&teller, "deposits", &new_key(), &from, 10_000)
        .await
        .expect(201);
    cash(&teller, "deposits", &new_key(), &from, 10_000)
        .await
        .expect(201);
    let pay = async |minor| alice.transfer(&new_key(), &from, &to, minor).await;
    pay(1_001).await.refused(422, "limit_exceeded");

    for (wrong, pointer) in [
        (json!({"until": in_minutes(60), "reason": "x"}), ""),
        (
            json!({"daily": euros(-1), "until": in_minutes(60), "reason": "x"}),
            "/daily/amount",
        ),
        (
            json!({"daily": euros(1), "until": in_minutes(-1), "reason": "x"}),
            "/until",
        ),
        (
            json!({"daily": euros(1), "until": in_minutes(600_000), "reason": "x"}),
            "/until",
        ),
        (
            json!({"daily": euros(1), "until": in_minutes(60), "reason": ""}),
            "/reason",
        ),
        (
            json!({"daily": {"amount": 1, "currency": "USD"}, "until": in_minutes(60), "reason": "x"}),
            "/currency",
        ),
    ] {
        let refused = put(&teller, &from, wrong).await.refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{refused:?}");
    }
    for stranger in [&alice, &bob, &support] {
        put(stranger, &from, wish(5_000)).await.refused(403, "forbidden");
    }
    let asked = put(&teller, &from, wish(5_000))
        .await
        .expect(202)
        .text("approval_id");
    // Nobody alone: neither who asked, nor a second one who decides about cash only.
    let other = server.operator("teller").await;
    decide(&teller, &asked, "approve").await.refused(403, "forbidden");
    decide(&other, &asked, "approve").await.refused(403, "forbidden");
    let own = put(&admin, &from, wish(6_000))
        .await
        .expect(202)
        .text("approval_id");
    decide(&admin, &own, "approve")
        .await
        .refused(403, "maker_is_checker");
    pay(1_001).await.refused(422, "limit_exceeded");

    let open = admin
        .client
        .get(&format!("{APPROVALS}?state=open"))
        .await
        .expect(200);
    let request = &open.body["data"][1]["request"];
    assert_eq!(
        (&request["per_transfer"], &request["reason"], &request["now"]),
        (&json!(5_000), &json!("buys a house"), &Value::Null)
    );
    decide(&admin, &asked, "approve").await.expect(200);
    for reader in [
        &alice.client.get("/api/v1/limits").await,
        &teller.client.get(&limits_path(&from)).await,
    ] {
        assert_eq!(
            (
                &reader.body["per_transfer"],
                &reader.body["exception"]["per_transfer"]
            ),
            (&euros(5_000), &euros(5_000))
        );
    }
    pay(5_000).await.expect(201);
    pay(5_001).await.refused(422, "limit_exceeded");
    // What was asked for before something else was given is about what is not so any more.
    let another = server.operator("admin").await;
    decide(&another, &own, "approve")
        .await
        .refused(409, "approval_stale");
    decide(&another, &own, "reject").await.expect(200);
    // What the customer allows oneself holds besides.
    let lower = json!({"per_transfer": euros(700)});
    let request = alice.client.request(Method::PUT, "/api/v1/limits").json(&lower);
    alice.client.send(request).await.expect(200);
    pay(701).await.refused(422, "limit_exceeded");
    // Less takes one person, at once.
    let end = async |person: &Person| {
        let request = person.client.request(Method::DELETE, &limits_path(&from));
        person.client.send(request).await
    };
    end(&support).await.refused(403, "forbidden");
    end(&teller).await.expect(204);
    end(&teller).await.expect(204);
    let seen = admin.client.get(&limits_path(&from)).await.expect(200);
    assert_eq!(
        (&seen.body["exception"], &seen.body["per_transfer"]),
        (&Value::Null, &euros(700))
    );
    is_clean(&server);
}

async fn of_two_exceptions_approved_at_once_one_is_given(server: Server) {
    let alice = server.customer("alice").await;
    let teller = server.operator("teller").await;
    let admins = [server.operator("admin").await, server.operator("admin").await];
    let account = alice.account("Household").await;
    for round in 0..6 {
        let mut asked = Vec::new();
        for number in 0..2 {
            let body = wish(2_000 + 10 * round + number);
            asked.push(put(&teller, &account, body).await.expect(202).text("approval_id"));
        }
        let answers = join_all(
            admins
                .iter()
                .zip(&asked)
                .map(|(admin, approval)| decide(admin, approval, "approve")),
        )
        .await;
        let given: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(given.len(), 1, "{answers:?}");
        for (lost, approval) in answers
            .into_iter()
            .zip(&asked)
            .filter(|(answer, _)| answer.status != 200)
        {
            lost.refused(409, "approval_stale");
            decide(&admins[0], approval, "reject").await.expect(200);
        }
    }
}
