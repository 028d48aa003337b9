//! A factor proved again: for settings a new session, and wrong proofs that end the old one.

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, stories};

const STEP_UP: &str = "/api/v1/auth/step-up";
const ME: &str = "/api/v1/me";

stories!(
    a_password_steps_up_for_settings_where_there_is_no_factor,
    a_password_counts_for_nothing_where_there_is_a_factor,
    five_wrong_proofs_end_the_session_and_its_owner_is_told,
    a_challenge_that_this_bank_did_not_give_is_refused_by_field,
);

async fn prove(client: &Client, method: &str, code: &str, challenge: Option<&str>) -> Answer {
    let mut body = json!({"method": method, "code": code});
    if let Some(challenge) = challenge {
        body["challenge"] = Value::from(challenge);
    }
    client.post(STEP_UP, body).await
}

async fn a_password_steps_up_for_settings_where_there_is_no_factor(server: Server) {
    let alice = server.customer("alice").await;
    let elsewhere = server.login(&alice.email, &alice.password).await;
    let set = prove(&alice.client, "password", &alice.password, None)
        .await
        .expect(200);
    let fresh = server.client().with_token(&set.text("access_token"));
    fresh.get(ME).await.expect(200);
    // The session goes on under another name; whoever held a token of the old one is out, other sessions are not.
    assert_ne!(set.body["session_id"], alice.tokens["session_id"]);
    alice.client.get(ME).await.refused(401, "token_invalid");
    let old = json!({"refresh_token": alice.tokens["refresh_token"]});
    server
        .client()
        .post("/api/v1/auth/refresh", old)
        .await
        .refused(401, "token_invalid");
    elsewhere.client.get(ME).await.expect(200);
    let next = json!({"refresh_token": set.text("refresh_token")});
    server
        .client()
        .post("/api/v1/auth/refresh", next)
        .await
        .expect(200);
    server
        .client()
        .post(STEP_UP, json!({"method": "password", "code": alice.password}))
        .await
        .refused(401, "unauthenticated");
}

async fn a_password_counts_for_nothing_where_there_is_a_factor(server: Server) {
    let teller = server.operator("teller").await;
    for _ in 0..6 {
        let refused = prove(&teller.client, "password", &teller.password, None)
            .await
            .refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], "/method");
    }
    // It was not looked at, so it counts for no failure either.
    teller.client.get(ME).await.expect(200);
}

async fn five_wrong_proofs_end_the_session_and_its_owner_is_told(server: Server) {
    let alice = server.customer("alice").await;
    let elsewhere = server.login(&alice.email, &alice.password).await;
    for _ in 0..4 {
        prove(&alice.client, "password", "not-the-password", None)
            .await
            .refused(401, "invalid_credentials");
        alice.client.get(ME).await.expect(200);
    }
    prove(&alice.client, "totp", "123456", None)
        .await
        .refused(401, "invalid_credentials");
    alice.client.get(ME).await.refused(401, "token_invalid");
    let found = server.mail_with(&alice.email, "failed five times").await;
    assert!(found.contains("session was"), "{found}");
    // The budget is the person's: another session does not begin a new one, and a right proof has to wait, too.
    prove(&elsewhere.client, "password", &alice.password, None)
        .await
        .refused(401, "invalid_credentials");
    elsewhere.client.get(ME).await.expect(200);
}

async fn a_challenge_that_this_bank_did_not_give_is_refused_by_field(server: Server) {
    let alice = server.customer("alice").await;
    for challenge in ["", "AQAAAAF", &"A".repeat(600)] {
        let refused = prove(&alice.client, "totp", "123456", Some(challenge))
            .await
            .refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], "/challenge");
    }
    alice.client.get(ME).await.expect(200);
}
