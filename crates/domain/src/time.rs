//! Moments and days. A rule is given the time, it never asks for it.

use std::fmt;

use jiff::{Timestamp as JiffTimestamp, civil, tz::TimeZone};

/// A moment in UTC, in whole microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Not an RFC 3339 moment or date within the years 1900 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid RFC 3339 time")]
pub struct TimeError;

const MICROS_PER_SECOND: i64 = 1_000_000;
const EPOCH: civil::Date = civil::date(1970, 1, 1);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// This moment plus whole seconds, saturating at the ends of time.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(MICROS_PER_SECOND)))
    }

    /// Whole seconds from `earlier` to here; negative when `earlier` is later.
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).div_euclid(MICROS_PER_SECOND)
    }

    /// Reads RFC 3339 text with any offset; digits below a microsecond are dropped.
    ///
    /// # Errors
    /// [`TimeError`] when the text is no such moment.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let parsed: JiffTimestamp = text.parse().map_err(|_| TimeError)?;
        Ok(Self(parsed.as_microsecond()))
    }

    /// The day of this moment in a time zone.
    pub fn date_in(self, zone: &TimeZone) -> Date {
        JiffTimestamp::from_microsecond(self.0)
            .map(|moment| Date(zone.to_datetime(moment).date()))
            .unwrap_or_default()
    }

    /// The hour of this moment in a time zone, 0 to 23.
    pub fn hour_in(self, zone: &TimeZone) -> u8 {
        let hour = JiffTimestamp::from_microsecond(self.0).map(|moment| zone.to_datetime(moment).hour());
        hour.ok().and_then(|hour| u8::try_from(hour).ok()).unwrap_or(0)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with exactly six decimals, so that equal moments have equal text.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match JiffTimestamp::from_microsecond(self.0) {
            Ok(moment) => write!(out, "{moment:.6}"),
            Err(_) => out.write_str("0000-00-00T00:00:00.000000Z"),
        }
    }
}

/// A day without time of day: value dates, statement periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Date(civil::Date);

impl Date {
    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    /// [`TimeError`] when the text is no such day.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        // Exactly ten characters: the library would also take week dates and times.
        if text.len() != 10 {
            return Err(TimeError);
        }
        civil::Date::strptime("%Y-%m-%d", text)
            .map(Self)
            .map_err(|_| TimeError)
    }

    /// Days since 1970-01-01, negative before.
    pub fn days(self) -> i32 {
        self.0
            .since(EPOCH)
            .map(|span| span.get_days())
            .unwrap_or_default()
    }

    /// The day that lies this many days after 1970-01-01.
    pub fn from_days(days: i32) -> Self {
        let span = jiff::Span::new().try_days(i64::from(days)).unwrap_or_default();
        Self(EPOCH.checked_add(span).unwrap_or_default())
    }

    /// Months since January of the year 0.
    pub fn month_number(self) -> i32 {
        i32::from(self.0.year())
            .saturating_mul(12)
            .saturating_add(i32::from(self.0.month()).saturating_sub(1))
    }

    /// The first moment of this day in a time zone.
    pub fn start_in(self, zone: &TimeZone) -> Timestamp {
        zone.to_ambiguous_zoned(self.0.at(0, 0, 0, 0))
            .compatible()
            .map(|zoned| Timestamp(zoned.timestamp().as_microsecond()))
            .unwrap_or_default()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_round_trip_with_six_decimals() {
        let moment = Timestamp::parse("2026-11-20T12:00:00+01:00").unwrap();
        assert_eq!(moment.to_string(), "2026-11-20T11:00:00.000000Z");
        assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
        assert!(Timestamp::parse("2026-11-20").is_err());
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn days_count_from_the_epoch_in_both_directions() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1970-01-02", 1),
            ("1969-12-31", -1),
            ("1993-07-05", 8586),
        ] {
            assert_eq!(Date::parse(text).unwrap().days(), days);
            assert_eq!(Date::from_days(days).to_string(), text);
        }
        for bad in [
            "1993-02-29",
            "1993-7-5",
            "19930705",
            "1993-07-05T00:00",
            "0x93-07-05",
        ] {
            assert!(Date::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_of_the_banks_zone() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let day = Date::parse("2026-07-01").unwrap();
        assert_eq!(day.start_in(&berlin).to_string(), "2026-06-30T22:00:00.000000Z");
        assert_eq!(day.start_in(&berlin).date_in(&berlin), day);
    }
}
