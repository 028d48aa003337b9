//! Beneficiaries, and payments to them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use strongroom_domain::id::{BeneficiaryKind, PaymentKind};

use super::{Ask, Scene, absent};
use crate::{
    beneficiaries::{BENEFICIARIES, elsewhere, entry},
    matrix::{
        Object,
        cast::{Credential, beneficiary_of},
    },
};

/// Numbers at other banks, so that none is on a list already.
static NUMBERS: AtomicU64 = AtomicU64::new(1_000_000);

fn next() -> Value {
    entry(
        "Carla Landlord",
        &elsewhere(NUMBERS.fetch_add(1, Ordering::Relaxed)),
    )
}

pub(super) async fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    let (_, path) = operation.split_once(' ')?;
    Some(match operation {
        "GET /api/v1/beneficiaries" => Ask::to(path),
        "POST /api/v1/beneficiaries" => {
            let ask = Ask::to(path).with(next());
            let Some(me) = &scene.caller.person else {
                return Some(ask);
            };
            let proof = json!({"method": "password", "code": me.password});
            let stepped = me.client.post("/api/v1/auth/step-up", proof).await;
            let credential = match stepped.status {
                200 => Credential::Bearer(stepped.text("access_token")),
                _ => scene.caller.credential.clone(),
            };
            Ask {
                credential: Some(credential),
                ..ask
            }
        }
        "POST /api/v1/beneficiaries/name-check" => {
            Ask::to(path).with(json!({"name": "Carla Landlord", "account_number": elsewhere(1)}))
        }
        "GET /api/v1/beneficiaries/{id}" | "DELETE /api/v1/beneficiaries/{id}" => {
            Ask::to(format!("{BENEFICIARIES}/{}", theirs(scene).await.0))
        }
        "POST /api/v1/payments/{id}/cancel" => {
            Ask::to(format!("/api/v1/payments/{}/cancel", theirs(scene).await.1)).once()
        }
        _ => return None,
    })
}

/// A beneficiary of the object's owner, and a payment to it that has not left.
async fn theirs(scene: &Scene<'_>) -> (String, String) {
    match scene.object {
        Object::Absent => (absent::<BeneficiaryKind>(), absent::<PaymentKind>()),
        Object::Anothers => scene.cast.beneficiary_of_bob.clone(),
        Object::Own => {
            let owner = scene.owner();
            let from = owner.account("Purse").await;
            scene.cast.teller.deposit(&from, 1_000).await.expect(201);
            beneficiary_of(scene.server, owner, &from).await
        }
    }
}
