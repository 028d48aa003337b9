//! The page of `/docs`.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

use super::{
    schema,
    text::{anchor, escape, inline, prose},
};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
const OTHER_TAG: &str = "other";

struct Operation<'a> {
    method: &'static str,
    path: &'a str,
    value: &'a Value,
}

impl Operation<'_> {
    fn anchor(&self) -> String {
        anchor("op", &format!("{} {}", self.method, self.path))
    }

    fn summary(&self) -> &str {
        self.value["summary"].as_str().unwrap_or(self.path)
    }
}

/// The whole page.
pub(super) fn render(document: &Value) -> String {
    let groups = groups(document);
    let info = &document["info"];
    let title = info["title"].as_str().unwrap_or_default();
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{0} API</title><link rel=\"stylesheet\" href=\"/docs/style.css\"></head><body>\
         <a class=\"skip\" href=\"#content\">Skip to content</a>\
         <header><h1>{0} API</h1><p class=\"quiet\">Version {1} · <a href=\"/openapi.json\">openapi.json</a></p></header>\
         <div class=\"columns\">",
        escape(title),
        escape(info["version"].as_str().unwrap_or_default()),
    );
    navigation(&mut out, &groups, document);
    out.push_str("<main id=\"content\"><section class=\"intro\">");
    out.push_str(&prose(info["description"].as_str().unwrap_or_default()));
    out.push_str("</section>");
    for (tag, operations) in &groups {
        let _ = write!(
            out,
            "<section><h2 id=\"{}\">{}</h2>",
            anchor("tag", tag),
            escape(&heading(tag))
        );
        out.push_str(&prose(tag_description(document, tag)));
        for operation in operations {
            article(&mut out, document, operation);
        }
        out.push_str("</section>");
    }
    schemas(&mut out, document);
    out.push_str("</main></div></body></html>");
    out
}

fn groups(document: &Value) -> BTreeMap<&str, Vec<Operation<'_>>> {
    let mut groups: BTreeMap<&str, Vec<Operation<'_>>> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let Some(value) = item.get(method) else { continue };
            let tag = value["tags"][0]
                .as_str()
                .filter(|tag| !tag.is_empty())
                .unwrap_or(OTHER_TAG);
            groups
                .entry(tag)
                .or_default()
                .push(Operation { method, path, value });
        }
    }
    groups
}

fn heading(tag: &str) -> String {
    let mut letters = tag.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

fn tag_description<'a>(document: &'a Value, tag: &str) -> &'a str {
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.filter(|known| known["name"] == tag)
        .find_map(|known| known["description"].as_str())
        .unwrap_or_default()
}

fn navigation(out: &mut String, groups: &BTreeMap<&str, Vec<Operation<'_>>>, document: &Value) {
    out.push_str("<nav aria-label=\"Contents\">");
    for (tag, operations) in groups {
        let _ = write!(
            out,
            "<h2><a href=\"#{}\">{}</a></h2><ul>",
            anchor("tag", tag),
            escape(&heading(tag))
        );
        for operation in operations {
            let _ = write!(
                out,
                "<li><a href=\"#{}\"><span class=\"method {1}\">{1}</span> {2}</a></li>",
                operation.anchor(),
                operation.method,
                escape(operation.summary())
            );
        }
        out.push_str("</ul>");
    }
    if document["components"]["schemas"].is_object() {
        out.push_str("<h2><a href=\"#schemas\">Schemas</a></h2>");
    }
    out.push_str("</nav>");
}

fn article(out: &mut String, document: &Value, operation: &Operation<'_>) {
    let value = operation.value;
    let _ = write!(
        out,
        "<article id=\"{}\"><h3>{}</h3><p class=\"route\"><span class=\"method {2}\">{2}</span> <code>{3}</code></p>",
        operation.anchor(),
        escape(operation.summary()),
        operation.method,
        escape(operation.path),
    );
    out.push_str(&prose(value["description"].as_str().unwrap_or_default()));
    parameters(out, value);
    if let Some(content) = value["requestBody"]["content"].as_object() {
        for (media, body) in content {
            let _ = write!(
                out,
                "<h4>Body <span class=\"quiet\">{}</span></h4>",
                escape(media)
            );
            let _ = write!(out, "<p>{}</p>", schema::kind(&body["schema"]));
            sample(out, document, body);
        }
    }
    out.push_str("<h4>Answers</h4>");
    for (status, response) in value["responses"].as_object().into_iter().flatten() {
        answer(out, document, status, response);
    }
    out.push_str("</article>");
}

fn parameters(out: &mut String, operation: &Value) {
    let Some(parameters) = operation["parameters"].as_array().filter(|list| !list.is_empty()) else {
        return;
    };
    out.push_str(
        "<h4>Parameters</h4><table><thead><tr><th scope=\"col\">Name</th><th scope=\"col\">In</th>\
         <th scope=\"col\">Type</th><th scope=\"col\">Meaning</th></tr></thead><tbody>",
    );
    for parameter in parameters {
        let mark = if parameter["required"] == true {
            ""
        } else {
            " <span class=\"quiet\">optional</span>"
        };
        let _ = write!(
            out,
            "<tr><td><code>{}</code>{mark}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(parameter["name"].as_str().unwrap_or_default()),
            escape(parameter["in"].as_str().unwrap_or_default()),
            schema::kind(&parameter["schema"]),
            inline(parameter["description"].as_str().unwrap_or_default()),
        );
    }
    out.push_str("</tbody></table>");
}

fn answer(out: &mut String, document: &Value, status: &str, response: &Value) {
    // The refusal that every operation shares is explained once, under its schema.
    let shared = response["$ref"]
        .as_str()
        .and_then(|at| at.strip_prefix("#/components/responses/"));
    let response = shared.map_or(response, |name| &document["components"]["responses"][name]);
    let class = status
        .get(..1)
        .filter(|digit| digit.bytes().all(|b| b.is_ascii_digit()))
        .unwrap_or("d");
    let _ = write!(
        out,
        "<details{}><summary><span class=\"status s{class}\">{}</span> {}</summary>",
        if shared.is_none() && class == "2" {
            " open"
        } else {
            ""
        },
        escape(status),
        inline(response["description"].as_str().unwrap_or_default()),
    );
    for (media, body) in response["content"].as_object().into_iter().flatten() {
        let _ = write!(
            out,
            "<p>{} <span class=\"quiet\">{}</span></p>",
            schema::kind(&body["schema"]),
            escape(media)
        );
        sample(out, document, body);
    }
    out.push_str("</details>");
}

fn sample(out: &mut String, document: &Value, body: &Value) {
    let named = body["examples"]
        .as_object()
        .and_then(|examples| examples.values().next());
    let example = match body.get("example").or_else(|| named.map(|named| &named["value"])) {
        Some(own) => own.clone(),
        None => schema::example(document, &body["schema"], 0),
    };
    if !example.is_null() {
        let text = serde_json::to_string_pretty(&example).unwrap_or_default();
        let _ = write!(out, "<pre tabindex=\"0\"><code>{}</code></pre>", escape(&text));
    }
}

fn schemas(out: &mut String, document: &Value) {
    let Some(all) = document["components"]["schemas"].as_object() else {
        return;
    };
    out.push_str("<section><h2 id=\"schemas\">Schemas</h2>");
    for (name, value) in all {
        let _ = write!(
            out,
            "<article id=\"{}\"><h3>{}</h3>",
            anchor("schema", name),
            escape(name)
        );
        out.push_str(&prose(value["description"].as_str().unwrap_or_default()));
        out.push_str(&schema::table(value));
        out.push_str("</article>");
    }
    out.push_str("</section>");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_shows_operations_with_their_parts_and_runs_nothing() {
        let document = json!({
            "info": {"title": "T<script>", "version": "1", "description": "d"},
            "paths": {"/a/{id}": {"post": {
                "tags": ["things"], "summary": "Make a thing", "description": "With `care`.",
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "responses": {"201": {"description": "made"}, "default": {"$ref": "#/components/responses/Problem"}},
            }}},
            "components": {
                "schemas": {"Thing": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}},
                "responses": {"Problem": {"description": "refused"}},
            },
        });
        let page = render(&document);
        for part in [
            "Make a thing",
            "<code>care</code>",
            "/a/{id}",
            "&quot;n&quot;: 1",
            "refused",
            "id=\"schema-thing\"",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        for forbidden in [
            "<script",
            "style=\"",
            "<style",
            "onclick",
            "javascript:",
            "http://",
            "https://",
        ] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}
