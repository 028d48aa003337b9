//! Verification from a checkpoint on.

use strongroom_app::audit::verify::{Report, VerifyOptions};

use crate::{
    bank::{book, published, records, stop, stopped_bank},
    on_both_engines,
    place::{Kind, Place},
};

async fn since(place: &Place, checkpoint: &strongroom_app::audit::log::SignedCheckpoint) -> Report {
    place
        .verify(VerifyOptions {
            since: Some(checkpoint.clone()),
            checkpoints: vec![place.latest()],
            ..VerifyOptions::default()
        })
        .await
}

async fn from_a_checkpoint_on_only_the_tail_is_read_and_what_is_changed_in_it_is_found(kind: Kind) {
    let origin = Place::new(kind).await;
    let people = stopped_bank(&origin).await;
    let middle = origin.latest();
    let bank = origin.open().await.unwrap();
    book(&bank, &people, 7).await;
    published(&bank, records(&origin).await).await;
    stop(bank).await;

    let report = since(&origin, &middle).await;
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!((report.records, report.transactions, report.entries), (7, 7, 14));
    assert_eq!((report.accounts, report.checkpoints), (2, 1));
    let all = origin.verify_against(&origin.latest()).await;
    assert_eq!((all.size, all.root), (report.size, report.root));

    let changes = [
        (
            "state_balance",
            "UPDATE account_states SET balance = balance + 1 WHERE balance > 0",
        ),
        (
            "transaction_changed",
            "UPDATE entries SET amount = amount + 1 WHERE id = (SELECT max(id) FROM entries)",
        ),
        (
            "record_changed",
            "UPDATE audit_records SET policy = 9 WHERE id = (SELECT max(id) FROM audit_records)",
        ),
        (
            "checkpoint_short",
            "DELETE FROM audit_leaves WHERE leaf = (SELECT max(leaf) FROM audit_leaves)",
        ),
        (
            // The entry in which the tail takes an account up: before the checkpoint, and proved under its root.
            "transaction_changed",
            "UPDATE entries SET balance_after = balance_after + 1 WHERE id = (SELECT min(prev) FROM entries WHERE id > \
             (SELECT max(id) - 14 FROM (SELECT id FROM entries ORDER BY id DESC LIMIT 14) t))",
        ),
    ];
    for (code, sql) in changes {
        let place = origin.copy().await;
        copy_checkpoints(&origin, &place);
        assert!(since(&place, &middle).await.is_clean());
        let mut owner = place.owner().await;
        assert!(owner.run(sql).await > 0, "{sql}");
        owner.close().await;
        let found: Vec<_> = since(&place, &middle)
            .await
            .findings
            .iter()
            .map(|f| f.problem.code())
            .collect();
        assert!(found.contains(&code), "{code}: {found:?}");
    }
}

fn copy_checkpoints(from: &Place, to: &Place) {
    std::fs::create_dir_all(to.checkpoints()).unwrap();
    std::fs::copy(from.checkpoints().join("latest"), to.checkpoints().join("latest")).unwrap();
}

on_both_engines!(from_a_checkpoint_on_only_the_tail_is_read_and_what_is_changed_in_it_is_found);
