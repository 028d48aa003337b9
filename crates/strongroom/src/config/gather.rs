//! Reads the sources: file, environment, flags. What comes later wins.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{
    error::{ConfigError, Origin, nearest},
    table::{self, NOT_IN_THIS_BUILD, Setting, TABLE, VALUES_NOT_IN_THIS_BUILD},
    value::{Raw, Value},
};

/// How the names of environment variables begin.
pub(super) const PREFIX: &str = "STRONGROOM_";
/// Variables of the test suite; the program does not look at them.
const TEST_PREFIX: &str = "STRONGROOM_TEST_";
/// The one of them that is called differently: tests fail instead of skipping where PostgreSQL is missing.
const TEST_REQUIRE: &str = "STRONGROOM_REQUIRE_POSTGRES";
/// The largest configuration file or secret file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Behind the name of a secret: read it from the file named there.
const FILE_SUFFIX: &str = "_file";

/// Where to look.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file, and whether somebody asked for it by name: then it must exist.
    pub file: Option<(PathBuf, bool)>,
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// Flags: key, name of the flag, value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub origin: Origin,
    /// The file that a secret was read from.
    pub secret_file: Option<PathBuf>,
}

/// Every setting that has a value, and everything that is wrong.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// By key.
    pub values: BTreeMap<&'static str, Resolved>,
    /// What is wrong so far.
    pub errors: Vec<ConfigError>,
}

impl Gathered {
    /// Defaults, then the file, then the environment, then flags.
    pub(super) fn from(sources: Sources) -> Self {
        let mut gathered = Self::default();
        for setting in TABLE {
            if let Some(default) = setting.default {
                gathered.set(setting, Raw::Text(default.to_owned(), false), Origin::Default);
            }
        }
        if let Some((path, required)) = sources.file {
            gathered.read_file(&path, required);
        }
        for (name, value) in sources.variables {
            gathered.read_variable(&name, value);
        }
        for (key, flag, value) in sources.flags {
            gathered.take(key, Raw::Text(value, false), Origin::Flag(flag));
        }
        gathered
    }

    fn read_file(&mut self, path: &Path, required: bool) {
        let shown = path.display().to_string();
        let origin = Origin::File {
            path: shown.clone(),
            line: 0,
        };
        let text = match read_bounded(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return,
            Err(error) => {
                self.errors
                    .push(ConfigError::new("", origin, format!("cannot be read: {error}")));
                return;
            }
        };
        let line_at = |offset: usize| {
            1 + text.as_bytes()[..offset.min(text.len())]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
        };
        // Only the place: the message of a parser may quote the line, and the line may hold a secret.
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let line = line_at(error.span().map_or(0, |span| span.start));
            let origin = Origin::File {
                path: shown.clone(),
                line,
            };
            self.errors
                .push(ConfigError::new("", origin, "is not valid TOML"));
        }
        if !errors.is_empty() {
            return;
        }
        for (name, value) in table.get_ref() {
            let origin = |offset: usize| Origin::File {
                path: shown.clone(),
                line: line_at(offset),
            };
            match value.get_ref() {
                DeValue::Table(section) => {
                    for (key, value) in section {
                        let full = format!("{}.{}", name.get_ref(), key.get_ref());
                        self.take(&full, raw(value.get_ref()), origin(key.span().start));
                    }
                }
                value => self.take(name.get_ref(), raw(value), origin(name.span().start)),
            }
        }
    }

    fn read_variable(&mut self, name: &str, value: String) {
        let Some(rest) = name
            .strip_prefix(PREFIX)
            .filter(|_| !name.starts_with(TEST_PREFIX) && name != TEST_REQUIRE)
        else {
            return;
        };
        let key = rest.to_ascii_lowercase().replacen("__", ".", 1);
        self.take(&key, Raw::Text(value, false), Origin::Variable(name.to_owned()));
    }

    /// One written value, under whatever name.
    fn take(&mut self, key: &str, raw: Raw, origin: Origin) {
        if let Some(setting) = table::find(key) {
            self.set(setting, raw, origin);
        } else if let Some(setting) = key
            .strip_suffix(FILE_SUFFIX)
            .and_then(table::find)
            .filter(|setting| setting.is_secret())
        {
            self.set_from_file(setting, raw, origin);
        } else if NOT_IN_THIS_BUILD.iter().any(|section| key.starts_with(section)) {
            self.errors
                .push(ConfigError::new(key, origin, "is not available in this build"));
        } else {
            let near = nearest(key, TABLE.iter().map(|setting| setting.key));
            let hint = near
                .map(|near| format!("; did you mean {near}?"))
                .unwrap_or_default();
            self.errors
                .push(ConfigError::new(key, origin, format!("is not a setting{hint}")));
        }
    }

    fn set(&mut self, setting: &'static Setting, raw: Raw, origin: Origin) {
        if let Raw::Text(text, _) = &raw
            && VALUES_NOT_IN_THIS_BUILD.contains(&(setting.key, text.as_str()))
        {
            let message = format!("= {text} is not available in this build");
            self.errors.push(ConfigError::new(setting.key, origin, message));
            return;
        }
        match setting.kind.read(raw) {
            Ok(value) => {
                self.values.insert(
                    setting.key,
                    Resolved {
                        value,
                        origin,
                        secret_file: None,
                    },
                );
            }
            Err(message) => self.errors.push(ConfigError::new(setting.key, origin, message)),
        }
    }

    /// A secret from the file that the value names; one line break at its end is not part of it.
    fn set_from_file(&mut self, setting: &'static Setting, raw: Raw, origin: Origin) {
        let Raw::Text(path, _) = raw else {
            let key = format!("{}{FILE_SUFFIX}", setting.key);
            self.errors.push(ConfigError::new(key, origin, "must be a path"));
            return;
        };
        let path = PathBuf::from(path);
        match read_bounded(&path) {
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                self.set(setting, Raw::Text(text.to_owned(), false), origin);
                if let Some(resolved) = self.values.get_mut(setting.key) {
                    resolved.secret_file = Some(path);
                }
            }
            Err(error) => {
                let message = format!("cannot be read from its file: {error}");
                self.errors.push(ConfigError::new(setting.key, origin, message));
            }
        }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string(), true),
        DeValue::Integer(number) if number.radix() == 10 => Raw::Number(number.as_str().replace('_', "")),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Array(items) => {
            let texts = items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map_or(Raw::Other, Raw::List)
        }
        _ => Raw::Other,
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            "larger than 1 MiB",
        ));
    }
    Ok(text)
}

/// Whether group or others may read the file.
pub(super) fn is_shared(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
}
