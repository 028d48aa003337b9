use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn get(path: &str) -> Observation<'_> {
    Observation {
        path,
        has_agent: true,
        ..Observation::default()
    }
}

/// A scanner: no agent, 70 requests in a minute for 35 paths that are not there.
fn scan(reputation: &Reputation, address: IpAddr, begun: Duration) -> Option<u32> {
    (0..70).find(|number| {
        let path = format!("/{}", number % 35);
        let seen = Observation {
            has_agent: false,
            refused: true,
            ..get(&path)
        };
        reputation.observe(address, seen, begun + SECOND * *number / 2)
    })
}

#[test]
fn a_scanner_is_blocked_and_the_block_ends_by_itself() {
    let reputation = Reputation::default();
    let here = ip("192.0.2.1");
    assert!(scan(&reputation, here, Duration::ZERO).is_some_and(|number| number > 20));
    let now = 40 * SECOND;
    let Verdict::Blocked(left) = reputation.verdict(here, now) else {
        panic!("not blocked")
    };
    assert!(left <= BLOCK_FIRST && left > BLOCK_FIRST - 41 * SECOND);
    assert_eq!(reputation.verdict(ip("192.0.2.2"), now), Verdict::Pass);
    let blocks = reputation.blocks(10, now);
    assert_eq!((blocks.len(), blocks[0].address, blocks[0].count), (1, here, 1));
    assert_eq!(
        blocks[0].signals,
        [Signal::Rate, Signal::Scanning, Signal::NoAgent, Signal::Refusals]
    );
    assert_eq!(reputation.verdict(here, now + BLOCK_FIRST), Verdict::Pass);
    assert_eq!(reputation.blocks(10, now + BLOCK_FIRST), []);
}

#[test]
fn each_block_is_longer_than_the_one_before_up_to_a_day() {
    let reputation = Reputation::default();
    let here = ip("192.0.2.1");
    let (mut now, mut lengths) = (Duration::ZERO, Vec::new());
    for _ in 0..9 {
        scan(&reputation, here, now).expect("blocked again");
        now += 40 * SECOND;
        let left = reputation.blocks(1, now)[0].left;
        lengths.push(left.as_secs().div_ceil(60));
        now += left + SECOND;
    }
    assert_eq!(lengths, [15, 30, 60, 120, 240, 480, 960, 1440, 1440]);
    // After a day without one the next is short again.
    now += BLOCK_LONGEST + SECOND;
    scan(&reputation, here, now).expect("blocked again");
    assert_eq!(reputation.blocks(1, now + 40 * SECOND)[0].count, 1);
}

#[test]
fn a_page_load_is_nothing_and_no_two_kinds_of_signal_block() {
    let reputation = Reputation::default();
    let page = ip("192.0.2.1");
    for number in 0..40 {
        assert!(!reputation.observe(page, get(&format!("/assets/{number}")), SECOND * number / 10));
    }
    assert!(reputation.score(page, 4 * SECOND) < 30.0);
    assert_eq!(reputation.verdict(page, 4 * SECOND), Verdict::Pass);
    // Many wrong passwords and an attack a second are two kinds, and slowed down.
    let angry = ip("192.0.2.2");
    for number in 0..15 {
        let path = format!("/{}", number % 5);
        let seen = Observation {
            wrong_guess: true,
            detection: true,
            ..get(&path)
        };
        assert!(!reputation.observe(angry, seen, SECOND * number));
    }
    assert!(reputation.score(angry, 15 * SECOND) > BLOCK_ABOVE);
    let Verdict::Slow(delay) = reputation.verdict(angry, 15 * SECOND) else {
        panic!("not slowed")
    };
    assert!(delay > SECOND && delay <= DELAY_LONGEST, "{delay:?}");
}

#[test]
fn points_fade_by_half_in_five_minutes() {
    let reputation = Reputation::default();
    let here = ip("192.0.2.1");
    let seen = Observation {
        honeypot: true,
        ..get("/.env")
    };
    reputation.observe(here, seen, Duration::ZERO);
    for (minutes, points) in [(0, 30.0), (5, 15.0), (10, 7.5), (60, 0.0)] {
        let score = reputation.score(here, Duration::from_secs(minutes * 60));
        assert!((score - points).abs() < 0.1, "{minutes}: {score}");
    }
}

#[test]
fn a_lifted_block_is_gone_with_everything_that_led_to_it() {
    let reputation = Reputation::default();
    let (one, other) = (ip("2001:db8::1"), ip("2001:db8::2"));
    scan(&reputation, one, Duration::ZERO).expect("blocked");
    assert!(
        matches!(reputation.verdict(other, 40 * SECOND), Verdict::Blocked(_)),
        "the same /64"
    );
    assert!(reputation.lift(other, 40 * SECOND));
    assert!(!reputation.lift(one, 40 * SECOND));
    assert_eq!(reputation.verdict(one, 40 * SECOND), Verdict::Pass);
    assert!(reputation.score(one, 40 * SECOND) < 0.1);
}

#[test]
fn a_flood_of_addresses_costs_bounded_memory_and_lifts_no_block() {
    let reputation = Reputation::with_suspects_max(3_200);
    let here = ip("192.0.2.1");
    scan(&reputation, here, Duration::ZERO).expect("blocked");
    for number in 0..100_000_u32 {
        reputation.observe(IpAddr::V4((0x0a00_0000 + number).into()), get("/"), 41 * SECOND);
        if number % 10_000 == 0 {
            assert!(reputation.suspects() <= 3_200, "{}", reputation.suspects());
        }
    }
    assert!(matches!(
        reputation.verdict(here, 42 * SECOND),
        Verdict::Blocked(_)
    ));
}
