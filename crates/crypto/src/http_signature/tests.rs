use super::*;
use crate::secret::SecretString;
use proptest::prelude::*;

const NOW: i64 = 1_795_132_800;
const KEY: &str = "key_01jd3vw4ezfkx8y0q4sfcmj2t9";
const BODY: &[u8] = br#"{"amount":1}"#;

fn covered(input: &str) -> InnerList {
    let (_, ListEntry::InnerList(covered)) = only_member(input).unwrap() else {
        panic!("no list")
    };
    covered
}

/// A signed request that can be changed.
#[derive(Clone, Debug)]
struct Sent {
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Sent {
    fn new(body: &[u8]) -> Self {
        let mut headers = vec![
            ("content-type".to_owned(), b"application/json".to_vec()),
            ("idempotency-key".to_owned(), b"rent-2026-11".to_vec()),
            ("x-api-key-id".to_owned(), KEY.as_bytes().to_vec()),
        ];
        if !body.is_empty() {
            headers.push(("content-digest".to_owned(), content_digest(body).into_bytes()));
        }
        Self {
            method: "POST".to_owned(),
            path: "/api/v1/transfers".to_owned(),
            query: Some("dry_run=false".to_owned()),
            headers,
            body: body.to_vec(),
        }
    }

    fn with<T>(&self, look: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        look(&Request {
            method: &self.method,
            authority: "localhost:8443",
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            body: &self.body,
        })
    }

    fn signed(mut self, key: &SigningKey) -> Self {
        let fields = self.with(|request| key.sign(request, KEY, NOW, "n-1"));
        self.headers
            .extend(fields.map(|(name, value)| (name.to_owned(), value.into_bytes())));
        self
    }

    fn plain(mut self, secret: &SigningSecret, timestamp: &str) -> Self {
        // The digest has a line of its own.
        self.headers.retain(|(name, _)| name != "content-digest");
        let lines = self.with(|request| plain_lines(request, KEY, timestamp, "n-1").unwrap());
        for (name, value) in [
            ("x-timestamp", timestamp.to_owned()),
            ("x-nonce", "n-1".to_owned()),
            ("x-signature", hex::encode(secret.sign(lines.as_bytes()))),
        ] {
            self.headers.push((name.to_owned(), value.into_bytes()));
        }
        self
    }

    fn is_by(&self, key: &VerifyingKey<'_>) -> bool {
        self.with(|request| matches!(read(request, NOW), Ok(Some(presented)) if presented.is_by(key)))
    }
}

fn secret() -> SigningSecret {
    SigningSecret::of(&SecretString::from("srs_0123".to_owned()))
}

fn pair() -> (SigningKey, [u8; 32]) {
    use aws_lc_rs::signature::KeyPair;
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = pair.public_key().as_ref().try_into().unwrap();
    (SigningKey::Ed25519(pair), public)
}

/// Every message that differs from this one in one byte of its target, its fields or its body.
fn with_one_byte_changed(sent: &Sent) -> Vec<Sent> {
    let mut all = Vec::new();
    for change in 1..=u8::MAX {
        let mut put = |at: usize, bytes: &[u8], place: &dyn Fn(&mut Sent, Vec<u8>) -> bool| {
            let (mut bytes, mut changed) = (bytes.to_vec(), sent.clone());
            bytes[at] ^= change;
            if place(&mut changed, bytes) {
                all.push(changed);
            }
        };
        for (field, (_, value)) in sent.headers.iter().enumerate() {
            for at in 0..value.len() {
                put(at, value, &|sent, bytes| {
                    sent.headers[field].1 = bytes;
                    true
                });
            }
        }
        for at in 0..sent.body.len() {
            put(at, &sent.body, &|sent, bytes| {
                sent.body = bytes;
                true
            });
        }
        // What the protocol would not let through as text is no request at all.
        let text = |bytes| String::from_utf8(bytes).ok();
        for at in 0..sent.method.len() {
            put(at, sent.method.as_bytes(), &|sent, bytes| {
                text(bytes).map(|text| sent.method = text).is_some()
            });
        }
        for at in 0..sent.path.len() {
            put(at, sent.path.as_bytes(), &|sent, bytes| {
                text(bytes).map(|text| sent.path = text).is_some()
            });
        }
        let query = sent.query.clone().unwrap_or_default();
        for at in 0..query.len() {
            put(at, query.as_bytes(), &|sent, bytes| {
                text(bytes).map(|text| sent.query = Some(text)).is_some()
            });
        }
    }
    all
}

#[test]
fn every_one_byte_change_and_every_dropped_part_of_a_signed_request_is_refused_in_every_scheme() {
    let (key, public) = pair();
    let shared = secret();
    for (sent, verifying) in [
        (Sent::new(BODY).signed(&key), VerifyingKey::Ed25519(&public)),
        (
            Sent::new(BODY).signed(&SigningKey::Shared(secret())),
            VerifyingKey::Shared(&shared),
        ),
        (
            Sent::new(BODY).plain(&shared, &NOW.to_string()),
            VerifyingKey::Shared(&shared),
        ),
    ] {
        assert!(sent.is_by(&verifying), "unchanged: {sent:?}");
        let refused = |changed: &Sent, what: &str| assert!(!changed.is_by(&verifying), "{what} {changed:?}");
        let changed = with_one_byte_changed(&sent);
        let bytes: usize = sent.headers.iter().map(|(_, value)| value.len()).sum();
        assert!(changed.len() > 255 * (bytes + BODY.len()), "{}", changed.len());
        for changed in &changed {
            refused(changed, "one byte");
        }
        let (query, body) = (None, Vec::new());
        refused(
            &Sent {
                query,
                ..sent.clone()
            },
            "no query",
        );
        refused(&Sent { body, ..sent.clone() }, "no body");
        for at in 0..sent.headers.len() {
            let mut fewer = sent.clone();
            let (name, value) = fewer.headers.remove(at);
            refused(&fewer, &format!("without {name}"));
            let mut twice = sent.clone();
            twice.headers.push((name.clone(), value));
            refused(&twice, &format!("{name} twice"));
        }
        // A field that decides what the request does cannot be added either.
        for name in [
            "authorization",
            "dpop",
            "strongroom-version",
            "x-confirm-duplicate",
        ] {
            let mut more = sent.clone();
            more.headers.push((name.to_owned(), b"x".to_vec()));
            refused(&more, name);
        }
    }
}

#[test]
fn a_request_that_leaves_something_out_of_its_signature_is_refused() {
    let shared = secret();
    let all = [
        "@method",
        "@target-uri",
        "content-type",
        "idempotency-key",
        "x-api-key-id",
        "content-digest",
    ];
    let ask = |names: &[&str], params: &str| {
        let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let input = format!("sig=({}){params}", names.join(" "));
        let mut sent = Sent::new(BODY);
        let base = sent.with(|request| signature_base(&covered(&input), request));
        let mac = STANDARD.encode(shared.sign(base.unwrap_or_default().as_bytes()));
        sent.headers
            .push(("signature-input".to_owned(), input.into_bytes()));
        sent.headers
            .push(("signature".to_owned(), format!("sig=:{mac}:").into_bytes()));
        sent.is_by(&VerifyingKey::Shared(&shared))
    };
    let good = format!(";created={NOW};keyid=\"{KEY}\";nonce=\"n\";tag=\"fapi-2-request\"");
    assert!(ask(&all, &good));
    for at in 0..all.len() {
        let mut fewer = all.to_vec();
        let left_out = fewer.remove(at);
        assert!(!ask(&fewer, &good), "without {left_out}");
    }
    // The target in its parts is the target.
    let in_parts = [
        "@method",
        "@authority",
        "@path",
        "@query",
        "content-type",
        "idempotency-key",
        "x-api-key-id",
        "content-digest",
    ];
    assert!(ask(&in_parts, &good));
    for part in ["@authority", "@path", "@query"] {
        let fewer: Vec<_> = in_parts.into_iter().filter(|name| *name != part).collect();
        assert!(!ask(&fewer, &good), "without {part}");
    }
    for twice in [
        [&all[..], &["@method"]].concat(),
        [&all[..], &["@status"]].concat(),
        [&all[..], &["date"]].concat(),
    ] {
        assert!(!ask(&twice, &good), "{twice:?}");
    }
    let params = |drop: &str| {
        good.split(';')
            .filter(|part| !part.starts_with(drop))
            .collect::<Vec<_>>()
            .join(";")
    };
    for drop in ["created", "keyid", "nonce", "tag"] {
        assert!(!ask(&all, &params(drop)), "without {drop}");
    }
    for more in [
        ";expires=1",
        ";alg=\"ed25519\"",
        ";alg=\"none\"",
        ";unknown=1",
        ";created=1",
        &format!(";keyid=\"{KEY}x\""),
    ] {
        assert!(!ask(&all, &format!("{good}{more}")), "{more}");
    }
    assert!(ask(
        &all,
        &format!("{good};alg=\"hmac-sha256\";expires={}", NOW + 1)
    ));
    for (made, counts) in [(-60, true), (-61, false), (60, true), (61, false)] {
        let made = good.replace(&NOW.to_string(), &(NOW + made).to_string());
        assert_eq!(ask(&all, &made), counts, "{made}");
    }
}

#[test]
fn the_plain_scheme_counts_for_five_minutes_and_its_time_is_a_number() {
    let shared = secret();
    let counts = |timestamp: &str| {
        Sent::new(BODY)
            .plain(&shared, timestamp)
            .is_by(&VerifyingKey::Shared(&shared))
    };
    for (text, expected) in [
        ((NOW - 299).to_string(), true),
        ((NOW - 301).to_string(), false),
        ((NOW + 299).to_string(), true),
        ((NOW + 301).to_string(), false),
        ("abc".to_owned(), false),
        (String::new(), false),
        (format!("{NOW}.0"), false),
        (format!("+{NOW}"), false),
        (format!("0{NOW}"), false),
        ("NaN".to_owned(), false),
    ] {
        assert_eq!(counts(&text), expected, "{text}");
    }
}

#[test]
fn the_lines_of_the_plain_scheme_are_those_of_its_description() {
    let lines = Sent::new(b"").with(|request| plain_lines(request, KEY, "1", "n").unwrap());
    assert_eq!(
        lines,
        format!(
            "POST\nlocalhost:8443\n/api/v1/transfers\ndry_run=false\napplication/json\nrent-2026-11\n{KEY}\n1\nn\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
    );
}

#[test]
fn two_signatures_and_two_schemes_are_none() {
    let shared = secret();
    let verifying = VerifyingKey::Shared(&shared);
    let sent = Sent::new(BODY).signed(&SigningKey::Shared(secret()));
    assert!(sent.is_by(&verifying));
    assert!(!sent.clone().plain(&shared, &NOW.to_string()).is_by(&verifying));
    assert!(
        !sent
            .clone()
            .signed(&SigningKey::Shared(secret()))
            .is_by(&verifying)
    );
    assert!(
        Sent::new(BODY)
            .with(|request| read(request, NOW))
            .unwrap()
            .is_none()
    );
}

proptest! {
    #[test]
    fn no_field_makes_the_reader_stumble(input in ".{0,200}", signature in ".{0,100}", digest in ".{0,100}") {
        let mut sent = Sent::new(BODY);
        for (name, value) in [("signature-input", &input), ("signature", &signature), ("content-digest", &digest)] {
            sent.headers.push((name.to_owned(), value.clone().into_bytes()));
        }
        prop_assert!(!sent.is_by(&VerifyingKey::Shared(&secret())));
    }
}
