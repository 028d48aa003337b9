//! What bounds the money of customers.

use strongroom_app::bank::FraudSettings;
use strongroom_domain::{
    beneficiary::RampRules,
    fraud::FraudMode,
    limits::{LimitClass, LimitRules},
};

use super::{Reader, TABLE};

impl Reader<'_> {
    pub(super) fn customer_limits(&self) -> LimitRules {
        let rule = |class: LimitClass| {
            let key = TABLE.iter().map(|setting| setting.key);
            let mut keys = key.filter(|key| key.strip_prefix("customer_limits.") == Some(class.name()));
            keys.next().and_then(|key| self.caps(key))
        };
        LimitRules {
            classes: LimitClass::ALL
                .into_iter()
                .filter_map(|class| rule(class).map(|rule| (class, rule)))
                .collect(),
            floor: self.caps("customer_limits.floor").unwrap_or_default(),
            bank_day: self.caps("customer_limits.bank_day").unwrap_or_default(),
            ramp: self.ramp(),
            two_people_over: self
                .number("counter.two_people_over")
                .and_then(|units| i64::try_from(units).ok()),
        }
    }

    fn ramp(&self) -> RampRules {
        let number = |key, unit: i64| {
            let number = self.number(key).and_then(|number| i64::try_from(number).ok());
            number.unwrap_or_default().saturating_mul(unit)
        };
        RampRules {
            cooling_secs: number("beneficiaries.cooling_hours", 3_600),
            cooling_units: number("beneficiaries.cooling_total", 1),
            ramp_secs: number("beneficiaries.ramp_days", 86_400),
            ramp_units: number("beneficiaries.ramp_total", 1),
        }
    }

    pub(super) fn fraud(&self) -> FraudSettings {
        let small = |key| {
            self.number(key)
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or_default()
        };
        FraudSettings {
            mode: self
                .text("fraud.mode")
                .and_then(|mode| mode.parse().ok())
                .unwrap_or(FraudMode::Enforce),
            two_release_over: self.number("fraud.two_release_over").unwrap_or_default(),
            reviews_kept_days: self
                .number("fraud.reviews_kept_days")
                .and_then(|days| u32::try_from(days).ok())
                .unwrap_or(u32::MAX),
            trial_hours_min: small("fraud.trial_hours_min"),
            trial_payments_min: small("fraud.trial_payments_min"),
        }
    }
}
