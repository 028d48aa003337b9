use proptest::prelude::*;

use super::*;
use crate::time::Date;

const START: i64 = 1_790_000_000_000_000;

fn moment(day: i32, secs: i64) -> Moment {
    Moment {
        at: Timestamp::from_micros(START).plus_seconds(i64::from(day) * 86_400 + secs),
        day: Date::from_days(20_000 + day),
    }
}

const fn id(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

fn daily(most: i64) -> Caps {
    Caps {
        daily: Some(most),
        ..Caps::NONE
    }
}

#[test]
fn an_account_has_its_own_day_and_others_have_none() {
    let mut limits = LimitsOfAccounts::default();
    let now = moment(0, 0);
    let spent = Spent { day: 40, month: 90 };
    assert_eq!(limits.check(id(1), i64::MAX, now), Ok(()));
    limits.set(id(1), daily(100), spent, now).unwrap();
    // What the customer paid before is taken to have left this account.
    assert_eq!(limits.check(id(1), 61, now), Err(LimitBroken::Daily));
    assert_eq!(limits.check(id(1), 60, now), Ok(()));
    assert_eq!(limits.check(id(2), i64::MAX, now), Ok(()));
    limits.count(id(1), 60, now);
    limits.count(id(2), 60, now);
    assert_eq!(limits.check(id(1), 1, now), Err(LimitBroken::Daily));
    // What is given back counts no more on its day, and the next day begins at nothing.
    limits.give_back(id(1), 10, now.at, now);
    assert_eq!(limits.check(id(1), 10, now), Ok(()));
    let next = moment(1, 0);
    assert_eq!(limits.spent(id(1), next), Some(Spent { day: 0, month: 140 }));
    limits.count(id(1), 5, next);
    limits.give_back(id(1), 10, now.at, next);
    assert_eq!(limits.spent(id(1), next), Some(Spent { day: 5, month: 135 }));
}

#[test]
fn lower_counts_at_once_higher_a_day_later_and_what_has_no_limit_is_forgotten() {
    let mut limits = LimitsOfAccounts::default();
    let now = moment(0, 0);
    limits.set(id(1), daily(100), Spent::default(), now).unwrap();
    assert!(!limits.would_raise(id(1), daily(100), now.at) && limits.would_raise(id(1), Caps::NONE, now.at));
    limits.set(id(1), Caps::NONE, Spent::default(), now).unwrap();
    assert_eq!(limits.own(id(1), now.at), daily(100));
    assert_eq!(
        limits.raise(id(1), now.at).map(|raise| raise.caps),
        Some(Caps::NONE)
    );
    let later = moment(1, 0);
    assert_eq!(limits.own(id(1), later.at), Caps::NONE);
    for number in 2..34 {
        limits.set(id(number), daily(1), Spent::default(), later).unwrap();
    }
    assert_eq!(limits.of(id(1)), None);
    let one_more = limits.set(id(90), daily(1), Spent::default(), later);
    assert_eq!(one_more, Err(TooManyAccounts));
    assert_eq!(limits.to_bytes().len(), LimitsOfAccounts::BYTES_MAX);
    assert!(limits.set(id(90), Caps::NONE, Spent::default(), later).is_ok());
}

proptest! {
    #[test]
    fn the_stored_form_is_read_back_as_it_was(
        known in prop::collection::vec(
            (any::<[u8; 16]>(), 0..i64::MAX, prop::option::of(0..i64::MAX), 0..1_000_i64),
            0..32,
        ),
    ) {
        let mut limits = LimitsOfAccounts::default();
        let now = moment(0, 7);
        for (account, most, raised, spent) in known {
            let account = AccountId::from_bytes(account);
            limits.set(account, daily(most), Spent { day: spent, month: spent }, now).unwrap();
            if let Some(more) = raised {
                limits.set(account, Caps { monthly: Some(more), ..Caps::NONE }, Spent::default(), now).unwrap();
            }
            limits.count(account, 3, now);
        }
        let bytes = limits.to_bytes();
        prop_assert!(bytes.len() <= LimitsOfAccounts::BYTES_MAX);
        prop_assert_eq!(LimitsOfAccounts::from_bytes(&bytes), Some(limits));
        prop_assert_eq!(LimitsOfAccounts::from_bytes(&bytes[..bytes.len() - 1]), None);
        let mut other = bytes.clone();
        other[0] = 2;
        prop_assert_eq!(LimitsOfAccounts::from_bytes(&other), None);
        other = bytes;
        other.push(0);
        prop_assert_eq!(LimitsOfAccounts::from_bytes(&other), None);
    }
}
