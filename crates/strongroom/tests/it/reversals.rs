//! What the bank takes back: asked for by one operator, done by another, once.

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    harness::{Answer, BUSY, Person, Server, decide, people::new_key, stories},
    payments::{euros, is_clean, town},
};

/// New administrators decide at once.
const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
];

stories! {
    with SETTINGS;
    a_movement_is_taken_back_by_two_operators_once_even_from_frozen_accounts,
    of_many_decisions_at_once_one_moves_money,
    refunds_and_a_reversal_at_once_never_bring_back_more_than_was_paid,
    cash_is_taken_back_under_the_name_of_its_slip,
    what_cannot_be_taken_back_is_refused_and_changes_nothing,
}

async fn ask(maker: &Person, transfer: &str) -> Answer {
    let path = format!("/api/v1/transfers/{transfer}/reversal");
    maker
        .client
        .post(&path, json!({"reason": "booked by mistake"}))
        .await
}

async fn freeze(teller: &Person, account: &Value) {
    let path = format!(
        "/api/v1/admin/accounts/{}/freeze",
        account["id"].as_str().unwrap()
    );
    teller
        .client
        .post(&path, json!({"scope": "all"}))
        .await
        .expect(200);
}

async fn a_movement_is_taken_back_by_two_operators_once_even_from_frozen_accounts(server: Server) {
    let town = town(&server, 10_000).await;
    let checker = server.operator("admin").await;
    let sent = town
        .alice
        .transfer(&new_key(), &town.from, &town.shop, 2_500)
        .await
        .expect(201);
    let transfer = sent.text("id");
    // Nobody takes back what is not the bank's to take back.
    for other in [&town.alice, &town.bob] {
        ask(other, &transfer).await.refused(403, "forbidden");
    }
    let approval = ask(&town.teller, &transfer).await.expect(202).text("approval_id");
    let open = checker
        .client
        .get("/api/v1/admin/approvals?state=open")
        .await
        .expect(200);
    let request = &open.body["data"][0]["request"];
    assert_eq!(
        (&request["transfer_id"], &request["amount"], &request["reason"]),
        (&json!(transfer), &json!(2_500), &json!("booked by mistake"))
    );
    // The maker is no checker, and a teller decides nothing.
    decide(&town.teller, &approval, "approve")
        .await
        .refused(403, "forbidden");
    let own = ask(&checker, &transfer).await.expect(202).text("approval_id");
    decide(&checker, &own, "approve")
        .await
        .refused(403, "maker_is_checker");
    assert_eq!(town.balances().await, (7_500, 2_500));

    freeze(&town.teller, &town.from).await;
    freeze(&town.teller, &town.shop).await;
    let done = decide(&checker, &approval, "approve").await.expect(200);
    assert_eq!(done.body["state"], "approved");
    assert_eq!(done.body["request"], Value::Null);
    assert_eq!(done.body["reason"], "looked at");
    assert_eq!(town.balances().await, (10_000, 0));

    // Both stay in the books and name each other.
    let contra = done.text("transfer_id");
    let read = async |id: &str| {
        let path = format!("/api/v1/transfers/{id}");
        town.alice.client.get(&path).await.expect(200).body
    };
    assert_eq!(read(&transfer).await["reversed_by"], contra.as_str());
    let back = read(&contra).await;
    assert_eq!(
        (&back["reverses"], &back["amount"]),
        (&json!(transfer), &euros(2_500))
    );
    // Once: the same request, the other open request, and a new one.
    decide(&checker, &approval, "approve")
        .await
        .refused(409, "approval_closed");
    let another = server.operator("admin").await;
    decide(&another, &own, "approve")
        .await
        .refused(409, "already_reversed");
    decide(&another, &own, "reject").await.expect(200);
    ask(&town.teller, &transfer)
        .await
        .refused(409, "already_reversed");
    ask(&town.teller, &contra).await.refused(422, "not_reversible");
    assert_eq!(town.balances().await, (10_000, 0));
    is_clean(&server);
}

async fn of_many_decisions_at_once_one_moves_money(server: Server) {
    let town = town(&server, 100_000).await;
    let checkers = [
        server.operator("admin").await,
        server.operator("admin").await,
        server.operator("admin").await,
        server.operator("admin").await,
    ];
    let (mut reversed, mut rejected) = (0, 0);
    for round in 0..4 {
        town.teller.deposit(&town.shop, 10_000).await.expect(201);
        let sent = town.alice.transfer(&new_key(), &town.from, &town.shop, 100).await;
        let transfer = sent.expect(201).text("id");
        // Two requests for one movement, decided by four people at once.
        let first = ask(&town.teller, &transfer).await.expect(202).text("approval_id");
        let second = ask(&town.teller, &transfer).await.expect(202).text("approval_id");
        let before = town.balances().await;
        let verbs = ["approve", "approve", "approve", "reject"];
        let sent = checkers.iter().enumerate().map(|(number, checker)| {
            let approval = if number == 2 { &second } else { &first };
            let verb = verbs[(number + round) % 4];
            async move { (verb, decide(checker, approval, verb).await) }
        });
        let answers = join_all(sent).await;
        let moved = answers
            .iter()
            .filter(|(verb, answer)| *verb == "approve" && answer.status == 200)
            .count();
        assert!(moved <= 1, "{answers:?}");
        for (_, answer) in answers.iter().filter(|(_, answer)| answer.status != 200) {
            let code = answer.text("code");
            assert!(
                ["approval_closed", "already_reversed"].contains(&code.as_str()),
                "{answer:?}"
            );
        }
        let back = i64::try_from(moved).unwrap() * 100;
        assert_eq!(
            town.balances().await,
            (before.0 + back, before.1 - back),
            "round {round}"
        );
        reversed += moved;
        rejected += answers.len() - moved;
    }
    assert!(reversed > 0 && rejected > 0);
    is_clean(&server);
}

async fn refunds_and_a_reversal_at_once_never_bring_back_more_than_was_paid(server: Server) {
    let town = town(&server, 100_000).await;
    let checker = server.operator("admin").await;
    town.teller.deposit(&town.shop, 100_000).await.expect(201);
    for round in 0..6 {
        let paid = town.pay(1_000 + round).await.expect(201);
        let (payment, transfer) = (paid.text("id"), paid.text("transfer_id"));
        let approval = ask(&town.teller, &transfer).await.expect(202).text("approval_id");
        let before = town.balances().await;
        let mut tries = JoinSet::new();
        for number in 0..6 {
            let (client, path) = (
                town.bob.client.clone(),
                format!("/api/v1/payments/{payment}/refund"),
            );
            let body = match number {
                5 => json!({}),
                _ => json!({"amount": euros(150)}),
            };
            tries.spawn(async move { client.post_once(&path, &new_key(), body).await });
        }
        let reversal = decide(&checker, &approval, "approve").await;
        let refunds = tries.join_all().await;
        let given: i64 = refunds
            .iter()
            .filter(|answer| answer.status == 201)
            .map(|answer| answer.body["amount"]["amount"].as_i64().unwrap())
            .sum();
        let whole = 1_000 + round;
        let after = town.balances().await;
        assert_eq!((after.0 - before.0, before.1 - after.1), (whole, whole));
        let seen = town
            .alice
            .client
            .get(&format!("/api/v1/payments/{payment}"))
            .await
            .expect(200)
            .body;
        if reversal.status == 200 {
            assert_eq!(seen["state"], "reversed");
            assert_eq!(
                (&seen["refunded"], &seen["remaining"]),
                (&euros(given), &euros(0))
            );
        } else {
            reversal.refused(409, "payment_closed");
            assert_eq!((&seen["state"], given), (&json!("refunded"), whole));
            decide(&checker, &approval, "reject").await.expect(200);
        }
        town.refund(&payment, json!({}))
            .await
            .refused(409, "payment_closed");
    }
    is_clean(&server);
}

async fn cash_is_taken_back_under_the_name_of_its_slip(server: Server) {
    let town = town(&server, 1_000).await;
    let checker = server.operator("admin").await;
    let into_the_wrong_account = town.teller.deposit(&town.shop, 300).await.expect(201);
    let body = json!({"account_id": town.from["id"], "amount": euros(200)});
    let withdrawals = "/api/v1/withdrawals";
    let out_of_it = town
        .teller
        .client
        .post_once(withdrawals, &new_key(), body)
        .await
        .expect(201);
    assert_eq!(town.balances().await, (800, 300));
    for movement in [into_the_wrong_account, out_of_it] {
        let asked = ask(&town.teller, &movement.text("id")).await.expect(202);
        let approval = asked.text("approval_id");
        decide(&checker, &approval, "approve").await.expect(200);
    }
    assert_eq!(town.balances().await, (1_000, 0));
    is_clean(&server);
}

async fn what_cannot_be_taken_back_is_refused_and_changes_nothing(server: Server) {
    let town = town(&server, 1_000).await;
    let checker = server.operator("admin").await;
    let sent = town.alice.transfer(&new_key(), &town.from, &town.shop, 700).await;
    let transfer = sent.expect(201).text("id");
    for reason in ["", "a\u{202e}b"] {
        let path = format!("/api/v1/transfers/{transfer}/reversal");
        town.teller
            .client
            .post(&path, json!({"reason": reason}))
            .await
            .refused(400, "validation_failed");
    }
    let nothing = "tfr_01h455vb4pex5vsknk084sn02q";
    ask(&town.teller, nothing).await.refused(404, "not_found");
    let approval = ask(&town.teller, &transfer).await.expect(202).text("approval_id");
    // The money is gone: the request stays open, and does once the money is back.
    let elsewhere = town.bob.account("Elsewhere").await;
    town.bob
        .transfer(&new_key(), &town.shop, &elsewhere, 1)
        .await
        .expect(201);
    decide(&checker, &approval, "approve")
        .await
        .refused(422, "insufficient_funds");
    assert_eq!(town.balances().await, (300, 699));
    town.teller.deposit(&town.shop, 1).await.expect(201);
    decide(&checker, &approval, "approve").await.expect(200);
    assert_eq!(town.balances().await, (1_000, 0));
    // What was refunded is not reversed besides, nor is the refund itself.
    let paid = town.pay(400).await.expect(201);
    let refund = town.refund(&paid.text("id"), json!({})).await.expect(201);
    ask(&town.teller, &paid.text("transfer_id"))
        .await
        .refused(409, "payment_closed");
    ask(&town.teller, &refund.text("id"))
        .await
        .refused(422, "not_reversible");
    is_clean(&server);
}
