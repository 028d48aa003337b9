//! What takes two people: one asked for it, and another's word is spent in the commit that does it.

use crate::{
    id::{ApprovalId, UserId},
    ledger::{
        book::{Book, Changes},
        payments::Decided,
        refusal::Refusal,
    },
};

/// The word of whoever decides about a request of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The request.
    pub approval: ApprovalId,
    /// Digest of what it says.
    pub digest: [u8; 32],
    /// Who decides.
    pub checker: UserId,
    /// Why, sealed by the ring.
    pub sealed_reason: Option<Vec<u8>>,
}

/// Whether the request is open, its time not over, and says exactly this.
pub(super) fn check(book: &Book, consent: &Consent) -> Result<(), Refusal> {
    let approval = book.payments.approvals.get(&consent.approval);
    let open = approval.is_some_and(|open| open.digest == consent.digest && book.booked_at < open.expires_at);
    if open {
        Ok(())
    } else {
        Err(Refusal::ApprovalClosed)
    }
}

/// Closes the request: it is carried out.
pub(super) fn spend(book: &mut Book, changes: &mut Changes, consent: &Consent) {
    book.payments.approvals.remove(&consent.approval);
    changes.payments.decided.push(Decided {
        approval: consent.approval,
        digest: consent.digest,
        checker: consent.checker,
        sealed_reason: consent.sealed_reason.clone(),
    });
}
