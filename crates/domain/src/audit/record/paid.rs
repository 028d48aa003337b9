//! Details of payments to other banks and of what the bank's own bank says: they name the rows that a booking leaves
//! beside its transaction.

use super::Details;
use crate::{
    id::{ApprovalId, SuspenseItemId},
    money::{Amount, Currency},
    outgoing::Outgoing,
    rail::{Direction, EntryOutcome, EntryTag, SuspenseReason},
};

/// What became of an entry of a statement, as its record tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// What the entry is known by.
    pub tag: EntryTag,
    /// What became of it.
    pub outcome: EntryOutcome,
    /// Which way the money went.
    pub direction: Direction,
    /// Why nobody could place it, where nobody could.
    pub reason: Option<SuspenseReason>,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// The payment of ours that it is about, as it was left.
    pub payment: Option<Outgoing>,
}

/// Stands for no reason.
const NO_REASON: u8 = 0xff;
/// Bytes before the payment: tag, outcome, direction, reason, amount, currency.
const HEAD_BYTES: usize = 16 + 3 + 8 + 3;

impl Stated {
    fn bytes(&self) -> Vec<u8> {
        let mut out = self.tag.to_vec();
        out.push(self.outcome.number());
        out.push(self.direction.number());
        out.push(self.reason.map_or(NO_REASON, SuspenseReason::number));
        out.extend_from_slice(&self.amount.minor().to_be_bytes());
        out.extend_from_slice(&self.currency.code_bytes());
        out.extend_from_slice(&self.payment.as_ref().map(Outgoing::bytes).unwrap_or_default());
        out
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, payment) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let (tag, rest) = head.split_first_chunk::<16>()?;
        let ([outcome, direction, reason], rest) = rest.split_first_chunk::<3>()?;
        let (amount, currency) = rest.split_first_chunk::<8>()?;
        let reason = match *reason {
            NO_REASON => None,
            number => Some(SuspenseReason::from_number(number)?),
        };
        Some(Self {
            tag: *tag,
            outcome: EntryOutcome::from_number(*outcome)?,
            direction: Direction::from_number(*direction)?,
            reason,
            amount: Amount::new(i64::from_be_bytes(*amount)).ok()?,
            currency: Currency::parse(std::str::from_utf8(currency).ok()?).ok()?,
            payment: match payment {
                [] => None,
                payment => Some(Outgoing::from_bytes(payment)?),
            },
        })
    }
}

impl Details {
    /// A booked transaction, by its digest, and the payment to a beneficiary that it is of, as it was left.
    pub fn sent(digest: &[u8; 32], payment: &Outgoing) -> Self {
        let mut bytes = vec![Self::SENT];
        bytes.extend_from_slice(digest);
        bytes.extend_from_slice(&payment.bytes());
        Self(bytes)
    }

    /// What became of an entry of a statement, and the transaction that booked it, by its digest, where money moved
    /// here.
    pub fn stated(digest: Option<&[u8; 32]>, stated: &Stated) -> Self {
        let mut bytes = match digest {
            Some(digest) => [&[Self::STATED][..], digest].concat(),
            None => vec![Self::NOTED],
        };
        bytes.extend_from_slice(&stated.bytes());
        Self(bytes)
    }

    /// A booked transaction, by its digest, the approval that it was done by, and the item of suspense that it ended.
    pub fn resolved(digest: &[u8; 32], approval: ApprovalId, item: SuspenseItemId) -> Self {
        let mut details = Self::approved(digest, approval);
        details.0.extend_from_slice(item.as_bytes());
        details
    }

    /// The payment to a beneficiary as it was left, where the record is about one.
    pub fn outgoing_state(&self) -> Option<Outgoing> {
        match self.split_first() {
            Some((&Self::SENT, both)) => Outgoing::from_bytes(both.split_at_checked(32)?.1),
            _ => self.stated_as()?.payment,
        }
    }

    /// What became of an entry of a statement, where the record tells it.
    pub fn stated_as(&self) -> Option<Stated> {
        match self.split_first() {
            Some((&Self::STATED, both)) => Stated::from_bytes(both.split_at_checked(32)?.1),
            Some((&Self::NOTED, stated)) => Stated::from_bytes(stated),
            _ => None,
        }
    }

    /// The item of suspense that a booking ended, where the record names one.
    pub fn resolved_item(&self) -> Option<SuspenseItemId> {
        let (&Self::APPROVED, rest) = self.split_first()? else {
            return None;
        };
        let (_, item) = rest.split_at_checked(48)?;
        Some(SuspenseItemId::from_bytes(item.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{AccountId, BeneficiaryId, PaymentId, RailFileId, UserId},
        outgoing::OutgoingState,
        time::Timestamp,
    };

    fn payment(to: Option<AccountId>, file: Option<RailFileId>, closed: Option<i64>) -> Outgoing {
        Outgoing {
            id: PaymentId::from_bytes([1; 16]),
            beneficiary: BeneficiaryId::from_bytes([2; 16]),
            payer: UserId::from_bytes([3; 16]),
            account: AccountId::from_bytes([4; 16]),
            to_account: to,
            amount: Amount::new(7).unwrap(),
            currency: Currency::EUR,
            state: OutgoingState::Returned,
            debited: closed.is_some(),
            file,
            paid_at: Timestamp::from_micros(5),
            closed_at: closed.map(Timestamp::from_micros),
        }
    }

    #[test]
    fn what_was_sent_and_what_was_said_of_it_come_back_as_they_went_in() {
        let here = payment(Some(AccountId::from_bytes([5; 16])), None, Some(6));
        let elsewhere = payment(None, Some(RailFileId::from_bytes([6; 16])), None);
        for payment in [&here, &elsewhere] {
            let details = Details::sent(&[9; 32], payment);
            assert_eq!(details.transaction_digest(), Some([9; 32]));
            assert_eq!(details.outgoing_state().as_ref(), Some(payment));
            assert_eq!(details.stated_as(), None);
        }
        for (payment, reason) in [(Some(elsewhere), None), (None, Some(SuspenseReason::Unexpected))] {
            let stated = Stated {
                tag: [8; 16],
                outcome: EntryOutcome::Returned,
                direction: Direction::Credit,
                reason,
                amount: Amount::new(300).unwrap(),
                currency: Currency::EUR,
                payment,
            };
            let (booked, noted) = (
                Details::stated(Some(&[9; 32]), &stated),
                Details::stated(None, &stated),
            );
            assert_eq!(booked.transaction_digest(), Some([9; 32]));
            assert_eq!(noted.transaction_digest(), None);
            for details in [booked, noted] {
                assert_eq!(details.stated_as().as_ref(), Some(&stated));
                assert_eq!(details.outgoing_state(), stated.payment);
                let cut = details.as_bytes().len().saturating_sub(1);
                assert_eq!(
                    Details::from_bytes(details.as_bytes()[..cut].to_vec()).stated_as(),
                    None
                );
            }
        }
    }

    #[test]
    fn a_resolution_names_its_item_and_is_an_approval_to_whoever_knows_no_items() {
        let (approval, item) = (
            ApprovalId::from_bytes([1; 16]),
            SuspenseItemId::from_bytes([2; 16]),
        );
        let details = Details::resolved(&[9; 32], approval, item);
        assert_eq!(details.resolved_item(), Some(item));
        assert_eq!(details.approval(), Some(approval));
        assert_eq!(details.transaction_digest(), Some([9; 32]));
        assert_eq!(Details::approved(&[9; 32], approval).resolved_item(), None);
    }
}
