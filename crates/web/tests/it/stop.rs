//! How a server stops.

use std::time::Duration;

use strongroom_web::server::{Ended, ServerSettings};
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::support::{Options, Running};

fn options(tls: bool, shutdown: Duration) -> Options {
    let server = ServerSettings {
        shutdown_time_max: shutdown,
        ..ServerSettings::default()
    };
    Options {
        tls,
        server,
        ..Options::default()
    }
}

/// A request that is inside its handler.
async fn held(server: &Running) -> tokio::task::JoinHandle<Result<reqwest::StatusCode, reqwest::Error>> {
    let (client, url) = (server.client(), server.url("/held"));
    let task = tokio::spawn(async move { client.get(url).send().await.map(|answer| answer.status()) });
    server.doors.entered(1).await;
    task
}

async fn a_request_in_flight_is_answered_and_nobody_new_gets_in(tls: bool) {
    let server = Running::with(options(tls, Duration::from_secs(10))).await;
    let running = held(&server).await;
    server.stop.stop();
    // The listener is closed while the request still runs.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.is_finished());
    server.doors.open(1);
    assert_eq!(running.await.unwrap().unwrap(), 200);
    assert_eq!(server.ended().await, Ended::Drained);
}

#[tokio::test]
async fn a_request_in_flight_is_answered_over_http_1() {
    a_request_in_flight_is_answered_and_nobody_new_gets_in(false).await;
}

#[tokio::test]
async fn a_request_in_flight_is_answered_over_http_2() {
    a_request_in_flight_is_answered_and_nobody_new_gets_in(true).await;
}

#[tokio::test]
async fn an_idle_server_stops_at_once_and_idle_connections_with_it() {
    let server = Running::with(options(false, Duration::from_secs(60))).await;
    let client = server.client();
    client.get(server.url("/livez")).send().await.unwrap();
    let mut silent = server.connect().await;
    // The server has accepted it once a later connection was served.
    client.get(server.url("/livez")).send().await.unwrap();
    server.get("/livez").await;
    server.stop.stop();
    assert_eq!(server.ended().await, Ended::Drained);
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_when_time_runs_out() {
    for tls in [false, true] {
        let server = Running::with(options(tls, Duration::from_millis(100))).await;
        let running = held(&server).await;
        server.stop.stop();
        assert_eq!(server.ended().await, Ended::Cut(1));
        assert!(running.await.unwrap().is_err());
    }
}
