//! What rules can ask about a movement.

use super::{
    features::{Features, is_near, is_small},
    window::Span,
};
use crate::{
    money::{Amount, Currency},
    time::Timestamp,
};

/// Movements that a baseline needs before one is held against it.
const BASELINE_MIN: u32 = 8;
const DAY_SECS: i64 = 86_400;

/// A movement that is about to be decided, with all that rules may look at.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// When it would be booked.
    pub at: Timestamp,
    /// Hour of the day in the bank's time zone, 0 to 23.
    pub hour: u8,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// What is known of the payer; `None` where the row is missing or cannot be read.
    pub payer: Option<&'a Features>,
    /// What is known of the payee.
    pub payee: Option<&'a Features>,
    /// The payee's account ([`super::tag_of`]).
    pub to: u32,
    /// What the payer's account could spend, minor units; `None` where it has no floor.
    pub spendable: Option<i64>,
    /// Whether limits are at their floor after signs of a takeover.
    pub floor: bool,
    /// Whether a program asks.
    pub program: bool,
    /// Where the request came from, where that is known.
    pub network: Option<u32>,
}

macro_rules! measures {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// A number that is measured of a movement. Counts and sums include the movement itself; sums and amounts are
        /// in hundredths of a unit of the currency, whatever its minor unit is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Measure { $($(#[$doc])* $variant,)* }

        impl Measure {
            /// All measures.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

measures! {
    /// 1 where nothing is known of the payer: the row is missing or cannot be read.
    Unknown = "unknown";
    /// The amount.
    Amount = "amount";
    /// The amount in percent of the payer's median; 0 without enough of a past.
    AmountPercent = "amount_percent";
    /// The amount in percent of what 95 of 100 of the payer's movements do not exceed; 0 without enough of a past.
    TopPercent = "top_percent";
    /// How many movements the baseline is of, 0 to 240.
    History = "history";
    /// Days since the first movement.
    AgeDays = "age_days";
    /// Days since money went out last; 0 where none did.
    IdleDays = "idle_days";
    /// 1 where the payee is none of the recent ones.
    NewPayee = "new_payee";
    /// New payees within a day, with this one.
    NewPayeesDay = "new_payees_day";
    /// Movements out within ten minutes.
    OutTenMinutes = "out_10_minutes";
    /// Movements out within an hour.
    OutHour = "out_hour";
    /// Paid out within an hour.
    OutHourAmount = "out_hour_amount";
    /// Movements out within a day.
    OutDay = "out_day";
    /// Paid out within a day.
    OutDayAmount = "out_day_amount";
    /// Paid out within a week.
    OutWeekAmount = "out_week_amount";
    /// Movements in within a day.
    InDay = "in_day";
    /// Received within an hour.
    InHourAmount = "in_hour_amount";
    /// Received within a day.
    InDayAmount = "in_day_amount";
    /// Paid out within a day in percent of what was received within a day; 0 where nothing was.
    PassingPercent = "passing_percent";
    /// Movements a little below 10,000 units within a day.
    NearDay = "near_day";
    /// Movements of at most two units within an hour.
    SmallHour = "small_hour";
    /// Thousandths of the past that happened within an hour of this time of day.
    HourShare = "hour_share";
    /// The amount in percent of what the account could spend.
    DrainPercent = "drain_percent";
    /// 1 where the payee paid this customer lately.
    Returns = "returns";
    /// Refunds to this customer within a week.
    RefundsWeek = "refunds_week";
    /// Refunds within a week in percent of what was paid to merchants.
    RefundPercent = "refund_percent";
    /// 1 where the request comes from none of the recent networks, and there was one before.
    NewNetwork = "new_network";
    /// Minutes since another network was used; a million where there was none.
    NetworkMinutes = "network_minutes";
    /// 1 after signs of a takeover.
    Floor = "floor";
    /// 1 where a program asks.
    Program = "program";
    /// Days since the payee's first movement; 0 where nothing is known.
    PayeeAgeDays = "payee_age_days";
    /// New payers of the payee within a day.
    PayeeNewPayersDay = "payee_new_payers_day";
    /// Received by the payee within a day, with this.
    PayeeInDayAmount = "payee_in_day_amount";
}

impl Measure {
    /// Reads a stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|measure| measure.name() == name)
    }

    /// Measures.
    pub fn of(self, scene: &Scene<'_>) -> i64 {
        let nothing = Features::default();
        let (payer, payee) = (scene.payer.unwrap_or(&nothing), scene.payee.unwrap_or(&nothing));
        let (at, amount) = (scene.at, scene.amount.minor());
        let flag = i64::from;
        let more = |(count, sum): (i64, i64)| (count.saturating_add(1), sum.saturating_add(amount));
        let out = |span| more(payer.out_within(span, at));
        let into = |span| payer.in_within(span, at);
        let one_if = |condition: bool, count: i64| count.saturating_add(i64::from(condition));
        let new_payee = !payer.payees.has(scene.to);
        match self {
            Self::Unknown => flag(scene.payer.is_none()),
            Self::Amount => hundredths(amount, scene.currency),
            Self::AmountPercent => payer.percent_of(500, amount),
            Self::TopPercent => payer.percent_of(950, amount),
            Self::History => i64::from(payer.amounts.count()),
            Self::AgeDays => days_since(payer.since, at),
            Self::IdleDays => days_since(payer.last_out, at),
            Self::NewPayee => flag(new_payee),
            Self::NewPayeesDay => one_if(new_payee, payer.new_payees.total(Span::Day, at).0),
            Self::OutTenMinutes => out(Span::TenMinutes).0,
            Self::OutHour => out(Span::Hour).0,
            Self::OutHourAmount => hundredths(out(Span::Hour).1, scene.currency),
            Self::OutDay => out(Span::Day).0,
            Self::OutDayAmount => hundredths(out(Span::Day).1, scene.currency),
            Self::OutWeekAmount => hundredths(out(Span::Week).1, scene.currency),
            Self::InDay => into(Span::Day).0,
            Self::InHourAmount => hundredths(into(Span::Hour).1, scene.currency),
            Self::InDayAmount => hundredths(into(Span::Day).1, scene.currency),
            Self::PassingPercent => percent(out(Span::Day).1, into(Span::Day).1),
            Self::NearDay => one_if(is_near(amount, scene.currency), payer.near.total(Span::Day, at).0),
            Self::SmallHour => one_if(
                is_small(amount, scene.currency),
                payer.small.total(Span::Hour, at).0,
            ),
            Self::HourShare => payer.hours.share(scene.hour),
            Self::DrainPercent => scene.spendable.map_or(0, |spendable| percent(amount, spendable)),
            Self::Returns => flag(payer.payers.has(scene.to)),
            Self::RefundsWeek => payer.refunds.total(Span::Week, at).0,
            Self::RefundPercent => percent(
                payer.refunds.total(Span::Week, at).1,
                payer.paid.total(Span::Week, at).1,
            ),
            Self::NewNetwork => flag(
                scene
                    .network
                    .is_some_and(|network| payer.network != 0 && !payer.networks.has(network)),
            ),
            Self::NetworkMinutes => match scene.network {
                Some(network) if payer.network != 0 && payer.network != network => {
                    let seconds = at.seconds_since(payer.network_at).max(0);
                    seconds.checked_div(60).unwrap_or(0)
                }
                _ => 1_000_000,
            },
            Self::Floor => flag(scene.floor),
            Self::Program => flag(scene.program),
            Self::PayeeAgeDays => days_since(payee.since, at),
            Self::PayeeNewPayersDay => payee.new_payers.total(Span::Day, at).0,
            Self::PayeeInDayAmount => hundredths(more(payee.in_within(Span::Day, at)).1, scene.currency),
        }
    }
}

impl Features {
    fn out_within(&self, span: Span, at: Timestamp) -> (i64, i64) {
        let mut windows = self.out.iter().zip(Span::ALL);
        let found = windows.find(|(_, other)| *other == span);
        found.map_or((0, 0), |(window, _)| window.total(span, at))
    }

    fn in_within(&self, span: Span, at: Timestamp) -> (i64, i64) {
        let mut windows = self.into.iter().zip(Span::ALL);
        let found = windows.find(|(_, other)| *other == span);
        found.map_or((0, 0), |(window, _)| window.total(span, at))
    }

    fn percent_of(&self, thousandths: u32, amount: i64) -> i64 {
        if self.amounts.count() < BASELINE_MIN {
            return 0;
        }
        self.amounts
            .quantile(thousandths)
            .map_or(0, |usual| percent(amount, usual))
    }
}

/// A part in percent of a whole; 0 where there is no whole.
fn percent(part: i64, whole: i64) -> i64 {
    let percent = i128::from(part)
        .saturating_mul(100)
        .checked_div(i128::from(whole));
    percent.map_or(0, |percent| i64::try_from(percent).unwrap_or(i64::MAX))
}

fn days_since(earlier: Timestamp, at: Timestamp) -> i64 {
    if earlier == Timestamp::default() {
        return 0;
    }
    at.seconds_since(earlier)
        .max(0)
        .checked_div(DAY_SECS)
        .unwrap_or(0)
}

/// Minor units in hundredths of a unit.
fn hundredths(minor: i64, currency: Currency) -> i64 {
    let unit = 10_i64.saturating_pow(u32::from(currency.exponent()));
    let hundredths = i128::from(minor)
        .saturating_mul(100)
        .checked_div(i128::from(unit));
    hundredths.map_or(i64::MAX, |hundredths| {
        i64::try_from(hundredths).unwrap_or(i64::MAX)
    })
}
