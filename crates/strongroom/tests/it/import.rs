//! Real transactions of a real bank, through the public API, against the balances that the bank itself booked.

use std::path::{Path, PathBuf};

use crate::harness::{Server, stories};

stories! {
    every_balance_of_a_real_bank_is_met_to_the_cent,
}

/// The data set lies beside the repository where there is one; it is never copied into it.
fn data() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/berka/transactions.csv");
    if path.exists() {
        return Some(path);
    }
    eprintln!("not run: the data set of the PKDD'99 bank is not there");
    None
}

async fn every_balance_of_a_real_bank_is_met_to_the_cent(server: Server) {
    let Some(file) = data() else { return };
    let (file, url) = (file.to_string_lossy().into_owned(), server.url().to_owned());
    let (server, (ok, out, err)) = tokio::task::spawn_blocking(move || {
        let outcome = server.cli(&["import", "berka", &file, "--url", &url]);
        (server, outcome)
    })
    .await
    .unwrap();
    assert!(ok, "{out}{err}");
    assert!(out.contains("compared 19556 balances, differences: 0"), "{out}");
    let teller = server.operator("teller").await;
    let accounts = teller
        .client
        .get("/api/v1/admin/accounts?limit=100")
        .await
        .expect(200);
    assert_eq!(accounts.body["data"].as_array().unwrap().len(), 100);
    assert!(accounts.body["next_cursor"].is_string());
}
