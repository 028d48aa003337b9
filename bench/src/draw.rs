//! Drawing accounts: uniform, by Zipf's law, or one that everybody pays.
//!
//! Not secret and not random to an adversary: SplitMix64 (Steele, Lea, Flood 2014), so that two runs with one seed ask
//! the same.

/// A stream of numbers from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`. The bias is below `bound` / 2^64.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * (bound as u128);
        (wide >> 64) as usize
    }

    /// A number in 0..1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// 128 bits, for keys.
    pub(crate) fn wide(&mut self) -> u128 {
        (u128::from(self.next()) << 64) | u128::from(self.next())
    }
}

/// How the accounts of transfers are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Payer and payee, each account as often as any other.
    Uniform,
    /// Payer and payee by Zipf's law with exponent 1: the first account is drawn most.
    Zipf,
    /// Anybody pays the same account.
    Hot,
}

impl Spread {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
            Self::Hot => "hot",
        }
    }
}

/// Draws pairs of different accounts, by position.
#[derive(Debug, Clone)]
pub(crate) struct Pairs {
    spread: Spread,
    count: usize,
    /// Chance that an account of this or a smaller position is drawn.
    cumulated: std::sync::Arc<[f64]>,
}

impl Pairs {
    /// `count` is at least 2.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand accounts")]
    pub(crate) fn new(spread: Spread, count: usize) -> Self {
        assert!(count >= 2, "a pair needs two accounts");
        let weights = if spread == Spread::Zipf { count } else { 0 };
        let total: f64 = (1..=weights).map(|rank| 1.0 / rank as f64).sum();
        let mut sum = 0.0;
        let cumulated = (1..=weights)
            .map(|rank| {
                sum += 1.0 / rank as f64 / total;
                sum
            })
            .collect();
        Self {
            spread,
            count,
            cumulated,
        }
    }

    /// Payer and payee.
    pub(crate) fn next(&self, draw: &mut Draw) -> (usize, usize) {
        let from = match self.spread {
            Spread::Hot => return (1 + draw.below(self.count - 1), 0),
            Spread::Uniform | Spread::Zipf => self.one(draw),
        };
        loop {
            let to = self.one(draw);
            if to != from {
                return (from, to);
            }
        }
    }

    /// One account.
    pub(crate) fn one(&self, draw: &mut Draw) -> usize {
        if self.spread == Spread::Zipf {
            let at = draw.unit();
            self.cumulated
                .partition_point(|sum| *sum <= at)
                .min(self.count - 1)
        } else {
            draw.below(self.count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_never_is_one_account() {
        let mut draw = Draw::new(1);
        for spread in [Spread::Uniform, Spread::Zipf, Spread::Hot] {
            let pairs = Pairs::new(spread, 3);
            for _ in 0..1_000 {
                let (from, to) = pairs.next(&mut draw);
                assert!(from != to && from < 3 && to < 3, "{spread:?} drew {from}, {to}");
            }
        }
    }

    #[test]
    fn zipf_draws_the_first_account_twice_as_often_as_the_second() {
        let pairs = Pairs::new(Spread::Zipf, 1_000);
        let mut draw = Draw::new(7);
        let mut counts = [0_i32; 1_000];
        for _ in 0..200_000 {
            counts[pairs.one(&mut draw)] += 1;
        }
        let ratio = f64::from(counts[0]) / f64::from(counts[1]);
        assert!((1.8..2.2).contains(&ratio), "{ratio}");
        // The harmonic number of 1,000 is 7.49.
        let share = f64::from(counts[0]) / 200_000.0;
        assert!((0.12..0.147).contains(&share), "{share}");
    }

    #[test]
    fn the_hot_account_is_paid_by_all() {
        let pairs = Pairs::new(Spread::Hot, 10);
        let mut draw = Draw::new(3);
        assert!((0..100).all(|_| pairs.next(&mut draw).1 == 0));
    }
}
