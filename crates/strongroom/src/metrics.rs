//! Figures for Prometheus.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use strongroom_app::security::catalogue::SecurityEventKind;

use crate::logging::LogBuffer;

/// Upper bounds of the latency buckets, in seconds.
const SECONDS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// How often recorded samples are folded into their buckets: they wait in memory until then.
const UPKEEP: Duration = Duration::from_secs(2);

/// What is zero from the start: a counter that begins with its first failure shows no rise to whoever watches.
const ZERO: [&str; 24] = [
    "strongroom_acme_failures_total",
    "strongroom_alert_deliveries_failed_total",
    "strongroom_alerts_lost_total",
    "strongroom_checkpoint_failures_total",
    "strongroom_checkpoints_total",
    "strongroom_guesses_refused_total",
    "strongroom_http_connections_refused_total",
    "strongroom_http_floods_total",
    "strongroom_http_handler_panics_total",
    "strongroom_http_requests_shed_total",
    "strongroom_jobs_failed_total",
    "strongroom_lane_failed_total",
    "strongroom_lane_panics_total",
    "strongroom_lane_refused_total",
    "strongroom_logins_refused_total",
    "strongroom_mails_dropped_total",
    "strongroom_mails_failed_total",
    "strongroom_mails_set_aside_total",
    "strongroom_mails_unsent_total",
    "strongroom_otlp_trace_deliveries_failed_total",
    "strongroom_puzzles_asked_total",
    "strongroom_refresh_reuse_total",
    "strongroom_sealer_failures_total",
    "strongroom_tls_handshakes_failed_total",
];

/// The recorder of this process.
#[derive(Clone)]
pub(crate) struct Metrics {
    handle: PrometheusHandle,
    log: LogBuffer,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetricsError {
    /// The buckets are wrong.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Somebody else records already.
    #[error("metrics are already recorded elsewhere in this process")]
    Taken,
}

impl Metrics {
    /// Installs the recorder. Before anything that keeps a handle of a figure is made.
    pub(crate) fn install(log: LogBuffer) -> Result<Self, MetricsError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &SECONDS)?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Taken)?;
        for name in ZERO {
            metrics::counter!(name).increment(0);
        }
        for kind in SecurityEventKind::ALL {
            metrics::counter!("strongroom_security_events_total", "kind" => kind.name()).increment(0);
        }
        Ok(Self { handle, log })
    }

    /// All figures in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        metrics::counter!("strongroom_log_lines_dropped_total").absolute(self.log.dropped());
        self.handle.render()
    }

    /// Folds samples for ever.
    pub(crate) async fn upkeep(self) {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            self.handle.run_upkeep();
        }
    }
}
