//! A span for each request.
//!
//! Whoever serves requests opens spans with the target [`TARGET`]; nothing else becomes one, and no line of the log
//! becomes a part of one. A collector that is away costs spans and nothing else: they wait in bounded memory, and what
//! finds no room is gone.

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use tokio::runtime::Handle;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use super::{Collector, SERVICE};
use crate::config::OtlpConfig;

const PATH: &str = "/v1/traces";
/// Spans that leave.
const TARGET: &str = "trace";
/// Spans that wait at most; a few MB.
const WAITING_MAX: usize = 8_192;
/// Spans in one message.
const BATCH_MAX: usize = 512;
/// Longest wait of a span for others.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Longest wait for the collector when the process ends.
const END_TIME_MAX: Duration = Duration::from_secs(2);

/// The way out for spans.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Reads the authorities; opens no connection. Messages are sent on that runtime.
    pub(crate) fn open(
        config: &OtlpConfig,
        from: &str,
        runtime: &Handle,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let collector = Collector::open(config)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}{PATH}", collector.endpoint))
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Carrier {
                collector,
                runtime: runtime.clone(),
            })
            .build()?;
        let bounds = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(WAIT_MAX);
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(bounds.build());
        let resource = Resource::builder_empty()
            .with_service_name(SERVICE)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("server.address", from.to_owned()));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(batches.build())
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource.build());
        Ok(Self(provider.build()))
    }

    /// What makes spans of this process leave.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO))
    }

    /// Sends what waits, while the runtime still runs. A collector that is away holds up the end a little.
    pub(crate) fn end(self) {
        // Whoever loses spans has them counted already.
        drop(self.0.shutdown_with_timeout(END_TIME_MAX));
    }
}

/// Carries messages from the thread of the exporter, which has no runtime of its own.
#[derive(Debug)]
struct Carrier {
    collector: Collector,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Carrier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let collector = self.collector.clone();
        let message = request.into_body().to_vec();
        let brought = self
            .runtime
            .spawn(async move { collector.bring(PATH, message).await })
            .await?;
        if brought.is_err() {
            metrics::counter!("strongroom_otlp_trace_deliveries_failed_total").increment(1);
        }
        Ok(Response::new(brought?.into()))
    }
}
