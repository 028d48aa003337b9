use strongroom_domain::fraud::Outcome;

use super::*;

fn tried(trial: i64, in_force: Verdict, draft: Verdict, rules: [&str; 2]) -> ledger::Tried {
    let outcome = |verdict, rules: &str| Outcome {
        verdict,
        score: 0,
        rules: rules.to_owned(),
    };
    ledger::Tried {
        id: TransactionId::from_bytes([1; 16]),
        at: Timestamp::from_micros(1),
        compared: Compared {
            trial,
            in_force: outcome(in_force, rules[0]),
            draft: outcome(draft, rules[1]),
        },
    }
}

fn row(judged: i64, ended_after_hours: Option<i64>) -> TrialRow {
    let started_at = Timestamp::from_micros(0);
    TrialRow {
        trial: 1,
        base: 0,
        rules: String::new(),
        digest: [0; 32],
        maker: None,
        sealed_reason: Vec::new(),
        started_at,
        ended_at: ended_after_hours.map(|hours| started_at.plus_seconds(hours * SECONDS_PER_HOUR)),
        judged,
        differing: 0,
        kept: 0,
    }
}

#[test]
fn a_draft_is_tried_after_its_hours_and_its_payments() {
    let settings = FraudSettings {
        trial_hours_min: 24,
        trial_payments_min: 100,
        ..FraudSettings::default()
    };
    let after = |hours: i64| Timestamp::from_micros(0).plus_seconds(hours * SECONDS_PER_HOUR);
    for (judged, ended, now, expected) in [
        (100, None, 24, true),
        (99, None, 24, false),
        (100, None, 23, false),
        (100, Some(23), 500, false),
        (100, Some(24), 500, true),
        (0, None, 10_000, false),
    ] {
        let found = is_tried(&row(judged, ended), after(now), &settings);
        assert_eq!(found, expected, "{judged} {ended:?} {now}");
    }
    assert!(is_tried(&row(0, None), after(0), &FraudSettings::default()));
}

#[test]
fn what_waits_is_counted_by_trial_bounded_and_not_lost_where_it_cannot_be_written() {
    use Verdict::{Allow, Review};
    let log = TrialLog::default();
    let many = WAITING_MAX + 5;
    let differing = std::iter::repeat_n(tried(1, Allow, Review, ["", "velocity/2"]), many);
    log.take(differing.collect());
    log.take(vec![
        tried(1, Allow, Allow, ["", ""]),
        tried(2, Review, Review, ["drain/1", "drain/1"]),
    ]);
    let mut all = log.all();
    assert!(log.all().is_empty());
    let first = all.remove(&1).unwrap();
    assert_eq!(first.differences.len(), WAITING_MAX);
    let expected = i64::try_from(many).unwrap();
    let tally = first.tally();
    assert_eq!((tally.judged, tally.differing), (expected + 1, expected));
    assert_eq!(
        verdicts_of(&tally.counts),
        [(Allow, Allow, 1), (Allow, Review, expected)]
    );
    assert_eq!(rules_of(&tally.counts), [("velocity".to_owned(), 0, expected)]);

    log.take(vec![tried(1, Allow, Review, ["", "velocity/2"])]);
    log.put_back(1, first);
    let again = log.all().remove(&1).unwrap();
    assert_eq!((again.judged, again.differing), (expected + 2, expected + 1));
    assert_eq!(again.differences.len(), WAITING_MAX);
    let second = all.remove(&2).unwrap().tally();
    assert_eq!(rules_of(&second.counts), [("drain".to_owned(), 1, 1)]);
    assert_eq!(second.differing, 0);
}
