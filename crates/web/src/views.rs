//! Answers, written through the view of whoever asked.
//!
//! A handler answers [`Json`] of a wire type. What is written of it is decided in one place, when the front finishes
//! the answer: each field of each struct is looked up in [`strongroom_api::views`], and those that are not for this
//! caller are left out, at any depth. The names of structs and fields come from the types themselves, through their
//! serializer, so that no handler can forget one.

mod serializer;

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use serde::Serialize;
use strongroom_api::{audit_export::NDJSON, views::Audience};
use strongroom_app::{Cx, cx::Reach};

use self::serializer::Seen;
use crate::Problem;

/// Bytes that most answers fit into.
const ANSWER_BYTES: usize = 512;

/// An answer in JSON, of which everybody sees what is for them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Json<T>(pub(crate) T);

/// An answer in lines of JSON, of which everybody sees what is for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines<T>(pub(crate) Vec<T>);

/// Something that is written when it is known who reads it.
trait Shown: Send + Sync {
    fn media(&self) -> &'static str;
    fn write(&self, audience: Audience) -> serde_json::Result<Vec<u8>>;
}

impl<T: Serialize + Send + Sync> Shown for Json<T> {
    fn media(&self) -> &'static str {
        "application/json"
    }

    fn write(&self, audience: Audience) -> serde_json::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(ANSWER_BYTES);
        write_one(&self.0, &mut text, audience)?;
        Ok(text)
    }
}

impl<T: Serialize + Send + Sync> Shown for Lines<T> {
    fn media(&self) -> &'static str {
        NDJSON
    }

    fn write(&self, audience: Audience) -> serde_json::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(ANSWER_BYTES);
        for line in &self.0 {
            write_one(line, &mut text, audience)?;
            text.push(b'\n');
        }
        Ok(text)
    }
}

fn write_one(value: &impl Serialize, text: &mut Vec<u8>, audience: Audience) -> serde_json::Result<()> {
    value.serialize(Seen::new(&mut serde_json::Serializer::new(text), audience))
}

/// An answer that is not written yet.
#[derive(Clone)]
struct Unwritten(Arc<dyn Shown>);

impl<T: Serialize + Send + Sync + 'static> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        unwritten(self)
    }
}

impl<T: Serialize + Send + Sync + 'static> IntoResponse for Lines<T> {
    fn into_response(self) -> Response {
        unwritten(self)
    }
}

fn unwritten(answer: impl Shown + 'static) -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Unwritten(Arc::new(answer)));
    response
}

/// For whom an answer is written.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    roles: Audience,
    reach: Option<Reach>,
}

impl Reader {
    /// Whoever calls.
    pub(crate) fn of(cx: &Cx) -> Self {
        let roles = cx.rights.roles.iter();
        Self {
            roles: roles.fold(Audience::NOBODY, |all, role| {
                all.and(Audience::of_role(role.name()))
            }),
            reach: cx.reach().cloned(),
        }
    }

    /// Whose view it is: customers and strangers ask about themselves; an operator does while nothing was decided
    /// about what is somebody else's or the bank's.
    pub(crate) fn audience(&self) -> Audience {
        match &self.reach {
            Some(reach) if reach.is_beyond_own() => self.roles,
            _ => self.roles.and(Audience::SELF),
        }
    }
}

/// Writes an answer, where it waits for that.
pub(crate) fn finish(response: &mut Response, reader: Option<&Reader>) {
    let Some(Unwritten(answer)) = response.extensions_mut().remove() else {
        return;
    };
    match answer.write(reader.map_or(Audience::SELF, Reader::audience)) {
        Ok(text) => {
            *response.body_mut() = Body::from(text);
            // The router counted the empty body.
            response.headers_mut().remove(header::CONTENT_LENGTH);
            let media = HeaderValue::from_static(answer.media());
            response.headers_mut().insert(header::CONTENT_TYPE, media);
        }
        Err(error) => *response = Problem::internal(error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;
    use strongroom_api::views::{SCHEMAS, schema};

    use super::*;

    fn document() -> Value {
        let document = crate::v1::describe();
        serde_json::to_value(crate::openapi::finish(document, "https://localhost")).unwrap()
    }

    fn schemas(document: &Value) -> BTreeMap<String, Value> {
        serde_json::from_value(document["components"]["schemas"].clone()).unwrap()
    }

    /// Names of the fields that a schema has itself, in its variants or in what it is put together of, and those that
    /// are always there.
    fn fields(of: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
        let own = of["properties"].as_object().into_iter().flatten();
        let mut all: BTreeSet<String> = own.map(|(name, _)| name.clone()).collect();
        let required = of["required"].as_array().into_iter().flatten();
        let mut always: BTreeSet<String> = required.map(|name| name.as_str().unwrap().to_owned()).collect();
        for part in ["oneOf", "allOf"] {
            for part in of[part].as_array().into_iter().flatten() {
                let (more, needed) = fields(part);
                all.extend(more);
                always.extend(needed);
            }
        }
        (all, always)
    }

    /// All pages are one schema.
    fn table_name(name: &str) -> &str {
        if name.starts_with("Page_") { "Page" } else { name }
    }

    #[test]
    fn every_field_of_every_schema_belongs_to_an_audience() {
        let document = document();
        let mut missing = Vec::new();
        for (name, found) in schemas(&document) {
            let (all, always) = fields(&found);
            let Some(schema) = schema(table_name(&name)) else {
                missing.extend((!all.is_empty()).then(|| format!("{name}: {all:?}")));
                continue;
            };
            let known: BTreeSet<String> = schema
                .fields
                .iter()
                .map(|(field, _)| (*field).to_owned())
                .collect();
            missing.extend(all.difference(&known).map(|field| format!("{name}.{field}")));
            missing.extend(
                known
                    .difference(&all)
                    .map(|field| format!("{name}.{field} is not there")),
            );
            // What is withheld from somebody cannot be promised to everybody who sees the rest.
            let everybody = schema
                .fields
                .iter()
                .fold(Audience::NOBODY, |all, (_, one)| all.and(*one));
            let is_answer = found["additionalProperties"] != Value::Bool(false);
            let withheld = |field: &&(&str, Audience)| is_answer && field.1 != everybody;
            let withheld = schema.fields.iter().filter(withheld);
            missing.extend(
                withheld
                    .filter(|(field, _)| always.contains(*field))
                    .map(|(field, _)| format!("{name}.{field} is promised to all")),
            );
        }
        assert!(missing.is_empty(), "crates/api/src/views.rs: {missing:#?}");
    }

    #[test]
    fn the_table_has_no_schema_that_nobody_reads_or_writes() {
        let document = document().to_string();
        for schema in SCHEMAS {
            let name = format!("/schemas/{}\"", schema.name);
            let is_used = schema.name == "Page"
                || schema.name == "Health"
                || schema.name == "CheckResult"
                || document.contains(&name)
                || document.contains(&format!("\"{}\":{{", schema.name));
            assert!(is_used, "{}", schema.name);
        }
    }

    /// What a struct brings in by flattening is written as a map, which has no names of structs: all of it has to be
    /// for whoever sees the rest.
    #[test]
    fn what_is_put_together_is_for_one_audience() {
        for (name, found) in schemas(&document()) {
            for part in found["allOf"].as_array().into_iter().flatten() {
                let Some(part) = part["$ref"].as_str().and_then(|path| path.rsplit('/').next()) else {
                    continue;
                };
                let (whole, part) = (schema(&name).unwrap(), schema(part).unwrap());
                let (_, whole) = whole.fields[0];
                for (field, audience) in part.fields {
                    assert_eq!(audience.and(whole), *audience, "{name}: {}.{field}", part.name);
                }
            }
        }
    }

    /// Whether every object of a body refuses what it does not know.
    fn check_strict(
        found: &Value,
        all: &BTreeMap<String, Value>,
        seen: &mut BTreeSet<String>,
        open: &mut Vec<String>,
    ) {
        match found {
            Value::Object(members) => {
                if let Some(name) = members.get("$ref").and_then(Value::as_str) {
                    let name = name.rsplit('/').next().unwrap().to_owned();
                    if seen.insert(name.clone()) {
                        let schema = &all[&name];
                        if schema.get("properties").is_some()
                            && schema["additionalProperties"] != Value::Bool(false)
                        {
                            open.push(name);
                        }
                        check_strict(schema, all, seen, open);
                    }
                }
                for (name, member) in members {
                    if name != "example" {
                        check_strict(member, all, seen, open);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    check_strict(item, all, seen, open);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn every_body_refuses_a_field_that_it_does_not_know() {
        let document = document();
        let all = schemas(&document);
        let (mut seen, mut open) = (BTreeSet::new(), Vec::new());
        for operations in document["paths"].as_object().unwrap().values() {
            for operation in operations.as_object().unwrap().values() {
                check_strict(&operation["requestBody"], &all, &mut seen, &mut open);
            }
        }
        assert!(seen.len() > 40, "{seen:?}");
        assert!(open.is_empty(), "{open:?}");
    }
}
