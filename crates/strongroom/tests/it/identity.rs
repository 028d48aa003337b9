//! People over HTTPS: who is let in, who is asked again, and what an answer never tells.

use std::{collections::BTreeSet, os::unix::fs::PermissionsExt};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, stories};

const ME: &str = "/api/v1/me";
const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";

stories!(
    a_request_without_a_good_credential_is_asked_for_one,
    register_and_login_answer_alike_whoever_it_is,
    a_session_ends_with_the_answer_to_its_logout,
    an_operator_stops_a_login_and_its_next_request_is_refused,
    a_lost_refresh_is_answered_again_to_the_same_device_only,
    sessions_outlive_a_killed_server,
    bad_bodies_are_refused_by_field_and_change_nothing,
    neither_log_nor_answer_tells_a_secret,
    the_published_key_is_the_one_that_signs,
);

/// The names of an answer's headers.
fn names(answer: &Answer) -> BTreeSet<String> {
    answer
        .headers
        .keys()
        .map(|name| name.as_str().to_owned())
        .collect()
}

/// A body without the number of its request.
fn unnumbered(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("request_id");
    }
    body
}

async fn with_header(client: &Client, name: &str, value: &str) -> Answer {
    client
        .send(client.request(Method::GET, ME).header(name, value))
        .await
}

async fn a_request_without_a_good_credential_is_asked_for_one(server: Server) {
    let alice = server.customer("alice").await;
    let (nobody, token) = (server.client(), alice.client.token().to_owned());
    with_header(&nobody, "Authorization", &format!("Bearer {token}"))
        .await
        .expect(200);
    let mut answers = vec![nobody.get(ME).await];
    for (name, value) in [
        ("Authorization", "Basic eDp5".to_owned()),
        ("Authorization", token.clone()),
        ("Authorization", "Bearer garbage".to_owned()),
        ("Authorization", format!("Bearer {}", &token[..token.len() - 4])),
        (
            "Authorization",
            format!("Bearer {}", alice.tokens["refresh_token"].as_str().unwrap()),
        ),
        ("X-API-Key", "sr_test_nothing".to_owned()),
        ("X-API-Key", token.clone()),
        ("Cookie", format!("access_token={token}")),
    ] {
        answers.push(with_header(&nobody, name, &value).await);
    }
    answers.push(nobody.get(&format!("{ME}?access_token={token}")).await);
    for answer in answers {
        let answer = answer.expect(401);
        assert!(
            answer.header("www-authenticate").unwrap().starts_with("Bearer"),
            "{answer:?}"
        );
        assert!(
            answer.text("detail").to_lowercase().contains("authentication"),
            "{answer:?}"
        );
    }
    let invalid = with_header(&nobody, "Authorization", "Bearer garbage").await;
    assert!(
        invalid
            .header("www-authenticate")
            .unwrap()
            .contains("error=\"invalid_token\"")
    );
    // A valid identity without the right is another matter.
    alice
        .client
        .get("/api/v1/admin/users")
        .await
        .refused(403, "forbidden");
}

async fn register_and_login_answer_alike_whoever_it_is(server: Server) {
    let alice = server.customer("alice").await;
    let client = server.client();
    let register = |email: &str| {
        let body = json!({"email": email, "password": "saddle+monsoon+turnip+91", "full_name": "Somebody"});
        let client = client.clone();
        async move { client.post("/api/v1/auth/register", body).await.expect(202) }
    };
    let (taken, new) = (register(&alice.email).await, register("new@example.com").await);
    assert_eq!(taken.body, new.body);
    assert_eq!(taken.body, json!({"status": "verification_sent"}));
    assert_eq!(names(&taken), names(&new));
    let try_login = |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        let client = client.clone();
        async move { client.post(LOGIN, body).await }
    };
    try_login(&alice.email, &alice.password).await.expect(200);
    let wrong = try_login(&alice.email, "wrong")
        .await
        .refused(401, "invalid_credentials");
    let unknown = try_login("nobody@example.com", "wrong")
        .await
        .refused(401, "invalid_credentials");
    let pending = try_login("new@example.com", "saddle+monsoon+turnip+91").await;
    for answer in [&unknown, &pending] {
        assert_eq!(unnumbered(&wrong), unnumbered(answer));
        assert_eq!(names(&wrong), names(answer));
        assert_eq!(wrong.header("content-length"), answer.header("content-length"));
    }
    let forgot = |email: &str| {
        let (client, body) = (client.clone(), json!({"email": email}));
        async move {
            client
                .post("/api/v1/auth/password/forgot", body)
                .await
                .expect(202)
        }
    };
    let (known, unknown) = (forgot(&alice.email).await, forgot("nobody@example.com").await);
    assert_eq!(
        (known.body.clone(), names(&known)),
        (unknown.body.clone(), names(&unknown))
    );
}

async fn a_session_ends_with_the_answer_to_its_logout(server: Server) {
    let alice = server.customer("alice").await;
    let elsewhere = server.login(&alice.email, &alice.password).await;
    let refresh = json!({"refresh_token": alice.tokens["refresh_token"]});
    alice.client.get(ME).await.expect(200);
    let out = server
        .client()
        .post("/api/v1/auth/logout", refresh.clone())
        .await
        .expect(204);
    assert!(out.header("clear-site-data").is_some());
    alice.client.get(ME).await.refused(401, "token_invalid");
    server
        .client()
        .post(REFRESH, refresh.clone())
        .await
        .refused(401, "token_invalid");
    server
        .client()
        .post("/api/v1/auth/logout", refresh)
        .await
        .expect(204);
    // The other session sees one fewer, and ends itself by its own.
    let listed = elsewhere.client.get("/api/v1/me/sessions").await.expect(200);
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed.body["data"][0]["current"], true);
    let all = elsewhere.client.request(Method::DELETE, "/api/v1/me/sessions");
    elsewhere.client.send(all).await.expect(204);
    elsewhere.client.get(ME).await.refused(401, "token_invalid");
}

async fn an_operator_stops_a_login_and_its_next_request_is_refused(server: Server) {
    let alice = server.customer("alice").await;
    let admin = server.operator("admin").await;
    let me = alice.client.get(ME).await.expect(200).text("id");
    let found = admin
        .client
        .get(&format!("/api/v1/admin/users?email={}", alice.email))
        .await
        .expect(200);
    assert_eq!(found.body["data"][0]["id"], me);
    let reason = json!({"reason": "reported a stolen phone"});
    let locked = admin
        .client
        .post(&format!("/api/v1/admin/users/{me}/lock"), reason.clone())
        .await
        .expect(200);
    assert_eq!(locked.body["state"], "locked");
    alice.client.get(ME).await.refused(401, "token_invalid");
    let body = json!({"email": alice.email, "password": alice.password});
    server
        .client()
        .post(LOGIN, body)
        .await
        .refused(401, "invalid_credentials");
    admin
        .client
        .post(&format!("/api/v1/admin/users/{me}/unlock"), reason)
        .await
        .expect(200);
    alice.client.get(ME).await.refused(401, "token_invalid");
    server
        .login(&alice.email, &alice.password)
        .await
        .client
        .get(ME)
        .await
        .expect(200);
}

async fn a_lost_refresh_is_answered_again_to_the_same_device_only(server: Server) {
    let alice = server.customer("alice").await;
    let client = server.client();
    let body = json!({"email": alice.email, "password": alice.password});
    let login = client.post(LOGIN, body).await.expect(200);
    let device = login.header("x-device-token").unwrap().to_owned();
    let refresh = |device: Option<String>| {
        let body = json!({"refresh_token": login.text("refresh_token")});
        let mut request = client.request(Method::POST, REFRESH).json(&body);
        if let Some(device) = device {
            request = request.header("X-Device-Token", device);
        }
        client.send(request)
    };
    let lost = refresh(Some(device.clone())).await.expect(200);
    let again = refresh(Some(device)).await.expect(200);
    assert_eq!(lost.text("refresh_token"), again.text("refresh_token"));
    client
        .with_token(&again.text("access_token"))
        .get(ME)
        .await
        .expect(200);
    refresh(None).await.refused(401, "token_invalid");
    client
        .with_token(&again.text("access_token"))
        .get(ME)
        .await
        .refused(401, "token_invalid");
}

async fn sessions_outlive_a_killed_server(mut server: Server) {
    let alice = server.customer("alice").await;
    let ended = server.login(&alice.email, &alice.password).await;
    let refresh_of = |tokens: &Value| json!({"refresh_token": tokens["refresh_token"]});
    let out = refresh_of(&ended.tokens);
    server
        .client()
        .post("/api/v1/auth/logout", out.clone())
        .await
        .expect(204);
    server.kill();
    server.resume().await;
    // The port is another one and with it the issuer of tokens, so the session shows itself by its refresh token.
    let client = server.client();
    client.post(REFRESH, out).await.refused(401, "token_invalid");
    let next = client.post(REFRESH, refresh_of(&alice.tokens)).await.expect(200);
    assert_eq!(next.text("session_id"), alice.tokens["session_id"]);
    let again = client.with_token(&next.text("access_token"));
    again.get(ME).await.expect(200);
    let listed = again.get("/api/v1/me/sessions").await.expect(200);
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 1);
}

async fn bad_bodies_are_refused_by_field_and_change_nothing(server: Server) {
    let client = server.client();
    for (path, body, pointer) in [
        (
            "register",
            json!({"email": "a@example.com", "full_name": "A"}),
            "/password",
        ),
        (
            "register",
            json!({"email": "a@example.com", "password": 7, "full_name": "A"}),
            "/password",
        ),
        (
            "register",
            json!({"email": "nobody", "password": "saddle+monsoon+turnip+91", "full_name": "A"}),
            "/email",
        ),
        (
            "register",
            json!({"email": "a@example.com", "password": "short", "full_name": "A"}),
            "/password",
        ),
        (
            "register",
            json!({"email": "a@example.com", "password": "saddle+monsoon+turnip+91", "full_name": ""}),
            "/full_name",
        ),
        (
            "register",
            json!({"email": "a@example.com", "password": "saddle+monsoon+turnip+91", "full_name": "A", "rank": "x"}),
            "/rank",
        ),
        ("login", json!({"email": "a@example.com"}), "/password"),
        (
            "login",
            json!({"email": ["a@example.com"], "password": "x"}),
            "/email",
        ),
        (
            "login/mfa",
            json!({"mfa_token": "x", "method": "sms", "code": "1"}),
            "/method",
        ),
        ("refresh", json!({}), "/refresh_token"),
        (
            "password/change",
            json!({"new_password": "x"}),
            "/current_password",
        ),
        (
            "password/change",
            json!({"new_password": "x", "current_password": "y", "change_token": "z"}),
            "/change_token",
        ),
    ] {
        let refused = client
            .post(&format!("/api/v1/auth/{path}"), body.clone())
            .await
            .refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{path} {body}");
        assert!(
            !refused.body.to_string().contains("saddle"),
            "the value is repeated"
        );
    }
    assert!(std::fs::read_dir(server.outbox()).unwrap().next().is_none());
}

async fn neither_log_nor_answer_tells_a_secret(server: Server) {
    let alice = server.customer("canary").await;
    let admin = server.operator("admin").await;
    alice.client.get(ME).await.expect(200);
    let wrong = json!({"email": alice.email, "password": "wrong-canary-password"});
    server.client().post(LOGIN, wrong).await.expect(401);
    let mails = std::fs::read_dir(server.outbox()).unwrap();
    let (mut tokens, mut files) = (Vec::new(), 0);
    for mail in mails.map(Result::unwrap) {
        assert_eq!(mail.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(mail.path()).unwrap();
        tokens.extend(
            text.lines()
                .filter_map(|line| line.strip_prefix("Token: ").map(str::to_owned)),
        );
        files += 1;
    }
    assert!(files > 0);
    let log = server.logged();
    // The positive control: the log tells which route was asked.
    assert!(log.contains(LOGIN), "{log}");
    let token_of = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    tokens.extend([
        alice.password.clone(),
        admin.password.clone(),
        "wrong-canary-password".to_owned(),
        alice.email.clone(),
        token_of(&alice.tokens, "access_token"),
        token_of(&alice.tokens, "refresh_token"),
        token_of(&admin.tokens, "access_token"),
    ]);
    for secret in &tokens {
        assert!(!log.contains(secret.as_str()), "the log has {secret}");
    }
    let me = alice.client.get(ME).await.expect(200).body.to_string();
    for word in ["password", "hash", "secret", "token"] {
        assert!(!me.contains(word), "{me}");
    }
}

async fn the_published_key_is_the_one_that_signs(server: Server) {
    let alice = server.customer("alice").await;
    let keys = server.client().get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(keys.header("content-type"), Some("application/jwk-set+json"));
    let key = &keys.body["keys"][0];
    assert_eq!(
        (key["kty"].as_str(), key["crv"].as_str()),
        (Some("OKP"), Some("Ed25519"))
    );
    assert!(key.get("d").is_none());
    // The header of a token is not secret: its kid is the published one's.
    let header = alice.client.token().split('.').next().unwrap().to_owned();
    let kid = key["kid"].as_str().unwrap();
    assert_eq!(
        header,
        base64_of(&format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{kid}"}}"#))
    );
}

/// Base64 for URLs without padding (RFC 4648, section 5).
fn base64_of(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(bits >> (18 - 6 * index) & 63) as usize]));
        }
    }
    out
}
