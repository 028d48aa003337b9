//! How a customer's limits are stored: fixed size, big endian.

use super::{
    Caps, CustomerLimits, Exception, LimitClass, Raise, Spent,
    parts::{Own, Period},
};
use crate::time::Timestamp;

impl CustomerLimits {
    /// Bytes of the stored form.
    pub const BYTES: usize = Self::BYTES_BEFORE_ALLOWED + 3 * 8;
    /// Before there were exceptions.
    const BYTES_FIRST: usize = 1 + 3 * 8 + 4 * 8 + 8 + 2 * 4 + 2 * 8 + 2 * 8 * LimitClass::ALL.len();
    /// Before operators had a word for one customer.
    const BYTES_BEFORE_ALLOWED: usize = Self::BYTES_FIRST + 4 * 8;
    const FORM_FIRST: u8 = 1;
    const FORM_BEFORE_ALLOWED: u8 = 2;
    const FORM: u8 = 3;

    /// The stored form: -1 for no limit, 0 for no raise, no floor and no exception.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.push(Self::FORM);
        let mut put = |number: i64| bytes.extend_from_slice(&number.to_be_bytes());
        own_numbers(&self.own).into_iter().for_each(&mut put);
        put(self.exception.map_or(0, |exception| exception.until.micros()));
        let more = self.exception.map_or(Caps::NONE, |exception| exception.caps);
        numbers(more).into_iter().for_each(&mut put);
        numbers(self.allowed).into_iter().for_each(&mut put);
        put(self.floor_until.micros());
        put(self.period.day_from.micros());
        put(self.period.month_from.micros());
        for spent in &self.spent {
            put(spent.day);
            put(spent.month);
        }
        bytes.extend_from_slice(&self.period.day.to_be_bytes());
        bytes.extend_from_slice(&self.period.month.to_be_bytes());
        bytes
    }

    /// Reads the stored form, also earlier ones; `None` when it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (form, mut rest) = bytes.split_first()?;
        let (has_exception, has_allowed) = match (*form, bytes.len()) {
            (Self::FORM, Self::BYTES) => (true, true),
            (Self::FORM_BEFORE_ALLOWED, Self::BYTES_BEFORE_ALLOWED) => (true, false),
            (Self::FORM_FIRST, Self::BYTES_FIRST) => (false, false),
            _ => return None,
        };
        let mut next = || {
            let (number, left) = rest.split_first_chunk::<8>()?;
            rest = left;
            Some(i64::from_be_bytes(*number))
        };
        let own = read_own(&mut next)?;
        let (until, more) = match has_exception {
            true => (Timestamp::from_micros(next()?), read_caps(&mut next)?),
            false => (Timestamp::default(), Caps::NONE),
        };
        let allowed = match has_allowed {
            true => read_caps(&mut next)?,
            false => Caps::NONE,
        };
        let floor_until = Timestamp::from_micros(next()?);
        let day_from = Timestamp::from_micros(next()?);
        let month_from = Timestamp::from_micros(next()?);
        let mut spent = [Spent::default(); LimitClass::ALL.len()];
        for slot in &mut spent {
            *slot = Spent {
                day: next()?,
                month: next()?,
            };
        }
        let (day, month) = rest.split_first_chunk::<4>()?;
        Some(Self {
            own,
            allowed,
            exception: (until != Timestamp::default()).then_some(Exception { until, caps: more }),
            floor_until,
            period: Period {
                day: i32::from_be_bytes(*day),
                month: i32::from_be_bytes(month.try_into().ok()?),
                day_from,
                month_from,
            },
            spent,
        })
    }
}

fn numbers(caps: Caps) -> [i64; 3] {
    [caps.per_transfer, caps.daily, caps.monthly].map(|cap| cap.unwrap_or(-1))
}

/// What is allowed oneself, and what waits: -1 for no limit, 0 for no raise.
pub(super) fn own_numbers(own: &Own) -> Vec<i64> {
    let at = own.raise.map_or(0, |raise| raise.at.micros());
    let next = own.raise.map_or(Caps::NONE, |raise| raise.caps);
    let mut all = numbers(own.caps).to_vec();
    all.push(at);
    all.extend(numbers(next));
    all
}

/// Reads what [`own_numbers`] gives.
pub(super) fn read_own(mut next: impl FnMut() -> Option<i64>) -> Option<Own> {
    let caps = read_caps(&mut next)?;
    let at = Timestamp::from_micros(next()?);
    let raised = read_caps(&mut next)?;
    Some(Own {
        caps,
        raise: (at != Timestamp::default()).then_some(Raise { at, caps: raised }),
    })
}

fn read_caps(mut next: impl FnMut() -> Option<i64>) -> Option<Caps> {
    let mut cap = || next().map(|number| Some(number).filter(|number| *number >= 0));
    Some(Caps {
        per_transfer: cap()?,
        daily: cap()?,
        monthly: cap()?,
    })
}
