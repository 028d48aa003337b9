//! Roles given and taken: by two administrators, for a time, and never the last one's.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Person, Server, decide, stories, until};

const USERS: &str = "/api/v1/admin/users";
/// New administrators decide at once.
const SETTINGS: &[(&str, &str)] = &[("STRONGROOM_APPROVALS__BOOTSTRAP", "true")];

stories!(
    with SETTINGS;
    a_role_is_given_by_two_administrators_and_counts_until_it_is_taken,
    a_role_for_a_time_ends_by_itself,
    nobody_is_part_of_a_decision_about_oneself,
    two_administrators_who_stop_each_other_at_once_are_not_both_stopped,
);

async fn ask(maker: &Person, user: &str, body: Value) -> Answer {
    maker.client.post(&format!("{USERS}/{user}/grants"), body).await
}

/// The id of a user's grant of a role, if there is one.
async fn grant_of(admin: &Person, user: &str, role: &str) -> Option<String> {
    let listed = admin
        .client
        .get(&format!("{USERS}/{user}/grants"))
        .await
        .expect(200);
    let all = listed.body["data"].as_array().unwrap().clone();
    let found = all.iter().find(|grant| grant["role"] == role)?;
    Some(found["id"].as_str().unwrap().to_owned())
}

async fn take(admin: &Person, user: &str, grant: &str) -> Answer {
    let path = format!("{USERS}/{user}/grants/{grant}");
    admin
        .client
        .send(admin.client.request(Method::DELETE, &path))
        .await
}

/// Something that tellers do and support does not.
async fn freeze(person: &Person, account: &Value) -> Answer {
    let path = format!(
        "/api/v1/admin/accounts/{}/freeze",
        account["id"].as_str().unwrap()
    );
    person.client.post(&path, json!({"scope": "all"})).await
}

async fn a_role_is_given_by_two_administrators_and_counts_until_it_is_taken(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let (sue, alice) = (server.operator("support").await, server.customer("alice").await);
    let account = alice.account("Main").await;
    let (id, hers) = (sue.id().await, alice.id().await);
    freeze(&sue, &account).await.refused(403, "forbidden");
    for wrong in [
        json!({"role": "emperor"}),
        json!({"role": "customer"}),
        json!({"role": "teller", "expires_at": "2020-01-01T00:00:00Z"}),
    ] {
        ask(&maker, &id, wrong).await.refused(400, "validation_failed");
    }
    let customer = ask(&maker, &hers, json!({"role": "teller"})).await;
    customer.refused(409, "not_an_operator");
    ask(&sue, &id, json!({"role": "admin"}))
        .await
        .refused(403, "forbidden");
    let asked = ask(&maker, &id, json!({"role": "teller"})).await.expect(202);
    freeze(&sue, &account).await.refused(403, "forbidden");
    decide(&maker, &asked.text("approval_id"), "approve")
        .await
        .refused(403, "maker_is_checker");
    decide(&checker, &asked.text("approval_id"), "approve")
        .await
        .expect(200);
    freeze(&sue, &account).await.expect(200);
    let grant = grant_of(&maker, &id, "teller").await.unwrap();
    take(&sue, &id, &grant).await.refused(403, "forbidden");
    take(&maker, &id, &grant).await.expect(204);
    freeze(&sue, &account).await.refused(403, "forbidden");
    take(&maker, &id, &grant).await.refused(404, "not_found");
    let roles = maker.client.get("/api/v1/admin/roles").await.expect(200);
    let teller = roles.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["name"] == "teller");
    let may = teller.unwrap()["actions"].as_array().unwrap().clone();
    assert!(
        may.contains(&json!("account.freeze")) && !may.contains(&json!("policy.write")),
        "{may:?}"
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "the end of a role is told by the host's clock"
)]
pub(crate) fn in_seconds(seconds: u64) -> String {
    let end = std::time::SystemTime::now() + Duration::from_secs(seconds);
    let micros = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    strongroom_domain::time::Timestamp::from_micros(i64::try_from(micros).unwrap()).to_string()
}

async fn a_role_for_a_time_ends_by_itself(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let (sue, alice) = (server.operator("support").await, server.customer("alice").await);
    let account = alice.account("Main").await;
    let id = sue.id().await;
    let body = json!({"role": "teller", "expires_at": in_seconds(4)});
    let asked = ask(&maker, &id, body).await.expect(202);
    decide(&checker, &asked.text("approval_id"), "approve")
        .await
        .expect(200);
    freeze(&sue, &account).await.expect(200);
    until("an end", async || freeze(&sue, &account).await.status != 200).await;
    freeze(&sue, &account).await.refused(403, "forbidden");
    // Who administrates for a time gives nothing beyond it.
    let body = json!({"role": "admin", "expires_at": in_seconds(3_600)});
    let asked = ask(&maker, &id, body).await.expect(202);
    decide(&checker, &asked.text("approval_id"), "approve")
        .await
        .expect(200);
    let other = server.operator("support").await.id().await;
    ask(&sue, &other, json!({"role": "teller"}))
        .await
        .refused(403, "forbidden");
    let later = json!({"role": "teller", "expires_at": in_seconds(7_200)});
    ask(&sue, &other, later).await.refused(403, "forbidden");
    let sooner = json!({"role": "teller", "expires_at": in_seconds(1_800)});
    ask(&sue, &other, sooner).await.expect(202);
}

async fn nobody_is_part_of_a_decision_about_oneself(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let (mine, theirs) = (maker.id().await, checker.id().await);
    ask(&maker, &mine, json!({"role": "teller"}))
        .await
        .refused(403, "forbidden");
    // Nor does the checker decide about the checker.
    let asked = ask(&maker, &theirs, json!({"role": "teller"})).await.expect(202);
    decide(&checker, &asked.text("approval_id"), "approve")
        .await
        .refused(403, "forbidden");
    let third = server.operator("admin").await;
    decide(&third, &asked.text("approval_id"), "approve")
        .await
        .expect(200);
    let grant = grant_of(&maker, &mine, "admin").await.unwrap();
    take(&maker, &mine, &grant).await.refused(403, "forbidden");
}

async fn two_administrators_who_stop_each_other_at_once_are_not_both_stopped(server: Server) {
    let (one, other) = (server.operator("admin").await, server.operator("admin").await);
    let ids = [one.id().await, other.id().await];
    let grants = [
        grant_of(&one, &ids[0], "admin").await.unwrap(),
        grant_of(&one, &ids[1], "admin").await.unwrap(),
    ];
    let both = [(&one, 1), (&other, 0)].map(|(admin, whom)| {
        let (id, grant) = (ids[whom].clone(), grants[whom].clone());
        async move { take(admin, &id, &grant).await.status }
    });
    let mut answers = join_all(both).await;
    answers.sort_unstable();
    assert_eq!(answers[0], 204, "{answers:?}");
    assert!([403, 409].contains(&answers[1]), "{answers:?}");
    // Somebody still administrates.
    let left = [&one, &other].map(|admin| async move {
        let listed = admin.client.get("/api/v1/admin/roles").await;
        usize::from(listed.status == 200)
    });
    assert_eq!(join_all(left).await.iter().sum::<usize>(), 1);
}
