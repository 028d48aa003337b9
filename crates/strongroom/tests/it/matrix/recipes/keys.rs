//! Operations about keys of one's own programs: made, replaced and taken away in a session with a fresh factor.

use serde_json::{Value, json};
use strongroom_domain::id::ApiKeyKind;

use super::{Ask, Scene, absent, oneself::proved};
use crate::{
    harness::{Person, Server, people::new_key},
    matrix::{Object, cast::Credential},
};

const KEYS: &str = "/api/v1/api-keys";
const BANKS: &str = "/api/v1/admin/api-keys";

pub(super) async fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    let (_, path) = operation.split_once(' ')?;
    if let Some(rest) = path.strip_prefix("/api/v1/admin/keys") {
        // Nobody approves what the matrix asks for: the ring stays as it is.
        let purpose = if scene.object == Object::Absent {
            "nothing"
        } else {
            "proof"
        };
        let ask = Ask::to(path.replace("{purpose}", purpose));
        return Some(if rest.is_empty() {
            ask
        } else {
            ask.with(json!({"reason": "asked for by the matrix"}))
        });
    }
    if path.starts_with(BANKS) {
        return Some(banks(operation, path, scene));
    }
    if !path.starts_with(KEYS) {
        return None;
    }
    if operation == "GET /api/v1/api-keys" {
        return Some(Ask::to(path));
    }
    let credential = match &scene.caller.person {
        Some(me) => proved(scene.server, me).await.0,
        None => scene.caller.credential.clone(),
    };
    let ask = match operation {
        "POST /api/v1/api-keys" => Ask::to(path).with(wish()),
        "DELETE /api/v1/api-keys/{id}" | "POST /api/v1/api-keys/{id}/rotate" => {
            let id = match scene.object {
                Object::Own => made(scene.server, &credential).await,
                Object::Anothers => another(scene.server).await,
                Object::Absent => absent::<ApiKeyKind>(),
            };
            Ask::to(path.replace("{id}", &id))
        }
        _ => return None,
    };
    Some(Ask {
        credential: Some(credential),
        ..ask
    })
}

/// Operations about keys of the bank's own programs. Nobody approves what the matrix asks for.
fn banks(operation: &str, path: &str, scene: &Scene<'_>) -> Ask {
    match operation {
        "POST /api/v1/admin/api-keys" => Ask::to(path).with(wish()),
        "DELETE /api/v1/admin/api-keys/{id}" => {
            let id = match scene.object {
                Object::Absent => absent::<ApiKeyKind>(),
                // Spent by whoever may; everybody else is refused before it is looked for.
                Object::Own | Object::Anothers if scene.caller.name == "admin" => made_by_host(scene.server),
                Object::Own | Object::Anothers => scene.cast.key_of_bob.clone(),
            };
            Ask::to(path.replace("{id}", &id))
        }
        _ => Ask::to(path),
    }
}

/// The id of a new key of a technical user.
fn made_by_host(server: &Server) -> String {
    let arguments = [
        "api-key",
        "add",
        "--name",
        "matrix",
        "--scopes",
        "accounts:read",
        "--json",
    ];
    let (ok, out, error) = server.cli(&arguments);
    assert!(ok, "{out}{error}");
    let made: Value = serde_json::from_str(&out).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

fn wish() -> Value {
    json!({"name": "Matrix", "scopes": ["accounts:read"]})
}

/// The id of a key that whoever shows this makes; one that names nothing for those who may make none.
async fn made(server: &Server, credential: &Credential) -> String {
    let Credential::Bearer(token) = credential else {
        return absent::<ApiKeyKind>();
    };
    let made = server.visitor().with_token(token).post(KEYS, wish()).await;
    match made.status {
        201 => made.text("id"),
        _ => absent::<ApiKeyKind>(),
    }
}

/// The id of a key of somebody else's.
async fn another(server: &Server) -> String {
    let other: Person = server.customer(&new_key()).await;
    let (credential, _) = proved(server, &other).await;
    made(server, &credential).await
}
