//! What a deserializer does not look at: depth, and keys that appear twice.
//!
//! Derived types refuse a repeated field, but maps, flattened and untagged types quietly take the last one;
//! two readers of one document (a signature check, a proxy, we) must never see different values. The scan
//! runs over the text before it is parsed and assumes nothing about its syntax: what is not JSON the parser
//! refuses afterwards.

use std::borrow::Cow;

/// What the scan found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nested deeper than allowed.
    TooDeep,
    /// A key appears twice in one object; the pointer of the second.
    Duplicate(String),
}

/// One open array or object.
struct Level<'a> {
    /// The keys seen so far; `None` for an array.
    keys: Option<Vec<Cow<'a, str>>>,
    /// The index of the current item of an array.
    index: usize,
}

/// Looks through the text once. The work is bounded by its length and, for keys of one object, by the
/// square of [`LINEAR_KEYS_MAX`]; larger objects are sorted.
pub(super) fn scan(text: &str, depth_max: usize) -> Result<(), Finding> {
    let bytes = text.as_bytes();
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = string_end(bytes, at + 1);
                if is_key(bytes, end + 1)
                    && let Some(Level { keys: Some(keys), .. }) = levels.last_mut()
                {
                    let key = unescaped(&text[at + 1..end.min(text.len())]);
                    let seen = keys.len() < LINEAR_KEYS_MAX && keys.contains(&key);
                    keys.push(key);
                    if seen {
                        return Err(Finding::Duplicate(pointer(&levels)));
                    }
                }
                at = end + 1;
            }
            b'{' | b'[' => {
                if levels.len() == depth_max {
                    return Err(Finding::TooDeep);
                }
                levels.push(Level {
                    keys: (byte == b'{').then(Vec::new),
                    index: 0,
                });
                at += 1;
            }
            b'}' | b']' => {
                close(&mut levels)?;
                at += 1;
            }
            b',' => {
                if let Some(level) = levels.last_mut() {
                    level.index += 1;
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// Up to so many keys are compared one by one while they are read; an object with more is sorted when it
/// closes.
const LINEAR_KEYS_MAX: usize = 32;

fn close(levels: &mut Vec<Level<'_>>) -> Result<(), Finding> {
    let twice = levels
        .last()
        .and_then(|level| level.keys.as_ref())
        .and_then(|keys| {
            if keys.len() <= LINEAR_KEYS_MAX {
                return None;
            }
            let mut sorted: Vec<&Cow<'_, str>> = keys.iter().collect();
            sorted.sort_unstable();
            sorted
                .windows(2)
                .find(|pair| pair[0] == pair[1])
                .map(|pair| pair[0].clone().into_owned())
        });
    if let Some(key) = twice {
        if let Some(keys) = levels.last_mut().and_then(|level| level.keys.as_mut()) {
            keys.push(Cow::Owned(key));
        }
        return Err(Finding::Duplicate(pointer(levels)));
    }
    levels.pop();
    Ok(())
}

/// The place of the closing quote, or the end of the text.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether the string that ended before `at` is followed by a colon.
fn is_key(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter()
        .find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
        == Some(&b':')
}

/// Every text of a document with the name that it has, or that its array has. Names are texts as well.
pub(crate) fn each_string(text: &str, mut see: impl FnMut(&str, &str)) {
    let bytes = text.as_bytes();
    let mut name = Cow::Borrowed("");
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'"' {
            at += 1;
            continue;
        }
        let end = string_end(bytes, at + 1);
        let value = unescaped(&text[at + 1..end.min(text.len())]);
        if is_key(bytes, end + 1) {
            see("", &value);
            name = value;
        } else {
            see(&name, &value);
        }
        at = end + 1;
    }
}

/// `"\u0061"` and `"a"` are the same key.
fn unescaped(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    serde_json::from_str::<String>(&format!("\"{raw}\"")).map_or(Cow::Borrowed(raw), Cow::Owned)
}

fn pointer(levels: &[Level<'_>]) -> String {
    let mut pointer = String::new();
    for level in levels {
        match &level.keys {
            Some(keys) => match keys.last() {
                Some(key) if super::is_repeatable(key) => {
                    pointer.push('/');
                    pointer.push_str(key);
                }
                // The name may be a value in disguise: the pointer ends at the object around it.
                _ => break,
            },
            None => pointer.push_str(&format!("/{}", level.index)),
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_keys_are_found_at_their_place() {
        for (text, place) in [
            (r#"{"a":1,"a":2}"#, "/a"),
            (
                r#"{"a":{"b":1},"c":[{"d":1},{"d":1,"e":{"d":1},"d":3}]}"#,
                "/c/1/d",
            ),
            (r#"{"a" : 1 , "\u0061" : 2}"#, "/a"),
            (r#"{"4111 1111":1,"4111 1111":2}"#, ""),
            (r#"{"a":{"x y":{"b":1,"b":1}}}"#, "/a"),
        ] {
            assert_eq!(scan(text, 8), Err(Finding::Duplicate(place.into())), "{text}");
        }
    }

    #[test]
    fn equal_keys_in_different_objects_and_equal_values_are_fine() {
        for text in [
            r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#,
            r#"["a","a",{"x":"a","y":"a"}]"#,
            r#"{"a":"\"a\":1,\"a\":2"}"#,
            r#"{"a":"{[","b":"]}"}"#,
            "",
            "\"",
            "\"\\",
            "}}}]]],,,",
        ] {
            assert_eq!(scan(text, 8), Ok(()), "{text}");
        }
    }

    #[test]
    fn repeated_keys_of_a_large_object_are_found() {
        let mut fields: Vec<String> = (0..1000).map(|i| format!("\"k{i}\":{i}")).collect();
        assert_eq!(scan(&format!("{{{}}}", fields.join(",")), 8), Ok(()));
        fields.push("\"k7\":7".into());
        assert_eq!(
            scan(&format!("{{{}}}", fields.join(",")), 8),
            Err(Finding::Duplicate("/k7".into()))
        );
    }

    #[test]
    fn the_depth_is_counted_over_arrays_and_objects() {
        assert_eq!(scan(r#"{"a":[{"b":1}]}"#, 3), Ok(()));
        assert_eq!(scan(r#"{"a":[{"b":[]}]}"#, 3), Err(Finding::TooDeep));
        assert_eq!(scan(&"[".repeat(100_000), 32), Err(Finding::TooDeep));
    }
}
