//! Configuration: defaults, then `strongroom.toml`, then `STRONGROOM_SECTION__KEY`, then flags.
//!
//! One table ([`table::TABLE`]) says which settings there are; parsing, `config check` and the reference read
//! it. Whatever is wrong is reported at once, with the key and where it was written and never with the value.
//! A name that is not in the table is an error, so that a misspelt setting cannot quietly do nothing.

mod acme;
mod edge;
mod error;
mod gather;
mod mail;
mod money;
mod otlp;
mod providers;
mod rail;
mod redis;
mod reference;
mod rules;
mod siem;
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
use strongroom_app::{authority::readers::ReadersRule, bank::FraudSettings};
use strongroom_crypto::WitnessKey;
use strongroom_domain::limits::{CapsRule, LimitRules};
use strongroom_guard::{Network, Quota};

use edge::{BlocksConfig, DetectionConfig, LimitsConfig, SecurityTxtConfig};
use gather::{Gathered, Resolved};
use value::Value;

pub(crate) use acme::AcmeConfig;
pub(crate) use error::{ConfigError, ConfigErrors, Origin};
pub(crate) use gather::Sources;
pub(crate) use mail::{MailConfig, SmtpConfig};
pub(crate) use otlp::OtlpConfig;
pub(crate) use providers::Provider;
pub(crate) use rail::RailConfig;
pub(crate) use redis::RedisConfig;
pub(crate) use reference::reference;
pub(crate) use siem::SiemConfig;
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
    /// Of a directory that is asked by ACME.
    Acme {
        /// Chain and key of the operators' listener, where it has its own from files.
        operators: Option<(PathBuf, PathBuf)>,
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
    /// Those of one address.
    pub connections_per_address_max: usize,
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
    /// Wrong tries of everybody in five minutes from which on unknown devices solve a puzzle first.
    pub puzzle_after: u32,
    /// Whether a new password needs a character of each class.
    pub password_complexity: bool,
    /// The operator's list of breached passwords.
    pub breached_passwords: Option<PathBuf>,
    /// Issuers elsewhere that people may log in by.
    pub providers: Vec<Provider>,
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
    /// Who gives the certificate, with `server.tls = acme`.
    pub acme: Option<AcmeConfig>,
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
    /// Where nodes count together.
    pub redis: Option<RedisConfig>,
    /// What customers may pay.
    pub customer_limits: LimitRules,
    /// What is done about what looks like fraud.
    pub fraud: FraudSettings,
    /// The bank's account at its own bank.
    pub rail: Option<RailConfig>,
    /// What follows from how an address behaves.
    pub blocks: BlocksConfig,
    /// What looks for attacks.
    pub detection: DetectionConfig,
    /// Whom to tell about a weakness.
    pub security_txt: SecurityTxtConfig,
    /// Where security events go.
    pub siem: Option<SiemConfig>,
    /// Most bytes of events that wait for each collector.
    pub spool_bytes: u64,
    /// Where traces go, and security events as logs.
    pub otlp: Option<OtlpConfig>,
    /// Where alerts go besides the log and mails: address and what they are signed with.
    pub alert_webhook: Option<(SecretString, SecretString)>,
    /// Whether new operators wait.
    pub approvals_bootstrap: bool,
    /// How much an operator reads before somebody is told.
    pub readers: ReadersRule,
    /// How long decisions are kept.
    pub decisions_kept_days: u32,
    /// Who follows the audit log and cosigns.
    pub witnesses: Vec<WitnessKey>,
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
        witnesses: Witnesses -> Vec<WitnessKey>;
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
            acme: self.acme(),
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
                puzzle_after: self
                    .number("auth.puzzle_after")
                    .and_then(|many| many.try_into().ok())
                    .unwrap_or_default(),
                password_complexity: self.is("auth.password_policy", "complexity"),
                breached_passwords: self.path("auth.breached_passwords"),
                providers: self
                    .secret("oidc.providers")
                    .and_then(|text| providers::read(&text).ok())
                    .unwrap_or_default(),
            },
            mail: self.mail(),
            limits: self.limits(),
            redis: self.redis(),
            customer_limits: self.customer_limits(),
            blocks: self.blocks(),
            fraud: self.fraud(),
            rail: self.rail(),
            detection: self.detection(),
            security_txt: self.security_txt(),
            siem: self.siem(),
            spool_bytes: self.number("siem.spool_bytes").unwrap_or_default(),
            otlp: self.otlp(),
            alert_webhook: self
                .secret("alerts.webhook_url")
                .zip(self.secret("alerts.webhook_secret")),
            approvals_bootstrap: self.flag("approvals.bootstrap").unwrap_or_default(),
            readers: self.readers(),
            decisions_kept_days: self.small("access.decisions_kept_days"),
            witnesses: self.witnesses("audit.witnesses").unwrap_or_default(),
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

    fn small(&self, key: &'static str) -> u32 {
        let number = self.number(key).unwrap_or_default();
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    fn readers(&self) -> ReadersRule {
        ReadersRule {
            people_max: self.small("access.readers_people_max"),
            window_secs: self.small("access.readers_window_seconds"),
        }
    }

    fn server(&self, environment: Environment) -> ServerConfig {
        let listen = self
            .listen("server.listen")
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8443)));
        let (certificate, key) = (self.path("tls.certificate_file"), self.path("tls.key_file"));
        let tls = match self.text("server.tls").as_deref() {
            Some("off") => Tls::Off,
            Some("acme") => Tls::Acme {
                operators: certificate.zip(key),
            },
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
            connections_per_address_max: self.count("server.connections_per_address_max"),
            concurrency_max: self.count("server.concurrency_max"),
        }
    }

    fn admin(&self) -> Option<AdminConfig> {
        let public_url = self.url("admin.public_url");
        self.listen("admin.listen")
            .map(|listen| AdminConfig { listen, public_url })
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
