//! Chance that repeats itself, and the steps that it draws.

use super::{
    ACCOUNTS, SPARE,
    model::{Look, Model, Step},
};

/// The same numbers for the same seed (SplitMix64, Steele, Lea and Flood 2014).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    pub(super) fn amount(&mut self) -> i64 {
        i64::try_from(1 + self.next() % 400).unwrap() * 1_000_000
    }

    pub(super) fn often(&mut self, of: u64) -> bool {
        self.next().is_multiple_of(of)
    }

    /// One of the newest things, or now and then an older one.
    pub(super) fn recent(&mut self, count: usize) -> usize {
        let back = if self.often(8) { count } else { 24 };
        count.saturating_sub(1 + self.below(back.min(count)))
    }
}

/// What was drawn goes into the last digits of what is paid: payments that look like one of a moment ago would be asked
/// about.
pub(super) fn random_step(dice: &mut Dice, model: &Model, drawn: i64) -> Step {
    let drawn = drawn % 1_000_000;
    let at = dice.below(ACCOUNTS);
    let to = dice.below(ACCOUNTS);
    let amount = dice.amount();
    // Some references are said twice.
    let entry = u32::try_from(dice.next() % 1_000_000).unwrap() / if dice.often(10) { 100_000 } else { 1 };
    let part = (!dice.often(3)).then_some(amount / 2 + 1);
    match dice.below(100) {
        0..14 => Step::Deposit(at, amount * 3),
        14..18 => Step::Withdraw(at, amount),
        18..34 => Step::Transfer(at, to, amount),
        34..37 => Step::Freeze(at, dice.often(2)),
        37..43 => Step::Unfreeze(at),
        43 => Step::Close(if dice.often(2) { SPARE } else { at }),
        44 => Step::Limit(at),
        45..52 => Step::Hold(at, to, amount),
        52..58 => Step::Capture(dice.recent(model.holds.len()), part, dice.often(3)),
        58..61 => Step::Void(dice.recent(model.holds.len())),
        61..67 => Step::Pay(at, to, amount + drawn),
        67..72 => Step::Refund(dice.recent(model.payments.len()), part),
        72..74 => Step::ReversePayment(dice.recent(model.payments.len())),
        74..76 => Step::ReverseTransfer(dice.recent(model.transfers.len())),
        76..82 => Step::Send(at, amount + drawn),
        82..84 => Step::Cancel(dice.recent(model.away.len())),
        84..92 => {
            let payment = dice.recent(model.away.len());
            let right = model.away.get(payment).map(|away| away.amount);
            let amount = right.filter(|_| !dice.often(8)).unwrap_or(amount);
            match dice.often(2) {
                true => Step::Went(payment, amount, entry),
                false => Step::CameBack(payment, amount, entry),
            }
        }
        92..95 => Step::Credit(at, amount, entry),
        95..97 => Step::Debit(amount, entry),
        _ => Step::Resolve(dice.recent(model.lies.len()), (!dice.often(3)).then_some(at)),
    }
}

/// Something that a rule makes wait, or what becomes of one. Between the two customers: what one pays oneself is not
/// looked at.
pub(super) fn random_look(dice: &mut Dice, model: &Model) -> Step {
    let half = ACCOUNTS / 2;
    let (from, to) = (dice.below(half), half + dice.below(half));
    let (from, to) = if dice.often(2) { (from, to) } else { (to, from) };
    let at = dice.recent(model.waiting.len());
    match dice.below(7) {
        0..4 => Step::Suspect(from, to),
        4 => Step::Look(at, Look::Reject),
        5 => Step::Look(at, Look::Cancel),
        _ => Step::Look(at, Look::Release),
    }
}
