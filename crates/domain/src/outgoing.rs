//! Payments to beneficiaries: at once within the bank, over a rail to other banks.
//!
//! What leaves the bank is pending until the bank's own bank says that it went, or came back. As long as it is in no
//! file that was released, the payer may take it back.

use crate::{
    id::{AccountId, BeneficiaryId, PaymentId, RailFileId, UserId},
    money::{Amount, Currency},
    time::Timestamp,
};

/// How a payment to a beneficiary stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutgoingState {
    /// The payer is debited, and nobody said yet that it arrived or came back.
    Pending,
    /// It went.
    Settled,
    /// It came back.
    Returned,
    /// The payer took it back before it left.
    Cancelled,
}

impl OutgoingState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Settled, Self::Returned, Self::Cancelled];

    /// The stored number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Settled => 1,
            Self::Returned => 2,
            Self::Cancelled => 3,
        }
    }

    /// Reads the stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Settled => "settled",
            Self::Returned => "returned",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A payment to a beneficiary. It has the bytes of the transaction that debited the payer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id.
    pub id: PaymentId,
    /// Who is paid.
    pub beneficiary: BeneficiaryId,
    /// Whose money it is.
    pub payer: UserId,
    /// The account debited.
    pub account: AccountId,
    /// The account credited, where it is one of this bank.
    pub to_account: Option<AccountId>,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// How it stands.
    pub state: OutgoingState,
    /// Whether the bank's own bank has said that it was debited for it.
    pub debited: bool,
    /// The released file that it left in.
    pub file: Option<RailFileId>,
    /// When it was booked.
    pub paid_at: Timestamp,
    /// When it was settled, came back or was taken back.
    pub closed_at: Option<Timestamp>,
}

/// Why a payment does not go where it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// It is on its way, or there, or came back.
    #[error("the payment has left, or is over")]
    Left,
    /// It does not fit what the bank's own bank says.
    #[error("the payment is in no state for that")]
    Unexpected,
}

impl Outgoing {
    /// Takes it back before it leaves.
    ///
    /// # Errors
    /// [`OutgoingError::Left`].
    pub fn cancel(self, at: Timestamp) -> Result<Self, OutgoingError> {
        match (self.state, self.file) {
            (OutgoingState::Pending, None) => Ok(self.closed(OutgoingState::Cancelled, at)),
            _ => Err(OutgoingError::Left),
        }
    }

    /// It went: said once, before or after it came back.
    ///
    /// # Errors
    /// [`OutgoingError::Unexpected`] for one that never left, and for the second time.
    pub fn settle(self, at: Timestamp) -> Result<Self, OutgoingError> {
        if self.file.is_none() || self.debited {
            return Err(OutgoingError::Unexpected);
        }
        let debited = Self {
            debited: true,
            ..self
        };
        match debited.state {
            OutgoingState::Pending => Ok(debited.closed(OutgoingState::Settled, at)),
            OutgoingState::Returned => Ok(debited),
            OutgoingState::Settled | OutgoingState::Cancelled => Err(OutgoingError::Unexpected),
        }
    }

    /// It came back, once.
    ///
    /// # Errors
    /// [`OutgoingError::Unexpected`] for one that never left or came back before.
    pub fn come_back(self, at: Timestamp) -> Result<Self, OutgoingError> {
        match (self.state, self.file) {
            (OutgoingState::Pending | OutgoingState::Settled, Some(_)) => {
                Ok(self.closed(OutgoingState::Returned, at))
            }
            _ => Err(OutgoingError::Unexpected),
        }
    }

    fn closed(self, state: OutgoingState, at: Timestamp) -> Self {
        Self {
            state,
            closed_at: Some(at),
            ..self
        }
    }

    /// The canonical bytes of the whole payment, as the audit log binds them: big-endian, fixed length. What is not
    /// there is zeros.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        let none = [0; 16];
        for id in [
            self.id.as_bytes(),
            self.beneficiary.as_bytes(),
            self.payer.as_bytes(),
            self.account.as_bytes(),
            self.to_account.as_ref().map_or(&none, AccountId::as_bytes),
            self.file.as_ref().map_or(&none, RailFileId::as_bytes),
        ] {
            out.extend_from_slice(id);
        }
        out.extend_from_slice(&self.amount.minor().to_be_bytes());
        out.extend_from_slice(&self.currency.code_bytes());
        out.push(self.state.number());
        out.push(u8::from(self.debited));
        out.extend_from_slice(&self.paid_at.micros().to_be_bytes());
        out.extend_from_slice(&self.closed_at.map_or(0, Timestamp::micros).to_be_bytes());
        out
    }

    /// Reads [`Self::bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (beneficiary, rest) = rest.split_first_chunk::<16>()?;
        let (payer, rest) = rest.split_first_chunk::<16>()?;
        let (account, rest) = rest.split_first_chunk::<16>()?;
        let (to_account, rest) = rest.split_first_chunk::<16>()?;
        let (file, rest) = rest.split_first_chunk::<16>()?;
        let (amount, rest) = rest.split_first_chunk::<8>()?;
        let (currency, rest) = rest.split_first_chunk::<3>()?;
        let ([state, debited], rest) = rest.split_first_chunk::<2>()?;
        let (paid_at, rest) = rest.split_first_chunk::<8>()?;
        let closed_at = i64::from_be_bytes(rest.try_into().ok()?);
        let there = |id: &&[u8; 16]| **id != [0; 16];
        Some(Self {
            id: PaymentId::from_bytes(*id),
            beneficiary: BeneficiaryId::from_bytes(*beneficiary),
            payer: UserId::from_bytes(*payer),
            account: AccountId::from_bytes(*account),
            to_account: Some(to_account)
                .filter(there)
                .map(|id| AccountId::from_bytes(*id)),
            amount: Amount::new(i64::from_be_bytes(*amount)).ok()?,
            currency: Currency::parse(std::str::from_utf8(currency).ok()?).ok()?,
            state: OutgoingState::from_number(*state)?,
            debited: *debited == 1,
            file: Some(file).filter(there).map(|id| RailFileId::from_bytes(*id)),
            paid_at: Timestamp::from_micros(i64::from_be_bytes(*paid_at)),
            closed_at: (closed_at != 0).then(|| Timestamp::from_micros(closed_at)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_micros(5);

    fn one(file: bool) -> Outgoing {
        Outgoing {
            id: PaymentId::from_bytes([1; 16]),
            beneficiary: BeneficiaryId::from_bytes([2; 16]),
            payer: UserId::from_bytes([3; 16]),
            account: AccountId::from_bytes([4; 16]),
            to_account: None,
            amount: Amount::new(100).unwrap(),
            currency: Currency::EUR,
            state: OutgoingState::Pending,
            debited: false,
            file: file.then(|| RailFileId::from_bytes([5; 16])),
            paid_at: Timestamp::from_micros(1),
            closed_at: None,
        }
    }

    #[test]
    fn what_has_not_left_can_be_taken_back_once_and_nothing_else_happens_to_it() {
        let back = one(false).cancel(AT).unwrap();
        assert_eq!(back.state, OutgoingState::Cancelled);
        assert_eq!(back.clone().cancel(AT), Err(OutgoingError::Left));
        for stays in [one(false), back] {
            assert_eq!(stays.clone().settle(AT), Err(OutgoingError::Unexpected));
            assert_eq!(stays.come_back(AT), Err(OutgoingError::Unexpected));
        }
    }

    #[test]
    fn what_left_is_settled_once_and_comes_back_once_in_either_order() {
        assert_eq!(one(true).cancel(AT), Err(OutgoingError::Left));
        let settled = one(true).settle(AT).unwrap();
        assert_eq!(settled.state, OutgoingState::Settled);
        assert_eq!(settled.clone().settle(AT), Err(OutgoingError::Unexpected));
        let returned = settled.come_back(AT).unwrap();
        assert_eq!(
            (returned.state, returned.debited),
            (OutgoingState::Returned, true)
        );
        assert_eq!(returned.clone().come_back(AT), Err(OutgoingError::Unexpected));
        assert_eq!(returned.settle(AT), Err(OutgoingError::Unexpected));

        let first = one(true).come_back(AT).unwrap();
        assert_eq!((first.state, first.debited), (OutgoingState::Returned, false));
        let later = first.settle(AT).unwrap();
        assert_eq!((later.state, later.debited), (OutgoingState::Returned, true));
        assert_eq!(later.settle(AT), Err(OutgoingError::Unexpected));
    }
}
