//! A bank with more accounts than fit into memory.

use strongroom_app::audit::verify::{Report, VerifyOptions};

use crate::{
    bank::stopped_bank,
    on_both_engines,
    place::{Kind, Place},
};

async fn in_passes(place: &Place, accounts: u64) -> Report {
    place
        .verify(VerifyOptions {
            accounts_in_memory_max: Some(accounts),
            checkpoints: vec![place.latest()],
            ..VerifyOptions::default()
        })
        .await
}

async fn several_passes_find_what_one_pass_finds_and_say_it_once(kind: Kind) {
    let place = Place::new(kind).await;
    stopped_bank(&place).await;
    let (one, many) = (in_passes(&place, 1_000).await, in_passes(&place, 3).await);
    assert!(
        one.is_clean() && many.is_clean(),
        "{:?} {:?}",
        one.findings,
        many.findings
    );
    assert_eq!(
        (one.accounts, one.records, one.root),
        (many.accounts, many.records, many.root)
    );

    let mut owner = place.owner().await;
    let changes = [
        "UPDATE account_states SET balance = balance + 1 WHERE balance > 0",
        "UPDATE entries SET balance_after = balance_after + 1 WHERE id = (SELECT id FROM entries ORDER BY id DESC LIMIT 1 OFFSET 40)",
        "DELETE FROM transactions WHERE last_entry = (SELECT last_entry FROM transactions ORDER BY last_entry DESC LIMIT 1 OFFSET 40)",
        "DELETE FROM audit_records WHERE id = (SELECT id FROM audit_records ORDER BY id LIMIT 1 OFFSET 9)",
    ];
    for sql in changes {
        assert!(owner.run(sql).await > 0, "{sql}");
    }
    owner.close().await;
    let said = |report: Report| {
        let mut rows: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        rows.sort();
        rows
    };
    let (one, many) = (
        said(in_passes(&place, 1_000).await),
        said(in_passes(&place, 3).await),
    );
    assert!(one.len() >= 4);
    assert_eq!(one, many);
}

on_both_engines!(several_passes_find_what_one_pass_finds_and_say_it_once);
