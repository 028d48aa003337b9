//! What dashboard and alert rules ask for is what the server counts.

use std::{collections::BTreeSet, path::Path};

use crate::harness::{Server, if_at_all, otlp::Collector, programs::free_port, stories};

const SETTINGS: &[(&str, &str)] = &[("STRONGROOM_LIMITS__ANONYMOUS", "100/1h")];

stories! {
    with SETTINGS;
    every_figure_of_dashboard_and_alert_rules_is_there,
}

/// What no story waits for: the check of the whole books runs seldom.
const SELDOM: &str = "strongroom_ledger_check_clean";
/// What Prometheus adds to the name of a histogram.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_count", "_sum"];

fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// The names of figures in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter| !is_of_name(letter));
    let ours = words.filter(|word| word.starts_with("strongroom_"));
    ours.map(str::to_owned).collect()
}

async fn figures(port: u16) -> String {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/metrics"))
        .await
        .unwrap();
    answer.text().await.unwrap()
}

async fn every_figure_of_dashboard_and_alert_rules_is_there(mut server: Server) {
    let collector = Collector::start().await;
    let port = free_port();
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let account = alice.account("Savings").await;
    server.stop().await;
    // Nobody is there: this node counts alone, and the figure that says so is what an alert asks for.
    server.set("STRONGROOM_REDIS__URL", "redis://127.0.0.1:1");
    collector.collect_from(&mut server);
    server.set("STRONGROOM_METRICS__LISTEN", &format!("127.0.0.1:{port}"));
    // It is not ready, and serves.
    server.begin().await;

    let asked: BTreeSet<String> = ["prometheus/strongroom.rules.yml", "grafana/strongroom.json"]
        .iter()
        .flat_map(|name| names(&deployed(name)))
        .collect();
    assert!(asked.len() > 25, "{asked:?}");

    // Whatever counts failures is there and zero: a figure that begins with its first failure shows no rise.
    let counted = figures(port).await;
    for zero in [
        "strongroom_lane_failed_total 0",
        "strongroom_refresh_reuse_total 0",
        "strongroom_security_events_total{kind=\"login_failed\"} 0",
        "strongroom_siem_events_lost_total{collector=\"otlp\"} 0",
    ] {
        assert!(counted.contains(zero), "{zero} is not in {counted}");
    }
    // What has labels of requests is there when somebody asked.
    teller.deposit(&account, 100).await.expect(201);
    let client = server.client();
    client
        .get("/api/v1/accounts?cursor=%27%20UNION%20SELECT%20password%20FROM%20users--%20")
        .await;
    for _ in 0..3 {
        client.scan().await;
    }
    let missing = async || {
        let counted = names(&figures(port).await);
        let is_there = |name: &&String| {
            let plain = OF_HISTOGRAMS.iter().find_map(|end| name.strip_suffix(end));
            counted.contains(*name) || plain.is_some_and(|plain| counted.contains(plain))
        };
        let missing: Vec<String> = asked
            .iter()
            .filter(|name| !is_there(name) && *name != SELDOM)
            .cloned()
            .collect();
        missing
    };
    // Some are set by jobs.
    let all = if_at_all(async || missing().await.is_empty().then_some(())).await;
    assert!(
        all.is_some(),
        "{:?} are asked for and not counted",
        missing().await
    );
}

/// Whatever is zero from the start is counted somewhere: a name that changed must not stay zero for ever.
#[test]
fn what_is_zero_from_the_start_is_counted_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let listed = root.join("strongroom/src/metrics.rs");
    let mut folders = vec![root];
    let mut counted = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && path != listed {
                counted.extend(names(&std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(counted.contains(SELDOM));
    let listed = names(&std::fs::read_to_string(listed).unwrap());
    let listed: Vec<&String> = listed.iter().filter(|name| name.ends_with("_total")).collect();
    assert!(listed.len() > 10, "{listed:?}");
    for name in listed {
        assert!(
            counted.contains(name) || name == "strongroom_log_lines_dropped_total",
            "{name}"
        );
    }
}
