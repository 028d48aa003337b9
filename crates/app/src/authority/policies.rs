//! Policies of the bank's own: written as drafts, checked, put in force by one administrator and another.
//!
//! A text never changes; a new one is a revision, and going back is putting an earlier revision in force. What comes in
//! force is a whole set: it is parsed together, its stored test cases are asked, the guardrails are looked for over the
//! whole grid, and whoever approves must still be able to take it back. All of it before the commit that moves the
//! epoch, from which on every node decides under it.

use std::sync::Arc;

use strongroom_crypto::token::fingerprint;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::PolicyId,
    text::hex,
    time::Timestamp,
};
pub use strongroom_store::identity::{PolicyRow, RevisionRow};
use strongroom_store::{
    Scope, StoreError,
    identity::{MembersRow, NewRevision, POLICIES_MAX},
};

use crate::{
    audit::record::Entry,
    authority::{
        authorize::{Resource, authorize},
        policy::{Case, Explanation, InForce, Policies, Question, broken_rail},
    },
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::step_up::require_recent_login,
};

/// Longest text of a policy, in bytes.
pub const TEXT_BYTES_MAX: usize = 128 * 1024;
/// Most test cases of a policy.
pub const CASES_MAX: usize = 200;
/// Longest name of a policy and of a case, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Revisions that are listed with a policy.
const REVISIONS_SHOWN_MAX: u32 = 50;
/// A text that is not in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is called: lower-case letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// Cedar.
    pub text: String,
    /// Cases that have to come out as written.
    pub cases: Vec<Case>,
}

/// A policy with its texts, newest first.
#[derive(Debug, Clone)]
pub struct PolicyDetails {
    /// The policy.
    pub policy: PolicyRow,
    /// Its texts, with their cases.
    pub revisions: Vec<(RevisionRow, Vec<Case>)>,
}

/// What is wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// Why it cannot be in force; for its author.
    pub errors: Vec<String>,
    /// Its cases, and whether they come out as written.
    pub cases: Vec<(String, bool)>,
}

/// What a simulated request comes to.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// Version of the set that was asked.
    pub version: i32,
    /// Decision, policies and facts.
    pub explanation: Explanation,
}

fn name_taken() -> Error {
    Error::new(
        Kind::Conflict,
        "policy_name_taken",
        "There is a policy of this name already.",
    )
}

fn is_active() -> Error {
    Error::new(Kind::Conflict, "policy_active", "The policy is in force.")
}

pub(crate) fn refused(code: &'static str, detail: String) -> Error {
    Error::new(Kind::Rejected, code, detail)
}

fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(known)
}

/// Digest of a revision: of its text and its cases.
pub(crate) fn revision_digest(text: &str, tests: &str) -> [u8; 32] {
    fingerprint(&format!("{text}\0{tests}"))
}

/// Whether every text is the one of its digest.
///
/// # Errors
/// Where one was changed beside the program: then it decides nothing.
pub(crate) fn check_texts(members: &[RevisionRow]) -> Result<(), Error> {
    let is_kept = |member: &RevisionRow| revision_digest(&member.text, &member.tests) == member.digest;
    if members.iter().all(is_kept) {
        Ok(())
    } else {
        Err(Error::broken("a policy whose text is not the one of its digest"))
    }
}

pub(crate) fn cases_of(revision: &RevisionRow) -> Result<Vec<Case>, Error> {
    serde_json::from_str(&revision.tests).map_err(Error::internal)
}

pub(crate) fn labelled(members: &[RevisionRow]) -> Vec<(&str, &str)> {
    members
        .iter()
        .map(|member| (member.name.as_str(), member.text.as_str()))
        .collect()
}

/// The cases that do not come out as written.
pub(crate) fn failing<'a>(
    in_force: &InForce,
    cases: &'a [Case],
    now: Timestamp,
) -> impl Iterator<Item = &'a Case> {
    let outcomes: Vec<bool> = cases
        .iter()
        .map(|case| {
            let known = case.question.read("", now);
            known.is_ok_and(|known| {
                in_force.policies.decide(&known.facts(&in_force.zone)).allowed == case.allowed
            })
        })
        .collect();
    cases
        .iter()
        .zip(outcomes)
        .filter(|(_, passed)| !passed)
        .map(|(case, _)| case)
}

impl Bank {
    /// Reads what is in force now, where this process does not know it.
    pub(crate) async fn read_policies(&self) -> Result<(), Error> {
        let set = self.store.policy_set(None).await?;
        let version = version_of(&set)?;
        if version > self.policies.current().version {
            // What this program cannot read decides nothing: everybody is refused until the host takes it back.
            check_texts(&set.members)?;
            let policies = Policies::of(&labelled(&set.members)).map_err(Error::internal)?;
            self.policies.put(version, policies);
        }
        Ok(())
    }

    /// Policies, newest first.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn policies(
        &self,
        cx: &Cx,
        before: Option<PolicyId>,
        limit: u32,
    ) -> Result<Vec<PolicyRow>, Error> {
        authorize(cx, Action::PolicyRead, Resource::Bank)?;
        Ok(self.store.policies(before, limit).await?)
    }

    /// A policy with its newest texts.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn policy(&self, cx: &Cx, policy: PolicyId) -> Result<PolicyDetails, Error> {
        authorize(cx, Action::PolicyRead, Resource::Bank)?;
        self.policy_details(policy).await
    }

    async fn policy_details(&self, policy: PolicyId) -> Result<PolicyDetails, Error> {
        let row = self.store.policy(policy).await?.ok_or_else(Error::not_found)?;
        let revisions = self.store.policy_revisions(policy, REVISIONS_SHOWN_MAX).await?;
        Ok(PolicyDetails {
            policy: row,
            revisions: revisions
                .into_iter()
                .map(|revision| {
                    let cases = cases_of(&revision)?;
                    Ok((revision, cases))
                })
                .collect::<Result<_, Error>>()?,
        })
    }

    /// Keeps a draft: a new policy, or a further text of one.
    ///
    /// # Errors
    /// `validation_failed` for what is no policy; `policy_name_taken`; `not_found`; `forbidden`; `step_up_required`
    /// without a fresh login.
    pub async fn write_policy(
        self: &Arc<Self>,
        cx: &Cx,
        policy: Option<PolicyId>,
        draft: Draft,
    ) -> Result<PolicyDetails, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.keep_draft(&cx, policy, &draft).await })
            .await
    }

    async fn keep_draft(
        &self,
        cx: &Cx,
        policy: Option<PolicyId>,
        draft: &Draft,
    ) -> Result<PolicyDetails, Error> {
        let permit = authorize(cx, Action::PolicyWrite, Resource::Bank)?;
        require_recent_login(cx)?;
        if policy.is_none() && !is_name(&draft.name) {
            let detail = "must be 1 to 64 lower-case letters, digits, `-`, `_` or `.`";
            return Err(Error::field("/name", "invalid_value", detail));
        }
        check_form(draft, cx.now())?;
        Policies::of(&[("draft", &draft.text)]).map_err(|_| {
            Error::field(
                "/text",
                "policy_invalid",
                "is not a policy; validating it tells why",
            )
        })?;
        let tests = serde_json::to_string(&draft.cases).map_err(Error::internal)?;
        let new = NewRevision {
            digest: revision_digest(&draft.text, &tests),
            text: draft.text.clone(),
            tests,
            maker: cx.caller.principal.owner(),
            created_at: cx.now(),
        };
        let mut tx = self.store.write(Scope::Operator).await?;
        let (id, number) = match policy {
            None => {
                if tx.policies_count().await? >= i64::from(POLICIES_MAX) {
                    return Err(refused(
                        "too_many_policies",
                        "There are as many policies as there may be.".to_owned(),
                    ));
                }
                let id: PolicyId = cx.new_id();
                match tx.insert_policy(id, &draft.name, &new).await {
                    Err(StoreError::Constraint(_)) => return Err(name_taken()),
                    other => other?,
                }
                (id, 1)
            }
            Some(id) => {
                let row = tx.lock_policy(id).await?.filter(|row| !row.deleted);
                let number = row.ok_or_else(Error::not_found)?.newest.saturating_add(1);
                tx.insert_policy_revision(id, number, &new).await?;
                (id, number)
            }
        };
        let entry = Entry {
            object: Object::Other("policy", *id.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(
                r#"{{"digest":"{}",{}"revision":{number}}}"#,
                hex(&new.digest),
                match policy {
                    None => format!(r#""name":"{}","#, draft.name),
                    Some(_) => String::new(),
                }
            )),
        };
        self.recorder.append(&mut tx, cx, &permit, entry).await?;
        tx.commit().await?;
        self.policy_details(id).await
    }

    /// Takes a policy that is not in force out of sight.
    ///
    /// # Errors
    /// `not_found`; `policy_active`; `forbidden`; `step_up_required` without a fresh login.
    pub async fn delete_policy(self: &Arc<Self>, cx: &Cx, policy: PolicyId) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::PolicyWrite, Resource::Bank)?;
            require_recent_login(&cx)?;
            let mut tx = bank.store.write(Scope::Operator).await?;
            let row = tx.lock_policy(policy).await?.filter(|row| !row.deleted);
            if row.ok_or_else(Error::not_found)?.active.is_some() {
                return Err(is_active());
            }
            tx.delete_policy(policy, cx.now()).await?;
            let entry = Entry {
                object: Object::Other("policy", *policy.as_bytes()),
                outcome: "ok",
                details: Details::json(r#"{"deleted":true}"#),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Whether a draft could be in force, and why not.
    ///
    /// # Errors
    /// `forbidden`; `validation_failed` for what is too long, or a case that asks for what there is not.
    pub async fn validate_policy(&self, cx: &Cx, draft: &Draft) -> Result<Validation, Error> {
        authorize(cx, Action::PolicyRead, Resource::Bank)?;
        check_form(draft, cx.now())?;
        let then = match self.set_with(draft).await? {
            Ok(found) => found,
            Err(error) => {
                return Ok(Validation {
                    errors: vec![error],
                    cases: Vec::new(),
                });
            }
        };
        let failed: Vec<&str> = failing(&then, &draft.cases, cx.now())
            .map(|case| case.name.as_str())
            .collect();
        Ok(Validation {
            cases: draft
                .cases
                .iter()
                .map(|case| (case.name.clone(), !failed.contains(&case.name.as_str())))
                .collect(),
            errors: broken_rail(&then.policies, cx.now()).into_iter().collect(),
        })
    }

    /// What would be in force if a draft was; or, for its author, why it cannot be.
    async fn set_with(&self, draft: &Draft) -> Result<Result<Arc<InForce>, String>, Error> {
        let set = self.store.policy_set(None).await?;
        let mut texts: Vec<(&str, &str)> = labelled(&set.members);
        texts.retain(|(name, _)| *name != draft.name);
        texts.push((&draft.name, &draft.text));
        Ok(match Policies::of(&texts) {
            Ok(policies) => Ok(self.tried(Arc::new(policies))),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Policies that are only tried.
    pub(crate) fn tried(&self, policies: Arc<Policies>) -> Arc<InForce> {
        Arc::new(InForce {
            version: self.policies.current().version,
            policies,
            zone: self.zone.clone(),
            log: None,
            read_only: (false, 0),
        })
    }

    /// What would be in force if a draft was.
    pub(crate) async fn with_draft(&self, cx: &Cx, draft: &Draft) -> Result<Arc<InForce>, Error> {
        check_form(draft, cx.now())?;
        self.set_with(draft).await?.map_err(|_| {
            Error::field(
                "/text",
                "policy_invalid",
                "is not a policy; validating it tells why",
            )
        })
    }

    /// What would be decided, and why; under the policies in force, or with a draft among them.
    ///
    /// # Errors
    /// `forbidden`; `validation_failed` for a word that there is not, and for a draft that is no policy.
    pub async fn simulate(
        &self,
        cx: &Cx,
        question: &Question,
        draft: Option<&Draft>,
    ) -> Result<Simulated, Error> {
        authorize(cx, Action::PolicyRead, Resource::Bank)?;
        let known = question.read("", cx.now())?;
        let in_force = match draft {
            Some(draft) => self.with_draft(cx, draft).await?,
            None => self.policies.current(),
        };
        Ok(Simulated {
            version: in_force.version,
            explanation: in_force.policies.explain(&known.facts(&in_force.zone)),
        })
    }
}

fn version_of(set: &MembersRow) -> Result<i32, Error> {
    i32::try_from(set.version).map_err(Error::internal)
}

/// What can be told without reading the text.
fn check_form(draft: &Draft, now: Timestamp) -> Result<(), Error> {
    if draft.text.len() > TEXT_BYTES_MAX {
        return Err(Error::field(
            "/text",
            "too_long",
            "must have at most 131072 bytes",
        ));
    }
    if draft.cases.len() > CASES_MAX {
        return Err(Error::field("/tests", "too_many", "must be at most 200"));
    }
    for (number, case) in draft.cases.iter().enumerate() {
        let place = format!("/tests/{number}");
        if case.name.is_empty() || case.name.len() > NAME_BYTES_MAX {
            let detail = "must have 1 to 64 bytes";
            return Err(Error::field(&format!("{place}/name"), "invalid_value", detail));
        }
        case.question.read(&format!("{place}/question"), now)?;
    }
    Ok(())
}
