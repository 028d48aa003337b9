//! Batches, and money that is reserved.

use serde_json::{Value, json};
use strongroom_domain::id::HoldKind;

use super::{Ask, Scene, absent, account, id_of};
use crate::{
    harness::people::new_key,
    matrix::{Object, cast::small_transfer},
};

pub(super) async fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    let (_, path) = operation.split_once(' ')?;
    Some(match operation {
        "POST /api/v1/transfers/batch" => {
            let from = json!({"id": account(scene), "currency": "EUR"});
            let item = small_transfer(&from, &scene.cast.other_accounts[1]);
            Ask::to(path)
                .with(json!({"mode": "atomic", "transfers": [item]}))
                .once()
        }
        "GET /api/v1/limits" => Ask::to(path),
        "PUT /api/v1/limits" => {
            drop(account(scene));
            Ask::to(path).with(json!({"daily": {"amount": 4_000_000, "currency": "EUR"}}))
        }
        "GET /api/v1/holds" => Ask::to(format!("{path}?account_id={}", account(scene))),
        "POST /api/v1/holds" => Ask::to(path).with(body(scene, &account(scene))).once(),
        "POST /api/v1/holds/batch" => {
            let item = body(scene, &account(scene));
            Ask::to(path)
                .with(json!({"mode": "atomic", "holds": [item]}))
                .once()
        }
        "POST /api/v1/holds/batch/capture" => {
            let item = json!({"hold_id": hold(scene).await});
            Ask::to(path)
                .with(json!({"mode": "atomic", "captures": [item]}))
                .once()
        }
        "POST /api/v1/holds/batch/void" => {
            let hold = hold(scene).await;
            Ask::to(path)
                .with(json!({"mode": "atomic", "hold_ids": [hold]}))
                .once()
        }
        "GET /api/v1/holds/{id}" => Ask::to(format!("/api/v1/holds/{}", hold(scene).await)),
        "POST /api/v1/holds/{id}/capture" => Ask::to(format!("/api/v1/holds/{}/capture", hold(scene).await))
            .with(json!({}))
            .once(),
        "POST /api/v1/holds/{id}/void" => Ask::to(format!("/api/v1/holds/{}/void", hold(scene).await)),
        "GET /api/v1/admin/reviews" | "GET /api/v1/admin/rail/files" | "GET /api/v1/admin/suspense" => {
            Ask::to(path)
        }
        _ => return None,
    })
}

fn body(scene: &Scene<'_>, account: &str) -> Value {
    let to = id_of(&scene.cast.other_accounts[1]);
    json!({"account_id": account, "to_account_id": to, "amount": {"amount": 1, "currency": "EUR"}})
}

/// A hold of a cent, whose payee is neither caller nor owner where that can be.
async fn hold(scene: &Scene<'_>) -> String {
    if scene.object == Object::Absent {
        return absent::<HoldKind>();
    }
    let owner = scene.owner();
    let from = owner.account("Held").await;
    let deposit = json!({"account_id": from["id"], "amount": {"amount": 1, "currency": "EUR"}});
    let teller = &scene.cast.teller.client;
    teller
        .post_once("/api/v1/deposits", &new_key(), deposit)
        .await
        .expect(201);
    let to = owner.account("Payee").await;
    let body = json!({"account_id": from["id"], "to_account_id": to["id"], "amount": {"amount": 1, "currency": "EUR"}});
    let placed = owner.client.post_once("/api/v1/holds", &new_key(), body).await;
    placed.expect(201).text("id")
}
