//! Waiting for what a server does by itself, in the background.

use std::time::Duration;

/// Longest wait: long enough for a slow and busy machine, since whoever is answered sooner goes on at once.
const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// Asks until it is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    awaited(what, async || is_so().await.then_some(())).await;
}

/// Asks until there is something, and gives it.
pub(crate) async fn awaited<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let found = if_at_all(ask).await;
    found.unwrap_or_else(|| panic!("{what}: not in {} s", PATIENCE.as_secs()))
}

/// Asks until there is something or the patience is over.
pub(crate) async fn if_at_all<T>(ask: impl AsyncFn() -> Option<T>) -> Option<T> {
    let asked = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.ok()
}
