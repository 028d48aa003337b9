//! Schemas as tables, and examples made from them.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::text::{anchor, escape, inline};

/// How deep an example follows references: schemas may contain themselves.
const EXAMPLE_DEPTH_MAX: usize = 6;

const SCHEMA_REF: &str = "#/components/schemas/";

/// What a schema is, in a few words, with links to named schemas.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return format!("<a href=\"#{}\">{}</a>", anchor("schema", name), escape(name));
    }
    for (key, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if let Some(parts) = schema[key].as_array() {
            let parts: Vec<String> = parts
                .iter()
                .filter(|part| part["type"] != "null")
                .map(kind)
                .collect();
            return parts.join(word);
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .map(|v| format!("<code>{}</code>", escape(&plain(v))))
            .collect();
        return values.join(" or ");
    }
    let name = match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "any".to_owned(),
    };
    if name == "array" {
        return format!("list of {}", kind(&schema["items"]));
    }
    match schema["format"].as_str() {
        Some(format) => format!(
            "{} <span class=\"quiet\">({})</span>",
            escape(&name),
            escape(format)
        ),
        None => escape(&name),
    }
}

/// The fields of an object as a table; other schemas in one line.
pub(super) fn table(schema: &Value) -> String {
    let Some(fields) = schema["properties"].as_object() else {
        return format!("<p>{}</p>", kind(schema));
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut out = String::from(
        "<table><thead><tr><th scope=\"col\">Field</th><th scope=\"col\">Type</th><th scope=\"col\">Meaning</th></tr></thead><tbody>",
    );
    for (name, field) in fields {
        let mark = if required.contains(&name.as_str()) {
            ""
        } else {
            " <span class=\"quiet\">optional</span>"
        };
        let _ = write!(
            out,
            "<tr><td><code>{}</code>{mark}</td><td>{}</td><td>{}</td></tr>",
            escape(name),
            kind(field),
            inline(field["description"].as_str().unwrap_or_default())
        );
    }
    out.push_str("</tbody></table>");
    out
}

/// An example: the author's own where there is one, else one made from the types.
pub(super) fn example(document: &Value, schema: &Value, depth: usize) -> Value {
    if let Some(own) = schema.get("example").or_else(|| schema["examples"].get(0)) {
        return own.clone();
    }
    if depth == EXAMPLE_DEPTH_MAX {
        return Value::Null;
    }
    if let Some(name) = reference(schema) {
        return example(document, &document["components"]["schemas"][name], depth + 1);
    }
    if let Some(part) = ["oneOf", "anyOf"].into_iter().find_map(|key| {
        schema[key]
            .as_array()
            .and_then(|parts| parts.iter().find(|part| part["type"] != "null"))
    }) {
        return example(document, part, depth + 1);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(fields) = example(document, part, depth + 1) {
                whole.extend(fields);
            }
        }
        return Value::Object(whole);
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    let name = match &schema["type"] {
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|name| *name != "null")
            .unwrap_or_default(),
        name => name.as_str().unwrap_or_default(),
    };
    match name {
        "object" => {
            let fields = schema["properties"].as_object();
            let fields = fields.into_iter().flatten();
            Value::Object(
                fields
                    .map(|(name, field)| (name.clone(), example(document, field, depth + 1)))
                    .collect(),
            )
        }
        "array" => json!([example(document, &schema["items"], depth + 1)]),
        "integer" | "number" => json!(1),
        "boolean" => json!(true),
        "string" => match schema["format"].as_str() {
            Some("date-time") => json!("2026-11-20T12:00:00Z"),
            Some("date") => json!("2026-11-20"),
            _ => json!("text"),
        },
        _ => Value::Null,
    }
}

fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix(SCHEMA_REF)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_of_a_schema_that_contains_itself_ends() {
        let node = json!({"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}});
        let document = json!({"components": {"schemas": {"Node": node}}});
        assert!(example(&document, &node, 0)["next"].is_object());
    }

    #[test]
    fn an_optional_reference_reads_as_the_schema_it_names() {
        let field = json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Money"}]});
        assert_eq!(kind(&field), "<a href=\"#schema-money\">Money</a>");
    }
}
