//! The conditions of `/readyz`: what this node cannot do its work without.

use std::{future::Future, sync::Arc};

use strongroom_app::Bank;
use strongroom_domain::time::Timestamp;
use strongroom_web::{health::Check, limits::Limits};

/// How far the clock of this node may be from that of the database, in microseconds. Sums of a day and the ends of
/// holds go by the database's, tokens and sessions by the node's.
const CLOCK_MICROS_MAX: i64 = 500_000;

/// All of them: the database answers, its schema is that of this program, its keys are in the ring, its clock is ours;
/// and what nodes share can be reached, where something is named.
pub(crate) fn all(bank: &Arc<Bank>, limits: &Limits, is_shared: bool) -> Vec<Check> {
    let mut checks = vec![
        check(
            bank,
            "database",
            |bank| async move { said(bank.store().ping().await) },
        ),
        check(bank, "schema", |bank| async move {
            said(bank.store().check_schema().await)
        }),
        check(bank, "keys", |bank| async move { said(bank.check_keys().await) }),
    ];
    if !bank.store().is_embedded() {
        checks.push(check(bank, "clock", clock));
    }
    if is_shared {
        let limits = limits.clone();
        checks.push(Check::new("redis", move || {
            let whole = limits.is_whole();
            let reason = || "requests are not counted together with other nodes".to_owned();
            std::future::ready(whole.then_some(()).ok_or_else(reason))
        }));
    }
    checks
}

fn check<F>(
    bank: &Arc<Bank>,
    name: &'static str,
    run: impl Fn(Arc<Bank>) -> F + Send + Sync + 'static,
) -> Check
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let bank = Arc::clone(bank);
    Check::new(name, move || run(Arc::clone(&bank)))
}

fn said<E: std::fmt::Display>(outcome: Result<(), E>) -> Result<(), String> {
    outcome.map_err(|error| error.to_string())
}

async fn clock(bank: Arc<Bank>) -> Result<(), String> {
    let asked = bank.clock().now();
    let theirs = bank.store().database_time().await;
    match theirs.map_err(|error| error.to_string())? {
        Some(theirs) => agree(asked, theirs, bank.clock().now()),
        None => Ok(()),
    }
}

/// Whether a moment that was read between two others can be one of the same clock, but for what is allowed: a slow
/// answer is no wrong clock.
fn agree(asked: Timestamp, theirs: Timestamp, answered: Timestamp) -> Result<(), String> {
    let early = asked.micros() - theirs.micros();
    let late = theirs.micros() - answered.micros();
    let off = early.max(late);
    if off <= CLOCK_MICROS_MAX {
        Ok(())
    } else {
        Err(format!("the clock is {} ms off the database's", off / 1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_second_is_allowed_and_a_slow_answer_is_no_wrong_clock() {
        let at = |millis: i64| Timestamp::from_micros(1_700_000_000_000_000 + millis * 1_000);
        for (theirs, answered, agrees) in [
            (0, 0, true),
            (500, 0, true),
            (-500, 0, true),
            (501, 0, false),
            (-501, 0, false),
            (1_400, 1_500, true),
            (2_000, 1_500, true),
            (2_001, 1_500, false),
            (-501, 1_500, false),
        ] {
            assert_eq!(
                agree(at(0), at(theirs), at(answered)).is_ok(),
                agrees,
                "{theirs} {answered}"
            );
        }
    }
}
