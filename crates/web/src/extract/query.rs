//! Query strings: a flat list of names and values, with the same strictness as bodies. Percent escapes must
//! be complete and UTF-8 (libraries replace what they cannot read and so change the value), names may appear
//! once, unknown names are refused.

use std::fmt;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::{
    de::{self, DeserializeOwned, IntoDeserializer, Visitor},
    forward_to_deserialize_any,
};
use strongroom_api::FieldError;

use super::is_repeatable;
use crate::Problem;

/// The longest query, in bytes.
pub const QUERY_BYTES_MAX: usize = 4096;
/// How many parameters a query may have.
pub const QUERY_PARAMETERS_MAX: usize = 32;

/// The query as `T`. Types refuse unknown names with `#[serde(deny_unknown_fields)]`.
#[derive(Clone, Copy, Debug)]
pub struct QueryParams<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse(parts.uri.query().unwrap_or_default())
            .map(Self)
            .map_err(Problem::invalid)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Vec<FieldError>> {
    let pairs = form_pairs(query, QUERY_BYTES_MAX).map_err(|error| vec![error])?;
    form_fields(&pairs).map_err(|first| all_errors::<T>(&pairs, first))
}

/// Everything that is wrong, the first first: what is named is mended, and the rest read again.
fn all_errors<T: DeserializeOwned>(pairs: &[(String, String)], first: FieldError) -> Vec<FieldError> {
    let mut mended: Vec<(&str, Value<'_>)> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), Value(Some(value))))
        .collect();
    let mut found = Vec::new();
    // A parameter is wrong once, and so is one that is missing.
    for _ in 0..2 * QUERY_PARAMETERS_MAX {
        let Err((refusal, current)) = read_fields::<T>(&mended) else {
            break;
        };
        let place = mended.iter().position(|(name, _)| Some(*name) == current);
        let again = match (&refusal, place) {
            (Refusal::Missing(name), _) if mended.iter().all(|(known, _)| known != name) => {
                mended.push((name, Value(None)));
                true
            }
            (Refusal::Unknown, Some(place)) => {
                mended.remove(place);
                true
            }
            (Refusal::Type(_) | Refusal::Value(_), Some(place)) => match mended.get_mut(place) {
                Some((_, value)) if value.0.is_some() => {
                    *value = Value(None);
                    true
                }
                _ => false,
            },
            _ => false,
        };
        let error = told(refusal, current);
        if !found.contains(&error) {
            found.push(error);
        }
        if !again {
            break;
        }
    }
    if found.is_empty() { vec![first] } else { found }
}

/// Names and values of a query or a form, each name once.
pub(crate) fn form_pairs(query: &str, bytes_max: usize) -> Result<Vec<(String, String)>, FieldError> {
    if query.len() > bytes_max {
        return Err(FieldError::query(
            "",
            "too_many",
            format!("may be {bytes_max} bytes long"),
        ));
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == QUERY_PARAMETERS_MAX {
            return Err(FieldError::query(
                "",
                "too_many",
                format!("may have {QUERY_PARAMETERS_MAX} parameters"),
            ));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).ok_or_else(|| FieldError::query("", "invalid_utf8", "must be UTF-8"))?;
        let Some(value) = decode(value) else {
            return Err(field(
                &name,
                "invalid_utf8",
                "must be UTF-8 in complete percent escapes",
            ));
        };
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(field(&name, "duplicate_field", "appears twice"));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Names and values as `T`.
pub(crate) fn form_fields<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, FieldError> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), Value(Some(value))))
        .collect();
    read_fields(&pairs).map_err(|(refusal, current)| told(refusal, current))
}

/// Names and values as `T`, or why not and at which name.
fn read_fields<'a, T: DeserializeOwned>(
    pairs: &[(&'a str, Value<'a>)],
) -> Result<T, (Refusal, Option<&'a str>)> {
    let current = std::cell::Cell::new(None);
    let entries = pairs.iter().map(|(name, value)| {
        current.set(Some(*name));
        (*name, *value)
    });
    T::deserialize(de::value::MapDeserializer::new(entries)).map_err(|error: Refusal| (error, current.get()))
}

fn told(refusal: Refusal, current: Option<&str>) -> FieldError {
    let current = current.unwrap_or_default();
    match refusal {
        Refusal::Missing(name) => FieldError::query(name, "required", "is missing"),
        Refusal::Unknown => field(current, "unknown_field", "is not known here"),
        Refusal::Type(expected) => field(current, "wrong_type", expected),
        Refusal::Value(expected) => field(current, "invalid_value", expected),
    }
}

fn field(name: &str, code: &str, detail: impl Into<String>) -> FieldError {
    FieldError::query(if is_repeatable(name) { name } else { "" }, code, detail)
}

/// `None` where an escape is incomplete or the bytes are no UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (rest.next()?, rest.next()?);
                let digit = |byte: u8| {
                    char::from(byte)
                        .to_digit(16)
                        .and_then(|digit| u8::try_from(digit).ok())
                };
                digit(high)? << 4 | digit(low)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Why a query is not the type: our own error, so that nothing of the input gets into it.
#[derive(Debug)]
enum Refusal {
    Missing(&'static str),
    Unknown,
    Type(String),
    Value(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid query")
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Value("is not a valid value".into())
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::Value(format!("must be one of {}", known.join(", ")))
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Type(format!("must be {expected}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Value(format!("must be {expected}"))
    }
}

/// One value: text that numbers, booleans and enums are read from; none gives whatever is asked for.
#[derive(Clone, Copy)]
struct Value<'a>(Option<&'a str>);

impl<'a> IntoDeserializer<'a, Refusal> for Value<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $what:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            // `parse` also takes a leading plus sign; a number has one spelling here.
            let number = match self.0 {
                Some(text) if text.starts_with('+') => None,
                Some(text) => text.parse::<$type>().ok(),
                None => Some(<$type>::default()),
            };
            visitor.$visit(number.ok_or_else(|| Refusal::Type(concat!("must be ", $what).into()))?)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Value<'de> {
    type Error = Refusal;

    numbers! {
        deserialize_u8 visit_u8 u8, "a whole number from 0 to 255";
        deserialize_u16 visit_u16 u16, "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number, not negative";
        deserialize_u64 visit_u64 u64, "a whole number, not negative";
        deserialize_i32 visit_i32 i32, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_bool visit_bool bool, "`true` or `false`";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_borrowed_str(self.0.unwrap_or_default())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0 {
            Some(_) => visitor.visit_some(self),
            None => visitor.visit_none(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let given = self.0.or_else(|| variants.first().copied());
        visitor.visit_enum(given.unwrap_or_default().into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Page {
        limit: Option<u8>,
        cursor: Option<String>,
        min_amount: Option<i64>,
        kind: Option<Kind>,
        #[serde(default)]
        dry_run: bool,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Debit,
        Credit,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read into")]
    struct Moment {
        at: String,
    }

    #[test]
    fn a_right_query_is_read() {
        assert_eq!(parse::<Page>("").unwrap(), Page::default());
        let page: Page =
            parse("limit=20&cursor=a%2Bb+c%C3%A9&min_amount=-5&kind=credit&dry_run=true").unwrap();
        let expected = Page {
            limit: Some(20),
            cursor: Some("a+b cé".into()),
            min_amount: Some(-5),
            kind: Some(Kind::Credit),
            dry_run: true,
        };
        assert_eq!(page, expected);
    }

    #[test]
    fn every_mistake_has_its_code_and_place() {
        for (query, pointer, code) in [
            ("limit=x", "?limit", "wrong_type"),
            ("limit=256", "?limit", "wrong_type"),
            ("limit=-1", "?limit", "wrong_type"),
            ("limit=+1", "?limit", "wrong_type"),
            ("limit=%2B1", "?limit", "wrong_type"),
            ("limit=", "?limit", "wrong_type"),
            ("limit=1.0", "?limit", "wrong_type"),
            ("dry_run=yes", "?dry_run", "wrong_type"),
            ("dry_run", "?dry_run", "wrong_type"),
            ("kind=both", "?kind", "invalid_value"),
            ("limit=1&limit=1", "?limit", "duplicate_field"),
            ("limit=1&%6Cimit=2", "?limit", "duplicate_field"),
            ("page=1", "?page", "unknown_field"),
            ("a%20b=1", "?", "unknown_field"),
            ("cursor=%ff", "?cursor", "invalid_utf8"),
            ("cursor=%4", "?cursor", "invalid_utf8"),
            ("cursor=%zz", "?cursor", "invalid_utf8"),
            ("%ff=1", "?", "invalid_utf8"),
        ] {
            let [error]: [FieldError; 1] = parse::<Page>(query).unwrap_err().try_into().unwrap();
            assert_eq!(
                (error.pointer.as_str(), error.code.as_str()),
                (pointer, code),
                "{query}"
            );
        }
        let [error]: [FieldError; 1] = parse::<Moment>("").unwrap_err().try_into().unwrap();
        assert_eq!((error.pointer.as_str(), error.code.as_str()), ("?at", "required"));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let errors = parse::<Page>("limit=x&page=1&kind=both&dry_run=perhaps&cursor=a&size=2").unwrap_err();
        let told: Vec<_> = errors
            .iter()
            .map(|error| (error.pointer.as_str(), error.code.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("?limit", "wrong_type"),
                ("?page", "unknown_field"),
                ("?kind", "invalid_value"),
                ("?dry_run", "wrong_type"),
                ("?size", "unknown_field"),
            ]
        );
        let errors = parse::<Moment>("until=1").unwrap_err();
        assert_eq!(
            errors.len(),
            1,
            "what is not known is no mistake where a type does not say so"
        );
    }

    #[test]
    fn queries_are_bounded() {
        let many: Vec<String> = (0..=QUERY_PARAMETERS_MAX).map(|i| format!("p{i}=1")).collect();
        assert_eq!(parse::<Page>(&many.join("&")).unwrap_err()[0].code, "too_many");
        let long = format!("cursor={}", "x".repeat(QUERY_BYTES_MAX));
        assert_eq!(parse::<Page>(&long).unwrap_err()[0].code, "too_many");
    }

    #[test]
    fn the_rejected_value_is_never_repeated() {
        for query in [
            "limit=canary",
            "kind=canary",
            "canary%20x=1",
            "cursor=canary%ff",
            "dry_run=canary",
        ] {
            assert!(
                !format!("{:?}", parse::<Page>(query).unwrap_err()).contains("canary"),
                "{query}"
            );
        }
    }
}
