use std::net::{IpAddr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn limiter(quota: &str) -> Limiter {
    Limiter::new(quota.parse().unwrap())
}

fn v4(last: u32) -> Subject {
    Subject::Address(IpAddr::V4((0xc000_0200 + last).into()))
}

fn v6(text: &str) -> Subject {
    Subject::Address(IpAddr::V6(text.parse::<Ipv6Addr>().unwrap()))
}

/// How many of `tries` at one moment pass.
fn passing(limiter: &Limiter, subject: Subject, now: Duration, tries: u32) -> u32 {
    (0..tries)
        .map(|_| u32::from(limiter.charge_at(subject, 1, now).is_ok()))
        .sum()
}

#[test]
fn the_quota_passes_and_one_more_does_not_until_its_time_has_come() {
    let limiter = limiter("5/15m");
    assert_eq!(passing(&limiter, v4(1), Duration::ZERO, 5), 5);
    let refused = limiter.charge_at(v4(1), 1, Duration::ZERO).unwrap_err();
    assert_eq!(refused.retry_after, 180 * SECOND);
    assert_eq!(refused.standing.remaining(), 0);
    assert!(limiter.charge_at(v4(1), 1, 179 * SECOND).is_err());
    assert!(limiter.charge_at(v4(1), 1, 180 * SECOND).is_ok());
    assert!(limiter.charge_at(v4(1), 1, 180 * SECOND).is_err());
    assert_eq!(
        passing(&limiter, v4(2), Duration::ZERO, 9),
        5,
        "somebody else has an own count"
    );
}

#[test]
fn every_window_has_to_agree_and_a_refusal_costs_nothing_in_any() {
    let limiter = limiter("50/1h, 200/1d");
    let mut passed = 0;
    for hour in 0..24 {
        passed += passing(&limiter, v4(1), hour * HOUR, 1000);
    }
    // The burst of the day, and what flows back within it; a refusal that counted would leave fewer.
    assert!((200..=392).contains(&passed), "{passed}");
    let begun = 30 * 24 * HOUR;
    assert_eq!(passing(&limiter, v4(1), begun, 1000), 50);
    assert_eq!(
        limiter.charge_at(v4(1), 1, begun).unwrap_err().retry_after,
        72 * SECOND
    );
}

#[test]
fn a_smaller_burst_keeps_the_pace() {
    let limiter = limiter("60/1m burst 3");
    assert_eq!(passing(&limiter, v4(1), Duration::ZERO, 10), 3);
    assert_eq!(passing(&limiter, v4(1), SECOND, 10), 1);
    assert_eq!(passing(&limiter, v4(1), 100 * SECOND, 10), 3);
}

#[test]
fn what_was_refunded_can_be_used_again_and_not_more() {
    let limiter = limiter("5/15m");
    for _ in 0..100 {
        limiter.charge(v4(1), 1).unwrap();
        limiter.refund(v4(1), 1);
    }
    let before = limiter.refund(v4(1), 1);
    assert_eq!(before.remaining(), 5, "more than everything cannot come back");
    assert_eq!(passing(&limiter, v4(1), limiter.now(), 9), 5);
}

#[test]
fn neighbours_of_one_network_add_up() {
    let limiter = limiter("10/1h");
    // One /64 is one customer, whatever the rest of the address.
    assert!(limiter.charge_at(v6("2001:db8::1"), 9, Duration::ZERO).is_ok());
    assert_eq!(passing(&limiter, v6("2001:db8::ffff:1"), Duration::ZERO, 9), 1);
    // Rotating the /64 within a /56 gives four times the quota, within a /48 sixteen times.
    let mut passed = 10;
    for network in 1..256_u32 {
        passed += passing(
            &limiter,
            v6(&format!("2001:db8:0:{network:x}::1")),
            Duration::ZERO,
            10,
        );
    }
    assert_eq!(passed, 40);
    for site in 1..256_u32 {
        passed += passing(
            &limiter,
            v6(&format!("2001:db8:0:{site:x}00::1")),
            Duration::ZERO,
            10,
        );
    }
    assert_eq!(passed, 160);
    assert_eq!(
        passing(&limiter, v6("2001:db8:1::1"), Duration::ZERO, 99),
        10,
        "the next /48"
    );
    let mapped = Subject::Address("::ffff:192.0.2.1".parse().unwrap());
    assert_eq!(passing(&limiter, v4(1), Duration::ZERO, 6), 6);
    assert_eq!(
        passing(&limiter, mapped, Duration::ZERO, 9),
        4,
        "IPv4 in IPv6 is IPv4"
    );
}

#[test]
fn a_marked_device_has_an_own_count_and_many_marks_together_a_bound() {
    let limiter = limiter("5/15m");
    let Subject::Address(address) = v4(1) else {
        unreachable!()
    };
    assert_eq!(passing(&limiter, v4(1), Duration::ZERO, 9), 5);
    let mut passed = 0;
    for number in 0..100 {
        let device = Subject::Device {
            mark: [number; 16],
            address,
        };
        let own = passing(&limiter, device, Duration::ZERO, 9);
        assert!(own == 5 || passed == 50, "{own} after {passed}");
        passed += own;
    }
    assert_eq!(passed, 50);
}

#[test]
fn a_flood_of_addresses_is_forgotten_first_and_memory_is_bounded() {
    let limiter = Limiter::with_keys_max("50/1h".parse().unwrap(), 3_200);
    assert_eq!(passing(&limiter, v4(0), Duration::ZERO, 99), 50);
    for number in 1..200_000 {
        limiter.charge_at(v4(number), 1, Duration::ZERO).unwrap();
        if number % 10_000 == 0 {
            assert!(limiter.keys() <= 3_200, "{}", limiter.keys());
        }
    }
    assert!(
        limiter.charge_at(v4(0), 1, Duration::ZERO).is_err(),
        "who used it up is remembered"
    );
}

#[test]
fn racing_requests_never_get_more_than_the_quota() {
    let limiter = limiter("100/1d");
    let barrier = std::sync::Barrier::new(8);
    let passed: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    passing(&limiter, v6("2001:db8::1"), Duration::ZERO, 50)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 100);
}

proptest! {
    /// Whatever the rhythm: never more than the burst and what flows back meanwhile, and after the time that a
    /// refusal names the same request passes.
    #[test]
    fn no_rhythm_gets_more_than_burst_and_pace(steps in proptest::collection::vec((0_u64..200, 1_u32..4), 1..200)) {
        let limiter = limiter("20/100s burst 10, 100/1h");
        let (mut now, mut passed) = (Duration::ZERO, 0_u64);
        for (wait, cost) in steps {
            now += Duration::from_secs(wait);
            match limiter.charge_at(v4(1), cost, now) {
                Ok(_) => passed += u64::from(cost),
                Err(refused) => {
                    let early = refused.retry_after - Duration::from_nanos(1);
                    prop_assert!(limiter.charge_at(v4(1), cost, now + early).is_err());
                    now += refused.retry_after;
                    prop_assert!(limiter.charge_at(v4(1), cost, now).is_ok());
                    passed += u64::from(cost);
                }
            }
            prop_assert!(passed <= 10 + now.as_secs() / 5);
            prop_assert!(passed <= 100 + now.as_secs() / 36);
        }
    }
}
