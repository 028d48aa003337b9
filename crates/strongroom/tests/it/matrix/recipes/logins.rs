//! Operations that look at no credential: what they need is in their body.

use serde_json::{Value, json};

use super::oneself::{bind_passkey, proved};
use super::{Ask, Scene};
use crate::harness::authenticator::Spoil;
use crate::harness::{
    Person,
    people::{code_of, new_key, next_code_of},
};
use crate::matrix::cast::Credential;

pub(super) async fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    let (_, path) = operation.split_once(' ')?;
    let (server, alice) = (scene.server, &scene.cast.alice);
    let ask = Ask::to(path);
    let password = "lantern-58-osprey-quilt-harbour";
    Some(match operation {
        "POST /api/v1/auth/register" => ask.with(
            json!({"email": format!("{}@example.com", new_key()), "password": password, "full_name": "New"}),
        ),
        "POST /api/v1/auth/verify-email" => {
            let email = format!("{}@example.com", new_key());
            let body = json!({"email": email, "password": password, "full_name": "New"});
            server
                .visitor()
                .post("/api/v1/auth/register", body)
                .await
                .expect(202);
            let token = server.mailed_token(&email).await;
            ask.with(json!({"token": token, "password": password}))
        }
        "POST /api/v1/auth/login" => ask.with(json!({"email": alice.email, "password": alice.password})),
        "POST /api/v1/auth/login/mfa" => {
            let person = somebody(scene).await;
            let new = person
                .client
                .post("/api/v1/me/mfa/totp", Value::Null)
                .await
                .expect(200);
            let uri = new.text("otpauth_uri");
            let confirm = json!({"code": code_of(&uri)});
            person
                .client
                .post("/api/v1/me/mfa/totp/confirm", confirm)
                .await
                .expect(200);
            let body = json!({"email": person.email, "password": person.password});
            let first = server
                .visitor()
                .post("/api/v1/auth/login", body)
                .await
                .expect(200);
            let token = first.text("mfa_token");
            ask.with(json!({"mfa_token": token, "method": "totp", "code": next_code_of(&uri)}))
        }
        "POST /api/v1/auth/refresh" | "POST /api/v1/auth/logout" => {
            let visitor = server.login(&alice.email, &alice.password).await;
            ask.with(json!({"refresh_token": visitor.tokens["refresh_token"]}))
        }
        "POST /api/v1/auth/password/strength" => ask.with(json!({"password": password})),
        "POST /api/v1/auth/password/generate" => ask,
        "POST /api/v1/auth/password/forgot" => ask.with(json!({"email": alice.email})),
        "POST /api/v1/auth/password/reset" => {
            let person = somebody(scene).await;
            let first = server.mailed_token(&person.email).await;
            let body = json!({"email": person.email});
            server
                .visitor()
                .post("/api/v1/auth/password/forgot", body)
                .await
                .expect(202);
            let mut token = first.clone();
            while token == first {
                token = server.mailed_token(&person.email).await;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            ask.with(json!({"token": token, "new_password": password}))
        }
        "POST /api/v1/auth/email/confirm" | "POST /api/v1/auth/email/stop" => {
            let person = somebody(scene).await;
            let (Credential::Bearer(token), _) = proved(server, &person).await else {
                panic!("no proof")
            };
            let wish = json!({"new_email": format!("{}@example.com", new_key())});
            let client = server.visitor().with_token(&token);
            client.post("/api/v1/me/email", wish).await.expect(202);
            let mail = server.mail_with(&person.email, "/email-change#token=").await;
            let token = mail
                .split("Token: ")
                .nth(1)
                .and_then(|rest| rest.split(' ').next());
            ask.with(json!({"token": token}))
        }
        "POST /api/v1/auth/passkey" => {
            let person = somebody(scene).await;
            let mut phone = bind_passkey(server, &person.client).await;
            let options = server
                .visitor()
                .post("/api/v1/auth/passkey/options", json!({}))
                .await
                .expect(200);
            ask.with(json!({"credential": phone.get(&options.body, &Spoil::default())}))
        }
        _ => return None,
    })
}

/// A customer whom nobody else needs.
async fn somebody(scene: &Scene<'_>) -> Person {
    scene.server.customer(&new_key()).await
}
