//! What the bank's own bank says it did, and what of it nobody could place.

use sha2::{Digest, Sha256};

use crate::{
    id::{SuspenseItemId, TransactionId},
    money::{Amount, Currency},
    time::Timestamp,
};

/// 128-bit digest of an entry of a statement ([`tag_of`]).
pub type EntryTag = [u8; 16];

/// What an entry is known by: the account at the bank's own bank, the other bank's reference, and how much went which
/// way. The same reference on another amount is another entry, so that nothing that is said is passed over.
pub fn tag_of(
    account: &str,
    reference: &str,
    direction: Direction,
    amount: Amount,
    currency: Currency,
) -> EntryTag {
    let mut hash = Sha256::new();
    hash.update(b"strongroom/rail-entry/v1");
    for text in [account, reference, currency.code()] {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text);
    }
    hash.update([direction.number()]);
    hash.update(amount.minor().to_be_bytes());
    let mut tag = [0; 16];
    for (slot, byte) in tag.iter_mut().zip(hash.finalize()) {
        *slot = byte;
    }
    tag
}

/// SHA-256 of a file's bytes, or of one of several parts of it.
pub fn file_digest(bytes: &[u8], part: usize) -> [u8; 32] {
    let mut hash = Sha256::new().chain_update(bytes);
    if part > 0 {
        hash.update(u64::try_from(part).unwrap_or(u64::MAX).to_be_bytes());
    }
    hash.finalize().into()
}

/// Which way money went, as the bank's own bank says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the bank.
    Credit,
    /// From the bank.
    Debit,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Credit, Self::Debit];

    /// The stored number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Credit => 0,
            Self::Debit => 1,
        }
    }

    /// Reads the stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|direction| direction.number() == number)
    }

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
        }
    }
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryOutcome {
    /// A payment went.
    Settled,
    /// A payment came back.
    Returned,
    /// Money for an account.
    Credited,
    /// Nobody could place it.
    Suspended,
}

impl EntryOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Settled, Self::Returned, Self::Credited, Self::Suspended];

    /// The stored number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Settled => 0,
            Self::Returned => 1,
            Self::Credited => 2,
            Self::Suspended => 3,
        }
    }

    /// Reads the stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.number() == number)
    }

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Returned => "returned",
            Self::Credited => "credited",
            Self::Suspended => "suspended",
        }
    }
}

/// Why nobody could place an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SuspenseReason {
    /// It names no payment of ours.
    UnknownReference,
    /// It names a payment of another amount or currency.
    WrongAmount,
    /// It names a payment that never left, or of which this was said before.
    Unexpected,
    /// It is for no account of ours.
    UnknownAccount,
    /// Its account takes no money.
    AccountUnavailable,
}

impl SuspenseReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::UnknownReference,
        Self::WrongAmount,
        Self::Unexpected,
        Self::UnknownAccount,
        Self::AccountUnavailable,
    ];

    /// The stored number.
    pub const fn number(self) -> u8 {
        match self {
            Self::UnknownReference => 0,
            Self::WrongAmount => 1,
            Self::Unexpected => 2,
            Self::UnknownAccount => 3,
            Self::AccountUnavailable => 4,
        }
    }

    /// Reads the stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.number() == number)
    }

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownReference => "unknown_reference",
            Self::WrongAmount => "wrong_amount",
            Self::Unexpected => "unexpected",
            Self::UnknownAccount => "unknown_account",
            Self::AccountUnavailable => "account_unavailable",
        }
    }
}

/// Money that moved at the bank's own bank and lies on the suspense account until somebody says whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuspenseItem {
    /// Its id: that of the transaction that put it there.
    pub id: SuspenseItemId,
    /// Which way it went.
    pub direction: Direction,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// Why.
    pub reason: SuspenseReason,
    /// Since when.
    pub opened_at: Timestamp,
    /// The transaction that took it from there.
    pub resolution: Option<TransactionId>,
}

/// It is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the item is resolved")]
pub struct Resolved;

impl SuspenseItem {
    /// Takes it from there, once.
    ///
    /// # Errors
    /// [`Resolved`].
    pub fn resolve(self, by: TransactionId) -> Result<Self, Resolved> {
        match self.resolution {
            None => Ok(Self {
                resolution: Some(by),
                ..self
            }),
            Some(_) => Err(Resolved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_from_suspense_is_not_taken_again() {
        let item = SuspenseItem {
            id: SuspenseItemId::from_bytes([1; 16]),
            direction: Direction::Credit,
            amount: Amount::new(5).unwrap(),
            currency: Currency::EUR,
            reason: SuspenseReason::UnknownAccount,
            opened_at: Timestamp::default(),
            resolution: None,
        };
        let by = TransactionId::from_bytes([2; 16]);
        let resolved = item.resolve(by).unwrap();
        assert_eq!(resolved.resolution, Some(by));
        assert_eq!(resolved.resolve(by), Err(Resolved));
    }

    #[test]
    fn stored_numbers_come_back_as_they_went_in() {
        for direction in Direction::ALL {
            assert_eq!(Direction::from_number(direction.number()), Some(direction));
        }
        for reason in SuspenseReason::ALL {
            assert_eq!(SuspenseReason::from_number(reason.number()), Some(reason));
        }
        assert_eq!(SuspenseReason::from_number(5), None);
    }
}
