//! Two servers on one PostgreSQL database.

use std::{collections::BTreeSet, sync::Arc};

use sqlx::Row;
use tokio::task::JoinSet;

use crate::{
    harness::{BUSY, Client, Engine, Server, load::Town, until},
    payments::is_clean,
};

/// Clients that send at the same time, half of them at each node.
const CLIENTS: usize = 16;

async fn sealed(auditor: &Client) -> i64 {
    let found = auditor.get("/api/v1/admin/audit/checkpoint").await.expect(200);
    found.body["size"].as_i64().unwrap()
}

async fn deadlocks(server: &Server) -> i64 {
    let database = server.database().unwrap();
    let mut outside = database.connect_outside().await;
    let row = sqlx::query("SELECT deadlocks FROM pg_stat_database WHERE datname = $1").bind(database.name());
    row.fetch_one(&mut outside).await.unwrap().get(0)
}

mod postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_servers_on_the_same_hot_accounts_neither_lose_nor_double_nor_deadlock() {
        let Some(first) = Server::start_with(Engine::Postgres, BUSY).await else {
            return;
        };
        let mut second = first.start_beside().await;
        let mut town = Town::build(&first).await;
        town.join(&second).await;
        let mut town = Arc::new(town);

        let mut load = town.load(CLIENTS);
        load.more(200).await;
        let heard = load.stop().await;
        for one in &heard {
            assert!(one.refusals.is_empty(), "{:?}", one.refusals);
        }
        town.settle(heard).await;

        // The same key at both nodes at the same time, several times each: one posting, one answer.
        for _ in 0..15 {
            let wish = town.wish();
            let mut tasks = JoinSet::new();
            for copy in 0..6 {
                let (town, wish) = (town.clone(), wish.clone());
                tasks.spawn(async move { town.ask(copy, &wish).await.unwrap() });
            }
            let answers = tasks.join_all().await;
            let ids: BTreeSet<_> = answers.iter().map(|answer| answer.text("id")).collect();
            assert_eq!(ids.len(), 1, "{answers:?}");
            let fresh = answers
                .iter()
                .filter(|answer| answer.header("idempotent-replayed").is_none());
            assert_eq!(fresh.count(), 1, "{answers:?}");
            let town = Arc::get_mut(&mut town).unwrap();
            for answer in answers {
                town.note(wish.clone(), answer);
            }
        }

        // One node dies in the middle; the other goes on alone, and the dead one's clients retry there.
        let mut load = town.load(CLIENTS);
        load.more(60).await;
        second.kill();
        load.more(60).await;
        let heard = load.stop().await;
        second.resume().await;
        town.settle(heard).await;

        town.check().await;
        town.verify(&first);
        assert_eq!(deadlocks(&first).await, 0);
        for node in [&first, &second] {
            assert!(!node.logged().contains("given up"), "{}", node.logged());
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_that_seals_and_is_killed_is_replaced_within_seconds_without_a_hole() {
        let Some(mut first) = Server::start_with(Engine::Postgres, BUSY).await else {
            return;
        };
        let (auditor, teller) = (first.operator("auditor").await, first.operator("teller").await);
        let account = first.customer("alice").await.account("Main").await;
        // It was alone when it began to seal, and seals for as long as it lives.
        assert!(sealed(&auditor.client).await > 0);
        let second = first.start_behind_the_same_name().await;
        let there = second.client().with_token(auditor.client.token());
        let counter = second.client().with_token(teller.client.token());
        let before = sealed(&there).await;
        let body =
            serde_json::json!({"account_id": account["id"], "amount": {"amount": 100, "currency": "EUR"}});
        let deposit = async |client: &Client, key: String| {
            let body = body.clone();
            client.post_once("/api/v1/deposits", &key, body).await.expect(201);
        };
        // It dies before it has sealed the last of what it answered, and what is written next is sealed behind that.
        for number in 0..5 {
            deposit(&teller.client, format!("before the end {number}")).await;
        }
        first.kill();
        for number in 0..5 {
            deposit(&counter, format!("after the end {number}")).await;
        }
        until("another node seals", async || sealed(&there).await >= before + 10).await;
        is_clean(&second);
    }
}
