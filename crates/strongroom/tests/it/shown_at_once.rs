//! Tokens and codes shown many times at once over HTTPS: what counts once counts once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    factors::{bind, half_login},
    harness::{
        Answer, BUSY, Client, Server,
        people::next_code_of,
        stories,
        together::{connected, together},
    },
};

const LOGIN: &str = "/api/v1/auth/login";
const SECOND: &str = "/api/v1/auth/login/mfa";
const REFRESH: &str = "/api/v1/auth/refresh";
const STEP_UP: &str = "/api/v1/auth/step-up";
const CHANGE: &str = "/api/v1/auth/password/change";
const ME: &str = "/api/v1/me";
const OTHER_PASSWORD: &str = "osprey-58-lantern-quilt-harbour";
/// Rounds of a race that one alone may win by luck.
const ROUNDS: usize = 10;

stories! {
    with BUSY;
    a_refresh_token_shown_sixty_four_times_at_once_has_one_child,
    a_code_spelled_in_every_way_fifty_times_at_once_lets_in_once,
    nothing_of_other_sessions_goes_on_after_the_answer_of_a_changed_password,
    whoever_has_a_factor_proves_it_before_the_password_changes,
}

async fn a_refresh_token_shown_sixty_four_times_at_once_has_one_child(server: Server) {
    let alice = server.customer("alice").await;
    let client = server.client();
    let body = json!({"email": alice.email, "password": alice.password});
    let login = client.post(LOGIN, body).await.expect(200);
    let mark = login.header("x-device-token").unwrap().to_owned();
    let shows = |client: &Client, token: &str| {
        let request = client.request(Method::POST, REFRESH);
        request
            .json(&json!({"refresh_token": token}))
            .header("X-Device-Token", &mark)
    };
    let clients = connected(&server, 64).await;
    let (mut parent, mut token) = (String::new(), login.text("refresh_token"));
    // The child of one round is shown in the next.
    for _ in 0..ROUNDS {
        let answers = together(&clients, |_, client| shows(client, &token)).await;
        let children: BTreeSet<String> = answers
            .into_iter()
            .map(|answer| answer.expect(200).text("refresh_token"))
            .collect();
        assert_eq!(children.len(), 1, "{children:?}");
        (parent, token) = (token, children.into_iter().next().unwrap());
    }
    let next = client.send(shows(&client, &token)).await.expect(200);
    // The child was used: whoever shows its parent now is not the one who did that.
    for token in [parent, next.text("refresh_token")] {
        let refused = client.send(shows(&client, &token)).await;
        refused.refused(401, "token_invalid");
    }
    client
        .with_token(&next.text("access_token"))
        .get(ME)
        .await
        .refused(401, "token_invalid");
    server.mail_with(&alice.email, "used twice").await;
}

async fn a_code_spelled_in_every_way_fifty_times_at_once_lets_in_once(server: Server) {
    let clients = connected(&server, 50).await;
    // A code is of its half minute: another one at once is another person's.
    for name in ["alice", "bob", "carol", "dave"] {
        let person = server.customer(name).await;
        let (uri, _) = bind(&person.client).await;
        let mut halves = Vec::new();
        for _ in 0..5 {
            halves.push(half_login(&server, &person).await.text("mfa_token"));
        }
        let code = next_code_of(&uri);
        let (left, right) = code.split_at(3);
        let spelled = [
            code.clone(),
            format!("{left} {right}"),
            format!(" {code}"),
            format!("{code}\n"),
            format!("{left}\u{a0}{right}"),
        ];
        // Each of five logins with each spelling, twice.
        let answers = together(&clients, |number, client| {
            let code = &spelled[number / 5 % 5];
            let body = json!({"mfa_token": halves[number % 5], "method": "totp", "code": code});
            client.request(Method::POST, SECOND).json(&body)
        });
        let (inside, outside): (Vec<_>, Vec<_>) =
            answers.await.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(inside.len(), 1, "{inside:?}");
        for answer in outside {
            answer.refused(401, "invalid_credentials");
        }
    }
}

/// Goes on to the next refresh token; the answer where there is none.
async fn refreshed(client: &Client, token: &mut String) -> Option<Answer> {
    let answer = client.post(REFRESH, json!({"refresh_token": token})).await;
    if answer.status != 200 {
        return Some(answer);
    }
    *token = answer.text("refresh_token");
    None
}

async fn nothing_of_other_sessions_goes_on_after_the_answer_of_a_changed_password(server: Server) {
    let alice = server.customer("alice").await;
    let changed = Arc::new(AtomicBool::new(false));
    let mut others = JoinSet::new();
    for _ in 0..6 {
        let other = server.login(&alice.email, &alice.password).await;
        let (client, changed) = (server.client(), changed.clone());
        let mut token = other.tokens["refresh_token"].as_str().unwrap().to_owned();
        let first = refreshed(&client, &mut token).await;
        assert!(first.is_none(), "before the change it goes on: {first:?}");
        others.spawn(async move {
            loop {
                let after = changed.load(Ordering::SeqCst);
                match refreshed(&client, &mut token).await {
                    Some(refused) => return refused,
                    None => assert!(!after, "it went on after the answer"),
                }
            }
        });
    }
    let body = json!({"current_password": alice.password, "new_password": OTHER_PASSWORD});
    alice.client.post(CHANGE, body).await.expect(204);
    changed.store(true, Ordering::SeqCst);
    for refused in others.join_all().await {
        refused.refused(401, "token_invalid");
    }
    alice.client.get(ME).await.expect(200);
}

async fn whoever_has_a_factor_proves_it_before_the_password_changes(server: Server) {
    let alice = server.customer("alice").await;
    let (uri, _) = bind(&alice.client).await;
    let change = json!({"current_password": alice.password, "new_password": OTHER_PASSWORD});
    let wrong = json!({"current_password": "not-the-password", "new_password": OTHER_PASSWORD});
    // Neither says whether the password is right, and neither is a try at it.
    for body in [&change, &wrong, &wrong, &wrong, &wrong, &wrong, &change] {
        alice
            .client
            .post(CHANGE, body.clone())
            .await
            .refused(401, "step_up_required");
    }
    let proof = json!({"method": "totp", "code": next_code_of(&uri)});
    let proved = alice.client.post(STEP_UP, proof).await.expect(200);
    let inside = server.client().with_token(&proved.text("access_token"));
    inside
        .post(CHANGE, wrong)
        .await
        .refused(401, "invalid_credentials");
    inside.post(CHANGE, change).await.expect(204);
    inside.get(ME).await.expect(200);
    let client = server.client();
    let old = json!({"email": alice.email, "password": alice.password});
    client.post(LOGIN, old).await.refused(401, "invalid_credentials");
    let new = json!({"email": alice.email, "password": OTHER_PASSWORD});
    let half = client.post(LOGIN, new).await.expect(200);
    assert_eq!(half.body["status"], "mfa_required");
}
