//! Operations about the roles of operators: a teller's, and another one for each role that is taken away.

use serde_json::json;
use strongroom_domain::id::{GrantKind, UserKind};

use super::{Ask, Scene, absent};
use crate::{harness::Person, matrix::Object};

const USERS: &str = "/api/v1/admin/users";

pub(super) async fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    let (verb, path) = operation.split_once(' ')?;
    if operation == "GET /api/v1/admin/roles" {
        return Some(Ask::to(path));
    }
    if !path.starts_with("/api/v1/admin/users/{id}/grants") {
        return None;
    }
    if scene.object == Object::Absent {
        let path = path
            .replace("{id}", &absent::<UserKind>())
            .replace("{grant}", &absent::<GrantKind>());
        let ask = Ask::to(path);
        return Some(if verb == "POST" { ask.with(wish()) } else { ask });
    }
    if verb == "DELETE" {
        let teller = scene.server.operator("teller").await;
        let id = id_of(&teller).await;
        let listed = scene.cast.admin.client.get(&format!("{USERS}/{id}/grants")).await;
        let grant = listed.expect(200).body["data"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        return Some(Ask::to(path.replace("{id}", &id).replace("{grant}", &grant)));
    }
    let ask = Ask::to(path.replace("{id}", &id_of(&scene.cast.teller).await));
    Some(if verb == "POST" { ask.with(wish()) } else { ask })
}

fn wish() -> serde_json::Value {
    json!({"role": "support"})
}

async fn id_of(person: &Person) -> String {
    person.client.get("/api/v1/me").await.expect(200).text("id")
}
