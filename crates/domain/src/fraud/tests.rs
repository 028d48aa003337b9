use proptest::prelude::*;

use super::*;
use crate::{
    money::{Amount, Currency},
    time::Timestamp,
    transaction::TransactionKind,
};

const EUR: Currency = Currency::EUR;
const DAY: i64 = 86_400;
const HOME: u32 = 11;

fn noon() -> Timestamp {
    Timestamp::parse("2026-11-20T12:00:00Z").unwrap()
}

fn flow(at: Timestamp, kind: TransactionKind, minor: i64, other: u32) -> Flow {
    Flow {
        at,
        hour: 12,
        kind,
        amount: Amount::new(minor).unwrap(),
        currency: EUR,
        other,
        network: Some(HOME),
    }
}

/// A customer of two years who paid 20 to 50 euros to the same three, every other day at noon.
fn regular() -> Features {
    let mut customer = Features::default();
    for number in 0..60_u32 {
        let at = noon().plus_seconds(-DAY * 2 * i64::from(60 - number));
        let minor = 2_000 + i64::from(number % 31) * 100;
        customer.paid_out(&flow(at, TransactionKind::Transfer, minor, 1 + number % 3));
    }
    customer.took_in(&flow(
        noon().plus_seconds(-9 * DAY),
        TransactionKind::Transfer,
        200_000,
        99,
    ));
    customer
}

fn scene(payer: &Features, minor: i64, to: u32) -> Scene<'_> {
    Scene {
        at: noon(),
        hour: 12,
        amount: Amount::new(minor).unwrap(),
        currency: EUR,
        payer: Some(payer),
        payee: None,
        to,
        spendable: Some(100_000_000),
        floor: false,
        program: false,
        network: Some(HOME),
    }
}

fn judge(scene: &Scene<'_>) -> Judgement {
    FraudRules::built_in(FraudMode::Enforce).judge(scene)
}

fn met(scene: &Scene<'_>) -> Vec<String> {
    judge(scene).reasons.into_iter().map(|(id, _)| id).collect()
}

#[track_caller]
fn assert_meets(scene: &Scene<'_>, id: &str, verdict: Verdict) {
    let judged = judge(scene);
    assert!(met(scene).contains(&id.to_owned()), "{id}: {judged:?}");
    assert!(judged.verdict >= verdict, "{id}: {judged:?}");
}

#[track_caller]
fn assert_quiet(scene: &Scene<'_>) {
    assert_eq!(judge(scene), Judgement::default());
}

#[test]
fn a_history_of_small_payments_makes_a_large_one_stand_out_and_the_next_small_one_not() {
    let customer = regular();
    assert_quiet(&scene(&customer, 6_000, 1));
    assert_quiet(&scene(&customer, 6_000, 77));
    assert_meets(&scene(&customer, 500_000, 1), "unusual_amount", Verdict::StepUp);
    assert_meets(
        &scene(&customer, 500_000, 77),
        "new_payee_high_amount",
        Verdict::Review,
    );
}

#[test]
fn one_large_payment_of_the_past_does_not_hide_the_next() {
    let mut customer = regular();
    customer.paid_out(&flow(
        noon().plus_seconds(-DAY),
        TransactionKind::Transfer,
        900_000,
        1,
    ));
    assert_meets(
        &scene(&customer, 900_000, 77),
        "new_payee_high_amount",
        Verdict::Review,
    );
}

#[test]
fn whoever_has_no_row_is_looked_at() {
    let customer = regular();
    let known = scene(&customer, 1_000, 1);
    assert_quiet(&known);
    let unknown = Scene { payer: None, ..known };
    assert_eq!(judge(&unknown).verdict, Verdict::Review);
    assert_eq!(met(&unknown), ["unknown_customer"]);
}

/// A customer who is seen for the first time.
fn first_day(payments: impl IntoIterator<Item = (i64, u32)>) -> Features {
    let mut customer = Features::default();
    let at = noon().plus_seconds(-60);
    for (minor, to) in payments {
        customer.paid_out(&flow(at, TransactionKind::Transfer, minor, to));
    }
    customer
}

#[test]
fn many_payees_in_a_moment_need_a_factor_and_programs_are_known_to_do_so() {
    let fresh = |payees: u32| first_day((0..14).map(|number| (20_000, 100 + number % payees)));
    for payees in [1, 2, 9] {
        assert_quiet(&scene(&fresh(payees), 20_000, 100));
    }
    let customer = fresh(10);
    let fast = scene(&customer, 20_000, 100);
    assert_meets(&fast, "velocity", Verdict::StepUp);
    assert_quiet(&Scene {
        program: true,
        ..fast
    });
    // Cents for many are no spree.
    assert_quiet(&scene(
        &first_day((0..40).map(|number| (300, 100 + number))),
        300,
        900,
    ));
}

#[test]
fn a_large_sum_in_many_payments_needs_a_factor_and_one_that_goes_on_is_looked_at() {
    let customer = first_day([(100_000, 1); 14]);
    assert_meets(&scene(&customer, 100_000, 1), "velocity_amount", Verdict::StepUp);
    assert_quiet(&scene(&customer, 99_999, 1));
    // An hour of it, spread so that no ten minutes stand out.
    let mut slow = Features::default();
    for minute in 0..59 {
        let at = noon().plus_seconds(-59 * 60 + minute * 60);
        slow.paid_out(&flow(at, TransactionKind::Transfer, 34_000, 1));
    }
    let judged = scene(&slow, 34_000, 1);
    assert_meets(&judged, "velocity_sustained", Verdict::Review);
}

/// What tests, scripts and salary runs of customers do within minutes of opening an account.
#[test]
fn ordinary_programs_of_customers_meet_no_rule() {
    let steps: [(&str, Vec<(i64, u32)>); 5] = [
        ("200 of 10.00 to one", vec![(1_000, 1); 200]),
        ("1,000 of 1.00 to one", vec![(100, 1); 1_000]),
        ("1,000 of a cent to one", vec![(1, 1); 1_000]),
        (
            "300 of up to 10.00 among twenty",
            (0..300)
                .map(|number| {
                    (
                        1 + (number * 137) % 1_000,
                        1 + u32::try_from(number % 20).unwrap(),
                    )
                })
                .collect(),
        ),
        (
            "twenty salaries to nine",
            (0..20).map(|number| (50_000, 1 + number % 9)).collect(),
        ),
    ];
    for (name, payments) in steps {
        let mut customer = Features::default();
        for (number, (minor, to)) in payments.into_iter().enumerate() {
            let judged = judge(&scene(&customer, minor, to));
            assert_eq!(judged, Judgement::default(), "{name}: payment {number}");
            customer.paid_out(&flow(noon(), TransactionKind::Transfer, minor, to));
        }
    }
    // There and back a hundred times, on the first day.
    let mut customer = Features::default();
    for round in 0..100 {
        customer.took_in(&flow(noon(), TransactionKind::Transfer, 10_000, 1));
        let judged = judge(&scene(&customer, 10_000, 1));
        assert_eq!(judged, Judgement::default(), "round {round}");
        customer.paid_out(&flow(noon(), TransactionKind::Transfer, 10_000, 1));
    }
}

#[test]
fn sums_that_stay_a_little_below_what_is_reported_are_looked_at() {
    let mut customer = Features::default();
    let at = noon().plus_seconds(-3_600);
    for _ in 0..2 {
        customer.paid_out(&flow(at, TransactionKind::Transfer, 950_000, 1));
    }
    assert_meets(&scene(&customer, 940_000, 1), "structuring", Verdict::Review);
    assert!(!met(&scene(&customer, 1_000_000, 1)).contains(&"structuring".to_owned()));
}

#[test]
fn an_hour_at_which_one_never_pays_counts_with_an_unusual_amount_only() {
    let customer = regular();
    let night = Scene {
        hour: 3,
        ..scene(&customer, 25_000, 1)
    };
    assert_meets(&night, "odd_hour", Verdict::StepUp);
    assert_quiet(&Scene { hour: 11, ..night });
    assert_quiet(&Scene {
        hour: 3,
        ..scene(&customer, 4_000, 1)
    });
}

#[test]
fn another_network_within_two_hours_needs_a_factor_for_a_new_payee() {
    let mut customer = regular();
    customer.paid_out(&flow(
        noon().plus_seconds(-1_800),
        TransactionKind::Transfer,
        2_500,
        1,
    ));
    let abroad = Scene {
        network: Some(HOME + 1),
        ..scene(&customer, 25_000, 77)
    };
    assert_meets(&abroad, "impossible_travel", Verdict::StepUp);
    assert_quiet(&Scene {
        network: Some(HOME),
        ..abroad
    });
    assert_quiet(&Scene {
        network: None,
        ..abroad
    });
    let later = noon().plus_seconds(3 * 3_600);
    assert_quiet(&Scene { at: later, ..abroad });
}

#[test]
fn an_account_that_slept_for_half_a_year_wakes_under_a_look() {
    let customer = regular();
    let woken = Scene {
        at: noon().plus_seconds(179 * DAY),
        ..scene(&customer, 60_000, 77)
    };
    assert_meets(&woken, "dormant_account", Verdict::Review);
    let awake = Scene {
        at: noon().plus_seconds(170 * DAY),
        ..woken
    };
    assert!(!met(&awake).contains(&"dormant_account".to_owned()));
}

#[test]
fn emptying_an_account_to_somebody_new_is_looked_at() {
    let customer = regular();
    let drain = Scene {
        spendable: Some(51_000),
        ..scene(&customer, 50_000, 77)
    };
    assert_meets(&drain, "drain", Verdict::Review);
    assert_quiet(&Scene {
        spendable: Some(500_000),
        ..drain
    });
    assert_quiet(&Scene { to: 1, ..drain });
    let mut parts = regular();
    for payee in 70..73 {
        parts.paid_out(&flow(
            noon().plus_seconds(-300),
            TransactionKind::Transfer,
            20_000,
            payee,
        ));
    }
    assert_meets(&scene(&parts, 20_000, 77), "drain_in_parts", Verdict::Review);
}

#[test]
fn money_that_comes_and_goes_at_once_is_looked_at() {
    let mut mule = Features::default();
    mule.took_in(&flow(
        noon().plus_seconds(-7_200),
        TransactionKind::Transfer,
        600_000,
        5,
    ));
    assert_meets(&scene(&mule, 560_000, 77), "mule_in_and_out", Verdict::Review);
    assert_quiet(&scene(&mule, 200_000, 77));
}

#[test]
fn a_young_payee_whom_many_strangers_pay_is_looked_at() {
    let (customer, mut payee) = (regular(), Features::default());
    for stranger in 200..212 {
        payee.took_in(&flow(
            noon().plus_seconds(-600),
            TransactionKind::Transfer,
            20_000,
            stranger,
        ));
    }
    let scam = Scene {
        payee: Some(&payee),
        ..scene(&customer, 10_000, 77)
    };
    assert_meets(&scam, "payee_scam", Verdict::Review);
    assert_quiet(&Scene { to: 1, ..scam });
    let old = Scene {
        at: noon().plus_seconds(31 * DAY),
        ..scam
    };
    assert_quiet(&old);
}

#[test]
fn a_run_of_tiny_payments_needs_a_factor_and_a_flood_of_them_is_refused() {
    let mut customer = regular();
    let tiny = flow(noon().plus_seconds(-900), TransactionKind::Payment, 100, 1);
    (0..8).for_each(|_| customer.paid_out(&tiny));
    assert_quiet(&scene(&customer, 100, 1));
    customer.paid_out(&tiny);
    assert_meets(&scene(&customer, 100, 1), "card_testing", Verdict::StepUp);
    (0..20).for_each(|_| customer.paid_out(&tiny));
    assert_meets(&scene(&customer, 100, 1), "card_testing_flood", Verdict::Refuse);
    // Who pays little as a rule does so again, and who came today has no rule yet.
    let mut frugal = Features::default();
    for day in 1..60 {
        frugal.paid_out(&flow(
            noon().plus_seconds(-DAY * day),
            TransactionKind::Payment,
            150,
            1,
        ));
    }
    (0..30).for_each(|_| frugal.paid_out(&tiny));
    assert_quiet(&scene(&frugal, 100, 1));
    assert_quiet(&scene(&first_day([(100, 1); 50]), 100, 1));
}

#[test]
fn money_that_goes_round_is_looked_at() {
    let mut customer = regular();
    for number in 0..3 {
        let at = noon().plus_seconds(-4_000 + number * 1_000);
        customer.took_in(&flow(at, TransactionKind::Transfer, 100_000, 2));
        customer.paid_out(&flow(at.plus_seconds(300), TransactionKind::Transfer, 100_000, 2));
    }
    // The fourth time round: as much goes back as came.
    customer.took_in(&flow(
        noon().plus_seconds(-60),
        TransactionKind::Transfer,
        100_000,
        2,
    ));
    assert_meets(&scene(&customer, 100_000, 2), "kiting", Verdict::Review);
    assert!(!met(&scene(&customer, 100_000, 3)).contains(&"kiting".to_owned()));
}

#[test]
fn whoever_is_refunded_most_of_what_is_paid_needs_a_factor() {
    let mut customer = regular();
    for number in 0..6 {
        let at = noon().plus_seconds(-DAY + number * 3_600);
        customer.paid_out(&flow(at, TransactionKind::Payment, 3_000, 3));
        if number < 4 {
            customer.took_in(&flow(at, TransactionKind::Refund, 3_000, 3));
        }
    }
    assert_quiet(&scene(&customer, 3_000, 3));
    customer.took_in(&flow(
        noon().plus_seconds(-3_600),
        TransactionKind::Refund,
        3_000,
        3,
    ));
    assert_meets(&scene(&customer, 3_000, 3), "refund_abuse", Verdict::StepUp);
}

#[test]
fn after_signs_of_a_takeover_new_payees_wait() {
    let customer = regular();
    let shaken = Scene {
        floor: true,
        ..scene(&customer, 1_000, 77)
    };
    assert_meets(&shaken, "takeover_new_payee", Verdict::Review);
    assert_quiet(&Scene { to: 1, ..shaken });
}

#[test]
fn scores_of_rules_that_each_ask_for_little_add_up_to_a_look() {
    let rule =
        |id: &str, score| Rule::new(id, 1, "amount >= 1", Verdict::StepUp, score, RuleMode::Enforce).unwrap();
    let customer = regular();
    let scene = scene(&customer, 1_000, 1);
    let judged = |rules| {
        let mode = FraudMode::Enforce;
        FraudRules {
            trial: None,
            mode,
            revision: 0,
            rules,
        }
        .judge(&scene)
        .verdict
    };
    assert_eq!(judged(vec![rule("a", 50), rule("b", 49)]), Verdict::StepUp);
    assert_eq!(judged(vec![rule("a", 50), rule("b", 50)]), Verdict::Review);
}

#[test]
fn what_only_watches_is_told_and_decides_nothing() {
    let nobody = Features::default();
    let unknown = Scene {
        payer: None,
        ..scene(&nobody, 1_000, 1)
    };
    let watched = FraudRules::built_in(FraudMode::Shadow).judge(&unknown);
    assert_eq!(
        (watched.verdict, watched.shadow),
        (Verdict::Allow, Verdict::Review)
    );
    assert_eq!(watched.would, [("unknown_customer".to_owned(), 1)]);
    let mut rules = FraudRules::built_in(FraudMode::Enforce);
    rules
        .rules
        .iter_mut()
        .for_each(|rule| rule.mode = RuleMode::Shadow);
    assert_eq!(rules.judge(&unknown), watched);
    assert_eq!(
        FraudRules::built_in(FraudMode::Off).judge(&unknown),
        Judgement::default()
    );
}

fn flows() -> impl Strategy<Value = Vec<(bool, i64, i64, u32, u8)>> {
    let one = (
        any::<bool>(),
        0..40_000_000_i64,
        1..=crate::money::AMOUNT_MAX,
        1..40_u32,
        0..24_u8,
    );
    prop::collection::vec(one, 0..400)
}

proptest! {
    #[test]
    fn whatever_happened_the_row_has_one_size_and_is_read_as_it_was_written(flows in flows()) {
        let mut row = Features::default();
        for (out, ago, minor, other, hour) in flows {
            let flow = Flow { hour, ..flow(noon().plus_seconds(-ago), TransactionKind::Transfer, minor, other) };
            if out { row.paid_out(&flow) } else { row.took_in(&flow) }
            let bytes = row.to_bytes();
            prop_assert_eq!(bytes.len(), Features::BYTES);
            prop_assert_eq!(Features::from_bytes(&bytes), Some(row));
        }
        let scene = scene(&row, 1_000, 1);
        for measure in Measure::ALL {
            prop_assert!(measure.of(&scene) >= 0, "{}", measure.name());
        }
    }

    #[test]
    fn what_is_no_row_is_not_read(mut bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        if bytes.len() == Features::BYTES {
            bytes[0] = bytes[0].max(2);
        }
        prop_assert_eq!(Features::from_bytes(&bytes), None);
    }

    /// What is counted within a span is never less than what happened in its running bucket, nor more than in both.
    #[test]
    fn a_window_never_forgets_what_just_happened(gaps in prop::collection::vec(0..100_000_i64, 1..200)) {
        let mut row = Features::default();
        let mut at = noon();
        let mut all: Vec<Timestamp> = Vec::new();
        for gap in gaps {
            at = at.plus_seconds(gap);
            row.paid_out(&flow(at, TransactionKind::Transfer, 100, 1));
            all.push(at);
            let now = Scene { at, ..scene(&row, 100, 1) };
            let within = |seconds| all.iter().filter(|then| at.seconds_since(**then) < seconds).count();
            let day = usize::try_from(Measure::OutDay.of(&now)).unwrap() - 1;
            prop_assert!(day <= within(2 * DAY));
            let bucket = at.seconds().rem_euclid(DAY);
            prop_assert!(day >= within(bucket + 1).min(usize::from(u16::MAX)));
        }
    }
}

/// A draft of the program's own rules with other numbers, modes and verdicts.
fn drafts() -> impl Strategy<Value = RuleSet> {
    let one = (
        0..built_in().len(),
        prop::option::of(prop::sample::select(vec!["enforce", "shadow", "off"])),
        prop::option::of(prop::sample::select(vec!["step_up", "review", "refuse"])),
        0..=100_i64,
        prop::option::of(1..200_i64),
    );
    prop::collection::vec(one, 0..6).prop_map(|drawn| {
        let mut set = RuleSet::default();
        for (at, mode, verdict, score, value) in drawn {
            let rule = &set.rules()[at];
            let first = rule.parameters().next();
            let parameters = first.zip(value).map(|(first, value)| {
                let bounds = first.bounds;
                (
                    first.measure.name().to_owned(),
                    value.clamp(bounds.min, bounds.max),
                )
            });
            let draft = RuleDraft {
                rule: rule.id.clone(),
                mode: mode.map(str::to_owned),
                verdict: verdict.map(str::to_owned),
                score: Some(score),
                parameters: parameters.into_iter().collect(),
            };
            // What others rely on is refused, and stays.
            set = set.with(&[draft]).unwrap_or(set);
        }
        set
    })
}

proptest! {
    /// Whatever the sets: beside the one in force a draft comes to what it would come to in its place, and the set in
    /// force to what it comes to alone.
    #[test]
    fn a_draft_beside_the_set_in_force_comes_to_what_it_would_come_to_in_its_place(
        now in drafts(),
        draft in drafts(),
        minor in prop::sample::select(vec![100_i64, 6_000, 60_000, 500_000, 2_000_000]),
        to in prop::sample::select(vec![1_u32, 77]),
        small in 0..40_i64,
        known in any::<bool>(),
        mode in prop::sample::select(vec![FraudMode::Enforce, FraudMode::Shadow]),
    ) {
        let mut customer = regular();
        for number in 0..small {
            let at = noon().plus_seconds(number - 300);
            customer.paid_out(&flow(at, TransactionKind::Transfer, 100, 1));
        }
        let scene = scene(&customer, minor, to);
        let scene = Scene { payer: scene.payer.filter(|_| known), ..scene };
        let alone = |set: &RuleSet| {
            let judged = FraudRules::of(FraudMode::Enforce, 1, set).judge(&scene);
            let rules: Vec<_> = judged.reasons.iter().map(|(id, version)| format!("{id}/{version}")).collect();
            Outcome { verdict: judged.verdict, score: judged.score, rules: rules.join(",") }
        };
        let rules = FraudRules::of(mode, 1, &now);
        let beside = rules.clone().beside(Some(Trial::of(3, &now, &draft))).judge(&scene);
        let found = beside.trial.clone().unwrap();
        prop_assert_eq!(&found.in_force, &alone(&now));
        prop_assert_eq!(&found.draft, &alone(&draft));
        prop_assert_eq!((found.trial, found.differs()), (3, alone(&now).verdict != alone(&draft).verdict));
        // And nothing follows from it.
        prop_assert_eq!(Judgement { trial: None, ..beside }, rules.judge(&scene));
    }
}
