use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;

/// Not secret, and bound to its name all the same.
struct Plain;

const NOW: u64 = 1_795_132_800_000;

impl BlockSeal for Plain {
    fn now(&self) -> u64 {
        NOW
    }

    fn name(&self, address: &[u8]) -> [u8; 16] {
        let mut name = [7; 16];
        name[..address.len()].copy_from_slice(address);
        name
    }

    fn seal(&self, name: &[u8; 16], text: &[u8]) -> Vec<u8> {
        [name.as_slice(), text].concat()
    }

    fn open(&self, name: &[u8; 16], sealed: &[u8]) -> Option<Vec<u8>> {
        sealed.strip_prefix(name.as_slice()).map(<[u8]>::to_vec)
    }
}

/// The same with a clock that moves.
struct Moving(Arc<AtomicU64>);

impl BlockSeal for Moving {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn name(&self, address: &[u8]) -> [u8; 16] {
        Plain.name(address)
    }

    fn seal(&self, name: &[u8; 16], text: &[u8]) -> Vec<u8> {
        Plain.seal(name, text)
    }

    fn open(&self, name: &[u8; 16], sealed: &[u8]) -> Option<Vec<u8>> {
        Plain.open(name, sealed)
    }
}

fn node() -> (SharedBlocks, Reputation) {
    let place = RedisPlace::read("redis://127.0.0.1:1", None).unwrap();
    (SharedBlocks::open(&place, Plain).unwrap(), Reputation::default())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whoever asks so is blocked.
fn scan(reputation: &Reputation, address: IpAddr) {
    for number in 0..80 {
        let path = format!("/{}", number % 40);
        let seen = super::super::Observation {
            path: &path,
            refused: true,
            ..Default::default()
        };
        reputation.observe(address, seen, reputation.now());
    }
}

fn block(id: u128, address: &str, left: Duration) -> Line {
    Line {
        id,
        lifts: None,
        address: ip(address),
        ends: NOW + millis(left),
        score: 85.0,
        signals: vec![Signal::Rate, Signal::NoAgent],
        count: 2,
    }
}

/// As the script keeps it, under the name of that address.
fn written(name: &str, line: &Line) -> String {
    let name = Plain.name(&bytes(ip(name)));
    let sealed = Plain.seal(&name, line.text().as_bytes());
    format!("{} 0 {}\n", hex(&name), hex(&sealed))
}

fn value(lines: &[String]) -> String {
    format!("1\n{}", lines.concat())
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_block_of_another_node_holds_here_and_is_shown() {
    let (shared, reputation) = node();
    let line = block(1, "192.0.2.1", MINUTE);
    let text = value(&[written("192.0.2.1", &line)]);
    assert_eq!(shared.take("1".to_owned(), &text, &reputation), 0);
    let left = shared.blocked(ip("192.0.2.1")).unwrap();
    assert_eq!(left, MINUTE);
    assert_eq!(shared.blocked(ip("192.0.2.2")), None);
    let shown = shared.blocks();
    assert_eq!((shown.len(), shown[0].count, shown[0].score), (1, 2, 85.0));
    assert_eq!(shown[0].signals, [Signal::Rate, Signal::NoAgent]);
    // Gone from there, it is gone from here.
    shared.take("2".to_owned(), "", &reputation);
    assert_eq!(shared.blocked(ip("192.0.2.1")), None);
}

#[test]
fn of_a_network_every_address_is_blocked() {
    let (shared, reputation) = node();
    let line = block(1, "2001:db8:1:2::", MINUTE);
    shared.take(
        "1".to_owned(),
        &value(&[written("2001:db8:1:2::", &line)]),
        &reputation,
    );
    assert!(shared.blocked(ip("2001:db8:1:2:3:4:5:6")).is_some());
    assert!(shared.blocked(ip("2001:db8:1:3::")).is_none());
}

#[test]
fn what_was_not_written_by_the_bank_for_this_address_is_nothing() {
    let good = block(1, "192.0.2.1", MINUTE);
    let longer = block(2, "192.0.2.2", BLOCK_LONGEST + MINUTE);
    let inside = block(3, "2001:db8::7", MINUTE);
    let unsealed = format!(
        "{} 0 {}\n",
        hex(&Plain.name(&bytes(good.address))),
        hex(good.text().as_bytes())
    );
    for strange in [
        written("192.0.2.9", &good),
        written("192.0.2.2", &longer),
        written("2001:db8::7", &inside),
        unsealed,
        "zz 0 zz\n".to_owned(),
        "00\n".to_owned(),
        " \n".to_owned(),
    ] {
        let (shared, reputation) = node();
        let text = value(&[strange.clone(), written("192.0.2.1", &good)]);
        assert_eq!(shared.take("1".to_owned(), &text, &reputation), 1, "{strange}");
        assert_eq!(shared.blocks().len(), 1, "the other one counts: {strange}");
    }
}

#[test]
fn a_lifted_block_is_not_believed_again() {
    let (shared, reputation) = node();
    let text = value(&[written("192.0.2.1", &block(1, "192.0.2.1", MINUTE))]);
    shared.take("1".to_owned(), &text, &reputation);
    shared.lift(ip("192.0.2.1"));
    assert_eq!(shared.blocked(ip("192.0.2.1")), None);
    // Before the others know, and when somebody puts it back there.
    shared.take("2".to_owned(), &text, &reputation);
    assert_eq!(shared.blocked(ip("192.0.2.1")), None);
    // A further block is another one.
    let again = value(&[written("192.0.2.1", &block(4, "192.0.2.1", MINUTE))]);
    shared.take("3".to_owned(), &again, &reputation);
    assert!(shared.blocked(ip("192.0.2.1")).is_some());
}

#[test]
fn a_lifting_of_another_node_lifts_what_began_here_once() {
    let (shared, reputation) = node();
    let here = ip("192.0.2.1");
    scan(&reputation, here);
    let own = shared.untold(&reputation);
    assert_eq!(own.len(), 1);
    let told = value(&[written("192.0.2.1", &own[0])]);
    shared.take("1".to_owned(), &told, &reputation);
    assert!(
        shared.untold(&reputation).is_empty(),
        "what is there is not told again"
    );
    let lift = Line {
        lifts: Some(own[0].id),
        ..block(9, "192.0.2.1", MINUTE)
    };
    let lifted = value(&[written("192.0.2.1", &lift)]);
    shared.take("2".to_owned(), &lifted, &reputation);
    assert!(shared.untold(&reputation).is_empty());
    assert_eq!(shared.blocked(here), None);
    // The same lifting, still there or put back, does not lift the next block.
    scan(&reputation, here);
    shared.take("3".to_owned(), &lifted, &reputation);
    assert_eq!(shared.untold(&reputation).len(), 1);
}

#[test]
fn a_lifting_that_is_over_lifts_nothing_that_came_later() {
    let clock = Arc::new(AtomicU64::new(NOW));
    let place = RedisPlace::read("redis://127.0.0.1:1", None).unwrap();
    let shared = SharedBlocks::open(&place, Moving(Arc::clone(&clock))).unwrap();
    let (reputation, here) = (Reputation::default(), ip("192.0.2.1"));
    let lift = Line {
        lifts: Some(1),
        ..block(9, "192.0.2.1", MINUTE)
    };
    let lifted = value(&[written("192.0.2.1", &lift)]);
    assert_eq!(shared.take("1".to_owned(), &lifted, &reputation), 0);
    scan(&reputation, here);
    // At its end and after it, kept by somebody and put back.
    for (number, later) in [MINUTE, 2 * MINUTE, BLOCK_LONGEST].into_iter().enumerate() {
        clock.store(NOW + millis(later), Ordering::Relaxed);
        let strange = shared.take(number.to_string(), &lifted, &reputation);
        assert_eq!(strange, 0, "the bank wrote it");
        assert_eq!(shared.untold(&reputation).len(), 1, "{later:?}");
    }
    // So is a block.
    let over = value(&[written("192.0.2.2", &block(2, "192.0.2.2", MINUTE))]);
    assert_eq!(shared.take("9".to_owned(), &over, &reputation), 0);
    assert!(shared.blocks().is_empty());
}

#[test]
fn a_block_that_is_told_again_is_the_same_and_a_copy_does_not_outlive_its_lifting() {
    let (shared, reputation) = node();
    let here = ip("192.0.2.1");
    scan(&reputation, here);
    let first = shared.untold(&reputation);
    shared.take("1".to_owned(), "", &reputation);
    let again = shared.untold(&reputation);
    assert_eq!((first.len(), again.len()), (1, 1));
    assert_eq!(first[0].id, again[0].id);
    // Lifted while it is gone from there; a copy that somebody kept is nothing.
    reputation.lift(here, reputation.now());
    shared.lift(here);
    let kept = value(&[written("192.0.2.1", &first[0])]);
    shared.take("2".to_owned(), &kept, &reputation);
    assert_eq!(shared.blocked(here), None);
    // The next block is another one.
    scan(&reputation, here);
    let next = shared.untold(&reputation);
    assert_eq!(next.len(), 1);
    assert_ne!(next[0].id, first[0].id);
}

#[test]
fn hexadecimal_digits_are_read_back_and_nothing_else() {
    for bytes in [&[][..], &[0], &[255, 1, 16]] {
        assert_eq!(from_hex(&hex(bytes)).unwrap(), bytes);
    }
    for wrong in ["0", "0g", "+1", "é"] {
        assert_eq!(from_hex(wrong), None, "{wrong}");
    }
}
