//! What settings demand of each other, and what an environment refuses.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use secrecy::ExposeSecret;

use strongroom_domain::fraud::FraudMode;

use super::{
    Config, DatabaseUrl, Environment, KeyProvider, PublicUrl, Tls,
    error::{ConfigError, Origin},
    gather::{Gathered, is_shared},
    value::Value,
};
use crate::tls::mac_key;

/// Everything that is wrong with a configuration whose values are fine by themselves.
pub(super) fn check(config: &Config, gathered: &Gathered, data_dir: &Path) -> Vec<ConfigError> {
    let mut rules = Rules {
        config,
        gathered,
        data_dir,
        errors: Vec::new(),
    };
    rules.always();
    match config.environment {
        Environment::Development => rules.loopback_only(),
        Environment::Staging => {}
        Environment::Production => rules.production(),
    }
    rules.errors
}

/// Shortest key of an external account, in bytes.
const BINDING_BYTES_MIN: usize = 16;
/// Shortest secret that alerts are signed with.
const WEBHOOK_SECRET_CHARS_MIN: usize = 24;

struct Rules<'a> {
    config: &'a Config,
    gathered: &'a Gathered,
    data_dir: &'a Path,
    errors: Vec<ConfigError>,
}

impl Rules<'_> {
    fn refuse(&mut self, key: &'static str, message: impl Into<String>) {
        let origin = self
            .gathered
            .values
            .get(key)
            .map_or(Origin::Default, |resolved| resolved.origin.clone());
        self.errors.push(ConfigError::new(key, origin, message));
    }

    fn always(&mut self) {
        let config = self.config;
        let server = &config.server;
        match &server.tls {
            Tls::Files { certificate, key } => {
                if certificate.as_os_str().is_empty() {
                    self.refuse("tls.certificate_file", "is needed with server.tls = files");
                }
                if key.as_os_str().is_empty() {
                    self.refuse("tls.key_file", "is needed with server.tls = files");
                }
            }
            Tls::Off if !server.listen.ip().is_loopback() && server.trusted_proxies.is_empty() => {
                self.refuse(
                    "server.tls",
                    "= off needs a loopback server.listen, or the proxy in server.trusted_proxies",
                );
            }
            Tls::Off | Tls::SelfSigned | Tls::Acme { .. } => {}
        }
        if !server.public_url.https && server.tls != Tls::Off {
            self.refuse("server.public_url", "must be https unless server.tls = off");
        }
        let per_address = "server.connections_per_address_max";
        let is_set = self
            .gathered
            .values
            .get(per_address)
            .is_some_and(|resolved| resolved.origin != Origin::Default);
        if is_set && server.connections_per_address_max > server.connections_max {
            self.refuse(per_address, "must not be above server.connections_max");
        }
        if let Some(admin) = &config.admin {
            if admin.public_url.is_none() {
                self.refuse("admin.public_url", "is needed with admin.listen");
            }
            if admin.listen == server.listen && admin.listen.port() != 0 {
                self.refuse("admin.listen", "must differ from server.listen");
            }
        } else if self.gathered.values.contains_key("admin.public_url") {
            self.refuse("admin.public_url", "does nothing without admin.listen");
        }
        self.acme();
        self.databases();
        self.mail();
        self.providers();
        self.alerts();
        self.rail();
        self.redis();
        self.siem();
        self.otlp();
        if config.keys.provider == KeyProvider::Env {
            if config.keys.keyring.is_none() {
                self.refuse("keys.keyring", "is needed with keys.provider = env");
            }
            if config.keys.passphrase.is_none() {
                self.refuse("keys.passphrase", "is needed with keys.provider = env");
            }
        } else if config.keys.keyring.is_some() {
            self.refuse("keys.keyring", "does nothing without keys.provider = env");
        }
    }

    fn providers(&mut self) {
        let text = self.gathered.values.get("oidc.providers");
        if let Some(Value::Secret(text)) = text.map(|resolved| &resolved.value)
            && let Err(message) = super::providers::read(text)
        {
            self.refuse("oidc.providers", message);
        }
    }

    fn acme(&mut self) {
        const SETTINGS: [&str; 6] = [
            "acme.directory_url",
            "acme.contact",
            "acme.ca_file",
            "acme.eab_key_id",
            "acme.eab_key",
            "acme.terms_agreed",
        ];
        let config = self.config;
        let set = |key: &str| {
            let resolved = self.gathered.values.get(key);
            resolved.is_some_and(|resolved| resolved.origin != Origin::Default)
        };
        let Some(acme) = &config.acme else {
            for key in SETTINGS.into_iter().filter(|key| set(key)).collect::<Vec<_>>() {
                self.refuse(key, "does nothing without server.tls = acme");
            }
            return;
        };
        let (id, key) = (set("acme.eab_key_id"), set("acme.eab_key"));
        let (certificate, private) = (set("tls.certificate_file"), set("tls.key_file"));
        if acme.directory.is_empty() {
            self.refuse("acme.directory_url", "is needed with server.tls = acme");
        }
        if !acme.terms_agreed {
            self.refuse(
                "acme.terms_agreed",
                "must be true with server.tls = acme: nobody else can agree to the directory's terms",
            );
        }
        if id && !key {
            self.refuse("acme.eab_key", "is needed with acme.eab_key_id");
        }
        if key && !id {
            self.refuse("acme.eab_key_id", "is needed with acme.eab_key");
        }
        if let Some((_, key)) = &acme.binding
            && mac_key(key.expose_secret()).is_none_or(|key| key.len() < BINDING_BYTES_MIN)
        {
            self.refuse("acme.eab_key", "must be 16 bytes at least in base64url");
        }
        if is_address(&config.server.public_url) {
            self.refuse(
                "server.public_url",
                "must have a name as its host with server.tls = acme",
            );
        }
        let operators = config.admin.as_ref();
        if certificate != private {
            let missing = if certificate {
                "tls.key_file"
            } else {
                "tls.certificate_file"
            };
            self.refuse(missing, "is needed with the other one");
        } else if certificate && operators.is_none() {
            self.refuse(
                "tls.certificate_file",
                "does nothing with server.tls = acme without admin.listen",
            );
        }
        if !certificate
            && let Some(url) = operators.and_then(|admin| admin.public_url.as_ref())
            && is_address(url)
        {
            self.refuse(
                "admin.public_url",
                "must have a name as its host with server.tls = acme, or a certificate in tls.certificate_file",
            );
        }
    }

    fn redis(&mut self) {
        let production = self.config.environment == Environment::Production;
        let Some(redis) = &self.config.redis else {
            if self.gathered.values.contains_key("redis.ca_file") {
                self.refuse("redis.ca_file", "does nothing without redis.url");
            }
            return;
        };
        let place = match redis.place() {
            Ok(place) => place,
            Err(error) => return self.refuse("redis.url", error.to_string()),
        };
        if redis.ca.is_some() && !place.is_encrypted() {
            self.refuse("redis.ca_file", "does nothing without rediss:// in redis.url");
        }
        if !self.config.limits.enabled {
            self.refuse("redis.url", "does nothing with limits.enabled = false");
        }
        if production && !place.is_encrypted() {
            self.refuse("redis.url", "must be rediss:// in production: TLS, verified");
        }
        if production && !place.has_password() {
            self.refuse("redis.url", "needs a password in production");
        }
    }

    fn siem(&mut self) {
        let set = |key: &'static str| self.gathered.values.contains_key(key);
        let (host, ca) = (set("siem.host"), set("siem.ca_file"));
        if host && !ca {
            self.refuse("siem.ca_file", "is needed with siem.host");
        }
        if ca && !host {
            self.refuse("siem.ca_file", "does nothing without siem.host");
        }
    }

    fn otlp(&mut self) {
        let Some(otlp) = &self.config.otlp else {
            if self.gathered.values.contains_key("otlp.ca_file") {
                self.refuse("otlp.ca_file", "does nothing without otlp.endpoint");
            }
            return;
        };
        let endpoint = &otlp.endpoint;
        let is_here = matches!(endpoint.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if !endpoint.https && (self.config.environment == Environment::Production || !is_here) {
            self.refuse(
                "otlp.endpoint",
                "must be https, except outside production for a collector on this machine",
            );
        }
        if !endpoint.https && otlp.ca.is_some() {
            self.refuse("otlp.ca_file", "does nothing without https in otlp.endpoint");
        }
    }

    fn alerts(&mut self) {
        let secret = |key| match self.gathered.values.get(key).map(|resolved| &resolved.value) {
            Some(Value::Secret(text)) => Some(text),
            _ => None,
        };
        let (url, secret) = (secret("alerts.webhook_url"), secret("alerts.webhook_secret"));
        let is_short = secret.is_some_and(|text| text.expose_secret().len() < WEBHOOK_SECRET_CHARS_MIN);
        let is_plain = url.is_some_and(|text| !text.expose_secret().starts_with("https://"));
        let (has_url, has_secret) = (url.is_some(), secret.is_some());
        if has_url && !has_secret {
            self.refuse("alerts.webhook_secret", "is needed with alerts.webhook_url");
        }
        if has_secret && !has_url {
            self.refuse("alerts.webhook_url", "is needed with alerts.webhook_secret");
        }
        if is_short {
            self.refuse("alerts.webhook_secret", "must have 24 characters at least");
        }
        if is_plain && self.config.environment == Environment::Production {
            self.refuse("alerts.webhook_url", "must be https in production");
        }
    }

    fn rail(&mut self) {
        const PARTS: [&str; 4] = ["rail.account", "rail.name", "rail.outbox", "rail.inbox"];
        let set = |key: &&str| self.gathered.values.contains_key(*key);
        if !PARTS.iter().any(set) {
            return;
        }
        let missing: Vec<&str> = PARTS.into_iter().filter(|key| !set(key)).collect();
        for key in missing {
            self.refuse(key, "is needed with the other settings of the rail");
        }
        if let Some(rail) = &self.config.rail
            && rail.outbox == rail.inbox
        {
            self.refuse("rail.inbox", "must differ from rail.outbox");
        }
    }

    fn mail(&mut self) {
        let set = |key| self.gathered.values.contains_key(key);
        let (name, password) = (set("smtp.username"), set("smtp.password"));
        let (host, from) = (set("smtp.host"), set("mail.from"));
        if self.config.mail.smtp.is_none() {
            for key in [
                "smtp.host",
                "smtp.port",
                "smtp.ca_file",
                "smtp.username",
                "smtp.password",
            ] {
                if set(key) {
                    self.refuse(key, "does nothing without mail.transport = smtp");
                }
            }
            return;
        }
        if !host {
            self.refuse("smtp.host", "is needed with mail.transport = smtp");
        }
        if !from {
            self.refuse("mail.from", "is needed with mail.transport = smtp");
        }
        if name && !password {
            self.refuse("smtp.password", "is needed with smtp.username");
        }
        if password && !name {
            self.refuse("smtp.username", "is needed with smtp.password");
        }
    }

    fn databases(&mut self) {
        let database = &self.config.database;
        let serves_postgres = matches!(database.url, DatabaseUrl::Postgres(_));
        for (key, other) in [
            ("database.ledger_url", &database.ledger_url),
            ("database.migrate_url", &database.migrate_url),
        ] {
            match other {
                Some(DatabaseUrl::Sqlite(_)) => self.refuse(key, "must be a PostgreSQL login"),
                Some(DatabaseUrl::Postgres(_)) if !serves_postgres => {
                    self.refuse(key, "does nothing while database.url is SQLite");
                }
                _ => {}
            }
        }
        if serves_postgres && database.sqlite_pages_max.is_some() {
            self.refuse(
                "database.sqlite_pages_max",
                "does nothing while database.url is PostgreSQL",
            );
        }
    }

    fn loopback_only(&mut self) {
        let config = self.config;
        let refuse = "must be a loopback address in development; set environment to staging or production";
        let outside = |address: SocketAddr| !address.ip().is_loopback();
        if outside(config.server.listen) {
            self.refuse("server.listen", refuse);
        }
        if config.admin.as_ref().is_some_and(|admin| outside(admin.listen)) {
            self.refuse("admin.listen", refuse);
        }
        if outside(config.metrics.listen) {
            self.refuse("metrics.listen", refuse);
        }
    }

    /// Every reason at once: an operator should not learn them one start at a time.
    fn production(&mut self) {
        let config = self.config;
        let server = &config.server;
        if !self.gathered.values.contains_key("server.public_url") {
            self.refuse("server.public_url", "is needed in production");
        }
        match server.tls {
            Tls::Off => self.refuse("server.tls", "= off is refused in production"),
            Tls::SelfSigned if !config.tls_self_signed_ok => {
                self.refuse(
                    "server.tls",
                    "= self-signed is refused in production without tls.self_signed_ok",
                );
            }
            _ => {}
        }
        for network in server.trusted_proxies.iter().filter(|network| network.is_wide()) {
            self.refuse(
                "server.trusted_proxies",
                format!("must not contain a network as wide as {network}"),
            );
        }
        if config.mail.smtp.is_none() {
            self.refuse(
                "mail.transport",
                "= outbox is refused in production: mail would stay in files",
            );
        }
        if config.approvals_bootstrap {
            self.refuse("approvals.bootstrap", "is refused in production");
        }
        if !config.limits.enabled {
            self.refuse("limits.enabled", "= false is refused in production");
        }
        if config.fraud.mode == FraudMode::Off {
            self.refuse("fraud.mode", "= off is refused in production");
        }
        if config.auth.providers.iter().any(|provider| provider.plain) {
            self.refuse(
                "oidc.providers",
                "must not hold an issuer without TLS in production",
            );
        }
        self.production_keys();
        self.production_databases();
        self.production_files();
    }

    fn production_keys(&mut self) {
        let keys = &self.config.keys;
        if keys.passphrase.is_none() {
            self.refuse(
                "keys.passphrase",
                "is needed in production: the keyring must be wrapped",
            );
        }
        if keys.provider == KeyProvider::File && lies_in(&keys.file, self.data_dir) {
            self.refuse("keys.file", "must not lie in the data directory in production");
        }
        // Whoever takes the wrapped keyring must not find the passphrase beside it.
        let secret = self
            .gathered
            .values
            .get("keys.passphrase")
            .and_then(|it| it.secret_file.as_deref());
        if secret.is_some_and(|path| lies_in(path, self.data_dir)) {
            self.refuse(
                "keys.passphrase",
                "must not lie in the data directory in production",
            );
        }
    }

    fn production_databases(&mut self) {
        let database = &self.config.database;
        let all = [
            ("database.url", Some(&database.url)),
            ("database.ledger_url", database.ledger_url.as_ref()),
            ("database.migrate_url", database.migrate_url.as_ref()),
        ];
        for (key, url) in all {
            if let Some(DatabaseUrl::Postgres(url)) = url
                && !verifies_tls(url)
            {
                self.refuse(
                    key,
                    "must verify the server's certificate in production: sslmode=verify-full",
                );
            }
        }
    }

    fn production_files(&mut self) {
        for (key, resolved) in &self.gathered.values {
            if resolved.secret_file.as_deref().is_some_and(is_shared) {
                self.refuse(key, "is in a file that group or others may read");
            }
            // A secret in the configuration file makes the file itself a secret.
            if super::table::find(key).is_some_and(|setting| setting.is_secret())
                && resolved.secret_file.is_none()
                && let Origin::File { path, .. } = &resolved.origin
                && is_shared(Path::new(path))
            {
                self.refuse(key, "is in a configuration file that group or others may read");
            }
        }
        if let Tls::Files { key, .. }
        | Tls::Acme {
            operators: Some((_, key)),
        } = &self.config.server.tls
            && is_shared(key)
        {
            self.refuse("tls.key_file", "may be read by group or others");
        }
        if self.config.keys.provider == KeyProvider::File && is_shared(&self.config.keys.file) {
            self.refuse("keys.file", "may be read by group or others");
        }
    }
}

/// Directories vouch for names.
fn is_address(url: &PublicUrl) -> bool {
    url.host.parse::<IpAddr>().is_ok()
}

/// Whether the path is the directory or below it, also by way of links.
fn lies_in(path: &Path, directory: &Path) -> bool {
    let real = |path: &Path| {
        std::path::absolute(path)
            .ok()
            .map(|path| path.canonicalize().unwrap_or(path))
    };
    match (real(path), real(directory)) {
        (Some(path), Some(directory)) => path.starts_with(directory),
        // What cannot be told apart is refused.
        _ => true,
    }
}

/// Whether a PostgreSQL URL demands the verified certificate of the named host. The last `sslmode` counts,
/// as it does for the driver.
fn verifies_tls(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut modes = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| matches!(*name, "sslmode" | "ssl-mode"));
    modes.next_back().is_some_and(|(_, mode)| mode == "verify-full")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_verify_full_counts_as_verified() {
        assert!(verifies_tls("postgres://a@b/c?sslmode=verify-full"));
        assert!(verifies_tls(
            "postgres://a@b/c?x=1&sslmode=disable&sslmode=verify-full"
        ));
        for wrong in [
            "postgres://a@b/c",
            "postgres://a@b/c?sslmode=require",
            "postgres://a@b/c?sslmode=verify-full&sslmode=disable",
        ] {
            assert!(!verifies_tls(wrong), "{wrong}");
        }
    }
}
