//! Access tokens: each refusal first shows that the unmodified token is accepted.

use super::*;
use crate::secret::ExposeSecret;
use aws_lc_rs::hmac;
use serde_json::{Value, json};

const NOW: i64 = 1_700_000_000_000_000;
const SECOND: i64 = 1_000_000;

struct Bank {
    ring: Keyring,
    tokens: AccessTokens,
}

fn bank() -> Bank {
    Bank {
        ring: Keyring::generate(NOW),
        tokens: AccessTokens::new("https://bank.example", "https://bank.example/api", "first-party"),
    }
}

impl Bank {
    fn issue(&self) -> String {
        let new = NewToken {
            subject: "user_01h",
            session: "session_01h",
            token_id: "token_01h",
            methods: &["pwd", "otp"],
            assurance: "aal2",
            bound_to: None,
            now: NOW,
            lifetime_secs: 300,
        };
        self.tokens.issue(&self.ring, new).expose_secret().to_owned()
    }

    fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        self.tokens.verify(&self.ring, token, NOW + SECOND)
    }

    /// Signs any header and claims with our active key.
    fn forge(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self
            .ring
            .active_key(Purpose::AccessToken)
            .signing()
            .pair
            .sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn header(&self) -> Value {
        let kid = self.ring.active(Purpose::AccessToken).kid.to_string();
        json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": kid })
    }

    /// The forged token with unmodified parts is accepted; with `change` applied it is not, for the reason given.
    fn refuses_header(&self, change: impl FnOnce(&mut Value), reason: TokenError) {
        let claims = claims_of(&self.issue());
        let mut header = self.header();
        assert!(self.verify(&self.forge(&header, &claims)).is_ok());
        change(&mut header);
        assert_eq!(
            self.verify(&self.forge(&header, &claims)),
            Err(reason),
            "{header}"
        );
    }

    fn refuses_claims(&self, change: impl FnOnce(&mut Value), reason: TokenError) {
        let mut claims = claims_of(&self.issue());
        assert!(self.verify(&self.forge(&self.header(), &claims)).is_ok());
        change(&mut claims);
        assert_eq!(
            self.verify(&self.forge(&self.header(), &claims)),
            Err(reason),
            "{claims}"
        );
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn parsed(token: &str, index: usize) -> Value {
    serde_json::from_slice(
        &URL_SAFE_NO_PAD
            .decode(token.split('.').nth(index).unwrap())
            .unwrap(),
    )
    .unwrap()
}

fn claims_of(token: &str) -> Value {
    parsed(token, 1)
}

#[test]
fn a_token_has_exactly_the_header_and_claims_of_rfc_9068() {
    let bank = bank();
    let token = bank.issue();
    assert_eq!(parsed(&token, 0), bank.header());
    let seconds = NOW / SECOND;
    assert_eq!(
        claims_of(&token),
        json!({
            "iss": "https://bank.example", "aud": "https://bank.example/api", "sub": "user_01h",
            "client_id": "first-party", "sid": "session_01h", "jti": "token_01h",
            "iat": seconds, "nbf": seconds, "exp": seconds + 300, "amr": ["pwd", "otp"], "acr": "aal2",
        })
    );
    let claims = bank.verify(&token).unwrap();
    assert_eq!(
        (claims.sub.as_str(), claims.sid.as_str(), claims.cnf),
        ("user_01h", "session_01h", None)
    );
}

#[test]
fn a_bound_token_carries_its_key_s_thumbprint() {
    let bank = bank();
    let new = NewToken {
        subject: "u",
        session: "s",
        token_id: "t",
        methods: &[],
        assurance: "aal1",
        bound_to: Some("thumb"),
        now: NOW,
        lifetime_secs: 60,
    };
    let token = bank.tokens.issue(&bank.ring, new);
    assert_eq!(
        bank.verify(token.expose_secret()).unwrap().cnf.unwrap().jkt,
        "thumb"
    );
}

#[test]
fn a_token_is_valid_from_its_issue_until_the_second_it_expires() {
    let bank = bank();
    let token = bank.issue();
    let at = |now: i64| bank.tokens.verify(&bank.ring, &token, now).map(|_| ());
    assert_eq!(at(NOW - LEEWAY_SECS * SECOND), Ok(()));
    assert_eq!(at(NOW - LEEWAY_SECS * SECOND - 1), Err(TokenError::NotYetValid));
    assert_eq!(at(NOW + 300 * SECOND - 1), Ok(()));
    assert_eq!(at(NOW + 300 * SECOND), Err(TokenError::Expired));
    assert_eq!(at(i64::MAX), Err(TokenError::Expired));
    assert_eq!(at(i64::MIN), Err(TokenError::NotYetValid));
}

#[test]
fn other_algorithms_are_refused() {
    let bank = bank();
    for algorithm in [
        "none", "None", "HS256", "ES256", "RS256", "PS256", "Ed25519", "eddsa", "",
    ] {
        bank.refuses_header(|header| header["alg"] = json!(algorithm), TokenError::Algorithm);
    }
}

#[test]
fn an_unsigned_token_is_refused() {
    let bank = bank();
    let claims = claims_of(&bank.issue());
    assert!(bank.verify(&bank.forge(&bank.header(), &claims)).is_ok());
    let mut header = bank.header();
    header["alg"] = json!("none");
    assert_eq!(
        bank.verify(&format!("{}.{}.", part(&header), part(&claims))),
        Err(TokenError::Algorithm)
    );
    let unsigned = format!("{}.{}.", part(&bank.header()), part(&claims));
    assert_eq!(bank.verify(&unsigned), Err(TokenError::Signature));
}

#[test]
fn the_public_key_as_an_hmac_secret_is_refused() {
    let bank = bank();
    let claims = claims_of(&bank.issue());
    assert!(bank.verify(&bank.forge(&bank.header(), &claims)).is_ok());
    let (_, public) = bank.ring.public_keys(Purpose::AccessToken)[0];
    for algorithm in ["HS256", "EdDSA"] {
        let mut header = bank.header();
        header["alg"] = json!(algorithm);
        let message = format!("{}.{}", part(&header), part(&claims));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()));
        let reason = if algorithm == "HS256" {
            TokenError::Algorithm
        } else {
            TokenError::Signature
        };
        assert_eq!(bank.verify(&token), Err(reason));
    }
}

#[test]
fn other_types_of_token_are_refused() {
    let bank = bank();
    for kind in ["JWT", "jwt", "dpop+jwt", "AT+JWT", "application/at+jwt"] {
        bank.refuses_header(|header| header["typ"] = json!(kind), TokenError::Type);
    }
    bank.refuses_header(
        |header| drop(header.as_object_mut().unwrap().remove("typ")),
        TokenError::Malformed,
    );
}

#[test]
fn keys_are_taken_from_our_ring_only() {
    let bank = bank();
    for kid in ["0", "999", "", "x", "-1", "4294967296"] {
        bank.refuses_header(|header| header["kid"] = json!(kid), TokenError::UnknownKid);
    }
    let own = bank.ring.active(Purpose::AccessToken).kid;
    for kid in [format!("0{own}"), format!("+{own}"), format!(" {own}")] {
        bank.refuses_header(|header| header["kid"] = json!(kid), TokenError::UnknownKid);
    }
    // A key of ours, but of another purpose: it signs checkpoints.
    let checkpoint = bank.ring.active(Purpose::Checkpoint).kid.to_string();
    bank.refuses_header(|header| header["kid"] = json!(checkpoint), TokenError::UnknownKid);
    bank.refuses_header(
        |header| drop(header.as_object_mut().unwrap().remove("kid")),
        TokenError::Malformed,
    );
}

#[test]
fn a_header_that_brings_its_own_key_or_extension_is_refused() {
    let bank = bank();
    let (_, public) = bank.ring.public_keys(Purpose::AccessToken)[0];
    for (member, value) in [
        ("jku", json!("https://evil.example/jwks.json")),
        (
            "jwk",
            json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(public) }),
        ),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("zip", json!("DEF")),
        ("b64", json!(false)),
    ] {
        bank.refuses_header(|header| header[member] = value, TokenError::Malformed);
    }
}

#[test]
fn another_issuer_or_audience_is_refused() {
    let bank = bank();
    for other in [
        json!("https://evil.example"),
        json!("https://bank.example/"),
        json!(""),
    ] {
        bank.refuses_claims(|claims| claims["iss"] = other.clone(), TokenError::Issuer);
        bank.refuses_claims(|claims| claims["aud"] = other, TokenError::Audience);
    }
    let operators = AccessTokens::new(
        "https://bank.example",
        "https://ops.bank.example/api",
        "first-party",
    );
    let token = bank.issue();
    assert!(bank.verify(&token).is_ok());
    assert_eq!(
        operators.verify(&bank.ring, &token, NOW),
        Err(TokenError::Audience)
    );
}

#[test]
fn missing_and_mistyped_claims_are_refused() {
    let bank = bank();
    for claim in [
        "iss",
        "aud",
        "sub",
        "client_id",
        "sid",
        "jti",
        "iat",
        "nbf",
        "exp",
        "amr",
        "acr",
    ] {
        bank.refuses_claims(
            |claims| drop(claims.as_object_mut().unwrap().remove(claim)),
            TokenError::Malformed,
        );
    }
    for (claim, value) in [
        ("exp", json!("1700000300")),
        ("exp", json!(1e30)),
        ("exp", json!(null)),
        ("nbf", json!("x")),
        ("aud", json!(["https://bank.example/api", "https://evil.example"])),
        ("sub", json!(7)),
        ("cnf", json!({})),
    ] {
        bank.refuses_claims(|claims| claims[claim] = value, TokenError::Malformed);
    }
}

#[test]
fn extreme_times_neither_overflow_nor_pass() {
    let bank = bank();
    bank.refuses_claims(|claims| claims["exp"] = json!(i64::MIN), TokenError::Malformed);
    bank.refuses_claims(|claims| claims["exp"] = json!(0), TokenError::Expired);
    bank.refuses_claims(|claims| claims["nbf"] = json!(i64::MAX), TokenError::NotYetValid);
}

#[test]
fn any_changed_character_is_refused() {
    let bank = bank();
    let token = bank.issue();
    assert!(bank.verify(&token).is_ok());
    for index in 0..token.len() {
        let mut changed = token.as_bytes().to_vec();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        assert!(
            bank.verify(std::str::from_utf8(&changed).unwrap()).is_err(),
            "{index}"
        );
    }
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{token}."),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}.{token}"),
        token.rsplit_once('.').unwrap().0.to_owned(),
        "a".repeat(TOKEN_BYTES_MAX + 1),
    ] {
        assert!(bank.verify(&bad).is_err(), "{bad}");
    }
}

#[test]
fn tokens_outlive_a_rotation_until_their_key_is_destroyed() {
    let mut bank = bank();
    let token = bank.issue();
    let old = bank.ring.active(Purpose::AccessToken).kid;
    bank.ring.rotate(Purpose::AccessToken, NOW).unwrap();
    assert!(bank.verify(&token).is_ok());
    assert!(bank.verify(&bank.issue()).is_ok());
    bank.ring.destroy(old).unwrap();
    assert_eq!(bank.verify(&token), Err(TokenError::UnknownKid));
}

#[test]
fn a_token_of_another_ring_with_the_same_kid_is_refused() {
    let (bank, other) = (bank(), bank());
    let token = bank.issue();
    assert!(bank.verify(&token).is_ok());
    assert_eq!(other.verify(&token), Err(TokenError::Signature));
}

#[test]
fn the_key_set_holds_public_keys_of_active_and_retired_keys_and_nothing_private() {
    let mut bank = bank();
    let old = bank.ring.active(Purpose::AccessToken).kid;
    let new = bank.ring.rotate(Purpose::AccessToken, NOW).unwrap();
    let set = jwks(&bank.ring);
    let keys = set["keys"].as_array().unwrap();
    let kids: Vec<_> = keys
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect();
    let answers = bank.ring.active(Purpose::Answer).kid;
    assert_eq!(
        kids,
        [new.to_string(), old.to_string(), format!("answer-{answers}")]
    );
    for key in keys {
        let mut members: Vec<_> = key.as_object().unwrap().keys().cloned().collect();
        members.sort();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    }
    // A stranger verifies with the published key alone.
    let token = bank.issue();
    let published: jsonwebtoken::jwk::Jwk = serde_json::from_value(keys[0].clone()).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(&published).unwrap();
    let mut validation = bank.tokens.validation.clone();
    assert!(jsonwebtoken::decode::<Claims>(&token, &key, &validation).is_ok());
    validation.set_audience(&["another"]);
    assert!(jsonwebtoken::decode::<Claims>(&token, &key, &validation).is_err());
}

#[test]
fn fingerprints_tell_tokens_apart() {
    assert_eq!(
        hex::encode(fingerprint("abc")),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_ne!(fingerprint("abc"), fingerprint("abd"));
}
