//! Counting within a sliding span of time, in two buckets of fixed size.

use crate::time::Timestamp;

/// Spans that are counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    TenMinutes,
    Hour,
    Day,
    Week,
}

impl Span {
    pub(super) const ALL: [Self; 4] = [Self::TenMinutes, Self::Hour, Self::Day, Self::Week];

    const fn micros(self) -> i64 {
        const MINUTE: i64 = 60_000_000;
        match self {
            Self::TenMinutes => 10 * MINUTE,
            Self::Hour => 60 * MINUTE,
            Self::Day => 24 * 60 * MINUTE,
            Self::Week => 7 * 24 * 60 * MINUTE,
        }
    }
}

/// What happened in the running bucket and in the one before it. The sum over the span is the running bucket and as
/// much of the one before as the span still reaches into, rounded up: never less than what an even flow had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Window {
    /// Number of the running bucket since the epoch.
    bucket: u32,
    count: u16,
    count_before: u16,
    sum: i64,
    sum_before: i64,
}

impl Window {
    /// Bytes of the stored form.
    pub(super) const BYTES: usize = 4 + 2 + 2 + 8 + 8;

    fn bucket_at(span: Span, at: Timestamp) -> u32 {
        let number = at.micros().checked_div(span.micros()).unwrap_or(0);
        u32::try_from(number.max(0)).unwrap_or(u32::MAX)
    }

    /// As it stands at a moment. Time that goes back counts in the running bucket.
    fn turned(mut self, span: Span, at: Timestamp) -> Self {
        let bucket = Self::bucket_at(span, at);
        if bucket > self.bucket {
            let next = self.bucket.saturating_add(1) == bucket;
            self.count_before = if next { self.count } else { 0 };
            self.sum_before = if next { self.sum } else { 0 };
            (self.count, self.sum, self.bucket) = (0, 0, bucket);
        }
        self
    }

    pub(super) fn add(&mut self, span: Span, at: Timestamp, amount: i64) {
        *self = self.turned(span, at);
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(amount);
    }

    /// How often and how much within the span before a moment.
    pub(super) fn total(self, span: Span, at: Timestamp) -> (i64, i64) {
        let now = self.turned(span, at);
        let gone = at.micros().max(0).checked_rem(span.micros()).unwrap_or(0);
        let left = i128::from(span.micros().saturating_sub(gone));
        let part = |before: i64| {
            let part = i128::from(before)
                .saturating_mul(left)
                .saturating_add(i128::from(span.micros()).saturating_sub(1));
            let part = part.checked_div(i128::from(span.micros())).unwrap_or(0);
            i64::try_from(part).unwrap_or(i64::MAX)
        };
        (
            i64::from(now.count).saturating_add(part(i64::from(now.count_before))),
            now.sum.saturating_add(part(now.sum_before)),
        )
    }

    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.bucket.to_be_bytes());
        bytes.extend_from_slice(&self.count.to_be_bytes());
        bytes.extend_from_slice(&self.count_before.to_be_bytes());
        bytes.extend_from_slice(&self.sum.to_be_bytes());
        bytes.extend_from_slice(&self.sum_before.to_be_bytes());
    }

    pub(super) fn take(rest: &mut &[u8]) -> Option<Self> {
        Some(Self {
            bucket: u32::from_be_bytes(chunk(rest)?),
            count: u16::from_be_bytes(chunk(rest)?),
            count_before: u16::from_be_bytes(chunk(rest)?),
            sum: i64::from_be_bytes(chunk(rest)?),
            sum_before: i64::from_be_bytes(chunk(rest)?),
        })
    }
}

/// The next bytes of a stored form.
pub(super) fn chunk<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (found, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*found)
}
