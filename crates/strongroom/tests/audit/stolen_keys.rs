//! Somebody who owns the database and has stolen the keys computes every hash and signature anew. Inside everything
//! fits; the checkpoint that lies elsewhere tells.

use strongroom_app::audit::verify::VerifyOptions;
use strongroom_domain::audit::CompactRange;
use strongroom_store::Store;

use crate::{
    bank::{book, published, records, stop, stopped_bank},
    on_both_engines,
    place::{Kind, Place},
};

/// Rewrites who did something, with the right HMAC, leaves and inner nodes.
async fn rewrite(place: &Place, leaf: u64) {
    let store = Store::open_to_verify(&place.settings()).await.unwrap();
    let snapshot = store.log_snapshot().await.unwrap();
    let mut leaves = snapshot.leaves(0, 2_000).await.unwrap();
    drop(snapshot);
    drop(store);
    let mut owner = place.owner().await;
    let (mut range, mut nodes) = (CompactRange::default(), Vec::new());
    for found in &mut leaves {
        let strongroom_store::audit::Stored::Is(record) = &mut found.record else {
            panic!("a record is missing");
        };
        if found.leaf == Some(leaf) {
            record.principal_id = [0x66; 16];
            record.mac = place.ring.audit_mac().sign(&record.canonical());
            let sql = format!(
                "UPDATE audit_records SET principal_id = {}, mac = {} WHERE id = {}",
                owner.id(&record.principal_id),
                owner.bytes(&record.mac),
                record.id
            );
            assert_eq!(owner.run(&sql).await, 1);
            let sql = format!(
                "UPDATE audit_leaves SET hash = {} WHERE leaf = {leaf}",
                owner.bytes(&record.leaf())
            );
            assert_eq!(owner.run(&sql).await, 1);
        }
        range.append(record.leaf(), |node| nodes.push(node));
    }
    for node in nodes {
        let sql = format!(
            "UPDATE audit_nodes SET hash = {} WHERE level = {} AND position = {}",
            owner.bytes(&node.hash),
            node.level,
            node.index
        );
        assert_eq!(owner.run(&sql).await, 1);
    }
    owner.close().await;
}

async fn a_record_rewritten_with_the_stolen_keys_is_caught_by_the_outside_checkpoint(kind: Kind) {
    let place = Place::new(kind).await;
    stopped_bank(&place).await;
    let checkpoint = place.latest();
    assert!(place.verify_against(&checkpoint).await.is_clean());

    rewrite(&place, 20).await;

    let inside = place.verify_alone().await;
    assert!(
        inside.is_clean(),
        "every hash and signature fits: {:?}",
        inside.findings
    );
    let outside = place.verify_against(&checkpoint).await;
    assert_eq!(outside.findings_count, 1);
    assert_eq!(outside.findings[0].problem.code(), "checkpoint_beside");
    let tail = place
        .verify(VerifyOptions {
            since: Some(checkpoint),
            ..VerifyOptions::default()
        })
        .await;
    assert_eq!(tail.findings[0].problem.code(), "checkpoint_beside");
    let refusal = place.open().await.unwrap_err();
    assert!(refusal.source.as_ref().unwrap().to_string().contains("rewritten"));
}

async fn an_old_copy_that_is_put_back_is_caught_by_the_outside_checkpoint_and_at_the_start(kind: Kind) {
    let place = Place::new(kind).await;
    let people = stopped_bank(&place).await;
    let old_copy = place.copy().await;
    let bank = place.open().await.unwrap();
    book(&bank, &people, 5).await;
    published(&bank, records(&place).await).await;
    stop(bank).await;
    let checkpoint = place.latest();
    assert!(place.verify_against(&checkpoint).await.is_clean());

    assert!(
        old_copy.verify_alone().await.is_clean(),
        "the copy was sound in its time"
    );
    let report = old_copy.verify_against(&checkpoint).await;
    assert_eq!(report.findings_count, 1);
    assert_eq!(report.findings[0].problem.code(), "checkpoint_short");
    let refusal = old_copy.open_node(place.checkpoints()).await.unwrap_err();
    let reason = refusal.source.as_ref().unwrap().to_string();
    assert!(reason.contains("old copy"), "{reason}");
}

async fn another_history_with_the_same_keys_is_caught_by_the_outside_checkpoint_and_at_the_start(kind: Kind) {
    let place = Place::new(kind).await;
    let people = stopped_bank(&place).await;
    let other = place.copy().await;
    let bank = place.open().await.unwrap();
    book(&bank, &people, 5).await;
    published(&bank, records(&place).await).await;
    stop(bank).await;
    let checkpoint = place.latest();

    // The thief runs our own program on an old copy, with our keys, further than we were.
    let bank = other.open().await.unwrap();
    book(&bank, &people, 9).await;
    published(&bank, records(&other).await).await;
    stop(bank).await;

    let forged = other.latest();
    assert!(forged.size > checkpoint.size);
    assert!(
        other.verify_against(&forged).await.is_clean(),
        "inside everything fits"
    );
    let report = other.verify_against(&checkpoint).await;
    assert_eq!(report.findings_count, 1);
    assert_eq!(report.findings[0].problem.code(), "checkpoint_beside");
    let refusal = other.open_node(place.checkpoints()).await.unwrap_err();
    assert!(refusal.source.as_ref().unwrap().to_string().contains("rewritten"));
    assert!(place.open().await.is_ok(), "our own history is taken up again");
}

on_both_engines!(
    a_record_rewritten_with_the_stolen_keys_is_caught_by_the_outside_checkpoint,
    an_old_copy_that_is_put_back_is_caught_by_the_outside_checkpoint_and_at_the_start,
    another_history_with_the_same_keys_is_caught_by_the_outside_checkpoint_and_at_the_start,
);
