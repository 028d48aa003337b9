//! A large bank on disk, to measure verification with: made only where somebody says where and how large.

use std::sync::Arc;

use strongroom_crypto::{FileProvider, KeyProvider};

use crate::{
    bank::{book, history, published, records, stop},
    place::{Kind, Place},
};

/// `STRONGROOM_AUDIT_DATA=DIR STRONGROOM_AUDIT_TRANSFERS=N cargo test -p strongroom --test audit -- a_large_bank`
/// leaves a data directory for `strongroom audit verify`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_bank_is_made_for_measurements() {
    let Ok(folder) = std::env::var("STRONGROOM_AUDIT_DATA") else {
        eprintln!("not run: STRONGROOM_AUDIT_DATA names no folder for the data");
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let count: i64 = std::env::var("STRONGROOM_AUDIT_TRANSFERS")
        .unwrap()
        .parse()
        .unwrap();
    let place = Place::new(Kind::Sqlite).await;
    let bank = place.open().await.unwrap();
    let people = history(&bank, &place).await;
    for _ in 0..count / 1_000 {
        crate::bank::deposit(&bank, people.teller, people.from, 1_000_000).await;
        book(&bank, &people, 999).await;
    }
    published(&bank, records(&place).await).await;
    stop(bank).await;
    std::fs::create_dir_all(folder.join("keys")).unwrap();
    std::fs::create_dir_all(folder.join("checkpoints")).unwrap();
    std::fs::copy(place.file(), folder.join("strongroom.db")).unwrap();
    let wal = place.file().with_extension("db-wal");
    if wal.exists() {
        std::fs::copy(wal, folder.join("strongroom.db-wal")).unwrap();
    }
    std::fs::copy(
        place.checkpoints().join("latest"),
        folder.join("checkpoints").join("latest"),
    )
    .unwrap();
    FileProvider::plain(folder.join("keys").join("keyring"))
        .store(&place.ring)
        .unwrap();
    drop(Arc::clone(&place.ring));
}
