//! Requests that arrive at the same moment.

use std::sync::Arc;

use futures::future::join_all;
use tokio::{sync::Barrier, task::JoinSet};

use super::{Answer, Client, Server};

/// As many clients, each with a connection that stands: what they send next is not spread by handshakes.
pub(crate) async fn connected(server: &Server, count: usize) -> Vec<Client> {
    let clients: Vec<_> = (0..count).map(|_| server.client()).collect();
    for answer in join_all(clients.iter().map(|client| client.get("/livez"))).await {
        answer.expect(200);
    }
    clients
}

/// Sends one request from each at the same moment.
pub(crate) async fn together(
    clients: &[Client],
    request: impl Fn(usize, &Client) -> reqwest::RequestBuilder,
) -> Vec<Answer> {
    let start = Arc::new(Barrier::new(clients.len()));
    let mut tasks = JoinSet::new();
    for (number, client) in clients.iter().enumerate() {
        let (client, request, start) = (client.clone(), request(number, client), start.clone());
        tasks.spawn(async move {
            start.wait().await;
            client.send(request).await
        });
    }
    tasks.join_all().await
}
