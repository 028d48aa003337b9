//! Somebody who owns the database changes rows of the rail under a running bank, with its triggers out of the way: the
//! check over HTTPS names each row.

use crate::harness::{Engine, Person, Server};

/// What is out of the way: a table and its triggers.
const TRIGGERS: &[(&str, &[&str])] = &[
    ("rail_entries", &["rail_entries_fixed", "rail_entries_kept"]),
    ("suspense_items", &["suspense_items_fixed", "suspense_items_kept"]),
    ("rail_files", &["rail_files_fixed", "rail_files_kept"]),
    (
        "outgoing_payments",
        &["outgoing_payments_fixed", "outgoing_payments_kept"],
    ),
];

/// `{new}` is the id of nothing. What each does to the table, and what has to be found of it.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "UPDATE rail_entries SET at = at + 1 WHERE outcome = 3",
        "rail_entries",
        "row_changed",
    ),
    (
        "INSERT INTO rail_entries (tag, outcome, transaction_id, at) VALUES ({new}, 3, {new}, 1)",
        "rail_entries",
        "row_unrecorded",
    ),
    (
        "DELETE FROM rail_entries WHERE outcome = 2",
        "rail_entries",
        "row_missing",
    ),
    (
        "UPDATE suspense_items SET resolution = NULL, approval_id = NULL, resolved_at = NULL WHERE resolution IS NOT NULL",
        "suspense_items",
        "row_changed",
    ),
    (
        "INSERT INTO suspense_items (id, tag, direction, amount, currency, reason, sealed, opened_at) \
         SELECT {new}, {new}, direction, amount, currency, reason, sealed, opened_at FROM suspense_items LIMIT 1",
        "suspense_items",
        "row_unrecorded",
    ),
    (
        "DELETE FROM suspense_items WHERE reason = 4",
        "suspense_items",
        "row_missing",
    ),
    (
        "UPDATE rail_files SET total = total + 1",
        "rail_files",
        "row_changed",
    ),
    (
        "UPDATE outgoing_payments SET state = 1, debited = {true}, closed_at = paid_at WHERE state = 0 AND file_id IS NOT NULL",
        "outgoing_payments",
        "row_changed",
    ),
];

/// Makes each change and looks for it over HTTPS, as somebody who may. The bank is of no use afterwards.
pub(crate) async fn is_found_in_the_rows_of_the_rail(server: &Server, auditor: &Person) {
    let findings = async || {
        let check = auditor.client.get("/api/v1/admin/ledger/check").await.expect(200);
        assert_eq!(check.body["state"], "finished", "{check:?}");
        check.body["result"]["findings"].as_array().unwrap().clone()
    };
    assert!(findings().await.is_empty());
    for (table, triggers) in TRIGGERS {
        match server.engine {
            Engine::Sqlite => {
                for trigger in *triggers {
                    server.as_owner(&format!("DROP TRIGGER {trigger}")).await;
                }
            }
            Engine::Postgres => {
                let sql = format!("ALTER TABLE {table} DISABLE TRIGGER ALL");
                server.as_owner(&sql).await;
            }
        }
    }
    let (new, truth) = match server.engine {
        Engine::Sqlite => ("x'09090909090909090909090909090909'", "1"),
        Engine::Postgres => ("'09090909-0909-0909-0909-090909090909'", "true"),
    };
    for (sql, table, code) in CHANGES {
        let sql = sql.replace("{new}", new).replace("{true}", truth);
        let of_it = |all: &[serde_json::Value]| {
            all.iter()
                .filter(|finding| finding["table"] == *table && finding["code"] == *code)
                .count()
        };
        let before = of_it(&findings().await);
        server.as_owner(&sql).await;
        let after = findings().await;
        assert!(of_it(&after) > before, "{sql}: {after:?}");
    }
}
