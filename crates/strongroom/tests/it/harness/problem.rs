//! What every refusal must look like, by the reference in `docs/errors.md`.

use std::collections::{BTreeMap, BTreeSet};

use super::Answer;

const REFERENCE: &str = include_str!("../../../../../docs/errors.md");

/// Stands where a value is refused: it must not come back.
pub(crate) const CANARY: &str = "canary-4711-must-not-be-repeated";

/// The documented codes.
#[derive(Debug)]
pub(crate) struct Reference {
    statuses: BTreeMap<String, u16>,
    fields: BTreeSet<String>,
}

impl Reference {
    /// Reads the reference of the repository.
    pub(crate) fn read() -> Self {
        let (mut statuses, mut fields) = (BTreeMap::new(), BTreeSet::new());
        for line in REFERENCE.lines() {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let Some(code) = cells
                .next()
                .and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`'))
            else {
                continue;
            };
            match cells.next().map(str::parse::<u16>) {
                Some(Ok(status)) => drop(statuses.insert(code.to_owned(), status)),
                _ => drop(fields.insert(code.to_owned())),
            }
        }
        assert!(
            statuses.len() > 20 && fields.len() > 10,
            "{statuses:?} {fields:?}"
        );
        Self { statuses, fields }
    }

    /// A problem document with a documented code and its status, which repeats nothing.
    #[track_caller]
    pub(crate) fn check(&self, answer: &Answer, what: &str) {
        let body = &answer.body;
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{what}: {answer:?}"
        );
        assert_eq!(
            self.statuses.get(answer.code()),
            Some(&answer.status),
            "{what}: {answer:?}"
        );
        assert_eq!(
            body["status"].as_u64(),
            Some(u64::from(answer.status)),
            "{what}: {answer:?}"
        );
        assert_eq!(
            body["type"],
            format!("urn:strongroom:error:{}", answer.code()),
            "{what}"
        );
        for text in ["title", "detail"] {
            assert!(
                body[text].as_str().is_some_and(|text| !text.is_empty()),
                "{what}: {answer:?}"
            );
        }
        assert_eq!(
            body["request_id"].as_str(),
            answer.header("x-request-id"),
            "{what}: {answer:?}"
        );
        for error in body["errors"].as_array().into_iter().flatten() {
            let code = error["code"].as_str().unwrap_or_default();
            assert!(self.fields.contains(code), "{what}: {error}");
            assert!(
                error["pointer"].is_string() && error["detail"].is_string(),
                "{what}: {error}"
            );
        }
        let all = format!("{body}{:?}", answer.headers);
        assert!(!all.contains(CANARY), "{what}: {all}");
    }

    /// The same, and the code is this one.
    #[track_caller]
    pub(crate) fn refused(&self, answer: &Answer, status: u16, code: &str, what: &str) {
        self.check(answer, what);
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{what}: {answer:?}"
        );
    }

    /// `validation_failed`, about this field, for this reason.
    #[track_caller]
    pub(crate) fn field(&self, answer: &Answer, pointer: &str, codes: &[&str], what: &str) {
        self.refused(answer, 400, "validation_failed", what);
        let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
        let named = errors.iter().any(|error| {
            error["pointer"] == pointer && codes.contains(&error["code"].as_str().unwrap_or_default())
        });
        assert!(named, "{what}: wanted {codes:?} at {pointer:?}, got {errors:?}");
    }
}
