//! More than the server takes: a full queue, a full database file.

use std::sync::Arc;

use crate::harness::{
    Engine, Server,
    load::{Heard, Town, whole_history},
    stories,
};

/// A queue that is full at once.
const SMALL_LANE: &[(&str, &str)] = &[
    ("STRONGROOM_LANE__QUEUE_MAX", "1"),
    ("STRONGROOM_LANE__BATCH_COMMANDS_MAX", "1"),
    (WRITES, "1000000/1h"),
];
/// What is tested here is not how often somebody may ask.
const WRITES: &str = "STRONGROOM_LIMITS__API_WRITE";
const PAGES_MAX: &str = "STRONGROOM_DATABASE__SQLITE_PAGES_MAX";

/// What a client is told while the file cannot grow.
const FULL: &[&str] = &["unavailable", "commit_unknown"];

stories! {
    with SMALL_LANE;
    more_than_the_queue_holds_is_told_to_come_back_and_then_happens_once,
}

async fn more_than_the_queue_holds_is_told_to_come_back_and_then_happens_once(server: Server) {
    let mut town = Arc::new(Town::build(&server).await);
    let mut load = town.load(32);
    load.more(120).await;
    let heard = load.stop().await;
    let refusals = check_refusals(&heard, &["overloaded"]);
    assert!(refusals > 0, "the queue was never full");
    town.settle(heard).await;
    town.check().await;
}

fn check_refusals(heard: &[Heard], codes: &[&str]) -> usize {
    let refusals: Vec<_> = heard.iter().flat_map(|one| &one.refusals).collect();
    for refusal in &refusals {
        assert_eq!(refusal.status, 503, "{refusal:?}");
        assert!(codes.contains(&refusal.code()), "{refusal:?}");
        let wait = refusal
            .header("retry-after")
            .and_then(|text| text.parse::<u64>().ok());
        assert!(wait.is_some_and(|seconds| seconds >= 1), "{refusal:?}");
    }
    refusals.len()
}

mod sqlite_full {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_database_refuses_money_goes_on_reading_and_works_again_with_more_room() {
        let settings = [(PAGES_MAX, "1000"), (WRITES, "1000000/1h")];
        let mut server = Server::start_with(Engine::Sqlite, &settings).await.unwrap();
        let mut town = Town::build(&server).await;
        town.say("room ".repeat(98));
        let mut town = Arc::new(town);
        let load = town.load(16);
        // Every transfer takes room; the clients are stopped once one of them was refused.
        load.until_refused().await;
        let mut heard = load.stop().await;
        check_refusals(&heard, FULL);
        // A batch of many was refused; single transfers fill the rest.
        let wish = loop {
            let wish = town.wish();
            match town.ask(0, &wish).await.unwrap() {
                answer if answer.status == 201 => heard.push(Heard {
                    intent: wish,
                    refusals: Vec::new(),
                    acknowledged: Some(answer),
                }),
                _ => break wish,
            }
        };
        for _ in 0..5 {
            let refused = town.ask(0, &wish).await.unwrap().expect(503);
            assert!(FULL.contains(&refused.code()), "{refused:?}");
        }

        // Reads go on, and what they show is whole: nothing is half done.
        let (from, _) = town.pair();
        let shown = town.somebody().posted(from).await;
        let lines = whole_history(town.somebody(), from).await;
        assert_eq!(lines[0]["balance_after"].as_i64(), Some(shown));
        server.client().get("/livez").await.expect(200);
        assert_eq!(server.stop().await, Some(0));
        server.set(PAGES_MAX, "100000");
        server.resume().await;
        town.settle(heard).await;
        let done = town.ask(0, &wish).await.unwrap();
        Arc::get_mut(&mut town).unwrap().note(wish, done);
        town.check().await;
        town.verify(&server);
    }
}
