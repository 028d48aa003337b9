//! Operations about the rules about fraud. Nobody approves what the matrix asks for: what is in force stays so.

use serde_json::{Value, json};

use super::{Ask, Scene};
use crate::matrix::Object;

const RULES: &str = "/api/v1/admin/fraud/rules";

pub(super) async fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    let (verb, path) = operation.split_once(' ')?;
    let rest = path.strip_prefix(RULES)?;
    let revision = if scene.object == Object::Absent {
        "999"
    } else {
        "0"
    };
    let numbered = Ask::to(path.replace("{revision}", revision));
    Some(match (verb, rest) {
        ("GET", "" | "/revisions") => Ask::to(path),
        ("GET", "/revisions/{revision}") => numbered,
        ("POST", "/validate") => Ask::to(path).with(json!({"rules": harmless(2)})),
        ("POST", "/proposals") => Ask::to(path).with(json!({"reason": "asked for by the matrix",
            "untried_reason": "the matrix does not wait", "rules": harmless(2)})),
        ("GET", "/trials") => Ask::to(path),
        ("POST", "/trials") => {
            Ask::to(path).with(json!({"reason": "asked for by the matrix", "rules": harmless(2)}))
        }
        (_, "/trials/{trial}" | "/trials/{trial}/differences" | "/trials/{trial}/end") => {
            let trial = if scene.object == Object::Absent {
                "999999".to_owned()
            } else {
                begin(scene).await
            };
            Ask::to(path.replace("{trial}", &trial))
        }
        ("POST", "/revisions/{revision}/restore") => {
            set(scene).await;
            numbered.with(json!({"reason": "asked for by the matrix"}))
        }
        _ => return None,
    })
}

/// A rule that nobody of the cast meets, worth a little more or less.
fn harmless(score: i64) -> Value {
    json!([{"rule": "kiting", "score": score}])
}

/// Has another set than the program's own in force, once for everybody.
async fn set(scene: &Scene<'_>) {
    let (maker, checker) = (&scene.cast.maker.client, &scene.cast.admin.client);
    let made = scene.cast.rules_in_force.get_or_init(|| async {
        let body = json!({"reason": "asked for by the matrix", "untried_reason": "the matrix does not wait",
            "rules": harmless(1)});
        let asked = maker.post(&format!("{RULES}/proposals"), body).await.expect(202);
        let approve = format!("/api/v1/admin/approvals/{}/approve", asked.text("approval_id"));
        checker.post(&approve, json!({})).await.expect(200);
    });
    made.await;
}

/// Has a draft on trial: what ended already would be ended once more, which is no change.
async fn begin(scene: &Scene<'_>) -> String {
    let body = json!({"reason": "asked for by the matrix", "rules": harmless(3)});
    let begun = scene
        .cast
        .maker
        .client
        .post(&format!("{RULES}/trials"), body)
        .await;
    begun.expect(201).body["trial"].to_string()
}
