use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_795_132_800;
const TOKEN: &str = "header.claims.signature";

fn asked(token: Option<&str>) -> Asked<'_> {
    Asked {
        method: "POST",
        authority: "bank.example",
        path: "/api/v1/transfers",
        token,
    }
}

enum Holder {
    Ed(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl Holder {
    fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap())
    }

    fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn jwk(&self) -> Value {
        match self {
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key())})
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (
                    URL_SAFE_NO_PAD.encode(&point[1..33]),
                    URL_SAFE_NO_PAD.encode(&point[33..]),
                );
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::P256(_) => "ES256",
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = match self {
            Self::Ed(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Self::P256(pair) => {
                let made = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
                made.as_ref().to_vec()
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn header(&self) -> Value {
        json!({"typ": TYPE, "alg": self.algorithm(), "jwk": self.jwk()})
    }
}

fn claims(ring: &Keyring) -> Value {
    json!({
        "jti": "one", "htm": "POST", "htu": "https://bank.example/api/v1/transfers", "iat": NOW,
        "ath": URL_SAFE_NO_PAD.encode(sha256(TOKEN.as_bytes())), "nonce": ring.proof_nonce(NOW),
    })
}

fn with(base: &Value, name: &str, value: Value) -> Value {
    let mut changed = base.clone();
    match value {
        Value::Null => drop(changed.as_object_mut().unwrap().remove(name)),
        value => changed[name] = value,
    }
    changed
}

#[test]
fn a_proof_of_either_algorithm_names_its_holder() {
    let ring = Keyring::generate(0);
    for holder in [Holder::ed(), Holder::p256()] {
        let text = holder.sign(&holder.header(), &claims(&ring));
        let proof = ring.verify_proof(&text, &asked(Some(TOKEN)), NOW).unwrap();
        assert_eq!((proof.id.as_str(), proof.issued_at), ("one", NOW));
        // The same key by another copy of it, whatever else is said about it.
        let jwk = with(
            &with(&holder.jwk(), "kid", json!("mine")),
            "key_ops",
            json!(["verify"]),
        );
        let text = holder.sign(&with(&holder.header(), "jwk", jwk), &claims(&ring));
        let again = ring.verify_proof(&text, &asked(Some(TOKEN)), NOW).unwrap();
        assert_eq!(again.holder, proof.holder);
        assert_eq!(thumbprint_of(&thumbprint_text(&proof.holder)), Some(proof.holder));
    }
}

#[test]
fn the_thumbprint_is_that_of_rfc_8037() {
    let jwk: Jwk = serde_json::from_value(
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
    )
    .unwrap();
    let key = holder_key("EdDSA", &jwk).unwrap();
    assert_eq!(
        thumbprint_text(&key.thumbprint),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}

#[test]
fn every_step_of_the_standard_refuses_a_proof() {
    use ProofError::*;
    let ring = Keyring::generate(0);
    let holder = Holder::ed();
    let (header, good) = (holder.header(), claims(&ring));
    let verify = |text: &str| ring.verify_proof(text, &asked(Some(TOKEN)), NOW);
    assert!(verify(&holder.sign(&header, &good)).is_ok());
    for (name, value, error) in [
        ("jti", json!(null), Malformed),
        ("jti", json!(""), Malformed),
        ("jti", json!("x".repeat(ID_CHARS_MAX + 1)), Malformed),
        ("jti", json!(1), Malformed),
        ("htm", json!(null), Malformed),
        ("htm", json!("GET"), OtherRequest),
        ("htm", json!("post"), OtherRequest),
        ("htu", json!(null), Malformed),
        ("htu", json!("http://bank.example/api/v1/transfers"), OtherRequest),
        (
            "htu",
            json!("https://bank.example.evil/api/v1/transfers"),
            OtherRequest,
        ),
        (
            "htu",
            json!("https://bank.example:444/api/v1/transfers"),
            OtherRequest,
        ),
        (
            "htu",
            json!("https://bank.example/api/v1/transfers/"),
            OtherRequest,
        ),
        (
            "htu",
            json!("https://bank.example/api/v1/Transfers"),
            OtherRequest,
        ),
        (
            "htu",
            json!("https://x@bank.example/api/v1/transfers"),
            OtherRequest,
        ),
        ("htu", json!("/api/v1/transfers"), OtherRequest),
        ("iat", json!(null), Malformed),
        ("iat", json!("now"), Malformed),
        ("iat", json!(1.5), Malformed),
        ("iat", json!(NOW - 61), Expired),
        ("iat", json!(NOW + 61), Expired),
        ("iat", json!(i64::MIN), Expired),
        ("iat", json!(i64::MAX), Expired),
        ("ath", json!(null), OtherToken),
        (
            "ath",
            json!(URL_SAFE_NO_PAD.encode(sha256(b"another"))),
            OtherToken,
        ),
        ("ath", json!(TOKEN), OtherToken),
        ("nonce", json!(null), Nonce),
        ("nonce", json!("made-up"), Nonce),
        ("nonce", json!(ring.proof_nonce(NOW - NONCE_SECS - 1)), Nonce),
        (
            "nonce",
            json!(ring.proof_nonce(NOW + PROOF_WINDOW_SECS + 1)),
            Nonce,
        ),
        ("nonce", json!(ring.proof_nonce(i64::MAX)), Nonce),
        ("nonce", json!(Keyring::generate(0).proof_nonce(NOW)), Nonce),
    ] {
        let text = holder.sign(&header, &with(&good, name, value.clone()));
        assert_eq!(verify(&text), Err(error), "{name} {value}");
    }
    for fine in [
        "https://bank.example/api/v1/transfers?dry_run=true#x",
        "HTTPS://BANK.EXAMPLE/api/v1/transfers",
    ] {
        assert!(
            verify(&holder.sign(&header, &with(&good, "htu", json!(fine)))).is_ok(),
            "{fine}"
        );
    }
    // Without a token there is none to be bound to, and none to name.
    let alone = holder.sign(&header, &with(&good, "ath", json!(null)));
    assert!(ring.verify_proof(&alone, &asked(None), NOW).is_ok());
    let named = holder.sign(&header, &good);
    assert_eq!(ring.verify_proof(&named, &asked(None), NOW), Err(OtherToken));
}

#[test]
fn another_key_type_algorithm_or_header_is_no_proof() {
    use ProofError::*;
    let ring = Keyring::generate(0);
    let (holder, other) = (Holder::ed(), Holder::p256());
    let (header, good) = (holder.header(), claims(&ring));
    let private = with(&holder.jwk(), "d", json!(URL_SAFE_NO_PAD.encode([7; 32])));
    let padded = with(
        &holder.jwk(),
        "x",
        json!(format!("{}=", holder.jwk()["x"].as_str().unwrap())),
    );
    for (name, value, error) in [
        ("typ", json!("jwt"), Malformed),
        ("typ", json!("at+jwt"), Malformed),
        ("typ", json!(null), Malformed),
        ("alg", json!("none"), Malformed),
        ("alg", json!("HS256"), Malformed),
        ("alg", json!("ES256"), Malformed),
        ("alg", json!("RS256"), Malformed),
        ("alg", json!(null), Malformed),
        ("jwk", json!(null), Malformed),
        ("jwk", private, Malformed),
        ("jwk", padded, Malformed),
        ("jwk", json!({"kty": "oct", "k": "AAAA"}), Malformed),
        ("jwk", with(&holder.jwk(), "crv", json!("X25519")), Malformed),
        ("jwk", with(&holder.jwk(), "y", json!("AAAA")), Malformed),
        ("jwk", with(&holder.jwk(), "x", json!("AAAA")), Malformed),
        (
            "jwk",
            Holder::Ed(Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap()).jwk(),
            Signature,
        ),
        ("kid", json!("1"), Malformed),
        ("jku", json!("https://evil.example"), Malformed),
        ("crit", json!(["x"]), Malformed),
        ("b64", json!(false), Malformed),
    ] {
        let text = holder.sign(&with(&header, name, value.clone()), &good);
        assert_eq!(
            ring.verify_proof(&text, &asked(Some(TOKEN)), NOW),
            Err(error),
            "{name} {value}"
        );
    }
    let mixed = json!({"typ": TYPE, "alg": "ES256", "jwk": other.jwk()});
    let text = holder.sign(&mixed, &good);
    assert_eq!(ring.verify_proof(&text, &asked(Some(TOKEN)), NOW), Err(Signature));
    // A point that is not on the curve.
    let off = with(&other.jwk(), "y", json!(URL_SAFE_NO_PAD.encode([1; 32])));
    let text = other.sign(&json!({"typ": TYPE, "alg": "ES256", "jwk": off}), &good);
    assert_eq!(ring.verify_proof(&text, &asked(Some(TOKEN)), NOW), Err(Signature));
}

#[test]
fn any_changed_byte_of_a_proof_is_refused_and_a_token_is_none() {
    let ring = Keyring::generate(0);
    for holder in [Holder::ed(), Holder::p256()] {
        let text = holder.sign(&holder.header(), &claims(&ring));
        assert!(ring.verify_proof(&text, &asked(Some(TOKEN)), NOW).is_ok());
        for at in 0..text.len() {
            for change in [0x01, 0x02, 0x20] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= change;
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                assert!(
                    ring.verify_proof(&changed, &asked(Some(TOKEN)), NOW).is_err(),
                    "{at}: {changed}"
                );
            }
        }
        for other in [
            "",
            ".",
            "..",
            "a.b.c",
            TOKEN,
            &format!("{text}."),
            &format!(".{text}"),
            &text.replace('.', ""),
        ] {
            assert!(
                ring.verify_proof(other, &asked(Some(TOKEN)), NOW).is_err(),
                "{other}"
            );
        }
        let long = holder.sign(
            &holder.header(),
            &with(&claims(&ring), "more", json!("x".repeat(PROOF_BYTES_MAX))),
        );
        assert_eq!(
            ring.verify_proof(&long, &asked(Some(TOKEN)), NOW),
            Err(ProofError::Malformed)
        );
    }
}

#[test]
fn a_nonce_outlives_the_rotation_of_its_key() {
    let mut ring = Keyring::generate(0);
    let nonce = ring.proof_nonce(NOW);
    ring.rotate(Purpose::Proof, 1).unwrap();
    assert!(ring.is_proof_nonce(&nonce, NOW) && ring.is_proof_nonce(&nonce, NOW + NONCE_SECS));
    assert!(!ring.is_proof_nonce(&nonce, NOW + NONCE_SECS + 1));
    assert_ne!(ring.proof_nonce(NOW), nonce);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_stumble(text in "[A-Za-z0-9_.{}\":-]{0,300}") {
        prop_assert!(Keyring::generate(0).verify_proof(&text, &asked(None), NOW).is_err());
    }
}
