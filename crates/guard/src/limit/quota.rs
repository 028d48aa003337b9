//! What a class allows: `5/15m`, or several windows at once: `50/1h, 200/1d`.

use std::{fmt, str::FromStr};

/// How many windows a quota may have.
pub const WINDOWS_MAX: usize = 3;
/// The largest count of a window.
const COUNT_MAX: u32 = 1_000_000_000;
/// The longest period of a window, in seconds: 31 days.
const PERIOD_SECONDS_MAX: u64 = 31 * DAY;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// So many per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    count: u32,
    period_seconds: u64,
    burst: u32,
}

/// Windows that all have to agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota(Vec<Window>);

/// Why a text is no quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaError {
    /// A window is not `COUNT/PERIOD` or `COUNT/PERIOD burst N`.
    Form,
    /// A count, period or burst lies outside its bounds.
    Bounds,
    /// No window, or too many.
    Windows,
    /// A longer window allows no less than a shorter one, so one of the two does nothing.
    Useless,
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "must be like 5/15m, or several such as 50/1h, 200/1d; units are s, m, h, d",
            Self::Bounds => "must count 1 to 1000000000 in 1s to 31d, with a burst between 1 and the count",
            Self::Windows => "must have one to three windows",
            Self::Useless => "has a window that another one makes useless",
        })
    }
}

impl std::error::Error for QuotaError {}

impl Window {
    /// Requests per period.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The period, in seconds.
    pub const fn period_seconds(self) -> u64 {
        self.period_seconds
    }

    /// How many may come at once.
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// Nanoseconds after which one more may come, where `scale` subjects share the window.
    pub(super) fn interval(self, scale: u32) -> u64 {
        let count = u64::from(self.count).saturating_mul(u64::from(scale.max(1)));
        (self.period_seconds.saturating_mul(1_000_000_000) / count.max(1)).max(1)
    }

    /// Nanoseconds that a full bucket takes to empty.
    pub(super) fn depth(self, scale: u32) -> u64 {
        let burst = u64::from(self.burst).saturating_mul(u64::from(scale.max(1)));
        self.interval(scale).saturating_mul(burst)
    }
}

impl Quota {
    /// The windows, the shortest first.
    pub fn windows(&self) -> &[Window] {
        &self.0
    }
}

impl FromStr for Window {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let (rate, burst) = match text.split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(whole(burst.trim())?)),
            None => (text, None),
        };
        let (count, period) = rate.trim().split_once('/').ok_or(QuotaError::Form)?;
        let count = whole(count)?;
        let unit = match period.as_bytes().last() {
            Some(b's') => 1,
            Some(b'm') => MINUTE,
            Some(b'h') => HOUR,
            Some(b'd') => DAY,
            _ => return Err(QuotaError::Form),
        };
        // The unit is one ASCII letter, so the rest is a whole text; `50/h` means one hour.
        let units = match period.get(..period.len() - 1).unwrap_or_default() {
            "" => 1,
            digits => u64::from(whole(digits)?),
        };
        let period_seconds = units.saturating_mul(unit);
        let burst = burst.unwrap_or(count);
        let right = (1..=COUNT_MAX).contains(&count)
            && (1..=PERIOD_SECONDS_MAX).contains(&period_seconds)
            && (1..=count).contains(&burst);
        right
            .then_some(Self {
                count,
                period_seconds,
                burst,
            })
            .ok_or(QuotaError::Bounds)
    }
}

fn whole(digits: &str) -> Result<u32, QuotaError> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(QuotaError::Form);
    }
    digits.parse().map_err(|_| QuotaError::Bounds)
}

impl FromStr for Quota {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let mut windows = text
            .split(',')
            .map(|part| part.trim().parse())
            .collect::<Result<Vec<Window>, _>>()?;
        if windows.is_empty() || windows.len() > WINDOWS_MAX {
            return Err(QuotaError::Windows);
        }
        windows.sort_by_key(|window| window.period_seconds);
        let useless = windows.windows(2).any(|pair| {
            // A longer window has to allow more in all and less per second.
            pair[1].period_seconds == pair[0].period_seconds
                || pair[1].count <= pair[0].count
                || u64::from(pair[1].count) * pair[0].period_seconds
                    >= u64::from(pair[0].count) * pair[1].period_seconds
        });
        if useless {
            return Err(QuotaError::Useless);
        }
        Ok(Self(windows))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.period_seconds;
        let (size, unit) = [(DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')]
            .into_iter()
            .find(|(size, _)| seconds.is_multiple_of(*size))
            .unwrap_or((1, 's'));
        write!(f, "{}/{}{unit}", self.count, seconds / size)?;
        if self.burst != self.count {
            write!(f, " burst {}", self.burst)?;
        }
        Ok(())
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, window) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            window.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_reads_back_as_it_is_shown() {
        for (text, shown) in [
            ("5/15m", "5/15m"),
            ("50/h", "50/1h"),
            ("200/1d,50/1h", "50/1h, 200/1d"),
            ("100/60s burst 20", "100/1m burst 20"),
            ("1000000000/1s", "1000000000/1s"),
            ("90/90s", "90/90s"),
        ] {
            let quota: Quota = text.parse().unwrap();
            assert_eq!(quota.to_string(), shown);
            assert_eq!(shown.parse::<Quota>().unwrap(), quota);
        }
    }

    #[test]
    fn what_is_no_quota_is_told_apart() {
        for (text, error) in [
            ("", QuotaError::Form),
            ("5", QuotaError::Form),
            ("5/15", QuotaError::Form),
            ("5/m5", QuotaError::Form),
            ("+5/15m", QuotaError::Form),
            ("5/15mü", QuotaError::Form),
            ("5/15m burst", QuotaError::Form),
            ("0/15m", QuotaError::Bounds),
            ("5/0m", QuotaError::Bounds),
            ("5/32d", QuotaError::Bounds),
            ("5/15m burst 6", QuotaError::Bounds),
            ("5/15m burst 0", QuotaError::Bounds),
            ("99999999999/1s", QuotaError::Bounds),
            ("1/1s, 2/3s, 3/9s, 4/99s", QuotaError::Windows),
            ("50/1h, 50/1d", QuotaError::Useless),
            ("50/1h, 2000/1d", QuotaError::Useless),
            ("50/1h, 60/1h", QuotaError::Useless),
        ] {
            assert_eq!(text.parse::<Quota>(), Err(error), "{text}");
        }
    }
}
