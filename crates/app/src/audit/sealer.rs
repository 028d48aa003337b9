//! Keeps the log sealed and signed in the background: on PostgreSQL the elected sealer, on both engines the signer.

use std::{sync::Arc, time::Duration};

use strongroom_store::{Store, audit::LogHead};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::{
    audit::log::{Checkpoints, prove_continues},
    clock::Clock,
    error::{Error, Kind},
    security::{
        catalogue::SecurityEventKind,
        stream::{Line, Security},
    },
};

/// Least time between two checkpoints, so that many commits share one signature and one flush.
const SIGN_PAUSE: Duration = Duration::from_millis(100);
/// After a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The tasks that seal and sign; they end when this is dropped.
#[derive(Debug)]
pub struct LogKeeper(Vec<JoinHandle<()>>);

impl LogKeeper {
    /// Starts them.
    pub(crate) fn start(
        store: &Store,
        checkpoints: Arc<Checkpoints>,
        clock: Arc<dyn Clock>,
        security: Arc<Security>,
    ) -> Self {
        let signer = Signer {
            store: store.clone(),
            growth: store.log_growth(),
            checkpoints,
            clock,
            security,
            proved: None,
        };
        let mut tasks = vec![tokio::spawn(signer.run())];
        if let Some(sealer) = store.sealer() {
            tasks.push(tokio::spawn(async move { match sealer.run().await {} }));
        }
        Self(tasks)
    }
}

impl Drop for LogKeeper {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

struct Signer {
    store: Store,
    growth: watch::Receiver<LogHead>,
    checkpoints: Arc<Checkpoints>,
    clock: Arc<dyn Clock>,
    security: Arc<Security>,
    /// The lineage whose beginning was proved to continue the newest checkpoint.
    proved: Option<u64>,
}

impl Signer {
    /// Sleeps until the log grows; signs at most once per [`SIGN_PAUSE`].
    async fn run(mut self) {
        loop {
            let head = self.growth.borrow_and_update().clone();
            let signed = self.sign(head).await;
            if let Err(error) = &signed {
                metrics::counter!("strongroom_checkpoint_failures_total").increment(1);
                let source = error.source.as_ref().map(ToString::to_string);
                tracing::error!(%error, source, "the head of the audit log is not signed");
                // A database that is away is no broken log: nothing is known of it.
                if error.kind == Kind::Internal {
                    self.security
                        .note(&Line::of(SecurityEventKind::LogUnproven, self.clock.now()));
                }
            }
            let pause = if signed.is_ok() { SIGN_PAUSE } else { RETRY_PAUSE };
            // Without news a failure is tried again; a success waits for the next growth.
            sleep(pause).await;
            if signed.is_ok() && self.growth.changed().await.is_err() {
                return;
            }
        }
    }

    async fn sign(&mut self, head: LogHead) -> Result<(), Error> {
        let latest = self.checkpoints.latest();
        let size = head.range.size();
        if size == latest.as_ref().map_or(0, |latest| latest.size) && self.proved == Some(head.lineage) {
            return Ok(());
        }
        if let Some(latest) = &latest
            && self.proved != Some(head.lineage)
        {
            prove_continues(&self.store, latest, &head).await?;
        }
        self.proved = Some(head.lineage);
        if size == 0 {
            return Ok(());
        }
        let (checkpoints, now) = (self.checkpoints.clone(), self.clock.now());
        let root = head.range.root();
        tokio::task::spawn_blocking(move || checkpoints.publish(size, root, now))
            .await
            .map_err(Error::internal)??;
        metrics::counter!("strongroom_checkpoints_total").increment(1);
        Ok(())
    }
}
