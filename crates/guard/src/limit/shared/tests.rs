use std::{
    net::{IpAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use super::*;
use crate::limit::Limiter;

/// Names the program where `cargo xtask test` found or installed it.
const PROGRAM: &str = "STRONGROOM_TEST_REDIS";

fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}

#[test]
fn what_is_allowed_is_told_apart_from_what_is_not() {
    let quota = quota("5/15m, 10/1d");
    let passed = read(&[1, 0, 2, 4, 180_000_000, 9, 8_640_000_000], &quota, 1).unwrap();
    let standing = passed.outcome.unwrap();
    assert_eq!((standing.remaining(), passed.undecided), (4, 2));
    assert_eq!(standing.windows()[1].reset, Duration::from_secs(8_640));
    let refused = read(&[0, 60_000_000, 0, 0, 900_000_000, 5, 1_000_000], &quota, 1).unwrap();
    let refused = refused.outcome.unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(60));
    let [full, other] = refused.standing.windows() else {
        unreachable!()
    };
    assert_eq!(
        full.reset,
        Duration::from_secs(60),
        "when it is worth coming again"
    );
    assert_eq!(other.reset, Duration::from_secs(1));
}

#[test]
fn an_answer_of_another_form_is_none() {
    let quota = quota("5/15m");
    for wrong in [
        &[][..],
        &[1, 0, 0],
        &[1, 0, 0, 4],
        &[1, 0, 0, 4, 1, 4, 1],
        &[1, -1, 0, 4, 1],
        &[1, 0, 0, 4, -1],
    ] {
        assert!(read(wrong, &quota, 1).is_none(), "{wrong:?}");
    }
}

#[test]
fn spans_are_written_exactly() {
    assert_eq!(micros(180_000_000_000), "180000000.000");
    assert_eq!(micros(1_234_567), "1234.567");
    assert_eq!(micros(7), "0.007");
}

#[tokio::test]
async fn nobody_waits_for_a_server_that_was_never_there() {
    let place = RedisPlace::read("redis://127.0.0.1:1", None).unwrap();
    let shared = SharedCounters::open(&place, |_| [0; 16]).unwrap();
    let quota = quota("5/15m");
    let question = SharedQuestion {
        class: "auth",
        quota: &quota,
        subject: Subject::Address(IpAddr::from([192, 0, 2, 1])),
        is_guess: true,
    };
    assert_eq!(shared.charge(question, 1).await.err(), Some(Away));
    assert_eq!(shared.refund(question, 1).await.err(), Some(Away));
}

/// A Redis of this test alone; ended with it.
struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Counters in a Redis of their own; `None` with a notice where there is none.
async fn counters() -> Option<(Redis, Arc<SharedCounters>)> {
    let Some(program) = std::env::var_os(PROGRAM) else {
        eprintln!("not run: {PROGRAM} names no program");
        return None;
    };
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let redis = Command::new(program)
        .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let place = RedisPlace::read(&format!("redis://127.0.0.1:{port}"), None).unwrap();
    let digest = |name: &[u8]| {
        let mut digest = [0; 16];
        for (place, byte) in name.iter().enumerate() {
            digest[place % 16] ^= byte.rotate_left(u32::try_from(place / 16).unwrap());
        }
        digest
    };
    let shared = Arc::new(SharedCounters::open(&place, digest).unwrap());
    let (running, began) = (Arc::clone(&shared), Arc::new(Notify::new()));
    let begun = Arc::clone(&began);
    tokio::spawn(async move {
        let changed = |now| {
            if now == Together::Yes {
                began.notify_one();
            }
        };
        running.run(changed).await;
    });
    begun.notified().await;
    Some((Redis(redis), shared))
}

/// Whatever comes when, the script and one process say the same of it.
#[tokio::test]
async fn the_script_decides_as_one_process_does() {
    let Some((_redis, shared)) = counters().await else {
        return;
    };
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let subjects = [
        Subject::Address(address("192.0.2.1")),
        Subject::Address(address("2001:db8:0:100::1")),
        Subject::Address(address("2001:db8:0:1ff::1")),
        Subject::Principal([7; 16]),
        Subject::Device {
            mark: [9; 16],
            address: address("192.0.2.1"),
        },
    ];
    // A small generator of Lehmer's: the same steps in every run.
    let mut state = 42_u64;
    let mut draw = |below: u64| {
        state = state * 48_271 % 2_147_483_647;
        state % below
    };
    let (mut passed, mut refused) = (0, 0);
    for (class, text) in [
        ("one", "20/100s burst 10, 100/1h"),
        ("two", "5/15m"),
        ("three", "7/1h"),
    ] {
        let quota = quota(text);
        let here = Limiter::new(quota.clone());
        let mut micros = 1_000_000;
        for _ in 0..400 {
            micros += draw(4) * draw(60_000_000);
            let question = SharedQuestion {
                class,
                quota: &quota,
                subject: subjects[usize::try_from(draw(5)).unwrap()],
                is_guess: false,
            };
            let (cost, now) = (u32::try_from(1 + draw(3)).unwrap(), Duration::from_micros(micros));
            if draw(5) == 0 {
                let there = shared.ask(question, "refund", cost, micros).await.unwrap();
                let own = here.refund_at(question.subject, cost, now);
                assert_eq!(there.outcome.unwrap().remaining(), own.remaining());
                continue;
            }
            let there = shared
                .ask(question, "charge", cost, micros)
                .await
                .unwrap()
                .outcome;
            match (there, here.charge_at(question.subject, cost, now)) {
                (Ok(there), Ok(own)) => {
                    passed += 1;
                    assert_eq!(there.remaining(), own.remaining(), "{text} at {now:?}");
                }
                (Err(there), Err(own)) => {
                    refused += 1;
                    assert_eq!(there.standing.remaining(), own.standing.remaining());
                    let apart = there.retry_after.abs_diff(own.retry_after);
                    assert!(apart <= Duration::from_micros(2), "{apart:?}");
                }
                (there, own) => panic!("{text} at {now:?}: {there:?} there, {own:?} here"),
            }
        }
    }
    assert!(
        passed > 200 && refused > 200,
        "{passed} passed, {refused} were refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_at_once_a_quota_passes_once() {
    let Some((_redis, shared)) = counters().await else {
        return;
    };
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let shared = Arc::clone(&shared);
        all.spawn(async move {
            let quota = quota("30/1d");
            let question = SharedQuestion {
                class: "auth",
                quota: &quota,
                subject: Subject::Principal([1; 16]),
                is_guess: true,
            };
            shared.charge(question, 1).await.unwrap()
        });
    }
    let all = all.join_all().await;
    assert_eq!(all.iter().filter(|count| count.outcome.is_ok()).count(), 30);
    let most = all.iter().map(|count| count.undecided).max();
    assert_eq!(most, Some(30), "those who are refused see who is undecided");
}
