//! What a collector has read and may not have kept yet.
//!
//! Syslog confirms nothing, and what reads is not what writes: a collector that is killed loses what it has in memory.
//! So what it read is kept for a while, and comes again when the collector dies meanwhile.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::spool::Place;

/// So long a collector has time to write down what it read.
pub(super) const SETTLING_TIME: Duration = Duration::from_secs(30);
/// Bytes that are kept for it at most: of a flood the oldest settle earlier, so that it finds room in the spool.
pub(super) const UNSETTLED_BYTES_MAX: u64 = 16 << 20;

/// Events that one connection carried.
#[derive(Clone, Copy, Debug)]
struct Carried {
    at: Instant,
    upto: Place,
    events: u64,
    bytes: u64,
}

/// Oldest first.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    batches: VecDeque<Carried>,
    bytes: u64,
}

impl Unsettled {
    /// The collector read so many events, up to there.
    pub(super) fn add(&mut self, at: Instant, upto: Place, events: u64, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.batches.push_back(Carried {
            at,
            upto,
            events,
            bytes,
        });
    }

    /// Up to where everything has settled by now, where that moved.
    pub(super) fn settle(&mut self, now: Instant) -> Option<Place> {
        let mut upto = None;
        while let Some(first) = self.batches.front() {
            let is_settled = now.saturating_duration_since(first.at) >= SETTLING_TIME;
            if !is_settled && self.bytes <= UNSETTLED_BYTES_MAX {
                break;
            }
            self.bytes = self.bytes.saturating_sub(first.bytes);
            upto = Some(first.upto);
            self.batches.pop_front();
        }
        upto
    }

    /// All of it has settled, whenever that was read; up to where.
    pub(super) fn settle_all(&mut self) -> Option<Place> {
        let upto = self.batches.back().map(|batch| batch.upto);
        self.forget();
        upto
    }

    /// Nothing of it counts any more; how many events that were.
    pub(super) fn forget(&mut self) -> u64 {
        self.bytes = 0;
        self.batches.drain(..).map(|batch| batch.events).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: u64) -> Place {
        Place { file: 1, offset }
    }

    #[test]
    fn what_was_read_settles_in_its_order_once_its_time_is_over() {
        let begun = Instant::now();
        let mut unsettled = Unsettled::default();
        unsettled.add(begun, place(10), 1, 10);
        unsettled.add(begun + Duration::from_secs(1), place(20), 2, 10);
        unsettled.add(begun + Duration::from_secs(9), place(30), 3, 10);
        assert_eq!(unsettled.settle(begun + Duration::from_secs(29)), None);
        assert_eq!(unsettled.settle(begun + Duration::from_secs(31)), Some(place(20)));
        assert_eq!(unsettled.settle(begun + Duration::from_secs(31)), None);
        assert_eq!(unsettled.forget(), 3, "what is settled does not come again");
        assert!(unsettled.is_empty());
        assert_eq!(unsettled.settle(begun + Duration::from_secs(99)), None);
        unsettled.add(begun, place(40), 1, 10);
        unsettled.add(begun, place(50), 1, 10);
        assert_eq!(unsettled.settle_all(), Some(place(50)));
        assert!(unsettled.is_empty());
    }

    #[test]
    fn a_flood_settles_earlier_and_never_the_newest_bytes() {
        let begun = Instant::now();
        let mut unsettled = Unsettled::default();
        let portion = UNSETTLED_BYTES_MAX / 4;
        for number in 1..=6 {
            unsettled.add(begun, place(number), 1, portion);
        }
        assert_eq!(unsettled.settle(begun), Some(place(2)));
        assert_eq!(unsettled.settle(begun), None);
        assert_eq!(unsettled.forget(), 4);
    }
}
