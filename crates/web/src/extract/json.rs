//! JSON bodies.

use axum::{body::Body, extract::FromRequest, extract::Request};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::{DeserializeOwned, IgnoredAny};
use strongroom_api::{FieldError, codes, views::Audience};

use super::{
    is_repeatable, json_mend,
    json_scan::{Finding, scan},
    json_strict::{NOT_YOURS, Segment, Strict, Trail},
};
use crate::{BODY_BYTES_MAX, Problem, layers::Record, v1::check::Check, views::Reader};

/// How deeply arrays and objects may be nested.
pub const JSON_DEPTH_MAX: usize = 32;

/// A JSON body as `T`. Types refuse unknown fields with `#[serde(deny_unknown_fields)]`.
#[derive(Clone, Copy, Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (bytes, writer) = arrived(request).await?;
        parse_from(&bytes, writer).map(Self).map_err(Problem::from)
    }
}

/// A JSON body as `T` with what its shape lacks, for handlers that look at values: so that whoever sent it is told of
/// shapes and values at once. Where something is wrong the body is mended, so nothing may be done with it: what is read
/// from it comes out of [`Self::done`] alone.
#[derive(Debug)]
pub(crate) struct JsonDraft<T> {
    body: T,
    check: Check,
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonDraft<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (bytes, writer) = arrived(request).await?;
        Self::read(&bytes, writer)
    }
}

impl<T: DeserializeOwned> JsonDraft<T> {
    fn read(bytes: &[u8], writer: Audience) -> Result<Self, Problem> {
        match parse_from(bytes, writer) {
            Ok(body) => Ok(Self {
                body,
                check: Check::default(),
            }),
            Err(Unreadable {
                errors,
                mended: Some(body),
            }) => Ok(Self {
                body,
                check: Check::after(errors),
            }),
            Err(unreadable) => Err(unreadable.into()),
        }
    }

    /// What `look` reads from the body, if nothing is wrong with its shape and `look` refused nothing. Where it reads
    /// nothing, it refused something.
    pub(crate) fn done<U>(self, look: impl FnOnce(T, &mut Check) -> Option<U>) -> Result<U, Problem> {
        let Self { body, mut check } = self;
        let read = look(body, &mut check);
        check.done(read)
    }
}

/// As [`JsonDraft`], of nothing where there is no body: for verbs that need no more than their address.
#[derive(Debug)]
pub(crate) struct OptionalJsonDraft<T>(pub(crate) JsonDraft<T>);

impl<S: Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJsonDraft<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        use axum::body::HttpBody;
        if request.body().size_hint().exact() == Some(0) {
            return Ok(Self(JsonDraft {
                body: T::default(),
                check: Check::default(),
            }));
        }
        JsonDraft::from_request(request, state).await.map(Self)
    }
}

/// What arrived, and in whose name.
async fn arrived(request: Request) -> Result<(Bytes, Audience), Problem> {
    require_json(request.headers())?;
    let bytes_max = Record::of(request.extensions()).map_or(BODY_BYTES_MAX, Record::body_bytes_max);
    let record = Record::of(request.extensions()).cloned();
    let bytes = read(request.into_body(), bytes_max).await?;
    let reader = record.as_ref().and_then(Record::reader);
    let writer = reader.map_or(Audience::SELF, Reader::audience);
    if let (Some(record), Ok(text)) = (&record, std::str::from_utf8(&bytes)) {
        record.detection().look_at_json(record, text);
    }
    Ok((bytes, writer))
}

/// All that is wrong with the shape of a body, and what is left of it once that is mended.
#[derive(Debug)]
struct Unreadable<T> {
    errors: Vec<FieldError>,
    mended: Option<T>,
}

impl<T> From<Unreadable<T>> for Problem {
    fn from(unreadable: Unreadable<T>) -> Self {
        Self::invalid(unreadable.errors)
    }
}

/// A JSON body as `T`, or none: for verbs that need no more than their address.
#[derive(Clone, Copy, Debug)]
pub struct OptionalJsonBody<T>(pub Option<T>);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        use axum::body::HttpBody;
        if request.body().size_hint().exact() == Some(0) {
            return Ok(Self(None));
        }
        JsonBody::from_request(request, state)
            .await
            .map(|JsonBody(body)| Self(Some(body)))
    }
}

/// `Content-Type: application/json`, in UTF-8, not encoded.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail| Err(Problem::new(&codes::UNSUPPORTED_MEDIA_TYPE, detail));
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let media = types.next().map(|value| value.as_bytes());
    if types.next().is_some() || !media.is_some_and(is_json) {
        return refuse("The body must be JSON and say so with `Content-Type: application/json`.");
    }
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return refuse("The body must not be compressed.");
    }
    Ok(())
}

fn is_json(value: &[u8]) -> bool {
    if value == b"application/json" {
        return true;
    }
    let Ok(value) = std::str::from_utf8(value) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    parts
        .next()
        .is_some_and(|media| media.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| {
            parameter.is_empty()
                || parameter.split_once('=').is_some_and(|(name, value)| {
                    name.eq_ignore_ascii_case("charset")
                        && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
                })
        })
}

/// The whole body, within the bound.
pub(crate) async fn read(mut body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    use axum::body::HttpBody;
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Problem::body_too_large());
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // The client stopped in the middle, or did not speak HTTP.
        let frame = frame.map_err(|_| refused("", "body_empty", "did not arrive completely"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = first.as_ref().map_or(0, Bytes::len) + rest.len();
        if length + data.len() > bytes_max {
            return Err(Problem::body_too_large());
        }
        match &first {
            // Nearly every body is one frame: no copy.
            None => first = Some(data),
            Some(_) => rest.extend_from_slice(&data),
        }
    }
    let first = first.unwrap_or_default();
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

/// Reads `T` from JSON text with all the rules of a body; also for JSON that arrives in other ways.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    parse_from(bytes, Audience::SELF).map_err(Problem::from)
}

/// Reads `T` from JSON text that somebody wrote, who may not set every field of it.
fn parse_from<T: DeserializeOwned>(bytes: &[u8], writer: Audience) -> Result<T, Unreadable<T>> {
    let text = std::str::from_utf8(bytes).map_err(|_| unread("", "invalid_utf8", "must be UTF-8"))?;
    if text.trim_ascii().is_empty() {
        return Err(unread("", "body_empty", "must not be empty"));
    }
    match scan(text, JSON_DEPTH_MAX) {
        Ok(()) => {}
        Err(Finding::TooDeep) => {
            return Err(unread(
                "",
                "json_depth",
                format!("may be nested {JSON_DEPTH_MAX} levels deep"),
            ));
        }
        Err(Finding::Duplicate(pointer)) => {
            return Err(unread(&pointer, "duplicate_field", "appears twice"));
        }
    }
    let trail = Trail::of(writer);
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Strict::new(&mut reader, &trail))
        .map_err(|error| explain::<T>(text, &error, trail, writer))?;
    // What follows the value must be blank.
    reader
        .end()
        .map_err(|_| unread("", "json_syntax", "must be one JSON value with nothing behind it"))?;
    Ok(value)
}

fn unread<T>(pointer: &str, code: &str, detail: impl Into<String>) -> Unreadable<T> {
    Unreadable {
        errors: vec![FieldError::body(pointer, code, detail)],
        mended: None,
    }
}

fn refused(pointer: &str, code: &str, detail: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError::body(pointer, code, detail)])
}

/// Where the text is wrong and why, in our words: all of it.
fn explain<T: DeserializeOwned>(
    text: &str,
    error: &serde_json::Error,
    trail: Trail,
    writer: Audience,
) -> Unreadable<T> {
    // The parser also says "syntax" where an enum finds a number: only text that nobody can read is no JSON.
    if (error.is_syntax() || error.is_eof()) && serde_json::from_str::<IgnoredAny>(text).is_err() {
        let place = format!("is not JSON at line {}, column {}", error.line(), error.column());
        return unread("", "json_syntax", place);
    }
    let (first, _) = explained(&error.to_string(), &trail.into_segments());
    let (errors, mended) = json_mend::all::<T>(text, writer, first);
    Unreadable { errors, mended }
}

/// One thing that is wrong, and the name of the field where one is missing.
pub(super) fn explained(message: &str, path: &[Segment]) -> (FieldError, Option<String>) {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) if is_repeatable(key) => {
                pointer.push('/');
                pointer.push_str(key);
            }
            Segment::Index(index) => pointer.push_str(&format!("/{index}")),
            // The name may be a value in disguise: the pointer ends at the object around it.
            Segment::Key(_) => break,
        }
    }
    let (suffix, code, detail) = reason(message);
    // A field that is missing is in no trail, also where the object around it has the same name.
    if let Some(name) = suffix
        && (code == "required" || !pointer.ends_with(&format!("/{name}")))
    {
        pointer.push('/');
        pointer.push_str(name);
    }
    let missing = suffix.filter(|_| code == "required").map(str::to_owned);
    (FieldError::body(&pointer, code, detail), missing)
}

/// Serde only has sentences. Their beginnings are fixed (`serde::de::Error`); what they quote from the input
/// is dropped, what they quote from the type stays: `(name of the field, code, detail)`.
fn reason(message: &str) -> (Option<&str>, &'static str, String) {
    let quoted = |rest: &'static str| -> Option<&str> {
        let (name, _) = message.strip_prefix(rest)?.split_once('`')?;
        is_repeatable(name).then_some(name)
    };
    // The part behind the last "expected" comes from the type, never from the input.
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| {
        let end = expected.rfind(" at line ").unwrap_or(expected.len());
        expected[..end].to_owned()
    });
    if message.starts_with(NOT_YOURS) {
        (None, "not_yours", "is not for your role to set".into())
    } else if message.starts_with("expected value ") {
        (None, "wrong_type", "has the wrong type".into())
    } else if message.starts_with("missing field ") {
        (quoted("missing field `"), "required", "is missing".into())
    } else if message.starts_with("unknown field ") {
        (
            quoted("unknown field `"),
            "unknown_field",
            "is not known here".into(),
        )
    } else if message.starts_with("duplicate field ") {
        (
            quoted("duplicate field `"),
            "duplicate_field",
            "appears twice".into(),
        )
    } else if message.starts_with("invalid type: ") {
        (
            None,
            "wrong_type",
            expected.map_or("has the wrong type".into(), |it| format!("must be {it}")),
        )
    } else if message.starts_with("unknown variant ") {
        (
            None,
            "invalid_value",
            expected.map_or("is not a known value".into(), |it| format!("must be {it}")),
        )
    } else if message.starts_with("invalid value: ") || message.starts_with("invalid length ") {
        (
            None,
            "invalid_value",
            expected.map_or("is not a valid value".into(), |it| format!("must be {it}")),
        )
    } else {
        (None, "invalid_value", "is not a valid value".into())
    }
}

#[cfg(test)]
mod tests;
