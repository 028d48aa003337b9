//! Merchants, payments, refunds and reversals.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use strongroom_domain::id::{AccountKind, MerchantKind, PaymentKind, TransferKind};

use super::{Ask, Scene, absent, account, id_of};
use crate::{harness::people::new_key, matrix::Object};

/// Amounts of payments, so that none looks like another.
static CENTS: AtomicI64 = AtomicI64::new(1);

fn cents() -> Value {
    json!({"amount": CENTS.fetch_add(1, Ordering::Relaxed) % 900 + 1, "currency": "EUR"})
}

pub(super) async fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    let (_, path) = operation.split_once(' ')?;
    let anything = scene.object != Object::Absent;
    Some(match operation {
        "GET /api/v1/payments" | "GET /api/v1/admin/merchants" => Ask::to(path),
        "POST /api/v1/admin/merchants" => {
            let account = match anything {
                true => id_of(&scene.owner().account("Shop").await),
                false => absent::<AccountKind>(),
            };
            Ask::to(path).with(json!({"account_id": account, "name": "Corner Bakery"}))
        }
        "GET /api/v1/merchants/{id}" => {
            let id = match anything {
                true => merchant(scene).await.1,
                false => absent::<MerchantKind>(),
            };
            Ask::to(format!("/api/v1/merchants/{id}"))
        }
        "POST /api/v1/payments" => {
            let to = stranger(scene).await;
            Ask::to(path)
                .with(json!({"from_account_id": account(scene), "merchant_id": to, "amount": cents()}))
                .once()
        }
        "GET /api/v1/payments/{id}" => Ask::to(format!("/api/v1/payments/{}", payment(scene).await)),
        "GET /api/v1/payments/{id}/refunds" => {
            Ask::to(format!("/api/v1/payments/{}/refunds", payment(scene).await))
        }
        "POST /api/v1/payments/{id}/refund" => {
            Ask::to(format!("/api/v1/payments/{}/refund", payment(scene).await))
                .with(json!({}))
                .once()
        }
        "POST /api/v1/transfers/{id}/reversal" => {
            let id = match anything {
                true => paid(scene).await.text("transfer_id"),
                false => absent::<TransferKind>(),
            };
            Ask::to(format!("/api/v1/transfers/{id}/reversal"))
                .with(json!({"reason": "asked for by the matrix"}))
        }
        _ => return None,
    })
}

/// A merchant of the object's owner: its account and its id.
async fn merchant(scene: &Scene<'_>) -> (Value, String) {
    let account = scene.owner().account("Shop").await;
    let body = json!({"account_id": account["id"], "name": "Corner Bakery"});
    let teller = &scene.cast.teller.client;
    let made = teller.post("/api/v1/admin/merchants", body).await.expect(201);
    (account, made.text("id"))
}

/// A merchant who is nobody's of the scene.
async fn stranger(scene: &Scene<'_>) -> String {
    let body = json!({"account_id": id_of(&scene.cast.bob.account("Shop").await), "name": "Corner Bakery"});
    let teller = &scene.cast.teller.client;
    let made = teller.post("/api/v1/admin/merchants", body).await.expect(201);
    made.text("id")
}

/// A payment between two accounts of the object's owner, who is a merchant.
async fn paid(scene: &Scene<'_>) -> crate::harness::Answer {
    let (_, to) = merchant(scene).await;
    let owner = scene.owner();
    let from = owner.account("Purse").await;
    scene.cast.teller.deposit(&from, 1_000).await.expect(201);
    let body = json!({"from_account_id": from["id"], "merchant_id": to, "amount": cents()});
    owner
        .client
        .post_once("/api/v1/payments", &new_key(), body)
        .await
        .expect(201)
}

async fn payment(scene: &Scene<'_>) -> String {
    match scene.object {
        Object::Absent => absent::<PaymentKind>(),
        Object::Own | Object::Anothers => paid(scene).await.text("id"),
    }
}
