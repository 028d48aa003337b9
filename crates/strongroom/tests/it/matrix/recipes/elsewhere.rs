//! Operations whose good way the matrix cannot go: it has no issuer, no browser, no witness, no account at another
//! bank, and rules that only watch. They are asked all the same, for who is refused and how.

use serde_json::{Value, json};
use strongroom_domain::id::{ExternalLoginKind, SuspenseItemKind, TransferKind};

use super::{Ask, Scene, absent, id_of};
use crate::matrix::{Object, cast::Cast};

pub(super) fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    let (_, path) = operation.split_once(' ')?;
    let to = |id: &str| Ask::to(path.replace("{id}", id).replace("{provider}", id));
    let reason = || json!({"reason": "asked for by the matrix"});
    // Nothing waits for a look, so a transfer that is posted stands for one that does.
    let transfer = || match scene.object {
        Object::Absent => absent::<TransferKind>(),
        Object::Own | Object::Anothers => id_of(&scene.cast.transfers[Cast::index(scene.object)].0),
    };
    Some(match operation {
        "GET /api/v1/auth/oidc/{provider}/start" => to("nobody"),
        "GET /api/v1/auth/oidc/{provider}/callback" => Ask::to(format!(
            "{}?state=none&code=none",
            path.replace("{provider}", "nobody")
        )),
        "GET /api/v1/auth/session" | "GET /api/v1/admin/rail/reconciliation" => Ask::to(path),
        "POST /api/v1/admin/rail/files" => Ask::to(path),
        "POST /api/v1/me/external-logins" => Ask::to(path).with(json!({"provider": "nobody"})),
        "DELETE /api/v1/me/external-logins/{id}" => to(&absent::<ExternalLoginKind>()),
        "POST /api/v1/admin/reviews/{id}/release" | "POST /api/v1/admin/reviews/{id}/reject" => {
            to(&transfer()).with(reason())
        }
        "POST /api/v1/transfers/{id}/cancel" => to(&transfer()),
        "POST /api/v1/log/cosignatures" => Ask::to(path).with(json!({"cosigned": "nothing that is signed"})),
        "POST /api/v1/admin/suspense/{id}/resolve" => {
            let mut body: Value = reason();
            body["account_id"] = scene.cast.accounts[0]["id"].clone();
            to(&absent::<SuspenseItemKind>()).with(body)
        }
        _ => return None,
    })
}
