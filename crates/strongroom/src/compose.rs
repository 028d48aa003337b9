//! Constructs the bank from its parts. The only file that knows store, crypto, app and web at once.

use std::{error::Error, path::Path, sync::Arc};

use strongroom_app::{
    Bank, BankSettings, Clock, ExposeSecret, SystemClock,
    identity::{IdentitySettings, external::ProviderSettings},
    keys::load_keyring,
    money::{
        ledger_writer::WriterSettings,
        rails::{RailSettings, folder::FolderRail},
    },
    security::alerts::AlertWebhook,
};
use strongroom_crypto::{
    EnvProvider, FileProvider, KeyEnvironment, KeyProvider,
    password::{BreachedFilter, Policy},
    self_test,
};
use strongroom_store::{DatabaseUrl, Store, StoreSettings};

use crate::{
    config::{self, Config, Environment, PublicUrl},
    data_dir::DataDir,
    egress::Egress,
    siem::{self, Spools},
};

type Failure = Box<dyn Error + Send + Sync>;

/// What the store must be told.
pub(crate) fn store_settings(config: &Config) -> StoreSettings {
    let database = &config.database;
    let mut settings = StoreSettings::new(database_url(&database.url));
    settings.ledger = database.ledger_url.as_ref().map(database_url);
    settings.migrate = database.migrate_url.as_ref().map(database_url);
    settings.connections_max = database.connections_max;
    settings.pages_max = database.sqlite_pages_max;
    settings.needs_weak_login = config.environment == Environment::Production;
    // In production somebody migrates on purpose; the server refuses to start before.
    let embedded = matches!(settings.database, DatabaseUrl::Sqlite(_));
    settings.migrate_at_start = embedded || config.environment == Environment::Development;
    settings
}

fn database_url(url: &config::DatabaseUrl) -> DatabaseUrl {
    match url {
        config::DatabaseUrl::Sqlite(path) => DatabaseUrl::Sqlite(path.clone()),
        config::DatabaseUrl::Postgres(url) => DatabaseUrl::Postgres(url.clone()),
    }
}

/// Where the keyring is.
pub(crate) fn key_provider(config: &Config) -> Result<Arc<dyn KeyProvider>, Failure> {
    let keys = &config.keys;
    Ok(match keys.provider {
        config::KeyProvider::File => {
            if let Some(folder) = keys.file.parent() {
                make_private(folder)?;
            }
            match &keys.passphrase {
                Some(passphrase) => Arc::new(FileProvider::wrapped_by(&keys.file, passphrase.clone())),
                None => Arc::new(FileProvider::plain(&keys.file)),
            }
        }
        config::KeyProvider::Env => {
            let document = keys
                .keyring
                .clone()
                .ok_or("keys.keyring must be set where keys.provider is env")?;
            Arc::new(EnvProvider::new(document, keys.passphrase.clone()))
        }
    })
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

fn password_policy(auth: &config::AuthConfig) -> Result<Policy, Failure> {
    let mut policy = Policy::default();
    if auth.password_complexity {
        policy = policy.with_complexity();
    }
    if let Some(file) = &auth.breached_passwords {
        policy = policy.with_breached(BreachedFilter::open(file)?);
    }
    Ok(policy)
}

/// Opens the store, the keyring and the bank over them; and where its events wait for collectors.
pub(crate) async fn bank(
    config: &Config,
    public_url: &PublicUrl,
    data: &DataDir,
) -> Result<(Arc<Bank>, Arc<Spools>), Failure> {
    self_test()?;
    let store = Store::open(&store_settings(config)).await?;
    let provider = key_provider(config)?;
    let ring = load_keyring(&store, provider.as_ref(), SystemClock.now()).await?;
    let mut identity = IdentitySettings::new(&public_url.to_string());
    identity.operators_at_once = config.approvals_bootstrap || config.environment == Environment::Development;
    identity.mail_retry_secs = config.mail.retry_secs;
    identity.approvals_bootstrap = config.approvals_bootstrap;
    identity.readers = config.readers;
    identity.decisions_kept_days = config.decisions_kept_days;
    let operators = config.admin.as_ref().and_then(|admin| admin.public_url.as_ref());
    identity.operators_url = operators.map(ToString::to_string);
    identity.customer_mfa_required = config.auth.customer_mfa_required;
    identity.step_up_transfer_over = config.auth.step_up_transfer_over;
    identity.puzzle_after = config.auth.puzzle_after;
    identity.password_policy = password_policy(&config.auth)?;
    identity.providers = config.auth.providers.iter().map(login_provider).collect();
    if config.environment == Environment::Production {
        identity.key_environment = KeyEnvironment::Live;
    }
    let settings = BankSettings {
        identity,
        country: config.bank.country.clone(),
        code: config.bank.code.clone(),
        time_zone: config.bank.time_zone.clone(),
        log_origin: format!("{}/log", public_url.host),
        checkpoints: data.directory("checkpoints")?,
        witnesses: config.witnesses.clone(),
        writer: WriterSettings {
            batch_commands_max: config.lane.batch_commands_max,
            queue_commands_max: config.lane.queue_max,
        },
        limits: config.customer_limits.clone(),
        fraud: config.fraud,
    };
    let bank = Bank::open(store, Arc::new(ring), &settings, Arc::new(SystemClock)).await?;
    bank.keep_ring_in(provider);
    if !config.auth.providers.is_empty() || config.alert_webhook.is_some() {
        let egress = Arc::new(Egress::new(config.environment != Environment::Production)?);
        bank.fetch_by(egress.clone());
        if let Some((url, secret)) = &config.alert_webhook {
            bank.alert_by(AlertWebhook {
                fetch: egress,
                url: url.expose_secret().to_owned(),
                secret: secret.clone(),
            });
        }
    }
    if let Some(rail) = &config.rail {
        bank.pay_by(RailSettings {
            rail: Arc::new(FolderRail::open(&rail.outbox, &rail.inbox)?),
            account: rail.account.clone(),
            currency: rail.currency,
            name: rail.name.clone(),
            every: rail.every,
        });
    }
    let bank = Arc::new(bank);
    let spools = siem::keep(config, data, &bank)?;
    Ok((bank, spools))
}

fn login_provider(provider: &config::Provider) -> ProviderSettings {
    ProviderSettings {
        name: provider.name.clone(),
        title: provider.title.clone(),
        issuer: provider.issuer.clone(),
        client_id: provider.client_id.clone(),
        client_secret: provider.client_secret.clone(),
    }
}
