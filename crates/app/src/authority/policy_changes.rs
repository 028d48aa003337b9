//! Putting policies in force and out of it: asked for by one administrator, approved by another, in one commit.

use std::sync::Arc;

use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{ApprovalId, PolicyId},
    principal::Principal,
    text::hex,
};
use strongroom_store::{Revoked, Scope, WriteTx, identity::RevisionRow};

use crate::{
    audit::record::Entry,
    authority::{
        authorize::{Resource, authorize},
        policies::{cases_of, check_texts, failing, labelled, refused},
        policy::{InForce, Policies, broken_rail, built_in_digest},
    },
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::step_up::require_recent_login,
    security::catalogue::SecurityEventKind,
};

/// What a person must still be able to do to take a set of policies back.
const TO_TAKE_BACK: [Action; 6] = [
    Action::DeskEnter,
    Action::PolicyRead,
    Action::PolicyActivate,
    Action::ApprovalRequest,
    Action::ApprovalRead,
    Action::ApprovalDecide,
];
/// Other policies came in force while these were looked at.
pub(crate) const POLICIES_MOVED: &str = "policies_moved";

/// What somebody asks to be put in force or out of it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct ChangeRequest {
    change: String,
    policy: String,
    name: String,
    revision: i64,
    digest: String,
    /// Of the newest recorded decisions: how many were looked at, and how many would come out in another way.
    examined: usize,
    changed: usize,
}

pub(crate) const ACTIVATE: &str = "activate";
const DEACTIVATE: &str = "deactivate";

/// A set of policies that was found good.
pub(crate) struct PreparedChange {
    base: i64,
    members: Vec<(PolicyId, i64)>,
    policy: PolicyId,
    revision: i64,
    activates: bool,
    in_force: Arc<InForce>,
}

impl PreparedChange {
    /// The policy that comes in force or out of it.
    pub(crate) const fn policy(&self) -> PolicyId {
        self.policy
    }
}

fn moved() -> Error {
    Error::new(
        Kind::Conflict,
        POLICIES_MOVED,
        "Other policies came in force meanwhile.",
    )
}

fn not_active() -> Error {
    Error::new(Kind::Conflict, "policy_not_active", "The policy is not in force.")
}

/// Whether these may be in force: the guardrails hold, every stored case comes out as written, and the caller can take
/// them back.
fn check_set(cx: &Cx, in_force: &Arc<InForce>, members: &[RevisionRow]) -> Result<(), Error> {
    if let Some(found) = broken_rail(&in_force.policies, cx.now()) {
        let detail = format!("The policies would decide what a guardrail forbids: {found}.");
        return Err(refused("policy_breaks_guardrail", detail));
    }
    for member in members {
        let cases = cases_of(member)?;
        if let Some(case) = failing(in_force, &cases, cx.now()).next() {
            let detail = format!(
                "A test case of the policy {} does not come out as written: {}.",
                member.name, case.name
            );
            return Err(refused("policy_tests_failed", detail));
        }
    }
    let then = cx.clone().under(in_force.clone());
    let locked_out = TO_TAKE_BACK
        .iter()
        .any(|action| authorize(&then, *action, Resource::Bank).is_err());
    // The host is bound by no author's policies, and can always take them back.
    if locked_out && cx.in_force.is_some() {
        let detail = "Under these policies you could not take them back.";
        return Err(refused("policy_locks_out", detail.to_owned()));
    }
    Ok(())
}

impl Bank {
    /// Asks for a policy to be put in force, with its newest text or an earlier one, or to be put out of force. Another
    /// administrator decides.
    ///
    /// # Errors
    /// `not_found`; what an activation is refused for: `policy_tests_failed`, `policy_breaks_guardrail`,
    /// `policy_locks_out`; `policy_not_active`; `forbidden`; `step_up_required` without a fresh login.
    pub async fn ask_for_policy_change(
        self: &Arc<Self>,
        cx: &Cx,
        policy: PolicyId,
        activates: bool,
        revision: Option<i64>,
    ) -> Result<ApprovalId, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            authorize(&cx, Action::PolicyActivate, Resource::Bank)?;
            require_recent_login(&cx)?;
            let row = bank.store.policy(policy).await?.filter(|row| !row.deleted);
            let row = row.ok_or_else(Error::not_found)?;
            let number = if activates {
                revision.unwrap_or(row.newest)
            } else {
                row.active.ok_or_else(not_active)?
            };
            let found = bank.revision(policy, number).await?;
            let mut request = ChangeRequest {
                change: (if activates { ACTIVATE } else { DEACTIVATE }).to_owned(),
                policy: policy.to_string(),
                name: row.name,
                revision: number,
                digest: hex(&found.digest),
                examined: 0,
                changed: 0,
            };
            let text = serde_json::to_vec(&request).map_err(Error::internal)?;
            // Whoever asks hears at once what would be refused later.
            let prepared = bank.prepare_change(&cx, &text).await?;
            // Nobody approves without being told what would have been decided in another way.
            let difference = bank.compare(prepared.in_force).await?;
            (request.examined, request.changed) = (difference.examined, difference.changed.len());
            let text = serde_json::to_vec(&request).map_err(Error::internal)?;
            let details = Details::json(&format!(
                r#"{{"change":"{}","policy":"{policy}","revision":{number}}}"#,
                request.change
            ));
            bank.request_approval(&cx, Action::PolicyActivate, &text, details)
                .await
        })
        .await
    }

    async fn revision(&self, policy: PolicyId, number: i64) -> Result<RevisionRow, Error> {
        let read = self.store.policy_revision(policy, number).await?;
        read.ok_or_else(|| Error::field("/revision", "not_found", "is no revision of this policy"))
    }

    /// The set of policies that a request asks for, found good.
    pub(crate) async fn prepare_change(&self, cx: &Cx, text: &[u8]) -> Result<PreparedChange, Error> {
        let request: ChangeRequest = serde_json::from_slice(text).map_err(Error::internal)?;
        let policy = PolicyId::parse(&request.policy).map_err(Error::internal)?;
        let found = self.revision(policy, request.revision).await?;
        if hex(&found.digest) != request.digest {
            return Err(Error::broken("a text that is not the one of its digest"));
        }
        let activates = request.change == ACTIVATE;
        let mut set = self.store.policy_set(None).await?;
        let base = set.version;
        set.members.retain(|member| member.policy != policy);
        if activates {
            set.members.push(found);
        }
        check_texts(&set.members)?;
        set.members.sort_by_key(|member| member.policy);
        let members = set
            .members
            .iter()
            .map(|member| (member.policy, member.number))
            .collect();
        let (bank_zone, cx) = (self.zone.clone(), cx.clone());
        // Thousands of decisions: not in the way of other requests.
        let in_force = tokio::task::spawn_blocking(move || {
            let policies = Policies::of(&labelled(&set.members))
                .map_err(|error| refused("policy_invalid", format!("The policies do not fit: {error}")))?;
            let in_force = Arc::new(InForce {
                version: 0,
                policies: Arc::new(policies),
                zone: bank_zone,
                log: None,
                read_only: (false, 0),
            });
            check_set(&cx, &in_force, &set.members)?;
            Ok::<_, Error>(in_force)
        })
        .await
        .map_err(Error::internal)??;
        Ok(PreparedChange {
            base,
            members,
            policy,
            revision: request.revision,
            activates,
            in_force,
        })
    }

    /// Puts a policy out of force at once, by whoever holds the data directory: the way back where a policy keeps
    /// everybody from taking it back. Gives the number of the new set.
    ///
    /// # Errors
    /// `forbidden` for everybody else; `not_found` where no policy of this name is in force.
    pub async fn take_policy_back(self: &Arc<Self>, cx: &Cx, name: &str) -> Result<i64, Error> {
        let (cx, name) = (cx.clone(), name.to_owned());
        self.detached(move |bank| async move {
            if !matches!(cx.caller.principal, Principal::Cli(_)) {
                return Err(Error::forbidden());
            }
            let permit = authorize(&cx, Action::PolicyActivate, Resource::Bank)?;
            let mut tx = bank.store.write(Scope::Operator).await?;
            tx.revoke(Revoked::Policies).await?;
            let set = tx.policy_set().await?;
            let taken = set.members.iter().find(|member| member.name == name);
            let policy = taken.ok_or_else(Error::not_found)?.policy;
            let version = set.version.saturating_add(1);
            let members: Vec<_> = set
                .members
                .iter()
                .filter(|member| member.policy != policy)
                .map(|member| (member.policy, member.number))
                .collect();
            tx.insert_policy_set(version, &built_in_digest(), &members, cx.now())
                .await?;
            let entry = Entry {
                object: Object::Other("policy", *policy.as_bytes()),
                outcome: "ok",
                details: Details::json(&format!(
                    r#"{{"break_glass":true,"change":"{DEACTIVATE}","set":{version}}}"#
                )),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            let (kind, about) = (SecurityEventKind::PolicyChanged, *policy.as_bytes());
            bank.raise_within(&mut tx, &cx, kind, about).await?;
            tx.commit().await?;
            bank.note(&cx, kind, Some((policy.to_string(), about)));
            tracing::warn!(%policy, set = version, "a policy was put out of force without approval");
            Ok(version)
        })
        .await
    }

    /// Puts a set in force inside the transaction that approves the request. From its commit on every request on every
    /// node is decided under it.
    pub(crate) async fn put_in_force(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        prepared: &PreparedChange,
        approval: ApprovalId,
    ) -> Result<(), Error> {
        let permit = authorize(cx, Action::PolicyActivate, Resource::Bank)?;
        // First: whoever revokes is alone, so that the set read next is the newest until the commit.
        tx.revoke(Revoked::Policies).await?;
        let row = tx.lock_policy(prepared.policy).await?;
        if row.is_none_or(|row| row.deleted) {
            return Err(Error::not_found());
        }
        if tx.policy_set().await?.version != prepared.base {
            return Err(moved());
        }
        let version = prepared.base.saturating_add(1);
        tx.insert_policy_set(version, &built_in_digest(), &prepared.members, cx.now())
            .await?;
        let change = if prepared.activates { ACTIVATE } else { DEACTIVATE };
        let entry = Entry {
            object: Object::Other("policy", *prepared.policy.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(
                r#"{{"approval":"{approval}","change":"{change}","revision":{},"set":{version}}}"#,
                prepared.revision
            )),
        };
        self.recorder.append(tx, cx, &permit, entry).await
    }
}
