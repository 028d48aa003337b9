//! Transfers that wait for a look: who sent one may take it back, somebody of the bank releases or rejects it.
//!
//! The books decide, under the locks of both accounts, so that of many decisions at once one counts. Above a bound it
//! takes two people to release; neither side of a transfer is one of them. Why rules stopped it is told to operators
//! alone.

use std::sync::Arc;

use strongroom_crypto::{Place, random};
pub use strongroom_domain::ledger::ReviewState;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{TransactionId, UserId},
    ledger::{Answer, Command, DecideReview, Done, Refusal, ReviewVerb, Verb},
    principal::Principal,
    text::{MEMO_CHARS_MAX, check_line},
};
pub use strongroom_store::ledger::ReviewView;
use strongroom_store::{Scope, identity::SWEEP_ROWS_MAX};

use crate::{
    api_keys::signatures::require_signature,
    audit::record::Entry,
    authority::{
        approvals::too_new,
        authorize::{Resource, authorize},
    },
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::step_up::{is_above, require_recent_login},
    money::{accounts::refused, idempotency::Fields, transfers::TransferDetails},
};

/// A decision has no fields that a key could differ in.
const REVIEW_FIELDS: Fields = Fields(&[""]);
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
/// Most portions that one run forgets.
const SWEEP_PORTIONS_MAX: usize = 20;

const fn reason_place(review: &TransactionId) -> Place<'_> {
    Place {
        table: "reviews",
        column: "sealed_reason",
        row: review.as_bytes(),
    }
}

impl Bank {
    /// What rules found, newest first, older than `before`: all of it, or what waits for a decision.
    ///
    /// # Errors
    /// `forbidden` for everybody but operators who may look.
    pub async fn reviews(
        &self,
        cx: &Cx,
        open: bool,
        before: Option<TransactionId>,
        limit: u32,
    ) -> Result<Vec<ReviewView>, Error> {
        authorize(cx, Action::ReviewRead, Resource::Bank)?;
        Ok(self.store.reviews(open, before, limit).await?)
    }

    /// Lets a transfer that waits go; above the bound the second time that somebody says so.
    ///
    /// # Errors
    /// `forbidden`, `step_up_required` without a fresh login, `checker_too_new`, `review_not_found`, `review_closed`,
    /// `maker_is_checker` for either side and for whoever released it first, `validation_failed` for a reason that is
    /// none, every refusal of the books.
    pub async fn release_review(
        self: &Arc<Self>,
        cx: &Cx,
        id: TransactionId,
        reason: &str,
    ) -> Result<ReviewView, Error> {
        let (cx, reason) = (cx.clone(), reason.to_owned());
        self.detached(
            move |bank| async move { bank.look_at_review(&cx, id, ReviewVerb::Release, &reason).await },
        )
        .await
    }

    /// Refuses a transfer that waits.
    ///
    /// # Errors
    /// As [`Bank::release_review`].
    pub async fn reject_review(
        self: &Arc<Self>,
        cx: &Cx,
        id: TransactionId,
        reason: &str,
    ) -> Result<ReviewView, Error> {
        let (cx, reason) = (cx.clone(), reason.to_owned());
        self.detached(
            move |bank| async move { bank.look_at_review(&cx, id, ReviewVerb::Reject, &reason).await },
        )
        .await
    }

    /// Takes back a transfer of the caller's that waits.
    ///
    /// # Errors
    /// `review_not_found` for everybody but who sent it, `review_closed`.
    pub async fn cancel_transfer(&self, cx: &Cx, id: TransactionId) -> Result<TransferDetails, Error> {
        require_signature(cx)?;
        let outcome = self.cancel(cx, id).await;
        self.settled(cx, outcome).await
    }

    async fn cancel(&self, cx: &Cx, id: TransactionId) -> Result<TransferDetails, Error> {
        let me = cx.person()?;
        authorize(cx, Action::TransferCancel, Resource::OwnedBy(me))?;
        let review = self.store.review(id).await?;
        let review = review
            .filter(|review| review.customer == me)
            .ok_or(Refusal::ReviewNotFound)?;
        self.decide_review(cx, &review, ReviewVerb::Cancel, Resource::OwnedBy(me), None)
            .await?;
        let found = self.transfer_by_id(id, cx.now()).await?;
        found.ok_or_else(|| Error::broken("a transfer that waited is gone"))
    }

    async fn look_at_review(
        &self,
        cx: &Cx,
        id: TransactionId,
        verb: ReviewVerb,
        reason: &str,
    ) -> Result<ReviewView, Error> {
        authorize(cx, Action::ReviewDecide, Resource::Bank)?;
        let Principal::User(me) = cx.caller.principal else {
            return Err(Error::forbidden());
        };
        require_recent_login(cx)?;
        check_line(reason, MEMO_CHARS_MAX, true)
            .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
        if cx.now() < self.store.approves_from(me).await? {
            return Err(too_new());
        }
        let review = self.review_of(id).await?;
        let waits = |review: &ReviewView| {
            review.state == ReviewState::Open && review.expires_at.is_some_and(|end| cx.now() < end)
        };
        if !waits(&review) {
            return Err(Refusal::ReviewClosed.into());
        }
        let two = is_above(review.amount, review.currency, self.fraud.two_release_over);
        let review = match (verb, review.first_by) {
            (ReviewVerb::Release, None) if two => {
                if self.release_first(cx, &review, me).await? {
                    return self.review_of(id).await;
                }
                self.review_of(id).await?
            }
            _ => review,
        };
        let sealed = self.ring().seal(reason_place(&id), reason.as_bytes());
        self.decide_review(cx, &review, verb, Resource::Bank, Some(sealed))
            .await?;
        self.review_of(id).await
    }

    /// Forgets why movements were stopped, once that is not kept any longer. A job calls it.
    pub(crate) async fn sweep_reviews(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let before = now.plus_seconds(-i64::from(self.fraud.reviews_kept_days) * SECONDS_PER_DAY);
        for _ in 0..SWEEP_PORTIONS_MAX {
            let tx = self.store.write(Scope::System).await?;
            let forgotten = tx.forget_reviews(before, now).await?;
            tx.commit().await?;
            if forgotten < SWEEP_ROWS_MAX.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }

    async fn review_of(&self, id: TransactionId) -> Result<ReviewView, Error> {
        let review = self.store.review(id).await?;
        let review = review.filter(|review| review.state != ReviewState::Noted);
        review.ok_or_else(|| Refusal::ReviewNotFound.into())
    }

    /// The first of two. Tells whether nobody was before.
    async fn release_first(&self, cx: &Cx, review: &ReviewView, me: UserId) -> Result<bool, Error> {
        let payee = self.owner_of(review.to_account).await?;
        if [Some(review.customer), payee].contains(&Some(me)) {
            return Err(Refusal::ReviewNotYours.into());
        }
        let permit = authorize(cx, Action::ReviewDecide, Resource::Bank)?;
        let mut tx = self.store.write(Scope::Operator).await?;
        if !tx.release_first(review.id, me, cx.now()).await? {
            return Ok(false);
        }
        let entry = Entry {
            object: Object::Other("review", *review.id.as_bytes()),
            outcome: "ok",
            details: Details::json(r#"{"released":"first"}"#),
        };
        self.recorder.append(&mut tx, cx, &permit, entry).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn decide_review(
        &self,
        cx: &Cx,
        review: &ReviewView,
        verb: ReviewVerb,
        resource: Resource,
        sealed_reason: Option<Vec<u8>>,
    ) -> Result<(), Error> {
        let asked = DecideReview {
            id: review.id,
            account: review.account,
            to: review.to_account,
            verb,
            by: cx.person()?,
            first: review.first_by,
            memo: review.memo,
            value_date: review.value_date,
            salt: random::bytes(),
            sealed_reason,
        };
        let action = match verb {
            ReviewVerb::Cancel => Action::TransferCancel,
            ReviewVerb::Release | ReviewVerb::Reject => Action::ReviewDecide,
        };
        let nonce = cx.nonce.as_deref();
        let answer = self
            .submit(cx, |cx| {
                let permit = authorize(cx, action, resource)?;
                Ok(Command {
                    authority: permit.authority(),
                    request: cx.request,
                    idempotency: None,
                    dry_run: false,
                    step_up: None,
                    bounds: None,
                    nonce: nonce.map(|open| open.nonce),
                    verb: Verb::Review(asked.clone()),
                })
            })
            .await?;
        // Whatever the books answered, they have seen the nonce.
        nonce.inspect(|open| open.give());
        match answer {
            Answer::Done(done) => match *done {
                Done::Posted(_) | Done::Reviewed(_) => Ok(()),
                _ => Err(Error::broken("another answer than asked for")),
            },
            other => Err(refused(other, &REVIEW_FIELDS)),
        }
    }
}
