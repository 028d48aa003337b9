//! What a login of the auditors' role reads on PostgreSQL, and a login that is stronger than a server may be.

use sqlx::{Connection, Executor, PgConnection};
use strongroom_store::{DatabaseUrl, Store, StoreSettings};

use crate::{
    harness::{Kind, TestStore, run, transfer},
    roles::{number, texts},
};

const VIEWS: &str = "SELECT viewname::text FROM pg_views WHERE schemaname = 'public' ORDER BY 1";
/// A login of its own, as a bank would make one for its auditors.
const LOGIN: &str = "strongroom_test_auditor";

async fn auditor(bank: &TestStore) -> PgConnection {
    let mut root = bank.place.root().await;
    let make = format!(
        "DROP ROLE IF EXISTS {LOGIN}; CREATE ROLE {LOGIN} LOGIN PASSWORD 'auditor' IN ROLE strongroom_auditor"
    );
    root.execute(sqlx::AssertSqlSafe(make)).await.unwrap();
    bank.place.connect_as(LOGIN, "auditor").await
}

/// Every column that a login may read, as `table.column`.
const READABLE: &str = "SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0 AND NOT a.attisdropped \
    AND has_column_privilege(c.oid, a.attnum, 'SELECT') ORDER BY 1";
const WRITABLE: &str = "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace \
    AND c.relkind IN ('r', 'p', 'v', 'S') AND (has_table_privilege(c.oid, 'DELETE') OR has_table_privilege(c.oid, 'TRUNCATE') \
    OR (c.relkind <> 'S' AND (has_any_column_privilege(c.oid, 'INSERT') OR has_any_column_privilege(c.oid, 'UPDATE'))))";

#[test]
fn an_auditors_login_sees_the_bank_and_nobody_in_it_and_writes_nothing() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 100).await;
        let owner = bank.account(ids[0]).await.owner.unwrap();
        bank.run_one(transfer(ids[0], ids[1], 1).with_memo(owner, 20).command)
            .await;
        let mut root = bank.place.root().await;
        let mut auditor = auditor(&bank).await;
        let views = texts(&mut auditor, VIEWS).await;
        assert_eq!(views.len(), 8, "{views:?}");
        for view in &views {
            let invoker = format!(
                "SELECT count(*) FROM pg_class WHERE relname = '{view}' AND 'security_invoker=true' = ANY (reloptions)"
            );
            assert_eq!(number(&mut root, &invoker).await, 1, "{view}");
            number(&mut auditor, &format!("SELECT count(*) FROM {view}")).await;
        }
        for (view, table) in [
            ("auditor_people", "users"),
            ("auditor_accounts", "accounts"),
            ("auditor_transactions", "transactions"),
            ("auditor_entries", "entries"),
            ("auditor_log", "audit_records"),
        ] {
            let count = |name: &str| format!("SELECT count(*) FROM {name}");
            let all = number(&mut root, &count(table)).await;
            assert!(all > 0, "{table}");
            assert_eq!(number(&mut auditor, &count(view)).await, all, "{view}");
        }

        // Nothing that a person wrote, is called or is reached by; no secret and no salt.
        let readable = texts(&mut auditor, READABLE).await;
        assert!(readable.len() > 100, "{readable:?}");
        let is_personal = |name: &&String| {
            let (table, column) = name.split_once('.').unwrap();
            let words = [
                "sealed", "email", "wrapped", "secret", "salt", "memo", "password", "token", "subject",
                "source",
            ];
            let named = matches!(column, "name" | "number") && !table.starts_with("polic");
            named || words.iter().any(|word| column.contains(word))
        };
        let personal: Vec<_> = readable.iter().filter(is_personal).collect();
        assert_eq!(personal, [&""; 0], "{personal:?}");
        for refused in [
            "SELECT sealed_email FROM users",
            "SELECT * FROM memos",
            "SELECT * FROM data_keys",
            "SELECT number FROM accounts",
            "SELECT salt FROM transactions",
            "SELECT sealed_address FROM decisions",
            "SELECT * FROM passwords",
            "DELETE FROM auditor_people",
            "UPDATE account_states SET balance = 0",
            "INSERT INTO policies SELECT * FROM policies",
            "CREATE TABLE mine ()",
            "SET ROLE strongroom_app",
        ] {
            let error = auditor.execute(refused).await.expect_err(refused);
            let code = error.as_database_error().unwrap().code().unwrap().into_owned();
            assert_eq!(code, "42501", "{refused}: {error}");
        }
        assert_eq!(texts(&mut auditor, WRITABLE).await, [""; 0]);
        auditor.close().await.unwrap();
        root.execute(sqlx::AssertSqlSafe(format!("DROP ROLE {LOGIN}")))
            .await
            .unwrap();
    });
}

#[test]
fn a_server_of_customers_is_not_run_by_a_login_that_could_change_the_rules() {
    run(Kind::Postgres, async |bank: TestStore| {
        let open = async |database: DatabaseUrl, ledger: Option<DatabaseUrl>, weak: bool| {
            let settings = StoreSettings {
                ledger,
                needs_weak_login: weak,
                database,
                ..bank.place.settings.clone()
            };
            Store::open(&settings).await.map(drop)
        };
        let weak = bank.place.settings.database.clone();
        open(weak.clone(), None, true).await.unwrap();
        open(weak.clone(), Some(weak.clone()), true).await.unwrap();
        let owner = bank.place.settings.migrate.clone().unwrap();
        for strong in [bank.place.superuser(), owner] {
            for (database, ledger) in [(strong.clone(), None), (weak.clone(), Some(strong.clone()))] {
                // The same login serves where nobody asks for a weak one, if it may take the roles.
                let refused = open(database, ledger, true).await.unwrap_err().to_string();
                assert!(refused.contains("owns the schema"), "{refused}");
            }
        }
        open(bank.place.superuser(), None, false).await.unwrap();
    });
}
