//! What one person asks for and another decides.
//!
//! A request is an action and the bytes that say what exactly, sealed, with their salted digest. Whoever decides sees
//! the bytes and the digest; what is executed are the bytes of that digest, in the commit that closes the request, so
//! that of many decisions at once one counts. The maker never decides, nor does a key or a job; a maker who may no
//! longer ask takes the request along; whoever was given power lately decides nothing for a day. Once decided, the
//! bytes are wiped: the digest stays.

mod deed;
mod filed;
mod rule;

use std::sync::Arc;

use strongroom_crypto::{Place, data_key};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    department::Department,
    id::{ApiKeyId, ApprovalId, TransactionId, UserId},
    principal::Principal,
    text::{MEMO_CHARS_MAX, check_line, hex},
    time::Timestamp,
};
pub use strongroom_store::identity::ApprovalState;
use strongroom_store::{
    Scope, WriteTx,
    identity::{ApprovalDecision, ApprovalRow, UserState},
};

pub(crate) use self::filed::{Carried, Filed, NewRequest, fingerprint_of_rule};
pub use self::rule::Rule;
use self::{
    deed::Deed,
    rule::{bound, is_cash},
};

use crate::{
    api_keys::ApiKeyAdded,
    audit::record::Entry,
    authority::{
        authorize::{Permit, Resource, authorize, would_allow},
        grants::roles_about,
        policy_changes::POLICIES_MOVED,
    },
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{operators::OperatorAdded, step_up::require_recent_login},
    keys::rotation::KEYS_MOVED,
};

/// How long a request may be decided, in seconds.
pub const REQUEST_SECS: i64 = 7 * 24 * 60 * 60;
/// How often a decision is begun again because other policies came in force meanwhile.
const MOVED_ATTEMPTS_MAX: usize = 8;
/// Bytes of the salt in front of what is sealed.
const SALT_BYTES: usize = 16;

/// A request as operators see it.
#[derive(Debug, Clone)]
pub struct Approval {
    /// The id.
    pub id: ApprovalId,
    /// What would be done.
    pub action: String,
    /// Who asks; `None` for whoever holds the data directory.
    pub maker: Option<UserId>,
    /// Who asks and who decides, as it was when it was asked for.
    pub rule: Rule,
    /// What exactly; gone once it is decided.
    pub request: Option<serde_json::Value>,
    /// Digest of what exactly.
    pub digest: [u8; 32],
    /// What became of it.
    pub state: ApprovalState,
    /// Who decided.
    pub checker: Option<UserId>,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

/// Input of [`Bank::approve_request`] and [`Bank::reject_request`].
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// Why.
    pub reason: Option<String>,
    /// Digest of what the checker saw, where the checker says it.
    pub digest: Option<[u8; 32]>,
}

/// An approved request and what came of it.
#[derive(Debug)]
pub struct Approved {
    /// The request.
    pub approval: Approval,
    /// The secrets of an operator who is new or was given a new factor, shown once.
    pub operator: Option<OperatorAdded>,
    /// A key that was made, shown once.
    pub api_key: Option<ApiKeyAdded>,
    /// What the books booked: the contra transaction of a reversal, the cash, or what took money from suspense.
    pub booked: Option<TransactionId>,
}

/// A decision that was found to be allowed.
pub(crate) struct Checked {
    pub(crate) row: ApprovalRow,
    rule: Rule,
    permit: Permit,
    /// Where that belongs which it is about.
    pub(crate) department: Option<Department>,
    pub(crate) me: UserId,
    pub(crate) text: Vec<u8>,
}

impl Checked {
    /// The key that asked, for an integration.
    pub(crate) fn maker_key(&self) -> Option<ApiKeyId> {
        let key = ApiKeyId::from_bytes(self.row.maker);
        let owner = self.row.person?;
        (self.row.maker_kind == Principal::ApiKey { key, owner }.tag()).then_some(key)
    }
}

const fn place(approval: &ApprovalId) -> Place<'_> {
    Place {
        table: "approvals",
        column: "sealed",
        row: approval.as_bytes(),
    }
}

const fn reason_place(approval: &ApprovalId) -> Place<'_> {
    Place {
        table: "approvals",
        column: "sealed_reason",
        row: approval.as_bytes(),
    }
}

fn closed() -> Error {
    Error::new(
        Kind::Conflict,
        "approval_closed",
        "The request is decided, or its time is over.",
    )
}

fn maker_is_checker() -> Error {
    Error::new(
        Kind::Forbidden,
        "maker_is_checker",
        "Who asks does not decide: let somebody else.",
    )
}

pub(crate) fn too_new() -> Error {
    Error::new(
        Kind::Forbidden,
        "checker_too_new",
        "Whoever was given power lately decides nothing for a day.",
    )
}

impl Bank {
    /// Requests, newest first, in one state or in all; those about cash alone for whoever decides about nothing else.
    ///
    /// # Errors
    /// `forbidden` for others than auditors, compliance, administrators and tellers.
    pub async fn approvals(
        &self,
        cx: &Cx,
        state: Option<ApprovalState>,
        before: Option<ApprovalId>,
        limit: u32,
    ) -> Result<Vec<Approval>, Error> {
        let cash_alone = !would_allow(cx, Action::ApprovalRead, Resource::Bank)
            && would_allow(cx, Action::CashDecide, Resource::Bank);
        let action = if cash_alone {
            Action::CashDecide
        } else {
            Action::ApprovalRead
        };
        authorize(cx, action, Resource::Bank)?;
        let rows = self.store.approvals(state, cash_alone, before, limit).await?;
        rows.into_iter()
            .map(|row| self.approval_of(row, cx.now()))
            .collect()
    }

    /// Does what somebody else asked for.
    ///
    /// # Errors
    /// `not_found`; `forbidden` for who may not decide, `maker_is_checker` for whose request it is,
    /// `checker_too_new`; `step_up_required` without a fresh login; `approval_closed` for what is decided, over or of
    /// somebody who may not ask any more; `validation_failed` for the digest of something else.
    pub async fn approve_request(
        self: &Arc<Self>,
        cx: &Cx,
        approval: ApprovalId,
        decision: Decision,
    ) -> Result<Approved, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            for _ in 0..MOVED_ATTEMPTS_MAX {
                match bank.carry_out(&cx, approval, &decision).await {
                    Err(error) if [POLICIES_MOVED, KEYS_MOVED].contains(&error.code) => {}
                    outcome => return outcome,
                }
            }
            Err(Error::overloaded())
        })
        .await
    }

    /// Refuses what somebody else asked for.
    ///
    /// # Errors
    /// As [`Bank::approve_request`].
    pub async fn reject_request(
        self: &Arc<Self>,
        cx: &Cx,
        approval: ApprovalId,
        decision: Decision,
    ) -> Result<Approval, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let checked = bank.check_decision(&cx, approval, &decision).await?;
            let mut tx = bank.store.write(Scope::Operator).await?;
            // What its maker may no longer ask for is rejected all the same.
            bank.maker_may_ask(&tx, &checked, None, cx.now()).await?;
            bank.close(&mut tx, &cx, &checked, ApprovalState::Rejected, &decision)
                .await?;
            tx.commit().await?;
            bank.decided(&cx, approval).await
        })
        .await
    }

    async fn carry_out(&self, cx: &Cx, approval: ApprovalId, decision: &Decision) -> Result<Approved, Error> {
        let mut checked = self.check_decision(cx, approval, decision).await?;
        let deed = match checked.row.action.as_str() {
            action if action == Action::UserCreate.name() => {
                Deed::Operator(Box::new(self.prepare_requested(cx, &checked.text).await?))
            }
            action if action == Action::PolicyActivate.name() => {
                Deed::Policy(Box::new(self.prepare_change(cx, &checked.text).await?))
            }
            action if action == Action::FactorReset.name() => {
                Deed::Reset(Box::new(self.prepare_reset(cx, &checked.text).await?))
            }
            action if action == Action::GrantCreate.name() => {
                Deed::Grant(Self::requested_grant(&checked.text)?)
            }
            action if action == Action::RailRelease.name() => {
                Deed::Release(Box::new(self.prepare_release(cx, &checked.text).await?))
            }
            action if action == Action::KeyManage.name() => {
                Deed::Rotation(Box::new(self.prepare_rotation(cx, &checked.text).await?))
            }
            action if action == Action::FraudRulesChange.name() => {
                let maker = user_maker(&checked.row);
                let prepared = self.prepare_fraud_rules(&checked.text, maker, checked.me).await?;
                Deed::FraudRules(Box::new(prepared))
            }
            action if action == Action::ApiKeyCreate.name() => {
                Deed::ApiKey(Box::new(self.prepare_requested_key(cx, &checked.text).await?))
            }
            action if action == Action::SuspenseResolve.name() => {
                let transaction = self.carry_out_resolution(cx, &checked, decision).await?;
                return self.booked(cx, approval, Some(transaction.id)).await;
            }
            action if action == Action::TransferReverse.name() => {
                let transaction = self.carry_out_reversal(cx, &checked, decision).await?;
                return self.booked(cx, approval, Some(transaction.id)).await;
            }
            action if is_cash(action) => {
                let transaction = self.carry_out_cash(cx, &mut checked, decision).await?;
                return self.booked(cx, approval, Some(transaction.id)).await;
            }
            action if action == Action::LimitsExcept.name() => {
                self.carry_out_exception(cx, &mut checked, decision).await?;
                return self.booked(cx, approval, None).await;
            }
            action if action == Action::LimitsSet.name() => {
                self.carry_out_allowance(cx, &mut checked, decision).await?;
                return self.booked(cx, approval, None).await;
            }
            _ => return Err(Error::broken("a request for what nobody can do")),
        };
        let mut tx = self.store.write(Scope::Operator).await?;
        if !self.maker_may_ask(&tx, &checked, deed.about(), cx.now()).await? {
            self.close(&mut tx, cx, &checked, ApprovalState::Expired, decision)
                .await?;
            tx.commit().await?;
            return Err(closed());
        }
        self.close(&mut tx, cx, &checked, ApprovalState::Approved, decision)
            .await?;
        match &deed {
            Deed::Operator(prepared) => self.insert_requested(&mut tx, cx, prepared, approval).await?,
            Deed::Policy(prepared) => self.put_in_force(&mut tx, cx, prepared, approval).await?,
            Deed::Release(prepared) => self.release(&mut tx, cx, prepared, approval).await?,
            Deed::Rotation(prepared) => self.rotate_key(&mut tx, cx, prepared, approval).await?,
            Deed::FraudRules(prepared) => {
                self.put_fraud_rules_in_force(&mut tx, cx, prepared, approval)
                    .await?;
            }
            Deed::ApiKey(prepared) => self.insert_requested_key(&mut tx, cx, prepared, approval).await?,
            Deed::Reset(reset) => self.reset_factors(&mut tx, cx, reset, approval).await?,
            Deed::Grant(wanted) => {
                let maker = user_maker(&checked.row);
                self.give_requested(&mut tx, cx, wanted, maker, approval).await?;
            }
        }
        let event = deed.event();
        if let Some((kind, (_, about))) = &event {
            self.raise_within(&mut tx, cx, *kind, *about).await?;
        }
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        if matches!(deed, Deed::Rotation(_)) {
            // It is done; what goes wrong here the job does in a second.
            drop(self.read_ring().await);
        }
        if let Some((kind, about)) = event {
            self.note(cx, kind, Some(about));
        }
        let approval = self.decided(cx, approval).await?;
        let (operator, api_key) = deed.handed_over();
        Ok(Approved {
            approval,
            operator,
            api_key,
            booked: None,
        })
    }

    /// What the books have done, which closed the request.
    async fn booked(
        &self,
        cx: &Cx,
        approval: ApprovalId,
        booked: Option<TransactionId>,
    ) -> Result<Approved, Error> {
        Ok(Approved {
            approval: self.decided(cx, approval).await?,
            operator: None,
            api_key: None,
            booked,
        })
    }

    /// Everything that can be refused before the transaction.
    async fn check_decision(
        &self,
        cx: &Cx,
        approval: ApprovalId,
        decision: &Decision,
    ) -> Result<Checked, Error> {
        let row = self.store.approval(approval).await?;
        // Whoever decides about cash alone is refused alike whatever else there is or is not.
        let action = match &row {
            Some(row) if is_cash(&row.action) => Action::CashDecide,
            _ => Action::ApprovalDecide,
        };
        let permit = authorize(cx, action, Resource::Bank)?;
        let Principal::User(me) = cx.caller.principal else {
            return Err(Error::forbidden());
        };
        require_recent_login(cx)?;
        if let Some(reason) = &decision.reason {
            check_line(reason, MEMO_CHARS_MAX, true)
                .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
        }
        let row = row.ok_or_else(Error::not_found)?;
        if is_maker(&row, me) {
            return Err(maker_is_checker());
        }
        let rule = Rule::under(&row)?;
        // Who works for one department asks; who works everywhere decides.
        if !rule.may_check(&cx.rights.everywhere()) {
            return Err(Error::forbidden());
        }
        if cx.now() < self.store.approves_from(me).await? {
            return Err(too_new());
        }
        if state_at(&row, cx.now()) != ApprovalState::Open {
            return Err(closed());
        }
        if decision.digest.is_some_and(|digest| digest != row.digest) {
            return Err(Error::field(
                "/digest",
                "mismatch",
                "is the digest of something else",
            ));
        }
        let text = self.open_request(&row)?;
        Ok(Checked {
            row,
            rule,
            permit,
            department: None,
            me,
            text,
        })
    }

    /// The bytes of a request, if they are those of its digest.
    fn open_request(&self, row: &ApprovalRow) -> Result<Vec<u8>, Error> {
        let plain = self
            .ring()
            .open(place(&row.id), &row.sealed)
            .map_err(Error::internal)?;
        let (salt, text) = plain
            .expose()
            .split_first_chunk::<SALT_BYTES>()
            .ok_or_else(|| Error::broken("a request without its salt"))?;
        if data_key::commitment(*salt, &bound(text, &row.rule)) != row.digest {
            return Err(Error::broken("a request that is not the one of its digest"));
        }
        Ok(text.to_vec())
    }

    /// Inside the transaction: whether both still hold what they need. They and whom it is about are locked, in one
    /// order.
    async fn maker_may_ask(
        &self,
        tx: &WriteTx,
        checked: &Checked,
        about: Option<UserId>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let maker = user_maker(&checked.row);
        let mut people: Vec<UserId> = maker.into_iter().chain([checked.me]).chain(about).collect();
        people.sort_unstable();
        people.dedup();
        let mut maker_may = true;
        for person in people {
            if person != checked.me && Some(person) != maker {
                tx.lock_user(person).await?;
                continue;
            }
            let active = tx
                .lock_user(person)
                .await?
                .is_some_and(|user| user.state == UserState::Active);
            let here = checked.department.filter(|_| person != checked.me);
            let roles = roles_about(&tx.grants(person).await?, now, here);
            if person == checked.me {
                if !(active && checked.rule.may_check(&roles)) {
                    return Err(Error::forbidden());
                }
                continue;
            }
            maker_may &= active && checked.rule.may_ask(&roles);
        }
        Ok(maker_may)
    }

    /// In a transaction of its own: whether both still hold what they need. A maker who may no longer ask takes the
    /// request along.
    pub(crate) async fn require_both(
        &self,
        cx: &Cx,
        checked: &Checked,
        decision: &Decision,
    ) -> Result<(), Error> {
        let mut tx = self.store.write(Scope::Operator).await?;
        if self.maker_may_ask(&tx, checked, None, cx.now()).await? {
            return Ok(());
        }
        self.close(&mut tx, cx, checked, ApprovalState::Expired, decision)
            .await?;
        tx.commit().await?;
        Err(closed())
    }

    /// The checker's reason, as it is kept with the request.
    pub(crate) fn seal_reason(&self, id: ApprovalId, decision: &Decision) -> Option<Vec<u8>> {
        let reason = decision.reason.as_ref();
        reason.map(|text| self.ring().seal(reason_place(&id), text.as_bytes()))
    }

    async fn close(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        checked: &Checked,
        state: ApprovalState,
        decision: &Decision,
    ) -> Result<(), Error> {
        let id = checked.row.id;
        let closing = ApprovalDecision {
            state,
            checker: checked.me,
            at: cx.now(),
            sealed_reason: self.seal_reason(id, decision),
        };
        if !tx.decide_approval(id, &checked.row.digest, &closing).await? {
            return Err(closed());
        }
        let entry = Entry {
            object: Object::Other("approval", *id.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(
                r#"{{"digest":"{}","state":"{}"}}"#,
                hex(&checked.row.digest),
                state.name()
            )),
        };
        self.recorder.append(tx, cx, &checked.permit, entry).await
    }

    async fn decided(&self, cx: &Cx, approval: ApprovalId) -> Result<Approval, Error> {
        let row = self
            .store
            .approval(approval)
            .await?
            .ok_or_else(Error::not_found)?;
        self.approval_of(row, cx.now())
    }

    fn approval_of(&self, row: ApprovalRow, now: Timestamp) -> Result<Approval, Error> {
        let state = state_at(&row, now);
        let request = (state == ApprovalState::Open)
            .then(|| {
                let text = self.open_request(&row)?;
                serde_json::from_slice(&text).map_err(Error::internal)
            })
            .transpose()?;
        let reason = row.sealed_reason.as_deref();
        let reason = reason
            .map(|sealed| self.ring().open(reason_place(&row.id), sealed))
            .transpose()
            .map_err(Error::internal)?;
        Ok(Approval {
            rule: Rule::under(&row)?,
            maker: user_maker(&row),
            request,
            digest: row.digest,
            state,
            checker: row.checker,
            decided_at: row.decided_at,
            reason: reason.map(|text| String::from_utf8_lossy(text.expose()).into_owned()),
            created_at: row.created_at,
            expires_at: row.expires_at,
            id: row.id,
            action: row.action,
        })
    }
}

/// The person who asks, also by a key; whoever holds the data directory is none in particular.
pub(crate) const fn user_maker(row: &ApprovalRow) -> Option<UserId> {
    row.person
}

fn is_maker(row: &ApprovalRow, person: UserId) -> bool {
    user_maker(row) == Some(person)
}

/// A request whose time is over is over, whether or not a job has said so.
fn state_at(row: &ApprovalRow, now: Timestamp) -> ApprovalState {
    match row.state {
        ApprovalState::Open if now >= row.expires_at => ApprovalState::Expired,
        state => state,
    }
}
