//! What the records of each action say of which rows.

pub(super) mod paid;

use serde_json::Value;
use strongroom_domain::{
    action::Action,
    audit::SignedRecord,
    fraud::RuleSet,
    id::{AccountId, ApiKeyId, ApprovalId, GrantId, UserId},
    limits::{Caps, CustomerLimits, Raise},
    principal::Principal,
    text::{from_hex, hex},
    time::Timestamp,
};
use strongroom_store::audit::{API_KEY_FIXED, APPROVES_FROM, LOGIN, Standing, login_digest, payee_digest};

use super::{Key, Said};
use crate::{
    api_keys::facts_of_key,
    audit::record::STANDS,
    authority::{approvals::fingerprint_of_rule, policies::revision_digest, policy_changes::ACTIVATE},
};

/// The state of a login that was closed for good.
pub(super) const CLOSED: &str = "closed";
/// Said of a technical user by the record of its key, from before such records told of user and role.
pub(super) const OLD_TECHNICAL: &str = "technical";

/// Whether the rows of a table are some person's, by the person's id.
pub(super) const fn is_of_a_person(table: Standing) -> bool {
    matches!(table, Standing::Grants) || table.is_folded()
}

/// Said of a person whose record of having been made tells of what the person logs in with.
pub(super) const TOLD: &str = "told";

/// The state of a request that waits.
const OPEN: &str = "open";
/// What a set of policies changed of the one before: a policy and the number of its text, or a policy that is taken
/// out.
pub(super) const CHANGE: &str = "change";

/// Said of a value of which the newest record tells that it changed, and not to what.
const ANY: &str = "*";

/// What is said of a row, and what is stored: the values of the row, by name, and such as are computed of them.
pub(super) fn stored(table: Standing, facts: &[Option<String>]) -> Vec<(&'static str, Option<String>)> {
    let names = match table {
        table if table.is_folded() => &["contents"],
        Standing::AccountLimits => &["own", "raise"][..],
        table => table.facts(),
    };
    let mut all: Vec<_> = names.iter().copied().zip(facts.iter().cloned()).collect();
    let of = |at: usize| facts.get(at).and_then(Option::as_deref).unwrap_or_default();
    let some = |at: usize| facts.get(at).and_then(Option::as_deref);
    match table {
        Standing::Users => all.push((LOGIN, Some(login_digest(some(3), some(4))))),
        Standing::ApiKeys => {
            let fixed = facts.get(..API_KEY_FIXED).unwrap_or_default();
            all.push(("facts", Some(facts_of_key(fixed))));
        }
        Standing::Revisions => {
            all.push(("content", Some(hex(&revision_digest(of(1), of(2))))));
        }
        Standing::Beneficiaries => {
            let details = some(4)
                .zip(some(5))
                .map(|(target, payee)| payee_digest(target, payee));
            all.push(("details", details));
        }
        Standing::FraudRuleSets => {
            all.push(("content", Some(hex(&RuleSet::digest_of(of(1))))));
        }
        Standing::Approvals => all.push(("rule_digest", Some(fingerprint_of_rule(of(5))))),
        Standing::CustomerLimits => all.extend(limits_of(of(0))),
        _ => {}
    }
    all
}

/// What was set in the row of a customer's limits, as the records of it say it.
fn limits_of(state: &str) -> Vec<(&'static str, Option<String>)> {
    let Some(limits) = from_hex(state).and_then(|bytes| CustomerLimits::from_bytes(&bytes)) else {
        return ["own", "raise", "allowed", "exception"]
            .map(|name| (name, Some("unreadable".to_owned())))
            .to_vec();
    };
    // As they were set: a raise that has come meanwhile still stands beside what it raises.
    let then = Timestamp::default();
    let raise = limits.raise(then);
    let exception = limits.exception(then);
    vec![
        ("own", Some(caps_text(limits.own(then)))),
        ("raise", raise.map(raise_text)),
        ("allowed", Some(caps_text(limits.allowed()))),
        (
            "exception",
            exception.map(|found| format!("{} {}", found.until.micros(), caps_text(found.caps))),
        ),
    ]
}

fn raise_text(raise: Raise) -> String {
    format!("{} {}", raise.at.micros(), caps_text(raise.caps))
}

fn caps_text(caps: Caps) -> String {
    let cap = |cap: Option<i64>| cap.map_or_else(|| "-".to_owned(), |cap| cap.to_string());
    format!(
        "{} {} {}",
        cap(caps.per_transfer),
        cap(caps.daily),
        cap(caps.monthly)
    )
}

fn caps_of(json: &Value) -> String {
    let cap = |name: &str| json.get(name).and_then(text).unwrap_or_else(|| "-".to_owned());
    format!("{} {} {}", cap("per_transfer"), cap("daily"), cap("monthly"))
}

/// Caps with the moment from or until which they count, `name` in the record; nothing where there are none.
fn timed_caps(json: &Value, name: &str) -> Option<String> {
    Some(format!(
        "{} {}",
        json.get(name)?.as_i64()?,
        caps_of(json.get("limits")?)
    ))
}

/// What a value is of which no record says anything, where that is known: rows of limits are made when a customer first
/// pays, and then nobody has set anything.
pub(super) fn unsaid(table: Standing, name: &str) -> Option<Option<&'static str>> {
    match (table, name) {
        (Standing::CustomerLimits, "own" | "allowed") => Some(Some(paid::NO_CAPS)),
        (Standing::CustomerLimits, "raise" | "exception") => Some(None),
        _ => None,
    }
}

/// Whether what a record said of a value is what is stored now. `other` gives another value of the row.
pub(super) fn fits<'a>(
    (table, name): (Standing, &str),
    said: Option<&str>,
    stored: Option<&str>,
    now: Timestamp,
    other: impl Fn(&str) -> Option<&'a str>,
) -> bool {
    if said == stored || said == Some(ANY) {
        return true;
    }
    match (table, name) {
        // Whoever leaves takes all keys along: one record tells of that.
        (Standing::ApiKeys, "revoked") => said.is_none() && other("owner_state") == Some(CLOSED),
        // Who leaves is not found by an address any more: the record of that is about the person.
        (Standing::Users, LOGIN) => other("state") == Some(CLOSED) && other("email_index").is_none(),
        // Who leaves takes along whom they paid.
        (Standing::Beneficiaries, "details") => stored.is_none() && other("owner_state") == Some(CLOSED),
        // What nobody decided in time is closed by a job, which changes nothing and leaves no record.
        (Standing::Approvals, "state") => {
            let end = other("expires_at").and_then(|end| end.parse().ok());
            let is_over = end.is_some_and(|end| Timestamp::from_micros(end) <= now);
            said == Some(OPEN) && stored == Some("expired") && is_over
        }
        (Standing::Approvals, "checker") => said.is_none() && other("state") == Some("expired"),
        _ => false,
    }
}

/// A value as rows tell it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(i64::from(*is).to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Lets a record say what it does.
pub(super) fn tell(record: &SignedRecord, said: &mut Said<'_>) {
    let json = || {
        let text = record.details.json_text()?;
        serde_json::from_str::<Value>(text).ok()
    };
    paid::tell(record, said);
    if let Some(stands) = json().as_ref().and_then(|json| json.get(STANDS)) {
        of_stands(stands, said);
    }
    match record.object_kind.as_str() {
        "merchant" => {
            if let Some(json) = json() {
                paid::of_merchant(record, &json, said);
            }
        }
        "incident_action" => {
            if let Some(json) = json() {
                paid::of_incident(record, &json, said);
            }
        }
        "rail_file" => {
            if let Some(json) = json() {
                paid::of_rail_file(record, &json, said);
            }
        }
        "user" => {
            if let Some(json) = json() {
                of_user(record, &json, said);
            }
        }
        "api_key" => match json() {
            Some(json) => of_api_key(record, &json, said),
            None if record.action == Action::ApiKeyRevoke.name() => {
                said.say(
                    Key::of(Standing::ApiKeys, record.object_id),
                    &[("revoked", Some("1"))],
                );
            }
            None => {}
        },
        "approval" => {
            if let Some(json) = json() {
                of_approval(record, &json, said);
            }
        }
        "policy" => {
            if let Some(json) = json() {
                of_policy(record, &json, said);
            }
        }
        "fraud_rules" => {
            if let Some(json) = json() {
                of_fraud_rules(record, &json, said);
            }
        }
        "key" => {
            if let Some(json) = json() {
                of_key_rotation(record, &json, said);
            }
        }
        "beneficiary" => of_beneficiary(record, json().as_ref(), said),
        "account" => {
            if let Some(json) = json() {
                of_limits(record, &json, said);
            }
        }
        _ => {}
    }
    if let Some(approval) = record.details.approval() {
        decided(record, *approval.as_bytes(), "approved", said);
    }
}

/// How what changed of people stands now.
fn of_stands(stands: &Value, said: &mut Said<'_>) {
    for (person, values) in stands.as_object().into_iter().flatten() {
        let (Ok(person), Some(values)) = (UserId::parse(person), values.as_object()) else {
            continue;
        };
        let user = Key::of(Standing::Users, *person.as_bytes());
        for (name, value) in values {
            let value = value.as_str();
            match name.as_str() {
                LOGIN => said.say(user.clone(), &[(LOGIN, value)]),
                APPROVES_FROM => said.say(user.clone(), &[(APPROVES_FROM, value)]),
                _ => {
                    let mut tables = Standing::CREDENTIALS.into_iter();
                    let Some(table) = tables.find(|table| table.table() == name) else {
                        continue;
                    };
                    let key = Key::of(table, *person.as_bytes());
                    match value {
                        Some(_) => said.is_there(key, &[("contents", value)]),
                        None => said.is_gone(key),
                    }
                }
            }
        }
        // Both are told of whoever is made, and never together afterwards.
        if values.contains_key(LOGIN) && values.contains_key(APPROVES_FROM) {
            said.say(user, &[(TOLD, Some("1"))]);
        }
    }
}

/// A request was closed by the principal of a record.
fn decided(record: &SignedRecord, approval: [u8; 16], state: &str, said: &mut Said<'_>) {
    let checker = hex(&record.principal_id);
    said.say(
        Key::of(Standing::Approvals, approval),
        &[("state", Some(state)), ("checker", Some(&checker))],
    );
}

fn of_approval(record: &SignedRecord, json: &Value, said: &mut Said<'_>) {
    let word = |name: &str| json.get(name).and_then(Value::as_str);
    if let Some(state) = word("state") {
        return decided(record, record.object_id, state, said);
    }
    let key = Key::of(Standing::Approvals, record.object_id);
    let (kind, maker) = (record.principal_kind.to_string(), hex(&record.principal_id));
    said.is_there(
        key.clone(),
        &[("maker_kind", Some(&kind)), ("maker", Some(&maker))],
    );
    let Some(request) = json.get("request") else {
        // From before records told of the whole request, and not every decision left one either.
        return said.say(key, &[("state", Some(ANY)), ("checker", Some(ANY))]);
    };
    let person = request.get("person").and_then(Value::as_str);
    let person = person.and_then(|person| UserId::parse(person).ok());
    let fact = |name: &str| request.get(name).and_then(text);
    said.say(
        key,
        &[
            ("action", fact("action").as_deref()),
            ("digest", fact("digest").as_deref()),
            ("expires_at", fact("expires_at").as_deref()),
            ("person", person.map(|person| hex(person.as_bytes())).as_deref()),
            ("rule_digest", fact("rule").as_deref()),
            ("state", Some(OPEN)),
            ("checker", None),
        ],
    );
}

fn of_policy(record: &SignedRecord, json: &Value, said: &mut Said<'_>) {
    let key = Key::of(Standing::Policies, record.object_id);
    let revision = json.get("revision").and_then(Value::as_i64);
    if let Some(version) = json.get("set").and_then(Value::as_i64) {
        let policy = hex(&record.object_id);
        let is_activated = json.get("change").and_then(Value::as_str) == Some(ACTIVATE);
        let change = match revision.filter(|_| is_activated) {
            Some(number) => format!("{policy} {number}"),
            None => policy,
        };
        let set = Key::numbered(Standing::PolicySets, version);
        said.is_there(set, &[(CHANGE, Some(&change))]);
    } else if json.get("deleted").is_some() {
        said.say(key, &[("deleted", Some("1"))]);
    } else if let (Some(number), Some(digest)) = (revision, json.get("digest").and_then(Value::as_str)) {
        if number == 1 {
            said.is_there(key, &[("deleted", None)]);
            if let Some(name) = json.get("name").and_then(Value::as_str) {
                let key = Key::of(Standing::Policies, record.object_id);
                said.say(key, &[("name", Some(name))]);
            }
        }
        let text = Key::of(Standing::Revisions, record.object_id).and(&number.to_string());
        said.is_there(text, &[("digest", Some(digest)), ("content", Some(digest))]);
    }
}

fn of_fraud_rules(record: &SignedRecord, json: &Value, said: &mut Said<'_>) {
    let Some(revision) = json.get("revision").and_then(Value::as_i64) else {
        return;
    };
    let digest = json.get("digest").and_then(Value::as_str);
    let approval = json.get("approval").and_then(Value::as_str);
    let approval = approval.and_then(|approval| ApprovalId::parse(approval).ok());
    let checker = hex(&record.principal_id);
    said.is_there(
        Key::numbered(Standing::FraudRuleSets, revision),
        &[
            ("digest", digest),
            ("content", digest),
            ("approval", approval.map(|id| hex(id.as_bytes())).as_deref()),
            ("checker", Some(&checker)),
        ],
    );
}

fn of_key_rotation(record: &SignedRecord, json: &Value, said: &mut Said<'_>) {
    let kid = json.get("kid").and_then(Value::as_i64);
    let from = json.get("active_from").and_then(Value::as_str);
    let from = from.and_then(|from| Timestamp::parse(from).ok());
    if let (true, Some(kid), Some(from)) = (record.action == Action::KeyManage.name(), kid, from) {
        // The text of a moment has microseconds, as the row has.
        let from = from.micros().to_string();
        said.is_there(
            Key::numbered(Standing::KeyRotations, kid),
            &[("active_from", Some(&from))],
        );
    }
}

fn of_beneficiary(record: &SignedRecord, json: Option<&Value>, said: &mut Said<'_>) {
    let key = Key::of(Standing::Beneficiaries, record.object_id);
    if record.action == Action::BeneficiaryRemove.name() {
        return said.say(key, &[("removed", Some("1"))]);
    }
    let Some(json) = json.filter(|_| record.action == Action::BeneficiaryAdd.name()) else {
        return;
    };
    let account = json.get("account").and_then(Value::as_str);
    let account = account.and_then(|account| AccountId::parse(account).ok());
    said.is_there(
        key.clone(),
        &[
            ("account", account.map(|id| hex(id.as_bytes())).as_deref()),
            ("currency", json.get("currency").and_then(Value::as_str)),
            ("removed", None),
        ],
    );
    if let Some(details) = json.get("details").and_then(Value::as_str) {
        said.say(key.clone(), &[("details", Some(details))]);
    }
    let owner = UserId::from_bytes(record.principal_id);
    if record.principal_kind == Principal::User(owner).tag() {
        said.say(key, &[("owner", Some(&hex(&record.principal_id)))]);
    }
}

/// What a customer or the bank set of a customer's limits. Records of earlier versions do not name the customer.
fn of_limits(record: &SignedRecord, json: &Value, said: &mut Said<'_>) {
    let word = |name: &str| json.get(name).and_then(Value::as_str);
    let approval = word("approval").and_then(|approval| ApprovalId::parse(approval).ok());
    if let Some(approval) = approval {
        decided(record, *approval.as_bytes(), "approved", said);
    }
    let customer = word("customer").and_then(|customer| UserId::parse(customer).ok());
    let (Some(customer), Some(currency)) = (customer, word("currency")) else {
        let of_account = json.get("of").is_some();
        let table = if of_account {
            Standing::AccountLimits
        } else {
            Standing::CustomerLimits
        };
        if ["limits", "allowed", "exception"]
            .iter()
            .any(|name| json.get(name).is_some())
        {
            said.all.earlier.insert(table);
        }
        return;
    };
    if json.get("of").is_some() {
        return paid::of_account_limits(record, json, (customer, currency), said);
    }
    let key = Key::of(Standing::CustomerLimits, *customer.as_bytes()).and(currency);
    if let Some(exception) = json.get("exception") {
        let exception = timed_caps(exception, "until");
        return said.is_there(key, &[("exception", exception.as_deref())]);
    }
    if let Some(allowed) = json.get("allowed") {
        return said.is_there(key, &[("allowed", Some(&caps_of(allowed)))]);
    }
    if let Some(own) = json.get("limits") {
        let raise = json.get("raise").and_then(|raise| timed_caps(raise, "at"));
        said.is_there(key, &[("own", Some(&caps_of(own))), ("raise", raise.as_deref())]);
    }
}

fn of_user(record: &SignedRecord, json: &Value, said: &mut Said<'_>) {
    let id = record.object_id;
    let user = Key::of(Standing::Users, id);
    let is = |action: Action| record.action == action.name();
    let word = |name: &str| json.get(name).and_then(Value::as_str);
    if is(Action::UserCreate) || is(Action::UserRegister) {
        if let Some(role) = word("role") {
            new_person(id, role, said);
        }
    } else if is(Action::GrantCreate) {
        if let Some(role) = word("role") {
            let grant = word("grant").and_then(|grant| GrantId::parse(grant).ok());
            let grant = grant.map(|grant| hex(grant.as_bytes()));
            let key = Key::of(Standing::Grants, id).and(role);
            said.is_there(
                key.clone(),
                &[("grant", grant.as_deref()), ("department", word("department"))],
            );
            // Records of earlier versions do not tell of an end, nor that there is none.
            let end = json.get("expires_at").map_or_else(|| Some(ANY.to_owned()), text);
            said.say(key, &[("expires_at", end.as_deref())]);
        }
    } else if is(Action::GrantRevoke) {
        if let Some(role) = word("role") {
            said.is_gone(Key::of(Standing::Grants, id).and(role));
        }
    } else if is(Action::UserLock) || is(Action::UserClose) {
        if let Some(state) = word("state") {
            said.say(user, &[("state", Some(state))]);
        }
    } else if is(Action::UserPlace)
        && let Some(department) = json.get("department")
    {
        said.say(user, &[("department", text(department).as_deref())]);
    }
}

/// Somebody who was made with one role, everywhere and for good.
fn new_person(id: [u8; 16], role: &str, said: &mut Said<'_>) {
    said.is_there(
        Key::of(Standing::Users, id),
        &[("state", Some("active")), ("department", None)],
    );
    said.is_there(
        Key::of(Standing::Grants, id).and(role),
        &[("expires_at", None), ("department", None)],
    );
}

fn of_api_key(record: &SignedRecord, json: &Value, said: &mut Said<'_>) {
    let word = |name: &str| json.get(name).and_then(Value::as_str);
    let key = Key::of(Standing::ApiKeys, record.object_id);
    said.is_there(key.clone(), &[("replaced_by", None), ("revoked", None)]);
    for name in ["facts", "expires_at"] {
        if let Some(value) = json.get(name) {
            said.say(key.clone(), &[(name, text(value).as_deref())]);
        }
    }
    if let Some(old) = word("replaces").and_then(|old| ApiKeyId::parse(old).ok()) {
        let (old, new) = (
            Key::of(Standing::ApiKeys, *old.as_bytes()),
            hex(&record.object_id),
        );
        said.say(old.clone(), &[("replaced_by", Some(&new))]);
        match json.get("until") {
            Some(until) => said.say(old, &[("expires_at", text(until).as_deref())]),
            // The record is from before it told of the end: nothing is known of it any more.
            None => said.say(old, &[("expires_at", Some(ANY))]),
        }
    }
    let Some(owner) = word("owner").and_then(|owner| UserId::parse(owner).ok()) else {
        return;
    };
    let id = *owner.as_bytes();
    if let Some(role) = word("role") {
        new_person(id, role, said);
    } else if json.get("facts").is_none() {
        said.say(Key::of(Standing::Users, id), &[(OLD_TECHNICAL, Some("1"))]);
    }
}
