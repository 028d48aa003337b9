//! What one person asks for and another decides.
//!
//! A request is an action and the bytes that say what exactly, sealed, with their salted digest. Whoever decides sees
//! the bytes and the digest; what is executed are the bytes of that digest, in the commit that closes the request, so
//! that of many decisions at once one counts. The maker never decides, nor does a key or a job; a maker who may no
//! longer ask takes the request along; whoever was given power lately decides nothing for a day. Once decided, the
//! bytes are wiped: the digest stays.

use std::sync::Arc;

use strongroom_crypto::{Place, data_key};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{ApprovalId, TransactionId, UserId},
    principal::{Principal, Role},
    text::{MEMO_CHARS_MAX, check_line},
    time::Timestamp,
};
pub use strongroom_store::identity::ApprovalState;
use strongroom_store::{
    Scope, WriteTx,
    identity::{ApprovalDecision, ApprovalRow, NewApproval, UserState},
};

use crate::{
    authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    factor_reset::FactorReset,
    grants::{GiveRole, roles_at},
    operators::{NewOperator, OperatorAdded},
    policy_changes::{POLICIES_MOVED, PreparedChange},
    record::Entry,
    step_up::require_recent_login,
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
    /// The contra transaction of a reversal.
    pub reversal: Option<TransactionId>,
}

/// What an approval is about to do.
enum Deed {
    Operator(Box<NewOperator>),
    Policy(Box<PreparedChange>),
    Grant(GiveRole),
    Reset(Box<FactorReset>),
}

impl Deed {
    /// Whom it is about, where that is somebody who is there already.
    fn about(&self) -> Option<UserId> {
        match self {
            Self::Operator(_) | Self::Policy(_) | Self::Grant(_) => None,
            Self::Reset(reset) => Some(reset.person),
        }
    }
}

/// A decision that was found to be allowed.
pub(crate) struct Checked {
    pub(crate) row: ApprovalRow,
    permit: Permit,
    pub(crate) me: UserId,
    pub(crate) text: Vec<u8>,
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

fn too_new() -> Error {
    Error::new(
        Kind::Forbidden,
        "checker_too_new",
        "Whoever was given power lately decides nothing for a day.",
    )
}

/// Whether these roles may ask for this.
fn may_ask(roles: &[Role], action: &str) -> bool {
    let reversal = action == Action::TransferReverse.name();
    roles.contains(&Role::Admin) || (reversal && roles.contains(&Role::Teller))
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
        let id: ApprovalId = cx.new_id();
        let salt = data_key::new_salt();
        let mut plain = salt.to_vec();
        plain.extend_from_slice(text);
        let approval = NewApproval {
            id,
            action: action.name(),
            maker_kind: cx.caller.principal.tag(),
            maker: cx.caller.principal.id_bytes(),
            sealed: self.ring.seal(place(&id), &plain),
            digest: data_key::commitment(salt, text),
            created_at: cx.now(),
            expires_at: cx.now().plus_seconds(REQUEST_SECS),
        };
        let mut tx = self.store.write(Scope::Operator).await?;
        tx.insert_approval(&approval).await?;
        let entry = Entry {
            object: Object::Other("approval", *id.as_bytes()),
            outcome: "ok",
            details,
        };
        self.recorder.append(&mut tx, cx, permit, entry).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Requests, newest first, in one state or in all.
    ///
    /// # Errors
    /// `forbidden` for others than auditors and administrators.
    pub async fn approvals(
        &self,
        cx: &Cx,
        state: Option<ApprovalState>,
        before: Option<ApprovalId>,
        limit: u32,
    ) -> Result<Vec<Approval>, Error> {
        authorize(cx, Action::ApprovalRead, Resource::Bank)?;
        let rows = self.store.approvals(state, before, limit).await?;
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
                    Err(error) if error.code == POLICIES_MOVED => {}
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
            bank.close(&mut tx, &cx, &checked, ApprovalState::Rejected, &decision)
                .await?;
            tx.commit().await?;
            bank.decided(&cx, approval).await
        })
        .await
    }

    async fn carry_out(&self, cx: &Cx, approval: ApprovalId, decision: &Decision) -> Result<Approved, Error> {
        let checked = self.check_decision(cx, approval, decision).await?;
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
            action if action == Action::TransferReverse.name() => {
                let transaction = self.carry_out_reversal(cx, &checked, decision).await?;
                return Ok(Approved {
                    approval: self.decided(cx, approval).await?,
                    operator: None,
                    reversal: Some(transaction.id),
                });
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
            Deed::Reset(reset) => self.reset_factors(&mut tx, cx, reset, approval).await?,
            Deed::Grant(wanted) => {
                let maker = user_maker(&checked.row);
                self.give_requested(&mut tx, cx, wanted, maker, approval).await?;
            }
        }
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        Ok(Approved {
            approval: self.decided(cx, approval).await?,
            operator: match deed {
                Deed::Operator(prepared) => Some(prepared.ready()),
                Deed::Policy(_) | Deed::Grant(_) => None,
                Deed::Reset(reset) => reset.ready(),
            },
            reversal: None,
        })
    }

    /// Everything that can be refused before the transaction.
    async fn check_decision(
        &self,
        cx: &Cx,
        approval: ApprovalId,
        decision: &Decision,
    ) -> Result<Checked, Error> {
        let permit = authorize(cx, Action::ApprovalDecide, Resource::Bank)?;
        let Principal::User(me) = cx.caller.principal else {
            return Err(Error::forbidden());
        };
        require_recent_login(cx)?;
        if let Some(reason) = &decision.reason {
            check_line(reason, MEMO_CHARS_MAX, true)
                .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
        }
        let row = self
            .store
            .approval(approval)
            .await?
            .ok_or_else(Error::not_found)?;
        if is_maker(&row, me) {
            return Err(maker_is_checker());
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
            permit,
            me,
            text,
        })
    }

    /// The bytes of a request, if they are those of its digest.
    fn open_request(&self, row: &ApprovalRow) -> Result<Vec<u8>, Error> {
        let plain = self
            .ring
            .open(place(&row.id), &row.sealed)
            .map_err(Error::internal)?;
        let (salt, text) = plain
            .expose()
            .split_first_chunk::<SALT_BYTES>()
            .ok_or_else(|| Error::broken("a request without its salt"))?;
        if data_key::commitment(*salt, text) != row.digest {
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
            let roles = roles_at(&tx.grants(person).await?, now);
            if person == checked.me && !(active && roles.contains(&Role::Admin)) {
                return Err(Error::forbidden());
            }
            maker_may &= active && may_ask(&roles, &checked.row.action);
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
        reason.map(|text| self.ring.seal(reason_place(&id), text.as_bytes()))
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
            .map(|sealed| self.ring.open(reason_place(&row.id), sealed))
            .transpose()
            .map_err(Error::internal)?;
        Ok(Approval {
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

/// The person who asks; whoever holds the data directory is none in particular.
fn user_maker(row: &ApprovalRow) -> Option<UserId> {
    let person = Principal::User(UserId::from_bytes(row.maker));
    (row.maker_kind == person.tag()).then(|| UserId::from_bytes(row.maker))
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
