//! What a node publishes outside of the database, and when it refuses to start.

use std::os::unix::fs::PermissionsExt;

use strongroom_crypto::{Keyring, VerifierKey, note};

use crate::{
    bank::{book, published, records, stop, stopped_bank},
    on_both_engines,
    place::{Kind, Place},
};

async fn checkpoints_lie_outside_for_the_owner_alone_and_name_their_key(kind: Kind) {
    let place = Place::new(kind).await;
    let people = stopped_bank(&place).await;
    let bank = place.open().await.unwrap();
    book(&bank, &people, 3).await;
    published(&bank, records(&place).await).await;
    stop(bank).await;
    let key = std::fs::read_to_string(place.checkpoints().join("key")).unwrap();
    let key = VerifierKey::parse(key.trim()).unwrap();
    let mut history = String::new();
    for entry in std::fs::read_dir(place.checkpoints()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600,
            "{path:?}"
        );
        if path.extension().is_some_and(|extension| extension == "log") {
            history.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    // Every note of the history is signed, and they only grow.
    let notes: Vec<&str> = history
        .split_inclusive("=\n\n")
        .filter(|note| !note.trim().is_empty())
        .collect();
    let mut size = 0;
    let mut count = 0;
    for note in history.split("\n\n\u{2014}").collect::<Vec<_>>().windows(2) {
        let head = note[0]
            .rsplit_once("bank.example/log\n")
            .map(|(_, head)| head)
            .unwrap();
        let next: u64 = head.lines().next().unwrap().parse().unwrap();
        assert!(next > size, "{next} after {size}");
        size = next;
        count += 1;
    }
    assert!(count >= 2 && !notes.is_empty());
    assert_eq!(size, place.latest().size);
    assert!(note::open(&place.latest().note, &[key]).is_ok());
}

async fn a_checkpoint_of_another_log_in_the_directory_stops_the_start(kind: Kind) {
    let place = Place::new(kind).await;
    stopped_bank(&place).await;
    stop(place.open().await.unwrap()).await;
    let stranger = Keyring::generate(0);
    let forged = strongroom_crypto::Checkpoint {
        origin: crate::place::ORIGIN.to_owned(),
        size: 1,
        root: [0; 32],
        extensions: Vec::new(),
    };
    let forged = forged
        .sign(&stranger.note_signer(crate::place::ORIGIN).unwrap())
        .unwrap();
    std::fs::write(place.checkpoints().join("latest"), forged).unwrap();
    let refusal = place.open().await.unwrap_err();
    let reason = refusal.source.as_ref().unwrap().to_string();
    assert!(reason.contains("is not a checkpoint of this log"), "{reason}");
}

on_both_engines!(
    checkpoints_lie_outside_for_the_owner_alone_and_name_their_key,
    a_checkpoint_of_another_log_in_the_directory_stops_the_start,
);
