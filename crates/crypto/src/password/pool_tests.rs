//! The pool: what matches, what equal work means, what happens when it is full.

use std::task::{Context, Poll, Waker};

use super::*;
use crate::password::CHARS_MAX;

const SIZE: PoolSize = PoolSize {
    workers: 1,
    queue: 8,
    reserved: 2,
};

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn pool(ring: &Keyring) -> PasswordPool {
    PasswordPool::start(ring, Cost::DEFAULT, SIZE).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn the_stored_password_matches_and_no_other() {
    let pool = pool(&Keyring::generate(0));
    run(async {
        let stored = pool.hash(secret("correct horse battery")).await.unwrap();
        let stored = StoredHash::parse(&stored.to_text()).unwrap();
        let right = pool
            .verify(secret("correct horse battery"), Some(&stored))
            .await
            .unwrap();
        assert_eq!(
            right,
            Verified {
                matches: true,
                needs_rehash: false
            }
        );
        let wrong = pool
            .verify_known(secret("correct horse batterz"), Some(&stored))
            .await
            .unwrap();
        assert_eq!(
            wrong,
            Verified {
                matches: false,
                needs_rehash: false
            }
        );
    });
}

#[test]
fn every_comparison_costs_one_computation_whoever_it_is() {
    let ring = Keyring::generate(0);
    let pool = pool(&ring);
    run(async {
        let stored = pool.hash(secret("correct horse battery")).await.unwrap();
        let foreign = PasswordPool::start(&Keyring::generate(0), Cost::DEFAULT, SIZE).unwrap();
        let mut elsewhere = foreign
            .hash(secret("correct horse battery"))
            .await
            .unwrap()
            .to_text();
        elsewhere = elsewhere.replacen(&format!("1:{}:", stored.kid().unwrap()), "1:999:", 1);
        let lost = StoredHash::parse(&elsewhere).unwrap();
        let long = "x".repeat(CHARS_MAX + 1);
        for (password, stored, matches) in [
            ("correct horse battery", Some(&stored), true),
            ("wrong", Some(&stored), false),
            ("", Some(&stored), false),
            ("correct horse battery", None, false),
            ("", None, false),
            (&*long, Some(&stored), false),
            (&*long, None, false),
            ("correct horse battery", Some(&lost), false),
        ] {
            let before = pool.computed();
            let verified = pool.verify(secret(password), stored).await.unwrap();
            assert_eq!(verified.matches, matches);
            assert_eq!(pool.computed() - before, 1, "{stored:?}");
        }
        assert_eq!(pool.lost_peppers(), 1);
    });
}

#[test]
fn after_a_pepper_s_rotation_old_hashes_match_and_ask_to_be_made_again() {
    let mut ring = Keyring::generate(0);
    let pool = pool(&ring);
    run(async {
        let old = pool.hash(secret("correct horse battery")).await.unwrap();
        let kid = ring.rotate(Purpose::Pepper, 1).unwrap();
        pool.rekey(&ring);
        let verified = pool
            .verify(secret("correct horse battery"), Some(&old))
            .await
            .unwrap();
        assert_eq!(
            verified,
            Verified {
                matches: true,
                needs_rehash: true
            }
        );
        let wrong = pool.verify(secret("wrong"), Some(&old)).await.unwrap();
        assert_eq!(
            wrong,
            Verified {
                matches: false,
                needs_rehash: false
            }
        );
        let new = pool.hash(secret("correct horse battery")).await.unwrap();
        assert_eq!(new.kid(), Some(kid));
        let verified = pool
            .verify(secret("correct horse battery"), Some(&new))
            .await
            .unwrap();
        assert_eq!(
            verified,
            Verified {
                matches: true,
                needs_rehash: false
            }
        );
    });
}

#[test]
fn a_hash_of_another_cost_asks_to_be_made_again() {
    let ring = Keyring::generate(0);
    let dearer = PasswordPool::start(&ring, Cost::new(46 * 1024, 2).unwrap(), SIZE).unwrap();
    let usual = pool(&ring);
    run(async {
        let old = usual.hash(secret("correct horse battery")).await.unwrap();
        let verified = dearer
            .verify(secret("correct horse battery"), Some(&old))
            .await
            .unwrap();
        assert_eq!(
            verified,
            Verified {
                matches: true,
                needs_rehash: true
            }
        );
    });
}

#[test]
fn a_password_beyond_the_longest_is_not_hashed() {
    let pool = pool(&Keyring::generate(0));
    let refused = run(pool.hash(secret(&"x".repeat(CHARS_MAX + 1))));
    assert_eq!(refused.unwrap_err(), PasswordError::TooLong);
    assert_eq!(pool.computed(), 0);
}

/// A pool whose queue nobody serves, so that its bounds can be seen without a race.
fn unserved() -> PasswordPool {
    let shared = Shared {
        queue: Mutex::default(),
        ready: Condvar::new(),
        peppers: RwLock::new(peppers_of(&Keyring::generate(0))),
        cost: Cost::DEFAULT,
        computed: AtomicU64::new(0),
        lost_peppers: AtomicU64::new(0),
    };
    PasswordPool {
        shared: Arc::new(shared),
        size: SIZE,
    }
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_full_queue_is_overloaded_and_reserved_slots_are_for_known_callers() {
    let pool = unserved();
    let mut waiting = Vec::new();
    for _ in 0..SIZE.queue - SIZE.reserved {
        let mut job = Box::pin(pool.verify(secret("x"), None));
        assert!(poll_once(job.as_mut()).is_pending());
        waiting.push(job);
    }
    assert_eq!(
        run(pool.verify(secret("x"), None)),
        Err(PasswordError::Overloaded)
    );
    assert_eq!(
        run(pool.hash(secret("x"))).unwrap_err(),
        PasswordError::Overloaded
    );
    let mut known = Vec::new();
    for _ in 0..SIZE.reserved {
        let mut job = Box::pin(pool.verify_known(secret("x"), None));
        assert!(poll_once(job.as_mut()).is_pending());
        known.push(job);
    }
    assert_eq!(
        run(pool.verify_known(secret("x"), None)),
        Err(PasswordError::Overloaded)
    );
    assert_eq!(pool.waiting(), SIZE.queue);
}

#[test]
fn known_callers_go_first_and_abandoned_jobs_cost_nothing() {
    let pool = unserved();
    let mut unknown = Box::pin(pool.hash(secret("unknown")));
    let mut abandoned = Box::pin(pool.verify(secret("abandoned"), None));
    let mut known = Box::pin(pool.verify_known(secret("known"), None));
    assert!(poll_once(unknown.as_mut()).is_pending());
    assert!(poll_once(abandoned.as_mut()).is_pending());
    assert!(poll_once(known.as_mut()).is_pending());
    drop(abandoned);
    let order: Vec<_> = (0..3).map(|_| pool.shared.next().unwrap()).collect();
    assert!(matches!(&order[0], Work::Verify(password, ..) if password.expose_secret() == "known"));
    assert!(matches!(&order[1], Work::Hash(..)));
    assert!(!order[1].is_abandoned() && order[2].is_abandoned());
}

#[test]
fn dropping_the_pool_tells_whoever_waits() {
    let pool = unserved();
    let (answer, result) = oneshot::channel();
    pool.submit(Work::Hash(secret("x"), answer), false).unwrap();
    drop(pool);
    assert!(run(result).is_err());
}

#[test]
fn debug_of_a_pool_shows_sizes_only() {
    let shown = format!("{:?}", unserved());
    assert!(shown.contains("workers") && !shown.contains("pepper"), "{shown}");
}
