//! From bytes to wire types: body and query. Everything that can be wrong with them has one code and, where
//! it can be known, a pointer; the rejected value itself never appears in an answer or a log.

mod auth;
mod binder;
mod client;
mod cookie;
mod json;
mod json_mend;
mod json_scan;
mod json_strict;
mod query;

pub use auth::{Auth, MoneyAuth, shows_session};
pub(crate) use binder::FactorBinder;
pub(crate) use client::device_mark;
pub use client::{Anonymous, DEVICE_TOKEN};
pub(crate) use cookie::{Cookie, Keep, foreign_cookies, read_cookie};
pub(crate) use json::read as read_body;
pub use json::{JSON_DEPTH_MAX, JsonBody, OptionalJsonBody, parse_json};
pub(crate) use json::{JsonDraft, OptionalJsonDraft};
pub(crate) use json_scan::each_string;
pub use query::{QUERY_BYTES_MAX, QUERY_PARAMETERS_MAX, QueryParams};
pub(crate) use query::{form_fields, form_pairs};

/// The codes of `errors[].code` that the extractors write, with their meanings for the error reference.
pub const FIELD_CODES: &[(&str, &str)] = &[
    ("required", "the field is missing"),
    ("unknown_field", "there is no such field here"),
    ("duplicate_field", "the field appears twice"),
    ("wrong_type", "the value has another type than the field"),
    (
        "invalid_value",
        "the value has the right type and is not one that the field takes",
    ),
    ("body_empty", "a body is needed"),
    ("json_syntax", "the body is not JSON"),
    ("json_depth", "arrays and objects are nested too deeply"),
    ("invalid_utf8", "the text is not UTF-8"),
    ("too_many", "there are more of them than this route takes"),
    (
        "out_of_range",
        "the number lies outside the bounds that the text names",
    ),
    ("empty", "the text is empty or only blank"),
    ("too_long", "the text has more characters than the field holds"),
    (
        "deceptive_text",
        "the text holds a control or direction-changing character",
    ),
    (
        "card_number",
        "the text holds the number of a card, which is kept nowhere in the clear",
    ),
    ("ambiguous", "two fields say the same thing in two ways: send one"),
    (
        "not_allowed",
        "the field does not go with the rest of the request",
    ),
    ("not_yours", "the caller's role does not set the field"),
    ("taken", "it belongs to somebody already"),
    ("not_found", "there is nothing of that name"),
    ("duplicate", "it is there already"),
    (
        "rule_relied_on",
        "others rely on the rule: it stays enforced and no milder than a look",
    ),
    (
        "password_too_short",
        "the password has fewer characters than the policy wants",
    ),
    (
        "password_too_long",
        "the password has more characters than the policy takes",
    ),
    (
        "password_is_own_words",
        "the password is little more than the user's own words",
    ),
    ("password_too_guessable", "the password is too easily guessed"),
    ("password_breached", "the password is known from a breach"),
    (
        "password_no_lower_case",
        "the password has no lower-case letter, and the bank asks for one",
    ),
    (
        "password_no_upper_case",
        "the password has no upper-case letter, and the bank asks for one",
    ),
    (
        "password_no_digit",
        "the password has no digit, and the bank asks for one",
    ),
    (
        "password_no_special",
        "the password has nothing but letters, digits and spaces, and the bank asks for more",
    ),
    ("in_the_future", "the moment is still to come"),
    (
        "differs",
        "the field differs from the first request with this idempotency key",
    ),
];

/// How long a field name from the client may be that a pointer repeats, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Whether a field name may be repeated in an answer: short, and of letters that names have. Anything else
/// might be a value that slipped into the place of a name.
fn is_repeatable(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
