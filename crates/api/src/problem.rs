//! The problem document: the one shape of every refusal (RFC 9457).
//!
//! Clients match on `code`; people read `title` and `detail`; support asks for `request_id`. A document
//! never repeats a rejected value and never names a table, a file, a permission or a library.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:strongroom:error:validation_failed",
    "title": "The request is not valid",
    "status": 400,
    "detail": "One field is not valid.",
    "code": "validation_failed",
    "request_id": "req_01jd3vw4ezfkx8y0q4sfcmj2t9",
    "errors": [{"pointer": "/amount/amount", "code": "wrong_type", "detail": "must be an integer"}]
}))]
pub struct Problem {
    /// `urn:strongroom:error:` and the code. A name, not an address: nothing needs to be fetched, and the
    /// error reference lists every one of them.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same short sentence for every problem of this code.
    pub title: String,
    /// The status code of the answer, repeated for readers that lost it.
    pub status: u16,
    /// What went wrong this time, for people. Not stable: never parse it.
    pub detail: String,
    /// The stable name of the error. Match on this.
    pub code: String,
    /// The number of the request, also in the `X-Request-Id` header. Name it when asking for help.
    pub request_id: String,
    /// Every field that was refused, where fields are to blame.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// With `step_up_required`: what a second factor has to approve. Valid for five minutes, for exactly
    /// this request, once. With `puzzle_required`: the puzzle; for five minutes, for this address, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// With `duplicate_suspected`: repeat the request with this text in `X-Confirm-Duplicate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<String>,
    /// With `idempotency_key_reused`, `duplicate_suspected` and `already_reversed`: the earlier resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// With a blocked request: the number under which operators find the incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<String>,
}

/// One field of a request that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"pointer": "/amount/currency", "code": "required", "detail": "is missing"}))]
pub struct FieldError {
    /// Where: a JSON pointer into the body (RFC 6901; empty means the whole body), `?name` for a query
    /// parameter, `{name}` for a part of the path, `Name:` for a header.
    pub pointer: String,
    /// What: `required`, `unknown_field`, `duplicate_field`, `wrong_type`, `invalid_value`, … A stable name.
    pub code: String,
    /// What would be right, for people. Never holds the rejected value.
    pub detail: String,
}

impl FieldError {
    /// A refused field of the body; `pointer` is a JSON pointer such as `/amount/currency`.
    pub fn body(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code: code.to_owned(),
            detail: detail.into(),
        }
    }

    /// A refused query parameter.
    pub fn query(name: &str, code: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: format!("?{name}"),
            code: code.to_owned(),
            detail: detail.into(),
        }
    }

    /// A refused part of the path.
    pub fn path(name: &str, code: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: format!("{{{name}}}"),
            code: code.to_owned(),
            detail: detail.into(),
        }
    }

    /// A refused header.
    pub fn header(name: &str, code: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: format!("{name}:"),
            code: code.to_owned(),
            detail: detail.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_members_do_not_appear_on_the_wire() {
        let problem = Problem {
            kind: "urn:strongroom:error:forbidden".into(),
            title: "Not allowed".into(),
            status: 403,
            detail: "No.".into(),
            code: "forbidden".into(),
            request_id: "req_1".into(),
            errors: vec![],
            challenge: None,
            confirmation: None,
            resource: None,
            incident_id: None,
        };
        let json = serde_json::to_value(&problem).unwrap();
        let names: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names.len(), 6, "{names:?}");
        assert_eq!(json["type"], "urn:strongroom:error:forbidden");
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
    }

    #[test]
    fn pointers_say_which_part_of_the_request_they_mean() {
        assert_eq!(FieldError::body("/a/0", "required", "x").pointer, "/a/0");
        assert_eq!(FieldError::query("limit", "required", "x").pointer, "?limit");
        assert_eq!(FieldError::path("id", "required", "x").pointer, "{id}");
        assert_eq!(
            FieldError::header("Idempotency-Key", "required", "x").pointer,
            "Idempotency-Key:"
        );
    }
}
