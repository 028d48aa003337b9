//! Reversals: what the bank takes back, asked for by one operator and done by another.
//!
//! The books book the contra movement and close the request in one commit, so that of many decisions, and of a reversal
//! and refunds at once, the money comes back once. A freeze does not stop it; who has spent the money is not brought
//! below the floor.

use serde::{Deserialize, Serialize};
use strongroom_crypto::random;
use strongroom_domain::{
    action::Action,
    audit::Details,
    id::{ApprovalId, TransactionId, TransferId},
    ledger::{Done, NewReversal, Refusal, Verb},
    text::{MEMO_CHARS_MAX, check_line},
    transaction::{Transaction, TransactionKind},
};
use strongroom_store::ledger::ReversalsAbout;

use crate::{
    authority::{
        approvals::{Carried, Checked, Decision},
        authorize::{Resource, authorize},
    },
    bank::Bank,
    cx::Cx,
    error::Error,
};

/// What the checker sees, in the order of the names.
#[derive(Debug, Serialize, Deserialize)]
struct ReversalRequest {
    amount: i64,
    currency: String,
    from_account_id: String,
    kind: String,
    reason: String,
    to_account_id: String,
    transfer_id: String,
}

impl Bank {
    /// Asks for a reversal; somebody else decides.
    ///
    /// # Errors
    /// `forbidden` for everybody but tellers and administrators, `not_found`, `already_reversed`, `not_reversible` for
    /// refunds and reversals, `payment_closed` for a payment that was given back in whole, `validation_failed` for a
    /// reason that is none.
    pub async fn ask_for_reversal(
        &self,
        cx: &Cx,
        of: TransactionId,
        reason: &str,
    ) -> Result<ApprovalId, Error> {
        let permit = authorize(cx, Action::TransferReverse, Resource::Bank)?;
        check_line(reason, MEMO_CHARS_MAX, true)
            .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
        let view = self.store.transaction(of).await?.ok_or_else(Error::not_found)?;
        let original = view.transaction;
        self.check_reversible(&original).await?;
        let transfer: TransferId = of.cast();
        let request = ReversalRequest {
            amount: original.amount.minor(),
            currency: original.currency.code().to_owned(),
            from_account_id: original.from_account.to_string(),
            kind: original.kind.name().to_owned(),
            reason: reason.to_owned(),
            to_account_id: original.to_account.to_string(),
            transfer_id: transfer.to_string(),
        };
        let text = serde_json::to_vec(&request).map_err(Error::internal)?;
        let details = Details::json(&format!(r#"{{"transfer":"{transfer}"}}"#));
        self.file_request(cx, &permit, Action::TransferReverse, &text, details)
            .await
    }

    /// What is known before the books are asked; they look again.
    async fn check_reversible(&self, original: &Transaction) -> Result<(), Error> {
        if matches!(original.kind, TransactionKind::Refund | TransactionKind::Reversal) {
            return Err(Refusal::NotReversible.into());
        }
        if self
            .store
            .reversals_about(original.id)
            .await?
            .reversed_by
            .is_some()
        {
            return Err(Refusal::AlreadyReversed.into());
        }
        let payment = self.store.payment(original.id.cast()).await?;
        if payment.is_some_and(|payment| payment.left() == 0) {
            return Err(Refusal::PaymentClosed.into());
        }
        Ok(())
    }

    /// Does what an approved request says. The request is closed with the deed; where the deed is refused it stays
    /// open.
    pub(crate) async fn carry_out_reversal(
        &self,
        cx: &Cx,
        checked: &Checked,
        decision: &Decision,
    ) -> Result<Transaction, Error> {
        let request: ReversalRequest = serde_json::from_slice(&checked.text).map_err(Error::internal)?;
        let of = TransferId::parse(&request.transfer_id).map_err(Error::internal)?;
        let view = self.store.transaction(of.cast()).await?;
        let original = view
            .ok_or_else(|| Error::broken("a transaction that was booked is gone"))?
            .transaction;
        let (id, salt) = (cx.new_id(), random::bytes());
        let what = Carried::plain(Action::TransferReverse, Resource::Bank);
        let done = self
            .submit_approved(cx, checked, decision, what, |consent| {
                Verb::Reverse(NewReversal {
                    id,
                    of: original.id,
                    kind: original.kind,
                    from: original.to_account,
                    to: original.from_account,
                    amount: original.amount,
                    currency: original.currency,
                    approval: consent.approval,
                    digest: consent.digest,
                    sealed_reason: consent.sealed_reason,
                    checker: consent.checker,
                    salt,
                })
            })
            .await?;
        match done {
            Done::Posted(transaction) => Ok(transaction),
            _ => Err(Error::broken("another answer than asked for")),
        }
    }

    /// What took a transaction back, and what it takes back itself, for whoever may read it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reversal_links(&self, transaction: TransactionId) -> Result<ReversalsAbout, Error> {
        Ok(self.store.reversals_about(transaction).await?)
    }
}
