//! Operations about one's own login. Whoever may do them loses a session, a factor or the password by it, and is
//! somebody new each time.

use serde_json::{Value, json};
use strongroom_domain::id::{ApiKeyKind, DeviceKind, NoticeKind, PasskeyKind, SessionKind};

use super::{Ask, Scene, absent};
use crate::{
    harness::{
        Client, Person, Server,
        authenticator::{Authenticator, Spoil},
        people::{code_of, new_key},
    },
    matrix::{Object, cast::Credential},
};

const PASSKEYS: &str = "/api/v1/me/passkeys";
const STEP_UP: &str = "/api/v1/auth/step-up";

/// Whether a caller who may do this is another person afterwards.
pub(crate) fn costs_the_caller(operation: &str, object: Object) -> bool {
    match operation {
        "DELETE /api/v1/me/sessions/{id}" => object == Object::Own,
        "DELETE /api/v1/me/sessions"
        | "POST /api/v1/auth/password/change"
        | "POST /api/v1/auth/step-up"
        | "POST /api/v1/auth/passkey/options"
        | "POST /api/v1/me/mfa/totp"
        | "DELETE /api/v1/me/mfa/totp"
        | "POST /api/v1/me/mfa/totp/confirm"
        | "POST /api/v1/me/mfa/recovery-codes"
        | "POST /api/v1/me/passkeys/options"
        | "POST /api/v1/me/passkeys"
        | "DELETE /api/v1/me/passkeys/{id}"
        | "PATCH /api/v1/me/devices/{id}"
        | "DELETE /api/v1/me/devices/{id}"
        | "POST /api/v1/me/email"
        | "DELETE /api/v1/me/email"
        | "DELETE /api/v1/me"
        | "POST /api/v1/me/export"
        | "POST /api/v1/beneficiaries"
        | "POST /api/v1/api-keys"
        | "POST /api/v1/api-keys/{id}/rotate"
        | "DELETE /api/v1/api-keys/{id}" => true,
        _ => false,
    }
}

/// What somebody was told of last; nothing that there is for whoever was told of nothing.
async fn notice_of(person: &Person) -> String {
    let told = person.client.get("/api/v1/me/notices?limit=1").await;
    let id = told.body["data"][0]["id"].as_str();
    id.map_or_else(absent::<NoticeKind>, str::to_owned)
}

pub(super) async fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    let (_, path) = operation.split_once(' ')?;
    let (server, cast) = (scene.server, scene.cast);
    // Whoever should not be let in asks for what alice would.
    let me = scene.caller.person.as_ref();
    let ask = Ask::to(path);
    Some(match operation {
        "GET /api/v1/me"
        | "GET /api/v1/me/sessions"
        | "GET /api/v1/me/passkeys"
        | "GET /api/v1/me/external-logins"
        | "GET /api/v1/me/devices"
        | "GET /api/v1/me/notices"
        | "GET /api/v1/me/notice-preferences"
        | "DELETE /api/v1/me/sessions" => ask,
        "PUT /api/v1/me/notice-preferences" => ask.with(json!({"events": []})),
        "POST /api/v1/me/notices/{id}/read" => Ask::to(format!(
            "/api/v1/me/notices/{}/read",
            match scene.object {
                Object::Own => notice_of(me.unwrap_or(&cast.alice)).await,
                Object::Anothers => notice_of(&cast.bob).await,
                Object::Absent => absent::<NoticeKind>(),
            }
        )),
        "PATCH /api/v1/me" => ask.with(json!({"full_name": "Renamed Example"})),
        "DELETE /api/v1/me/sessions/{id}" => Ask::to(format!(
            "/api/v1/me/sessions/{}",
            match scene.object {
                Object::Own => session_of(me.unwrap_or(&cast.alice)),
                Object::Anothers => session_of(&cast.bob),
                Object::Absent => absent::<SessionKind>(),
            }
        )),
        "PATCH /api/v1/me/devices/{id}" | "DELETE /api/v1/me/devices/{id}" => {
            let credential = match me {
                Some(me) if operation.starts_with("PATCH") => proved(server, me).await.0,
                _ => scene.caller.credential.clone(),
            };
            let asker = match &credential {
                Credential::Bearer(token) => server.visitor().with_token(token),
                _ => cast.alice.client.clone(),
            };
            let id = match scene.object {
                Object::Own => device_of(&asker).await,
                Object::Anothers => device_of(&cast.bob.client).await,
                Object::Absent => absent::<DeviceKind>(),
            };
            let ask = Ask {
                credential: Some(credential),
                ..Ask::to(format!("/api/v1/me/devices/{id}"))
            };
            if operation.starts_with("PATCH") {
                ask.with(json!({"name": "Tablet"}))
            } else {
                ask
            }
        }
        "POST /api/v1/me/email"
        | "DELETE /api/v1/me/email"
        | "DELETE /api/v1/me"
        | "POST /api/v1/me/export" => {
            let credential = match me {
                Some(me) => proved(server, me).await.0,
                None => scene.caller.credential.clone(),
            };
            let wish = json!({"new_email": format!("{}@example.com", new_key())});
            if let (true, Credential::Bearer(token)) = (operation == "DELETE /api/v1/me/email", &credential) {
                let client = server.visitor().with_token(token);
                // Whose address is the bank's cannot ask.
                drop(client.post("/api/v1/me/email", wish.clone()).await);
            }
            Ask {
                credential: Some(credential),
                ..if operation == "POST /api/v1/me/email" {
                    ask.with(wish)
                } else {
                    ask
                }
            }
        }
        "POST /api/v1/auth/password/change" => Ask {
            credential: Some(match me {
                Some(me) => proved(server, me).await.0,
                None => scene.caller.credential.clone(),
            }),
            ..ask.with(json!({
                "current_password": me.unwrap_or(&cast.alice).password,
                "new_password": "osprey-58-lantern-quilt-harbour"}))
        },
        "POST /api/v1/me/mfa/totp" | "POST /api/v1/me/passkeys/options" => ask,
        "POST /api/v1/me/mfa/totp/confirm" => match me {
            Some(me) => {
                let new = me.client.post("/api/v1/me/mfa/totp", Value::Null).await;
                let code = new.body["otpauth_uri"]
                    .as_str()
                    .map_or_else(|| "123456".to_owned(), code_of);
                ask.with(json!({"code": code}))
            }
            None => ask.with(json!({"code": "123456"})),
        },
        "POST /api/v1/me/passkeys" => {
            let asker = me.unwrap_or(&cast.alice);
            let mut phone = Authenticator::new(server.url());
            let options = asker
                .client
                .post(&format!("{PASSKEYS}/options"), Value::Null)
                .await;
            let credential = match options.status {
                200 => phone.create(&options.body, &Spoil::default()),
                _ => json!({}),
            };
            ask.with(json!({"credential": credential, "name": "Phone"}))
        }
        "POST /api/v1/auth/passkey/options" => {
            if let Some(me) = me {
                bind_passkey(server, &me.client).await;
            }
            ask.with(json!({}))
        }
        "POST /api/v1/auth/step-up" => match me {
            Some(me) => {
                let mut phone = bind_passkey(server, &me.client).await;
                ask.with(assertion(&me.client, &mut phone).await)
            }
            None => ask.with(json!({"method": "password", "code": cast.alice.password})),
        },
        "DELETE /api/v1/me/passkeys/{id}" => {
            let (credential, own) = match me {
                Some(me) => proved(server, me).await,
                None => (scene.caller.credential.clone(), absent::<PasskeyKind>()),
            };
            let id = match scene.object {
                Object::Own => own,
                Object::Anothers => cast.passkey_of_bob.clone(),
                Object::Absent => absent::<PasskeyKind>(),
            };
            Ask {
                credential: Some(credential),
                ..Ask::to(format!("{PASSKEYS}/{id}"))
            }
        }
        "GET /api/v1/api-keys" => ask,
        "POST /api/v1/api-keys" => {
            let credential = match me {
                Some(me) => proved(server, me).await.0,
                None => scene.caller.credential.clone(),
            };
            Ask {
                credential: Some(credential),
                ..ask.with(wish_for_a_key())
            }
        }
        "POST /api/v1/api-keys/{id}/rotate" | "DELETE /api/v1/api-keys/{id}" => {
            let (credential, own) = match me {
                Some(me) => {
                    let credential = proved(server, me).await.0;
                    let made = match &credential {
                        Credential::Bearer(token) => {
                            let client = server.visitor().with_token(token);
                            client.post("/api/v1/api-keys", wish_for_a_key()).await
                        }
                        other => panic!("{other:?} is no proof"),
                    };
                    // Who may make none has none.
                    let id = made.body["id"].as_str().map(str::to_owned);
                    (credential, id.unwrap_or_else(absent::<ApiKeyKind>))
                }
                None => (scene.caller.credential.clone(), absent::<ApiKeyKind>()),
            };
            let id = match scene.object {
                Object::Own => own,
                Object::Anothers => cast.key_of_bob.clone(),
                Object::Absent => absent::<ApiKeyKind>(),
            };
            let ask = Ask::to(path.replace("{id}", &id));
            Ask {
                credential: Some(credential),
                ..if path.ends_with("rotate") {
                    ask.with(json!({}))
                } else {
                    ask
                }
            }
        }
        "DELETE /api/v1/me/mfa/totp" | "POST /api/v1/me/mfa/recovery-codes" => {
            let credential = match me {
                Some(me) => {
                    let new = me.client.post("/api/v1/me/mfa/totp", Value::Null).await;
                    if let Some(uri) = new.body["otpauth_uri"].as_str() {
                        let code = json!({"code": code_of(uri)});
                        drop(me.client.post("/api/v1/me/mfa/totp/confirm", code).await);
                    }
                    proved(server, me).await.0
                }
                None => scene.caller.credential.clone(),
            };
            Ask {
                credential: Some(credential),
                ..ask
            }
        }
        _ => return None,
    })
}

fn wish_for_a_key() -> Value {
    json!({"name": "Matrix", "scopes": ["accounts:read"]})
}

fn session_of(person: &Person) -> String {
    person.tokens["session_id"].as_str().unwrap().to_owned()
}

/// Binds a passkey of a new authenticator.
pub(crate) async fn bind_passkey(server: &Server, client: &Client) -> Authenticator {
    let mut phone = Authenticator::new(server.url());
    let options = client
        .post(&format!("{PASSKEYS}/options"), Value::Null)
        .await
        .expect(200);
    let credential = phone.create(&options.body, &Spoil::default());
    let body = json!({"credential": credential, "name": "Phone"});
    client.post(PASSKEYS, body).await.expect(201);
    phone
}

/// A step-up for settings.
async fn assertion(client: &Client, phone: &mut Authenticator) -> Value {
    let options = client
        .post("/api/v1/auth/passkey/options", json!({}))
        .await
        .expect(200);
    json!({"method": "passkey", "credential": phone.get(&options.body, &Spoil::default())})
}

/// The same person with a fresh proof, and the passkey that proved it.
pub(super) async fn proved(server: &Server, me: &Person) -> (Credential, String) {
    let mut phone = bind_passkey(server, &me.client).await;
    let body = assertion(&me.client, &mut phone).await;
    let set = me.client.post(STEP_UP, body).await.expect(200);
    let client = server.visitor().with_token(&set.text("access_token"));
    let listed = client.get(PASSKEYS).await.expect(200);
    let id = listed.body["data"][0]["id"].as_str().unwrap().to_owned();
    (Credential::Bearer(set.text("access_token")), id)
}

/// The newest device that somebody is known by; the id of none where the caller has none to see.
async fn device_of(client: &Client) -> String {
    let listed = client.get("/api/v1/me/devices").await;
    let id = listed.body["data"][0]["id"].as_str();
    id.map_or_else(absent::<DeviceKind>, str::to_owned)
}
