//! How often somebody may ask, with the limits that are shipped.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Answer, Client, Server,
    people::{new_key, transfer_body},
    stories,
};

stories! {
    the_sixth_wrong_password_in_a_quarter_is_not_looked_at_and_another_address_is_served,
    strangers_have_fifty_requests_an_hour_and_whoever_logged_in_before_goes_on,
    changing_credentials_and_forwarded_addresses_is_no_way_around,
    the_hundred_and_first_change_is_refused_and_reading_goes_on,
    operators_are_counted_too_with_a_quota_of_their_own,
    two_hundred_wrong_passwords_at_once_are_five_guesses,
}

/// How many right logins behind one address are more than strangers may ask in an hour.
const OFFICE: usize = 60;

async fn login(client: &Client, email: &str, password: &str) -> Answer {
    client
        .post(
            "/api/v1/auth/login",
            json!({"email": email, "password": password}),
        )
        .await
}

fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

async fn the_sixth_wrong_password_in_a_quarter_is_not_looked_at_and_another_address_is_served(
    server: Server,
) {
    let alice = server.customer("alice").await;
    let client = server.client_from("127.0.0.2");
    for number in 0..5 {
        let answer = login(
            &client,
            &format!("nobody-{number}@example.com"),
            "wrong-horse-battery-1",
        )
        .await;
        let answer = answer.refused(401, "invalid_credentials");
        let left = format!("\"auth\";r={}", 4 - number);
        assert!(answer.header("ratelimit").unwrap().contains(&left), "{answer:?}");
    }
    let refused = login(&client, &alice.email, &alice.password)
        .await
        .refused(429, "rate_limited");
    assert_eq!(
        refused.text("detail"),
        "Rate limit exceeded: too many auth requests."
    );
    assert!((170..=180).contains(&retry_after(&refused)), "{refused:?}");
    assert!(
        refused
            .header("ratelimit-policy")
            .unwrap()
            .contains("\"auth\";q=5;w=900")
    );
    login(&server.client_from("127.0.0.3"), &alice.email, &alice.password)
        .await
        .expect(200);
    // Who was right uses up nothing, so that an office can log in at nine.
    let office = server.client_from("127.0.0.4");
    for _ in 0..OFFICE {
        login(&office, &alice.email, &alice.password).await.expect(200);
    }
}

async fn strangers_have_fifty_requests_an_hour_and_whoever_logged_in_before_goes_on(server: Server) {
    let alice = server.customer("alice").await;
    let client = server.client_from("127.0.0.2");
    for number in 0..50 {
        let answer = client
            .get("/api/v1/accounts")
            .await
            .refused(401, "unauthenticated");
        let left = format!("\"anonymous\";r={};", 49 - number);
        assert!(
            answer.header("ratelimit").unwrap().starts_with(&left),
            "{answer:?}"
        );
    }
    let refused = client.get("/api/v1/accounts").await.refused(429, "rate_limited");
    assert!((60..=72).contains(&retry_after(&refused)), "{refused:?}");
    assert!(refused.header("strict-transport-security").is_some());
    client.get("/api/v1/nothing").await.refused(429, "rate_limited");
    // Health and keys have counts of their own, and a session is not a stranger.
    client.get("/livez").await.expect(200);
    client.get("/.well-known/jwks.json").await.expect(200);
    let known = client.with_token(alice.client.token());
    for _ in 0..60 {
        let answer = known.get("/api/v1/accounts").await.expect(200);
        assert!(
            answer.header("ratelimit").unwrap().starts_with("\"api_read\";"),
            "{answer:?}"
        );
    }
    let refresh = json!({"refresh_token": alice.tokens["refresh_token"]});
    client.post("/api/v1/auth/refresh", refresh).await.expect(200);
}

async fn changing_credentials_and_forwarded_addresses_is_no_way_around(server: Server) {
    let client = server.client_from("127.0.0.2");
    let mut seen = Vec::new();
    for number in 0..60 {
        let request = client
            .request(Method::GET, "/api/v1/accounts")
            .header("X-Forwarded-For", format!("198.51.100.{number}"))
            .header("X-Real-IP", format!("198.51.100.{number}"))
            .header("X-Device-Token", format!("srd_{number}"));
        let request = match number % 3 {
            // Five guesses at keys are let pass before an address waits for another reason.
            0 if number < 15 => request.header("X-API-Key", format!("sr_test_{number}")),
            0 => request.header("Authorization", format!("Basic {number}")),
            1 => request.bearer_auth(format!("{number}.{number}.{number}")),
            _ => request.header("Cookie", format!("session={number}")),
        };
        seen.push(client.send(request).await.status);
    }
    assert_eq!(seen[..50], [401; 50]);
    assert_eq!(seen[50..], [429; 10]);
}

async fn the_hundred_and_first_change_is_refused_and_reading_goes_on(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    for number in 0..100 {
        let answer = alice
            .client
            .patch("/api/v1/me", json!({"full_name": format!("Alice {number}")}));
        answer.await.expect(200);
    }
    let again = alice
        .client
        .patch("/api/v1/me", json!({"full_name": "Alice"}))
        .await;
    let again = again.refused(429, "rate_limited");
    assert_eq!(
        again.text("detail"),
        "Rate limit exceeded: too many api_write requests."
    );
    assert!((1..=36).contains(&retry_after(&again)));
    assert_eq!(
        alice.client.get("/api/v1/me").await.expect(200).text("full_name"),
        "Alice 99"
    );
    // A new token of the same person is the same person, and somebody else is not.
    let other = server.login(&alice.email, &alice.password).await;
    let still = other
        .client
        .patch("/api/v1/me", json!({"full_name": "Alice"}))
        .await;
    still.refused(429, "rate_limited");
    bob.client
        .patch("/api/v1/me", json!({"full_name": "Bob"}))
        .await
        .expect(200);
    // Asking what would happen has a small quota besides.
    let (from, to) = (bob.account("From").await, bob.account("To").await);
    let body = transfer_body(&from, &to, 1);
    let mut seen = BTreeSet::new();
    for _ in 0..31 {
        let answer = bob
            .client
            .post("/api/v1/transfers?dry_run=true", body.clone())
            .await;
        seen.insert((answer.status, answer.code().to_owned()));
    }
    let expected = [(422, "insufficient_funds"), (429, "rate_limited")];
    assert_eq!(
        seen,
        expected.map(|(status, code)| (status, code.to_owned())).into()
    );
}

async fn operators_are_counted_too_with_a_quota_of_their_own(server: Server) {
    let admin = server.operator("admin").await;
    let answer = admin.client.get("/api/v1/admin/accounts").await.expect(200);
    assert!(
        answer
            .header("ratelimit")
            .unwrap()
            .starts_with("\"operator_read\";r="),
        "{answer:?}"
    );
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"operator_read\";q=10000;w=3600")
    );
}

async fn two_hundred_wrong_passwords_at_once_are_five_guesses(server: Server) {
    let client = server.client_from("127.0.0.2");
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let client = client.clone();
        tries.spawn(async move {
            login(
                &client,
                &format!("{}@example.com", new_key()),
                "wrong-horse-battery-1",
            )
            .await
        });
    }
    let answers = tries.join_all().await;
    let looked = answers.iter().filter(|answer| answer.status == 401).count();
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!((looked, looked + refused), (5, 200));
}

mod configured {
    use super::*;

    const ONE_OPERATOR_READ: &[(&str, &str)] = &[("STRONGROOM_LIMITS__OPERATOR_READ", "3/1h")];

    stories! {
        with ONE_OPERATOR_READ;
        an_administrator_beyond_the_quota_is_refused_like_anybody,
    }

    async fn an_administrator_beyond_the_quota_is_refused_like_anybody(server: Server) {
        let admin = server.operator("admin").await;
        for _ in 0..3 {
            admin.client.get("/api/v1/admin/accounts").await.expect(200);
        }
        admin
            .client
            .get("/api/v1/admin/accounts")
            .await
            .refused(429, "rate_limited");
    }
}

mod proxied {
    use super::*;

    const BEHIND: &[(&str, &str)] = &[("STRONGROOM_SERVER__TRUSTED_PROXIES", "127.0.0.9")];

    stories! {
        with BEHIND;
        behind_a_named_proxy_each_client_has_an_own_count_and_nobody_else_is_believed,
    }

    async fn behind_a_named_proxy_each_client_has_an_own_count_and_nobody_else_is_believed(server: Server) {
        let ask = async |client: &Client, forwarded: &str| {
            let request = client.request(Method::GET, "/api/v1/accounts");
            client
                .send(request.header("X-Forwarded-For", forwarded))
                .await
                .status
        };
        let (proxy, liar) = (server.client_from("127.0.0.9"), server.client_from("127.0.0.2"));
        for number in 0..51 {
            let status = if number < 50 { 401 } else { 429 };
            assert_eq!(
                ask(&proxy, &format!("192.0.2.{number}, 198.51.100.7")).await,
                status
            );
            assert_eq!(ask(&liar, &format!("198.51.100.{number}")).await, status);
        }
        assert_eq!(ask(&proxy, "198.51.100.8").await, 401);
        assert_eq!(ask(&proxy, "2001:db8:1:2::1").await, 401);
    }
}
