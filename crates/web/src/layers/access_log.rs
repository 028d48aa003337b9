//! One line per request: what was asked of which route, how it ended, how long it took. Never a query, a
//! header, a body, a name or an address; the principal by its id. The same as a span for whoever collects traces,
//! without the principal: traces leave, and of whom they are is no figure.

use std::time::Instant;

use http::{Method, StatusCode};
use tracing::{Span, field::Empty};

use super::{
    Record,
    route::{RouteStats, label},
};

/// What the log says of a request whose client went away before the answer (nginx's number for it).
const CLIENT_GONE: u16 = 499;

/// Writes the line of a request when it ends, also when it ends because the client left.
pub(crate) struct Line<'a> {
    record: &'a Record,
    unmatched: &'a RouteStats,
    method: &'a Method,
    started: Instant,
    span: Span,
    written: bool,
}

impl<'a> Line<'a> {
    pub(crate) fn begin(record: &'a Record, unmatched: &'a RouteStats, method: &'a Method) -> Self {
        Self {
            record,
            unmatched,
            method,
            started: Instant::now(),
            span: span(record, method),
            written: false,
        }
    }

    pub(crate) fn end(mut self, status: StatusCode) {
        self.write(status);
    }

    fn write(&mut self, status: StatusCode) {
        self.written = true;
        let elapsed = self.started.elapsed();
        let stats = self.record.stats().map_or(self.unmatched, |stats| &**stats);
        stats.observe(status, elapsed);
        self.end_span(stats, status);
        tracing::info!(
            target: "access",
            request_id = %self.record.id(),
            method = %self.method,
            route = stats.template(),
            status = status.as_u16(),
            ms = elapsed.as_micros() as f64 / 1000.0,
            principal = self.record.principal(),
        );
    }
}

impl Line<'_> {
    fn end_span(&self, stats: &RouteStats, status: StatusCode) {
        if self.span.is_disabled() {
            return;
        }
        let (method, route) = (label(self.method), stats.template());
        self.span.record("otel.name", format_args!("{method} {route}"));
        self.span.record("http.route", route);
        self.span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            self.span.record("error.type", status.as_str());
            self.span.record("otel.status_code", "error");
        }
    }
}

/// The span of a request, by the names of OpenTelemetry's conventions for HTTP servers. What a client says of a trace
/// of its own is not read: nobody outside chooses our numbers.
fn span(record: &Record, method: &Method) -> Span {
    tracing::info_span!(
        target: "trace",
        parent: None,
        "request",
        otel.name = Empty,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = label(method),
        http.route = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
        strongroom.request_id = %record.id(),
    )
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.written {
            self.write(StatusCode::from_u16(CLIENT_GONE).unwrap_or(StatusCode::BAD_REQUEST));
        }
    }
}
