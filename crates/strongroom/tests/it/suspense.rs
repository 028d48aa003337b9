//! What the bank's own bank says and nobody can place waits for two people.

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_domain::id::PaymentId;
use tokio::{sync::Barrier, task::JoinSet};

use crate::{
    beneficiaries::elsewhere,
    harness::{Person, Server, decide, stories},
    owner,
    payments::is_clean,
    rails::{
        RECONCILIATION, SETTINGS, SUSPENSE, about, ask, cancel, differences, for_account, ntry, one_credit,
        read, returned, statement, town,
    },
};

stories! {
    with SETTINGS;
    what_nobody_can_place_lies_in_suspense_until_two_people_agree,
    of_many_resolutions_of_one_item_at_once_one_moves_money,
}

async fn what_nobody_can_place_lies_in_suspense_until_two_people_agree(server: Server) {
    let town = town(&server, 50_000).await;
    let closed = town.alice.account("Old").await;
    let path = format!("/api/v1/accounts/{}/close", closed["id"].as_str().unwrap());
    town.alice.client.post(&path, json!({})).await.expect(200);
    let payment = town.pays(2_000).await;
    let unsent = town.pays(700).await;
    let asked = ask(&town.teller.client).await.expect(202).text("approval_id");
    cancel(&town.alice.client, &unsent).await.expect(200);
    decide(&town.admin, &asked, "approve").await.expect(200);
    let number = |account: &Value| account["number"].as_str().unwrap().to_owned();
    let nobody = PaymentId::from_bytes([9; 16]).to_string();
    let entries = [
        ntry('+', 1_000, "B1", &for_account(&number(&town.from))),
        ntry('+', 2_500, "B2", &for_account(&elsewhere(77))),
        ntry('+', 50, "B3", &for_account(&number(&closed))),
        ntry('-', 1_999, "B4", &about(&payment)),
        ntry('-', 40, "B5", ""),
        ntry('-', 700, "B6", &about(&unsent)),
        ntry('+', 60, "B7", &returned(&nobody)),
    ];
    let moved = 1_000 + 2_500 + 50 - 1_999 - 40 - 700 + 60;
    let text = statement("M1", 20, (10_000, 10_000 + moved), &entries);
    read(&server, "1.xml", &text).await;
    assert_eq!(town.alice.posted(&town.from).await, 49_000);
    assert_eq!(town.state(&payment).await["state"], "pending");
    // The customer sees who sent it, and may spend it.
    let path = format!(
        "/api/v1/accounts/{}/transactions?kind=deposit",
        town.from["id"].as_str().unwrap()
    );
    let history = town.alice.client.get(&path).await.expect(200);
    assert!(history.body.to_string().contains("Erika Sender: invoice 17"));
    assert_eq!(differences(&town).await, json!([]));

    town.alice.client.get(SUSPENSE).await.refused(403, "forbidden");
    let listed = town.teller.client.get(SUSPENSE).await.expect(200);
    let items = listed.body["data"].as_array().unwrap().clone();
    let mut reasons: Vec<_> = items
        .iter()
        .map(|item| {
            let text = |name: &str| item[name].as_str().unwrap();
            (text("reference"), text("direction"), text("reason"))
        })
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            ("B2", "credit", "unknown_account"),
            ("B3", "credit", "account_unavailable"),
            ("B4", "debit", "wrong_amount"),
            ("B5", "debit", "unknown_reference"),
            ("B6", "debit", "unexpected"),
            ("B7", "credit", "unknown_reference"),
        ]
    );
    let find = |reference: &str| {
        let item = items.iter().find(|item| item["reference"] == reference).unwrap();
        item["id"].as_str().unwrap().to_owned()
    };
    assert!(listed.body.to_string().contains("Erika Sender"));
    // An auditor looks, and learns no names.
    let auditor = server.operator("auditor").await;
    let seen = auditor.client.get(SUSPENSE).await.expect(200).body.to_string();
    assert!(seen.contains("unknown_account") && !seen.contains("Erika"));

    let resolve = async |who: &Person, item: &str, body: Value| {
        let path = format!("{SUSPENSE}/{item}/resolve");
        who.client.post(&path, body).await
    };
    let (credit, debit) = (find("B2"), find("B5"));
    let to_alice = json!({"account_id": town.from["id"], "reason": "wrong digit"});
    for nobody in [&town.alice, &auditor] {
        resolve(nobody, &credit, to_alice.clone())
            .await
            .refused(403, "forbidden");
    }
    let unknown = json!({"account_id": "acct_00000000000000000000000001", "reason": "x"});
    resolve(&town.teller, &credit, unknown)
        .await
        .refused(400, "validation_failed");
    let nothing = "susp_00000000000000000000000001";
    resolve(&town.teller, nothing, to_alice.clone())
        .await
        .refused(404, "suspense_item_not_found");
    let asked = resolve(&town.teller, &credit, to_alice.clone()).await.expect(202);
    let asked = asked.text("approval_id");
    decide(&town.teller, &asked, "approve")
        .await
        .refused(403, "forbidden");
    assert_eq!(town.alice.posted(&town.from).await, 49_000);
    let done = decide(&town.admin, &asked, "approve").await.expect(200);
    assert!(done.text("transfer_id").starts_with("tfr_"));
    assert_eq!(town.alice.posted(&town.from).await, 51_500);
    decide(&town.admin, &asked, "approve")
        .await
        .refused(409, "approval_closed");
    resolve(&town.teller, &credit, to_alice)
        .await
        .refused(409, "suspense_item_closed");
    // What went is the bank's own loss here, and a customer's there.
    let asked = resolve(&town.teller, &debit, json!({"reason": "charges"}))
        .await
        .expect(202);
    decide(&town.admin, &asked.text("approval_id"), "approve")
        .await
        .expect(200);
    let wrong = find("B4");
    let asked = resolve(
        &town.teller,
        &wrong,
        json!({"account_id": town.from["id"], "reason": "hers"}),
    )
    .await;
    decide(&town.admin, &asked.expect(202).text("approval_id"), "approve")
        .await
        .expect(200);
    assert_eq!(town.alice.posted(&town.from).await, 51_500 - 1_999);
    let left = town.teller.client.get(SUSPENSE).await.expect(200);
    assert_eq!(left.body["data"].as_array().unwrap().len(), 3);
    let all = format!("{SUSPENSE}?state=all&limit=100");
    let all = town.teller.client.get(&all).await.expect(200);
    assert_eq!(all.body["data"].as_array().unwrap().len(), 6);
    let found = town.admin.client.get(RECONCILIATION).await.expect(200);
    assert_eq!(
        (&found.body["suspense"], &found.body["open_items"]),
        (&json!(50 - 700 + 60), &json!(3))
    );
    // What came from another bank is not reversed as if it had never come.
    let mut listed = all.body["data"].as_array().unwrap().iter();
    let credit = listed.find(|item| item["state"] == "resolved").unwrap();
    let path = format!(
        "/api/v1/transfers/{}/reversal",
        credit["resolved_by"].as_str().unwrap()
    );
    let asked = town.teller.client.post(&path, json!({"reason": "no"})).await;
    decide(&town.admin, &asked.expect(202).text("approval_id"), "approve")
        .await
        .refused(422, "not_reversible");
    is_clean(&server);
    owner::is_found_in_the_rows_of_the_rail(&server, &auditor).await;
}

async fn of_many_resolutions_of_one_item_at_once_one_moves_money(server: Server) {
    let town = town(&server, 10_000).await;
    let admins = [
        server.operator("admin").await,
        server.operator("admin").await,
        server.operator("admin").await,
    ];
    read(&server, "1.xml", &one_credit(&elsewhere(9), 2_500)).await;
    let listed = town.teller.client.get(SUSPENSE).await.expect(200);
    let item = listed.body["data"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("{SUSPENSE}/{item}/resolve");
    let mut asked = Vec::new();
    for _ in 0..3 {
        let body = json!({"account_id": town.from["id"], "reason": "hers"});
        let answer = town.teller.client.post(&path, body).await.expect(202);
        asked.push(answer.text("approval_id"));
    }
    let start = Arc::new(Barrier::new(9));
    let mut tries = JoinSet::new();
    for number in 0..9 {
        let (client, start) = (admins[number % 3].client.clone(), start.clone());
        let path = format!("/api/v1/admin/approvals/{}/approve", asked[number / 3]);
        tries.spawn(async move {
            start.wait().await;
            client.post(&path, json!({})).await
        });
    }
    let answers = tries.join_all().await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(done, 1, "{answers:?}");
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        let code = answer.text("code");
        assert!(
            ["approval_closed", "suspense_item_closed"].contains(&code.as_str()),
            "{answer:?}"
        );
    }
    assert_eq!(town.alice.posted(&town.from).await, 12_500);
    is_clean(&server);
}
