//! What each step of a transfer costs on its own, in this process: the best of many short batches, so that the
//! machine's other work does not count.

use std::{hint::black_box, net::IpAddr, sync::Arc, time::Instant};

use strongroom_app::{
    Clock, Cx, Rights, SystemClock,
    authority::{
        authorize::{Resource, authorize},
        policy::{Facts, Kind, Policies},
    },
    keys::LiveRing,
    money::idempotency::IdempotencyKey,
};
use strongroom_crypto::{
    AccessTokens, DataKey, ExposeSecret, Keyring, NewToken, Place, data_key, random, token,
};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object, Record, SignedRecord},
    id::{Id, UserId},
    ledger::Signer,
    principal::{Assurance, Caller, Origin, Principal, Role},
};
use strongroom_guard::{Detector, Limiter, Paranoia, Part, Subject};

use crate::{outcome::Outcome, report::Report, settings::Settings};

const SCENARIO: &str = "parts";
/// Length of one batch, in seconds: shorter than a time slice, so that some batches are undisturbed.
const BATCH_SECS: f64 = 0.002;

struct Bench<'a> {
    report: &'a mut Report,
    batches: u32,
}

impl Bench<'_> {
    fn time<T>(&mut self, name: &str, mut operation: impl FnMut() -> T) {
        let start = Instant::now();
        let mut count = 0_u32;
        while start.elapsed().as_secs_f64() < BATCH_SECS {
            black_box(operation());
            count += 1;
        }
        let best = (0..self.batches)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..count {
                    black_box(operation());
                }
                start.elapsed().as_secs_f64() / f64::from(count)
            })
            .fold(f64::INFINITY, f64::min);
        self.report.add(SCENARIO, name, "CPU", "us", best * 1e6);
    }
}

/// Times every step.
pub(crate) fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    let mut bench = Bench {
        report,
        batches: if settings.quick { 40 } else { 200 },
    };
    let ring = Arc::new(Keyring::generate(0));
    let user: UserId = id();
    tokens(&mut bench, &ring);
    limits(&mut bench)?;
    detection(&mut bench)?;
    rights(&mut bench, user)?;
    let keyed = ring.idempotency();
    let key = IdempotencyKey::new(*user.as_bytes(), "7f9c2ba4-e88f-827d-6160-45507605853e")
        .ok_or("a well-formed key")?;
    let account = [7_u8; 31];
    let fields: [&[u8]; 7] = [
        b"transfer",
        &account,
        &account,
        b"",
        b"1250",
        b"EUR",
        b"Rent for March",
    ];
    bench.time("idempotency: tag and fingerprint of 7 fields", || {
        key.bind(&keyed, &fields)
    });
    let person = DataKey::generate();
    let place = Place {
        table: "memos",
        column: "sealed",
        row: &[7; 16],
    };
    bench.time("memo of 14 bytes: salt, commitment, seal", || {
        let salt = data_key::new_salt();
        (
            data_key::commitment(salt, b"Rent for March"),
            person.seal(place, b"Rent for March"),
        )
    });
    let wrapped = person.wrap(&ring, *user.as_bytes());
    bench.time("memo: data key unwrapped (when it is not in memory)", || {
        DataKey::unwrap(&ring, *user.as_bytes(), &wrapped).is_ok()
    });
    audit(&mut bench, &ring, user);
    bench.time("id of time order", || random::uuid_v7(1));
    bench.time("16 random bytes", random::bytes::<16>);
    Ok(())
}

/// What is looked at of an ordinary transfer.
fn detection(bench: &mut Bench<'_>) -> Outcome<()> {
    let detector = Detector::new(Paranoia::One).map_err(|error| error.to_string())?;
    let agent = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    bench.time("detection: path, agent, ids and memo of a transfer", || {
        let mut inspection = detector.inspect();
        inspection.look(Part::Path, b"/api/v1/transfers");
        inspection.look(Part::Header, agent);
        inspection.look(Part::Body, b"acc_01kaggvh4tfs8rm9wpsh5d0a3e");
        inspection.look(Part::Body, b"acc_01kaggvh4tfs8rm9wpsh5d0a3f");
        inspection.look(Part::Body, b"EUR");
        inspection.look(Part::Body, b"Rent for March");
        inspection.recognised().is_some()
    });
    Ok(())
}

fn tokens(bench: &mut Bench<'_>, ring: &Keyring) {
    let tokens = AccessTokens::new(
        "https://localhost:8443",
        "https://localhost:8443/api",
        "first-party",
    );
    let new = NewToken {
        subject: "user_01jabcdefghjkmnpqrstvwxyz0",
        session: "session_01jabcdefghjkmnpqrstvwxyz0",
        token_id: "token_01jabcdefghjkmnpqrstvwxyz0",
        methods: &["pwd"],
        assurance: "aal1",
        bound_to: None,
        now: 0,
        lifetime_secs: 900,
    };
    let text = tokens.issue(ring, new);
    bench.time("token: verified for the first time", || {
        tokens.verify(ring, text.expose_secret(), 0).is_ok()
    });
    bench.time("token: fingerprint, by which a verified one is found", || {
        token::fingerprint(text.expose_secret())
    });
}

/// With as many others in memory as fit, each request of somebody else: no counter is in the processor's cache.
fn limits(bench: &mut Bench<'_>) -> Outcome<()> {
    for (name, quota, address) in [
        ("limits: a principal, one window", "1000000000/1s", None),
        (
            "limits: an IPv4 address, two windows",
            "1000000/1s, 1000000000/1h",
            Some(0),
        ),
        (
            "limits: an IPv6 address, three widths of two windows",
            "1000000/1s, 1000000000/1h",
            Some(0x2001_0db8_u128 << 96),
        ),
    ] {
        let limiter = Limiter::new(quota.parse()?);
        let mut number = 0_u64;
        let mut next = || {
            // Steps of a full cycle through 32,768 subjects.
            number = (number + 12_345) % 32_768;
            match address {
                None => Subject::Principal(u128::from(number).to_be_bytes()),
                Some(0) => Subject::Address(IpAddr::from((number as u32).to_be_bytes())),
                Some(prefix) => {
                    Subject::Address(IpAddr::from((prefix | u128::from(number) << 64).to_be_bytes()))
                }
            }
        };
        for _ in 0..32_768 {
            limiter.charge(next(), 1).map_err(|_| "plenty is enough")?;
        }
        bench.time(name, || limiter.charge(next(), 1).is_ok());
    }
    Ok(())
}

fn rights(bench: &mut Bench<'_>, user: UserId) -> Outcome<()> {
    let caller = Caller {
        principal: Principal::User(user),
        session: Some(id()),
        origin: Origin::Api,
    };
    let rights = Arc::new(Rights {
        roles: vec![Role::Customer],
        ..Rights::default()
    });
    let cx = Cx::new(caller, rights, Assurance::Aal1, id(), SystemClock.now(), 1);
    authorize(&cx, Action::TransferCreate, Resource::OwnedBy(user))?;
    bench.time("authorize", || {
        authorize(&cx, Action::TransferCreate, Resource::OwnedBy(user)).is_ok()
    });
    for count in [20, 500] {
        decisions(bench, count)?;
    }
    Ok(())
}

/// A transfer decided with so many policies besides the built-in ones: an author's, over all roles and actions, of
/// which every fiftieth is about the transfer that is measured.
fn decisions(bench: &mut Bench<'_>, count: usize) -> Outcome<()> {
    let more: Vec<String> = (0..count)
        .map(|number| {
            let role = Role::ALL[number % Role::ALL.len()].name();
            let action = Action::ALL[number % Action::ALL.len()].name();
            let (role, action) = if number % 50 == 0 {
                ("customer", "transfer.create")
            } else {
                (role, action)
            };
            format!(
                "forbid (principal in Role::\"{role}\", action == Action::\"{action}\", resource) \
                 when {{ context.assurance < 1 && context.minute == {number} }};"
            )
        })
        .collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let policies = Policies::parse(&more)?;
    let facts = Facts {
        is_somebodys: true,
        own: true,
        assurance: 1,
        ..Facts::new(
            Kind::User,
            &[Role::Customer],
            Action::TransferCreate,
            SystemClock.now(),
        )
    };
    if !policies.decide(&facts).allowed {
        return Err("a decision that should allow".into());
    }
    bench.time(&format!("decision: built-in policies and {count} more"), || {
        policies.decide(&facts).allowed
    });
    Ok(())
}

fn audit(bench: &mut Bench<'_>, ring: &Arc<Keyring>, user: UserId) {
    let signer = LiveRing::from(ring);
    let record = || Record {
        id: 7,
        at: SystemClock.now(),
        request: id(),
        caller: Caller {
            principal: Principal::User(user),
            session: Some(Id::from_bytes([2; 16])),
            origin: Origin::Api,
        },
        action: Action::TransferCreate.name(),
        object: Object::Transaction(Id::from_bytes([3; 16])),
        outcome: "ok",
        policy: 1,
        details: Details::transaction(&[4; 32]),
    };
    let one = record();
    bench.time("audit: canonical bytes", || one.canonical());
    let canonical = one.canonical();
    bench.time("audit: HMAC", || signer.sign(&canonical));
    let (key, mac) = signer.sign(&canonical);
    let signed = SignedRecord::new(one, key, mac);
    bench.time("audit: leaf hash", || signed.leaf_of(canonical.clone()));
    bench.time("audit: all of it", || {
        let record = record();
        let canonical = record.canonical();
        let (key, mac) = signer.sign(&canonical);
        SignedRecord::new(record, key, mac).leaf_of(canonical)
    });
}

fn id<K>() -> Id<K> {
    Id::from_bytes(random::uuid_v7(SystemClock.now().micros()))
}
