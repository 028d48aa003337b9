//! Prints what each operation costs on this machine: `cargo run --release -p strongroom-crypto --example timings`.

use std::hint::black_box;
use std::time::Instant;

use strongroom_crypto::password::{Cost, PoolSize};
use strongroom_crypto::{
    AccessTokens, ApiKey, Checkpoint, DataKey, ExposeSecret, KeyEnvironment, Keyring, NewToken, PasswordPool,
    Place, SecretString, mac, password, random, token, totp,
};

/// Length of one batch, in seconds: shorter than a time slice, so that some batches are undisturbed.
const BATCH_SECS: f64 = 0.005;
/// Batches of an operation; the fastest is printed.
const BATCHES: u32 = 60;

fn time<T>(name: &str, mut operation: impl FnMut() -> T) {
    let start = Instant::now();
    let mut count = 0u32;
    while start.elapsed().as_secs_f64() < BATCH_SECS {
        black_box(operation());
        count += 1;
    }
    let best = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..count {
                black_box(operation());
            }
            start.elapsed().as_secs_f64() / f64::from(count)
        })
        .fold(f64::INFINITY, f64::min);
    println!("{name:<34} {:>12.0} ns", best * 1e9);
}

fn main() {
    let ring = Keyring::generate(0);
    let place = Place {
        table: "people",
        column: "email",
        row: &[7; 16],
    };
    let cell = [0x61u8; 64];
    let sealed = ring.seal(place, &cell);
    time("seal 64 bytes", || ring.seal(place, &cell));
    time("open 64 bytes", || ring.open(place, &sealed));

    let key = DataKey::generate();
    let (wrapped, personal) = (key.wrap(&ring, [1; 16]), key.seal(place, &cell));
    time("data key: generate and wrap", || {
        DataKey::generate().wrap(&ring, [1; 16])
    });
    time("data key: unwrap", || DataKey::unwrap(&ring, [1; 16], &wrapped));
    time("data key: seal 64 bytes", || key.seal(place, &cell));
    time("data key: open 64 bytes", || key.open(place, &personal));
    time("commitment of 64 bytes", || {
        strongroom_crypto::data_key::commitment([1; 16], &cell)
    });

    let audit: mac::AuditMac = ring.audit_mac();
    let record = [0u8; 256];
    time("audit mark of 256 bytes", || audit.sign(&record));
    let keys = ring.idempotency();
    time("idempotency tag", || {
        keys.tag([1; 16], "7f9c2ba4-e88f-827d-6160-45507605853e")
    });
    time("field digest", || keys.field_digest([1; 16], 4, b"EUR 100.00"));
    time("blind index", || {
        ring.blind_index("people.email", b"alice@example.org")
    });

    let tokens = AccessTokens::new("https://bank.example", "https://bank.example/api", "first-party");
    let new = NewToken {
        subject: "user_01jabcdefghjkmnpqrstvwxyz0",
        session: "session_01jabcdefghjkmnpqrstvwxyz0",
        token_id: "token_01jabcdefghjkmnpqrstvwxyz0",
        methods: &["pwd", "otp"],
        assurance: "aal2",
        bound_to: None,
        now: 0,
        lifetime_secs: 300,
    };
    let text = tokens.issue(&ring, new);
    time("access token: issue", || tokens.issue(&ring, new));
    time("access token: verify", || {
        tokens.verify(&ring, text.expose_secret(), 0)
    });
    time("access token: fingerprint", || {
        token::fingerprint(text.expose_secret())
    });

    let first = ring.refresh_first([1; 16]);
    time("refresh token: child and hash", || {
        ring.refresh_child([1; 16], 2, &first.hash()).hash()
    });
    let mark = ring.issue_device_mark().text();
    time("device mark: read and bind", || {
        ring.read_device_mark(mark.expose_secret())
            .map(|m| m.bound_to([1; 16]))
    });
    let api_key = ApiKey::generate(KeyEnvironment::Test, [1; 16]);
    let (stored, api_text) = (ring.api_key_hash(&api_key), api_key.text());
    time("API key: parse and match", || {
        ApiKey::parse(api_text.expose_secret()).is_some_and(|key| ring.api_key_matches(&key, &stored))
    });

    let signer = ring.note_signer("bank.example/audit").expect("a valid name");
    let head = Checkpoint {
        origin: "bank.example/audit".into(),
        size: 9,
        root: [1; 32],
        extensions: vec![],
    };
    let (note, verifiers) = (
        head.sign(&signer),
        ring.note_verifiers("bank.example/audit").expect("a valid name"),
    );
    let note = note.expect("a valid checkpoint");
    time("checkpoint: sign", || head.sign(&signer));
    time("checkpoint: open", || Checkpoint::open(&note, &verifiers));

    let secret = totp::new_secret();
    time("one-time code: verify", || {
        totp::verify(&secret, "123456", 0, None)
    });
    time("id (UUID v7)", || random::uuid_v7(1));
    time("random token", random::token);
    time("random 24 bytes", random::bytes::<24>);
    time("keyring: generate", || Keyring::generate(0));

    let policy = password::Policy::default();
    time("password policy, 20 characters", || {
        policy
            .check("grumpy lantern orbit", &["alice@example.org"])
            .is_ok()
    });
    time("password policy, 100 characters", || {
        policy.check(&"grumpy lantern ".repeat(8)[..100], &[]).is_ok()
    });
    let size = PoolSize {
        workers: 1,
        queue: 4,
        reserved: 1,
    };
    let pool = PasswordPool::start(&ring, Cost::DEFAULT, size).expect("a thread");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    time("password: hash", || {
        runtime
            .block_on(pool.hash(SecretString::from("grumpy lantern orbit".to_owned())))
            .map(|stored| stored.kid())
    });
}
