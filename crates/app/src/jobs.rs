//! What the bank does in the background: mails, last use of sessions, forgetting.

use std::{sync::Arc, time::Duration};

use strongroom_store::{Maintained, Scope, StoreError, identity::SWEEP_ROWS_MAX};

use crate::{
    bank::Bank,
    error::Error,
    identity::auth_state::SEEN_WRITE_SECS,
    keys::rotation::RING_LOOK,
    security::{alerts::ALERT_WAIT, events::WRITE_SECS, incident_actions::NETWORKS_READ},
};

/// Longest time between two looks at the outbox: another node, or an earlier try, may have left something.
const MAIL_WAIT: Duration = Duration::from_secs(5);
/// How long what ended is kept for its owner to see, in seconds.
const ENDED_KEPT_SECS: i64 = 30 * 24 * 60 * 60;

/// Between two portions of decisions: the right to write is the books' meanwhile.
const DECISIONS_PAUSE: Duration = Duration::from_millis(250);
/// Until decisions that could not be written are tried again.
const DECISIONS_RETRY: Duration = Duration::from_secs(1);
/// Between two looks at whether blocks of the log became full.
const SUMMARIES_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at what people are to be told of, however much happens.
const NOTICES_PAUSE: Duration = Duration::from_millis(500);
/// Between two commits of what a draft of the rules about fraud would have asked for.
const TRIALS_PAUSE: Duration = Duration::from_secs(1);
/// Longest time between them: another node may have made the log grow.
const NOTICES_WAIT: Duration = Duration::from_secs(5);
/// Most portions that one run forgets.
const SWEEP_PORTIONS_MAX: usize = 20;
/// Most steps of the store's own upkeep in one run: more keys than a minute of full load leaves behind.
const UPKEEP_STEPS_MAX: usize = 10_000;

impl Bank {
    /// Runs the jobs until the task is dropped. One per process.
    pub async fn run_jobs(self: Arc<Self>) {
        tokio::join!(
            self.run_mail(),
            self.run_notices(),
            self.run_fraud_trials(),
            self.run_security_events(),
            self.run_alerts(),
            self.run_blocks(),
            self.run_decisions(),
            self.run_summaries(),
            self.run_rail(),
            self.run_ring(),
            self.run_upkeep()
        );
    }

    async fn run_mail(&self) {
        loop {
            let _ = tokio::time::timeout(MAIL_WAIT, self.identity.mail_waits.notified()).await;
            report("mail", self.send_mails().await.map(drop));
        }
    }

    async fn run_notices(&self) {
        let mut growth = self.store.log_growth();
        loop {
            report("notices", self.write_notices().await.map(drop));
            // Many payments share one commit of notices.
            tokio::time::sleep(NOTICES_PAUSE).await;
            let _ = tokio::time::timeout(NOTICES_WAIT, growth.changed()).await;
        }
    }

    async fn run_fraud_trials(&self) {
        loop {
            self.fraud_trials.wait().await;
            report("trials of rules", self.write_fraud_trials().await);
            // Many movements share one commit.
            tokio::time::sleep(TRIALS_PAUSE).await;
        }
    }

    async fn run_security_events(&self) {
        let mut tick = tokio::time::interval(Duration::from_secs(WRITE_SECS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            report("security events", self.write_security_events().await.map(drop));
        }
    }

    async fn run_alerts(&self) {
        loop {
            let _ = tokio::time::timeout(ALERT_WAIT, self.security.raised.notified()).await;
            report("alerts", self.write_alerts().await.map(drop));
            report("alerts", self.tell_alerts().await.map(drop));
        }
    }

    async fn run_blocks(&self) {
        let mut tick = tokio::time::interval(NETWORKS_READ);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            report("blocked networks", self.read_blocked_networks().await);
        }
    }

    async fn run_decisions(&self) {
        loop {
            self.decisions.wait().await;
            let outcome = self.write_decisions().await;
            let failed = outcome.is_err();
            report("decisions", outcome.map(drop));
            // What could not be written is still there: another try soon, and meanwhile room gets scarce.
            tokio::time::sleep(if failed { DECISIONS_RETRY } else { DECISIONS_PAUSE }).await;
        }
    }

    async fn run_summaries(&self) {
        let mut tick = tokio::time::interval(SUMMARIES_WAIT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            report("summaries of the log", self.summarise_log().await.map(drop));
        }
    }

    async fn run_rail(&self) {
        // Said before the jobs run, or never.
        let Some(settings) = self.rail.get() else { return };
        let mut tick = tokio::time::interval(settings.every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            report(
                "files to the bank's own bank",
                self.deliver_files().await.map(drop),
            );
            report("statements", self.read_statements().await.map(drop));
        }
    }

    async fn run_ring(&self) {
        let mut tick = tokio::time::interval(RING_LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            report("keyring", self.keep_ring().await);
        }
    }

    async fn run_upkeep(&self) {
        let mut tick = tokio::time::interval(Duration::from_secs(SEEN_WRITE_SECS.unsigned_abs()));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            report("last seen", self.write_last_seen().await.map(drop));
            report("addresses", self.change_due_emails().await.map(drop));
            report("sweep", self.sweep_identity().await);
            report("reviews", self.tell_lapsed_reviews().await.map(drop));
            report("upkeep", self.keep_store().await.map(drop));
        }
    }

    /// Drops idempotency keys that are owed no longer, in steps between the batches, and says how many steps did
    /// something.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_store(&self) -> Result<usize, Error> {
        for done in 0..UPKEEP_STEPS_MAX {
            match self.store.maintain(self.clock.now()).await {
                Ok(Maintained::Some) => {}
                // Something was in the way: the next run meets it again.
                Ok(Maintained::Nothing) | Err(StoreError::Retry) => return Ok(done),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(UPKEEP_STEPS_MAX)
    }

    /// Forgets what is of no use any more, in portions that hold up nobody.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sweep_identity(&self) -> Result<(), Error> {
        self.forget_mails().await?;
        self.sweep_security_events().await?;
        self.sweep_feed().await?;
        self.sweep_alerts().await?;
        self.sweep_notices().await?;
        self.sweep_decisions().await?;
        self.sweep_reviews().await?;
        self.sweep_fraud_trials().await?;
        self.wipe_travelled().await?;
        let now = self.clock.now();
        let ended = now.plus_seconds(-ENDED_KEPT_SECS);
        let tx = self.store.write(Scope::System).await?;
        tx.expire_approvals(now).await?;
        tx.commit().await?;
        for _ in 0..SWEEP_PORTIONS_MAX {
            let tx = self.store.write(Scope::System).await?;
            let most = tx.sweep_identity(now, ended).await?;
            let nonces = tx.forget_nonces(now).await?;
            tx.commit().await?;
            if nonces == 0 && most < SWEEP_ROWS_MAX.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }
}

/// A job that fails is run again; somebody should know.
fn report(job: &'static str, outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        tracing::warn!(job, error = %error.code, source = ?error.source, "a job failed and will run again");
        metrics::counter!("strongroom_jobs_failed_total").increment(1);
    }
}
