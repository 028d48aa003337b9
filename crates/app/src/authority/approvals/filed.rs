//! Filing a request, and carrying out in the books what somebody else approved.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use strongroom_crypto::data_key;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object, facts_digest},
    id::ApprovalId,
    ledger::{Answer, Command, Consent, Done, Idempotency, KeyBounds, Refusal, Verb},
    text::hex,
};
use strongroom_store::{
    Scope,
    identity::{ApprovalRow, NewApproval},
};

use super::{Checked, Decision, Rule, place, rule::bound};
use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::{Bank, STALE_ATTEMPTS_MAX},
    cx::Cx,
    error::Error,
    money::{accounts::refused, idempotency::Fields},
};

/// What is carried out has no fields of its own: it comes from the request.
const APPROVED_FIELDS: Fields = Fields(&[""]);

/// A request about to be filed.
pub(crate) struct NewRequest<'a> {
    /// What would be done.
    pub(crate) action: Action,
    /// What exactly, as JSON: the checker sees it.
    pub(crate) text: &'a [u8],
    /// What the log says of it.
    pub(crate) details: Details,
    /// Above how many whole units it takes two, where that is what makes it.
    pub(crate) over: Option<i64>,
    /// The client's key, where the request may be repeated.
    pub(crate) key: Option<Idempotency>,
}

/// What the books are asked for on somebody's behalf.
pub(crate) struct Carried {
    /// What the checker is allowed.
    pub(crate) action: Action,
    /// About what.
    pub(crate) resource: Resource,
    /// The key that it was asked with.
    pub(crate) key: Option<Idempotency>,
    /// The caveats of the key that asked, for an integration.
    pub(crate) bounds: Option<Arc<KeyBounds>>,
}

impl Carried {
    /// Asked for by a person, without a key.
    pub(crate) const fn plain(action: Action, resource: Resource) -> Self {
        Self {
            action,
            resource,
            key: None,
            bounds: None,
        }
    }
}

/// What comes of a request under a client's key.
pub(crate) enum Filed {
    /// It is new, or was filed before with the same words.
    As(ApprovalId),
    /// The key was used before for another request: at which field it differs.
    KeyReused(usize),
}

impl Bank {
    /// Files a request; somebody else decides.
    pub(crate) async fn request_approval(
        &self,
        cx: &Cx,
        action: Action,
        text: &[u8],
        details: Details,
    ) -> Result<ApprovalId, Error> {
        let permit = authorize(cx, Action::ApprovalRequest, Resource::Bank)?;
        self.file_request(cx, &permit, action, text, details).await
    }

    /// Files a request of somebody who may ask for this.
    pub(crate) async fn file_request(
        &self,
        cx: &Cx,
        permit: &Permit,
        action: Action,
        text: &[u8],
        details: Details,
    ) -> Result<ApprovalId, Error> {
        let new = NewRequest {
            action,
            text,
            details,
            over: None,
            key: None,
        };
        match self.file_once(cx, permit, new).await? {
            Filed::As(id) => Ok(id),
            Filed::KeyReused(_) => Err(Error::broken("a request without a key that was used before")),
        }
    }

    /// Files a request once, however often it is sent under its key.
    pub(crate) async fn file_once(
        &self,
        cx: &Cx,
        permit: &Permit,
        new: NewRequest<'_>,
    ) -> Result<Filed, Error> {
        if let Some(known) = self.filed_before(new.key.as_ref()).await? {
            return Ok(known);
        }
        let id: ApprovalId = cx.new_id();
        let rule = Rule::of(new.action.name(), new.over);
        let rule_text = rule.text()?;
        let salt = data_key::new_salt();
        let mut plain = salt.to_vec();
        plain.extend_from_slice(new.text);
        let approval = NewApproval {
            id,
            action: new.action.name(),
            maker_kind: cx.caller.principal.tag(),
            maker: cx.caller.principal.id_bytes(),
            person: cx.caller.principal.owner(),
            sealed: self.ring().seal(place(&id), &plain),
            digest: data_key::commitment(salt, &bound(new.text, &rule_text)),
            rule: rule_text,
            key: new.key,
            created_at: cx.now(),
            expires_at: cx.now().plus_seconds(rule.valid_secs),
        };
        let mut tx = self.store.write(Scope::Operator).await?;
        if !tx.insert_approval(&approval).await? {
            drop(tx);
            let known = self.filed_before(approval.key.as_ref()).await?;
            return known.ok_or_else(Error::overloaded);
        }
        let entry = Entry {
            object: Object::Other("approval", *id.as_bytes()),
            outcome: "ok",
            details: told(new.details, &approval)?,
        };
        self.recorder.append(&mut tx, cx, permit, entry).await?;
        tx.commit().await?;
        Ok(Filed::As(id))
    }

    async fn filed_before(&self, key: Option<&Idempotency>) -> Result<Option<Filed>, Error> {
        let Some(key) = key else { return Ok(None) };
        let known = self.store.approval_by_key(&key.tag).await?;
        Ok(known.map(|row| compared(&row, key)))
    }

    /// Has the books do what somebody asked for and the caller approves. They close the request in the same commit; a
    /// refused one stays open.
    pub(crate) async fn submit_approved(
        &self,
        cx: &Cx,
        checked: &Checked,
        decision: &Decision,
        what: Carried,
        verb: impl Fn(Consent) -> Verb,
    ) -> Result<Done, Error> {
        let consent = Consent {
            approval: checked.row.id,
            digest: checked.row.digest,
            checker: checked.me,
            sealed_reason: self.seal_reason(checked.row.id, decision),
        };
        let mut current = cx.clone();
        for _ in 0..STALE_ATTEMPTS_MAX {
            // Rights that change from here on move the epoch, and the books refuse the permit.
            let permit = authorize(&current, what.action, what.resource)?;
            self.require_both(&current, checked, decision).await?;
            let command = Command {
                authority: permit.authority(),
                request: current.request,
                idempotency: what.key.clone(),
                dry_run: false,
                step_up: None,
                bounds: what.bounds.clone(),
                nonce: None,
                verb: verb(consent.clone()),
            };
            match self.decide_and_tell(&current, command).await? {
                Answer::Stale => current = self.renew(&current).await?,
                Answer::Done(done) => return Ok(*done),
                // What the key stands for was done without this request: it is not done again.
                Answer::Replayed { .. } | Answer::KeyReused { .. } => {
                    return Err(Refusal::ApprovalStale.into());
                }
                other => return Err(refused(other, &APPROVED_FIELDS)),
            }
        }
        Err(Error::overloaded())
    }
}

/// What the log says of a request: its own words, and what the row is compared with.
fn told(details: Details, row: &NewApproval) -> Result<Details, Error> {
    let mut words: Map<String, Value> = match details.json_text() {
        Some(text) => serde_json::from_str(text).map_err(Error::internal)?,
        None => Map::new(),
    };
    let request = json!({
        "action": row.action,
        "digest": hex(&row.digest),
        "expires_at": row.expires_at.micros(),
        "person": row.person.map(|person| person.to_string()),
        "rule": fingerprint_of_rule(&row.rule),
    });
    words.insert("request".to_owned(), request);
    Ok(Details::json(&Value::Object(words).to_string()))
}

/// Digest of a rule as the record of a request binds it.
pub(crate) fn fingerprint_of_rule(rule: &str) -> String {
    hex(&facts_digest("rule", &[Some(rule.to_owned())]))
}

fn compared(row: &ApprovalRow, key: &Idempotency) -> Filed {
    let before = row.key.as_ref();
    match before.map(|before| before.fingerprint.first_difference(&key.fingerprint)) {
        Some(None) => Filed::As(row.id),
        Some(Some(field)) => Filed::KeyReused(field),
        None => Filed::KeyReused(0),
    }
}
