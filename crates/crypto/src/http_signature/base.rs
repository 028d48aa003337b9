//! The signature base of RFC 9421, section 2: the exact bytes that are signed.

use sfv::{BareItem, InnerList, Item, ItemSerializer, ListEntry, ListSerializer};

use super::{Request, answer::Answer};

/// The value of `@signature-params`: the covered components and the parameters, as a serializer writes them.
#[must_use]
pub fn signature_params(covered: &InnerList) -> String {
    let mut list = ListSerializer::new();
    list.members([&ListEntry::InnerList(covered.clone())]);
    list.finish().unwrap_or_default()
}

/// The signature base of a request; `None` where a component is named twice, is not known, or is not there.
#[must_use]
pub fn signature_base(covered: &InnerList, request: &Request<'_>) -> Option<String> {
    lines(covered, |item| component(item, request))
}

/// The signature base of an answer, which may have components of its request (section 2.4).
#[must_use]
pub fn answer_base(covered: &InnerList, answer: &Answer<'_>) -> Option<String> {
    lines(covered, |item| {
        let BareItem::String(name) = &item.bare_item else {
            return None;
        };
        match (name.as_str(), item.params.get("req"), item.params.len()) {
            (_, Some(BareItem::Boolean(true)), 1) => {
                component(&Item::new(item.bare_item.clone()), &answer.request)
            }
            ("@status", None, 0) => Some(answer.status.to_string()),
            (field, None, 0) if !field.starts_with('@') => field_value(field, answer.headers),
            _ => None,
        }
    })
}

fn lines(covered: &InnerList, value_of: impl Fn(&Item) -> Option<String>) -> Option<String> {
    let mut base = String::new();
    let mut seen: Vec<String> = Vec::with_capacity(covered.items.len());
    for item in &covered.items {
        let name = identifier(item);
        // A line break would be another line of the base.
        let value = value_of(item).filter(|value| !value.contains(['\n', '\r']))?;
        if seen.contains(&name) {
            return None;
        }
        base.push_str(&name);
        base.push_str(": ");
        base.push_str(&value);
        base.push('\n');
        seen.push(name);
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(&signature_params(covered));
    Some(base)
}

fn identifier(item: &Item) -> String {
    ItemSerializer::new()
        .bare_item(&item.bare_item)
        .parameters(&item.params)
        .finish()
}

fn component(item: &Item, request: &Request<'_>) -> Option<String> {
    let BareItem::String(name) = &item.bare_item else {
        return None;
    };
    let value = match (name.as_str(), item.params.is_empty()) {
        ("@query-param", false) => query_param(item, request)?,
        (_, false) => return None,
        ("@method", true) => request.method.to_owned(),
        ("@authority", true) => request.authority.to_owned(),
        ("@scheme", true) => "https".to_owned(),
        ("@path", true) => request.path.to_owned(),
        ("@query", true) => format!("?{}", request.query.unwrap_or_default()),
        ("@request-target", true) => format!("{}{}", request.path, query(request)),
        ("@target-uri", true) => {
            format!("https://{}{}{}", request.authority, request.path, query(request))
        }
        (derived, true) if derived.starts_with('@') => return None,
        (field, true) => field_value(field, request.headers)?,
    };
    Some(value)
}

fn query(request: &Request<'_>) -> String {
    request.query.map(|query| format!("?{query}")).unwrap_or_default()
}

/// Section 2.1: each value without the white space around it, joined by a comma and a space.
fn field_value(name: &str, headers: &[(&str, &[u8])]) -> Option<String> {
    let mut values = Vec::new();
    for (other, value) in headers {
        if *other == name {
            values.push(std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']));
        }
    }
    (!values.is_empty()).then(|| values.join(", "))
}

/// Section 2.2.8, for parameters whose name and value need no encoding; others are refused.
fn query_param(item: &Item, request: &Request<'_>) -> Option<String> {
    let Some(BareItem::String(name)) = item.params.get("name").filter(|_| item.params.len() == 1) else {
        return None;
    };
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._*".contains(&b))
    };
    let mut values = request
        .query?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(other, _)| *other == name.as_str());
    match (values.next(), values.next()) {
        (Some((_, value)), None) if plain(value) && plain(name.as_str()) => Some(value.to_owned()),
        _ => None,
    }
}
