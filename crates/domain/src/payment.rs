//! Payments to merchants: paid once, given back in parts up to what was paid, or reversed by the bank.
//!
//! A payment remembers what was given back of it, so that of refunds and a reversal, however many and at once, together
//! never more comes back than went.

use crate::{
    id::{AccountId, MerchantId, PaymentId, UserId},
    money::{Amount, Currency},
    time::Timestamp,
};

/// How long a payment makes another one of the same payer, payee and amount look like a mistake, in seconds.
pub const DUPLICATE_WINDOW_SECS: i64 = 120;

/// How a payment stands in the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaymentState {
    /// Paid; what was given back is counted.
    Paid,
    /// The bank took back what was left of it.
    Reversed,
}

impl PaymentState {
    /// All states.
    pub const ALL: [Self; 2] = [Self::Paid, Self::Reversed];

    /// The stored number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Paid => 0,
            Self::Reversed => 1,
        }
    }

    /// Reads the stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

/// Why a payment does not give back what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// It was given back in whole, or reversed.
    #[error("nothing of the payment is left to give back")]
    Closed,
    /// Less of it is left.
    #[error("more than is left of the payment")]
    TooMuch,
}

/// A payment. It has the bytes of the transaction that booked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// Who was paid.
    pub merchant: MerchantId,
    /// Whose money it was.
    pub payer: UserId,
    /// The account debited.
    pub account: AccountId,
    /// The merchant's settlement account.
    pub to_account: AccountId,
    /// How much was paid.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// Refunded so far, minor units.
    pub refunded: i64,
    /// How it stands.
    pub state: PaymentState,
    /// When it was booked.
    pub paid_at: Timestamp,
}

impl Payment {
    /// What may still be given back, minor units.
    pub const fn left(&self) -> i64 {
        match self.state {
            PaymentState::Paid => self.amount.minor().saturating_sub(self.refunded),
            PaymentState::Reversed => 0,
        }
    }

    /// Its stable name for people.
    pub const fn status(&self) -> &'static str {
        match self.state {
            PaymentState::Reversed => "reversed",
            PaymentState::Paid if self.refunded == 0 => "paid",
            PaymentState::Paid if self.left() == 0 => "refunded",
            PaymentState::Paid => "partially_refunded",
        }
    }

    /// Gives some of it back, or all that is left.
    ///
    /// # Errors
    /// [`PaymentError`] when nothing, or less, is left.
    pub fn refund(self, asked: Option<Amount>) -> Result<(Self, Amount), PaymentError> {
        let left = Amount::new(self.left()).map_err(|_| PaymentError::Closed)?;
        let amount = asked.unwrap_or(left);
        if amount > left {
            return Err(PaymentError::TooMuch);
        }
        let refunded = self.refunded.saturating_add(amount.minor());
        Ok((Self { refunded, ..self }, amount))
    }

    /// Takes back all that is left of it, for good.
    ///
    /// # Errors
    /// [`PaymentError::Closed`] when nothing is left.
    pub fn reverse(self) -> Result<(Self, Amount), PaymentError> {
        let left = Amount::new(self.left()).map_err(|_| PaymentError::Closed)?;
        let state = PaymentState::Reversed;
        Ok((Self { state, ..self }, left))
    }

    /// How it stood before a movement out of it, given how it was left: refunds and reversals undo nothing of each
    /// other.
    pub fn before(&self, moved: i64) -> Option<Self> {
        let refunded = match self.state {
            PaymentState::Paid => self.refunded.checked_sub(moved)?,
            PaymentState::Reversed => self.refunded,
        };
        Some(Self {
            refunded,
            state: PaymentState::Paid,
            ..self.clone()
        })
    }

    /// The canonical bytes of the whole payment, as the audit log binds them: big-endian, fixed length.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(108);
        for id in [
            self.id.as_bytes(),
            self.merchant.as_bytes(),
            self.payer.as_bytes(),
            self.account.as_bytes(),
            self.to_account.as_bytes(),
        ] {
            out.extend_from_slice(id);
        }
        out.extend_from_slice(&self.amount.minor().to_be_bytes());
        out.extend_from_slice(&self.currency.code_bytes());
        out.extend_from_slice(&self.refunded.to_be_bytes());
        out.push(self.state.number());
        out.extend_from_slice(&self.paid_at.micros().to_be_bytes());
        out
    }

    /// Reads [`Self::bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (merchant, rest) = rest.split_first_chunk::<16>()?;
        let (payer, rest) = rest.split_first_chunk::<16>()?;
        let (account, rest) = rest.split_first_chunk::<16>()?;
        let (to_account, rest) = rest.split_first_chunk::<16>()?;
        let (amount, rest) = rest.split_first_chunk::<8>()?;
        let (currency, rest) = rest.split_first_chunk::<3>()?;
        let (refunded, rest) = rest.split_first_chunk::<8>()?;
        let (state, rest) = rest.split_first()?;
        let paid_at = i64::from_be_bytes(rest.try_into().ok()?);
        Some(Self {
            id: PaymentId::from_bytes(*id),
            merchant: MerchantId::from_bytes(*merchant),
            payer: UserId::from_bytes(*payer),
            account: AccountId::from_bytes(*account),
            to_account: AccountId::from_bytes(*to_account),
            amount: Amount::new(i64::from_be_bytes(*amount)).ok()?,
            currency: Currency::parse(std::str::from_utf8(currency).ok()?).ok()?,
            refunded: i64::from_be_bytes(*refunded),
            state: PaymentState::from_number(*state)?,
            paid_at: Timestamp::from_micros(paid_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payment(minor: i64) -> Payment {
        Payment {
            id: PaymentId::from_bytes([1; 16]),
            merchant: MerchantId::from_bytes([2; 16]),
            payer: UserId::from_bytes([3; 16]),
            account: AccountId::from_bytes([4; 16]),
            to_account: AccountId::from_bytes([5; 16]),
            amount: Amount::new(minor).unwrap(),
            currency: Currency::EUR,
            refunded: 0,
            state: PaymentState::Paid,
            paid_at: Timestamp::from_micros(1_000),
        }
    }

    fn minor(amount: i64) -> Option<Amount> {
        Some(Amount::new(amount).unwrap())
    }

    #[test]
    fn a_payment_is_given_back_in_parts_and_never_more_than_was_paid() {
        let (part, moved) = payment(100).refund(minor(30)).unwrap();
        assert_eq!(
            (moved.minor(), part.left(), part.status()),
            (30, 70, "partially_refunded")
        );
        assert_eq!(part.clone().refund(minor(71)), Err(PaymentError::TooMuch));
        let (whole, rest) = part.refund(None).unwrap();
        assert_eq!((rest.minor(), whole.left(), whole.status()), (70, 0, "refunded"));
        assert_eq!(whole.clone().refund(minor(1)), Err(PaymentError::Closed));
        assert_eq!(whole.reverse(), Err(PaymentError::Closed));
    }

    #[test]
    fn a_reversal_takes_what_refunds_have_left_and_ends_it() {
        let (part, _) = payment(100).refund(minor(30)).unwrap();
        let (reversed, taken) = part.reverse().unwrap();
        assert_eq!((taken.minor(), reversed.status()), (70, "reversed"));
        assert_eq!(reversed.clone().refund(None), Err(PaymentError::Closed));
        assert_eq!(reversed.reverse(), Err(PaymentError::Closed));
    }

    proptest! {
        /// Whatever is asked in whatever order, what came back is at most what went, and each step can be told
        /// backwards from how it was left.
        #[test]
        fn refunds_and_a_reversal_together_never_exceed_the_payment(
            paid in 1_i64..1_000,
            asked in prop::collection::vec(prop::option::of(prop::option::of(1_i64..400)), 0..20),
        ) {
            let (mut known, mut back) = (payment(paid), 0);
            for step in asked {
                let done = match step {
                    Some(part) => known.clone().refund(part.map(|part| Amount::new(part).unwrap())),
                    None => known.clone().reverse(),
                };
                if let Ok((after, moved)) = done {
                    back += moved.minor();
                    prop_assert_eq!(after.before(moved.minor()), Some(known));
                    known = after;
                } else if step.is_none() {
                    prop_assert_eq!(known.left(), 0);
                }
                prop_assert!(back <= paid);
                prop_assert_eq!(Payment::from_bytes(&known.bytes()), Some(known.clone()));
                prop_assert!(known.state == PaymentState::Reversed || known.left() == paid - back);
            }
        }
    }
}
