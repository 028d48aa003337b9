//! The database goes away under a running server, and comes back.

use std::sync::Arc;

use sqlx::{Connection, Executor, PgConnection};

use crate::harness::{
    Answer, BUSY, Client, Engine, Server,
    load::{Heard, Town},
    until,
};

/// Clients that send at the same time.
const CLIENTS: usize = 16;
/// What a client may be told while the database is away.
const CODES: [&str; 3] = ["unavailable", "commit_unknown", "overloaded"];

/// Ends every connection of the server, as a failover or a restart of the database would.
async fn cut(connection: &mut PgConnection, name: &str) -> u64 {
    let cut = sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
    );
    cut.bind(name).execute(connection).await.unwrap().rows_affected()
}

async fn allow(connection: &mut PgConnection, name: &str, whether: bool) {
    let sql = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {whether}");
    connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
}

fn check_refusals(heard: &[Heard]) -> usize {
    let refusals: Vec<_> = heard.iter().flat_map(|one| &one.refusals).collect();
    for refusal in &refusals {
        assert!(
            refusal.status == 503 && CODES.contains(&refusal.code()),
            "{refusal:?}"
        );
        check_retry_after(refusal);
    }
    refusals.len()
}

fn check_retry_after(refusal: &Answer) {
    let wait = refusal
        .header("retry-after")
        .and_then(|text| text.parse::<u64>().ok());
    assert!(
        wait.is_some_and(|seconds| (1..=60).contains(&seconds)),
        "{refusal:?}"
    );
}

/// Asks until the server says that it is ready, or that it is not.
async fn await_readiness(client: &Client, status: u16) {
    until(&format!("/readyz comes to {status}"), async || {
        client.get("/readyz").await.status == status
    })
    .await;
}

mod postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_is_not_ready_with_another_schema_or_without_a_key() {
        let Some(server) = Server::start_with(Engine::Postgres, BUSY).await else {
            return;
        };
        let client = server.client();
        let names = |answer: &Answer, ok: bool| -> Vec<String> {
            let checks = answer.body["checks"].as_array().unwrap();
            let those = checks.iter().filter(|check| check["ok"] == ok);
            those
                .map(|check| check["name"].as_str().unwrap().to_owned())
                .collect()
        };
        let ready = client.get("/readyz").await.expect(200);
        assert_eq!(names(&ready, true), ["database", "schema", "keys", "clock"]);
        let mut inside = server.database().unwrap().connect().await;
        for (spoil, mend, fails) in [
            (
                "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_canary', 0)",
                "DELETE FROM seaql_migrations WHERE version = 'm9999_canary'",
                "schema",
            ),
            (
                "INSERT INTO key_checks SELECT 4000000, purpose, value FROM key_checks LIMIT 1",
                "DELETE FROM key_checks WHERE kid = 4000000",
                "keys",
            ),
        ] {
            inside
                .execute("SET session_replication_role = replica")
                .await
                .unwrap();
            inside.execute(spoil).await.unwrap();
            await_readiness(&client, 503).await;
            let failing = client.get("/readyz").await.expect(503);
            assert_eq!(names(&failing, false), [fails]);
            assert!(!String::from_utf8_lossy(&failing.bytes).contains("canary"));
            // It is no reason to refuse anybody.
            client.get("/livez").await.expect(200);
            client.get("/.well-known/jwks.json").await.expect(200);
            inside.execute(mend).await.unwrap();
            await_readiness(&client, 200).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn connections_that_are_cut_under_load_cost_no_money_and_no_restart() {
        let Some(server) = Server::start_with(Engine::Postgres, BUSY).await else {
            return;
        };
        let database = server.database().unwrap();
        let mut outside = database.connect_outside().await;
        let mut town = Arc::new(Town::build(&server).await);
        let mut load = town.load(CLIENTS);
        load.more(40).await;
        let mut ended = 0;
        for _ in 0..6 {
            ended += cut(&mut outside, database.name()).await;
            load.more(40).await;
        }
        let heard = load.stop().await;
        assert!(ended >= 6, "there were connections to cut");
        assert!(check_refusals(&heard) > 0, "somebody noticed");
        town.settle(heard).await;
        town.check().await;
        town.verify(&server);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_that_refuses_is_told_as_503_and_survived_without_a_restart() {
        let Some(server) = Server::start_with(Engine::Postgres, BUSY).await else {
            return;
        };
        let database = server.database().unwrap();
        let mut outside = database.connect_outside().await;
        let client = server.client();
        let mut town = Arc::new(Town::build(&server).await);
        let mut load = town.load(CLIENTS);
        load.more(40).await;

        allow(&mut outside, database.name(), false).await;
        cut(&mut outside, database.name()).await;
        await_readiness(&client, 503).await;
        client.get("/livez").await.expect(200);
        let wish = town.wish();
        let refused = town.ask(0, &wish).await.unwrap();
        assert!(CODES.contains(&refused.code()), "{refused:?}");
        check_retry_after(&refused.expect(503));
        // A read cannot know either, and does not guess.
        let id = town.pair().0["id"].as_str().unwrap().to_owned();
        let read = town
            .somebody()
            .client
            .get(&format!("/api/v1/accounts/{id}/balance"))
            .await;
        check_retry_after(&read.refused(503, "unavailable"));

        allow(&mut outside, database.name(), true).await;
        await_readiness(&client, 200).await;
        load.more(40).await;
        let heard = load.stop().await;
        assert!(check_refusals(&heard) > 0, "somebody noticed");
        town.settle(heard).await;
        let done = town.ask(0, &wish).await.unwrap();
        Arc::get_mut(&mut town).unwrap().note(wish, done);
        town.check().await;
        town.verify(&server);
        drop(outside.close().await);
    }

    /// Fills what is left of the disk with something that can be taken away again.
    async fn fill(outside: &mut PgConnection, disk: &str) {
        let sql = format!("CREATE TABLE ballast (load text) TABLESPACE {disk}");
        outside.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        // First by the megabyte, then by the row; such a row is too short to be compressed.
        for rows in [512, 1] {
            let more =
                format!("INSERT INTO ballast SELECT repeat('x', 1900) FROM generate_series(1, {rows})");
            let full = loop {
                if let Err(error) = outside.execute(sqlx::AssertSqlSafe(more.clone())).await {
                    break error;
                }
            };
            let code = full.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("53100"), "{full}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_disk_is_told_as_503_and_survived_without_a_restart() {
        let Some(server) = Server::start_on_small_disk().await else {
            return;
        };
        let database = server.database().unwrap();
        let mut outside = database.connect_outside().await;
        let mut town = Arc::new(Town::build(&server).await);
        let mut load = town.load(CLIENTS);
        load.more(40).await;

        fill(&mut outside, database.disk().unwrap()).await;
        load.until_refused().await;
        // Reading needs no room.
        let id = town.pair().0["id"].as_str().unwrap().to_owned();
        let balance = format!("/api/v1/accounts/{id}/balance");
        town.somebody().client.get(&balance).await.expect(200);

        outside.execute("DROP TABLE ballast").await.unwrap();
        load.more(40).await;
        let heard = load.stop().await;
        assert!(check_refusals(&heard) > 0, "somebody noticed");
        town.settle(heard).await;
        town.check().await;
        town.verify(&server);
        drop(outside.close().await);
    }
}
