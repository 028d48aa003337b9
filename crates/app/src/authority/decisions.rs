//! What was decided, kept: read, decided again, and asked what a draft would change.
//!
//! A decision is kept with the number of the set that decided and its facts. Facts that many decisions share are kept
//! once, sealed under the ring, and found by a keyed digest; where a request came from is sealed under the person's own
//! key. Each row carries an authentication code by the node's key, and each portion that is written a record in the log
//! with the root over its rows, in the same commit.

use std::{collections::BTreeSet, sync::Arc};

use strongroom_crypto::Place;
use strongroom_domain::{
    action::Action,
    audit::{CompactRange, Details, Hash, Object, leaf_hash},
    id::{DecisionId, UserId},
    principal::{Assurance, Principal},
    text::hex,
    time::Timestamp,
};
use strongroom_store::Scope;
pub use strongroom_store::identity::DecisionRow;
use strongroom_store::identity::SWEEP_ROWS_MAX;

use crate::{
    audit::record::Entry,
    authority::{
        authorize::{Resource, authorize, is_allowed},
        decision_log::{Noted, PORTION_MAX},
        policies::{Draft, labelled},
        policy::{
            Asker, BUILT_IN_VERSION, Circumstances, Explanation, InForce, Kind, Policies, Question, Thing,
            built_in,
        },
    },
    bank::Bank,
    cx::{Cx, first_id_at},
    error::Error,
};

/// Most decisions that one page examines: a filter that hits seldom gets short pages and a cursor.
const EXAMINED_MAX: u32 = 1_000;
/// The newest decisions that a draft is compared on.
const COMPARED_MAX: u32 = 2_000;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
/// Most portions that one run forgets.
const SWEEP_PORTIONS_MAX: usize = 20;
/// First bytes of what an authentication code is over.
const CODE_DOMAIN: &[u8] = b"strongroom.decision.v1";

/// Which decisions a reader wants; absent fields want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// By whom it was asked for.
    pub principal: Option<[u8; 16]>,
    /// What was asked for.
    pub action: Option<String>,
    /// What was decided.
    pub allowed: Option<bool>,
}

/// A page of decisions, newest first.
#[derive(Debug, Clone)]
pub struct DecisionPage {
    /// The decisions, with the reasons that operators gave.
    pub decisions: Vec<(DecisionRow, Option<String>)>,
    /// Where the next page begins; `None` at the beginning of all.
    pub next: Option<DecisionId>,
}

/// A decision taken again.
#[derive(Debug, Clone)]
pub struct Again {
    /// As it was recorded.
    pub decision: DecisionRow,
    /// Why an operator said that it had to be.
    pub reason: Option<String>,
    /// What the same set decides about the same facts.
    pub allowed: bool,
    /// Policies and facts.
    pub explanation: Explanation,
    /// Whether where the request came from is still known.
    pub is_complete: bool,
}

/// A decision that a draft would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// Which.
    pub decision: DecisionId,
    /// What the policies in force decide about it.
    pub before: bool,
    /// What they would decide with the draft.
    pub after: bool,
}

/// What a draft would change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// How many recorded decisions were looked at: the newest.
    pub examined: usize,
    /// Those that would come out in another way.
    pub changed: Vec<Changed>,
}

fn inputs_place(digest: &[u8; 16]) -> Place<'_> {
    Place {
        table: "decision_inputs",
        column: "sealed",
        row: digest,
    }
}

const fn address_place(decision: &DecisionId) -> Place<'_> {
    Place {
        table: "decisions",
        column: "sealed_address",
        row: decision.as_bytes(),
    }
}

const fn reason_place(decision: &DecisionId) -> Place<'_> {
    Place {
        table: "decisions",
        column: "sealed_reason",
        row: decision.as_bytes(),
    }
}

const fn kind_of(principal: Principal) -> Kind {
    match principal {
        Principal::ApiKey { .. } => Kind::ApiKey,
        Principal::Job => Kind::Job,
        Principal::Cli(_) => Kind::Cli,
        Principal::User(_) | Principal::Anonymous => Kind::User,
    }
}

/// The facts of a decision as a question, without when and where from.
fn question_of(noted: &Noted) -> Question {
    let me = noted.person();
    let owner = match noted.resource {
        Resource::Bank => "bank",
        Resource::OwnedBy(owner) if me == Some(owner) => "own",
        Resource::OwnedBy(_) => "anothers",
    };
    Question {
        principal: Asker {
            kind: kind_of(noted.caller.principal).name().to_owned(),
            roles: noted.roles.iter().map(|role| role.name().to_owned()).collect(),
            scopes: noted.rights.scopes.clone(),
        },
        action: noted.action.name().to_owned(),
        resource: Thing {
            owner: owner.to_owned(),
        },
        context: Circumstances {
            assurance: match noted.assurance {
                Assurance::None => 0,
                Assurance::Aal1 => 1,
                Assurance::Aal2 => 2,
            },
            reason: noted.reason.is_some(),
            origin: Some(noted.caller.origin.name().to_owned()),
            department: noted.rights.department.map(|department| department.to_string()),
            resource_department: noted.resource_department.map(|department| department.to_string()),
            amount: noted.money.map(|(amount, _)| amount.minor()),
            currency: noted.money.map(|(_, currency)| currency.code().to_owned()),
            account_state: noted.account_state.map(str::to_owned),
            ..Circumstances::default()
        },
    }
}

/// The year of a moment, UTC.
fn year_of(at: Timestamp) -> i64 {
    jiff::Timestamp::from_microsecond(at.micros())
        .map(|at| i64::from(at.to_zoned(jiff::tz::TimeZone::UTC).year()))
        .unwrap_or_default()
}

/// What the authentication code is over.
fn code_of(row: &DecisionRow) -> Vec<u8> {
    let mut bytes = CODE_DOMAIN.to_vec();
    bytes.extend_from_slice(row.id.as_bytes());
    bytes.extend_from_slice(&row.at.micros().to_be_bytes());
    bytes.extend_from_slice(row.request.as_bytes());
    bytes.push(row.principal_kind);
    bytes.extend_from_slice(&row.principal_id);
    bytes.push(u8::from(row.allowed));
    bytes.extend_from_slice(&row.version.to_be_bytes());
    bytes.extend_from_slice(&row.inputs);
    bytes.extend_from_slice(row.action.as_bytes());
    // What came later is marked, so that a code from before stays what it is. Sealed bytes are random: the code is over
    // these and no others.
    for (mark, part) in [
        (1, row.owner.as_ref().map(|owner| owner.as_bytes().as_slice())),
        (2, row.sealed_reason.as_deref()),
    ] {
        if let Some(part) = part {
            bytes.push(0);
            bytes.push(mark);
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

/// The leaf of a decision in the tree over its portion: all of the row but the shared facts, whose digest is in it.
fn leaf_of(row: &DecisionRow) -> Hash {
    let mut bytes = code_of(row);
    bytes.push(0);
    bytes.extend_from_slice(row.sealed_address.as_deref().unwrap_or_default());
    bytes.extend_from_slice(&row.mac_key.to_be_bytes());
    bytes.extend_from_slice(&row.mac);
    leaf_hash(&bytes)
}

/// The root over decisions in the order of their ids (RFC 9162, section 2.1.1).
pub(crate) fn root_of_decisions(rows: &[DecisionRow]) -> Hash {
    let mut range = CompactRange::default();
    for row in rows {
        range.append(leaf_of(row), |_| ());
    }
    range.root()
}

/// What the log says of a portion of decisions, which are put in their order; `None` of nothing.
fn bound(rows: &mut Vec<DecisionRow>) -> Option<Entry> {
    // Asked for twice in one request it is one decision: the first is there.
    rows.sort_by_key(|row| row.id);
    rows.dedup_by_key(|row| row.id);
    let (first, last) = (rows.first()?.id, rows.last()?.id);
    let (count, root) = (rows.len(), hex(&root_of_decisions(rows)));
    Some(Entry {
        object: Object::Other("decision", *first.as_bytes()),
        outcome: "ok",
        details: Details::json(&format!(
            r#"{{"count":{count},"first":"{first}","last":"{last}","root":"{root}"}}"#
        )),
    })
}

impl Bank {
    /// From now on decisions are kept. A server does this; a verb of the command line, which takes few, does not.
    pub fn record_decisions(&self) {
        self.policies.note_in(self.decisions.clone());
    }

    /// Writes decisions that wait, a portion a commit, and says how many. A job calls it; the end of the process once
    /// more.
    ///
    /// # Errors
    /// When the database does not answer; they go on waiting.
    pub async fn write_decisions(&self) -> Result<usize, Error> {
        let portion = self.decisions.first(PORTION_MAX);
        let mut rows = Vec::with_capacity(portion.len());
        for noted in &portion {
            rows.push(self.decision_row(noted).await?);
        }
        if !rows.is_empty() {
            let cx = self.cx_job().await?;
            let permit = authorize(&cx, Action::DecisionRecord, Resource::Bank)?;
            let mut tx = self.store.write(Scope::System).await?;
            let slot = tx.next_record().await?;
            let new: BTreeSet<_> = tx.insert_decisions(&rows, slot.id).await?.into_iter().collect();
            // What an earlier try has written is bound to the record of that try.
            rows.retain(|row| new.contains(&row.id));
            if let Some(entry) = bound(&mut rows) {
                self.recorder
                    .append_at(&mut tx, slot, &cx, &permit, entry)
                    .await?;
            }
            tx.commit().await?;
            self.decisions.written(portion.len());
            self.watch_readers(&portion).await?;
        }
        Ok(portion.len())
    }

    async fn decision_row(&self, noted: &Noted) -> Result<DecisionRow, Error> {
        let question = serde_json::to_vec(&question_of(noted)).map_err(Error::internal)?;
        // Facts of another year are others: they are forgotten with their year.
        let period = year_of(noted.at);
        let named = [&period.to_be_bytes(), question.as_slice()].concat();
        let inputs = self.ring().blind_index("decision_inputs.digest", &named);
        let id = self.decision_id(noted, &inputs);
        let (mut sealed_address, mut sealed_reason) = (None, None);
        if let Some(person) = noted.person()
            && (noted.address.is_some() || noted.reason.is_some())
            && let Some(key) = self.people.key(person).await?
        {
            sealed_address = noted.address.map(|address| {
                let text = address.to_canonical().to_string();
                key.seal(address_place(&id), text.as_bytes())
            });
            let reason = noted.reason.as_ref();
            sealed_reason = reason.map(|text| key.seal(reason_place(&id), text.as_bytes()));
        }
        let mut row = DecisionRow {
            id,
            at: noted.at,
            request: noted.request,
            principal_kind: noted.caller.principal.tag(),
            principal_id: noted.caller.principal.id_bytes(),
            action: noted.action.name().to_owned(),
            allowed: noted.allowed,
            version: i64::from(noted.version),
            inputs,
            period,
            sealed_inputs: self.ring().seal(inputs_place(&inputs), &question),
            owner: noted.owner(),
            person: noted
                .person()
                .filter(|_| sealed_address.is_some() || sealed_reason.is_some()),
            sealed_address,
            sealed_reason,
            mac_key: 0,
            mac: [0; 32],
        };
        (row.mac_key, row.mac) = self.recorder.sign(&code_of(&row));
        Ok(row)
    }

    /// Forgets decisions that are older than the bank keeps them, in portions.
    pub(crate) async fn sweep_decisions(&self) -> Result<(), Error> {
        let kept = i64::from(self.identity.settings.decisions_kept_days) * SECONDS_PER_DAY;
        let upto = self.clock.now().plus_seconds(-kept);
        for _ in 0..SWEEP_PORTIONS_MAX {
            let tx = self.store.write(Scope::System).await?;
            let forgotten = tx.forget_decisions(first_id_at(upto), year_of(upto)).await?;
            tx.commit().await?;
            if forgotten < SWEEP_ROWS_MAX.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }

    /// The same decision of the same request has one id, however often it was asked for; ids are ordered by time.
    fn decision_id(&self, noted: &Noted, inputs: &[u8; 16]) -> DecisionId {
        let owner = match noted.resource {
            Resource::OwnedBy(owner) => *owner.as_bytes(),
            Resource::Bank => [0; 16],
        };
        let name = [
            noted.request.as_bytes().as_slice(),
            inputs,
            &owner,
            &[u8::from(noted.allowed)],
            &noted.version.to_be_bytes(),
        ]
        .concat();
        let digest = u128::from_be_bytes(self.ring().blind_index("decisions.id", &name));
        let millis = u128::from(noted.at.micros().unsigned_abs() / 1_000);
        // RFC 9562, section 5.7: 48 bits of time, the version, the variant, and bits that tell apart.
        let bits = (millis << 80) | (digest & ((1 << 80) - 1));
        let bits = (bits & !(0xf << 76)) | (7 << 76);
        let bits = (bits & !(0b11 << 62)) | (0b10 << 62);
        DecisionId::from_bytes(bits.to_be_bytes())
    }

    /// Decisions below an id, newest first.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn decisions(
        &self,
        cx: &Cx,
        filter: &DecisionFilter,
        before: Option<DecisionId>,
        limit: u32,
    ) -> Result<DecisionPage, Error> {
        authorize(cx, Action::AuditRead, Resource::Bank)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let examined = self
            .store
            .decisions(filter.principal, before, EXAMINED_MAX)
            .await?;
        let is_end = examined.len() < usize::try_from(EXAMINED_MAX).unwrap_or(usize::MAX);
        let mut page = DecisionPage {
            decisions: Vec::new(),
            next: None,
        };
        for row in examined {
            if page.decisions.len() >= limit {
                return Ok(page);
            }
            page.next = Some(row.id);
            let wanted = filter.action.as_ref().is_none_or(|action| *action == row.action)
                && filter.allowed.is_none_or(|allowed| allowed == row.allowed);
            if wanted {
                let reason = self.recorded_reason(&row).await?;
                page.decisions.push((row, reason));
            }
        }
        if is_end {
            page.next = None;
        }
        Ok(page)
    }

    /// Takes a recorded decision again: the same facts under the set that decided then.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn decide_again(&self, cx: &Cx, decision: DecisionId) -> Result<Again, Error> {
        authorize(cx, Action::AuditRead, Resource::Bank)?;
        let row = self
            .store
            .decision(decision)
            .await?
            .ok_or_else(Error::not_found)?;
        let (question, is_complete) = self.recorded_question(&row).await?;
        let in_force = if row.version == i64::from(BUILT_IN_VERSION) {
            self.tried(built_in().map_err(Error::internal)?.clone())
        } else {
            let set = self.store.policy_set(Some(row.version)).await?;
            let policies = Policies::of(&labelled(&set.members)).map_err(Error::internal)?;
            self.tried(Arc::new(policies))
        };
        let known = question.read("", row.at)?;
        let facts = known.facts(&in_force.zone);
        Ok(Again {
            allowed: is_allowed(&in_force.policies, &facts),
            explanation: in_force.policies.explain(&facts),
            reason: self.recorded_reason(&row).await?,
            decision: row,
            is_complete,
        })
    }

    /// The facts of a recorded decision, and whether they are all there.
    async fn recorded_question(&self, row: &DecisionRow) -> Result<(Question, bool), Error> {
        let key = u32::try_from(row.mac_key).ok();
        let mac = key.and_then(|key| self.ring().audit_mac_by_kid(key));
        if !mac.is_some_and(|mac| mac.verify(&code_of(row), &row.mac)) {
            return Err(Error::broken("a decision that nobody here recorded"));
        }
        let plain = self
            .ring()
            .open(inputs_place(&row.inputs), &row.sealed_inputs)
            .map_err(Error::internal)?;
        let mut question: Question = serde_json::from_slice(plain.expose()).map_err(Error::internal)?;
        question.context.at = Some(row.at.to_string());
        let Some((person, sealed)) = row.person.zip(row.sealed_address.as_ref()) else {
            return Ok((question, true));
        };
        question.context.address = self.opened_with(person, address_place(&row.id), sealed).await?;
        let is_complete = question.context.address.is_some();
        Ok((question, is_complete))
    }

    /// The reason of a recorded decision, where one was given and the person who gave it is not erased.
    pub(crate) async fn recorded_reason(&self, row: &DecisionRow) -> Result<Option<String>, Error> {
        match row.person.zip(row.sealed_reason.as_ref()) {
            Some((person, sealed)) => self.opened_with(person, reason_place(&row.id), sealed).await,
            None => Ok(None),
        }
    }

    /// What was sealed with a decision under a person's key; `None` once that is erased.
    async fn opened_with(
        &self,
        person: UserId,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Result<Option<String>, Error> {
        let Some(key) = self.people.key(person).await? else {
            return Ok(None);
        };
        let plain = key.open(place, sealed).map_err(Error::internal)?;
        Ok(Some(String::from_utf8_lossy(plain.expose()).into_owned()))
    }

    /// Which of the newest recorded decisions would come out in another way if a draft was in force.
    ///
    /// # Errors
    /// `forbidden`; `validation_failed` for what is no policy.
    pub async fn compare_policy(&self, cx: &Cx, draft: &Draft) -> Result<Difference, Error> {
        authorize(cx, Action::PolicyRead, Resource::Bank)?;
        let after = self.with_draft(cx, draft).await?;
        self.compare(after).await
    }

    /// Which of the newest recorded decisions come out in another way than under the policies in force.
    pub(crate) async fn compare(&self, after: Arc<InForce>) -> Result<Difference, Error> {
        let rows = self.store.decisions(None, None, COMPARED_MAX).await?;
        let mut asked: Vec<(DecisionId, Timestamp, Question)> = Vec::with_capacity(rows.len());
        for row in &rows {
            let (question, _) = self.recorded_question(row).await?;
            asked.push((row.id, row.at, question));
        }
        let before = self.policies.current();
        // Thousands of decisions: not in the way of other requests.
        tokio::task::spawn_blocking(move || {
            let mut found = Difference::default();
            for (decision, at, question) in &asked {
                // An action or a role that this program does not know any more is decided by nobody.
                let Ok(known) = question.read("", *at) else {
                    continue;
                };
                found.examined += 1;
                let facts = known.facts(&before.zone);
                let (was, is) = (
                    is_allowed(&before.policies, &facts),
                    is_allowed(&after.policies, &facts),
                );
                if was != is {
                    found.changed.push(Changed {
                        decision: *decision,
                        before: was,
                        after: is,
                    });
                }
            }
            found
        })
        .await
        .map_err(Error::internal)
    }
}
