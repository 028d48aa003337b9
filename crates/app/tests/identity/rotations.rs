//! A new key of the ring travels in the database for seven days, and is wiped by a node that keeps it elsewhere.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use strongroom_app::{
    Clock, Purpose,
    authority::approvals::Decision,
    keys::rotation::{TRAVEL_KEPT_SECS, with_rotations},
};
use strongroom_crypto::{FileProvider, KeyProvider};

use crate::{
    approvals::administrators,
    harness::{TestBank, on_both_engines},
};

/// A place of the ring as it was when the bank was founded.
fn kept_ring(bank: &TestBank, folder: &str) -> Arc<FileProvider> {
    let folder = bank.database.folder.join(folder);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let provider = FileProvider::plain(folder.join("keyring"));
    provider.store(&bank.ring).unwrap();
    Arc::new(provider)
}

/// Whether the material of the one new key is in the database.
async fn travels(bank: &TestBank) -> bool {
    let rotations = bank.bank.store().key_rotations().await.unwrap();
    assert_eq!(rotations.len(), 1);
    rotations[0].sealed.is_some()
}

on_both_engines! {
    async fn a_key_on_its_way_is_wiped_after_seven_days_by_a_node_that_keeps_it(bank: TestBank) {
        let place = kept_ring(&bank, "ring");
        bank.bank.keep_ring_in(place.clone());
        let (_, admins) = administrators(&bank).await;
        let purpose = Some(Purpose::Device);
        let asked = bank.bank.ask_for_key_rotation(&admins[0], purpose, "once a year").await.unwrap();
        bank.bank.approve_request(&admins[1], asked, Decision::default()).await.unwrap();
        // A node that was away learns the key as long as it travels.
        let late = with_rotations(bank.bank.store(), &bank.ring, bank.clock.now()).await.unwrap();
        assert!(late.is_some());

        bank.clock.advance(TRAVEL_KEPT_SECS - 60);
        bank.bank.keep_ring().await.unwrap();
        bank.bank.sweep_identity().await.unwrap();
        assert!(travels(&bank).await, "a node may still be away");
        // Another process uses the key, and keeps it nowhere.
        bank.clock.advance(600);
        let careless = bank.another_process().await;
        careless.bank.keep_ring().await.unwrap();
        careless.bank.sweep_identity().await.unwrap();
        assert!(travels(&bank).await, "who keeps it nowhere wipes it nowhere");
        bank.bank.sweep_identity().await.unwrap();
        assert!(!travels(&bank).await);

        let now = bank.clock.now();
        let kept = place.load(now.micros()).unwrap().unwrap();
        assert_eq!(kept.active(Purpose::Device).kid, bank.bank.store().key_rotations().await.unwrap()[0].key.kid);
        assert!(with_rotations(bank.bank.store(), &kept, now).await.unwrap().is_none());
        let error = with_rotations(bank.bank.store(), &bank.ring, now).await.unwrap_err();
        assert!(format!("{:?}", error.source).contains("too long ago"), "{error:?}");
    }
}
