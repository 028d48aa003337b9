//! Holds: money that is reserved on an account for one payee until it is captured, voided or expires.
//!
//! A hold is open, or it has ended for good in one of three ways. What it reserves counts against the account until
//! then and not a moment longer: an expired hold reserves nothing even before the books have written so.

use crate::{
    id::{AccountId, HoldId},
    money::{Amount, Currency},
    time::Timestamp,
};

/// Longest life of a hold, in seconds: 31 days.
pub const HOLD_SECONDS_MAX: i64 = 31 * 86_400;
/// Life of a hold that names no end, in seconds: 7 days.
pub const HOLD_SECONDS_DEFAULT: i64 = 7 * 86_400;
/// Most open holds on one account: bounds what a batch reads when they expire.
pub const HOLDS_PER_ACCOUNT_MAX: u32 = 1_000;

/// How a hold stands in the books. Only an open one changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldState {
    /// It reserves what was not captured yet.
    Open,
    /// Captured in whole, or for the last time.
    Captured,
    /// Given back on purpose.
    Voided,
    /// Given back by time.
    Expired,
}

impl HoldState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Open, Self::Captured, Self::Voided, Self::Expired];

    /// The stored number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Captured => 1,
            Self::Voided => 2,
            Self::Expired => 3,
        }
    }

    /// Reads the stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

/// Why a hold does not do what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// It was captured, voided, or is over.
    #[error("the hold is not open")]
    NotOpen,
    /// It does not reserve that much.
    #[error("more than the hold reserves")]
    TooMuch,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// The account on which money is reserved.
    pub account: AccountId,
    /// Who gets what is captured.
    pub to_account: AccountId,
    /// How much was reserved at first.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// Captured so far, minor units.
    pub captured: i64,
    /// How it stands.
    pub state: HoldState,
    /// Since when.
    pub placed_at: Timestamp,
    /// From this moment on it reserves nothing.
    pub expires_at: Timestamp,
    /// When it ended; `None` while it is open.
    pub closed_at: Option<Timestamp>,
    /// Whether it waits for somebody of the bank to look at the transfer that it stands for: then nobody but they move
    /// its money, and who sent it may only take it back.
    pub review: bool,
}

/// What is asked of [`Hold::capture`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// How much; all that is left when absent.
    pub amount: Option<Amount>,
    /// Give back what is left afterwards.
    pub last: bool,
}

/// What a capture made of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The hold afterwards.
    pub hold: Hold,
    /// What is to be paid.
    pub amount: Amount,
    /// What it no longer reserves, minor units: at least the amount.
    pub released: i64,
}

impl Hold {
    /// What it reserves as the books have it, minor units.
    pub const fn reserved(&self) -> i64 {
        match self.state {
            HoldState::Open => self.amount.minor().saturating_sub(self.captured),
            HoldState::Captured | HoldState::Voided | HoldState::Expired => 0,
        }
    }

    /// Whether it is open in the books and its time is over.
    pub fn is_due(&self, at: Timestamp) -> bool {
        self.state == HoldState::Open && self.expires_at <= at
    }

    /// What it reserves at a moment, minor units.
    pub fn remaining(&self, at: Timestamp) -> i64 {
        if self.is_due(at) { 0 } else { self.reserved() }
    }

    /// Its stable name for people at a moment.
    pub fn status(&self, at: Timestamp) -> &'static str {
        match self.state {
            HoldState::Open if self.is_due(at) => "expired",
            HoldState::Open if self.captured == 0 => "held",
            HoldState::Open => "partially_captured",
            HoldState::Captured => "captured",
            HoldState::Voided => "voided",
            HoldState::Expired => "expired",
        }
    }

    /// Turns some or all of it into a payment.
    ///
    /// # Errors
    /// [`HoldError`] when it is not open at that moment, or reserves less.
    pub fn capture(self, take: Take, at: Timestamp) -> Result<Taken, HoldError> {
        let left = self.open(at)?;
        let amount = match take.amount {
            Some(amount) if amount.minor() > left => return Err(HoldError::TooMuch),
            Some(amount) => amount,
            None => Amount::new(left).map_err(|_| HoldError::NotOpen)?,
        };
        let ends = take.last || amount.minor() == left;
        let hold = Self {
            captured: self.captured.saturating_add(amount.minor()),
            state: if ends {
                HoldState::Captured
            } else {
                HoldState::Open
            },
            closed_at: ends.then_some(at),
            ..self
        };
        let released = left.saturating_sub(hold.reserved());
        Ok(Taken {
            hold,
            amount,
            released,
        })
    }

    /// Gives back what it reserves.
    ///
    /// # Errors
    /// [`HoldError::NotOpen`].
    pub fn void(self, at: Timestamp) -> Result<Self, HoldError> {
        self.open(at)?;
        Ok(self.ended(HoldState::Voided, at))
    }

    /// Writes down that its time is over; as it is where it is not.
    #[must_use]
    pub fn expire(self, at: Timestamp) -> Self {
        if self.is_due(at) {
            let end = self.expires_at;
            self.ended(HoldState::Expired, end)
        } else {
            self
        }
    }

    fn open(&self, at: Timestamp) -> Result<i64, HoldError> {
        match self.remaining(at) {
            left if left > 0 => Ok(left),
            _ => Err(HoldError::NotOpen),
        }
    }

    fn ended(self, state: HoldState, at: Timestamp) -> Self {
        Self {
            state,
            closed_at: Some(at),
            ..self
        }
    }

    /// In the byte of the state.
    const REVIEW: u8 = 0x80;

    /// The canonical bytes of the whole hold, as the audit log binds them: big-endian, fixed length.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(92);
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(self.account.as_bytes());
        out.extend_from_slice(self.to_account.as_bytes());
        out.extend_from_slice(&self.amount.minor().to_be_bytes());
        out.extend_from_slice(&self.currency.code_bytes());
        out.extend_from_slice(&self.captured.to_be_bytes());
        out.push(self.state.number() | if self.review { Self::REVIEW } else { 0 });
        out.extend_from_slice(&self.placed_at.micros().to_be_bytes());
        out.extend_from_slice(&self.expires_at.micros().to_be_bytes());
        out.extend_from_slice(&self.closed_at.map_or(0, Timestamp::micros).to_be_bytes());
        out
    }

    /// Reads [`Self::bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (account, rest) = rest.split_first_chunk::<16>()?;
        let (to_account, rest) = rest.split_first_chunk::<16>()?;
        let (amount, rest) = rest.split_first_chunk::<8>()?;
        let (currency, rest) = rest.split_first_chunk::<3>()?;
        let (captured, rest) = rest.split_first_chunk::<8>()?;
        let (state, rest) = rest.split_first()?;
        let (placed_at, rest) = rest.split_first_chunk::<8>()?;
        let (expires_at, rest) = rest.split_first_chunk::<8>()?;
        let closed_at = i64::from_be_bytes(rest.try_into().ok()?);
        let time = |bytes| Timestamp::from_micros(i64::from_be_bytes(bytes));
        Some(Self {
            id: HoldId::from_bytes(*id),
            account: AccountId::from_bytes(*account),
            to_account: AccountId::from_bytes(*to_account),
            amount: Amount::new(i64::from_be_bytes(*amount)).ok()?,
            currency: Currency::parse(std::str::from_utf8(currency).ok()?).ok()?,
            captured: i64::from_be_bytes(*captured),
            state: HoldState::from_number(*state & !Self::REVIEW)?,
            placed_at: time(*placed_at),
            expires_at: time(*expires_at),
            closed_at: (closed_at != 0).then(|| Timestamp::from_micros(closed_at)),
            review: *state & Self::REVIEW != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000);
    const END: Timestamp = Timestamp::from_micros(2_000);

    fn hold(minor: i64) -> Hold {
        Hold {
            id: HoldId::from_bytes([1; 16]),
            account: AccountId::from_bytes([2; 16]),
            to_account: AccountId::from_bytes([3; 16]),
            amount: Amount::new(minor).unwrap(),
            currency: Currency::EUR,
            captured: 0,
            state: HoldState::Open,
            placed_at: NOW,
            expires_at: END,
            closed_at: None,
            review: false,
        }
    }

    fn take(minor: i64, last: bool) -> Take {
        Take {
            amount: Some(Amount::new(minor).unwrap()),
            last,
        }
    }

    #[test]
    fn a_hold_is_captured_in_parts_up_to_what_it_reserves() {
        let first = hold(100).capture(take(30, false), NOW).unwrap();
        assert_eq!((first.amount.minor(), first.released), (30, 30));
        assert_eq!(first.hold.status(NOW), "partially_captured");
        assert_eq!(
            first.hold.clone().capture(take(71, false), NOW),
            Err(HoldError::TooMuch)
        );
        let all = Take {
            amount: None,
            last: false,
        };
        let rest = first.hold.capture(all, NOW).unwrap();
        assert_eq!((rest.amount.minor(), rest.released), (70, 70));
        assert_eq!((rest.hold.status(NOW), rest.hold.reserved()), ("captured", 0));
    }

    #[test]
    fn the_last_capture_gives_the_rest_back() {
        let taken = hold(100).capture(take(30, true), NOW).unwrap();
        assert_eq!((taken.amount.minor(), taken.released), (30, 100));
        assert_eq!(taken.hold.state, HoldState::Captured);
        assert_eq!(taken.hold.closed_at, Some(NOW));
    }

    #[test]
    fn what_has_ended_does_nothing_any_more() {
        let captured = hold(100).capture(take(100, false), NOW).unwrap().hold;
        let last = hold(100).capture(take(1, true), NOW).unwrap().hold;
        let voided = hold(100).void(NOW).unwrap();
        let expired = hold(100).expire(END);
        for ended in [captured, last, voided, expired] {
            assert_eq!(
                ended.clone().capture(take(1, false), NOW),
                Err(HoldError::NotOpen)
            );
            assert_eq!(ended.clone().void(NOW), Err(HoldError::NotOpen));
            assert_eq!(ended.clone().expire(END), ended);
            assert_eq!(ended.reserved(), 0);
        }
    }

    #[test]
    fn it_expires_to_the_microsecond_whether_or_not_somebody_has_written_it_down() {
        let before = Timestamp::from_micros(1_999);
        assert_eq!((hold(5).remaining(before), hold(5).status(before)), (5, "held"));
        assert_eq!((hold(5).remaining(END), hold(5).status(END)), (0, "expired"));
        assert!(hold(5).capture(take(5, false), before).is_ok());
        assert_eq!(hold(5).capture(take(5, false), END), Err(HoldError::NotOpen));
        assert_eq!(hold(5).void(END), Err(HoldError::NotOpen));
        assert_eq!(hold(5).expire(before), hold(5));
        // It ended when its time was over, not when somebody noticed.
        let late = hold(5).expire(Timestamp::from_micros(9_999));
        assert_eq!((late.state, late.closed_at), (HoldState::Expired, Some(END)));
    }

    #[test]
    fn its_bytes_say_everything() {
        for hold in [
            hold(100),
            hold(100).capture(take(30, false), NOW).unwrap().hold,
            hold(100).void(NOW).unwrap(),
            Hold {
                review: true,
                ..hold(100)
            },
        ] {
            assert_eq!(Hold::from_bytes(&hold.bytes()), Some(hold.clone()));
            assert_eq!(Hold::from_bytes(&hold.bytes()[1..]), None);
        }
    }
}
