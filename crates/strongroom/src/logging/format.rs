//! Lines. Whatever a field holds stays one field of one line: quotes and control characters are escaped, so
//! that nobody can write a second line into the log.

use std::{
    cell::RefCell,
    fmt::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// How an event becomes a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum LineFormat {
    Json,
    Text,
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields {
            out: &mut out,
            format: *self,
            result: Ok(()),
        };
        match self {
            Self::Json => {
                fields.out.write_str("{\"time\":\"")?;
                write_time(fields.out)?;
                write!(
                    fields.out,
                    "\",\"level\":\"{}\",\"target\":\"{}\"",
                    metadata.level(),
                    metadata.target()
                )?;
            }
            Self::Text => {
                write_time(fields.out)?;
                write!(fields.out, " {:>5} {}", metadata.level(), metadata.target())?;
            }
        }
        event.record(&mut fields);
        fields.result?;
        out.write_str(match self {
            Self::Json => "}\n",
            Self::Text => "\n",
        })
    }
}

struct Fields<'a, 'w> {
    out: &'a mut Writer<'w>,
    format: LineFormat,
    result: fmt::Result,
}

impl Fields<'_, '_> {
    /// A value that needs no quotes.
    fn bare(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let result = match self.format {
            LineFormat::Json => write!(self.out, ",\"{}\":{value}", field.name()),
            LineFormat::Text => write!(self.out, " {}={value}", field.name()),
        };
        self.result = self.result.and(result);
    }

    fn text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let result = self.try_text(field, value);
        self.result = self.result.and(result);
    }

    fn try_text(&mut self, field: &Field, value: fmt::Arguments<'_>) -> fmt::Result {
        match self.format {
            LineFormat::Json => {
                write!(self.out, ",\"{}\":\"", field.name())?;
                write!(Escaped(self.out), "{value}")?;
                self.out.write_char('"')
            }
            LineFormat::Text if field.name() == "message" => {
                self.out.write_char(' ')?;
                write!(Escaped(self.out), "{value}")
            }
            LineFormat::Text => {
                write!(self.out, " {}=\"", field.name())?;
                write!(Escaped(self.out), "{value}")?;
                self.out.write_char('"')
            }
        }
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, format_args!("{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.bare(field, format_args!("{value}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }
}

/// Escapes as JSON does.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut from = 0;
        for (at, character) in text.char_indices() {
            let safe = !matches!(character, '"' | '\\' | '\u{2028}' | '\u{2029}') && !character.is_control();
            if safe {
                continue;
            }
            self.0.write_str(&text[from..at])?;
            from = at + character.len_utf8();
            match character {
                '"' => self.0.write_str("\\\"")?,
                '\\' => self.0.write_str("\\\\")?,
                '\n' => self.0.write_str("\\n")?,
                // Control characters and line separators all lie in the basic plane.
                character => write!(self.0, "\\u{:04x}", u32::from(character))?,
            }
        }
        self.0.write_str(&text[from..])
    }
}

thread_local! {
    /// The second that was written last, and how it reads: a busy server writes many lines per second.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// RFC 3339 in UTC with microseconds.
fn write_time(out: &mut Writer<'_>) -> fmt::Result {
    #[expect(
        clippy::disallowed_methods,
        reason = "a line says when it was written, outside of any call"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() {
            *second = now.as_secs();
            text.clear();
            let moment = i64::try_from(now.as_secs())
                .ok()
                .and_then(|at| jiff::Timestamp::from_second(at).ok());
            write!(text, "{}", moment.unwrap_or_default())?;
            text.pop();
        }
        write!(out, "{text}.{:06}Z", now.subsec_micros())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Sink {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(format: LineFormat, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(format)
            .with_writer(sink.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_is_one_object_whatever_the_fields_hold() {
        let nasty = "a\"b\\c\nd\u{0}e\u{85}\u{2028}é";
        let text = logged(LineFormat::Json, || {
            tracing::info!(target: "access", nasty, count = 3, ms = 1.25, ok = true, none = None::<&str>, "served");
        });
        assert_eq!(text.lines().count(), 1, "{text:?}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["nasty"], nasty);
        assert_eq!(
            (&line["count"], &line["ms"], &line["ok"]),
            (&3.into(), &1.25.into(), &true.into())
        );
        assert_eq!(
            (&line["message"], &line["level"], &line["target"]),
            (&"served".into(), &"INFO".into(), &"access".into())
        );
        assert!(line.get("none").is_none());
        assert!(
            line["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(),
            "{line}"
        );
    }

    #[test]
    fn nobody_writes_a_second_text_line() {
        let forged = "x\n2026-11-20T00:00:00Z  INFO access forged";
        let text = logged(LineFormat::Text, || tracing::warn!(forged, "said {forged}"));
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.contains("\\n2026"), "{text}");
    }
}
