//! Keyrings in files and variables: what is accepted, what is refused, what a crash leaves.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use strongroom_crypto::{
    EnvProvider, FileProvider, KeyProvider, Keyring, ProviderError, Purpose, SecretString,
};
use tempfile::TempDir;

fn phrase(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A stored plain ring in a new directory below `home`.
fn stored(home: &TempDir) -> (FileProvider, Keyring) {
    let provider = FileProvider::plain(home.path().join("keys/keyring.json"));
    let ring = Keyring::generate(1);
    provider.store(&ring).unwrap();
    (provider, ring)
}

#[test]
fn a_missing_file_is_no_ring_and_no_error() {
    let home = TempDir::new().unwrap();
    assert!(
        FileProvider::plain(home.path().join("keys/keyring.json"))
            .load(1)
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_stored_ring_loads_again_from_a_private_file_in_a_private_directory() {
    let home = TempDir::new().unwrap();
    let (provider, ring) = stored(&home);
    assert_eq!(
        provider.load(2).unwrap().unwrap().check_values(),
        ring.check_values()
    );
    assert_eq!(mode(provider.path()), 0o600);
    assert_eq!(mode(provider.path().parent().unwrap()), 0o700);
    assert!(!provider.wrapped());
}

#[test]
fn replacing_a_ring_leaves_no_other_file_behind() {
    let home = TempDir::new().unwrap();
    let (provider, mut ring) = stored(&home);
    ring.rotate(Purpose::Seal, 2).unwrap();
    provider.store(&ring).unwrap();
    assert_eq!(provider.load(3).unwrap().unwrap().list(), ring.list());
    let names: Vec<_> = fs::read_dir(home.path().join("keys"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["keyring.json"]);
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let home = TempDir::new().unwrap();
    let (provider, _) = stored(&home);
    assert!(provider.load(2).is_ok());
    for bad in [0o640, 0o604, 0o660, 0o666] {
        chmod(provider.path(), bad);
        assert!(
            matches!(provider.load(2), Err(ProviderError::Insecure { .. })),
            "{bad:o}"
        );
    }
    chmod(provider.path(), 0o400);
    assert!(provider.load(2).is_ok());
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let home = TempDir::new().unwrap();
    let (provider, ring) = stored(&home);
    chmod(&home.path().join("keys"), 0o770);
    assert!(matches!(provider.load(2), Err(ProviderError::Insecure { .. })));
    assert!(matches!(
        provider.store(&ring),
        Err(ProviderError::Insecure { .. })
    ));
}

#[test]
fn a_symbolic_link_and_a_directory_are_refused() {
    let home = TempDir::new().unwrap();
    let (provider, _) = stored(&home);
    let link = home.path().join("link.json");
    symlink(provider.path(), &link).unwrap();
    assert!(matches!(
        FileProvider::plain(&link).load(2),
        Err(ProviderError::Insecure { .. })
    ));
    assert!(matches!(
        FileProvider::plain(home.path().join("keys")).load(2),
        Err(ProviderError::Insecure { .. })
    ));
}

#[test]
fn storing_over_a_symbolic_link_replaces_the_link_and_not_its_target() {
    let home = TempDir::new().unwrap();
    let target = home.path().join("target");
    fs::write(&target, "untouched").unwrap();
    let path = home.path().join("keyring.json");
    symlink(&target, &path).unwrap();
    FileProvider::plain(&path).store(&Keyring::generate(1)).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn a_wrapped_file_holds_no_plain_key_and_opens_with_its_passphrase_only() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("keyring.json");
    let provider = FileProvider::wrapped_by(&path, phrase("a long enough passphrase"));
    assert!(provider.wrapped());
    let ring = Keyring::generate(1);
    provider.store(&ring).unwrap();
    assert!(!fs::read_to_string(&path).unwrap().contains("material"));
    assert_eq!(
        provider.load(2).unwrap().unwrap().check_values(),
        ring.check_values()
    );
    let wrong = FileProvider::wrapped_by(&path, phrase("another long passphrase"));
    assert!(matches!(wrong.load(2), Err(ProviderError::WrongPassphrase)));
    assert!(matches!(
        FileProvider::plain(&path).load(2),
        Err(ProviderError::PassphraseNeeded)
    ));
}

#[test]
fn a_plain_file_is_not_accepted_where_a_wrapped_one_is_expected() {
    let home = TempDir::new().unwrap();
    let (provider, _) = stored(&home);
    let wrapped = FileProvider::wrapped_by(provider.path(), phrase("a long enough passphrase"));
    assert!(matches!(wrapped.load(2), Err(ProviderError::NotWrapped)));
}

#[test]
fn a_ring_from_before_a_purpose_existed_is_completed_and_stored() {
    let home = TempDir::new().unwrap();
    let (provider, _) = stored(&home);
    let mut document: serde_json::Value =
        serde_json::from_slice(&fs::read(provider.path()).unwrap()).unwrap();
    document["keys"]
        .as_array_mut()
        .unwrap()
        .retain(|key| key["purpose"] != "api_key");
    fs::write(provider.path(), document.to_string()).unwrap();
    let first = provider.load(7).unwrap().unwrap();
    assert_eq!(first.active(Purpose::ApiKey).created_at, 7);
    let second = provider.load(8).unwrap().unwrap();
    assert_eq!(second.check_values(), first.check_values());
}

#[test]
fn a_cut_file_is_refused_and_nothing_is_generated_in_its_place() {
    let home = TempDir::new().unwrap();
    let (provider, _) = stored(&home);
    let bytes = fs::read(provider.path()).unwrap();
    for length in [0, 1, bytes.len() / 2, bytes.len() - 2] {
        fs::write(provider.path(), &bytes[..length]).unwrap();
        assert!(
            matches!(provider.load(2), Err(ProviderError::Document(_))),
            "{length}"
        );
        assert_eq!(fs::read(provider.path()).unwrap(), &bytes[..length]);
    }
}

#[test]
fn a_variable_gives_its_ring_and_cannot_be_written() {
    let ring = Keyring::generate(1);
    let value = EnvProvider::value_of(&ring, &phrase("a long enough passphrase")).unwrap();
    let provider = EnvProvider::new(phrase(&value), Some(phrase("a long enough passphrase")));
    assert!(provider.wrapped());
    assert_eq!(
        provider.load(2).unwrap().unwrap().check_values(),
        ring.check_values()
    );
    assert!(matches!(provider.store(&ring), Err(ProviderError::ReadOnly)));
    assert!(EnvProvider::new(phrase(""), None).load(2).unwrap().is_none());
    assert!(matches!(
        EnvProvider::new(phrase("%%"), None).load(2),
        Err(ProviderError::Document(_))
    ));
    assert!(matches!(
        EnvProvider::new(phrase(&value), None).load(2),
        Err(ProviderError::PassphraseNeeded)
    ));
}

#[test]
fn debug_of_a_provider_shows_no_passphrase() {
    let provider = FileProvider::wrapped_by("/keys", phrase("a long enough passphrase"));
    assert!(!format!("{provider:?} {}", provider.describe()).contains("enough"));
    let provider = EnvProvider::new(
        phrase("the value itself"),
        Some(phrase("a long enough passphrase")),
    );
    let shown = format!("{provider:?} {}", provider.describe());
    assert!(!shown.contains("enough") && !shown.contains("itself"), "{shown}");
}
