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
/// shapes and values at once. Where something is wrong the body is mended, and the check refuses it in the end:
/// nothing may be done with it before [`Check::done`].
#[derive(Debug)]
pub(crate) struct JsonDraft<T>(pub(crate) T, pub(crate) Check);

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
            Ok(body) => Ok(Self(body, Check::default())),
            Err(Unreadable {
                errors,
                mended: Some(body),
            }) => Ok(Self(body, Check::after(errors))),
            Err(unreadable) => Err(unreadable.into()),
        }
    }
}

/// As [`JsonDraft`], or none: for verbs that need no more than their address.
#[derive(Debug)]
pub(crate) struct OptionalJsonDraft<T>(pub(crate) Option<T>, pub(crate) Check);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for OptionalJsonDraft<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        use axum::body::HttpBody;
        if request.body().size_hint().exact() == Some(0) {
            return Ok(Self(None, Check::default()));
        }
        let JsonDraft(body, check) = JsonDraft::from_request(request, state).await?;
        Ok(Self(Some(body), check))
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
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;
    use crate::layers::RequestId;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Transfer {
        to: String,
        amount: Amount,
        #[serde(default)]
        lines: Vec<Line>,
        kind: Option<Kind>,
        #[serde(default)]
        labels: HashMap<String, String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Amount {
        amount: i64,
        currency: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Line {
        share: u8,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Checking,
        Savings,
    }

    fn first(text: &str) -> (String, String, String) {
        let problem = parse_json::<Transfer>(text.as_bytes()).unwrap_err();
        let document = problem.document(&RequestId::next());
        let error = document.errors.first().cloned().unwrap();
        (error.pointer, error.code, error.detail)
    }

    #[test]
    fn a_field_that_the_role_does_not_set_is_refused_where_it_sets_others() {
        let body = br#"{"customer_id": "user_1", "kind": "savings", "currency": "EUR", "name": "x",
            "overdraft": {"amount": 1, "currency": "EUR"}}"#;
        let read = |writer| {
            parse_from::<strongroom_api::accounts::OpenAccountFor>(body, writer).map_err(Problem::from)
        };
        assert!(read(Audience::TELLER).is_ok());
        assert!(read(Audience::SUPPORT.and(Audience::TELLER)).is_ok());
        let document = read(Audience::SUPPORT).unwrap_err().document(&RequestId::next());
        let error = &document.errors[0];
        assert_eq!(
            (error.pointer.as_str(), error.code.as_str()),
            ("/overdraft", "not_yours")
        );
        // Whoever sets none of it is refused as a whole, and not here.
        assert!(read(Audience::SELF).is_ok());
    }

    #[test]
    fn a_right_body_is_read() {
        let text =
            r#"{"to":"x","amount":{"amount":1,"currency":"EUR"},"lines":[{"share":1}],"kind":"savings"}"#;
        assert!(parse_json::<Transfer>(text.as_bytes()).is_ok());
    }

    #[test]
    fn every_mistake_has_its_code_and_place() {
        for (text, pointer, code) in [
            ("", "", "body_empty"),
            (" \n", "", "body_empty"),
            ("{", "", "json_syntax"),
            ("nonsense", "", "json_syntax"),
            (
                r#"{"to":"x","amount":{"amount":1,"currency":"EUR"}} {}"#,
                "",
                "json_syntax",
            ),
            (r#"{"to":"x",}"#, "", "json_syntax"),
            ("[]", "", "wrong_type"),
            ("null", "", "wrong_type"),
            (r#"{"amount":{"amount":1,"currency":"EUR"}}"#, "/to", "required"),
            (
                r#"{"to":"x","amount":{"amount":1}}"#,
                "/amount/currency",
                "required",
            ),
            (
                r#"{"to":"x","amount":{"currency":"EUR"}}"#,
                "/amount/amount",
                "required",
            ),
            (
                r#"{"to":"x","amount":{"amount":1,"currency":"EUR","x":1}}"#,
                "/amount/x",
                "unknown_field",
            ),
            (r#"{"extra":1}"#, "/extra", "unknown_field"),
            (r#"{"__proto__":{}}"#, "/__proto__", "unknown_field"),
            (r#"{"to":"x","to":"y"}"#, "/to", "duplicate_field"),
            (r#"{"labels":{"a":"1","a":"2"}}"#, "/labels/a", "duplicate_field"),
            (r#"{"to":7}"#, "/to", "wrong_type"),
            (r#"{"to":null}"#, "/to", "wrong_type"),
            (
                r#"{"to":"x","amount":{"amount":"12"}}"#,
                "/amount/amount",
                "wrong_type",
            ),
            (
                r#"{"to":"x","amount":{"amount":1.5}}"#,
                "/amount/amount",
                "wrong_type",
            ),
            (r#"{"to":"x","amount":{"amount":NaN}}"#, "", "json_syntax"),
            (
                r#"{"to":"x","amount":{"amount":1e400}}"#,
                "/amount/amount",
                "invalid_value",
            ),
            (
                r#"{"amount":{"amount":99999999999999999999}}"#,
                "/amount/amount",
                "wrong_type",
            ),
            (
                r#"{"lines":[{"share":1},{"share":256}]}"#,
                "/lines/1/share",
                "invalid_value",
            ),
            (r#"{"lines":[{"share":-1}]}"#, "/lines/0/share", "invalid_value"),
            (r#"["x",{"amount":1,"currency":"EUR"}]"#, "", "wrong_type"),
            (r#"{"to":"x","amount":[1,"EUR"]}"#, "/amount", "wrong_type"),
            (r#"{"lines":[[1]]}"#, "/lines/0", "wrong_type"),
            (r#"{"lines":{"share":1}}"#, "/lines", "wrong_type"),
            (r#"{"labels":{"a":{"b":1}}}"#, "/labels/a", "wrong_type"),
            (r#"{"kind":"wallet"}"#, "/kind", "invalid_value"),
            (r#"{"kind":7}"#, "/kind", "wrong_type"),
            ("{\"to\":\"\u{1}\"}", "", "json_syntax"),
            (r#"{"to":"\ud800"}"#, "/to", "invalid_value"),
        ] {
            let (found_pointer, found_code, _) = first(text);
            assert_eq!(
                (found_pointer.as_str(), found_code.as_str()),
                (pointer, code),
                "{text}"
            );
        }
        let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(first(&deep).1, "json_depth");
        let problem = parse_json::<Transfer>(b"{\"to\":\"\xff\"}").unwrap_err();
        assert_eq!(
            problem.document(&RequestId::next()).errors[0].code,
            "invalid_utf8"
        );
    }

    fn every(text: &str) -> Vec<(String, String)> {
        let problem = parse_json::<Transfer>(text.as_bytes()).unwrap_err();
        let errors = problem.document(&RequestId::next()).errors;
        errors
            .into_iter()
            .map(|error| (error.pointer, error.code))
            .collect()
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        for (text, expected) in [
            ("{}", vec![("/to", "required"), ("/amount", "required")]),
            (
                r#"{"to":7,"amount":{"amount":"12","currency":true,"note":1},"page":1}"#,
                vec![
                    ("/to", "wrong_type"),
                    ("/amount/amount", "wrong_type"),
                    ("/amount/currency", "wrong_type"),
                    ("/amount/note", "unknown_field"),
                    ("/page", "unknown_field"),
                ],
            ),
            (
                r#"{"amount":{},"lines":[{"share":256},{"share":1},{"part":2},7],"kind":"wallet"}"#,
                vec![
                    ("/amount/amount", "required"),
                    ("/amount/currency", "required"),
                    ("/lines/0/share", "invalid_value"),
                    ("/lines/2/part", "unknown_field"),
                    ("/lines/2/share", "required"),
                    ("/lines/3", "wrong_type"),
                    ("/kind", "invalid_value"),
                    ("/to", "required"),
                ],
            ),
            (
                r#"{"to":"x","amount":[1,"EUR"],"labels":{"a":1,"b":{}},"kind":7}"#,
                vec![
                    ("/amount", "wrong_type"),
                    ("/labels/a", "wrong_type"),
                    ("/labels/b", "wrong_type"),
                    ("/kind", "wrong_type"),
                ],
            ),
            ("[]", vec![("", "wrong_type")]),
            ("7", vec![("", "wrong_type")]),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
                .collect();
            assert_eq!(every(text), expected, "{text}");
        }
    }

    #[test]
    fn an_answer_names_a_bounded_number_of_errors() {
        let lines = vec![r#"{"share":"x"}"#; 500].join(",");
        let text = format!(r#"{{"lines":[{lines}]}}"#);
        assert_eq!(every(&text).len(), json_mend::ERRORS_MAX);
    }

    #[test]
    fn the_rejected_value_is_never_repeated() {
        for text in [
            r#"{"to":"x","amount":"canary-4711"}"#,
            r#"{"to":"x","amount":{"amount":"canary-4711, expected nothing"}}"#,
            r#"{"kind":"canary-4711"}"#,
            r#"{"canary-4711 is my password":1}"#,
            r#"{"canary-4711 is my password":1,"canary-4711 is my password":2}"#,
            r#"{"lines":"canary-4711"}"#,
            r#"{"labels":{"canary-4711 secret":1}}"#,
            r#""canary-4711""#,
            r#"canary-4711"#,
        ] {
            let problem = parse_json::<Transfer>(text.as_bytes()).unwrap_err();
            let document = serde_json::to_string(&problem.document(&RequestId::next())).unwrap();
            assert!(!document.contains("canary"), "{text} -> {document}");
            assert!(!format!("{problem:?}").contains("canary"), "{text}");
        }
    }

    #[test]
    fn the_detail_says_what_would_be_right() {
        assert_eq!(first(r#"{"kind":"wallet"}"#).2, "must be `checking` or `savings`");
        assert_eq!(first(r#"{"to":7}"#).2, "must be a string");
        assert_eq!(first(r#"{"amount":7}"#).2, "must be an object");
    }

    #[test]
    fn only_json_in_utf8_counts_as_json() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "text/json",
            "application/jsonx",
            "application/json; charset=latin1",
            "application/x-www-form-urlencoded",
            "application/json, text/plain",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
    }
}
