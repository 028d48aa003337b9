//! One line per request: what was asked of which route, how it ended, how long it took. Never a query, a
//! header, a body, a name or an address; the principal by its id.

use std::time::Instant;

use http::{Method, StatusCode};

use super::{Record, route::RouteStats};

/// What the log says of a request whose client went away before the answer (nginx's number for it).
const CLIENT_GONE: u16 = 499;

/// Writes the line of a request when it ends, also when it ends because the client left.
pub(crate) struct Line<'a> {
    record: &'a Record,
    unmatched: &'a RouteStats,
    method: &'a Method,
    started: Instant,
    written: bool,
}

impl<'a> Line<'a> {
    pub(crate) fn begin(record: &'a Record, unmatched: &'a RouteStats, method: &'a Method) -> Self {
        Self {
            record,
            unmatched,
            method,
            started: Instant::now(),
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

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.written {
            self.write(StatusCode::from_u16(CLIENT_GONE).unwrap_or(StatusCode::BAD_REQUEST));
        }
    }
}
