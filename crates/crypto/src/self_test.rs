//! A test of the primitives at start: known answers, so that a broken build or processor is found before money moves.

use crate::keyring::{Keyring, Purpose};
use crate::mac::{MacKey, hmac_of};
use crate::seal::Place;
use crate::secret::{ExposeSecret as _, SecretBytes};
use crate::token::{AccessTokens, NewToken, install_provider};
use crate::totp;
use crate::xaes::Xaes;

/// A primitive gave a wrong answer; the process must not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the self-test of {0} failed")]
pub struct SelfTestError(pub &'static str);

/// Runs the self-test and installs the JWT library's provider. Call it once at start; about a millisecond.
///
/// # Errors
/// [`SelfTestError`] names the primitive.
pub fn self_test() -> Result<(), SelfTestError> {
    install_provider();
    let check = |good: bool, name| if good { Ok(()) } else { Err(SelfTestError(name)) };

    // C2SP XAES-256-GCM, first vector.
    let mut text = *b"XAES-256-GCM";
    let tag = Xaes::new(&[1; 32]).seal(b"ABCDEFGHIJKLMNOPQRSTUVWX", b"", &mut text);
    check(hex::encode(text) == "ce546ef63c9cc60765923609", "XAES-256-GCM")?;
    check(
        hex::encode(tag) == "b33a9a1974e96e52daf2fcf7075e2271",
        "XAES-256-GCM",
    )?;

    // RFC 4231, case 2.
    let mac = hmac_of(&MacKey::new(b"Jefe"), &[b"what do ya want for nothing?"]);
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    check(hex::encode(mac) == expected, "HMAC-SHA256")?;

    // RFC 6238, appendix B, first row.
    let code = totp::code_at(&SecretBytes::copy_of(b"12345678901234567890"), 1);
    check(code.expose_secret() == "287082", "TOTP")?;

    check(
        crate::random::bytes::<32>() != crate::random::bytes::<32>(),
        "the random generator",
    )?;

    let ring = Keyring::generate(0);
    let place = Place {
        table: "self",
        column: "test",
        row: b"",
    };
    let opened = ring.open(place, &ring.seal(place, b"value"));
    check(opened.is_ok_and(|value| value.ct_eq(b"value")), "sealing")?;

    let tokens = AccessTokens::new("self", "test", "self-test");
    let new = NewToken {
        subject: "self",
        session: "self",
        token_id: "self",
        methods: &[],
        assurance: "self",
        bound_to: None,
        now: 0,
        lifetime_secs: 1,
    };
    let token = tokens.issue(&ring, new);
    check(tokens.verify(&ring, token.expose_secret(), 0).is_ok(), "EdDSA")?;
    let mut other = ring.clone();
    let retired = other.active(Purpose::AccessToken).kid;
    check(
        other.rotate(Purpose::AccessToken, 0).is_ok() && other.destroy(retired).is_ok(),
        "rotation",
    )?;
    check(tokens.verify(&other, token.expose_secret(), 0).is_err(), "EdDSA")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_self_test_passes_here() {
        assert_eq!(super::self_test(), Ok(()));
    }
}
