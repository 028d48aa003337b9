//! What a client calls itself, in words that its owner knows.
//!
//! A user agent says what it likes. What comes out of here are names of our own, or one short word of letters, digits,
//! dots and hyphens: nothing that could pass for a sentence of the bank.

/// Longest word of an agent that nobody here knows, in characters.
const WORD_CHARS_MAX: usize = 32;
/// What a client is called that says nothing.
const UNKNOWN: &str = "Unknown device";

/// Browsers by what gives them away; those that pretend to be others stand before them.
const BROWSERS: [(&str, &str); 10] = [
    ("Edg/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("EdgA/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
/// Systems by what gives them away; those that name others stand before them.
const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// `Firefox on Linux`, `curl`, `Unknown device`.
pub(crate) fn readable(agent: &str) -> String {
    let of = |table: &[(&str, &'static str)]| {
        let found = table.iter().find(|(mark, _)| agent.contains(mark));
        found.map(|(_, name)| *name)
    };
    match (of(&BROWSERS), of(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => word(agent),
    }
}

/// The first word of an agent, where it is one.
fn word(agent: &str) -> String {
    let first = agent.split(['/', ' ']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !first.is_empty() && first.len() <= WORD_CHARS_MAX && first.chars().all(plain) && first != "Mozilla" {
        first.to_owned()
    } else {
        UNKNOWN.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_told_in_words_that_people_know() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36",
                "Chrome on Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.6 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.6 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 \
                 Chrome/130.0.0.0 Mobile Safari/537.36",
                "Samsung Internet on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("python-requests/2.32", "python-requests"),
            ("strongroom-tests", "strongroom-tests"),
        ] {
            assert_eq!(readable(agent), name, "{agent}");
        }
    }

    #[test]
    fn an_agent_that_writes_a_sentence_is_not_repeated() {
        for agent in [
            "",
            "/",
            "Mozilla/5.0",
            "<b>bank</b>/1",
            "Ihre\u{202e}Bank/1",
            "call+49301234567now:/1",
            "a-word-that-goes-on-and-on-and-on-and-on/1",
        ] {
            assert_eq!(readable(agent), UNKNOWN, "{agent}");
        }
    }
}
