//! Stories about whole configurations.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use secrecy::ExposeSecret;

use super::*;

/// A directory of its own for each test, removed at its end.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn with_variables(pairs: &[(&str, &str)], data_dir: &Path) -> Result<Config, ConfigErrors> {
    load(
        Sources {
            variables: variables(pairs),
            ..Sources::default()
        },
        data_dir,
    )
    .1
}

fn with_file(text: &str) -> Result<Config, ConfigErrors> {
    let directory = directory();
    let path = directory.path().join("strongroom.toml");
    fs::write(&path, text).unwrap();
    load(
        Sources {
            file: Some((path, true)),
            ..Sources::default()
        },
        directory.path(),
    )
    .1
}

fn messages(result: Result<Config, ConfigErrors>) -> Vec<String> {
    result.err().map_or_else(Vec::new, |errors| {
        errors.0.iter().map(ToString::to_string).collect()
    })
}

#[test]
fn nothing_at_all_is_a_safe_configuration() {
    let config = with_variables(&[], Path::new("/data")).unwrap();
    assert_eq!(config.environment, Environment::Development);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8443");
    assert_eq!(config.server.public_url.to_string(), "https://localhost:8443");
    assert_eq!(config.server.tls, Tls::SelfSigned);
    assert_eq!(config.database.url.to_string(), "sqlite:///data/strongroom.db");
    assert_eq!(config.keys.file, Path::new("/data/keys/keyring"));
    assert_eq!(config.metrics.listen.to_string(), "127.0.0.1:9464");
    assert!(!config.metrics.is_set);
    assert!(config.server.docs);
}

#[test]
fn every_setting_of_the_table_reaches_the_program() {
    let gathered = Gathered::from(Sources::default());
    let reader = Reader::new(&gathered);
    reader.config(Path::new("/data"));
    let taken = reader.taken.into_inner();
    let idle: Vec<_> = TABLE
        .iter()
        .map(|setting| setting.key)
        .filter(|key| !taken.contains(key))
        .collect();
    assert!(idle.is_empty(), "settings that nobody reads: {idle:?}");
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let directory = directory();
    let path = directory.path().join("strongroom.toml");
    fs::write(
        &path,
        "[server]\nlisten = \"127.0.0.1:1001\"\nconnections_max = 11\nconcurrency_max = 12\n",
    )
    .unwrap();
    let sources = |flags| Sources {
        file: Some((path.clone(), true)),
        variables: variables(&[
            ("STRONGROOM_SERVER__LISTEN", "127.0.0.1:1002"),
            ("STRONGROOM_SERVER__CONNECTIONS_MAX", "22"),
            ("PATH", "/bin"),
            ("STRONGROOM_TEST_ANYTHING", "x"),
            ("STRONGROOM_REQUIRE_POSTGRES", "1"),
        ]),
        flags,
    };
    let (shown, config) = load(
        sources(vec![("server.listen", "--listen", "127.0.0.1:1003".into())]),
        directory.path(),
    );
    let config = config.unwrap();
    assert_eq!(config.server.listen.port(), 1003);
    assert_eq!(config.server.public_url.port, 1003);
    assert_eq!(config.server.connections_max, 22);
    assert_eq!(config.server.concurrency_max, 12);
    let origin = |key| {
        shown
            .iter()
            .find(|shown| shown.key == key)
            .unwrap()
            .origin
            .to_string()
    };
    assert_eq!(origin("server.listen"), "--listen");
    assert_eq!(
        origin("server.connections_max"),
        "STRONGROOM_SERVER__CONNECTIONS_MAX"
    );
    assert_eq!(origin("server.concurrency_max"), format!("{}:4", path.display()));
    assert_eq!(origin("log.level"), "default");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    let directory = directory();
    let path = directory.path().join("c.toml");
    fs::write(&path, "environment = \"dev\"\n[server]\nlsiten = \"x\"\nconnections_max = \"many\"\n[limits]\nauth = \"5/15\"\n")
        .unwrap();
    let sources = Sources {
        file: Some((path.clone(), true)),
        variables: variables(&[
            ("STRONGROOM_BANK__COUNTRY", "Germany"),
            ("STRONGROOM_KEYS__PROVIDER", "pkcs11"),
        ]),
        flags: vec![("server.listen", "--listen", "nowhere".into())],
    };
    let said = messages(load(sources, directory.path()).1).join("\n");
    let file = path.display();
    for part in [
        format!("environment must be one of development, staging, production ({file}:1)"),
        format!("server.lsiten is not a setting; did you mean server.listen? ({file}:3)"),
        format!("server.connections_max must be a whole number from 1 to 1000000 (connections) ({file}:4)"),
        format!(
            "limits.auth must be like 5/15m, or several such as 50/1h, 200/1d; units are s, m, h, d ({file}:6)"
        ),
        "bank.country must be two capital letters of ISO 3166-1 (STRONGROOM_BANK__COUNTRY)".to_owned(),
        "keys.provider = pkcs11 is not available in this build (STRONGROOM_KEYS__PROVIDER)".to_owned(),
        "server.listen must be an IP address and a port, such as 127.0.0.1:8443 (--listen)".to_owned(),
    ] {
        assert!(said.contains(&part), "{part}\nis missing in\n{said}");
    }
}

#[test]
fn values_never_appear_in_errors() {
    let wrong = [
        ("STRONGROOM_SERVER__LISTEN", "canary"),
        ("STRONGROOM_KEYS__PROVIDER", "canary"),
        ("STRONGROOM_DATABASE__URL", "canary://canary"),
        ("STRONGROOM_KEYS__PASSPHRSE", "canary"),
        ("STRONGROOM_KEYS__PASSPHRASE_FILE", "/nonexistent/file"),
        ("STRONGROOM_SERVER__TRUSTED_PROXIES", "10.0.0.0/8,canary"),
    ];
    let said = messages(with_variables(&wrong, Path::new("/data")));
    assert_eq!(said.len(), wrong.len(), "{said:#?}");
    assert!(!said.join("\n").contains("canary"), "{said:#?}");
    let said = messages(with_file("[keys]\npassphrase = \"canary\nx = = canary")).join("\n");
    assert!(
        said.contains("is not valid TOML") && !said.contains("canary"),
        "{said}"
    );
}

#[test]
fn secrets_are_shown_as_set_and_are_readable_from_files() {
    let directory = directory();
    let path = directory.path().join("passphrase");
    fs::write(&path, "canary of the vault\r\n").unwrap();
    let sources = Sources {
        variables: variables(&[("STRONGROOM_KEYS__PASSPHRASE_FILE", path.to_str().unwrap())]),
        ..Sources::default()
    };
    let (shown, config) = load(sources, directory.path());
    let config = config.unwrap();
    assert_eq!(
        config.keys.passphrase.as_ref().unwrap().expose_secret(),
        "canary of the vault"
    );
    assert!(!format!("{config:?}{shown:?}").contains("canary"));
    let line = shown.iter().find(|shown| shown.key == "keys.passphrase").unwrap();
    assert_eq!(line.value.as_deref(), Some("(set)"));
    assert_eq!(line.origin.to_string(), "STRONGROOM_KEYS__PASSPHRASE_FILE");
}

#[test]
fn only_secrets_have_a_file_form() {
    let said = messages(with_variables(
        &[("STRONGROOM_BANK__CODE_FILE", "/etc/passwd")],
        Path::new("/data"),
    ));
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("bank.code_file is not a setting"), "{said:?}");
}

#[test]
fn development_refuses_addresses_that_are_not_loopback() {
    let open = [
        ("STRONGROOM_SERVER__LISTEN", "0.0.0.0:8443"),
        ("STRONGROOM_ADMIN__LISTEN", "[::]:8444"),
        ("STRONGROOM_ADMIN__PUBLIC_URL", "https://localhost:8444"),
        ("STRONGROOM_METRICS__LISTEN", "192.0.2.1:9464"),
    ];
    let said = messages(with_variables(&open, Path::new("/data")));
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(
        said.iter()
            .all(|message| message.contains("must be a loopback address in development"))
    );
    let mut staging = open.to_vec();
    staging.push(("STRONGROOM_ENVIRONMENT", "staging"));
    assert!(with_variables(&staging, Path::new("/data")).is_ok());
    assert!(with_variables(&[("STRONGROOM_SERVER__LISTEN", "[::1]:8443")], Path::new("/data")).is_ok());
}

#[test]
fn production_names_every_reason_at_once() {
    let careless = [
        ("STRONGROOM_ENVIRONMENT", "production"),
        ("STRONGROOM_LIMITS__ENABLED", "false"),
        ("STRONGROOM_SERVER__TLS", "off"),
        (
            "STRONGROOM_SERVER__TRUSTED_PROXIES",
            "0.0.0.0/0, ::/0, 10.0.0.0/8",
        ),
        ("STRONGROOM_DATABASE__URL", "postgres://app@db/bank"),
        ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
        ("STRONGROOM_REDIS__URL", "redis://cache.bank.example"),
        ("STRONGROOM_OTLP__ENDPOINT", "http://localhost:4318"),
    ];
    let said = messages(with_variables(&careless, Path::new("/data"))).join("\n");
    for part in [
        "server.public_url is needed in production",
        "server.tls = off is refused in production",
        "server.trusted_proxies must not contain a network as wide as 0.0.0.0/0",
        "server.trusted_proxies must not contain a network as wide as ::/0",
        "mail.transport = outbox is refused in production",
        "approvals.bootstrap is refused in production",
        "limits.enabled = false is refused in production",
        "redis.url must be rediss:// in production",
        "redis.url needs a password in production",
        "otlp.endpoint must be https",
        "keys.passphrase is needed in production",
        "keys.file must not lie in the data directory in production",
        "database.url must verify the server's certificate in production",
    ] {
        assert!(said.contains(part), "{part}\nis missing in\n{said}");
    }
    assert!(!said.contains("10.0.0.0/8"), "{said}");
}

#[test]
fn a_careful_production_configuration_is_taken() {
    let directory = directory();
    let (data, etc) = (directory.path().join("data"), directory.path().join("etc"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&etc).unwrap();
    let secret = etc.join("passphrase");
    fs::write(&secret, "a long passphrase").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let keyring = etc.join("keyring");
    let careful = [
        ("STRONGROOM_ENVIRONMENT", "production"),
        ("STRONGROOM_SERVER__LISTEN", "0.0.0.0:443"),
        ("STRONGROOM_SERVER__PUBLIC_URL", "https://bank.example"),
        ("STRONGROOM_TLS__SELF_SIGNED_OK", "true"),
        (
            "STRONGROOM_DATABASE__URL",
            "postgres://app@db/bank?sslmode=verify-full",
        ),
        ("STRONGROOM_KEYS__FILE", keyring.to_str().unwrap()),
        ("STRONGROOM_KEYS__PASSPHRASE_FILE", secret.to_str().unwrap()),
    ];
    let said = messages(with_variables(&careful, &data));
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].starts_with("mail.transport = outbox is refused in production"));
    let mail = [
        ("STRONGROOM_MAIL__TRANSPORT", "smtp"),
        ("STRONGROOM_MAIL__FROM", "no-reply@bank.example"),
        ("STRONGROOM_SMTP__HOST", "mail.bank.example"),
    ];
    let whole = [&careful[..], &mail].concat();
    let config = with_variables(&whole, &data).unwrap();
    let smtp = config.mail.smtp.unwrap();
    assert_eq!((smtp.port, smtp.implicit), (587, false));

    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();
    let said = messages(with_variables(&careful, &data)).join("\n");
    assert!(
        said.contains("keys.passphrase is in a file that group or others may read"),
        "{said}"
    );
}

#[test]
fn what_a_mail_server_needs_is_said_at_once_and_there_is_no_mail_without_tls() {
    let said = messages(with_variables(
        &[
            ("STRONGROOM_MAIL__TRANSPORT", "smtp"),
            ("STRONGROOM_SMTP__USERNAME", "bank"),
            ("STRONGROOM_SMTP__TLS", "off"),
        ],
        Path::new("/data"),
    ))
    .join("\n");
    for part in [
        "smtp.host is needed with mail.transport = smtp",
        "mail.from is needed with mail.transport = smtp",
        "smtp.password is needed with smtp.username",
        "smtp.tls must be one of starttls, implicit",
    ] {
        assert!(said.contains(part), "{part}\nis missing in\n{said}");
    }
    let said = messages(with_variables(
        &[("STRONGROOM_SMTP__HOST", "mail")],
        Path::new("/data"),
    ))
    .join("\n");
    assert!(
        said.contains("smtp.host does nothing without mail.transport = smtp"),
        "{said}"
    );
}

#[test]
fn the_data_directory_is_recognised_through_links() {
    let directory = directory();
    let data = directory.path().join("data");
    fs::create_dir_all(data.join("keys")).unwrap();
    fs::write(data.join("keys/keyring"), "x").unwrap();
    let link = directory.path().join("elsewhere");
    std::os::unix::fs::symlink(data.join("keys/keyring"), &link).unwrap();
    let said = messages(with_variables(
        &[
            ("STRONGROOM_ENVIRONMENT", "production"),
            ("STRONGROOM_KEYS__FILE", link.to_str().unwrap()),
        ],
        &data,
    ))
    .join("\n");
    assert!(
        said.contains("keys.file must not lie in the data directory"),
        "{said}"
    );
}

#[test]
fn settings_that_need_each_other_are_checked_together() {
    for (given, message) in [
        (
            vec![("STRONGROOM_SERVER__TLS", "files")],
            "tls.certificate_file is needed",
        ),
        (
            vec![("STRONGROOM_SERVER__PUBLIC_URL", "http://localhost")],
            "server.public_url must be https",
        ),
        (
            vec![("STRONGROOM_ADMIN__LISTEN", "127.0.0.1:1")],
            "admin.public_url is needed",
        ),
        (
            vec![("STRONGROOM_ADMIN__PUBLIC_URL", "https://ops")],
            "admin.public_url does nothing",
        ),
        (
            vec![("STRONGROOM_KEYS__PROVIDER", "env")],
            "keys.keyring is needed",
        ),
        (
            vec![("STRONGROOM_KEYS__KEYRING", "x")],
            "keys.keyring does nothing",
        ),
        (
            vec![("STRONGROOM_DATABASE__MIGRATE_URL", "postgres://a@b/c")],
            "database.migrate_url does nothing",
        ),
        (
            vec![("STRONGROOM_SERVER__TLS", "acme")],
            "acme.directory_url is needed with server.tls = acme",
        ),
        (
            vec![("STRONGROOM_SERVER__TLS", "acme")],
            "acme.terms_agreed must be true with server.tls = acme",
        ),
        (
            vec![
                ("STRONGROOM_SERVER__TLS", "acme"),
                ("STRONGROOM_SERVER__PUBLIC_URL", "https://192.0.2.1"),
            ],
            "server.public_url must have a name as its host with server.tls = acme",
        ),
        (
            vec![
                ("STRONGROOM_SERVER__TLS", "acme"),
                ("STRONGROOM_ACME__EAB_KEY", "dG9vIHNob3J0"),
            ],
            "acme.eab_key_id is needed with acme.eab_key",
        ),
        (
            vec![
                ("STRONGROOM_SERVER__TLS", "acme"),
                ("STRONGROOM_ACME__EAB_KEY_ID", "bank"),
                ("STRONGROOM_ACME__EAB_KEY", "dG9vIHNob3J0"),
            ],
            "acme.eab_key must be 16 bytes at least in base64url",
        ),
        (
            vec![
                ("STRONGROOM_SERVER__TLS", "acme"),
                ("STRONGROOM_TLS__KEY_FILE", "/key.pem"),
            ],
            "tls.certificate_file is needed with the other one",
        ),
        (
            vec![("STRONGROOM_ACME__DIRECTORY_URL", "https://ca.example/directory")],
            "acme.directory_url does nothing without server.tls = acme",
        ),
        (
            vec![("STRONGROOM_ACME__DIRECTORY_URL", "http://ca.example/directory")],
            "acme.directory_url must be an https address",
        ),
        (
            vec![("STRONGROOM_ACME__DIRECTORY_URL", "https://me:secret@ca.example/")],
            "acme.directory_url must be an https address",
        ),
        (
            vec![("STRONGROOM_KEYS__PROVIDER", "pkcs11")],
            "keys.provider = pkcs11 is not available",
        ),
        (
            vec![("STRONGROOM_WEBHOOKS__ALLOW_PRIVATE", "true")],
            "webhooks.allow_private is not available in this build",
        ),
        (
            vec![("STRONGROOM_REDIS__URL", "http://x")],
            "redis.url must be rediss://USER:PASSWORD@HOST:PORT",
        ),
        (
            vec![("STRONGROOM_REDIS__URL", "rediss://x#insecure")],
            "redis.url must not have anything behind a #: certificates are always verified",
        ),
        (
            vec![("STRONGROOM_SIEM__HOST", "siem.bank.example")],
            "siem.ca_file is needed with siem.host",
        ),
        (
            vec![("STRONGROOM_SIEM__CA_FILE", "/ca.pem")],
            "siem.ca_file does nothing without siem.host",
        ),
        (
            vec![("STRONGROOM_OTLP__ENDPOINT", "http://collector.bank.example:4318")],
            "otlp.endpoint must be https",
        ),
        (
            vec![("STRONGROOM_OTLP__CA_FILE", "/ca.pem")],
            "otlp.ca_file does nothing without otlp.endpoint",
        ),
        (
            vec![("STRONGROOM_REDIS__CA_FILE", "/ca.pem")],
            "redis.ca_file does nothing without redis.url",
        ),
        (
            vec![
                ("STRONGROOM_REDIS__URL", "redis://x"),
                ("STRONGROOM_REDIS__CA_FILE", "/ca.pem"),
            ],
            "redis.ca_file does nothing without rediss://",
        ),
        (
            vec![
                ("STRONGROOM_REDIS__URL", "redis://x"),
                ("STRONGROOM_LIMITS__ENABLED", "false"),
            ],
            "redis.url does nothing with limits.enabled = false",
        ),
    ] {
        let said = messages(with_variables(&given, Path::new("/data"))).join("\n");
        assert!(said.contains(message), "{given:?}: {said}");
    }
}

#[test]
fn a_file_that_was_asked_for_must_exist_and_be_small() {
    let directory = directory();
    let missing = directory.path().join("missing.toml");
    let sources = |required| Sources {
        file: Some((missing.clone(), required)),
        ..Sources::default()
    };
    assert!(messages(load(sources(true), directory.path()).1)[0].contains("cannot be read"));
    assert!(load(sources(false), directory.path()).1.is_ok());
    assert!(messages(with_file(&"# x\n".repeat(300_000)))[0].contains("larger than 1 MiB"));
}

#[test]
fn plain_http_is_for_loopback_or_behind_a_named_proxy() {
    let staging = [
        ("STRONGROOM_ENVIRONMENT", "staging"),
        ("STRONGROOM_SERVER__TLS", "off"),
    ];
    assert!(with_variables(&staging, Path::new("/data")).is_ok());
    let mut open = staging.to_vec();
    open.push(("STRONGROOM_SERVER__LISTEN", "0.0.0.0:80"));
    assert!(messages(with_variables(&open, Path::new("/data")))[0].contains("= off needs a loopback"));
    open.push(("STRONGROOM_SERVER__TRUSTED_PROXIES", "10.1.2.3"));
    assert!(with_variables(&open, Path::new("/data")).is_ok());
}

#[test]
fn production_asks_for_preload_unless_it_is_told_not_to() {
    for (settings, preload) in [
        (&[][..], false),
        (&[("STRONGROOM_ENVIRONMENT", "staging")], false),
        (&[("STRONGROOM_ENVIRONMENT", "production")], true),
        (
            &[
                ("STRONGROOM_ENVIRONMENT", "production"),
                ("STRONGROOM_SERVER__HSTS_PRELOAD", "false"),
            ],
            false,
        ),
    ] {
        let gathered = Gathered::from(Sources {
            variables: variables(settings),
            ..Sources::default()
        });
        let config = Reader::new(&gathered).config(Path::new("/data"));
        assert_eq!(config.server.hsts_preload, preload, "{settings:?}");
    }
}

#[test]
fn origins_are_written_as_browsers_write_them() {
    let set = |origins| {
        with_variables(
            &[("STRONGROOM_SERVER__CORS_ORIGINS", origins)],
            Path::new("/data"),
        )
    };
    let config = set("https://app.example, http://localhost:3000").unwrap();
    assert_eq!(
        config.server.cors_origins,
        ["https://app.example", "http://localhost:3000"]
    );
    for wrong in [
        "*",
        "null",
        "app.example",
        "https://app.example/",
        "https://APP.example",
        "https://app.example:443",
    ] {
        assert!(set(wrong).is_err(), "{wrong}");
    }
}
