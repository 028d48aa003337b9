//! Passkeys over HTTPS: the good way, and every step of the standard that refuses an answer. A refused answer differs
//! from an accepted one in one thing, and is signed all the same wherever the signature is not the thing.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{
    Answer, BUSY, Client, Person, Server,
    authenticator::{Authenticator, Spoil},
    people::{code_of, new_key, next_code_of},
    stories,
};

const OWN: &str = "/api/v1/me/passkeys";
const OPTIONS: &str = "/api/v1/auth/passkey/options";
const LOGIN: &str = "/api/v1/auth/passkey";
const MFA: &str = "/api/v1/auth/login/mfa";
const STEP_UP: &str = "/api/v1/auth/step-up";
/// Above the bound of 10,000 euros.
const LARGE: i64 = 1_000_001;

stories! {
    with BUSY;
    a_passkey_logs_in_without_a_password,
    a_passkey_is_a_second_factor_of_its_owner_only,
    whoever_asks_for_a_passkey_sends_what_there_is,
    every_step_of_the_standard_refuses_a_login,
    every_step_of_the_standard_refuses_a_binding,
    one_answer_logs_in_once_however_many_show_it_at_once,
    a_large_transfer_is_approved_by_the_passkey_for_itself_alone,
    passkeys_are_seen_and_taken_away_by_their_owner_only,
}

/// Binds a passkey of a new authenticator.
async fn bind(server: &Server, client: &Client, name: &str) -> Authenticator {
    let mut authenticator = Authenticator::new(server.url());
    let options = client
        .post(&format!("{OWN}/options"), Value::Null)
        .await
        .expect(200);
    let credential = authenticator.create(&options.body, &Spoil::default());
    let bound = client
        .post(OWN, json!({"credential": credential, "name": name}))
        .await
        .expect(201);
    assert_eq!(bound.body["name"], name);
    authenticator
}

async fn options(client: &Client, body: Value) -> Value {
    client.post(OPTIONS, body).await.expect(200).body
}

/// Logs in by passkey alone.
async fn login(server: &Server, authenticator: &mut Authenticator, spoil: &Spoil) -> Answer {
    let client = server.client();
    let options = options(&client, json!({})).await;
    let credential = authenticator.get(&options, spoil);
    client.post(LOGIN, json!({"credential": credential})).await
}

async fn half_login(server: &Server, person: &Person) -> Answer {
    let body = json!({"email": person.email, "password": person.password});
    server.client().post("/api/v1/auth/login", body).await.expect(200)
}

async fn a_passkey_logs_in_without_a_password(server: Server) {
    let alice = server.customer("alice").await;
    let elsewhere = server.login(&alice.email, &alice.password).await;
    let mut phone = bind(&server, &alice.client, "Phone").await;
    elsewhere
        .client
        .get("/api/v1/me")
        .await
        .refused(401, "token_invalid");
    server.mail_with(&alice.email, "second factor").await;
    let tokens = login(&server, &mut phone, &Spoil::default()).await.expect(200);
    let inside = server.client().with_token(&tokens.text("access_token"));
    let me = inside.get("/api/v1/me").await.expect(200);
    assert_eq!(
        (me.text("email"), &me.body["mfa"]["passkeys"]),
        (alice.email.clone(), &json!(1))
    );
    let sessions = inside.get("/api/v1/me/sessions").await.expect(200);
    assert_eq!(sessions.body["data"][0]["assurance"], "aal2");
    let refresh = json!({"refresh_token": tokens.text("refresh_token")});
    server
        .client()
        .post("/api/v1/auth/refresh", refresh)
        .await
        .expect(200);
    // A password alone is half a login from now on.
    assert_eq!(
        half_login(&server, &alice).await.body["methods"],
        json!(["passkey"])
    );
}

async fn whoever_asks_for_a_passkey_sends_what_there_is(server: Server) {
    let client = server.client();
    for wrong in [json!({"challenges": "x"}), json!({"challenge": 1})] {
        let told = client.post(OPTIONS, wrong.clone()).await;
        told.refused(400, "validation_failed");
    }
    options(&client, json!({})).await;
}

async fn a_passkey_is_a_second_factor_of_its_owner_only(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let mut phone = bind(&server, &alice.client, "Phone").await;
    let mut bobs = bind(&server, &bob.client, "Phone").await;
    let first = half_login(&server, &alice).await;
    let token = first.text("mfa_token");
    let show = |credential: Value, token: &str| {
        let body = json!({"mfa_token": token, "method": "passkey", "credential": credential});
        let client = server.client();
        async move { client.post(MFA, body).await }
    };
    let anonymous = server.client();
    let ask = |token: &str| options(&anonymous, json!({"mfa_token": token}));
    let asked = ask(&token).await;
    assert_eq!(
        asked["publicKey"]["allowCredentials"].as_array().unwrap().len(),
        1
    );
    show(bobs.get(&asked, &Spoil::default()), &token)
        .await
        .refused(401, "invalid_credentials");
    // What one login was asked is no answer in another.
    let asked = ask(&token).await;
    let another = half_login(&server, &alice).await.text("mfa_token");
    show(phone.get(&asked, &Spoil::default()), &another)
        .await
        .refused(401, "invalid_credentials");
    let asked = ask(&another).await;
    let answer = phone.get(&asked, &Spoil::default());
    // Where a code is wanted a passkey is none; neither is looked at.
    let odd = json!({"mfa_token": another, "method": "totp", "credential": answer});
    anonymous.post(MFA, odd).await.refused(400, "validation_failed");
    show(answer, &another).await.expect(200);
    // Nor is what was asked for a login without a password, or inside a session.
    let token = half_login(&server, &bob).await.text("mfa_token");
    for other in [
        options(&bob.client, json!({})).await,
        options(&anonymous, json!({})).await,
    ] {
        show(bobs.get(&other, &Spoil::default()), &token)
            .await
            .refused(401, "invalid_credentials");
    }
    let asked = ask(&token).await;
    show(bobs.get(&asked, &Spoil::default()), &token)
        .await
        .expect(200);
}

/// Everything that can be wrong with what an authenticator answers.
fn spoils(server: &Server) -> Vec<(&'static str, Spoil)> {
    let url = server.url().trim_end_matches('/').to_owned();
    let none = Spoil::default;
    let origin = |origin: String| Spoil {
        origin: Some(origin),
        ..none()
    };
    vec![
        ("another host", origin("https://bank.example".to_owned())),
        ("no encryption", origin(url.replacen("https", "http", 1))),
        ("another port", origin("https://localhost:1".to_owned())),
        (
            "a host below ours",
            origin(url.replacen("localhost", "evil.localhost", 1)),
        ),
        (
            "another relying party",
            Spoil {
                rp_id: Some("bank.example"),
                ..none()
            },
        ),
        (
            "a challenge that nobody gave",
            Spoil {
                challenge: Some("A".repeat(43)),
                ..none()
            },
        ),
        (
            "nobody present",
            Spoil {
                no_user_present: true,
                ..none()
            },
        ),
        (
            "nobody verified",
            Spoil {
                no_user_verified: true,
                ..none()
            },
        ),
    ]
}

async fn every_step_of_the_standard_refuses_a_login(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let mut phone = bind(&server, &alice.client, "Phone").await;
    let bobs = bind(&server, &bob.client, "Phone").await;
    let none = Spoil::default;
    let mut cases = spoils(&server);
    cases.extend([
        (
            "another type",
            Spoil {
                kind: Some("webauthn.create"),
                ..none()
            },
        ),
        (
            "another signature",
            Spoil {
                signature: true,
                ..none()
            },
        ),
        (
            "client data changed after signing",
            Spoil {
                client_data_after: true,
                ..none()
            },
        ),
        (
            "the passkey of another user",
            Spoil {
                user: Some(bobs.user.clone()),
                ..none()
            },
        ),
        (
            "nobody's passkey",
            Spoil {
                user: Some("AAAAAAAAAAAAAAAAAAAAAA".to_owned()),
                ..none()
            },
        ),
    ]);
    for (what, spoil) in &cases {
        login(&server, &mut phone, &none()).await.expect(200);
        let refused = login(&server, &mut phone, spoil).await;
        assert_eq!(
            (refused.status, refused.code()),
            (401, "invalid_credentials"),
            "{what}"
        );
    }
    // Who has counted as far before is a copy.
    let counted = phone.counter;
    for counter in [counted, counted - 1, 1, 0] {
        let copy = Spoil {
            counter: Some(counter),
            ..none()
        };
        login(&server, &mut phone, &none()).await.expect(200);
        login(&server, &mut phone, &copy)
            .await
            .refused(401, "invalid_credentials");
    }
    // An answer is good once, also of one that does not count, and a stranger's credential never.
    let client = server.client();
    let mut shared = bind(&server, &bob.client, "Shared").await;
    let uncounted = Spoil {
        counter: Some(0),
        ..none()
    };
    for _ in 0..2 {
        let asked = options(&client, json!({})).await;
        let body = json!({"credential": shared.get(&asked, &uncounted)});
        client.post(LOGIN, body.clone()).await.expect(200);
        client.post(LOGIN, body).await.refused(401, "invalid_credentials");
    }
    let mut stranger = Authenticator::new(server.url());
    stranger.user = phone.user.clone();
    login(&server, &mut stranger, &none())
        .await
        .refused(401, "invalid_credentials");
    for odd in [
        json!({}),
        json!(null),
        json!("x"),
        json!({"response": {"clientDataJSON": "e30"}}),
    ] {
        let refused = client.post(LOGIN, json!({"credential": odd})).await;
        assert_eq!(refused.status, 401, "{refused:?}");
    }
}

async fn every_step_of_the_standard_refuses_a_binding(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let ask = |client: &Client| {
        let client = client.clone();
        async move {
            let options = client.post(&format!("{OWN}/options"), Value::Null).await;
            options.expect(200).body
        }
    };
    let show = |client: &Client, credential: Value| {
        let client = client.clone();
        async move { client.post(OWN, json!({"credential": credential})).await }
    };
    let mut cases = spoils(&server);
    cases.push((
        "another type",
        Spoil {
            kind: Some("webauthn.get"),
            ..Spoil::default()
        },
    ));
    for (what, spoil) in &cases {
        let asked = ask(&alice.client).await;
        let credential = Authenticator::new(server.url()).create(&asked, spoil);
        let refused = show(&alice.client, credential).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "validation_failed"),
            "{what}"
        );
        assert_eq!(refused.body["errors"][0]["pointer"], "/credential");
    }
    // What was asked of one is no answer of another, nor of the same person elsewhere.
    let elsewhere = server.login(&alice.email, &alice.password).await;
    for other in [&bob.client, &elsewhere.client] {
        let asked = ask(&alice.client).await;
        let credential = Authenticator::new(server.url()).create(&asked, &Spoil::default());
        show(other, credential).await.refused(400, "validation_failed");
    }
    let mut phone = Authenticator::new(server.url());
    let asked = ask(&alice.client).await;
    let credential = phone.create(&asked, &Spoil::default());
    show(&alice.client, credential.clone()).await.expect(201);
    show(&alice.client, credential)
        .await
        .refused(400, "validation_failed");
    // One credential is one person's.
    let asked = ask(&bob.client).await;
    let taken = phone.create(&asked, &Spoil::default());
    show(&bob.client, taken).await.refused(400, "validation_failed");
    let known = ask(&alice.client).await;
    assert_eq!(
        known["publicKey"]["excludeCredentials"].as_array().unwrap().len(),
        1
    );
}

async fn one_answer_logs_in_once_however_many_show_it_at_once(server: Server) {
    let alice = server.customer("alice").await;
    let mut phone = bind(&server, &alice.client, "Phone").await;
    let client = server.client();
    // One that does not count, as those that are shared between devices do not: nothing but the ceremony is used up.
    let uncounted = Spoil {
        counter: Some(0),
        ..Spoil::default()
    };
    for _ in 0..4 {
        let asked = options(&client, json!({})).await;
        let body = json!({"credential": phone.get(&asked, &uncounted)});
        let start = Arc::new(Barrier::new(16));
        let mut tasks = JoinSet::new();
        for _ in 0..16 {
            let (client, body, start) = (client.clone(), body.clone(), start.clone());
            tasks.spawn(async move {
                client.get("/livez").await;
                start.wait().await;
                client.post(LOGIN, body).await.status
            });
        }
        let answers = tasks.join_all().await;
        let in_again = answers.iter().filter(|status| **status == 200).count();
        assert_eq!(in_again, 1, "{answers:?}");
    }
}

async fn a_large_transfer_is_approved_by_the_passkey_for_itself_alone(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 50 * LARGE).await.expect(201);
    let totp = "/api/v1/me/mfa/totp";
    let uri = alice
        .client
        .post(totp, Value::Null)
        .await
        .expect(200)
        .text("otpauth_uri");
    let confirm = json!({"code": code_of(&uri)});
    alice
        .client
        .post(&format!("{totp}/confirm"), confirm)
        .await
        .expect(200);
    let mut phone = bind(&server, &alice.client, "Phone").await;
    let asked = |minor| {
        let (alice, from, to) = (alice.clone(), from.clone(), to.clone());
        async move {
            let refused = alice.transfer(&new_key(), &from, &to, minor).await;
            refused.refused(401, "step_up_required").text("challenge")
        }
    };
    let (first, second) = (asked(LARGE).await, asked(LARGE + 1).await);
    // A code would prove presence; whoever has a passkey approves money with it.
    let code = json!({"method": "totp", "code": next_code_of(&uri), "challenge": first});
    let refused = alice
        .client
        .post(STEP_UP, code)
        .await
        .refused(400, "validation_failed");
    assert_eq!(refused.body["errors"][0]["pointer"], "/method");
    let show = |credential: Value, challenge: Option<&str>| {
        let body = match challenge {
            Some(challenge) => {
                json!({"method": "passkey", "credential": credential, "challenge": challenge})
            }
            None => json!({"method": "passkey", "credential": credential}),
        };
        let client = alice.client.clone();
        async move { client.post(STEP_UP, body).await }
    };
    // Shown for one challenge it approves no other, and no settings.
    for other in [Some(second.as_str()), None] {
        let options = options(&alice.client, json!({"challenge": first})).await;
        show(phone.get(&options, &Spoil::default()), other)
            .await
            .refused(401, "invalid_credentials");
    }
    let options_for = options(&alice.client, json!({"challenge": first})).await;
    show(phone.get(&options_for, &Spoil::default()), Some(&first))
        .await
        .expect(204);
    alice
        .transfer(&new_key(), &from, &to, LARGE + 1)
        .await
        .refused(401, "step_up_required");
    alice.transfer(&new_key(), &from, &to, LARGE).await.expect(201);
    alice
        .transfer(&new_key(), &from, &to, LARGE)
        .await
        .refused(401, "step_up_required");
    let bob = server.customer("bob").await;
    let foreign = bob.client.post(OPTIONS, json!({"challenge": second})).await;
    foreign.refused(400, "validation_failed");
    bob.client
        .post(OPTIONS, json!({}))
        .await
        .refused(409, "no_second_factor");
}

async fn passkeys_are_seen_and_taken_away_by_their_owner_only(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let mut phone = bind(&server, &alice.client, "Phone").await;
    let mut bobs = bind(&server, &bob.client, "Key").await;
    let listed = alice.client.get(OWN).await.expect(200);
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed.body["data"][0]["name"], "Phone");
    let path = format!("{OWN}/{}", listed.body["data"][0]["id"].as_str().unwrap());
    let remove = |client: &Client| {
        let client = client.clone();
        let path = path.clone();
        async move { client.send(client.request(Method::DELETE, &path)).await }
    };
    remove(&alice.client).await.refused(401, "step_up_required");
    let proved = |client: Client, mut authenticator: Authenticator| async move {
        let asked = options(&client, json!({})).await;
        let body = json!({"method": "passkey", "credential": authenticator.get(&asked, &Spoil::default())});
        client.post(STEP_UP, body).await.expect(200).text("access_token")
    };
    bobs.counter += 1;
    let bob = server
        .client()
        .with_token(&proved(bob.client.clone(), bobs).await);
    remove(&bob).await.refused(404, "not_found");
    login(&server, &mut phone, &Spoil::default()).await.expect(200);
    let token = proved(alice.client.clone(), phone).await;
    let alice_proved = server.client().with_token(&token);
    remove(&alice_proved).await.expect(204);
    remove(&alice_proved).await.refused(404, "not_found");
    assert_eq!(alice_proved.get(OWN).await.body["data"], json!([]));
    // No factor is left: the password is a whole login again.
    server.login(&alice.email, &alice.password).await;
    server.client().get(OWN).await.refused(401, "unauthenticated");
}
