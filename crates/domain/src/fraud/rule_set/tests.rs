//! Rules as the bank sets them.

use proptest::prelude::*;

use super::*;
use crate::fraud::{FraudMode, FraudRules};

fn draft(rule: &str) -> RuleDraft {
    RuleDraft {
        rule: rule.to_owned(),
        ..RuleDraft::default()
    }
}

fn numbers(rule: &str, parameters: &[(&str, i64)]) -> RuleDraft {
    RuleDraft {
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect(),
        ..draft(rule)
    }
}

#[test]
fn what_comes_with_the_program_is_within_its_own_bounds_and_read_as_it_was_written() {
    let set = RuleSet::default();
    assert!(set.rules().iter().all(is_within_bounds));
    assert_eq!(RuleSet::from_text(&set.to_text()), Ok(set.clone()));
    for rule in set.rules() {
        let mut names: Vec<_> = rule.parameters().map(|parameter| parameter.measure).collect();
        names.dedup();
        assert_eq!(names.len(), rule.parameters().count(), "{}", rule.id);
    }
    assert_eq!(RuleSet::from_kept(&set.to_text(), &set.digest()), Ok(set.clone()));
    assert_eq!(RuleSet::from_kept("", &set.digest()), Err(UnreadableRules));
    assert_eq!(RuleSet::from_text(""), Ok(set), "what is not there is as it came");
}

#[test]
fn a_draft_changes_what_it_says_and_nothing_else() {
    let set = RuleSet::default();
    let drafted = RuleDraft {
        mode: Some("shadow".to_owned()),
        verdict: Some("refuse".to_owned()),
        score: Some(7),
        ..numbers("velocity", &[("out_hour", 20)])
    };
    let next = set.with(&[drafted]).unwrap();
    assert_eq!(
        next.to_text(),
        set.to_text().replace(
            "velocity|1|enforce|step_up|50|program = 0 and out_10_minutes >= 15 and out_hour >= 15 and new_payees_day",
            "velocity|2|shadow|refuse|7|program = 0 and out_10_minutes >= 15 and out_hour >= 20 and new_payees_day"
        )
    );
    let changes: Vec<_> = set.changes_to(&next);
    let told: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                change.field,
                change.before.as_str(),
                change.after.as_str(),
                change.weaker,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("mode", "enforce", "shadow", true),
            ("verdict", "step_up", "refuse", false),
            ("score", "50", "7", true),
            ("out_hour", "15", "20", true),
        ]
    );
    assert_ne!(set.digest(), next.digest());
    // What is said and is so already is no change.
    assert_eq!(
        set.with(&[numbers("velocity", &[("out_hour", 15)])]),
        Ok(set.clone())
    );
    // Below a bound less is met.
    let narrower = set.with(&[numbers("odd_hour", &[("hour_share", 5)])]).unwrap();
    assert!(set.changes_to(&narrower).iter().all(|change| change.weaker));
}

#[test]
fn everything_that_is_wrong_with_a_draft_is_told_at_once() {
    let all = [
        draft("no_such_rule"),
        RuleDraft {
            mode: Some("observe".to_owned()),
            verdict: Some("allow".to_owned()),
            score: Some(101),
            ..numbers(
                "velocity",
                &[("out_hour", 0), ("program", 1), ("out_10_minutes", 1_001)],
            )
        },
        draft("velocity"),
        RuleDraft {
            mode: Some("off".to_owned()),
            verdict: Some("step_up".to_owned()),
            ..draft("unknown_customer")
        },
        RuleDraft {
            score: Some(-1),
            ..numbers("kiting", &[("in_day", 4), ("in_day", 5)])
        },
    ];
    let wrong = RuleSet::default().with(&all).unwrap_err();
    let told: Vec<_> = wrong
        .iter()
        .map(|invalid| (invalid.pointer.as_str(), invalid.code))
        .collect();
    assert_eq!(
        told,
        [
            ("/0/rule", "not_found"),
            ("/1/mode", "invalid_value"),
            ("/1/verdict", "invalid_value"),
            ("/1/score", "out_of_range"),
            ("/1/parameters/0/value", "out_of_range"),
            ("/1/parameters/1/name", "not_found"),
            ("/1/parameters/2/value", "out_of_range"),
            ("/2/rule", "duplicate"),
            ("/3/mode", "rule_relied_on"),
            ("/3/verdict", "rule_relied_on"),
            ("/4/score", "out_of_range"),
            ("/4/parameters/1/name", "duplicate"),
        ]
    );
    let many = vec![draft("velocity"); DRAFT_RULES_MAX + 1];
    assert_eq!(RuleSet::default().with(&many).unwrap_err().len(), 1);
}

#[test]
fn an_earlier_set_comes_back_under_new_versions() {
    let first = RuleSet::default();
    let second = first.with(&[numbers("velocity", &[("out_hour", 20)])]).unwrap();
    let third = second.set_as(&first);
    assert_eq!(third.changes_to(&first), []);
    let version = |set: &RuleSet| {
        set.rules()
            .iter()
            .find(|rule| rule.id == "velocity")
            .unwrap()
            .version
    };
    assert_eq!((version(&first), version(&second), version(&third)), (1, 2, 3));
}

#[test]
fn what_a_bank_set_of_a_rule_of_an_earlier_form_is_read_with_the_conditions_of_now() {
    let now = RuleSet::default();
    let old = "velocity|3|shadow|review|7|program = 0 and out_10_minutes >= 99 and out_hour >= 15\n";
    let read = RuleSet::from_text(old).unwrap();
    let of = |set: &RuleSet| {
        set.rules()
            .iter()
            .find(|rule| rule.id == "velocity")
            .unwrap()
            .clone()
    };
    let (was, is) = (of(&now), of(&read));
    assert_eq!(
        (is.version, is.mode, is.verdict, is.score),
        (4, RuleMode::Shadow, Verdict::Review, 7)
    );
    assert_eq!(is.when, was.when);
    // Once it is kept in the form of now it is read as it is.
    assert_eq!(RuleSet::from_text(&read.to_text()), Ok(read));
    assert_eq!(
        RuleSet::from_text("velocity|3|shadow|review|7|program = 0 and out_10_minutes >= 99\n"),
        Err(UnreadableRules)
    );
}

#[test]
fn rules_that_cannot_be_read_are_no_rules_and_everything_is_looked_at() {
    let good = RuleSet::default().to_text();
    for (part, other) in [
        ("velocity|1", "haste|1"),
        ("|1|", "|x|"),
        ("out_hour >= 60", "out_hour >= 60 and amount >= 1"),
        ("out_hour >= 60", "out_hour <= 60"),
        ("out_hour >= 60", "out_hour >= 6000"),
        ("program = 0 and out_hour", "program = 1 and out_hour"),
        ("unknown_customer|1|enforce", "unknown_customer|1|off"),
        (
            "takeover_new_payee|1|enforce|review",
            "takeover_new_payee|1|enforce|step_up",
        ),
        ("velocity|1|enforce|step_up", "velocity|1|enforce|allow"),
        ("|80|floor", "|101|floor"),
        ("|80|floor = 1", "|80|more|floor = 1"),
    ] {
        let bad = good.replacen(part, other, 1);
        assert_ne!(bad, good, "{part}");
        assert_eq!(RuleSet::from_text(&bad), Err(UnreadableRules), "{other}");
    }
    let rules = FraudRules::unreadable(FraudMode::Enforce, 4);
    assert!(
        rules
            .rules
            .iter()
            .any(|rule| rule.verdict == Verdict::Review && rule.mode == RuleMode::Enforce)
    );
}

proptest! {
    #[test]
    fn whatever_is_drafted_is_refused_or_within_bounds_and_read_as_it_was_written(
        rule in 0_usize..20,
        parameter in 0_usize..6,
        value in prop_oneof![Just(i64::MIN), Just(i64::MAX), -2_i64..1_100, any::<i64>()],
        mode in prop_oneof![Just("off"), Just("shadow"), Just("enforce"), Just("no")],
        verdict in prop_oneof![Just("allow"), Just("step_up"), Just("review"), Just("refuse")],
    ) {
        let set = RuleSet::default();
        let rule = set.rules().get(rule);
        let name = rule.and_then(|rule| rule.parameters().nth(parameter));
        let drafted = RuleDraft {
            rule: rule.map(|rule| rule.id.clone()).unwrap_or_default(),
            mode: Some(mode.to_owned()),
            verdict: Some(verdict.to_owned()),
            score: None,
            parameters: name.map(|name| (name.measure.name().to_owned(), value)).into_iter().collect(),
        };
        if let Ok(next) = set.with(&[drafted]) {
            prop_assert!(next.rules().iter().all(is_within_bounds));
            prop_assert_eq!(RuleSet::from_text(&next.to_text()), Ok(next));
        }
    }
}
