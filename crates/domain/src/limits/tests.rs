use proptest::prelude::*;

use super::*;

const EUR: Currency = Currency::EUR;

fn caps(per_transfer: i64, daily: i64, monthly: i64) -> Caps {
    let cap = |cap: i64| Some(cap).filter(|cap| *cap >= 0);
    Caps {
        per_transfer: cap(per_transfer),
        daily: cap(daily),
        monthly: cap(monthly),
    }
}

fn at(text: &str) -> Moment {
    let at = Timestamp::parse(text).unwrap();
    Moment {
        at,
        day: Date::parse(&text[..10]).unwrap(),
    }
}

fn rules(all: &str) -> LimitRules {
    LimitRules {
        classes: [(LimitClass::All, all.parse().unwrap())].into(),
        floor: "5/8/-".parse().unwrap(),
        ..LimitRules::default()
    }
}

const ALL: &[LimitClass] = &[LimitClass::All];

#[test]
fn what_a_limit_is_may_be_paid_and_not_a_cent_more() {
    let rules = rules("10/15/20");
    let mut limits = CustomerLimits::default();
    let day = at("2026-11-20T12:00:00Z");
    let check = |limits: &CustomerLimits, amount| limits.check(&rules, ALL, (amount, EUR), day);
    assert_eq!(check(&limits, 1_000), Ok(()));
    assert_eq!(check(&limits, 1_001), Err(LimitBroken::PerTransfer));
    limits.count(ALL, 1_000, day);
    assert_eq!(check(&limits, 500), Ok(()));
    assert_eq!(check(&limits, 501), Err(LimitBroken::Daily));
    limits.count(ALL, 500, day);
    assert_eq!(check(&limits, 1), Err(LimitBroken::Daily));
    // The next day is new, and the month is not.
    let next = at("2026-11-21T00:00:00Z");
    assert_eq!(limits.check(&rules, ALL, (500, EUR), next), Ok(()));
    assert_eq!(
        limits.check(&rules, ALL, (501, EUR), next),
        Err(LimitBroken::Monthly)
    );
    let month = at("2026-12-01T00:00:00Z");
    assert_eq!(limits.check(&rules, ALL, (1_000, EUR), month), Ok(()));
}

#[test]
fn every_class_has_a_limit_of_its_own_and_one_for_all() {
    let mut rules = rules("10/15/-");
    rules
        .classes
        .insert(LimitClass::Programs, "-/2/-".parse().unwrap());
    let mut limits = CustomerLimits::default();
    let day = at("2026-11-20T12:00:00Z");
    let program = [LimitClass::All, LimitClass::Transfers, LimitClass::Programs];
    limits.count(&program, 200, day);
    assert_eq!(
        limits.check(&rules, &program, (1, EUR), day),
        Err(LimitBroken::Daily)
    );
    let person = [LimitClass::All, LimitClass::Transfers];
    assert_eq!(limits.check(&rules, &person, (1_000, EUR), day), Ok(()));
    limits.count(&person, 1_000, day);
    assert_eq!(
        limits.check(&rules, &person, (301, EUR), day),
        Err(LimitBroken::Daily)
    );
}

#[test]
fn what_is_given_back_counts_where_its_day_is_still_counted() {
    let mut limits = CustomerLimits::default();
    let (first, second) = (at("2026-11-20T12:00:00Z"), at("2026-11-21T12:00:00Z"));
    limits.count(ALL, 700, first);
    limits.count(ALL, 100, second);
    limits.give_back(ALL, 700, first.at, second);
    assert_eq!(
        limits.spent(LimitClass::All, second),
        Spent { day: 100, month: 100 }
    );
    // Of a month that is over nothing is left to take back.
    let december = at("2026-12-02T12:00:00Z");
    limits.count(ALL, 50, december);
    limits.give_back(ALL, 100, second.at, december);
    assert_eq!(
        limits.spent(LimitClass::All, december),
        Spent { day: 50, month: 50 }
    );
}

#[test]
fn lower_counts_at_once_and_higher_a_day_later() {
    let rules = rules("10/15/-");
    let (now, soon) = (at("2026-11-20T12:00:00Z"), at("2026-11-21T11:59:59Z"));
    let then = at("2026-11-21T12:00:00Z");
    let mut limits = CustomerLimits::default();
    assert!(!limits.set_own(caps(400, 600, -1), now.at));
    assert_eq!(
        limits.caps(&rules, LimitClass::All, EUR, now.at),
        caps(400, 600, -1)
    );
    // One is lowered and one raised.
    assert!(limits.would_raise(caps(300, 700, -1), now.at));
    assert!(limits.set_own(caps(300, 700, -1), now.at));
    assert_eq!(limits.own(soon.at), caps(300, 600, -1));
    assert_eq!(
        limits.raise(soon.at).map(|raise| raise.caps),
        Some(caps(300, 700, -1))
    );
    assert_eq!(limits.own(then.at), caps(300, 700, -1));
    assert_eq!(limits.raise(then.at), None);
    // Lowering again takes the raise that waits away.
    assert!(limits.set_own(caps(900, -1, -1), then.at));
    assert!(!limits.set_own(caps(200, 700, -1), then.at));
    let later = at("2026-12-21T12:00:00Z");
    assert_eq!(limits.own(later.at), caps(200, 700, -1));
    // Nobody raises above the bank's.
    limits.set_own(Caps::NONE, then.at);
    assert_eq!(
        limits.caps(&rules, LimitClass::All, EUR, later.at),
        caps(1_000, 1_500, -1)
    );
}

#[test]
fn after_signs_of_a_takeover_a_floor_holds_for_three_days() {
    let rules = rules("10/15/20");
    let mut limits = CustomerLimits::default();
    let now = at("2026-11-20T12:00:00Z");
    limits.take_over_suspected(now.at);
    let last = at("2026-11-23T11:59:59Z");
    assert_eq!(
        limits.caps(&rules, LimitClass::All, EUR, last.at),
        caps(500, 800, 2_000)
    );
    let over = at("2026-11-23T12:00:00Z");
    assert_eq!(
        limits.caps(&rules, LimitClass::All, EUR, over.at),
        caps(1_000, 1_500, 2_000)
    );
    assert_eq!(limits.floor_until(over.at), None);
}

#[test]
fn rules_are_read_in_whole_units_of_each_currency() {
    let rule: CapsRule = "1000/2000/-, JPY 5/-/9".parse().unwrap();
    let jpy = Currency::parse("JPY").unwrap();
    let kwd = Currency::parse("KWD").unwrap();
    assert_eq!(rule.caps(EUR), caps(100_000, 200_000, -1));
    assert_eq!(rule.caps(kwd), caps(1_000_000, 2_000_000, -1));
    assert_eq!(rule.caps(jpy), caps(5, -1, 9));
    assert_eq!(rule.to_string(), "1000/2000/-, JPY 5/-/9");
    for wrong in [
        "",
        "1",
        "1/2",
        "1/2/3/4",
        "1/2/x",
        "1/2/-3",
        "JPY 1/2/3 4",
        "1/2/3, 4/5/6",
        "1/2/3, XXX 1/2/3",
        "1/2/3, JPY 1/2/3, JPY 1/2/3",
        "+1/2/3",
        "99999999999999999999/-/-",
    ] {
        assert_eq!(wrong.parse::<CapsRule>(), Err(CapsRuleError), "{wrong}");
    }
}

fn any_caps() -> impl Strategy<Value = Caps> {
    let cap = || prop::option::of(0..=i64::MAX);
    (cap(), cap(), cap()).prop_map(|(per_transfer, daily, monthly)| Caps {
        per_transfer,
        daily,
        monthly,
    })
}

/// Behind the form, the own limits and the raise.
const EXCEPTION_AT: usize = 1 + 3 * 8 + 4 * 8;

#[test]
fn an_exception_goes_beyond_the_rules_until_its_end_and_beyond_nothing_else() {
    let mut rules = rules("10/20/30");
    let own = |class| {
        let caps: CapsRule = "5/-/-".parse().unwrap();
        (class, caps)
    };
    rules
        .classes
        .extend([own(LimitClass::Outgoing), own(LimitClass::Programs)]);
    let start = at("2026-11-20T12:00:00Z").at;
    let mut limits = CustomerLimits::default();
    limits.set_exception(Some(Exception {
        until: start.plus_seconds(60),
        caps: Caps {
            per_transfer: Some(2_500),
            daily: Some(1),
            monthly: None,
        },
    }));
    let caps = |limits: &CustomerLimits, class, at| {
        let caps = limits.caps(&rules, class, EUR, at);
        (caps.per_transfer, caps.daily, caps.monthly)
    };
    let (all, last) = (LimitClass::All, start.plus_seconds(59));
    assert_eq!(caps(&limits, all, last), (Some(2_500), Some(2_000), Some(3_000)));
    assert_eq!(
        caps(&limits, all, start.plus_seconds(60)),
        (Some(1_000), Some(2_000), Some(3_000))
    );
    assert_eq!(
        caps(&limits, LimitClass::Outgoing, last),
        (Some(2_500), None, None)
    );
    assert_eq!(caps(&limits, LimitClass::Programs, last), (Some(500), None, None));
    // What the customer allows oneself holds besides.
    limits.set_own(
        Caps {
            per_transfer: Some(700),
            ..Caps::NONE
        },
        start,
    );
    assert_eq!(caps(&limits, all, last).0, Some(700));
}

proptest! {
    #[test]
    fn however_often_one_pays_the_day_never_takes_more_than_its_limit(
        amounts in prop::collection::vec(1_i64..2_000, 1..200), daily in 0_i64..50,
    ) {
        let rules = rules(&format!("-/{daily}/-"));
        let mut limits = CustomerLimits::default();
        let day = at("2026-11-20T12:00:00Z");
        let mut paid = 0;
        for amount in amounts {
            let fits = paid + amount <= daily * 100;
            prop_assert_eq!(limits.check(&rules, ALL, (amount, EUR), day).is_ok(), fits);
            if fits {
                limits.count(ALL, amount, day);
                paid += amount;
            }
        }
        prop_assert_eq!(limits.spent(LimitClass::All, day).day, paid);
    }

    #[test]
    fn the_stored_form_is_read_back_as_it_was(
        own in any_caps(), asked in any_caps(), allowed in any_caps(), amount in 0..i64::MAX, floor: bool,
        except in prop::option::of(any_caps()),
        micros in 1_i64..4_000_000_000_000_000,
    ) {
        let now = Moment { at: Timestamp::from_micros(micros), day: Date::from_days(20_000) };
        let mut limits = CustomerLimits::default();
        limits.set_own(own, now.at);
        limits.set_own(asked, now.at);
        limits.count(&LimitClass::ALL, amount, now);
        if floor {
            limits.take_over_suspected(now.at);
        }
        // As it was written before there were exceptions, and a word of operators: without these bytes.
        let mut before = limits.to_bytes();
        before[0] = 1;
        before.drain(EXCEPTION_AT..EXCEPTION_AT + 32 + 24);
        prop_assert_eq!(CustomerLimits::from_bytes(&before), Some(limits));
        if let Some(caps) = except {
            limits.set_exception(Some(Exception { until: now.at, caps }));
        }
        let mut before = limits.to_bytes();
        before[0] = 2;
        before.drain(EXCEPTION_AT + 32..EXCEPTION_AT + 32 + 24);
        prop_assert_eq!(CustomerLimits::from_bytes(&before), Some(limits));
        limits.allow(allowed);
        let bytes = limits.to_bytes();
        prop_assert_eq!(bytes.len(), CustomerLimits::BYTES);
        prop_assert_eq!(CustomerLimits::from_bytes(&bytes), Some(limits));
        prop_assert_eq!(CustomerLimits::from_bytes(&bytes[1..]), None);
    }
}
