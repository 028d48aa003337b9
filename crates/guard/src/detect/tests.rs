//! What passes and what does not, by examples of our own; the public collections are in `tests/corpus`.

use proptest::prelude::*;

use super::*;

fn recognised(part: Part, value: &str) -> Option<Recognised> {
    let detector = Detector::new(Paranoia::One).unwrap();
    let mut inspection = detector.inspect();
    inspection.look(part, value.as_bytes());
    inspection.recognised()
}

#[test]
fn memos_and_names_pass() {
    let detector = Detector::new(Paranoia::One).unwrap();
    for memo in include_str!("memos.txt").lines().filter(|line| !line.is_empty()) {
        for part in [Part::Body, Part::Header] {
            let mut inspection = detector.inspect();
            inspection.look(part, memo.as_bytes());
            assert_eq!(inspection.recognised(), None, "{memo}");
        }
    }
}

/// What people write that looks like a rule's attack; programs have no reason to send it in a header.
#[test]
fn memos_that_look_like_attacks_pass() {
    let taken: Vec<_> = include_str!("memos_near.txt")
        .lines()
        .filter_map(|memo| recognised(Part::Body, memo).map(|found| (memo, found.rules)))
        .collect();
    assert!(taken.is_empty(), "{taken:#?}");
}

/// What browsers, other sites' programs and proxies add to a request without anybody writing it: values of cookies that
/// are not ours, and of `X-` headers, in the forms that their makers document.
const ADDED: &[&str] = &[
    // Counting of visits, consent, advertising, chat.
    "GA1.2.1234567890.1700000000",
    "GS1.1.1700000000.3.1.1700000123.60.0.0",
    "fb.1.1700000000000.1234567890",
    "isGpcEnabled=0&datestamp=Sun+Nov+22+2026+07:00:00+GMT+0100&version=202405.1.0&groups=C0001:1,C0002:0",
    "{stamp:%27abcDEF123==%27%2Cnecessary:true%2Cpreferences:false%2Cmethod:%27explicit%27%2Cver:1}",
    "CPxyz-APxyzABAcABBENAyEgAAAAAAAAAAAAAAAAAAAA.YAAAAAAAAAA",
    "1.1700000000.1700000000.abc-DEF_ghi",
    "%7B%22distinct_id%22%3A%22user-1%22%2C%22%24device_id%22%3A%22abc%22%2C%22%24initial_referrer%22%3A%22%24direct%22%7D",
    "s%3Aj2Kx9.7Zr0uY8Qm1",
    "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.c2ln",
    "lang=de-DE; theme=dark",
    "a:2:{s:4:lang;s:2:de;}",
    "2026-11-22T07:00:00.000Z|1|0",
    "AMCV_ABC%40AdobeOrg=1176715910%7CMCIDTS%7C19319%7CMCMID%7C123",
    // What proxies and libraries say of a request.
    "XMLHttpRequest",
    "https",
    "203.0.113.9, 198.51.100.7, 10.0.0.1",
    "[2001:db8::1]:443",
    "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1",
    "80f198ee56343ba864fe8b2a57d3eff7-05e3ac9a4f6e3b90-1-e457b5a2e4d86bd1",
    "105445aa7843bc8bf206b12000100000/1;o=1",
    "for=192.0.2.60;proto=https;by=203.0.113.43",
    "bank.example:443",
    "max-age=0, private",
    "1.1 varnish (Varnish/7.1), 1.1 cache-fra-1",
    "com.example.bank/4.2 (Android 14; Pixel 8)",
    "python-requests/2.31.0 CPython/3.12.1 Linux/6.1.0",
    "?cc=DE&city=Frankfurt am Main",
];

#[test]
fn what_browsers_and_proxies_add_is_no_attack() {
    let found: Vec<_> = ADDED
        .iter()
        .filter_map(|value| recognised(Part::Header, value).map(|found| (value, found.rules)))
        .collect();
    // The one of them that says nothing else: a serialised object of PHP, which an interpreter would read.
    let known = ["a:2:{s:4:lang;s:2:de;}"];
    let others: Vec<_> = found.iter().filter(|(value, _)| !known.contains(value)).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// Ours, by kind.
fn attacks() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("attacks.txt")
        .lines()
        .map(|line| line.split_once(' ').unwrap())
}

/// Each rule of the first level has a line: its name, what it is for, and what is near and it must leave alone.
#[test]
fn every_rule_takes_what_it_is_for_and_leaves_what_is_near() {
    let detector = Detector::new(Paranoia::One).unwrap();
    let rows: Vec<Vec<&str>> = include_str!("rules.txt")
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let met = |part: Part, value: &str, name: &str| {
        let hits = detector.hits(part, &canonical(value.as_bytes(), part.has_plus_for_space()));
        hits.rules().any(|rule| rule.name == name)
    };
    let mut wrong = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.paranoia == Paranoia::One) {
        let Some([name, attack, near]) = rows.iter().map(Vec::as_slice).find(|row| row[0] == rule.name)
        else {
            wrong.push(format!("{} has no line", rule.name));
            continue;
        };
        if !met(Part::Query, attack, name) {
            wrong.push(format!("{name} misses {attack}"));
        }
        if met(Part::Query, near, name) {
            wrong.push(format!("{name} takes {near}"));
        }
        // Where people write, only what counts there may count.
        if met(Part::Body, attack, name) != rule.places.have(Part::Body) {
            wrong.push(format!(
                "{name} counts where it must not, or not where it must: {attack}"
            ));
        }
        if met(Part::Header, attack, name) != rule.places.have(Part::Header) {
            wrong.push(format!("{name} in a header: {attack}"));
        }
    }
    assert_eq!(
        rows.len(),
        RULES.iter().filter(|rule| rule.paranoia == Paranoia::One).count()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A word alone is looked at when only databases, interpreters or tests of limits know it.
#[test]
fn words_and_numbers_that_somebody_chose_are_no_harmless_words() {
    for (value, is_chosen) in [
        ("tempdb", true),
        ("PHPINFO", true),
        ("1e309", true),
        ("0xffffffff", true),
        ("2147483648", true),
        ("template", false),
        ("12345", false),
        ("1a2b3c4d5e", false),
        ("e5", false),
    ] {
        assert_eq!(!is_harmless(value.as_bytes()), is_chosen, "{value}");
    }
    assert!(recognised(Part::Query, "1e309").is_some());
    assert!(recognised(Part::Query, "TempDB").is_some());
    assert_eq!(recognised(Part::Query, "1234567890123"), None);
}

/// One that is in no doubt.
fn certain() -> &'static [u8] {
    attacks().nth(4).unwrap().1.as_bytes()
}

#[test]
fn every_kind_of_attack_has_its_name() {
    for (kind, value) in attacks() {
        let found = recognised(Part::Query, value);
        assert_eq!(
            found.as_ref().map(|found| found.attack.name()),
            Some(kind),
            "{value} {found:?}"
        );
    }
}

#[test]
fn the_second_identical_attack_is_found_like_the_first() {
    let first = recognised(Part::Query, "1' OR '1'='1");
    assert!(first.is_some());
    assert_eq!(recognised(Part::Query, "1' OR '1'='1"), first);
}

/// What is remembered of a value in one place says nothing about the same value elsewhere.
#[test]
fn a_value_that_was_harmless_in_a_body_is_looked_at_anew_in_a_query() {
    let detector = Detector::new(Paranoia::One).unwrap();
    let mut differ = 0;
    let aliased = ("sql", "1) as x from y");
    for (_, value) in attacks().chain([aliased]) {
        let parts = [Part::Body, Part::Query, Part::Header, Part::Path];
        let found = parts.map(|part| {
            let known = canonical(value.as_bytes(), part.has_plus_for_space());
            let hits = detector.hits(part, &known);
            for _ in 0..2 {
                assert_eq!(detector.look(part, value.as_bytes()), hits, "{value}");
            }
            hits
        });
        differ += usize::from(found[0] != found[1]);
    }
    assert!(differ > 0, "some value means something in a query only");
}

#[test]
fn ids_are_words_and_what_only_looks_like_one_is_not() {
    let digits = "01h455vb4pex5vsknk084sn02q";
    for prefix in ["acc", "user", "txn"] {
        assert!(is_harmless(format!("{prefix}_{digits}").as_bytes()));
    }
    for other in [
        format!("_{digits}"),
        format!("acc_{digits}'"),
        format!("acc-{digits}"),
        format!("base64_decode_{digits}"),
        format!("acc_{}(", &digits[1..]),
        "base64_decode".to_owned(),
    ] {
        assert!(!is_harmless(other.as_bytes()), "{other}");
    }
}

#[test]
fn an_id_in_a_path_hides_nothing_and_paths_of_one_route_are_known_as_one() {
    let detector = Detector::new(Paranoia::One).unwrap();
    let id = "acc_01h455vb4pex5vsknk084sn02q";
    let mut found = 0;
    for (_, attack) in attacks() {
        for path in [
            format!("/api/v1/accounts/{id}/{attack}"),
            format!("/{attack}/{id}"),
            format!("/{id}{attack}"),
            format!("/{attack}{id}"),
        ] {
            let hits = detector.hits(Part::Path, &canonical(path.as_bytes(), true));
            assert_eq!(detector.look(Part::Path, path.as_bytes()), hits, "{path}");
            found += usize::from(hits != Hits::NONE);
        }
    }
    assert!(found > 32, "{found}");
    let route = |id: &str| without_ids(format!("/api/v1/accounts/{id}/balance").as_bytes()).into_owned();
    assert_eq!(route(id), b"/api/v1/accounts/id/balance");
    assert_eq!(route(id), route("acc_01h455vb4pex5vsknk084sn02r"));
    assert_ne!(route(id), route("acc_01h455vb4pex5vsknk084sn02'"));
}

#[test]
fn bodies_are_never_certain_and_small_signs_add_up() {
    let detector = Detector::new(Paranoia::One).unwrap();
    let attack = certain();
    let mut body = detector.inspect();
    body.look(Part::Body, attack);
    assert!(!body.recognised().unwrap().is_certain());
    let mut query = detector.inspect();
    query.look(Part::Query, attack);
    assert!(query.recognised().unwrap().is_certain());
    // Three points here, three there.
    let mut both = detector.inspect();
    both.look(Part::Body, b"<b >");
    assert_eq!(both.recognised(), None);
    both.look(Part::Body, b"at 0xdeadbeef");
    assert_eq!(both.recognised().map(|found| found.score), Some(6));
}

#[test]
fn levels_only_add_rules() {
    for (text, from) in [
        ("1' OR '1'='1", 1),
        ("a <b c", 2),
        ("the union", 3),
        ("a = b", 4),
        ("rent", 5),
    ] {
        let levels = [Paranoia::One, Paranoia::Two, Paranoia::Three, Paranoia::Four];
        for (number, level) in (1..).zip(levels) {
            let detector = Detector::new(level).unwrap();
            let mut inspection = detector.inspect();
            inspection.look(Part::Body, text.as_bytes());
            assert_eq!(
                inspection.recognised().is_some(),
                number >= from,
                "{text} at {number}"
            );
        }
    }
}

#[test]
fn work_per_request_is_bounded() {
    let detector = Detector::new(Paranoia::One).unwrap();
    let attack = certain();
    let mut long = vec![b' '; LOOKED_AT_BYTES_MAX];
    long.extend_from_slice(attack);
    let mut inspection = detector.inspect();
    inspection.look(Part::Body, &long);
    assert_eq!(inspection.recognised(), None, "beyond the bound");
    let mut inspection = detector.inspect();
    for _ in 0..VALUES_MAX {
        inspection.look(Part::Body, b"o'clock");
    }
    inspection.look(Part::Body, attack);
    assert_eq!(inspection.recognised(), None, "beyond the bound");
    let mut inspection = detector.inspect();
    inspection.look(Part::Body, &long[LOOKED_AT_BYTES_MAX / 2..]);
    assert!(inspection.recognised().is_some(), "within it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_input_ends_the_one_who_looks(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = recognised_at_most(&bytes);
    }

    #[test]
    fn no_mix_of_marks_ends_the_one_who_looks(text in r#"[%&\\#;xu0-9a-fA-F'"`/*<>(){}\[\]=$.!@ \-+|]{0,200}"#) {
        let _ = recognised_at_most(text.as_bytes());
    }
}

fn recognised_at_most(bytes: &[u8]) -> Option<Recognised> {
    thread_local! {
        static DETECTOR: Detector = Detector::new(Paranoia::Four).unwrap();
    }
    DETECTOR.with(|detector| {
        let mut inspection = detector.inspect();
        for part in [Part::Path, Part::Query, Part::Header, Part::Body] {
            inspection.look(part, bytes);
        }
        inspection.recognised()
    })
}
