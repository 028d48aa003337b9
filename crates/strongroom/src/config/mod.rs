//! Configuration: defaults, then `strongroom.toml`, then `STRONGROOM_SECTION__KEY`, then flags.
//!
//! One table ([`table::TABLE`]) says which settings there are; parsing, `config check` and the reference read
//! it. Whatever is wrong is reported at once, with the key and where it was written and never with the value.
//! A name that is not in the table is an error, so that a misspelt setting cannot quietly do nothing.

mod error;
mod gather;
mod mail;
mod providers;
mod reference;
mod rules;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use strongroom_domain::limits::{CapsRule, LimitClass, LimitRules};
use strongroom_guard::{Network, Paranoia, Quota};
use strongroom_web::{limits::Class, suspicion::Mode};

use gather::{Gathered, Resolved};
use value::Value;

pub(crate) use error::{ConfigError, ConfigErrors, Origin};
pub(crate) use gather::Sources;
pub(crate) use mail::{MailConfig, SmtpConfig};
pub(crate) use providers::Provider;
pub(crate) use reference::reference;
pub(crate) use table::TABLE;
pub(crate) use value::{DatabaseUrl, PublicUrl};

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    /// On one machine, by one person.
    Development,
    /// Like production, with test data.
    Staging,
    /// With money.
    Production,
}

/// Where the certificate of a listener comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// From the local authority in the data directory.
    SelfSigned,
    /// From files in PEM.
    Files {
        /// The chain.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// Plain HTTP.
    Off,
}

/// Where the keyring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyProvider {
    /// In a file.
    File,
    /// In the configuration itself.
    Env,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// The public listener.
#[derive(Clone, Debug)]
pub(crate) struct ServerConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What clients call it.
    pub public_url: PublicUrl,
    /// Its certificate.
    pub tls: Tls,
    /// Where plain HTTP is sent on.
    pub redirect_listen: Option<SocketAddr>,
    /// Who signs the certificates of clients, where they need one.
    pub client_ca: Option<PathBuf>,
    /// Proxies whose forwarded addresses are believed.
    pub trusted_proxies: Vec<Network>,
    /// Whether browsers are asked to know this host as HTTPS from the first visit on.
    pub hsts_preload: bool,
    /// Origins whose pages may call this server.
    pub cors_origins: Vec<String>,
    /// Whether `/docs` and `/openapi.json` are served.
    pub docs: bool,
    /// Bound of a request.
    pub request_time_max: Duration,
    /// Bound of the wait for the head of the next request.
    pub header_time_max: Duration,
    /// Bound of the stop.
    pub shutdown_time_max: Duration,
    /// Open connections.
    pub connections_max: usize,
    /// Requests at once.
    pub concurrency_max: usize,
}

/// The operators' listener.
#[derive(Clone, Debug)]
pub(crate) struct AdminConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What operators call it; checked to be set.
    pub public_url: Option<PublicUrl>,
}

/// The database.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseConfig {
    /// The database that serves requests.
    pub url: DatabaseUrl,
    /// PostgreSQL: the login of the ledger lane.
    pub ledger_url: Option<DatabaseUrl>,
    /// PostgreSQL: the login that migrates.
    pub migrate_url: Option<DatabaseUrl>,
    /// Connections of the control plane.
    pub connections_max: u32,
    /// SQLite: most pages of the file.
    pub sqlite_pages_max: Option<u32>,
}

/// The ledger lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneConfig {
    /// Commands per commit.
    pub batch_commands_max: usize,
    /// Waiting commands.
    pub queue_max: usize,
}

/// The keyring.
#[derive(Clone, Debug)]
pub(crate) struct KeysConfig {
    /// Where it is.
    pub provider: KeyProvider,
    /// The file, also where the provider is another.
    pub file: PathBuf,
    /// The wrapped keyring itself.
    pub keyring: Option<SecretString>,
    /// What it is wrapped with.
    pub passphrase: Option<SecretString>,
}

/// How people prove who they are.
#[derive(Clone, Debug)]
pub(crate) struct AuthConfig {
    /// Whether customers need a second factor.
    pub customer_mfa_required: bool,
    /// Whole units of a transfer's currency above which a fresh factor is needed.
    pub step_up_transfer_over: u64,
    /// Whether a new password needs a character of each class.
    pub password_complexity: bool,
    /// The operator's list of breached passwords.
    pub breached_passwords: Option<PathBuf>,
    /// Issuers elsewhere that people may log in by.
    pub providers: Vec<Provider>,
}

/// How often somebody may ask.
#[derive(Clone, Debug)]
pub(crate) struct LimitsConfig {
    /// Whether anything is counted.
    pub enabled: bool,
    quotas: Vec<(Class, Quota)>,
}

impl LimitsConfig {
    /// The quota of a class; `None` only where its setting is wrong.
    pub(crate) fn quota(&self, class: Class) -> Option<&Quota> {
        let mut quotas = self.quotas.iter();
        quotas.find_map(|(known, quota)| (*known == class).then_some(quota))
    }
}

/// What looks for attacks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DetectionConfig {
    /// Whether what is certain is refused.
    pub blocks: bool,
    /// How suspicious it is.
    pub paranoia: Paranoia,
}

/// What follows from how an address behaves.
#[derive(Clone, Debug)]
pub(crate) struct BlocksConfig {
    /// Whether suspects are refused.
    pub mode: Mode,
    /// Who is never looked at.
    pub allow: Vec<Network>,
}

/// The bank, fixed at first start.
#[derive(Clone, Debug)]
pub(crate) struct BankConfig {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// The bank's code inside its account numbers.
    pub code: String,
    /// IANA name.
    pub time_zone: String,
}

/// The metrics listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetricsConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether somebody set the address; then it must be free.
    pub is_set: bool,
}

/// The log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// How much Strongroom itself logs.
    pub level: tracing::Level,
}

/// The whole configuration, valid and consistent.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// What this server is for.
    pub environment: Environment,
    /// The public listener.
    pub server: ServerConfig,
    /// The operators' listener.
    pub admin: Option<AdminConfig>,
    /// The database.
    pub database: DatabaseConfig,
    /// The ledger lane.
    pub lane: LaneConfig,
    /// The keyring.
    pub keys: KeysConfig,
    /// How people prove who they are.
    pub auth: AuthConfig,
    /// How mails leave.
    pub mail: MailConfig,
    /// How often somebody may ask.
    pub limits: LimitsConfig,
    /// What customers may pay.
    pub customer_limits: LimitRules,
    /// What follows from how an address behaves.
    pub blocks: BlocksConfig,
    /// What looks for attacks.
    pub detection: DetectionConfig,
    /// Whether new operators wait.
    pub approvals_bootstrap: bool,
    /// The bank.
    pub bank: BankConfig,
    /// The metrics listener.
    pub metrics: MetricsConfig,
    /// The log.
    pub log: LogConfig,
    /// Whether production may use a certificate of the local authority.
    tls_self_signed_ok: bool,
}

/// One line of `config check`.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The key.
    pub key: &'static str,
    /// Its environment variable.
    pub variable: String,
    /// The value as text, a secret as `(set)`; `None` where nothing is set.
    pub value: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

/// Reads and checks a configuration for the data directory. The list shows every setting, also where
/// something is wrong.
pub(crate) fn load(sources: Sources, data_dir: &Path) -> (Vec<Shown>, Result<Config, ConfigErrors>) {
    let mut gathered = Gathered::from(sources);
    let shown = TABLE
        .iter()
        .map(|setting| {
            let resolved = gathered.values.get(setting.key);
            Shown {
                key: setting.key,
                variable: setting.variable(),
                value: resolved.map(|resolved| resolved.value.show()),
                origin: resolved.map_or(Origin::Default, |resolved| resolved.origin.clone()),
            }
        })
        .collect();
    let mut errors = std::mem::take(&mut gathered.errors);
    // A setting that could not be read has its default here, so that the other rules are still checked and
    // everything is reported at once.
    let config = Reader::new(&gathered).config(data_dir);
    errors.extend(rules::check(&config, &gathered, data_dir));
    let result = if errors.is_empty() {
        Ok(config)
    } else {
        Err(ConfigErrors(errors))
    };
    (shown, result)
}

/// Takes typed values out of the table, and remembers which: a setting that nobody takes does nothing.
struct Reader<'a> {
    gathered: &'a Gathered,
    taken: std::cell::RefCell<BTreeSet<&'static str>>,
}

macro_rules! readers {
    ($($name:ident: $variant:ident -> $type:ty;)*) => {$(
        fn $name(&self, key: &'static str) -> Option<$type> {
            match self.value(key)? {
                Value::$variant(value) => Some(value.clone()),
                _ => None,
            }
        }
    )*};
}

impl<'a> Reader<'a> {
    fn new(gathered: &'a Gathered) -> Self {
        Self {
            gathered,
            taken: Default::default(),
        }
    }

    fn value(&self, key: &'static str) -> Option<&'a Value> {
        debug_assert!(table::find(key).is_some(), "{key} is not in the table");
        self.taken.borrow_mut().insert(key);
        self.gathered.values.get(key).map(|Resolved { value, .. }| value)
    }

    readers! {
        text: Text -> String;
        flag: Flag -> bool;
        number: Number -> u64;
        listen: Listen -> SocketAddr;
        url: Url -> PublicUrl;
        database: Database -> DatabaseUrl;
        networks: Networks -> Vec<Network>;
        quota: Quota -> Quota;
        caps: Caps -> CapsRule;
        origins: Origins -> Vec<String>;
        path: Path -> PathBuf;
        secret: Secret -> SecretString;
    }

    fn count(&self, key: &'static str) -> usize {
        self.number(key)
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or_default()
    }

    fn seconds(&self, key: &'static str) -> Duration {
        Duration::from_secs(self.number(key).unwrap_or_default())
    }

    fn is(&self, key: &'static str, word: &str) -> bool {
        self.text(key).as_deref() == Some(word)
    }

    fn config(&self, data_dir: &Path) -> Config {
        let environment = match self.text("environment").as_deref() {
            Some("production") => Environment::Production,
            Some("staging") => Environment::Staging,
            _ => Environment::Development,
        };
        Config {
            environment,
            server: self.server(environment),
            admin: self.admin(),
            database: DatabaseConfig {
                url: self
                    .database("database.url")
                    .unwrap_or_else(|| DatabaseUrl::Sqlite(data_dir.join("strongroom.db"))),
                ledger_url: self.database("database.ledger_url"),
                migrate_url: self.database("database.migrate_url"),
                connections_max: self
                    .count("database.connections_max")
                    .try_into()
                    .unwrap_or(u32::MAX),
                sqlite_pages_max: self
                    .number("database.sqlite_pages_max")
                    .and_then(|it| it.try_into().ok()),
            },
            lane: LaneConfig {
                batch_commands_max: self.count("lane.batch_commands_max"),
                queue_max: self.count("lane.queue_max"),
            },
            keys: KeysConfig {
                provider: if self.is("keys.provider", "env") {
                    KeyProvider::Env
                } else {
                    KeyProvider::File
                },
                file: self
                    .path("keys.file")
                    .unwrap_or_else(|| data_dir.join("keys").join("keyring")),
                keyring: self.secret("keys.keyring"),
                passphrase: self.secret("keys.passphrase"),
            },
            auth: AuthConfig {
                customer_mfa_required: match self.text("auth.customer_mfa").as_deref() {
                    Some(word) => word == "required",
                    None => environment != Environment::Development,
                },
                step_up_transfer_over: self.number("auth.step_up_transfer_over").unwrap_or_default(),
                password_complexity: self.is("auth.password_policy", "complexity"),
                breached_passwords: self.path("auth.breached_passwords"),
                providers: self
                    .secret("oidc.providers")
                    .and_then(|text| providers::read(&text).ok())
                    .unwrap_or_default(),
            },
            mail: self.mail(),
            limits: self.limits(),
            customer_limits: self.customer_limits(),
            blocks: BlocksConfig {
                mode: match self.text("blocks.mode").as_deref() {
                    Some("off") => Mode::Off,
                    Some("observe") => Mode::Observe,
                    _ => Mode::Enforce,
                },
                allow: self.networks("blocks.allow").unwrap_or_default(),
            },
            detection: DetectionConfig {
                blocks: self.is("detection.mode", "block"),
                paranoia: match self.number("detection.paranoia") {
                    Some(2) => Paranoia::Two,
                    Some(3) => Paranoia::Three,
                    Some(4) => Paranoia::Four,
                    _ => Paranoia::One,
                },
            },
            approvals_bootstrap: self.flag("approvals.bootstrap").unwrap_or_default(),
            bank: BankConfig {
                country: self.text("bank.country").unwrap_or_default(),
                code: self.text("bank.code").unwrap_or_default(),
                time_zone: self.text("bank.time_zone").unwrap_or_default(),
            },
            metrics: self.metrics(),
            log: self.log(environment),
            tls_self_signed_ok: self.flag("tls.self_signed_ok").unwrap_or_default(),
        }
    }

    fn server(&self, environment: Environment) -> ServerConfig {
        let listen = self
            .listen("server.listen")
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8443)));
        let (certificate, key) = (self.path("tls.certificate_file"), self.path("tls.key_file"));
        let tls = match self.text("server.tls").as_deref() {
            Some("off") => Tls::Off,
            Some("files") => Tls::Files {
                certificate: certificate.unwrap_or_default(),
                key: key.unwrap_or_default(),
            },
            _ => Tls::SelfSigned,
        };
        let local = PublicUrl {
            https: tls != Tls::Off,
            host: "localhost".into(),
            port: listen.port(),
        };
        ServerConfig {
            listen,
            public_url: self.url("server.public_url").unwrap_or(local),
            tls,
            redirect_listen: self.listen("server.redirect_listen"),
            client_ca: self.path("tls.client_ca_file"),
            trusted_proxies: self.networks("server.trusted_proxies").unwrap_or_default(),
            hsts_preload: self
                .flag("server.hsts_preload")
                .unwrap_or(environment == Environment::Production),
            cors_origins: self.origins("server.cors_origins").unwrap_or_default(),
            docs: self
                .flag("server.docs")
                .unwrap_or(environment != Environment::Production),
            request_time_max: self.seconds("server.request_seconds_max"),
            header_time_max: self.seconds("server.header_seconds_max"),
            shutdown_time_max: self.seconds("server.shutdown_seconds_max"),
            connections_max: self.count("server.connections_max"),
            concurrency_max: self.count("server.concurrency_max"),
        }
    }

    fn admin(&self) -> Option<AdminConfig> {
        let public_url = self.url("admin.public_url");
        self.listen("admin.listen")
            .map(|listen| AdminConfig { listen, public_url })
    }

    fn limits(&self) -> LimitsConfig {
        let setting = |class: Class| {
            let key = TABLE.iter().map(|setting| setting.key);
            let mut keys = key.filter(|key| key.strip_prefix("limits.") == Some(class.name()));
            keys.next().and_then(|key| self.quota(key))
        };
        let quotas = Class::ALL.into_iter();
        LimitsConfig {
            enabled: self.flag("limits.enabled").unwrap_or_default(),
            quotas: quotas
                .filter_map(|class| setting(class).map(|quota| (class, quota)))
                .collect(),
        }
    }

    fn customer_limits(&self) -> LimitRules {
        let rule = |class: LimitClass| {
            let key = TABLE.iter().map(|setting| setting.key);
            let mut keys = key.filter(|key| key.strip_prefix("customer_limits.") == Some(class.name()));
            keys.next().and_then(|key| self.caps(key))
        };
        LimitRules {
            classes: LimitClass::ALL
                .into_iter()
                .filter_map(|class| rule(class).map(|rule| (class, rule)))
                .collect(),
            floor: self.caps("customer_limits.floor").unwrap_or_default(),
        }
    }

    fn metrics(&self) -> MetricsConfig {
        let origin = self
            .gathered
            .values
            .get("metrics.listen")
            .map(|resolved| &resolved.origin);
        MetricsConfig {
            listen: self
                .listen("metrics.listen")
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9464))),
            is_set: origin.is_some_and(|origin| *origin != Origin::Default),
        }
    }

    fn log(&self, environment: Environment) -> LogConfig {
        let format = match self.text("log.format").as_deref() {
            Some("json") => LogFormat::Json,
            Some("text") => LogFormat::Text,
            _ if environment == Environment::Development => LogFormat::Text,
            _ => LogFormat::Json,
        };
        let level = self.text("log.level").and_then(|level| level.parse().ok());
        LogConfig {
            format,
            level: level.unwrap_or(tracing::Level::INFO),
        }
    }
}
