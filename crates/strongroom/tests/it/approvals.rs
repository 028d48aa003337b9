//! What one operator asks for and another decides, over HTTPS.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Person, Server, stories};

const APPROVALS: &str = "/api/v1/admin/approvals";
const USERS: &str = "/api/v1/admin/users";

/// New administrators decide at once.
const SETTINGS: &[(&str, &str)] = &[("STRONGROOM_APPROVALS__BOOTSTRAP", "true")];

stories!(
    with SETTINGS;
    an_operator_is_made_by_two_administrators,
    three_decisions_at_once_are_one,
    a_decision_needs_no_body_and_takes_no_other_than_json,
);

fn teller(email: &str) -> Value {
    json!({"email": email, "full_name": "Tom Teller", "role": "teller"})
}

async fn ask(maker: &Person, email: &str) -> String {
    maker
        .client
        .post(USERS, teller(email))
        .await
        .expect(202)
        .text("approval_id")
}

async fn known(admin: &Person, email: &str) -> bool {
    let found = admin
        .client
        .get(&format!("{USERS}?email={}", email.replace('@', "%40")))
        .await;
    !found.expect(200).body["data"].as_array().unwrap().is_empty()
}

async fn an_operator_is_made_by_two_administrators(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let (auditor, alice) = (server.operator("auditor").await, server.customer("alice").await);
    for wrong in [
        json!({"email": "x", "full_name": "Tom", "role": "teller"}),
        json!({"email": "tom@bank.example", "full_name": "", "role": "teller"}),
        json!({"email": "tom@bank.example", "full_name": "Tom", "role": "customer"}),
        json!({"email": maker.email, "full_name": "Tom", "role": "teller"}),
    ] {
        maker
            .client
            .post(USERS, wrong)
            .await
            .refused(400, "validation_failed");
    }
    alice
        .client
        .post(USERS, teller("tom@bank.example"))
        .await
        .refused(403, "forbidden");
    let id = ask(&maker, "tom@bank.example").await;
    let open = auditor
        .client
        .get(&format!("{APPROVALS}?state=open"))
        .await
        .expect(200);
    let [seen] = open.body["data"].as_array().unwrap().as_slice() else {
        panic!("{open:?}")
    };
    assert_eq!(seen["id"], id.as_str());
    assert_eq!(seen["request"], teller("tom@bank.example"));
    let verdict = |who: &Person, verb: &str, body: Value| {
        let (client, path) = (who.client.clone(), format!("{APPROVALS}/{id}/{verb}"));
        async move { client.post(&path, body).await }
    };
    for verb in ["approve", "reject"] {
        verdict(&maker, verb, json!({}))
            .await
            .refused(403, "maker_is_checker");
        verdict(&auditor, verb, json!({})).await.refused(403, "forbidden");
        verdict(&alice, verb, json!({})).await.refused(403, "forbidden");
        let other = json!({"digest": "00".repeat(32)});
        verdict(&checker, verb, other)
            .await
            .refused(400, "validation_failed");
    }
    assert!(!known(&maker, "tom@bank.example").await);
    let body = json!({"digest": seen["digest"], "reason": "known in person"});
    let done = verdict(&checker, "approve", body).await.expect(200);
    assert_eq!(done.body["state"], "approved");
    assert_eq!(done.body["request"], Value::Null);
    let login = json!({"email": "tom@bank.example", "password": done.body["operator"]["password"]});
    let first = server
        .client()
        .post("/api/v1/auth/login", login)
        .await
        .expect(200);
    assert_eq!(first.body["status"], "mfa_required");
    verdict(&checker, "reject", json!({}))
        .await
        .refused(409, "approval_closed");
    let nothing = "appr_01h455vb4pex5vsknk084sn02q";
    let missing = checker
        .client
        .post(&format!("{APPROVALS}/{nothing}/approve"), json!({}))
        .await;
    missing.refused(404, "not_found");
}

async fn three_decisions_at_once_are_one(server: Server) {
    let maker = server.operator("admin").await;
    let checkers = [
        server.operator("admin").await,
        server.operator("admin").await,
        server.operator("admin").await,
    ];
    for round in 0..4 {
        let email = format!("tom-{round}@bank.example");
        let id = ask(&maker, &email).await;
        let verbs = ["approve", "reject", "approve", "reject"];
        let sent = checkers.iter().enumerate().map(|(number, checker)| {
            let path = format!("{APPROVALS}/{id}/{}", verbs[(round + number) % 2]);
            async move {
                (
                    path.ends_with("approve"),
                    checker.client.post(&path, json!({})).await,
                )
            }
        });
        let answers = join_all(sent).await;
        let won: Vec<bool> = answers
            .iter()
            .filter(|(_, answer)| answer.status == 200)
            .map(|(approves, _)| *approves)
            .collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        for (_, lost) in answers.into_iter().filter(|(_, answer)| answer.status != 200) {
            lost.refused(409, "approval_closed");
        }
        assert_eq!(known(&maker, &email).await, won[0]);
    }
}

async fn a_decision_needs_no_body_and_takes_no_other_than_json(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    for (verb, email) in [("approve", "tom@bank.example"), ("reject", "tim@bank.example")] {
        let id = ask(&maker, email).await;
        let path = format!("{APPROVALS}/{id}/{verb}");
        let bare = || checker.client.request(Method::POST, &path);
        let form = bare().header("Content-Type", "text/plain").body("reason");
        checker
            .client
            .send(form)
            .await
            .refused(415, "unsupported_media_type");
        let unknown = bare().json(&json!({"digests": []}));
        checker
            .client
            .send(unknown)
            .await
            .refused(400, "validation_failed");
        assert!(!known(&maker, email).await);
        checker.client.send(bare()).await.expect(200);
        assert_eq!(known(&maker, email).await, verb == "approve");
        checker.client.send(bare()).await.refused(409, "approval_closed");
    }
}
