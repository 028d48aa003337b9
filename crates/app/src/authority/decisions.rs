//! What was decided, kept: read, decided again, and asked what a draft would change.
//!
//! A decision is kept with the number of the set that decided and its facts: when, how much, and from where with each;
//! the rest, which many decisions share, once, sealed under the ring, and found by a keyed digest. Where a request came
//! from is sealed under the person's own key. Each row carries an authentication code by the node's key, and each
//! portion that is written a record in the log with the root over its rows, in the same commit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use strongroom_crypto::Place;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{DecisionId, UserId},
    principal::{Assurance, Principal},
    text::hex,
    time::Timestamp,
};
use strongroom_store::Scope;
pub use strongroom_store::identity::DecisionRow;
use strongroom_store::identity::{DecisionWithFacts, SWEEP_ROWS_MAX, SharedFacts};

use crate::{
    audit::record::Entry,
    authority::{
        authorize::{Resource, authorize, is_allowed},
        decision_code::{code_of, root_of_decisions},
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
/// Most shared facts that are known to be in the database; who knows as many begins again.
const KNOWN_MAX: usize = 4_096;

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

/// Digests of shared facts that are in the database, by the year and the facts: what is kept is neither sealed nor
/// written again. The database forgets no facts of this year or the one before; where it fails to answer nothing is
/// known any more, because what answers next may be an older copy.
#[derive(Debug, Default)]
pub(crate) struct KnownFacts(Mutex<HashMap<(i64, Question), [u8; 16]>>);

impl KnownFacts {
    fn digest(&self, facts: &(i64, Question)) -> Option<[u8; 16]> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(facts).copied()
    }

    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn keep(&self, facts: impl IntoIterator<Item = ((i64, Question), [u8; 16])>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (facts, digest) in facts {
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(facts, digest);
        }
    }
}

/// The facts of a decision that others may share, as a question: without when, how much, and where from.
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

/// What the log says of a portion of decisions in the order of their ids; `None` of nothing.
fn bound(rows: &[DecisionRow]) -> Option<Entry> {
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
        let mut new_facts = HashMap::new();
        for noted in &portion {
            let facts = (year_of(noted.at), question_of(noted));
            let inputs = match self
                .known_facts
                .digest(&facts)
                .or_else(|| new_facts.get(&facts).copied())
            {
                Some(known) => known,
                None => {
                    let digest = self.digest_of(&facts)?;
                    new_facts.insert(facts, digest);
                    digest
                }
            };
            rows.push(self.decision_row(noted, inputs).await?);
        }
        if !rows.is_empty() {
            let cx = self.cx_job().await?;
            let permit = authorize(&cx, Action::DecisionRecord, Resource::Bank)?;
            // Asked for twice in one request it is one decision: the first is there.
            rows.sort_by_key(|row| row.id);
            rows.dedup_by_key(|row| row.id);
            let facts: Result<Vec<_>, _> = new_facts
                .iter()
                .map(|(facts, digest)| self.sealed_facts(facts, *digest))
                .collect();
            let recorder = self.recorder.clone();
            // What an earlier try has written is bound to the record of that try.
            let bind = move |slot, new: &[DecisionRow]| {
                bound(new).map(|entry| recorder.signed(slot, &cx, &permit, entry))
            };
            let appended = self.store.append_decisions(rows, facts?, bind).await;
            appended.inspect_err(|_| self.known_facts.forget())?;
            self.known_facts.keep(new_facts);
            self.decisions.written(portion.len());
            self.watch_readers(&portion).await?;
        }
        Ok(portion.len())
    }

    /// Facts of another year are others: they are forgotten with their year.
    fn digest_of(&self, (year, question): &(i64, Question)) -> Result<[u8; 16], Error> {
        let question = serde_json::to_vec(question).map_err(Error::internal)?;
        let named = [year.to_be_bytes().as_slice(), &question].concat();
        Ok(self.ring().blind_index("decision_inputs.digest", &named))
    }

    fn sealed_facts(
        &self,
        (year, question): &(i64, Question),
        digest: [u8; 16],
    ) -> Result<SharedFacts, Error> {
        let question = serde_json::to_vec(question).map_err(Error::internal)?;
        Ok(SharedFacts {
            digest,
            period: *year,
            sealed: self.ring().seal(inputs_place(&digest), &question),
        })
    }

    async fn decision_row(&self, noted: &Noted, inputs: [u8; 16]) -> Result<DecisionRow, Error> {
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
        let money = noted.money;
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
            money: money.map(|(amount, currency)| (amount.minor(), currency.code().to_owned())),
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
        let mut name = [
            noted.request.as_bytes().as_slice(),
            inputs,
            &owner,
            &[u8::from(noted.allowed)],
            &noted.version.to_be_bytes(),
        ]
        .concat();
        if let Some((amount, currency)) = noted.money {
            name.extend_from_slice(&amount.minor().to_be_bytes());
            name.extend_from_slice(currency.code().as_bytes());
        }
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
        for (row, _) in examined {
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
        let recorded = self.store.decision(decision).await?;
        let recorded = recorded.ok_or_else(Error::not_found)?;
        let (question, is_complete) = self.recorded_question(&recorded).await?;
        let (row, _) = recorded;
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
    async fn recorded_question(&self, (row, facts): &DecisionWithFacts) -> Result<(Question, bool), Error> {
        let key = u32::try_from(row.mac_key).ok();
        let mac = key.and_then(|key| self.ring().audit_mac_by_kid(key));
        if !mac.is_some_and(|mac| mac.verify(&code_of(row), &row.mac)) {
            return Err(Error::broken("a decision that nobody here recorded"));
        }
        let facts = facts.as_ref();
        let facts = facts.ok_or_else(|| Error::broken("a decision without its facts"))?;
        let plain = self
            .ring()
            .open(inputs_place(&row.inputs), facts)
            .map_err(Error::internal)?;
        let mut question: Question = serde_json::from_slice(plain.expose()).map_err(Error::internal)?;
        question.context.at = Some(row.at.to_string());
        // Among the shared facts where the decision is older than their columns.
        if let Some((amount, currency)) = &row.money {
            question.context.amount = Some(*amount);
            question.context.currency = Some(currency.clone());
        }
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
        // One whose facts somebody has taken away can be compared with nothing.
        for recorded in rows.iter().filter(|(_, facts)| facts.is_some()) {
            let (question, _) = self.recorded_question(recorded).await?;
            asked.push((recorded.0.id, recorded.0.at, question));
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
