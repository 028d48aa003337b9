//! Second factors of customers over HTTPS, and large transfers that want one.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{
    Answer, Client, Person, Server,
    people::{code_of, new_key, next_code_of, transfer_body},
    qr, stories,
};

const TOTP: &str = "/api/v1/me/mfa/totp";
const CONFIRM: &str = "/api/v1/me/mfa/totp/confirm";
const TRANSFERS: &str = "/api/v1/transfers";
const STEP_UP: &str = "/api/v1/auth/step-up";
/// Above the bound of 10,000 euros.
const LARGE: i64 = 1_000_001;

stories! {
    a_customer_binds_an_authenticator_and_logs_in_with_it,
    what_a_phone_reads_off_the_picture_is_the_authenticator_that_counts,
    a_large_transfer_is_repeated_once_after_its_challenge,
    one_approval_and_thirty_two_requests_at_once_post_one,
    a_recovery_code_leads_to_a_new_factor_and_nowhere_else,
    factors_are_bound_and_taken_away_by_their_owner_only,
}

/// Binds an authenticator; its address and the recovery codes. The code of this moment is spent.
pub(crate) async fn bind(client: &Client) -> (String, Vec<String>) {
    let new = client.post(TOTP, Value::Null).await.expect(200);
    let uri = new.text("otpauth_uri");
    let confirm = json!({"code": code_of(&uri)});
    let codes = client.post(CONFIRM, confirm).await.expect(200);
    let codes = codes.body["recovery_codes"].as_array().unwrap();
    (
        uri,
        codes
            .iter()
            .map(|code| code.as_str().unwrap().to_owned())
            .collect(),
    )
}

pub(crate) async fn half_login(server: &Server, person: &Person) -> Answer {
    let body = json!({"email": person.email, "password": person.password});
    let answer = server.client().post("/api/v1/auth/login", body).await.expect(200);
    assert_eq!(answer.body["status"], "mfa_required", "{answer:?}");
    answer
}

pub(crate) async fn second_half(server: &Server, first: &Answer, method: &str, code: &str) -> Answer {
    let body = json!({"mfa_token": first.text("mfa_token"), "method": method, "code": code});
    server.client().post("/api/v1/auth/login/mfa", body).await
}

/// A customer with two accounts and much money in the first, and a bound authenticator.
async fn rich(server: &Server) -> (Person, Value, Value, String) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 50 * LARGE).await.expect(201);
    let (uri, _) = bind(&alice.client).await;
    (alice, from, to, uri)
}

pub(crate) async fn approve(client: &Client, uri: &str, refused: &Answer) -> Answer {
    let body = json!({"method": "totp", "code": next_code_of(uri), "challenge": refused.text("challenge")});
    client.post(STEP_UP, body).await
}

async fn a_customer_binds_an_authenticator_and_logs_in_with_it(server: Server) {
    let alice = server.customer("alice").await;
    let new = alice.client.post(TOTP, Value::Null).await.expect(200);
    let uri = new.text("otpauth_uri");
    assert!(uri.contains(&new.text("secret")));
    assert_eq!(alice.client.get("/api/v1/me").await.body["mfa"]["totp"], false);
    alice
        .client
        .post(CONFIRM, json!({"code": "12345"}))
        .await
        .refused(401, "invalid_credentials");
    let codes = alice
        .client
        .post(CONFIRM, json!({"code": code_of(&uri)}))
        .await
        .expect(200);
    assert_eq!(codes.body["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!(alice.client.get("/api/v1/me").await.body["mfa"]["totp"], true);
    server.mail_with(&alice.email, "second factor").await;
    let first = half_login(&server, &alice).await;
    assert_eq!(first.body["methods"], json!(["totp", "recovery_code"]));
    server
        .client()
        .with_token(&first.text("mfa_token"))
        .get("/api/v1/me")
        .await
        .refused(401, "token_invalid");
    let tokens = second_half(&server, &first, "totp", &next_code_of(&uri))
        .await
        .expect(200);
    let inside = server.client().with_token(&tokens.text("access_token"));
    let sessions = inside.get("/api/v1/me/sessions").await.expect(200);
    assert_eq!(sessions.body["data"][0]["assurance"], "aal2");
}

async fn what_a_phone_reads_off_the_picture_is_the_authenticator_that_counts(server: Server) {
    let alice = server.customer("alice").await;
    let new = alice.client.post(TOTP, Value::Null).await.expect(200);
    let read = qr::read(&new.text("qr_svg"));
    assert_eq!(read, new.text("otpauth_uri"));
    assert!(read.starts_with("otpauth://totp/Strongroom:") && read.contains(&new.text("secret")));
    // Another picture is another secret: of the first, nothing counts any more.
    let second = alice.client.post(TOTP, Value::Null).await.expect(200);
    let replaced = qr::read(&second.text("qr_svg"));
    assert_ne!(read, replaced);
    alice
        .client
        .post(CONFIRM, json!({"code": code_of(&read)}))
        .await
        .refused(401, "invalid_credentials");
    alice
        .client
        .post(CONFIRM, json!({"code": code_of(&replaced)}))
        .await
        .expect(200);
    let first = half_login(&server, &alice).await;
    second_half(&server, &first, "totp", &next_code_of(&replaced))
        .await
        .expect(200);
}

async fn a_large_transfer_is_repeated_once_after_its_challenge(server: Server) {
    let (alice, from, to, uri) = rich(&server).await;
    alice
        .transfer(&new_key(), &from, &to, LARGE - 1)
        .await
        .expect(201);
    let key = new_key();
    let asked = alice
        .transfer(&key, &from, &to, LARGE)
        .await
        .refused(401, "step_up_required");
    let header = asked.header("www-authenticate").unwrap();
    assert!(header.contains("insufficient_user_authentication"), "{header}");
    approve(&alice.client, &uri, &asked).await.expect(204);
    // The challenge was no outcome of its key; what was approved is this transfer and no other.
    alice
        .transfer(&new_key(), &from, &to, LARGE + 1)
        .await
        .refused(401, "step_up_required");
    let done = alice.transfer(&key, &from, &to, LARGE).await.expect(201);
    let again = alice.transfer(&key, &from, &to, LARGE).await.expect(201);
    assert_eq!(
        (done.body, again.header("idempotent-replayed")),
        (again.body.clone(), Some("true"))
    );
    alice
        .transfer(&new_key(), &from, &to, LARGE)
        .await
        .refused(401, "step_up_required");
    assert_eq!(alice.posted(&to).await, 2 * LARGE - 1);
}

async fn one_approval_and_thirty_two_requests_at_once_post_one(server: Server) {
    let (alice, from, to, uri) = rich(&server).await;
    let asked = alice
        .transfer(&new_key(), &from, &to, LARGE)
        .await
        .refused(401, "step_up_required");
    approve(&alice.client, &uri, &asked).await.expect(204);
    let start = Arc::new(Barrier::new(32));
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let (alice, start) = (alice.clone(), start.clone());
        let body = transfer_body(&from, &to, LARGE);
        tasks.spawn(async move {
            // Connections first: shaking hands takes longer than what is raced for.
            start.wait().await;
            alice.client.get("/api/v1/me").await.expect(200);
            start.wait().await;
            alice.client.post_once(TRANSFERS, &new_key(), body).await
        });
    }
    let answers = tasks.join_all().await;
    let posted = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(posted, 1, "{answers:?}");
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.refused(401, "step_up_required");
    }
    assert_eq!(alice.posted(&to).await, LARGE);
}

async fn a_recovery_code_leads_to_a_new_factor_and_nowhere_else(server: Server) {
    let alice = server.customer("alice").await;
    let (_, codes) = bind(&alice.client).await;
    let first = half_login(&server, &alice).await;
    let rebind = second_half(&server, &first, "recovery_code", &codes[0])
        .await
        .expect(200);
    assert_eq!(rebind.body["status"], "rebind_required");
    server.mail_with(&alice.email, "recovery codes was used").await;
    let recovered = server.client().with_token(&rebind.text("rebind_token"));
    for path in ["/api/v1/me", "/api/v1/accounts", "/api/v1/me/sessions"] {
        recovered.get(path).await.refused(401, "token_invalid");
    }
    let remove = recovered.request(Method::DELETE, TOTP);
    recovered.send(remove).await.refused(401, "token_invalid");
    second_half(&server, &first, "recovery_code", &codes[1])
        .await
        .refused(401, "invalid_credentials");
    let (uri, _) = bind(&recovered).await;
    recovered
        .post(TOTP, Value::Null)
        .await
        .refused(401, "invalid_credentials");
    alice.client.get("/api/v1/me").await.refused(401, "token_invalid");
    let first = half_login(&server, &alice).await;
    second_half(&server, &first, "totp", &next_code_of(&uri))
        .await
        .expect(200);
    let first = half_login(&server, &alice).await;
    second_half(&server, &first, "recovery_code", &codes[2])
        .await
        .refused(401, "invalid_credentials");
}

async fn factors_are_bound_and_taken_away_by_their_owner_only(server: Server) {
    let (alice, nobody) = (server.customer("alice").await, server.client());
    nobody
        .post(TOTP, Value::Null)
        .await
        .refused(401, "unauthenticated");
    nobody
        .with_token("kP0cJ8mH2vN4xQ7sT9wZ1bD3fG5hK6lM0oR2uY4aE8i")
        .post(TOTP, Value::Null)
        .await
        .refused(401, "invalid_credentials");
    let (uri, _) = bind(&alice.client).await;
    let remove = || alice.client.send(alice.client.request(Method::DELETE, TOTP));
    let asked = remove().await.refused(401, "step_up_required");
    assert_eq!(asked.body.get("challenge"), None, "settings have no challenge");
    let body = json!({"method": "totp", "code": next_code_of(&uri)});
    let proved = alice.client.post(STEP_UP, body).await.expect(200);
    let proved = server.client().with_token(&proved.text("access_token"));
    let gone = proved.request(Method::DELETE, TOTP);
    proved.send(gone).await.expect(204);
    server.login(&alice.email, &alice.password).await;
}

mod required {
    use super::{LARGE, Server, new_key, stories};

    const SETTINGS: &[(&str, &str)] = &[
        ("STRONGROOM_AUTH__CUSTOMER_MFA", "required"),
        ("STRONGROOM_AUTH__STEP_UP_TRANSFER_OVER", "500"),
    ];

    stories! {
        with SETTINGS;
        customers_without_a_factor_are_asked_for_one,
    }

    async fn customers_without_a_factor_are_asked_for_one(server: Server) {
        let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
        let (from, to) = (alice.account("From").await, alice.account("To").await);
        teller.deposit(&from, LARGE).await.expect(201);
        alice.transfer(&new_key(), &from, &to, 50_000).await.expect(201);
        let asked = alice
            .transfer(&new_key(), &from, &to, 50_001)
            .await
            .refused(401, "step_up_required");
        // There is a challenge and nothing that could answer it: a factor must be bound first.
        let body = serde_json::json!({"method": "password", "code": alice.password, "challenge": asked.text("challenge")});
        alice
            .client
            .post(super::STEP_UP, body)
            .await
            .refused(400, "validation_failed");
        let (uri, _) = super::bind(&alice.client).await;
        super::approve(&alice.client, &uri, &asked).await.expect(204);
        alice.transfer(&new_key(), &from, &to, 50_001).await.expect(201);
    }
}
