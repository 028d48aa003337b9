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
    let read =
        |writer| parse_from::<strongroom_api::accounts::OpenAccountFor>(body, writer).map_err(Problem::from);
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
fn a_draft_gives_up_nothing_where_its_shape_or_a_value_is_wrong() {
    let read = |text: &str| JsonDraft::<Amount>::read(text.as_bytes(), Audience::SELF).unwrap();
    let told = |problem: Problem| {
        let errors = problem.document(&RequestId::next()).errors;
        let told = errors.into_iter().map(|error| (error.pointer, error.code));
        told.collect::<Vec<_>>()
    };
    let of = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    let right = r#"{"amount":1,"currency":"EUR"}"#;
    assert_eq!(read(right).done(|body, _| Some(body.amount)).map_err(told), Ok(1));
    let refuse = |body: Amount, check: &mut Check| {
        check.refuse("/amount", "out_of_range", "must be more");
        Some(body.amount)
    };
    assert_eq!(
        read(right).done(refuse).map_err(told),
        Err(vec![of("/amount", "out_of_range")])
    );
    // Once it is mended nothing is wrong with what is left.
    let more = r#"{"amount":1,"currency":"EUR","more":1}"#;
    assert_eq!(
        read(more).done(|body, _| Some(body.amount)).map_err(told),
        Err(vec![of("/more", "unknown_field")])
    );
    assert_eq!(
        read(more).done(refuse).map_err(told),
        Err(vec![of("/more", "unknown_field"), of("/amount", "out_of_range")])
    );
}

#[test]
fn a_right_body_is_read() {
    let text = r#"{"to":"x","amount":{"amount":1,"currency":"EUR"},"lines":[{"share":1}],"kind":"savings"}"#;
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
