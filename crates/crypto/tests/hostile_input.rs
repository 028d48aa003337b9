//! Every parser of this crate on input that an attacker chose: refused or read, never a panic, and one text per value.

use proptest::prelude::*;
use strongroom_crypto::{
    AccessTokens, ApiKey, Checkpoint, DataKey, ExposeSecret, KeyEnvironment, Keyring, OpenError, Place,
    RefreshToken, SecretBytes, StoredHash, VerifierKey, note, password, seal, totp,
};

fn ring() -> &'static Keyring {
    static RING: std::sync::OnceLock<Keyring> = std::sync::OnceLock::new();
    RING.get_or_init(|| Keyring::generate(0))
}

const PLACE: Place<'static> = Place {
    table: "t",
    column: "c",
    row: b"r",
};

/// Text as it comes, and text that resembles what the parsers expect.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,120}",
        "(srr_|srd_|sr_live_|sr_test_)[A-Za-z0-9_-]{40,90}",
        "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,90}",
        "1:[0-9]{0,12}:\\$argon2id\\$v=19\\$m=[0-9]{0,12},t=[0-9]{0,3},p=1\\$[A-Za-z0-9+/]{22}\\$[A-Za-z0-9+/]{43}",
        "[a-z]{0,5}\\+[0-9a-f]{8}\\+[A-Za-z0-9+/]{44}",
        "[a-z]{1,5}\n[0-9]{0,22}\n[A-Za-z0-9+/]{43}=\n(\n— [a-z]{1,5} [A-Za-z0-9+/]{92}\n)?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_a_parser_and_what_is_read_is_written_the_same(text in text()) {
        if let Some(token) = RefreshToken::parse(&text) {
            let back = token.text();
            prop_assert_eq!(back.expose_secret(), &text);
        }
        if let Some(key) = ApiKey::parse(&text) {
            let back = key.text();
            prop_assert_eq!(back.expose_secret(), &text);
        }
        if let Some(stored) = StoredHash::parse(&text) {
            prop_assert_eq!(stored.to_text(), text.clone());
        }
        if let Ok(key) = VerifierKey::parse(&text) {
            prop_assert_eq!(key.to_string(), text.clone());
        }
        if let Ok(checkpoint) = Checkpoint::from_text(&text) {
            prop_assert_eq!(checkpoint.to_text(), Ok(text.clone()));
        }
        prop_assert!(ring().read_device_mark(&text).is_none());
        prop_assert!(note::open(&text, &ring().note_verifiers("a").unwrap()).is_err());
        let tokens = AccessTokens::new("https://a", "https://b", "c");
        prop_assert!(tokens.verify(ring(), &text, 0).is_err());
    }

    #[test]
    fn no_bytes_panic_the_opening_of_cells_keys_and_exports(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ring().open(PLACE, &bytes).is_err());
        let mut own = bytes.clone();
        own.splice(0..0, [1, 0, 0, 0, 1]);
        prop_assert!(matches!(ring().open(PLACE, &own), Err(OpenError::Refused | OpenError::Malformed)));
        prop_assert!(DataKey::unwrap(ring(), [0; 16], &bytes).is_err());
        prop_assert!(DataKey::generate().open(PLACE, &bytes).is_err());
        let _ = seal::sealed_by(&bytes);
        let phrase = "a long enough passphrase".to_owned().into();
        prop_assert!(Keyring::import(&bytes, &phrase, 0).is_err());
    }

    #[test]
    fn sealed_cells_open_again_whatever_they_and_their_places_hold(
        plaintext in prop::collection::vec(any::<u8>(), 0..300),
        table in "\\PC{0,40}",
        column in "\\PC{0,40}",
        row in prop::collection::vec(any::<u8>(), 0..255),
        other_row in prop::collection::vec(any::<u8>(), 0..255),
    ) {
        let place = Place { table: &table, column: &column, row: &row };
        let blob = ring().seal(place, &plaintext);
        let opened = ring().open(place, &blob).unwrap();
        prop_assert_eq!(opened.expose(), &plaintext[..]);
        prop_assume!(row != other_row);
        let moved = Place { row: &other_row, ..place };
        prop_assert!(ring().open(moved, &blob).is_err());
    }

    #[test]
    fn api_keys_of_any_id_survive_their_text(id in any::<[u8; 16]>()) {
        let key = ApiKey::generate(KeyEnvironment::Live, id);
        let stored = ring().api_key_hash(&key);
        let back = ApiKey::parse(key.text().expose_secret()).unwrap();
        prop_assert_eq!(back.id(), id);
        prop_assert!(ring().api_key_matches(&back, &stored));
    }

    #[test]
    fn no_typed_code_panics(code in any::<String>(), now in any::<i64>(), last in any::<Option<u64>>()) {
        let secret = SecretBytes::copy_of(&[7; 20]);
        if let Some(step) = totp::verify(&secret, &code, now, last) {
            prop_assert!(last.is_none_or(|last| step > last));
        }
    }
}

proptest! {
    // zxcvbn is slow without optimisation.
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_password_and_no_word_panics_the_policy(password in any::<String>(), word in any::<String>()) {
        let _ = password::Policy::default().check(&password, &[&word]);
    }
}
