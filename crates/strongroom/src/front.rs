//! What stands in front of the routes, as the configuration has it.

use std::{sync::Arc, time::Duration};

use strongroom_app::{
    Bank, Clock, SystemClock,
    security::{incidents::Incident, stream::Whence},
};
use strongroom_domain::id::RequestId;
use strongroom_guard::{Detector, TrustedProxies};
use strongroom_web::{
    SecurityTxt,
    detection::Detection,
    extract::shows_session,
    layers::{Front, FrontSettings, Hsts, Origins},
    limits::Limits,
    suspicion::Watch,
};

use crate::{
    config::{Config, ConfigError, ConfigErrors, Origin, PublicUrl, Tls},
    serve::mail_domain,
    shared,
};

/// Connections and requests at once on a listener of plain HTTP.
pub(crate) const PLAIN_AT_ONCE: usize = 128;

/// Whom to tell about a weakness: the mailbox that RFC 2142 has for it where nobody is named.
pub(crate) fn security_txt(config: &Config, public_url: &PublicUrl) -> SecurityTxt {
    let named = &config.security_txt;
    let usual = || vec![format!("mailto:security@{}", mail_domain(public_url))];
    let contacts = match named.contacts.is_empty() {
        true => usual(),
        false => named.contacts.clone(),
    };
    let url = public_url.to_string();
    SecurityTxt::new(&contacts, named.policy.as_deref(), &url, SystemClock.now())
}

/// The limits of the configuration; marked devices are known by the bank's keys.
pub(crate) fn limits(
    config: &Config,
    bank: &Arc<Bank>,
) -> Result<Limits, Box<dyn std::error::Error + Send + Sync>> {
    if !config.limits.enabled {
        return Ok(Limits::off());
    }
    let shared = shared::counters(config, bank)?;
    let bank = Arc::clone(bank);
    let quota = |class| config.limits.quota(class).cloned();
    let limits = Limits::new(quota, shared, move |mark| bank.device_limit_key(mark));
    Ok(limits.map_err(|class| {
        let message = format!("has no quota for {}", class.name());
        ConfigErrors(vec![ConfigError::new("limits", Origin::Default, message)])
    })?)
}

/// Who is refused because of what they did: known to all nodes where they share something, to this one otherwise.
pub(crate) fn watch(
    config: &Config,
    bank: &Arc<Bank>,
) -> Result<Watch, Box<dyn std::error::Error + Send + Sync>> {
    let set = Arc::clone(bank);
    let watch = Watch::new(
        config.blocks.mode,
        config.blocks.allow.clone(),
        TrustedProxies::new(config.server.trusted_proxies.clone()),
        shared::blocks(config, bank)?,
        move |address| set.network_block(address),
    );
    let knows = Arc::clone(bank);
    watch.know_sessions(move |head| {
        let bank = Arc::clone(&knows);
        async move { shows_session(&bank, &head).await }
    });
    let told = Arc::clone(bank);
    watch.tell_of_blocks(move |address, enforced| told.note_address_blocked(address, enforced));
    shared::share_blocks(watch.clone());
    Ok(watch)
}

/// Requests that end with an error of ours are noted by the bank.
pub(crate) fn tell_of_failures(front: &Front, bank: &Arc<Bank>) {
    let bank = Arc::clone(bank);
    front.tell_of_failures(move |failed| {
        let whence = Whence {
            request: Some(RequestId::from_bytes(failed.request)),
            address: &failed.client.to_string(),
            agent: &failed.agent,
            token: None,
        };
        bank.note_request_failed(&whence, failed.principal, failed.code);
    });
}

/// What looks for attacks; what it finds is noted by the bank.
pub(crate) fn detection(config: &Config, bank: &Arc<Bank>) -> Result<Detection, ConfigErrors> {
    let detector = Detector::new(config.detection.paranoia).map_err(|error| {
        let message = format!("has a rule that cannot be read: {error}");
        ConfigErrors(vec![ConfigError::new(
            "detection.paranoia",
            Origin::Default,
            message,
        )])
    })?;
    let bank = Arc::clone(bank);
    Ok(Detection::new(detector, config.detection.blocks, move |seen| {
        let incident = Incident {
            request_id: seen.request_id,
            route: seen.route,
            principal: seen.principal,
            attack: seen.attack.to_owned(),
            score: seen.score,
            rules: seen.rules.into_iter().map(str::to_owned).collect(),
            refused: seen.refused,
        };
        bank.note_incident(seen.client, &seen.agent, incident)
            .map(|id| id.to_string())
    }))
}

pub(crate) fn front_settings(
    config: &Config,
    limits: Limits,
    detection: Detection,
    watch: Watch,
) -> FrontSettings {
    FrontSettings {
        request_time_max: config.server.request_time_max,
        concurrency_max: config.server.concurrency_max,
        // Behind a named proxy that speaks TLS for us the public URL says so.
        hsts: match config.server.tls != Tls::Off || config.server.public_url.https {
            false => Hsts::Off,
            true if config.server.hsts_preload => Hsts::Preload,
            true => Hsts::On,
        },
        origins: Origins::new(config.server.cors_origins.clone()),
        trusted_proxies: TrustedProxies::new(config.server.trusted_proxies.clone()),
        limits,
        detection,
        watch,
    }
}

/// The bounds of what is served in plain HTTP: figures and redirects.
pub(crate) fn plain_settings() -> FrontSettings {
    FrontSettings {
        request_time_max: Duration::from_secs(10),
        concurrency_max: PLAIN_AT_ONCE,
        hsts: Hsts::Off,
        origins: Origins::default(),
        trusted_proxies: TrustedProxies::default(),
        limits: Limits::off(),
        watch: Watch::off(),
        detection: Detection::off(),
    }
}
