//! Operations about policies of the bank's own: drafts of the second administrator's, and one that is in force.

use serde_json::{Value, json};
use strongroom_domain::id::{DecisionKind, PolicyKind};

use super::{Ask, Scene, absent};
use crate::{harness::people::new_key, matrix::Object};

const POLICIES: &str = "/api/v1/admin/policies";
/// Changes nobody's answers.
const HARMLESS: &str = r#"forbid (principal in Role::"support", action == Action::"key.manage", resource);"#;

pub(super) async fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    let (verb, path) = operation.split_once(' ')?;
    if operation == "GET /api/v1/admin/decisions" {
        return Some(Ask::to(path));
    }
    if operation == "POST /api/v1/admin/decisions/{id}/evaluate" {
        return Some(Ask::to(path.replace("{id}", &decided(scene).await)));
    }
    let rest = path.strip_prefix(POLICIES)?;
    let named = |id: String| Ask::to(path.replace("{id}", &id));
    Some(match (verb, rest) {
        ("GET", "") => Ask::to(path),
        ("POST", "" | "/validate" | "/diff") => Ask::to(path).with(draft()),
        ("POST", "/simulate") => Ask::to(path)
            .with(json!({"principal": {"kind": "user", "roles": ["teller"]},
            "action": "account.freeze", "resource": {"owner": "anothers"}, "context": {"assurance": 2}})),
        ("GET" | "DELETE", "/{id}") => named(drafted(scene).await),
        ("PUT", "/{id}") => named(drafted(scene).await).with(json!({"text": HARMLESS})),
        ("POST", "/{id}/activate") => named(drafted(scene).await).with(json!({})),
        ("POST", "/{id}/deactivate") => named(in_force(scene).await),
        _ => return None,
    })
}

/// The newest decision that is written.
async fn decided(scene: &Scene<'_>) -> String {
    if scene.object == Object::Absent {
        return absent::<DecisionKind>();
    }
    loop {
        let page = scene
            .cast
            .auditor
            .client
            .get("/api/v1/admin/decisions?limit=1")
            .await
            .expect(200);
        if let Some(id) = page.body["data"][0]["id"].as_str() {
            return id.to_owned();
        }
    }
}

fn draft() -> Value {
    json!({"name": new_key(), "text": HARMLESS})
}

/// A new draft.
async fn drafted(scene: &Scene<'_>) -> String {
    if scene.object == Object::Absent {
        return absent::<PolicyKind>();
    }
    let kept = scene.cast.maker.client.post(POLICIES, draft()).await;
    kept.expect(201).text("id")
}

/// A policy in force, the same one for everybody: asking to put it out of force leaves it there.
async fn in_force(scene: &Scene<'_>) -> String {
    if scene.object == Object::Absent {
        return absent::<PolicyKind>();
    }
    let (maker, checker) = (&scene.cast.maker.client, &scene.cast.admin.client);
    let made = scene.cast.policy_in_force.get_or_init(|| async {
        let id = drafted(scene).await;
        let asked = maker
            .post(&format!("{POLICIES}/{id}/activate"), json!({}))
            .await
            .expect(202);
        let approve = format!("/api/v1/admin/approvals/{}/approve", asked.text("approval_id"));
        checker.post(&approve, json!({})).await.expect(200);
        id
    });
    made.await.clone()
}
