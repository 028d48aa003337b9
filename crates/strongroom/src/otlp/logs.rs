//! Security events as log records.

use std::{error::Error, io};

use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
};
use prost::Message;
use strongroom_app::security::{catalogue::Severity, export::ExportedEvent};

use super::{Collector, SERVICE};
use crate::config::OtlpConfig;

const PATH: &str = "/v1/logs";
const MICROS: u64 = 1_000;

/// A collector of events.
pub(crate) struct Events {
    collector: Collector,
    /// What we are called.
    from: String,
}

impl Events {
    /// Reads the authorities; opens no connection.
    pub(crate) fn open(config: &OtlpConfig, from: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self {
            collector: Collector::open(config)?,
            from: from.to_owned(),
        })
    }

    /// Brings events, and gives how many of them the collector took. Those that it looked at and did not take are not
    /// to be brought again (OTLP, "partial success").
    pub(crate) async fn bring(&self, events: &[ExportedEvent]) -> io::Result<u64> {
        let said = self
            .collector
            .bring(PATH, message(events, &self.from).encode_to_vec())
            .await?;
        let said = ExportLogsServiceResponse::decode(said.as_slice()).map_err(io::Error::other)?;
        let left = said.partial_success.map_or(0, |some| some.rejected_log_records);
        let brought = u64::try_from(events.len()).unwrap_or(u64::MAX);
        Ok(brought.saturating_sub(u64::try_from(left).unwrap_or_default()))
    }
}

fn message(events: &[ExportedEvent], from: &str) -> ExportLogsServiceRequest {
    let resource = Resource {
        attributes: [
            ("service.name", SERVICE),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("server.address", from),
        ]
        .map(|(key, value)| attribute(key, value))
        .into(),
        ..Resource::default()
    };
    let logs = ScopeLogs {
        scope: Some(InstrumentationScope {
            name: "strongroom.security".to_owned(),
            ..InstrumentationScope::default()
        }),
        log_records: events.iter().map(record).collect(),
        ..ScopeLogs::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource),
            scope_logs: vec![logs],
            ..ResourceLogs::default()
        }],
    }
}

/// One event. Severities are those that syslog's have there (logs data model, appendix B).
fn record(event: &ExportedEvent) -> LogRecord {
    let severity = match event.severity() {
        Severity::Info => SeverityNumber::Info,
        Severity::Low => SeverityNumber::Info2,
        Severity::Medium => SeverityNumber::Warn,
        Severity::High => SeverityNumber::Error,
        Severity::Critical => SeverityNumber::Error2,
    };
    let class = event.known_kind().map(|kind| kind.class().name());
    let attributes = [
        // By this a collector knows one that came twice.
        ("log.record.uid", Some(event.id.as_str())),
        ("strongroom.class", class),
        ("strongroom.outcome", Some(&event.outcome)),
        ("strongroom.reason", event.reason.as_deref()),
        ("strongroom.request_id", event.request_id.as_deref()),
        ("strongroom.incident_id", event.incident_id.as_deref()),
        ("strongroom.subject", event.subject.as_deref()),
        ("strongroom.object", event.object.as_deref()),
        ("strongroom.policy", event.policy.as_deref()),
        ("strongroom.token", event.token.as_deref()),
        ("user.id", event.principal.as_deref()),
        ("session.id", event.session_id.as_deref()),
        ("client.address", event.address.as_deref()),
        ("user_agent.original", event.user_agent.as_deref()),
    ];
    let at = u64::try_from(event.at).unwrap_or_default().saturating_mul(MICROS);
    LogRecord {
        time_unix_nano: at,
        observed_time_unix_nano: at,
        severity_number: severity.into(),
        severity_text: event.severity().name().to_owned(),
        event_name: format!("strongroom.{}", event.kind),
        body: Some(text(event.means())),
        attributes: attributes
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| attribute(key, value)))
            .collect(),
        ..LogRecord::default()
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(text(value)),
        ..KeyValue::default()
    }
}

fn text(value: &str) -> AnyValue {
    AnyValue {
        value: Some(any_value::Value::StringValue(value.to_owned())),
    }
}
