//! Every operation of the published API, asked by everybody about everything, compared with a table that people read.
//!
//! The operations come from `openapi.json`, so a new route is in the matrix by itself: without a recipe that is granted
//! to somebody the test fails. An operation whose good request was not granted to anybody in the same run fails, too,
//! because then its refusals prove nothing. What was changed must be in the audit log, under its request.
//!
//! `cargo xtask matrix --accept` writes the table anew. Read the difference as its attacker would.

mod cast;
mod recipes;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;
use strongroom_crypto::http_signature::SigningKey;

use self::{
    cast::{Cast, Credential, Member},
    table::Row,
};
use crate::harness::{
    Answer, BUSY, Engine, Person, Server, if_at_all,
    signed::{Signed, shared},
    stories,
};

/// Set by a person who wants the table written anew.
const ACCEPT_VARIABLE: &str = "STRONGROOM_MATRIX_ACCEPT";
const OPENAPI: &str = include_str!("../../../../../openapi.json");

/// Changes that leave no record of their own, with the reason. Nothing else may.
const WITHOUT_A_RECORD: &[(&str, &str)] = &[
    (
        "POST /api/v1/auth/register",
        "anonymous: a job makes the mail, the proof of the address the record",
    ),
    (
        "POST /api/v1/auth/password/forgot",
        "anonymous: a job makes the mail, the reset the record",
    ),
    (
        "POST /api/v1/auth/passkey/options",
        "a challenge of minutes, which changes no right",
    ),
    (
        "POST /api/v1/me/passkeys/options",
        "a challenge of minutes, which changes no right",
    ),
    (
        "POST /api/v1/me/mfa/totp",
        "a secret that counts for nothing until it is confirmed",
    ),
    ("POST /api/v1/admin/policies/validate", "told, and nothing kept"),
    (
        "POST /api/v1/admin/fraud/rules/validate",
        "told, and nothing kept",
    ),
    ("POST /api/v1/beneficiaries/name-check", "told, and nothing kept"),
    ("POST /api/v1/admin/policies/diff", "told, and nothing kept"),
    (
        "POST /api/v1/admin/decisions/{id}/evaluate",
        "told, and nothing kept",
    ),
    ("POST /api/v1/admin/policies/simulate", "told, and nothing kept"),
    ("POST /api/v1/auth/password/strength", "told, and nothing kept"),
    ("POST /api/v1/auth/password/generate", "told, and nothing kept"),
];

/// Operations whose good way needs what the matrix has not, such as an issuer or an account at another bank. Everybody
/// is asked here as everywhere, so the table shows who is refused and how; that they are granted to whom they are for
/// is told by these stories.
const TOLD_ELSEWHERE: &[(&str, &str)] = &[
    (
        "GET /api/v1/auth/oidc/{provider}/start",
        "an_issuers_customer_comes_in_and_comes_back",
    ),
    (
        "GET /api/v1/auth/oidc/{provider}/callback",
        "an_answer_counts_once_in_its_browser_and_of_its_issuer",
    ),
    (
        "GET /api/v1/auth/session",
        "an_issuers_customer_comes_in_and_comes_back",
    ),
    (
        "POST /api/v1/me/external-logins",
        "an_address_is_no_proof_and_an_owner_adds_the_issuer",
    ),
    (
        "DELETE /api/v1/me/external-logins/{id}",
        "an_address_is_no_proof_and_an_owner_adds_the_issuer",
    ),
    // Rules only watch in the matrix, so nothing waits there.
    (
        "POST /api/v1/admin/reviews/{id}/release",
        "whoever_may_not_decide_is_refused_and_learns_nothing",
    ),
    (
        "POST /api/v1/admin/reviews/{id}/reject",
        "whoever_may_not_decide_is_refused_and_learns_nothing",
    ),
    // Its credential is a witness's key, which nobody of the cast has.
    (
        "POST /api/v1/log/cosignatures",
        "nobody_but_its_witnesses_learns_of_the_log",
    ),
    // The matrix has no account at another bank.
    (
        "POST /api/v1/admin/rail/files",
        "what_two_people_release_leaves_in_one_file_and_is_settled_or_comes_back_once",
    ),
    (
        "GET /api/v1/admin/rail/reconciliation",
        "a_missing_statement_is_a_difference_until_it_is_read",
    ),
    (
        "POST /api/v1/admin/suspense/{id}/resolve",
        "what_nobody_can_place_lies_in_suspense_until_two_people_agree",
    ),
    (
        "POST /api/v1/transfers/{id}/cancel",
        "what_waits_is_reserved_seen_by_its_sender_alone_and_booked_once_it_is_released",
    ),
];

stories!(with BUSY; everybody_is_answered_as_the_table_says,);

/// Whose thing a request is about, as its caller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Object {
    /// The caller's own; for who owns nothing, a customer's.
    Own,
    /// Another customer's.
    Anothers,
    /// Nobody's.
    Absent,
}

impl Object {
    const ALL: [Self; 3] = [Self::Own, Self::Anothers, Self::Absent];
}

/// One cell before it is asked.
pub(crate) struct Scene<'a> {
    pub(crate) server: &'a Server,
    pub(crate) cast: &'a Cast,
    pub(crate) caller: &'a Member,
    pub(crate) object: Object,
}

impl Scene<'_> {
    /// The customer whose account, transfer or login the request is about.
    pub(crate) fn owner(&self) -> &Person {
        match (self.object, &self.caller.person) {
            (Object::Anothers, _) => &self.cast.bob,
            (_, Some(me)) if self.caller.owns_accounts => me,
            _ => &self.cast.alice,
        }
    }
}

/// A request of a recipe.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    /// Whether it takes an idempotency key.
    pub(crate) once: bool,
    /// Who asks in place of the caller: the same person in a fresh session.
    pub(crate) credential: Option<Credential>,
}

/// An operation of the document.
pub(crate) struct Operation {
    name: String,
    method: Method,
    path: String,
    /// Whether it asks for no credential, or does without one.
    is_public: bool,
    takes_credentials: bool,
}

impl Operation {
    fn all() -> Vec<Self> {
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let mut all = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (verb, operation) in item.as_object().unwrap() {
                let Ok(method) = Method::from_bytes(verb.to_uppercase().as_bytes()) else {
                    continue;
                };
                if !operation["responses"].is_object() {
                    continue;
                }
                let security = operation.get("security").unwrap_or(&document["security"]);
                let ways: Vec<_> = security.as_array().into_iter().flatten().collect();
                let open = |way: &&Value| way.as_object().is_some_and(serde_json::Map::is_empty);
                all.push(Self {
                    name: format!("{method} {path}"),
                    method,
                    path: path.clone(),
                    is_public: ways.iter().any(open),
                    takes_credentials: ways.iter().any(|way| !open(way)),
                });
            }
        }
        // In an order of their own: the table must not move with the document's.
        all.sort_by(|one, other| (&one.path, one.method.as_str()).cmp(&(&other.path, other.method.as_str())));
        assert!(all.len() > 40, "the document has {} operations", all.len());
        all
    }

    /// About whose things it can be.
    fn objects(&self) -> &'static [Object] {
        let about = self.path.contains('{') || recipes::ABOUT_OBJECTS.contains(&self.name.as_str());
        if about { &Object::ALL } else { &[Object::Own] }
    }

    fn changes(&self) -> bool {
        self.method != Method::GET
    }
}

async fn everybody_is_answered_as_the_table_says(server: Server) {
    let (server, cast) = Cast::gather(server).await;
    let mut rows = Vec::new();
    let mut wrong = Vec::new();
    let mut changed = BTreeMap::new();
    for operation in Operation::all() {
        let is_granted_here = TOLD_ELSEWHERE.iter().all(|(known, _)| *known != operation.name);
        let mut row = Row::new(&operation.name);
        for member in cast.members(&operation) {
            let mut cells = Vec::new();
            for object in operation.objects() {
                let member = cast.fresh(&server, &operation.name, &member, *object).await;
                let scene = Scene {
                    server: &server,
                    cast: &cast,
                    caller: &member,
                    object: *object,
                };
                let Some(ask) = recipes::ask(&operation.name, &scene).await else {
                    break;
                };
                let answer = send(&server, &operation, &member, ask).await;
                if operation.changes() && answer.status < 300 {
                    changed.insert(request_of(&answer), operation.name.clone());
                }
                cells.push(table::cell(&answer));
            }
            if !cells.is_empty() {
                row.add(member.name, cells);
            }
        }
        if row.is_empty() {
            wrong.push(format!(
                "{}: no recipe; write one in matrix/recipes",
                operation.name
            ));
        } else if is_granted_here && !row.was_granted() {
            wrong.push(format!(
                "{}: granted to nobody, so its refusals prove nothing\n{row}",
                operation.name
            ));
        }
        rows.push(row);
    }
    wrong.extend(without_a_record(&cast, changed).await);
    let found = table::render(&rows);
    if std::env::var_os(ACCEPT_VARIABLE).is_some() && server.engine == Engine::Sqlite {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        table::write(&found);
        return;
    }
    wrong.extend(table::differences(&found));
    assert!(
        wrong.is_empty(),
        "{}\n\n`cargo xtask matrix --accept` writes the table anew, where this is what you wanted.",
        wrong.join("\n")
    );
}

async fn send(server: &Server, operation: &Operation, member: &Member, ask: Ask) -> Answer {
    let credential = ask.credential.as_ref().unwrap_or(&member.credential);
    if let Credential::Key { id, secret, .. } = credential
        && recipes::SIGNED_BY_KEYS.contains(&operation.name.as_str())
    {
        let mut signed = Signed::new(operation.method.clone(), &ask.path, ask.body.as_ref(), id);
        signed
            .headers
            .retain(|(name, _)| ask.once || name != "idempotency-key");
        let key = SigningKey::Shared(shared(secret));
        return signed.by(server, &key, id).send(server).await;
    }
    let client = server.visitor();
    // With it support reads; nobody else is asked for it, and it opens nothing.
    let reason = ("X-Access-Reason", "ticket 1042");
    let mut request = client
        .request(operation.method.clone(), &ask.path)
        .header(reason.0, reason.1);
    request = match credential {
        Credential::None => request,
        Credential::Bearer(token) => request.bearer_auth(token),
        Credential::Key { key, .. } => request.header("X-API-Key", key),
    };
    if ask.once {
        request = request.header("Idempotency-Key", crate::harness::people::new_key());
    }
    if let Some(body) = &ask.body {
        request = request.json(body);
    }
    client.send(request).await
}

fn request_of(answer: &Answer) -> String {
    answer.header("x-request-id").unwrap_or_default().to_owned()
}

/// The changes that the audit log does not know, once it holds everything that happened.
async fn without_a_record(cast: &Cast, mut changed: BTreeMap<String, String>) -> Vec<String> {
    changed.retain(|_, operation| WITHOUT_A_RECORD.iter().all(|(known, _)| known != operation));
    assert!(!changed.is_empty(), "nothing was changed");
    let all = if_at_all(async || {
        let known = records(cast).await;
        changed
            .keys()
            .all(|request| known.contains(request))
            .then_some(known)
    });
    let known = match all.await {
        Some(known) => known,
        None => records(cast).await,
    };
    changed
        .into_iter()
        .filter(|(request, _)| !known.contains(request))
        .map(|(request, operation)| format!("{operation}: {request} left no audit record"))
        .collect()
}

/// The requests that the log has records of.
async fn records(cast: &Cast) -> BTreeSet<String> {
    let (mut all, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("/api/v1/admin/audit/records?limit=100{cursor}");
        let page = cast.auditor.client.get(&path).await.expect(200);
        for record in page.body["data"].as_array().unwrap() {
            all.insert(record["request_id"].as_str().unwrap().to_owned());
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}
