//! The one place that asks the system for the time.

use std::{fmt::Debug, sync::Arc};

use jiff::tz::TimeZone;
use strongroom_domain::{
    fraud::FraudRules,
    limits::LimitRules,
    time::{Date, Timestamp},
};
use strongroom_store::ledger::LaneClock;

use crate::money::fraud::FraudInForce;

/// A source of time. Tests choose it.
pub trait Clock: Send + Sync + Debug {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where cx.now() comes from")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The bank's clock, calendar and rules, as the lane asks for them.
#[derive(Debug, Clone)]
pub struct BankClock {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where the bank's days begin and end.
    pub zone: TimeZone,
    /// What the bank allows its customers to pay.
    pub limits: Arc<LimitRules>,
    /// The rules about fraud that are in force.
    pub fraud: FraudInForce,
}

impl LaneClock for BankClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn day(&self, at: Timestamp) -> Date {
        at.date_in(&self.zone)
    }

    fn limits(&self) -> Arc<LimitRules> {
        self.limits.clone()
    }

    fn hour(&self, at: Timestamp) -> u8 {
        at.hour_in(&self.zone)
    }

    fn fraud(&self) -> Arc<FraudRules> {
        self.fraud.now()
    }
}
