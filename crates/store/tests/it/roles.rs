//! Who may do what on PostgreSQL, as the server itself holds it: grants, owners, row security.

use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgPoolOptions};
use strongroom_domain::id::UserId;

use crate::harness::{Kind, TestStore, run, transfer};

const ROLES: [&str; 4] = [
    "strongroom_app",
    "strongroom_reader",
    "strongroom_ledger_writer",
    "strongroom_auditor",
];

/// Tables of the books and of people, and what each role may do with them; nothing else, nowhere.
const RIGHTS: [(&str, &str, &[&str]); 32] = [
    ("strongroom_ledger_writer", "accounts", &["INSERT", "SELECT"]),
    (
        "strongroom_ledger_writer",
        "account_states",
        &["INSERT", "SELECT", "UPDATE"],
    ),
    ("strongroom_ledger_writer", "account_names", &["INSERT"]),
    ("strongroom_ledger_writer", "memos", &["INSERT"]),
    ("strongroom_ledger_writer", "transactions", &["INSERT", "SELECT"]),
    ("strongroom_ledger_writer", "entries", &["INSERT", "SELECT"]),
    (
        "strongroom_ledger_writer",
        "idempotency_outcomes",
        &["INSERT", "SELECT"],
    ),
    ("strongroom_ledger_writer", "idempotency_generation", &["SELECT"]),
    ("strongroom_ledger_writer", "idempotency_generations", &[]),
    ("strongroom_ledger_writer", "idempotency_outcomes_1", &[]),
    ("strongroom_ledger_writer", "users", &[]),
    ("strongroom_ledger_writer", "data_keys", &[]),
    ("strongroom_ledger_writer", "step_ups", &["SELECT"]),
    ("strongroom_app", "step_ups", &["DELETE", "INSERT", "SELECT"]),
    ("strongroom_ledger_writer", "key_budgets", &["SELECT", "UPDATE"]),
    ("strongroom_app", "key_budgets", &["INSERT", "SELECT"]),
    ("strongroom_ledger_writer", "replays", &["INSERT", "SELECT"]),
    ("strongroom_app", "replays", &["DELETE", "INSERT", "SELECT"]),
    ("strongroom_reader", "accounts", &["SELECT"]),
    ("strongroom_reader", "account_states", &["SELECT"]),
    ("strongroom_reader", "account_names", &["SELECT"]),
    ("strongroom_reader", "memos", &["SELECT"]),
    ("strongroom_reader", "entries", &["SELECT"]),
    ("strongroom_reader", "users", &[]),
    ("strongroom_reader", "data_keys", &[]),
    ("strongroom_app", "accounts", &["SELECT"]),
    ("strongroom_app", "account_states", &["SELECT"]),
    ("strongroom_app", "transactions", &["SELECT"]),
    ("strongroom_app", "entries", &["SELECT"]),
    ("strongroom_app", "idempotency_outcomes", &["SELECT"]),
    ("strongroom_app", "audit_records", &["INSERT", "SELECT"]),
    (
        "strongroom_app",
        "users",
        &["DELETE", "INSERT", "SELECT", "UPDATE"],
    ),
];

pub(crate) async fn texts(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows = connection
        .fetch_all(sqlx::AssertSqlSafe(sql.to_owned()))
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

pub(crate) async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    connection
        .fetch_one(sqlx::AssertSqlSafe(sql.to_owned()))
        .await
        .unwrap()
        .get(0)
}

/// The serving login in one of its roles, as the store's own connections are.
async fn in_role(bank: &TestStore, role: &str) -> PgConnection {
    let mut connection = bank.place.connect("login").await;
    connection
        .execute(sqlx::AssertSqlSafe(format!("SET ROLE {role}")))
        .await
        .unwrap();
    connection
}

#[test]
fn the_runtime_roles_have_exactly_these_rights_on_the_books_and_own_nothing() {
    run(Kind::Postgres, async |bank: TestStore| {
        let mut root = bank.place.root().await;
        for (role, table, rights) in RIGHTS {
            let sql = format!(
                "SELECT privilege_type::text FROM information_schema.role_table_grants \
                 WHERE grantee IN ('{role}', 'PUBLIC') AND table_name = '{table}' ORDER BY 1"
            );
            assert_eq!(texts(&mut root, &sql).await, rights, "{role} on {table}");
        }
        for role in ROLES {
            let owned = format!("SELECT relname::text FROM pg_class WHERE relowner = '{role}'::regrole");
            assert_eq!(texts(&mut root, &owned).await, [""; 0]);
            let strong = format!(
                "SELECT count(*) FROM pg_roles WHERE rolname = '{role}' AND (rolsuper OR rolcanlogin OR rolbypassrls \
                 OR rolcreaterole OR rolcreatedb OR rolreplication)"
            );
            assert_eq!(number(&mut root, &strong).await, 0, "{role}");
            let creates = format!("SELECT has_schema_privilege('{role}', 'public', 'CREATE')::int::bigint");
            assert_eq!(number(&mut root, &creates).await, 0, "{role} may make tables");
        }
        // The append-only tables of the log: added to, never changed, by nobody.
        let changes = "SELECT grantee || ' ' || table_name FROM information_schema.role_table_grants \
             WHERE privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE') AND grantee LIKE 'strongroom\\_%' \
             AND grantee IN ('strongroom_app', 'strongroom_reader', 'strongroom_ledger_writer', 'strongroom_auditor') \
             AND table_name IN ('accounts', 'transactions', 'entries', 'idempotency_outcomes', 'audit_records', 'audit_leaves', 'audit_nodes')";
        assert_eq!(texts(&mut root, changes).await, [""; 0]);
    });
}

#[test]
fn functions_with_the_owners_rights_are_the_lanes_alone_and_pin_where_they_look() {
    run(Kind::Postgres, async |bank: TestStore| {
        let mut root = bank.place.root().await;
        let sql = "SELECT proname::text FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1";
        let functions = texts(&mut root, sql).await;
        assert_eq!(
            functions,
            [
                "idempotency_attach_next",
                "idempotency_drop_oldest",
                "idempotency_turn"
            ]
        );
        for function in functions {
            for role in ROLES {
                let sql = format!(
                    "SELECT has_function_privilege('{role}', '{function}()', 'EXECUTE')::int::bigint"
                );
                assert_eq!(
                    number(&mut root, &sql).await,
                    i64::from(role == "strongroom_ledger_writer"),
                    "{role} {function}"
                );
            }
            let sql = format!(
                "SELECT count(*) FROM pg_proc WHERE proname = '{function}' \
                 AND proconfig @> ARRAY['search_path=pg_catalog, public, pg_temp']"
            );
            assert_eq!(number(&mut root, &sql).await, 1, "{function}");
        }
    });
}

#[test]
fn the_roles_are_refused_what_they_were_not_given() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 100).await;
        bank.run_one(transfer(ids[0], ids[1], 1).with_key().command).await;
        for (role, statements) in [
            (
                "strongroom_app",
                &[
                    "UPDATE account_states SET balance = 0",
                    "INSERT INTO entries SELECT * FROM entries",
                    "DELETE FROM audit_records",
                    "SELECT idempotency_drop_oldest()",
                    "CREATE TABLE mine ()",
                ][..],
            ),
            (
                "strongroom_ledger_writer",
                &[
                    "SELECT * FROM users",
                    "SELECT * FROM data_keys",
                    "SELECT * FROM memos",
                    "UPDATE entries SET amount = 1",
                    "DELETE FROM account_states",
                    "UPDATE accounts SET owner = NULL",
                    "DROP TABLE idempotency_outcomes_1",
                    "SELECT * FROM idempotency_outcomes_1",
                ][..],
            ),
            (
                "strongroom_reader",
                &[
                    "SELECT * FROM users",
                    "SELECT * FROM data_keys",
                    "UPDATE memos SET sealed = ''",
                    "INSERT INTO audit_records SELECT * FROM audit_records",
                ][..],
            ),
        ] {
            for statement in statements {
                let mut connection = in_role(&bank, role).await;
                let refused = connection.execute(*statement).await.expect_err(statement);
                let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
                assert_eq!(code, "42501", "{role}: {statement}: {refused}");
                connection.close().await.unwrap();
            }
        }
    });
}

/// What `scope` of the application sees of (people, keys, names of accounts, texts).
async fn seen(connection: &mut PgConnection, scope: &str, person: Option<UserId>) -> [i64; 4] {
    let mut tx = connection.begin().await.unwrap();
    let person = person
        .map(|id| uuid::Uuid::from_bytes(*id.as_bytes()).to_string())
        .unwrap_or_default();
    sqlx::query("SELECT set_config('strongroom.scope', $1, true), set_config('strongroom.person', $2, true)")
        .bind(scope)
        .bind(person)
        .execute(&mut *tx)
        .await
        .unwrap();
    let mut found = [0; 4];
    for (found, table) in found
        .iter_mut()
        .zip(["users", "data_keys", "account_names", "memos"])
    {
        *found = number(&mut tx, &format!("SELECT count(*) FROM {table}")).await;
    }
    tx.rollback().await.unwrap();
    found
}

#[test]
fn a_person_sees_only_own_rows_and_who_says_nothing_sees_none() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let ids = bank.accounts(2, 100).await;
        let ann = bank.account(ids[0]).await.owner.unwrap();
        let others = bank.accounts(3, 100).await;
        let bob = bank.account(others[0]).await.owner.unwrap();
        bank.run_one(transfer(ids[0], others[0], 1).with_memo(ann, 20).command)
            .await;
        bank.run_one(transfer(ids[0], others[0], 1).with_memo(bob, 20).command)
            .await;
        bank.run_one(transfer(ids[0], others[0], 1).with_memo(bob, 20).command)
            .await;
        let mut app = in_role(&bank, "strongroom_app").await;
        assert_eq!(seen(&mut app, "system", None).await, [2, 2, 5, 3]);
        assert_eq!(seen(&mut app, "operator", None).await, [2, 2, 5, 3]);
        assert_eq!(seen(&mut app, "person", Some(ann)).await, [1, 1, 2, 1]);
        assert_eq!(seen(&mut app, "person", Some(bob)).await, [1, 1, 3, 2]);
        for (scope, person) in [
            ("", None),
            ("person", None),
            ("anything", Some(ann)),
            ("person", Some(crate::harness::id())),
        ] {
            assert_eq!(seen(&mut app, scope, person).await, [0; 4], "{scope} {person:?}");
        }
        for table in ["users", "data_keys", "account_names", "memos"] {
            assert_eq!(
                number(&mut app, &format!("SELECT count(*) FROM {table}")).await,
                0,
                "outside of a transaction"
            );
            let forced = format!(
                "SELECT (relrowsecurity AND relforcerowsecurity)::int::bigint FROM pg_class WHERE relname = '{table}'"
            );
            assert_eq!(number(&mut app, &forced).await, 1, "{table}");
        }
        // Neither can one person's transaction add or change rows of another.
        let bob = uuid::Uuid::from_bytes(*bob.as_bytes());
        for sql in [
            format!("UPDATE data_keys SET wrapped = '' WHERE person = '{bob}'"),
            format!("DELETE FROM memos WHERE person = '{bob}'"),
        ] {
            let mut tx = app.begin().await.unwrap();
            let enter = format!(
                "SET LOCAL strongroom.scope = 'person'; SET LOCAL strongroom.person = '{}'",
                uuid::Uuid::from_bytes(*ann.as_bytes())
            );
            tx.execute(sqlx::AssertSqlSafe(enter)).await.unwrap();
            assert_eq!(
                tx.execute(sqlx::AssertSqlSafe(sql))
                    .await
                    .unwrap()
                    .rows_affected(),
                0
            );
            let planted = format!(
                "INSERT INTO data_keys (person, wrapped) VALUES ('{}', '')",
                uuid::Uuid::from_u128(1)
            );
            let refused = tx.execute(sqlx::AssertSqlSafe(planted)).await.unwrap_err();
            assert!(refused.to_string().contains("row-level security"), "{refused}");
            tx.rollback().await.unwrap();
        }
    });
}

#[test]
fn a_pooled_connection_keeps_nothing_of_the_last_transactions_scope() {
    run(Kind::Postgres, async |bank: TestStore| {
        bank.customer().await;
        let strongroom_store::DatabaseUrl::Postgres(url) = &bank.place.settings.database else {
            unreachable!()
        };
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .after_connect(|connection, _| {
                Box::pin(async { connection.execute("SET ROLE strongroom_app").await.map(drop) })
            })
            .connect(url)
            .await
            .unwrap();
        let enter = "SELECT set_config('strongroom.scope', 'system', true)";
        for end in ["commit", "rollback", "drop", "error"] {
            let mut tx = pool.begin().await.unwrap();
            tx.execute(enter).await.unwrap();
            assert_eq!(
                number(&mut tx, "SELECT count(*) FROM users").await,
                1,
                "the scope is there first"
            );
            match end {
                "commit" => tx.commit().await.unwrap(),
                "rollback" => tx.rollback().await.unwrap(),
                "drop" => drop(tx),
                _ => {
                    tx.execute("SELECT 1 / 0").await.unwrap_err();
                    drop(tx);
                }
            }
            let mut next = pool.acquire().await.unwrap();
            assert_eq!(
                number(&mut next, "SELECT count(*) FROM users").await,
                0,
                "after {end}"
            );
            let left = "SELECT coalesce(current_setting('strongroom.scope', true), '')";
            assert_eq!(texts(&mut next, left).await, [""], "after {end}");
        }
    });
}
