//! Common Event Format, version 0 (Micro Focus, "Implementing ArcSight Common Event Format", version 26).
//!
//! In the head `\` and `|` are escaped, in the extension `\` and `=`; what would end the line or be no character at all
//! is a space. Nothing that a client says is therefore another field, or another line.

use std::fmt::Write as _;

use super::ExportedEvent;
use crate::security::catalogue::Severity;

/// The event in one line.
pub(super) fn write(event: &ExportedEvent, version: &str) -> String {
    let severity = match event.severity() {
        Severity::Info => 1,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    };
    let mut line = format!(
        "CEF:0|Strongroom|Strongroom|{}|{}|{}|{severity}|",
        head(version),
        head(&event.kind),
        head(event.means())
    );
    let mut field = |name: &str, value: &str| {
        let space = if line.ends_with('|') { "" } else { " " };
        let _ = write!(line, "{space}{name}={}", extension(value));
    };
    field("externalId", &event.id);
    field("rt", &event.at.div_euclid(1_000).to_string());
    field("outcome", &event.outcome);
    let class = event.known_kind().map(|kind| kind.class().name());
    let v6 = event
        .address
        .as_deref()
        .is_some_and(|address| address.contains(':'));
    for (name, label, value) in [
        ("cat", None, class),
        ("reason", None, event.reason.as_deref()),
        (
            if v6 { "c6a2" } else { "src" },
            v6.then_some("c6a2Label=Source IPv6 Address"),
            event.address.as_deref(),
        ),
        ("suid", None, event.principal.as_deref()),
        ("requestClientApplication", None, event.user_agent.as_deref()),
        ("cs1", Some("cs1Label=request"), event.request_id.as_deref()),
        ("cs2", Some("cs2Label=session"), event.session_id.as_deref()),
        ("cs3", Some("cs3Label=incident"), event.incident_id.as_deref()),
        ("cs4", Some("cs4Label=login"), event.subject.as_deref()),
        ("cs5", Some("cs5Label=object"), event.object.as_deref()),
        ("cs6", Some("cs6Label=policy"), event.policy.as_deref()),
        (
            "flexString1",
            Some("flexString1Label=token"),
            event.token.as_deref(),
        ),
    ] {
        let Some(value) = value else { continue };
        field(name, value);
        if let Some((name, label)) = label.and_then(|label| label.split_once('=')) {
            field(name, label);
        }
    }
    line
}

fn head(text: &str) -> String {
    escaped(text, '|')
}

fn extension(text: &str) -> String {
    escaped(text, '=')
}

fn escaped(text: &str, special: char) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            letter if letter == special => {
                out.push('\\');
                out.push(letter);
            }
            letter if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{super::samples::hostile, *};

    /// The fields of an extension as a reader takes them apart: a name ends at a `=` that is not escaped.
    fn fields(line: &str) -> Vec<(String, String)> {
        let extension = line.splitn(8, '|').nth(7).unwrap();
        let mut found: Vec<(String, String)> = Vec::new();
        let letters: Vec<char> = extension.chars().collect();
        let (mut text, mut place) = (String::new(), 0);
        while place < letters.len() {
            match letters[place] {
                '\\' => {
                    text.push(letters[place + 1]);
                    place += 1;
                }
                '=' => {
                    let (value, name) = text.rsplit_once(' ').unwrap_or(("", &text));
                    if let Some(last) = found.last_mut() {
                        last.1 = value.to_owned();
                    }
                    found.push((name.to_owned(), String::new()));
                    text = String::new();
                }
                letter => text.push(letter),
            }
            place += 1;
        }
        found.last_mut().unwrap().1 = text;
        found
    }

    #[test]
    fn what_a_client_says_is_one_field_of_one_line() {
        let line = write(&hostile(), "0.1|0");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(
            line.starts_with("CEF:0|Strongroom|Strongroom|0.1\\|0|login_failed|"),
            "{line}"
        );
        let fields = fields(&line.replacen("0.1\\|0", "0.1", 1));
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "externalId",
                "rt",
                "outcome",
                "cat",
                "reason",
                "src",
                "suid",
                "requestClientApplication",
                "cs1",
                "cs1Label",
                "cs4",
                "cs4Label",
                "cs6",
                "cs6Label",
                "flexString1",
                "flexString1Label"
            ]
        );
        let agent = &fields[7].1;
        assert_eq!(agent, "a|b=c\\d  <34>1 forged act=login_succeeded ]    \"}{");
        assert_eq!(fields[1].1, "1795132800000");
    }

    #[test]
    fn an_ipv6_address_has_a_field_of_its_own() {
        let mut event = hostile();
        event.address = Some("2001:db8::1".to_owned());
        let line = write(&event, "1");
        assert!(
            line.contains(" c6a2=2001:db8::1 c6a2Label=Source IPv6 Address "),
            "{line}"
        );
        assert!(!line.contains("src="), "{line}");
    }
}
