//! Issuers that people may log in by: one TOML table per issuer, read from the one setting that holds them all, because
//! they hold secrets. A message never repeats a value.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::value;

/// Most issuers.
const PROVIDERS_MAX: usize = 10;
/// Longest name and title, in bytes.
const NAME_BYTES_MAX: usize = 32;

/// An issuer.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    /// Its name in addresses.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Its identifier, an URL.
    pub issuer: String,
    /// As whom we are known there.
    pub client_id: String,
    /// Proves that it is us.
    pub client_secret: Option<SecretString>,
    /// Whether it is spoken to without TLS.
    pub plain: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    title: Option<String>,
    issuer: String,
    client_id: String,
    client_secret: Option<String>,
}

/// Reads them all, or says what is wrong with which.
pub(super) fn read(text: &SecretString) -> Result<Vec<Provider>, String> {
    // The parser's own message may quote the line, and the line may hold a secret.
    let tables: toml::Table = text
        .expose_secret()
        .parse()
        .map_err(|_| "is not valid TOML".to_owned())?;
    if tables.len() > PROVIDERS_MAX {
        return Err(format!("holds more than {PROVIDERS_MAX} issuers"));
    }
    tables
        .into_iter()
        .enumerate()
        .map(|(index, (name, table))| {
            provider(name, table).map_err(|what| format!("issuer {} {what}", index + 1))
        })
        .collect()
}

fn provider(name: String, table: toml::Value) -> Result<Provider, &'static str> {
    let plain_name = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !plain_name {
        return Err("must have a name of at most 32 lower-case letters, digits and hyphens");
    }
    let written: Written = table
        .try_into()
        .map_err(|_| "must have `issuer`, `client_id`, perhaps `client_secret`, `title`, and nothing else")?;
    let title = written.title.unwrap_or_else(|| name.clone());
    if title.is_empty() || title.len() > NAME_BYTES_MAX || title.chars().any(char::is_control) {
        return Err("must have a `title` of at most 32 bytes");
    }
    let host = written
        .issuer
        .split_once("://")
        .map(|(scheme, rest)| format!("{scheme}://{}", rest.split('/').next().unwrap_or_default()))
        .and_then(|origin| value::public_url(&origin))
        .filter(|_| !written.issuer.contains(['?', '#', '@', ' ']))
        .ok_or("must have an `issuer` that is an https:// URL without user, query and fragment")?;
    let loopback = matches!(host.host.as_str(), "localhost" | "127.0.0.1" | "::1");
    if !host.https && !loopback {
        return Err("must have an `issuer` with https://, except on this machine");
    }
    if written.client_id.is_empty() {
        return Err("must have a `client_id`");
    }
    Ok(Provider {
        name,
        title,
        issuer: written.issuer,
        client_id: written.client_id,
        client_secret: written.client_secret.map(SecretString::from),
        plain: !host.https,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Provider>, String> {
        read(&SecretString::from(text))
    }

    #[test]
    fn issuers_are_read_with_their_titles() {
        let google =
            "[google]\ntitle = \"Google\"\nissuer = \"https://accounts.google.com\"\nclient_id = \"a\"\n";
        let local =
            "[local]\nissuer = \"http://localhost:9/realms/x\"\nclient_id = \"b\"\nclient_secret = \"c\"\n";
        let read = read_text(&format!("{google}{local}")).unwrap();
        let shown: Vec<_> = read
            .iter()
            .map(|it| (it.name.as_str(), it.title.as_str(), it.plain))
            .collect();
        assert_eq!(shown, [("google", "Google", false), ("local", "local", true)]);
        assert!(read_text("").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_issuer_is_refused_without_its_values() {
        for wrong in [
            "canary",
            "[x]\nissuer = \"https://canary.example\"",
            "[x]\nissuer = \"http://canary.example\"\nclient_id = \"a\"",
            "[x]\nissuer = \"https://a@canary.example\"\nclient_id = \"a\"",
            "[x]\nissuer = \"https://canary.example/?q=1\"\nclient_id = \"a\"",
            "[x]\nissuer = \"canary.example\"\nclient_id = \"a\"",
            "[x]\nissuer = \"https://canary.example\"\nclient_id = \"\"",
            "[x]\nissuer = \"https://canary.example\"\nclient_id = \"a\"\nsecret = \"canary\"",
            "[canary_]\nissuer = \"https://canary.example\"\nclient_id = \"a\"",
        ] {
            let refusal = read_text(wrong).unwrap_err();
            assert!(!refusal.contains("canary"), "{wrong}: {refusal}");
        }
    }
}
