//! The built-in policies against the rule written by hand, over the whole grid; and what no policy may change.

use proptest::prelude::*;
use strongroom_domain::principal::Role;

use super::{
    facts::Attribute,
    schema::{GROUPS, reads},
    *,
};

const NOW: strongroom_domain::time::Timestamp =
    strongroom_domain::time::Timestamp::from_micros(1_795_000_000_000_000);
const KINDS: [Kind; 4] = [Kind::User, Kind::ApiKey, Kind::Job, Kind::Cli];

/// Every subset of the roles.
fn role_sets() -> Vec<Vec<Role>> {
    (0..1_u32 << Role::ALL.len())
        .map(|set| {
            Role::ALL
                .into_iter()
                .filter(|role| set & (1 << *role as u32) != 0)
                .collect()
        })
        .collect()
}

mod by_hand;

#[test]
fn what_the_program_brings_along_fits_the_schema() {
    let validator = Validator::new(schema::schema().unwrap());
    for text in [GUARDRAILS, BUILTIN] {
        fits(&validator, &read(text).unwrap()).unwrap();
    }
    let misspelt = GUARDRAILS.replacen("assurance", "asurance", 1);
    assert!(matches!(
        fits(&validator, &read(&misspelt).unwrap()),
        Err(PolicyError::Schema(_))
    ));
}

#[test]
fn the_policies_decide_what_the_rule_by_hand_did_over_the_whole_grid() {
    let policies = built_in().unwrap();
    let every: Vec<String> = GROUPS.iter().map(|scope| (*scope).to_owned()).collect();
    let one = ["accounts:read".to_owned()];
    let (mut asked, mut allowed) = (0, 0);
    let scopes = [None, Some(&[][..]), Some(&one[..]), Some(&every[..])];
    let all_roles = role_sets();
    // Only people and keys hold roles, only keys have scopes.
    let holders = KINDS.iter().flat_map(|kind| match kind {
        Kind::User => all_roles
            .iter()
            .map(|roles| (*kind, roles, &scopes[..1]))
            .collect::<Vec<_>>(),
        Kind::ApiKey => all_roles
            .iter()
            .map(|roles| (*kind, roles, &scopes[..]))
            .collect(),
        Kind::Job | Kind::Cli => [&all_roles[0], &all_roles[all_roles.len() - 1]]
            .map(|roles| (*kind, roles, &scopes[..1]))
            .to_vec(),
    });
    for (kind, roles, scopes) in holders {
        for action in Action::ALL {
            for assurance in 0..=2 {
                for (is_somebodys, own) in [(false, false), (true, false), (true, true)] {
                    for (scopes, reason) in scopes.iter().flat_map(|one| [(one, false), (one, true)]) {
                        let facts = Facts {
                            is_somebodys,
                            own,
                            assurance,
                            reason,
                            scopes: *scopes,
                            ..Facts::new(kind, roles, *action, NOW)
                        };
                        let verdict = policies.decide(&facts);
                        assert!(!verdict.failed, "{facts:?}");
                        assert_eq!(verdict.allowed, by_hand::allows(&facts), "{facts:?} {verdict:?}");
                        asked += 1;
                        allowed += usize::from(verdict.allowed);
                    }
                }
            }
        }
    }
    assert!(
        allowed > 4_000 && asked - allowed > 20_000,
        "{allowed} of {asked}"
    );
}

/// A decision of a teller about an account, with these policies besides.
fn teller(more: &[&str], change: impl Fn(&mut Facts<'_>)) -> Verdict {
    let policies = Policies::parse(more).unwrap();
    let mut facts = Facts {
        is_somebodys: true,
        assurance: 2,
        ..Facts::new(Kind::User, &[Role::Teller], Action::AccountFreeze, NOW)
    };
    change(&mut facts);
    Verdict::clone(&policies.decide(&facts))
}

#[test]
fn what_is_remembered_is_what_evaluation_comes_to() {
    let policies = Policies::parse(&[
        r#"forbid (principal, action == Action::"account.read", resource) when { context.origin == "web" };"#,
        r#"forbid (principal, action == Action::"account.list", resource is Bank) when { context.assurance == 1 };"#,
        r#"forbid (principal, action == Action::"transfer.create", resource)
           when { context has amount && context.amount > 100 };"#,
    ])
    .unwrap();
    let mut verdicts = BTreeSet::new();
    for action in [Action::AccountRead, Action::AccountList, Action::TransferCreate] {
        for number in 0..2 * 2 * 3 * 4 * 2 {
            let bit = |place: u32| number >> place & 1 == 1;
            let facts = Facts {
                own: bit(0),
                is_somebodys: bit(1),
                amount: Some(if bit(2) { 100 } else { 101 }),
                origin: ["api", "web", "cli", "job"][number >> 3 & 3],
                assurance: i64::try_from(number >> 5).unwrap(),
                ..Facts::new(Kind::User, &[Role::Customer], action, NOW)
            };
            let evaluated = policies.evaluate(&policies.slice(&facts).unwrap(), &facts);
            for _ in 0..2 {
                assert_eq!(*policies.decide(&facts), evaluated, "{facts:?}");
            }
            verdicts.insert((action.name(), evaluated.allowed));
        }
    }
    assert_eq!(verdicts.len(), 6, "each is allowed to some and refused to others");
}

#[test]
fn a_forbid_wins_over_every_permit_whatever_their_order() {
    let forbid = r#"@id("no") forbid (principal, action == Action::"account.freeze", resource);"#;
    let permit = r#"@id("yes") permit (principal, action, resource);"#;
    assert!(teller(&[permit], |_| ()).allowed);
    for order in [[forbid, permit], [permit, forbid]] {
        let verdict = teller(&order, |_| ());
        assert_eq!((verdict.allowed, verdict.reasons.len()), (false, 1));
    }
}

#[test]
fn guardrails_hold_whatever_an_author_permits() {
    let everything = r#"permit (principal, action, resource);"#;
    let policies = Policies::parse(&[everything]).unwrap();
    for kind in [Kind::Job, Kind::Cli] {
        for action in [
            Action::TransferCreate,
            Action::DepositCreate,
            Action::WithdrawalCreate,
            Action::HoldPlace,
            Action::HoldCapture,
            Action::HoldVoid,
        ] {
            assert!(
                !policies.decide(&Facts::new(kind, &[], action, NOW)).allowed,
                "{kind:?} {action:?}"
            );
        }
        assert!(
            policies
                .decide(&Facts::new(kind, &[], Action::KeyManage, NOW))
                .allowed
        );
    }
    for action in Action::ALL {
        let facts = Facts::new(Kind::ApiKey, &[Role::Admin], *action, NOW);
        let allowed = policies.decide(&facts).allowed;
        assert_eq!(
            allowed,
            *action == Action::DeskEnter,
            "a key without scopes: {action:?}"
        );
    }
}

#[test]
fn conditions_by_department_time_network_amount_and_state_hold_at_their_bounds() {
    let same = r#"forbid (principal in Role::"teller", action, resource is Thing) unless {
        context.own || (context has department && context has resource_department
            && context.department == context.resource_department) };"#;
    let department = |mine, its| {
        teller(&[same], |facts| {
            (facts.department, facts.resource_department) = (mine, its)
        })
        .allowed
    };
    assert!(department(Some("north"), Some("north")));
    assert!(!department(Some("north"), Some("south")));
    // It is about people's things alone: whoever it is about comes in, and reaches the own login.
    let bank = |facts: &mut Facts<'_>| facts.is_somebodys = false;
    assert!(teller(&[same], bank).allowed);
    // Two absent attributes are not equal: they match nothing.
    assert!(!department(None, None) && !department(Some("north"), None) && !department(None, Some("north")));

    // 2026-11-18, a Wednesday: from eight to six, half open.
    let hours = r#"forbid (principal in Role::"teller", action, resource) unless {
        context.weekday >= 1 && context.weekday <= 5 && context.minute >= 480 && context.minute < 1080 };"#;
    let at = |text: &str| {
        let now = strongroom_domain::time::Timestamp::parse(text).unwrap();
        teller(&[hours], |facts| facts.now = now).allowed
    };
    for (text, allowed) in [
        ("2026-11-18T07:59:59.999999Z", false),
        ("2026-11-18T08:00:00Z", true),
        ("2026-11-18T17:59:59.999999Z", true),
        ("2026-11-18T18:00:00Z", false),
        ("2026-11-21T12:00:00Z", false),
        ("2026-11-22T12:00:00Z", false),
        ("2026-11-23T12:00:00Z", true),
    ] {
        assert_eq!(at(text), allowed, "{text}");
    }

    let network = r#"forbid (principal in Role::"operator", action, resource) unless {
        context has address && (context.address.isInRange(ip("10.1.0.0/16")) || context.address.isInRange(ip("fd00::/8"))) };"#;
    let from = |address: Option<&str>| {
        let address = address.map(|text| text.parse().unwrap());
        teller(&[network], |facts| facts.address = address).allowed
    };
    assert!(from(Some("10.1.255.255")) && from(Some("::ffff:10.1.2.3")) && from(Some("fd12::1")));
    assert!(!from(Some("10.2.0.0")) && !from(Some("2001:db8::1")) && !from(None));

    let amount = r#"forbid (principal in Role::"teller", action, resource) unless {
        context has amount && context has currency && context.currency == "EUR" && context.amount <= 100000 };"#;
    let of = |minor, currency| {
        teller(&[amount], |facts| {
            (facts.amount, facts.currency) = (minor, currency)
        })
        .allowed
    };
    assert!(of(Some(100_000), Some("EUR")));
    assert!(
        !of(Some(100_001), Some("EUR"))
            && !of(Some(1), Some("USD"))
            && !of(None, Some("EUR"))
            && !of(Some(1), None)
    );

    let state = r#"forbid (principal, action, resource) when { context has account_state && context.account_state == "frozen" };"#;
    let when = |found| teller(&[state], |facts| facts.account_state = found).allowed;
    assert!(when(Some("active")) && when(None) && !when(Some("frozen")));
}

static BERLIN: std::sync::LazyLock<jiff::tz::TimeZone> =
    std::sync::LazyLock::new(|| jiff::tz::TimeZone::get("Europe/Berlin").unwrap());

#[test]
fn a_window_of_the_week_is_the_wall_clock_also_on_the_days_on_which_it_changes() {
    let at = |policy: &str, text: &str| {
        let now = strongroom_domain::time::Timestamp::parse(text).unwrap();
        let there = |facts: &mut Facts<'_>| (facts.now, facts.zone) = (now, Some(&*BERLIN));
        teller(&[policy], there).allowed
    };
    // From two to three on Sundays. On 29 March there is no such hour, on 25 October there are two of them.
    let night = r#"forbid (principal in Role::"teller", action, resource) unless {
        context.weekday == 7 && context.minute >= 120 && context.minute < 180 };"#;
    for (text, allowed) in [
        ("2026-03-29T00:59:59.999999Z", false),
        ("2026-03-29T01:00:00Z", false),
        ("2026-10-24T23:59:59.999999Z", false),
        ("2026-10-25T00:00:00Z", true),
        ("2026-10-25T00:59:59.999999Z", true),
        ("2026-10-25T01:00:00Z", true),
        ("2026-10-25T01:59:59.999999Z", true),
        ("2026-10-25T02:00:00Z", false),
    ] {
        assert_eq!(at(night, text), allowed, "{text}");
    }
    // A day begins at midnight there, in summer and in winter, and on the day of 25 hours.
    let mondays =
        r#"forbid (principal in Role::"teller", action, resource) unless { context.weekday == 1 };"#;
    for (text, allowed) in [
        ("2026-07-05T21:59:59.999999Z", false),
        ("2026-07-05T22:00:00Z", true),
        ("2026-07-06T22:00:00Z", false),
        ("2026-10-25T22:59:59.999999Z", false),
        ("2026-10-25T23:00:00Z", true),
    ] {
        assert_eq!(at(mondays, text), allowed, "{text}");
    }
}

#[test]
fn a_policy_that_could_fail_or_says_nothing_known_is_refused() {
    let refused = |text: &str| Policies::parse(&[text]).err();
    assert!(refused(r#"permit (principal, action, resource);"#).is_none());
    for syntax in [
        "",
        "permit",
        "permit (principal, action);",
        "allow (principal, action, resource);",
    ] {
        let found = refused(syntax);
        assert!(
            syntax.is_empty() || matches!(found, Some(PolicyError::Syntax(_))),
            "{syntax}: {found:?}"
        );
    }
    for schema in [
        r#"permit (principal in Role::"teller", action == Action::"no.such", resource);"#,
        r#"permit (principal, action, resource) when { context.nothing == 1 };"#,
        r#"permit (principal, action, resource) when { context.assurance == "2" };"#,
        // An attribute that may be absent is asked for first.
        r#"permit (principal, action, resource) when { context.amount > 1 };"#,
        r#"permit (principal, action, resource) when { resource.owner == principal };"#,
    ] {
        assert!(
            matches!(refused(schema), Some(PolicyError::Schema(_))),
            "{schema}: {:?}",
            refused(schema)
        );
    }
    for shape in [
        r#"permit (principal == User::"x", action, resource);"#,
        r#"permit (principal, action, resource) when { principal in Role::"admin" };"#,
        r#"permit (principal, action, resource == Bank::"bank");"#,
    ] {
        assert!(
            matches!(refused(shape), Some(PolicyError::Shape(..))),
            "{shape}: {:?}",
            refused(shape)
        );
    }
}

#[test]
fn an_evaluation_that_fails_decides_no() {
    // The sum overflows: whatever a policy would have said, nobody knows it.
    let text =
        r#"forbid (principal, action, resource) when { context has amount && context.amount + 1 < 0 };"#;
    assert!(teller(&[text], |facts| facts.amount = Some(5)).allowed);
    let verdict = teller(&[text], |facts| facts.amount = Some(i64::MAX));
    assert!(verdict.failed && !verdict.allowed);
}

#[test]
fn the_names_of_all_attributes_are_in_the_schema() {
    for attribute in Attribute::ALL {
        let text = format!(
            r#"permit (principal, action, resource) when {{ context has {} }};"#,
            attribute.name()
        );
        Policies::parse(&[&text]).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    /// A slice decides as the whole set does: policies that are not in it could not have applied.
    #[test]
    fn order_and_company_of_policies_that_do_not_apply_change_nothing(
        others in prop::collection::vec((0..Role::ALL.len(), 0..Action::ALL.len()), 0..20),
        role in 0..Role::ALL.len(), action in 0..Action::ALL.len(), assurance in 0_i64..3, own: bool,
    ) {
        let (role, action) = (Role::ALL[role], Action::ALL[action]);
        let texts: Vec<String> = others
            .iter()
            .filter(|(other, what)| Role::ALL[*other] != role || Action::ALL[*what] != action)
            .map(|(other, what)| {
                let (other, what) = (Role::ALL[*other].name(), Action::ALL[*what].name());
                format!(r#"forbid (principal in Role::"{other}", action == Action::"{what}", resource);"#)
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let roles = [role];
        let facts = Facts { is_somebodys: true, own, assurance, ..Facts::new(Kind::User, &roles, action, NOW) };
        let with = Policies::parse(&texts).unwrap().decide(&facts);
        prop_assert_eq!(with, built_in().unwrap().decide(&facts));
    }
}
