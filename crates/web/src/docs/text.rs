//! Writing HTML: everything from the document is escaped, nothing else can get in.

use std::fmt::Write;

/// Escapes text for elements and quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            character => out.push(character),
        }
    }
    out
}

/// The little of Markdown that documentation comments use: paragraphs, and code in backticks.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::new();
    for paragraph in text
        .split("\n\n")
        .map(str::trim)
        .filter(|paragraph| !paragraph.is_empty())
    {
        let _ = write!(out, "<p>{}</p>", inline(paragraph));
    }
    out
}

/// One paragraph without its tag.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(out, "<code>{}</code>", escape(part));
        } else {
            out.push_str(&escape(part));
        }
    }
    out
}

/// A name as the target of a link.
pub(super) fn anchor(kind: &str, name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    format!("{kind}-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_the_document_stays_text() {
        assert_eq!(
            prose("a <b> `<i>` & \"c\""),
            "<p>a &lt;b&gt; <code>&lt;i&gt;</code> &amp; &quot;c&quot;</p>"
        );
        assert_eq!(anchor("op", "GET /a/{id}\" onload="), "op-get--a--id---onload-");
    }
}
