//! What the limits of customers and of their accounts have in common.

use super::{Caps, Moment, RAISE_WAIT_SECS, Raise, Spent};
use crate::time::Timestamp;

/// What somebody allows oneself, and a raise of it that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Own {
    pub(super) caps: Caps,
    pub(super) raise: Option<Raise>,
}

impl Own {
    /// What counts now.
    pub(super) fn at(&self, at: Timestamp) -> Caps {
        match self.raise {
            Some(raise) if raise.at <= at => raise.caps,
            _ => self.caps,
        }
    }

    pub(super) fn waiting(&self, at: Timestamp) -> Option<Raise> {
        self.raise.filter(|raise| raise.at > at)
    }

    /// What is lower counts at once, what is higher after [`RAISE_WAIT_SECS`]. Gives back whether something is raised.
    pub(super) fn set(&mut self, caps: Caps, at: Timestamp) -> bool {
        self.caps = self.at(at).stricter(caps);
        let raises = self.caps != caps;
        self.raise = raises.then(|| Raise {
            at: at.plus_seconds(RAISE_WAIT_SECS),
            caps,
        });
        raises
    }

    pub(super) fn would_raise(&self, caps: Caps, at: Timestamp) -> bool {
        self.at(at).stricter(caps) != caps
    }
}

/// The day and the month that are counted, and when each was first counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Period {
    pub(super) day: i32,
    pub(super) month: i32,
    pub(super) day_from: Timestamp,
    pub(super) month_from: Timestamp,
}

impl Period {
    /// A new day or month begins at nothing.
    pub(super) fn turn<'a>(&mut self, moment: Moment, spent: impl Iterator<Item = &'a mut Spent>) {
        let (day, month) = (moment.day.days(), moment.day.month_number());
        let (new_day, new_month) = (day != self.day, month != self.month);
        if new_month {
            (self.month, self.month_from) = (month, moment.at);
        }
        if new_day {
            (self.day, self.day_from) = (day, moment.at);
        }
        if new_day || new_month {
            for spent in spent {
                spent.day = if new_day { 0 } else { spent.day };
                spent.month = if new_month { 0 } else { spent.month };
            }
        }
    }

    /// Whether the day, and the month, of that moment are still being counted.
    pub(super) fn still_counts(&self, counted_at: Timestamp) -> (bool, bool) {
        (counted_at >= self.day_from, counted_at >= self.month_from)
    }
}

impl Spent {
    pub(super) fn add(&mut self, amount: i64) {
        self.day = self.day.saturating_add(amount);
        self.month = self.month.saturating_add(amount);
    }

    pub(super) fn give_back(&mut self, amount: i64, (today, this_month): (bool, bool)) {
        if today {
            self.day = self.day.saturating_sub(amount).max(0);
        }
        if this_month {
            self.month = self.month.saturating_sub(amount).max(0);
        }
    }
}
