//! Every setting that there is: the one table behind parsing, `config check` and the reference.

use super::value::Kind;

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its name: `section.key`, in the file; `STRONGROOM_SECTION__KEY` in the environment.
    pub key: &'static str,
    /// Its type and bounds.
    pub kind: Kind,
    /// Its default, as text; `None` where it is unset or follows from other settings.
    pub default: Option<&'static str>,
    /// What it does, in Markdown.
    pub doc: &'static str,
}

impl Setting {
    /// The name of its environment variable.
    pub(crate) fn variable(&self) -> String {
        format!(
            "{}{}",
            super::gather::PREFIX,
            self.key.to_ascii_uppercase().replace('.', "__")
        )
    }

    /// Whether its value must not be shown.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret)
    }
}

/// The setting of that name.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.key == key)
}

/// Names of the contract that this build does not know how to honour. Accepting them quietly would promise
/// what does not happen.
pub(super) const NOT_IN_THIS_BUILD: &[&str] = &["webhooks."];

/// Values of choices that the contract names and this build does not have.
pub(super) const VALUES_NOT_IN_THIS_BUILD: &[(&str, &str)] = &[("keys.provider", "pkcs11")];

macro_rules! settings {
    ($($key:literal: $kind:expr, $default:expr, $doc:literal;)*) => {
        /// The table, in the order of the reference.
        pub(crate) static TABLE: &[Setting] =
            &[$(Setting { key: $key, kind: $kind, default: $default, doc: $doc }),*];
    };
}

const fn seconds(min: u64, max: u64) -> Kind {
    Kind::Number {
        min,
        max,
        unit: "seconds",
    }
}

const fn count(min: u64, max: u64, unit: &'static str) -> Kind {
    Kind::Number { min, max, unit }
}

settings! {
    "environment": Kind::Choice(&["development", "staging", "production"]), Some("development"),
        "What this server is for. `development` refuses every address that is not loopback; `production` refuses \
         everything that is not fit for it, all reasons at once.";

    "server.listen": Kind::Listen, Some("127.0.0.1:8443"),
        "Where the server listens.";
    "server.public_url": Kind::PublicUrl, None,
        "What clients call this server: links, tokens, passkeys and signatures are bound to it. Unset outside \
         production: `https://localhost:PORT`.";
    "server.tls": Kind::Choice(&["self-signed", "files", "acme", "off"]), Some("self-signed"),
        "`self-signed`: a certificate of the local authority `DATA/tls/ca.pem`, made at first start. `files`: \
         `tls.certificate_file` and `tls.key_file`. `acme`: the server gets and renews its own from \
         `acme.directory_url`. `off`: plain HTTP, only on loopback or behind `server.trusted_proxies`.";
    "server.trusted_proxies": Kind::Networks, Some(""),
        "Proxies whose `X-Forwarded-For` is believed. Host and scheme are never read from forwarded headers.";
    "server.cors_origins": Kind::Origins, Some(""),
        "Origins whose pages may call this server from a browser, each exactly as the browser writes it. Unset: none.";
    "server.hsts_preload": Kind::Flag, None,
        "Ask browsers to ship this host in their lists of hosts that are HTTPS only, with all hosts below it: hard to \
         take back. Unset: only in production.";
    "server.docs": Kind::Flag, None,
        "Serve `/docs` and `/openapi.json`. Unset: yes, except in production.";
    "server.request_seconds_max": seconds(1, 300), Some("30"),
        "How long a request may take until its answer begins.";
    "server.header_seconds_max": seconds(1, 300), Some("30"),
        "How long a connection may take to bring the head of its next request, idle time included.";
    "server.shutdown_seconds_max": seconds(1, 300), Some("30"),
        "How long requests in flight may take to finish once the server stops.";
    "server.connections_max": count(1, 1_000_000, "connections"), Some("4096"),
        "How many connections are open at once.";
    "server.connections_per_address_max": count(1, 1_000_000, "connections"), Some("1024"),
        "How many of them are open at once from one address (IPv6: one /64). Not counted for `server.trusted_proxies`.";
    "server.concurrency_max": count(1, 1_000_000, "requests"), Some("1024"),
        "How many requests are served at once; the rest is answered `overloaded`.";

    "server.redirect_listen": Kind::Listen, None,
        "Where plain HTTP is answered with a redirect to `server.public_url`, and with nothing else. Unset: nowhere. \
         Programs and requests with credentials are refused there.";

    "security_txt.contact": Kind::Mailbox, None,
        "Whom to write to about a weakness, as `/.well-known/security.txt` says it (RFC 9116). Unset: `security@` and the \
         host of `server.public_url` (RFC 2142).";
    "security_txt.contact_url": Kind::Address, None,
        "A page for the same, named first where it is set.";
    "security_txt.policy_url": Kind::Address, None,
        "Where it is told how reports are dealt with.";

    "tls.certificate_file": Kind::Path, None,
        "With `server.tls = files`: the certificate chain in PEM, the server's own first. With `acme`: that of the operators' \
         listener, whose host is then not ordered; for a directory that cannot reach it.";
    "tls.key_file": Kind::Path, None,
        "The private key of `tls.certificate_file` in PEM, not readable by group or others.";
    "tls.client_ca_file": Kind::Path, None,
        "Authorities in PEM: whoever calls the public listener has to show a certificate that one of them signed (mutual \
         TLS), besides everything else. For a node that serves programs only: browsers of customers have none.";
    "tls.self_signed_ok": Kind::Flag, Some("false"),
        "Allow `server.tls = self-signed` in production.";

    "acme.directory_url": Kind::Address, None,
        "With `server.tls = acme`: the directory that gives certificates (RFC 8555). It connects to the hosts of \
         `server.public_url` and `admin.public_url` at port 443, which has to lead to this server as TLS.";
    "acme.contact": Kind::Mailbox, None,
        "Whom the directory may write to. Unset: nobody.";
    "acme.terms_agreed": Kind::Flag, Some("false"),
        "`true`: you agree to the directory's terms. It gives nothing without.";
    "acme.ca_file": Kind::Path, None,
        "The only authorities that may vouch for the directory, in PEM. Unset: those that the system trusts.";
    "acme.eab_key_id": Kind::Name, None,
        "The name of an account that you have at the directory already, where it asks for one (external account binding).";
    "acme.eab_key": Kind::Secret, None,
        "The key that goes with `acme.eab_key_id`, in base64url as directories give it.";
    "acme.retry_seconds": seconds(1, 3600), Some("60"),
        "How long to wait after an order failed; twice as long after each further one, at most six hours.";

    "admin.listen": Kind::Listen, None,
        "Where the operators' interface listens. Unset outside production: the operators share `server.listen`; \
         unset in production: there is no operators' interface.";
    "admin.public_url": Kind::PublicUrl, None,
        "What operators call their interface. Needed where `admin.listen` is set.";

    "database.url": Kind::DatabaseUrl, None,
        "The database: `sqlite://PATH` or `postgres://…`. Unset: SQLite in the data directory.";
    "database.ledger_url": Kind::DatabaseUrl, None,
        "PostgreSQL: the login of the ledger lane. Unset: the login of `database.url`.";
    "database.migrate_url": Kind::DatabaseUrl, None,
        "PostgreSQL: the login that owns the schema, for migrations only. Unset: the login of `database.url`.";
    "database.connections_max": count(1, 1000, "connections"), Some("8"),
        "PostgreSQL: most connections of the control plane. SQLite: most read connections.";
    "database.sqlite_pages_max": count(1000, 4_294_967_294, "pages"), None,
        "SQLite: most pages the file may grow to. Unset: the engine's own bound.";

    "lane.batch_commands_max": count(1, 4096, "commands"), Some("1024"),
        "How many ledger commands one commit takes.";
    "lane.queue_max": count(1, 1_000_000, "commands"), Some("4096"),
        "How many ledger commands wait for the next commit; the rest is answered `overloaded`.";

    "keys.provider": Kind::Choice(&["file", "env"]), Some("file"),
        "Where the keyring is: in `keys.file`, or in `keys.keyring`.";
    "keys.file": Kind::Path, None,
        "With `keys.provider = file`: the keyring. Unset: `DATA/keys/keyring`, which production refuses.";
    "keys.keyring": Kind::Secret, None,
        "With `keys.provider = env`: the wrapped keyring itself.";
    "keys.passphrase": Kind::Secret, None,
        "What the keyring is wrapped with. Unset: not wrapped, which production refuses.";

    "mail.transport": Kind::Choice(&["outbox", "smtp"]), Some("outbox"),
        "`outbox`: one `.eml` file per message in `DATA/outbox/`, which production refuses. `smtp`: the server of \
         `smtp.host`.";
    "mail.from": Kind::Mailbox, None,
        "The address that mails come from. Needed with `mail.transport = smtp`; unset: `no-reply` at the host of \
         `server.public_url`.";
    "mail.retry_seconds": seconds(1, 3600), Some("60"),
        "How long a mail waits after its first try failed; twice as long after each further one, at most an hour. It is \
         tried until it is of no use any more.";

    "smtp.host": Kind::Host, None,
        "With `mail.transport = smtp`: the mail server, by the name that is in its certificate.";
    "smtp.port": count(1, 65_535, "port"), None,
        "Its port. Unset: 587, or 465 with `smtp.tls = implicit`.";
    "smtp.tls": Kind::Choice(&["starttls", "implicit"]), Some("starttls"),
        "`starttls`: TLS after a first exchange, or no mail. `implicit`: TLS from the first byte. There is no mail without \
         TLS, and the certificate is always verified.";
    "smtp.ca_file": Kind::Path, None,
        "The only authorities that may vouch for the mail server, in PEM. Unset: those that the system trusts.";
    "smtp.username": Kind::Secret, None,
        "Who we are to the mail server. Unset: it asks for nothing.";
    "smtp.password": Kind::Secret, None,
        "The password that goes with `smtp.username`.";
    "smtp.timeout_seconds": seconds(1, 60), Some("20"),
        "How long the mail server may take to be reached, and for each answer.";

    "auth.customer_mfa": Kind::Choice(&["optional", "required"]), None,
        "Whether customers need a second factor for large transfers. Unset: `required`, except in development. A customer \
         who has one is asked either way.";
    "auth.step_up_transfer_over": count(0, 1_000_000_000, "whole units of the currency"), Some("10000"),
        "Transfers above this amount need a fresh factor, bound to exactly this transfer.";

    "auth.puzzle_after": count(0, 1_000_000, "wrong tries in five minutes"), Some("300"),
        "When so many logins of anybody failed at this node in five minutes, unknown devices have to solve a puzzle before \
         their password is looked at. Known devices and passkeys are asked for nothing. 0: never.";

    "auth.password_policy": Kind::Choice(&["strength", "complexity"]), Some("strength"),
        "`strength`: length, guessability and breaches decide. `complexity`: besides, a new password has a lower-case \
         letter, an upper-case letter, a digit and something else.";
    "auth.breached_passwords": Kind::Path, None,
        "A file that `strongroom passwords filter` made of a list of breached passwords: none of them is taken. The \
         commonest are refused without it.";
    "limits.enabled": Kind::Flag, Some("true"),
        "Count requests and refuse who asks too often. Production refuses `false`.";
    "limits.anonymous": Kind::Quota, Some("50/1h, 200/1d"),
        "Requests of nobody in particular, by address. IPv6 counts by /64, with four times the quota for a /56 and \
         sixteen times for a /48; a device that was marked at a login has a count of its own.";
    "limits.auth": Kind::Quota, Some("5/15m"),
        "Wrong passwords, codes and mailed tokens, by address; right ones do not count.";
    "limits.session": Kind::Quota, Some("600/1h"),
        "Renewing and ending sessions, beginning a login by passkey and measuring passwords, by address.";
    "limits.api_read": Kind::Quota, Some("1000/1h"),
        "Reading, by customer.";
    "limits.api_write": Kind::Quota, Some("100/1h"),
        "Changing, by customer.";
    "limits.file_upload": Kind::Quota, Some("10/1h"),
        "Uploads, by whoever it is. No route takes one yet: statements of the bank's own bank come as files of the host.";
    "limits.preview": Kind::Quota, Some("30/1h"),
        "Dry runs, which tell whether a payee can be paid, by whoever it is, besides the class of the request.";
    "limits.payee_check": Kind::Quota, Some("10/1h, 30/1d"),
        "Questions whether a name is that of an account's holder, by whoever it is, besides the class of the request.";
    "limits.operator_read": Kind::Quota, Some("10000/1h"),
        "Reading, by operator.";
    "limits.operator_write": Kind::Quota, Some("2000/1h"),
        "Changing, by operator.";
    "limits.key_read": Kind::Quota, Some("10000/1h"),
        "Reading, by key of an integration.";
    "limits.key_write": Kind::Quota, Some("2000/1h"),
        "Changing, by key of an integration.";
    "limits.service": Kind::Quota, Some("10000/1s"),
        "Whatever the bank's own programs do, such as `import`, by their key.";
    "limits.health": Kind::Quota, Some("600/1m"),
        "`/livez` and `/readyz`, by address.";
    "limits.document": Kind::Quota, Some("120/1m"),
        "Public keys and documents, by address.";
    "limits.asset": Kind::Quota, Some("600/1m"),
        "Files of the web app, by address.";

    "redis.url": Kind::Secret, None,
        "Several nodes count requests together, and share blocks, in this Redis: `rediss://USER:PASSWORD@HOST:PORT`, or `redis://` without TLS, \
         which production refuses. Unset: each node counts and blocks for itself.";
    "redis.ca_file": Kind::Path, None,
        "The only authorities that may vouch for Redis, in PEM. Unset: those that the system trusts.";

    "blocks.mode": Kind::Choice(&["enforce", "observe", "off"]), Some("enforce"),
        "What follows when an address behaves like a scanner. `enforce`: it waits, then is refused for a while; sessions \
         that are valid go on. `observe`: it is only counted and shown to operators.";
    "blocks.allow": Kind::Networks, Some(""),
        "Addresses and networks that are never blocked or slowed down: scanners of your own, an office. The proxies of \
         `server.trusted_proxies` never are.";

    "detection.mode": Kind::Choice(&["observe", "block"]), Some("observe"),
        "What follows when a request looks like an attack. `observe`: it is noted and makes its address suspicious. \
         `block`: besides, it is refused where path and query leave no honest reading.";
    "detection.paranoia": Kind::Number { min: 1, max: 4, unit: "" }, Some("1"),
        "How suspicious detection is. Each level adds rules, and false alarms; `docs/security/edge.md` has the figures.";

    "alerts.webhook_url": Kind::Secret, None,
        "Where alerts are sent besides the log and mails to administrators: an `https` address, which is shown nowhere, for many \
         carry a password. Outside production also `http` on this machine.";
    "alerts.webhook_secret": Kind::Secret, None,
        "What alerts to `alerts.webhook_url` are signed with (Standard Webhooks), 24 characters at least.";

    "siem.host": Kind::Host, None,
        "Where security events go as syslog over TLS (RFC 5424, RFC 5425): the collector, by the name that is in its \
         certificate. Unset: they do not leave.";
    "siem.port": count(1, 65_535, "port"), Some("6514"),
        "Its port.";
    "siem.ca_file": Kind::Path, None,
        "The only authorities that may vouch for the collector, in PEM. Needed with `siem.host`; there is no syslog without \
         TLS.";
    "siem.format": Kind::Choice(&["ocsf", "cef"]), Some("ocsf"),
        "`ocsf`: JSON of the Open Cybersecurity Schema Framework. `cef`: Common Event Format.";
    "siem.spool_bytes": count(262_144, 8_589_934_592, "bytes"), Some("67108864"),
        "Most bytes of events that wait on this node for each collector, and for the feed. The last eighth is for events that \
         somebody has to act on.";

    "otlp.endpoint": Kind::PublicUrl, None,
        "A collector of OpenTelemetry (OTLP, protobuf over HTTP), such as `https://collector.bank.example:4318`: it gets a span \
         for each request, and security events as logs. Unset: nothing leaves.";
    "otlp.ca_file": Kind::Path, None,
        "The only authorities that may vouch for that collector, in PEM. Unset: those that the system trusts.";

    "oidc.providers": Kind::Secret, None,
        "Issuers that people may log in by (OpenID Connect), as TOML, best in a file of its own: a table per issuer, \
         its name as in `/api/v1/auth/oidc/NAME/start`, with `issuer`, `client_id`, `client_secret` and `title`.";

    "access.readers_people_max": count(1, 100_000, "people"), Some("100"),
        "When an operator reads about more people than this in one window, a security event tells who. A page of a list \
         counts as five.";
    "access.readers_window_seconds": seconds(60, 86_400), Some("3600"),
        "How long such a window is.";

    "access.decisions_kept_days": count(400, 36_525, "days"), Some("3653"),
        "How long recorded decisions are kept.";

    "audit.witnesses": Kind::Witnesses, Some(""),
        "Witnesses that follow the audit log and cosign it, by their public keys (`strongroom witness key`). Unset: nobody \
         does, and `/api/v1/log/cosignatures` answers 404.";

    "approvals.bootstrap": Kind::Flag, Some("false"),
        "Outside production: the waiting times of new operators are zero.";

    "bank.country": Kind::Country, Some("DE"),
        "The country of the bank, the first two letters of its account numbers. Fixed at first start.";
    "bank.code": Kind::BankCode, Some("10000000"),
        "The bank's code inside its account numbers. Fixed at first start.";
    "bank.time_zone": Kind::TimeZone, Some("Europe/Berlin"),
        "The time zone of business days and statements. Fixed at first start.";

    "customer_limits.all": Kind::Caps, Some("50000/100000/500000"),
        "Most that leaves a customer by one movement, in a day and in a month, in whole units of the currency; `-` is no limit, \
         and other currencies have their own behind commas, such as `50000/100000/-, JPY 5000000/10000000/-`.";
    "customer_limits.transfers": Kind::Caps, None,
        "The same of transfers to others within the bank. Unset: those of `customer_limits.all` alone.";
    "customer_limits.payments": Kind::Caps, None,
        "The same of payments to merchants.";
    "customer_limits.outgoing": Kind::Caps, None,
        "The same of payments to other banks.";
    "customer_limits.holds": Kind::Caps, None,
        "The same of money that is reserved.";
    "customer_limits.programs": Kind::Caps, None,
        "The same of what a customer's programs move with API keys.";
    "customer_limits.bank_day": Kind::Caps, None,
        "What all customers together pay to others in a day, such as `-/50000000/-`: only the second number counts. It is \
         leased in 64 slices by whoever writes; the rest of a slice is lost with the process. Unset: no limit.";
    "customer_limits.floor": Kind::Caps, Some("500/1000/-"),
        "What counts for three days after signs of a takeover: a reset password, a new factor on an older login.";

    "beneficiaries.cooling_hours": count(0, 720, "hours"), Some("24"),
        "How long a beneficiary is very new. Meanwhile `beneficiaries.cooling_total` is paid at most.";
    "beneficiaries.cooling_total": count(0, 1_000_000_000, "whole units of the currency"), Some("100"),
        "Most that is paid to a beneficiary who is very new, in total; 0 is nothing at all.";
    "beneficiaries.ramp_days": count(0, 365, "days"), Some("7"),
        "How long a beneficiary is new, from the day on which it was added. Meanwhile `beneficiaries.ramp_total` is paid at \
         most.";
    "beneficiaries.ramp_total": count(0, 1_000_000_000, "whole units of the currency"), Some("1000"),
        "Most that is paid to a beneficiary who is new, in total, what was paid while it was very new included.";
    "fraud.mode": Kind::Choice(&["enforce", "shadow", "off"]), Some("enforce"),
        "What follows from what rules about fraud find. `enforce`: a payment needs a fresh factor, waits for an operator, or \
         is refused. `shadow`: nothing follows. `off`: nothing is measured; refused in production.";
    "fraud.two_release_over": Kind::Number { min: 0, max: 1_000_000_000, unit: "" }, Some("10000"),
        "Above how many whole units of its currency a transfer that waits is released by two operators.";
    "fraud.reviews_kept_days": count(365, 3_653, "days"), Some("1826"),
        "How long it is kept why a payment was stopped and what was written about it: five years, as FATF Recommendation 11 \
         asks. What was booked stays.";
    "fraud.trial_hours_min": count(0, 720, "hours"), Some("24"),
        "How long a draft of the rules about fraud has to run beside the set in force before it is asked for without a reason \
         why not.";
    "fraud.trial_payments_min": count(0, 1_000_000, "payments"), Some("100"),
        "How many payments it has to be held against meanwhile.";

    "counter.two_people_over": count(0, 1_000_000_000, "whole units of the currency"), Some("1000000"),
        "Above how much a deposit or a withdrawal takes two people: one asks, a teller or an administrator approves.";
    "rail.account": Kind::Iban, None,
        "The number of the bank's account at its own bank, out of which payments to other banks are made. Unset: they wait.";
    "rail.currency": Kind::Currency, Some("EUR"),
        "The currency of that account. Payments in others wait.";
    "rail.name": Kind::Name, None,
        "The bank's name in payments.";
    "rail.outbox": Kind::Path, None,
        "The folder that released files of payments (pain.001) are laid into.";
    "rail.inbox": Kind::Path, None,
        "The folder that statements (camt.053) arrive in. What was read goes into its `read`, what is none into its `refused`.";
    "rail.seconds": seconds(1, 86_400), Some("10"),
        "How often both are looked after.";

    "metrics.listen": Kind::Listen, Some("127.0.0.1:9464"),
        "Where `/metrics` is served, in plain HTTP. If the default is taken the server runs without metrics; an \
         address that is set must be free.";

    "log.format": Kind::Choice(&["json", "text"]), None,
        "How log lines look. Unset: `text` in development, else `json`.";
    "log.level": Kind::Choice(&["error", "warn", "info", "debug", "trace"]), Some("info"),
        "How much Strongroom itself logs. Libraries log warnings only, database drivers nothing.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Raw;

    #[test]
    fn every_default_is_a_valid_value() {
        for setting in TABLE {
            if let Some(default) = setting.default {
                assert!(
                    setting.kind.read(Raw::Text(default.into(), false)).is_ok(),
                    "{}",
                    setting.key
                );
            }
        }
    }

    #[test]
    fn keys_are_unique_and_have_one_section_at_most() {
        for (index, setting) in TABLE.iter().enumerate() {
            assert!(
                TABLE[..index].iter().all(|other| other.key != setting.key),
                "{}",
                setting.key
            );
            assert!(setting.key.split('.').count() <= 2, "{}", setting.key);
            assert!(
                !setting.key.ends_with("_file") || !setting.is_secret(),
                "{}",
                setting.key
            );
        }
        assert_eq!(
            find("server.listen").unwrap().variable(),
            "STRONGROOM_SERVER__LISTEN"
        );
        assert_eq!(find("environment").unwrap().variable(), "STRONGROOM_ENVIRONMENT");
    }
}
