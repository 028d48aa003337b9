//! A robust baseline of fixed size: how often which order of magnitude was paid, the past fading.

use super::window::chunk;

/// Half octaves: bucket `2 n` begins at `2^n`, bucket `2 n + 1` at `2^n √2`. The last one has no end.
const BUCKETS: usize = 64;
/// When so many are counted all counts are halved: the baseline follows whoever changes habits.
const FADE_AT: u32 = 240;

/// Counts of amounts by half octave. Its quantiles are as robust as a median is: a few large payments do not move them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sketch([u8; BUCKETS]);

impl Default for Sketch {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Sketch {
    /// Bytes of the stored form.
    pub(super) const BYTES: usize = BUCKETS;

    fn bucket_of(amount: i64) -> usize {
        let amount = amount.max(1);
        let octave = amount.ilog2();
        let square = i128::from(amount).saturating_mul(i128::from(amount));
        // amount ≥ 2^octave √2, squared.
        let half = square
            .checked_shr(octave.saturating_mul(2).saturating_add(1))
            .is_some_and(|over| over > 0);
        let bucket = octave.saturating_mul(2).saturating_add(u32::from(half));
        usize::try_from(bucket).map_or(0, |bucket| bucket.min(BUCKETS.saturating_sub(1)))
    }

    /// The middle of a bucket, minor units.
    fn middle_of(bucket: usize) -> i64 {
        let octave = u32::try_from(bucket.checked_div(2).unwrap_or(0)).unwrap_or(0);
        let begin = 1_i64.checked_shl(octave).unwrap_or(i64::MAX);
        // 2^(1/4) and 2^(3/4) in thousandths.
        let thousandths = if bucket.checked_rem(2) == Some(0) {
            1_189
        } else {
            1_682
        };
        let middle = i128::from(begin).saturating_mul(thousandths).checked_div(1_000);
        middle
            .and_then(|middle| i64::try_from(middle).ok())
            .unwrap_or(i64::MAX)
    }

    pub(super) fn count(&self) -> u32 {
        self.0
            .iter()
            .map(|count| u32::from(*count))
            .fold(0, u32::saturating_add)
    }

    pub(super) fn add(&mut self, amount: i64) {
        if self.count() >= FADE_AT {
            self.0.iter_mut().for_each(|count| *count = count.wrapping_shr(1));
        }
        if let Some(count) = self.0.get_mut(Self::bucket_of(amount)) {
            *count = count.saturating_add(1);
        }
    }

    /// The amount that so many thousandths of the past do not exceed, about; `None` without a past.
    pub(super) fn quantile(&self, thousandths: u32) -> Option<i64> {
        let total = self.count();
        let rank = total.saturating_mul(thousandths).div_ceil(1_000).max(1);
        let mut seen = 0_u32;
        let found = self.0.iter().position(|count| {
            seen = seen.saturating_add(u32::from(*count));
            seen >= rank
        });
        found.filter(|_| total > 0).map(Self::middle_of)
    }

    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0);
    }

    pub(super) fn take(rest: &mut &[u8]) -> Option<Self> {
        chunk(rest).map(Self)
    }
}

/// How many movements by hour of the day, the past fading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hours([u8; 24]);

impl Hours {
    /// Bytes of the stored form.
    pub(super) const BYTES: usize = 24;

    pub(super) fn count(&self) -> u32 {
        self.0
            .iter()
            .map(|count| u32::from(*count))
            .fold(0, u32::saturating_add)
    }

    pub(super) fn add(&mut self, hour: u8) {
        if self.count() >= FADE_AT {
            self.0.iter_mut().for_each(|count| *count = count.wrapping_shr(1));
        }
        if let Some(count) = self.0.get_mut(usize::from(hour)) {
            *count = count.saturating_add(1);
        }
    }

    /// Thousandths of the past that happened within an hour of this hour of the day; all of it without a past.
    pub(super) fn share(&self, hour: u8) -> i64 {
        let near = |other: usize| {
            let apart = other.abs_diff(usize::from(hour));
            apart.min(24_usize.saturating_sub(apart)) <= 1
        };
        let here = self.0.iter().enumerate().filter(|(other, _)| near(*other));
        let here: u32 = here
            .map(|(_, count)| u32::from(*count))
            .fold(0, u32::saturating_add);
        let share = here.saturating_mul(1_000).checked_div(self.count());
        i64::from(share.unwrap_or(1_000))
    }

    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0);
    }

    pub(super) fn take(rest: &mut &[u8]) -> Option<Self> {
        chunk(rest).map(Self)
    }
}
