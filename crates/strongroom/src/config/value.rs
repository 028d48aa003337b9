//! What a setting may hold, and how text becomes a value. A message never repeats the text: it may be a
//! secret in the wrong place.

use std::{fmt, net::SocketAddr, path::PathBuf};

use secrecy::SecretString;
use strongroom_crypto::WitnessKey;
use strongroom_domain::{
    iban::Iban,
    limits::{CapsRule, CapsRuleError},
    money::Currency,
    text::check_line,
};
use strongroom_guard::{Network, Quota, QuotaError};

/// The type of a setting, with its bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds, of this unit.
    Number { min: u64, max: u64, unit: &'static str },
    /// An IP address and a port.
    Listen,
    /// A name or an address of a host.
    Host,
    /// An e-mail address.
    Mailbox,
    /// `https://host[:port]`, without a path; `http://` only where TLS is off.
    PublicUrl,
    /// The `https` address of a resource.
    Address,
    /// `sqlite://PATH` or `postgres://…`.
    DatabaseUrl,
    /// Addresses and networks in CIDR form; a list in the file, separated by commas elsewhere.
    Networks,
    /// `5/15m`, or several windows: `50/1h, 200/1d`.
    Quota,
    /// `1000/2000/10000`: most per movement, day and month; `-` for no limit; other currencies behind commas.
    Caps,
    /// `https://app.example,https://localhost:3000`; a list in the file.
    Origins,
    /// Public keys of witnesses, one line each; a list in the file, separated by commas elsewhere.
    Witnesses,
    /// A path.
    Path,
    /// Text that is shown nowhere. Also readable from a file, by the name with `_file` behind it.
    Secret,
    /// Two capital letters (ISO 3166-1 alpha-2).
    Country,
    /// Letters and digits of a bank code inside an IBAN.
    BankCode,
    /// A name of the IANA time zone database.
    TimeZone,
    /// The number of an account (ISO 13616).
    Iban,
    /// Three capital letters (ISO 4217).
    Currency,
    /// A name: 1 to 70 printable characters.
    Name,
}

/// A value of a setting.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Words, countries, codes, zones.
    Text(String),
    /// A flag.
    Flag(bool),
    /// A number.
    Number(u64),
    /// An address to listen on.
    Listen(SocketAddr),
    /// A public URL.
    Url(PublicUrl),
    /// A database.
    Database(DatabaseUrl),
    /// Networks.
    Networks(Vec<Network>),
    /// A quota.
    Quota(Quota),
    /// Limits of customers.
    Caps(CapsRule),
    /// Origins.
    Origins(Vec<String>),
    /// Public keys of witnesses.
    Witnesses(Vec<WitnessKey>),
    /// A path.
    Path(PathBuf),
    /// A secret.
    Secret(SecretString),
}

/// What a source wrote, before it has a type.
#[derive(Clone, Debug)]
pub(crate) enum Raw {
    /// Text: of a flag, a variable, or a string in the file. The second says whether it came from the file,
    /// where numbers and flags have types of their own.
    Text(String, bool),
    /// A number in the file.
    Number(String),
    /// A flag in the file.
    Flag(bool),
    /// A list of strings in the file.
    List(Vec<String>),
    /// Something else in the file.
    Other,
}

/// What clients call a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicUrl {
    /// Whether the scheme is `https`.
    pub https: bool,
    /// The host, in lower case; an IPv6 address without brackets.
    pub host: String,
    /// The port, also where it is the scheme's own.
    pub port: u16,
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        write!(f, "{scheme}://{open}{}{close}", self.host)?;
        if self.port == usual {
            Ok(())
        } else {
            write!(f, ":{}", self.port)
        }
    }
}

/// Where a database is. The password of a URL is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum DatabaseUrl {
    /// The embedded engine, in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL server, by its URL.
    Postgres(String),
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            // Host, port and database; user, password and parameters stay out.
            Self::Postgres(url) => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let rest = rest.split(['?', '#']).next().unwrap_or_default();
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                write!(f, "postgres://{place}")
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1024;

impl Kind {
    /// Reads a value, or says what would be right.
    pub(crate) fn read(self, raw: Raw) -> Result<Value, String> {
        match (self, raw) {
            (_, Raw::Text(text, _)) if text.len() > VALUE_BYTES_MAX => Err("is too long".into()),
            (Self::Flag, Raw::Flag(flag)) => Ok(Value::Flag(flag)),
            (Self::Flag, Raw::Text(text, false)) => {
                text.parse().map(Value::Flag).map_err(|_| self.describe())
            }
            (Self::Number { min, max, .. }, Raw::Number(digits) | Raw::Text(digits, false)) => {
                let number = digits.parse().ok().filter(|number| (min..=max).contains(number));
                number.map(Value::Number).ok_or_else(|| self.describe())
            }
            (Self::Networks, Raw::List(list)) => networks(list.iter().map(String::as_str)),
            (Self::Networks, Raw::Text(text, false)) => {
                networks(text.split(',').map(str::trim).filter(|part| !part.is_empty()))
            }
            (Self::Origins, Raw::List(list)) => origins(list.iter().map(String::as_str)),
            (Self::Origins, Raw::Text(text, false)) => {
                origins(text.split(',').map(str::trim).filter(|part| !part.is_empty()))
            }
            (Self::Witnesses, Raw::List(list)) => witnesses(list.iter().map(String::as_str)),
            (Self::Witnesses, Raw::Text(text, false)) => {
                witnesses(text.split(',').map(str::trim).filter(|part| !part.is_empty()))
            }
            (Self::Flag | Self::Number { .. } | Self::Networks | Self::Origins | Self::Witnesses, _) => {
                Err(self.describe())
            }
            (_, Raw::Text(text, _)) => self.text(text),
            _ => Err(self.describe()),
        }
    }

    fn text(self, text: String) -> Result<Value, String> {
        let right = |is_right: bool| if is_right { Ok(()) } else { Err(self.describe()) };
        match self {
            Self::Choice(words) => {
                right(words.contains(&text.as_str()))?;
                Ok(Value::Text(text))
            }
            Self::Listen => text.parse().map(Value::Listen).map_err(|_| self.describe()),
            Self::PublicUrl => public_url(&text).map(Value::Url).ok_or_else(|| self.describe()),
            Self::Address => {
                right(is_address(&text))?;
                Ok(Value::Text(text))
            }
            Self::DatabaseUrl => database_url(&text)
                .map(Value::Database)
                .ok_or_else(|| self.describe()),
            Self::Quota => text
                .parse()
                .map(Value::Quota)
                .map_err(|error: QuotaError| error.to_string()),
            Self::Caps => text
                .parse()
                .map(Value::Caps)
                .map_err(|error: CapsRuleError| error.to_string()),
            Self::Path => {
                right(!text.is_empty() && !text.contains('\0'))?;
                Ok(Value::Path(text.into()))
            }
            Self::Secret => {
                right(!text.is_empty())?;
                Ok(Value::Secret(text.into()))
            }
            Self::Host => {
                let host = public_url(&format!("https://{text}")).map(|url| url.host);
                right(host.as_deref() == Some(&text.to_ascii_lowercase()))?;
                Ok(Value::Text(text))
            }
            Self::Mailbox => {
                right(text.parse::<lettre::Address>().is_ok() && text.is_ascii())?;
                Ok(Value::Text(text))
            }
            Self::Country => {
                right(text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()))?;
                Ok(Value::Text(text))
            }
            Self::BankCode => {
                let letters = text
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
                right((1..=BANK_CODE_CHARS_MAX).contains(&text.len()) && letters)?;
                Ok(Value::Text(text))
            }
            Self::TimeZone => {
                right(jiff::tz::TimeZone::get(&text).is_ok())?;
                Ok(Value::Text(text))
            }
            Self::Iban => Iban::parse(&text)
                .map(|number| Value::Text(number.as_str().to_owned()))
                .map_err(|_| self.describe()),
            Self::Currency => {
                right(Currency::parse(&text).is_ok())?;
                Ok(Value::Text(text))
            }
            Self::Name => {
                right(check_line(&text, NAME_CHARS_MAX, true).is_ok())?;
                Ok(Value::Text(text))
            }
            Self::Flag | Self::Number { .. } | Self::Networks | Self::Origins | Self::Witnesses => {
                Err(self.describe())
            }
        }
    }

    /// What would be right: also the type in the reference.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Choice(words) => format!("must be one of {}", words.join(", ")),
            Self::Flag => "must be true or false".into(),
            Self::Number { min, max, unit } => format!("must be a whole number from {min} to {max} ({unit})"),
            Self::Listen => "must be an IP address and a port, such as 127.0.0.1:8443".into(),
            Self::Host => "must be the name of a host, such as mail.bank.example".into(),
            Self::Mailbox => "must be an e-mail address, such as no-reply@bank.example".into(),
            Self::PublicUrl => {
                "must be a URL of scheme, host and port only, such as https://bank.example".into()
            }
            Self::Address => {
                "must be an https address without user and fragment, such as https://ca.bank.example/directory".into()
            }
            Self::DatabaseUrl => "must be sqlite://PATH or postgres://USER@HOST/DATABASE".into(),
            Self::Networks => "must be a list of IP addresses or networks, such as 10.0.0.0/8".into(),
            Self::Origins => "must be a list of origins, such as https://app.example".into(),
            Self::Witnesses => {
                "must be a list of public keys of witnesses, as `strongroom witness key` prints them".into()
            }
            Self::Quota => QuotaError::Form.to_string(),
            Self::Caps => CapsRuleError.to_string(),
            Self::Path => "must be a path".into(),
            Self::Secret => "must be text and not empty".into(),
            Self::Country => "must be two capital letters of ISO 3166-1".into(),
            Self::BankCode => format!("must be 1 to {BANK_CODE_CHARS_MAX} capital letters or digits"),
            Self::Iban => "must be the number of an account (IBAN)".into(),
            Self::Currency => "must be the code of a currency, such as EUR".into(),
            Self::Name => format!("must be 1 to {NAME_CHARS_MAX} printable characters"),
            Self::TimeZone => "must be a name of the IANA time zone database, such as Europe/Berlin".into(),
        }
    }
}

/// What a payment has room for (Max70Text).
const NAME_CHARS_MAX: usize = 70;

/// What an IBAN of 34 characters leaves for the bank besides country, check digits and account.
const BANK_CODE_CHARS_MAX: usize = 20;

fn networks<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Value, String> {
    let mut networks = Vec::new();
    for (index, part) in parts.enumerate() {
        networks.push(
            part.parse()
                .map_err(|error| format!("entry {} {error}", index + 1))?,
        );
    }
    Ok(Value::Networks(networks))
}

fn witnesses<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Value, String> {
    let mut keys = Vec::new();
    for (index, part) in parts.enumerate() {
        let key = WitnessKey::parse(part)
            .map_err(|_| format!("entry {} must be a line of `strongroom witness key`", index + 1))?;
        keys.push(key);
    }
    Ok(Value::Witnesses(keys))
}

/// An origin is a public URL written as browsers write it, so that the two are compared byte by byte.
fn origins<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Value, String> {
    let exact = |part: &&str| public_url(part).is_some_and(|url| url.to_string() == **part);
    let all: Vec<&str> = parts.collect();
    match all.iter().position(|part| !exact(part)) {
        Some(index) => Err(format!(
            "entry {} must be an origin as browsers write it: scheme, host and port that is not the scheme's own",
            index + 1
        )),
        None => Ok(Value::Origins(all.into_iter().map(str::to_owned).collect())),
    }
}

pub(super) fn public_url(text: &str) -> Option<PublicUrl> {
    let (https, rest) = match text.split_once("://")? {
        ("https", rest) => (true, rest),
        ("http", rest) => (false, rest),
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some(""))?)
        }
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    let port = match port {
        "" if rest.ends_with(':') => return None,
        "" if https => 443,
        "" => 80,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0)?
        }
        _ => return None,
    };
    let is_name = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host = host.to_ascii_lowercase();
    let right = host.contains(':') || (host.len() <= 253 && host.split('.').all(is_name));
    right.then_some(PublicUrl { https, host, port })
}

/// Whoever is named in it would be shown, and what is behind a `#` is sent nowhere.
fn is_address(text: &str) -> bool {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    text.parse::<reqwest::Url>().is_ok_and(|url| {
        let anonymous = url.username().is_empty() && url.password().is_none();
        printable && url.scheme() == "https" && url.has_host() && anonymous && url.fragment().is_none()
    })
}

fn database_url(text: &str) -> Option<DatabaseUrl> {
    if let Some(path) = text.strip_prefix("sqlite://") {
        // Parameters would be quietly ignored: how the file is opened is not a matter of its URL.
        let right = !path.is_empty() && !path.contains(['?', '\0']) && path != ":memory:";
        return right.then(|| DatabaseUrl::Sqlite(path.into()));
    }
    let rest = text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"))?;
    (!rest.is_empty()).then(|| DatabaseUrl::Postgres(text.to_owned()))
}

impl Value {
    /// As the program would write it; a secret as a row of dots.
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Listen(address) => address.to_string(),
            Self::Url(url) => url.to_string(),
            Self::Database(url) => url.to_string(),
            Self::Networks(networks) => networks
                .iter()
                .map(Network::to_string)
                .collect::<Vec<_>>()
                .join(","),
            Self::Origins(origins) => origins.join(","),
            Self::Witnesses(keys) => keys
                .iter()
                .map(WitnessKey::to_string)
                .collect::<Vec<_>>()
                .join(","),
            Self::Quota(quota) => quota.to_string(),
            Self::Caps(caps) => caps.to_string(),
            Self::Path(path) => path.display().to_string(),
            Self::Secret(_) => "(set)".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: Kind, text: &str) -> Option<String> {
        kind.read(Raw::Text(text.into(), false))
            .ok()
            .map(|value| value.show())
    }

    #[test]
    fn public_urls_are_scheme_host_and_port() {
        for (given, shown) in [
            ("https://localhost:8443", "https://localhost:8443"),
            ("https://Bank.Example/", "https://bank.example"),
            ("https://bank.example:443", "https://bank.example"),
            ("http://[::1]:80", "http://[::1]"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://127.0.0.1:1", "https://127.0.0.1:1"),
        ] {
            assert_eq!(text(Kind::PublicUrl, given).as_deref(), Some(shown), "{given}");
        }
        for wrong in [
            "",
            "bank.example",
            "ftp://bank.example",
            "https://",
            "https://bank.example/path",
            "https://bank.example?x=1",
            "https://user@bank.example",
            "https://bank.example:0",
            "https://bank.example:99999",
            "https://bank.example:",
            "https://bank..example",
            "https://-bank.example",
            "https://[::1",
            "https://[zz]:1",
        ] {
            assert_eq!(text(Kind::PublicUrl, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hosts_are_names_alone_and_mailboxes_addresses_alone() {
        for right in ["mail.bank.example", "127.0.0.1", "localhost"] {
            assert_eq!(text(Kind::Host, right).as_deref(), Some(right));
        }
        for wrong in [
            "",
            "mail.bank.example:587",
            "https://mail",
            "a b",
            "mail/x",
            "u@mail",
        ] {
            assert_eq!(text(Kind::Host, wrong), None, "{wrong}");
        }
        assert!(text(Kind::Mailbox, "no-reply@bank.example").is_some());
        for wrong in [
            "bank.example",
            "a@b\r\nBcc: c@d",
            "Bank <no-reply@bank.example>",
            "a@b, c@d",
        ] {
            assert_eq!(text(Kind::Mailbox, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_password_of_a_database_url_is_never_shown() {
        let url = "postgres://app:canary@p@db.example:5432/bank?password=canary&sslmode=require";
        let Ok(value) = Kind::DatabaseUrl.read(Raw::Text(url.into(), false)) else {
            panic!("refused")
        };
        assert_eq!(value.show(), "postgres://db.example:5432/bank");
        assert!(!format!("{value:?}").contains("canary"));
    }

    #[test]
    fn numbers_and_flags_of_the_file_have_their_own_types() {
        let seconds = Kind::Number {
            min: 1,
            max: 300,
            unit: "seconds",
        };
        assert!(seconds.read(Raw::Number("30".into())).is_ok());
        assert!(seconds.read(Raw::Text("30".into(), false)).is_ok());
        assert!(seconds.read(Raw::Text("30".into(), true)).is_err());
        assert!(seconds.read(Raw::Number("0".into())).is_err());
        assert!(seconds.read(Raw::Number("-5".into())).is_err());
        assert!(Kind::Flag.read(Raw::Flag(true)).is_ok());
        assert!(Kind::Flag.read(Raw::Text("true".into(), true)).is_err());
        assert!(Kind::Flag.read(Raw::Text("yes".into(), false)).is_err());
        assert!(Kind::Country.read(Raw::Number("49".into())).is_err());
    }

    #[test]
    fn a_refusal_never_repeats_the_value() {
        for kind in [
            Kind::Flag,
            Kind::Listen,
            Kind::PublicUrl,
            Kind::DatabaseUrl,
            Kind::Networks,
            Kind::Quota,
            Kind::Caps,
            Kind::Origins,
            Kind::Witnesses,
            Kind::Country,
        ] {
            let refusal = kind.read(Raw::Text("canary!".into(), false)).unwrap_err();
            assert!(!refusal.contains("canary"), "{refusal}");
        }
    }
}
