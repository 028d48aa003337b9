//! What free text contains now and then: rules of the levels above the first.

use super::{
    Attack::{Command, Script, Sql},
    Form::{Bare, Sign, Text},
    Paranoia, Rule, is_script, is_sql, rule,
};

/// Rules of levels 2 to 4.
pub(super) const RULES: &[Rule] = &[
    // ---- Level 2: what free text seldom contains
    rule(
        "sql_many_marks",
        Sql,
        3,
        Text,
        r#"['"`].{0,60}['"`].{0,60}[=<>()].{0,60}['"`]"#,
    )
    .from(Paranoia::Two),
    rule("sql_tokens_alone", Sql, 1, Sign(is_sql), "").from(Paranoia::Two),
    rule("script_tokens_alone", Script, 1, Sign(is_script), "").from(Paranoia::Two),
    rule(
        "sql_statement_words",
        Sql,
        5,
        Bare,
        concat!(
            r"\b(?:select\b.{1,80}\bfrom|insert\b.{1,40}\binto|delete\b.{1,20}\bfrom|update\b.{1,40}\bset|",
            r"drop (?:table|database|index)|alter table|create (?:table|database))\b",
        ),
    )
    .from(Paranoia::Two),
    rule("script_any_angle", Script, 5, Text, r"<[a-z/!?]").from(Paranoia::Two),
    rule(
        "command_any_name",
        Command,
        5,
        Bare,
        r"[;|&`]\s*\w+(?:\s+[/-]|\s*[;|&`])",
    )
    .from(Paranoia::Two),
    // ---- Level 3: words
    rule(
        "sql_words",
        Sql,
        5,
        Bare,
        r"\b(?:select|insert|update|delete|drop|alter|union|truncate|exec|declare|having|waitfor)\b",
    )
    .from(Paranoia::Three),
    rule(
        "script_words",
        Script,
        5,
        Bare,
        r"\b(?:script|javascript|iframe|onerror|onload|document|window|alert|eval)\b",
    )
    .from(Paranoia::Three),
    rule(
        "command_words",
        Command,
        5,
        Bare,
        r"\b(?:wget|curl|bash|chmod|passwd|cmd|powershell|whoami|uname)\b",
    )
    .from(Paranoia::Three),
    // ---- Level 4: marks
    rule("marks", Sql, 5, Text, r#"[<>;|`$\\{}\[\]"'=#%*^~]"#).from(Paranoia::Four),
];
