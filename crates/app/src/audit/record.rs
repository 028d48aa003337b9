//! Audit records: signed by the node, in the same transaction as what they tell of.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use strongroom_domain::{
    audit::{Details, Object, Record, SignedRecord},
    ledger::Signer,
};
use strongroom_store::{RecordSlot, WriteTx, audit::Told};

use crate::{
    authority::authorize::Permit,
    cx::Cx,
    error::Error,
    keys::LiveRing,
    security::{stream::Security, told},
};

/// Signs what the books write, with the audit key that is active at the time.
impl Signer for LiveRing {
    fn sign(&self, canonical: &[u8]) -> (i64, [u8; 32]) {
        let key = self.now().audit_mac();
        (i64::from(key.kid()), key.sign(canonical))
    }
}

/// What a change of the control plane leaves in the log.
#[derive(Debug)]
pub struct Entry {
    /// To what it was done.
    pub object: Object,
    /// `ok` or the code of the refusal.
    pub outcome: &'static str,
    /// Ids and commitments only, never personal data.
    pub details: Details,
}

/// Writes the records of the control plane.
#[derive(Debug, Clone)]
pub struct RecordSigner {
    ring: LiveRing,
    /// Who is told of events that follow from records, once these are committed.
    security: Arc<Security>,
}

impl RecordSigner {
    /// Signs with the audit key that is active in this ring at the time, and tells of what is committed.
    pub(crate) const fn new(ring: LiveRing, security: Arc<Security>) -> Self {
        Self { ring, security }
    }

    /// The key's number and what it makes of these bytes.
    pub(crate) fn sign(&self, canonical: &[u8]) -> (i64, [u8; 32]) {
        self.ring.sign(canonical)
    }

    /// Writes the record of an allowed change into its transaction.
    ///
    /// # Errors
    /// When the record cannot be written: then the change must not be committed.
    pub async fn append(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        permit: &Permit,
        entry: Entry,
    ) -> Result<(), Error> {
        let slot = tx.next_record().await?;
        let authority = permit.authority();
        let details = with_told(entry.details, &tx.take_told())?;
        if let Some(event) = told::of_record(cx, authority.action, entry.object, entry.outcome, &details) {
            let security = self.security.clone();
            tx.after_commit(move || security.note(&event.line()));
        }
        let record = self.signed(slot, cx, permit, Entry { details, ..entry });
        tx.append_record(&record).await?;
        Ok(())
    }

    /// The record itself, signed, of what changes nobody's standing and no event follows from.
    pub(crate) fn signed(&self, slot: RecordSlot, cx: &Cx, permit: &Permit, entry: Entry) -> SignedRecord {
        let authority = permit.authority();
        let record = Record {
            id: slot.id,
            at: cx.now().max(slot.not_before),
            request: cx.request,
            caller: authority.caller,
            action: authority.action.name(),
            object: entry.object,
            outcome: entry.outcome,
            policy: authority.policy,
            details: entry.details,
        };
        let (key, mac) = self.sign(&record.canonical());
        SignedRecord::new(record, key, mac)
    }
}

/// The name under which a record tells how what changed of people stands now.
pub(crate) const STANDS: &str = "stands";

/// Details that tell besides what changed of people: `{"stands": {user: {name: value or null}}}`, a digest of their
/// credentials of each kind that changed, never one itself.
fn with_told(details: Details, told: &[Told]) -> Result<Details, Error> {
    if told.is_empty() {
        return Ok(details);
    }
    let mut words: Map<String, Value> = match details.json_text() {
        Some(text) => serde_json::from_str(text).map_err(Error::internal)?,
        None if details == Details::none() => Map::new(),
        None => return Err(Error::broken("a change of a person in a record of the books")),
    };
    let mut stands: Map<String, Value> = Map::new();
    for told in told {
        let person = stands.entry(told.person.to_string()).or_insert_with(|| json!({}));
        if let Some(person) = person.as_object_mut() {
            person.insert(told.name.to_owned(), json!(told.value));
        }
    }
    words.insert(STANDS.to_owned(), Value::Object(stands));
    Ok(Details::json(&Value::Object(words).to_string()))
}
