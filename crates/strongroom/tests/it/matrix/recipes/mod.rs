//! How each operation is asked so that it is granted to whom it is for. A new operation needs one arm here: its path
//! with the object's id, its body, and what has to be there before.

mod beneficiaries;
mod elsewhere;
mod fraud_rules;
mod grants;
mod keys;
mod logins;
mod money;
mod oneself;
mod payments;
mod policies;

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use strongroom_domain::id::{
    AccountKind, AlertKind, ApprovalKind, Id, IncidentActionKind, Kind, TransferKind, UserKind,
};

use super::{
    Ask, Object, Scene,
    cast::{Cast, small_transfer},
};
use crate::harness::people::{in_minutes, new_key};

pub(crate) use self::oneself::{bind_passkey, costs_the_caller};

/// Addresses that behaved like scanners.
static SCANNERS: AtomicU32 = AtomicU32::new(0);

/// Operations about objects that their path does not name.
pub(crate) const ABOUT_OBJECTS: &[&str] = &[
    "GET /api/v1/transfers",
    "POST /api/v1/transfers",
    "POST /api/v1/transfers/batch",
    "GET /api/v1/holds",
    "POST /api/v1/holds",
    "POST /api/v1/holds/batch",
    "POST /api/v1/holds/batch/capture",
    "POST /api/v1/holds/batch/void",
    "POST /api/v1/payments",
    "POST /api/v1/admin/merchants",
    "POST /api/v1/deposits",
    "POST /api/v1/withdrawals",
    "POST /api/v1/admin/accounts",
];

/// Operations that move money: keys sign them, so that the table shows what their scopes allow.
pub(crate) const SIGNED_BY_KEYS: &[&str] = &[
    "POST /api/v1/transfers",
    "POST /api/v1/transfers/batch",
    "POST /api/v1/holds",
    "POST /api/v1/holds/batch",
    "POST /api/v1/holds/batch/capture",
    "POST /api/v1/holds/batch/void",
    "POST /api/v1/holds/{id}/capture",
    "POST /api/v1/holds/{id}/void",
    "POST /api/v1/deposits",
    "POST /api/v1/withdrawals",
];

impl Ask {
    /// Asks for a path.
    fn to(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }

    fn with(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    /// Under a new idempotency key.
    fn once(self) -> Self {
        Self { once: true, ..self }
    }
}

/// A network that nobody is in, blocked for a while.
fn block_of_nobody() -> Value {
    json!({"action": "block_network", "reason": "asked for by the matrix", "network": "203.0.113.0/24",
        "ends_at": in_minutes(10)})
}

/// An id that names nothing.
fn absent<K: Kind>() -> String {
    Id::<K>::from_bytes([7; 16]).to_string()
}

fn id_of(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

/// The request of this operation in this scene; `None` for an operation without a recipe.
pub(crate) async fn ask(operation: &str, scene: &Scene<'_>) -> Option<Ask> {
    if let Some(ask) = logins::ask(operation, scene).await {
        return Some(ask);
    }
    if let Some(ask) = oneself::ask(operation, scene).await {
        return Some(ask);
    }
    if let Some(ask) = money::ask(operation, scene).await {
        return Some(ask);
    }
    if let Some(ask) = payments::ask(operation, scene).await {
        return Some(ask);
    }
    if let Some(ask) = beneficiaries::ask(operation, scene).await {
        return Some(ask);
    }
    if let Some(ask) = keys::ask(operation, scene).await {
        return Some(ask);
    }
    if let Some(ask) = grants::ask(operation, scene).await {
        return Some(ask);
    }
    if let Some(ask) = policies::ask(operation, scene).await {
        return Some(ask);
    }
    if let Some(ask) = fraud_rules::ask(operation, scene).await {
        return Some(ask);
    }
    if let Some(ask) = elsewhere::ask(operation, scene) {
        return Some(ask);
    }
    let (_, path) = operation.split_once(' ')?;
    let fill = |id: &str| {
        let (before, rest) = path.split_once('{').unwrap();
        let (_, after) = rest.split_once('}').unwrap();
        format!("{before}{id}{after}")
    };
    let cast = scene.cast;
    let index = Cast::index(scene.object);
    let reason = json!({"reason": "asked for by the matrix"});
    Some(match operation {
        "GET /livez" | "GET /readyz" | "GET /.well-known/jwks.json" | "GET /.well-known/security.txt" => {
            Ask::to(path)
        }
        "GET /api/v1/accounts"
        | "GET /api/v1/admin/accounts"
        | "GET /api/v1/admin/users"
        | "GET /api/v1/admin/ledger/trial-balance"
        | "GET /api/v1/admin/ledger/check"
        | "GET /api/v1/admin/audit/records"
        | "GET /api/v1/admin/audit/checkpoint" => Ask::to(path),
        "GET /api/v1/admin/audit/consistency" => Ask::to(format!("{path}?from=1")),
        "POST /api/v1/admin/audit/exports" => Ask::to(path).with(json!({"limit": 1})),
        "GET /api/v1/admin/audit/proof/{id}" => match scene.object {
            Object::Absent => Ask::to(fill("999999999")),
            Object::Own | Object::Anothers => Ask::to(fill("1")),
        },
        "POST /api/v1/accounts" => Ask::to(path).with(new_account()).once(),
        "POST /api/v1/admin/accounts" => {
            let mut body = new_account();
            body["customer_id"] = Value::from(customer_id(scene).await);
            Ask::to(path).with(body).once()
        }
        "GET /api/v1/accounts/{id}"
        | "GET /api/v1/accounts/{id}/balance"
        | "GET /api/v1/accounts/{id}/transactions" => Ask::to(fill(&account(scene))),
        "PATCH /api/v1/accounts/{id}" => Ask::to(fill(&account(scene))).with(json!({"name": "Renamed"})),
        "POST /api/v1/accounts/{id}/freeze" | "POST /api/v1/admin/accounts/{id}/freeze" => {
            Ask::to(fill(&new_account_of(scene).await)).with(json!({"scope": "all"}))
        }
        "GET /api/v1/admin/accounts/{id}/limits" | "DELETE /api/v1/admin/accounts/{id}/limits" => {
            Ask::to(fill(&account(scene)))
        }
        "PUT /api/v1/admin/accounts/{id}/limits" => Ask::to(fill(&account(scene))).with(
            json!({"daily": {"amount": 1, "currency": "EUR"}, "until": in_minutes(10), "reason": "the matrix"}),
        ),
        "GET /api/v1/accounts/{id}/limits" => Ask::to(fill(&account(scene))),
        "PUT /api/v1/accounts/{id}/limits" => Ask::to(fill(&account(scene)))
            .with(json!({"daily": {"amount": 900_000_000, "currency": "EUR"}})),
        // More than anybody here pays: set again it is the same.
        "PUT /api/v1/admin/accounts/{id}/allowance" => Ask::to(fill(&account(scene))).with(
            json!({"daily": {"amount": 900_000_000, "currency": "EUR"}, "reason": "the matrix"})),
        "POST /api/v1/accounts/{id}/close" => Ask::to(fill(&new_account_of(scene).await)),
        "POST /api/v1/accounts/{id}/unfreeze" => {
            let id = new_account_of(scene).await;
            let freeze = format!("/api/v1/accounts/{id}/freeze");
            drop(scene.owner().client.post(&freeze, json!({"scope": "all"})).await);
            Ask::to(fill(&id))
        }
        "POST /api/v1/admin/accounts/{id}/unfreeze" => {
            let id = new_account_of(scene).await;
            let freeze = format!("/api/v1/admin/accounts/{id}/freeze");
            drop(cast.teller.client.post(&freeze, json!({"scope": "all"})).await);
            Ask::to(fill(&id))
        }
        "GET /api/v1/transfers" => match scene.object {
            Object::Absent => Ask::to(format!("{path}?idempotency_key={}", new_key())),
            Object::Own | Object::Anothers => {
                Ask::to(format!("{path}?idempotency_key={}", cast.transfers[index].1))
            }
        },
        "GET /api/v1/transfers/{id}" => Ask::to(fill(&match scene.object {
            Object::Absent => absent::<TransferKind>(),
            Object::Own | Object::Anothers => id_of(&cast.transfers[index].0),
        })),
        "GET /api/v1/receipts/{transaction_id}" => Ask::to(fill(&match scene.object {
            Object::Absent => absent::<TransferKind>(),
            Object::Own | Object::Anothers => id_of(&cast.transfers[index].0),
        })),
        "POST /api/v1/transfers" => {
            let from = json!({"id": account(scene), "currency": "EUR"});
            Ask::to(path)
                .with(small_transfer(&from, &cast.other_accounts[1]))
                .once()
        }
        "POST /api/v1/deposits" | "POST /api/v1/withdrawals" => Ask::to(path)
            .with(json!({"account_id": account(scene), "amount": {"amount": 1, "currency": "EUR"}}))
            .once(),
        "GET /api/v1/admin/approvals" | "GET /api/v1/admin/security-events" => Ask::to(path),
        "GET /api/v1/admin/security/events" => Ask::to(path),
        "GET /api/v1/admin/blocks" | "GET /api/v1/admin/alerts" => Ask::to(path),
        "POST /api/v1/admin/alerts/{id}/acknowledge" => match scene.object {
            Object::Absent => Ask::to(fill(&absent::<AlertKind>())),
            Object::Own | Object::Anothers => {
                let alerts = cast
                    .auditor
                    .client
                    .get("/api/v1/admin/alerts?open=true")
                    .await
                    .expect(200);
                Ask::to(fill(&id_of(&alerts.body["data"][0])))
            }
        },
        "DELETE /api/v1/admin/blocks/{address}" => match scene.object {
            Object::Absent => Ask::to(fill("192.0.2.1")),
            Object::Own | Object::Anothers => {
                let address = format!("127.0.2.{}", SCANNERS.fetch_add(1, Ordering::Relaxed) % 250 + 1);
                scene.server.client_from(&address).scan().await;
                Ask::to(fill(&address))
            }
        },
        "GET /api/v1/admin/incident-actions" => Ask::to(path),
        "POST /api/v1/admin/incident-actions" => Ask::to(path).with(block_of_nobody()),
        "DELETE /api/v1/admin/incident-actions/{id}" => match scene.object {
            Object::Absent => Ask::to(fill(&absent::<IncidentActionKind>())),
            Object::Own | Object::Anothers => {
                let actions = "/api/v1/admin/incident-actions";
                let taken = cast.admin.client.post(actions, block_of_nobody()).await;
                Ask::to(fill(&id_of(&taken.expect(201).body)))
            }
        },
        "POST /api/v1/admin/users" => Ask::to(path).with(new_operator()),
        // Somebody else's request may be decided, which is the good way here; the other one is the caller's own.
        "POST /api/v1/admin/approvals/{id}/approve" | "POST /api/v1/admin/approvals/{id}/reject" => {
            let maker = match (scene.object, &scene.caller.person) {
                (Object::Anothers, Some(me)) if scene.caller.name == "admin" => me,
                _ => &cast.maker,
            };
            let made = maker
                .client
                .post("/api/v1/admin/users", new_operator())
                .await
                .expect(202);
            let id = match scene.object {
                Object::Absent => absent::<ApprovalKind>(),
                Object::Own | Object::Anothers => made.text("approval_id"),
            };
            Ask::to(fill(&id)).with(json!({"reason": "asked for by the matrix"}))
        }
        "POST /api/v1/admin/users/{id}/lock" => {
            prepare(scene, None).await;
            Ask::to(fill(&victim_id(scene))).with(reason)
        }
        "PUT /api/v1/admin/users/{id}/department" => {
            Ask::to(fill(&victim_id(scene))).with(json!({"department": "matrix"}))
        }
        "GET /api/v1/admin/users/{id}"
        | "GET /api/v1/admin/users/{id}/sessions"
        | "DELETE /api/v1/admin/users/{id}/sessions" => Ask::to(fill(&victim_id(scene))),
        "POST /api/v1/admin/users/{id}/reset-mfa" => {
            prepare(scene, None).await;
            Ask::to(fill(&victim_id(scene))).with(reason)
        }
        "POST /api/v1/admin/users/{id}/unlock" => {
            prepare(scene, Some("lock")).await;
            Ask::to(fill(&victim_id(scene))).with(reason)
        }
        "POST /api/v1/admin/users/{id}/disable" => {
            prepare(scene, None).await;
            Ask::to(fill(&victim_id(scene))).with(reason)
        }
        "POST /api/v1/admin/users/{id}/enable" => {
            prepare(scene, Some("disable")).await;
            Ask::to(fill(&victim_id(scene))).with(reason)
        }
        _ => return None,
    })
}

fn new_operator() -> Value {
    json!({"email": format!("{}@bank.example", new_key()), "full_name": "New Teller", "role": "teller"})
}

fn new_account() -> Value {
    json!({"kind": "checking", "currency": "EUR", "name": "Matrix"})
}

/// An account with money.
fn account(scene: &Scene<'_>) -> String {
    match scene.object {
        Object::Absent => absent::<AccountKind>(),
        Object::Own | Object::Anothers => id_of(&scene.cast.accounts[Cast::index(scene.object)]),
    }
}

/// An account that the request may spoil.
async fn new_account_of(scene: &Scene<'_>) -> String {
    match scene.object {
        Object::Absent => absent::<AccountKind>(),
        Object::Own | Object::Anothers => id_of(&scene.owner().account("Spoiled").await),
    }
}

async fn customer_id(scene: &Scene<'_>) -> String {
    match scene.object {
        Object::Absent => absent::<UserKind>(),
        Object::Own | Object::Anothers => {
            let me = scene.owner().client.get("/api/v1/me").await.expect(200);
            me.text("id")
        }
    }
}

/// The customer whose login is stopped.
fn victim_id(scene: &Scene<'_>) -> String {
    match scene.object {
        Object::Absent => absent::<UserKind>(),
        Object::Own | Object::Anothers => scene.cast.victim_ids[Cast::index(scene.object)].clone(),
    }
}

/// Brings the customer's login into the state before the request: active, or stopped by this verb.
async fn prepare(scene: &Scene<'_>, verb: Option<&str>) {
    if scene.object == Object::Absent {
        return;
    }
    for verb in ["enable", "unlock"].into_iter().chain(verb) {
        let path = format!("/api/v1/admin/users/{}/{verb}", victim_id(scene));
        let answer = scene
            .cast
            .admin
            .client
            .post(&path, json!({"reason": "before the request"}));
        let answer = answer.await;
        assert!([200, 409].contains(&answer.status), "{answer:?}");
    }
}
