//! The regression tests of the OWASP Core Rule Set: requests, and the rules that must or must not meet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use strongroom_guard::Part;
use yaml_rust2::{Yaml, YamlLoader};

use crate::{Asked, Case, walk};

/// Requests that rules of level 1 against the attacks that Strongroom looks for must find, and those that no rule of
/// the file must.
pub(crate) fn read(folder: &Path) -> (Vec<Case>, Vec<Case>) {
    let levels = levels(&folder.join("rules"));
    let mut files = Vec::new();
    walk(&folder.join("tests/regression/tests"), &mut files);
    let (mut attacks, mut honest) = (Vec::new(), Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let path = file.display().to_string();
        let kind = [
            ("-930-", "traversal"),
            ("-931-", "file inclusion"),
            ("-932-", "command"),
            ("-933-", "code of PHP"),
            ("-941-", "script"),
            ("-942-", "sql"),
        ];
        let Some((_, kind)) = kind.into_iter().find(|(number, _)| path.contains(number)) else {
            continue;
        };
        let Ok(documents) = YamlLoader::load_from_str(&text) else {
            continue;
        };
        for test in documents.iter().flat_map(|document| document["tests"].clone()) {
            let title = test["test_title"].as_str().unwrap_or_default().to_owned();
            for stage in test["stages"].clone() {
                let stage = &stage["stage"];
                let Some(asked) = asked(&stage["input"]) else {
                    continue;
                };
                let case = Case {
                    kind: kind.to_owned(),
                    name: title.clone(),
                    asked,
                };
                let rule = title.split('-').next().unwrap_or_default();
                let is_wanted = |key: &str| {
                    stage["output"][key]
                        .as_str()
                        .is_some_and(|text| text.contains(rule))
                };
                if is_wanted("log_contains") && levels.contains(rule) {
                    attacks.push(case);
                } else if is_wanted("no_log_contains") {
                    honest.push(case);
                }
            }
        }
    }
    (attacks, honest)
}

/// Numbers of the rules of level 1.
fn levels(folder: &Path) -> BTreeSet<String> {
    let mut files = Vec::new();
    walk(folder, &mut files);
    let mut first = BTreeSet::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let mut number = String::new();
        for line in text.lines() {
            if let Some((_, after)) = line.split_once("id:") {
                let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
                if digits.len() == 6 {
                    number = digits;
                }
            }
            if line.contains("paranoia-level/1") {
                first.insert(number.clone());
            }
        }
    }
    first
}

fn text(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Array(lines) => Some(lines.iter().filter_map(text).collect::<Vec<_>>().join("\r\n")),
        _ => None,
    }
}

/// Takes a request apart as the server does.
fn asked(input: &Yaml) -> Option<Asked> {
    let headers: BTreeMap<String, String> = input["headers"]
        .as_hash()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((text(name)?.to_ascii_lowercase(), text(value)?)))
        .collect();
    if !input["encoded_request"].is_badvalue() {
        return None;
    }
    let mut asked = Vec::new();
    let uri = text(&input["uri"]).unwrap_or_default();
    let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
    asked.push((Part::Path, path.as_bytes().to_vec()));
    pairs(query, Part::Query, &mut asked);
    for (name, value) in &headers {
        match name.as_str() {
            "host" | "accept" | "content-type" | "content-length" | "connection" => {}
            "cookie" => {
                for pair in value.split(';') {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    asked.push((Part::Header, name.trim().as_bytes().to_vec()));
                    asked.push((Part::Header, value.as_bytes().to_vec()));
                }
            }
            _ => asked.push((Part::Header, value.as_bytes().to_vec())),
        }
    }
    let data = text(&input["data"]).unwrap_or_default();
    let content = headers.get("content-type").map_or("", String::as_str);
    if content.contains("json") {
        if let Ok(value) = serde_json::from_str(&data) {
            strings(&value, &mut asked);
        }
    } else if content.contains("xml") || content.contains("multipart") {
        asked.push((Part::Body, data.into_bytes()));
    } else {
        pairs(&data, Part::Query, &mut asked);
    }
    Some(asked)
}

/// Names and values of a query or a form.
fn pairs(text: &str, part: Part, asked: &mut Asked) {
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        asked.push((part, name.as_bytes().to_vec()));
        asked.push((part, value.as_bytes().to_vec()));
    }
}

fn strings(value: &serde_json::Value, asked: &mut Asked) {
    match value {
        serde_json::Value::String(text) => asked.push((Part::Body, text.clone().into_bytes())),
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, asked)),
        serde_json::Value::Object(fields) => fields.iter().for_each(|(name, item)| {
            asked.push((Part::Body, name.clone().into_bytes()));
            strings(item, asked);
        }),
        _ => {}
    }
}
