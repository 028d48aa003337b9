//! Runs the server: configuration, data directory, listeners, then [`compose`], then the loop until a signal.

use std::{
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use rustls::server::ClientHello;
use strongroom_app::{
    Bank,
    mail::{MailDirectory, MailSink},
};
use strongroom_guard::TrustedProxies;
use strongroom_web::{
    Describe, Routes, SiteSettings,
    detection::Detection,
    health::{Check, Readiness},
    layers::{Front, Hosts, Scope},
    limits::Limits,
    pages,
    server::{Ended, ProofOf, Server, ServerSettings, Stop, Stopped, stop_signal},
    state::AppState,
    suspicion::Watch,
    v1,
};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    checks,
    cli::Outcome,
    compose,
    config::{self, Config, ConfigError, ConfigErrors, Environment, Origin, PublicUrl, Sources, Tls},
    control::Control,
    data_dir::DataDir,
    demo,
    front::{self, PLAIN_AT_ONCE},
    logging,
    metrics::Metrics,
    otlp::Traces,
    process, siem,
    smtp::Smtp,
    tls::{Acme, Certificates, Directory},
};

/// How often certificates are looked at.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(2);
/// Between two words about a certificate that ends soon.
const ENDING_TOLD_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Which verb runs the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `serve`.
    Serve,
    /// `demo`: a sample bank, in development only.
    Demo,
}

/// What [`compose`] gets.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The data directory, owned by this process.
    pub data: &'a DataDir,
    /// What clients call this server, with the port that it really has.
    pub public_url: &'a PublicUrl,
    /// Which verb runs the server.
    pub purpose: Purpose,
}

type Finish = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What [`compose`] makes.
pub(crate) struct Composed {
    /// The bank itself.
    pub bank: Arc<Bank>,
    /// Business routes with their full paths.
    pub routes: Routes,
    /// How often somebody may ask.
    pub limits: Limits,
    /// What looks for attacks.
    pub detection: Detection,
    /// Who is refused because of what they did, or because people of the bank said so.
    pub watch: Watch,
    /// Conditions of `/readyz`.
    pub checks: Vec<Check>,
    /// What has to end after the last request and before the process, in this order.
    pub finish: Vec<(&'static str, Finish)>,
    /// Lines for the person who started the server.
    pub notes: Vec<String>,
}

/// Constructs the bank from its parts: store, keys, use cases, routes. Runs before the first request is
/// accepted; an error here ends the start.
async fn compose(parts: Parts<'_>) -> Result<Composed, Box<dyn std::error::Error + Send + Sync>> {
    let Parts {
        config,
        data,
        public_url,
        purpose,
    } = parts;
    tracing::debug!(
        target: "strongroom",
        environment = ?config.environment,
        data_dir = %data.path().display(),
        %public_url,
        ?purpose,
        "composing"
    );
    let (bank, spools) = compose::bank(config, public_url, data).await?;
    bank.send_mail_by(mail_sink(config, data, public_url)?);
    bank.record_decisions();
    siem::start(config, &spools, &public_url.host, &bank)?;
    let jobs = tokio::spawn(Arc::clone(&bank).run_jobs());
    let control = Control::listen(data.path(), Arc::clone(&bank))?;
    let mut notes = Vec::new();
    if purpose == Purpose::Demo {
        let logins = demo::prepare(&bank, data.path()).await?;
        notes.push(format!("logins    {}", logins.display()));
    }
    let administration = {
        let bank = Arc::clone(&bank);
        Box::pin(async move {
            drop(control);
            jobs.abort();
            if let Err(error) = bank.write_security_events().await {
                tracing::warn!(target: "strongroom", %error, "the last failures counted were not written");
            }
            if let Err(error) = bank.write_decisions().await {
                tracing::warn!(target: "strongroom", %error, "the last decisions were not written");
            }
            // When sessions were last used is written once a minute, and now for the last time.
            if let Err(error) = bank.write_last_seen().await {
                tracing::warn!(target: "strongroom", %error, "the last use of sessions was not written");
            }
        })
    };
    let ledger = {
        let bank = Arc::clone(&bank);
        Box::pin(async move { bank.writer().close().await })
    };
    let limits = front::limits(config, &bank)?;
    Ok(Composed {
        bank: Arc::clone(&bank),
        checks: checks::all(&bank, &limits, config.redis.is_some()),
        limits,
        detection: front::detection(config, &bank)?,
        watch: front::watch(config, &bank)?,
        routes: v1::routes().merge(pages::routes()).with_state(AppState { bank }),
        finish: vec![("command line", administration), ("ledger", ledger)],
        notes,
    })
}

/// Who carries mails away.
fn mail_sink(
    config: &Config,
    data: &DataDir,
    public_url: &PublicUrl,
) -> Result<Arc<dyn MailSink>, Box<dyn std::error::Error + Send + Sync>> {
    let own = format!("no-reply@{}", mail_domain(public_url));
    let from = config.mail.from.as_deref().unwrap_or(&own);
    Ok(match &config.mail.smtp {
        Some(smtp) => Arc::new(Smtp::open(smtp, from, &public_url.host)?),
        None => Arc::new(MailDirectory::open(data.directory("outbox")?, from)?),
    })
}

/// The domain of the bank's own mailboxes. An address is none.
pub(crate) fn mail_domain(public_url: &PublicUrl) -> &str {
    let named = public_url.host.parse::<std::net::IpAddr>().is_err();
    if named { &public_url.host } else { "localhost" }
}

/// Runs the server until a signal.
pub(crate) fn run(sources: Sources, data_dir: &Path, purpose: Purpose) -> Outcome {
    let (_, config) = config::load(sources, data_dir);
    let config = config?;
    if purpose == Purpose::Demo && config.environment != Environment::Development {
        let message = "must be development for a demo";
        return Err(ConfigErrors(vec![ConfigError::new("environment", Origin::Default, message)]).into());
    }
    process::raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let host = &config.server.public_url.host;
    let traces = config
        .otlp
        .as_ref()
        .map(|otlp| Traces::open(otlp, host, runtime.handle()))
        .transpose()?;
    let (log, log_guard) = logging::start(config.log, traces.as_ref())?;
    let metrics = Metrics::install(log)?;
    // Libraries that ask for "the" provider get the same one as the listeners.
    let _ = crate::tls::provider().install_default();
    let data = DataDir::open(data_dir)?;
    let outcome = runtime.block_on(serve(&config, &data, &metrics, purpose));
    if let Some(traces) = traces {
        traces.end();
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(log_guard);
    outcome
}

async fn serve(config: &Config, data: &DataDir, metrics: &Metrics, purpose: Purpose) -> Outcome {
    // Signals first: one that arrives while the server starts must not kill it in the middle of a migration.
    let signals = Signals::new()?;
    let server = &config.server;
    let listener = bind(server.listen, "server.listen").await?;
    let address = listener.local_addr()?;
    let mut public_url = server.public_url.clone();
    if public_url.port == 0 {
        public_url.port = address.port();
    }
    let admin = config.admin.as_ref();
    let admin_listener = match admin {
        Some(admin) => Some(bind(admin.listen, "admin.listen").await?),
        None => None,
    };
    let mut hosts = vec![public_url.host.as_str()];
    hosts.extend(
        admin
            .and_then(|admin| admin.public_url.as_ref())
            .map(|url| url.host.as_str()),
    );
    let certificates = Certificates::open(&server.tls, data, &hosts)?;
    let config_of = |clients: Option<&Path>| {
        let config = certificates.as_ref().map(|some| some.server_config(clients));
        config.transpose()
    };
    let public_tls = config_of(server.client_ca.as_deref())?;
    let operators_certificates = Certificates::open_for_operators(&server.tls)?;
    let tls = match &operators_certificates {
        Some(own) => Some(own.server_config(None)?),
        None => config_of(None)?,
    };
    let redirect_listener = match server.redirect_listen {
        Some(listen) => Some(bind(listen, "server.redirect_listen").await?),
        None => None,
    };
    let metrics_listener = bind_metrics(config).await?;
    // Before anything runs that would have to be ended.
    let directory = config.acme.as_ref().map(Directory::open).transpose()?;

    let composed = compose(Parts {
        config,
        data,
        public_url: &public_url,
        purpose,
    })
    .await?;

    let readiness = Readiness::new(composed.checks);
    let front = strongroom_web::site(
        composed.routes,
        readiness.clone(),
        SiteSettings {
            front: front::front_settings(config, composed.limits, composed.detection, composed.watch),
            public_url: public_url.to_string(),
            security_txt: front::security_txt(config, &public_url),
            docs: server.docs.then_some(v1::describe as Describe),
        },
    );
    front::tell_of_failures(&front, &composed.bank);
    let (stop, stopped) = stop_signal();
    let settings = ServerSettings {
        connections_max: server.connections_max,
        connections_per_address_max: server.connections_per_address_max,
        trusted_proxies: TrustedProxies::new(server.trusted_proxies.clone()),
        header_time_max: server.header_time_max,
        shutdown_time_max: server.shutdown_time_max,
        ..ServerSettings::default()
    };
    let acme = match (&config.acme, directory, &certificates) {
        (Some(acme), Some(directory), Some(certificates)) => {
            let own = operators_certificates.is_some();
            let names = if own { &hosts[..1] } else { &hosts[..] };
            let opened = Acme::open(acme, directory, data, names, certificates, &composed.bank);
            Some(opened?)
        }
        _ => None,
    };
    announce(
        config,
        &public_url,
        data,
        metrics_listener.as_ref(),
        &composed.notes,
    )?;

    tokio::spawn(metrics.clone().upkeep());
    let proofs = acme.map(|acme| {
        let proofs = acme.proofs();
        tokio::spawn(acme.run());
        Arc::new(move |hello: &ClientHello<'_>| proofs.answer(hello)) as Arc<ProofOf>
    });
    for certificates in certificates.into_iter().chain(operators_certificates) {
        tokio::spawn(refresh(certificates, Arc::downgrade(&composed.bank)));
    }
    if let Some(listener) = metrics_listener {
        tokio::spawn(metrics_server(
            listener,
            metrics.clone(),
            Arc::clone(&composed.bank),
            stopped.clone(),
        ));
    }
    tokio::spawn(signals.stop_on_first(stop, readiness));

    if let Some(listener) = redirect_listener {
        let url = public_url.to_string();
        let site = strongroom_web::redirect_site(url.trim_end_matches('/'), front::plain_settings());
        tokio::spawn(plain_server(listener, site, stopped.clone()));
    }
    let public = Server::new(
        listener,
        public_tls,
        front.scoped(public_scope(config), hosts_of(config, server.listen, &public_url)),
        settings.clone(),
    )
    .proving(proofs.clone());
    let operators_front = admin.map(|admin| {
        let url = admin.public_url.as_ref().unwrap_or(&public_url);
        front.scoped(Scope::Operators, hosts_of(config, admin.listen, url))
    });
    let operators = admin_listener.zip(operators_front).map(|(listener, front)| {
        let server = Server::new(listener, tls, front, settings);
        server.proving(proofs).run(stopped.clone())
    });
    let operators = async {
        match operators {
            Some(running) => running.await,
            None => Ended::Drained,
        }
    };
    let (public, operators) = tokio::join!(public.run(stopped), operators);
    match public.and(operators) {
        Ended::Drained => tracing::info!(target: "strongroom", "stopped; every request was answered"),
        Ended::Cut(connections) => {
            tracing::warn!(target: "strongroom", connections, "stopped; time ran out for some connections");
        }
    }
    for (what, finish) in composed.finish {
        tracing::debug!(target: "strongroom", what, "finishing");
        finish.await;
    }
    Ok(())
}

/// Operators share the listener of the customers only outside production and only where they have none of
/// their own.
fn public_scope(config: &Config) -> Scope {
    if config.admin.is_some() || config.environment == Environment::Production {
        Scope::Customers
    } else {
        Scope::Everything
    }
}

/// The names that a listener answers to. On one machine, outside production, its addresses are names as well.
fn hosts_of(config: &Config, listen: SocketAddr, url: &PublicUrl) -> Hosts {
    let mut names = vec![url.host.clone()];
    if config.environment != Environment::Production && listen.ip().is_loopback() {
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    }
    Hosts::only(names)
}

/// The two signals that end a server politely.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop_on_first(mut self, stop: Stop, readiness: Readiness) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!(target: "strongroom", "stopping: no new connections, requests in flight may finish");
        readiness.stopping();
        stop.stop();
    }
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, io::Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot listen on {address} ({key}): {error}"),
        )
    })
}

async fn bind_metrics(config: &Config) -> Result<Option<TcpListener>, io::Error> {
    match bind(config.metrics.listen, "metrics.listen").await {
        Ok(listener) => Ok(Some(listener)),
        // The usual address may belong to another server of the same developer.
        Err(error) if !config.metrics.is_set && error.kind() == io::ErrorKind::AddrInUse => {
            tracing::warn!(target: "strongroom", %error, "running without metrics");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn metrics_server(listener: TcpListener, metrics: Metrics, bank: Arc<Bank>, stopped: Stopped) {
    let render = move || {
        bank.set_gauges();
        metrics.render()
    };
    let front = strongroom_web::metrics_site(render, front::plain_settings());
    plain_server(listener, front, stopped).await;
}

async fn plain_server(listener: TcpListener, front: Front, stopped: Stopped) {
    let bounds = ServerSettings {
        connections_max: PLAIN_AT_ONCE,
        shutdown_time_max: Duration::from_secs(1),
        ..ServerSettings::default()
    };
    Server::new(listener, None, front, bounds).run(stopped).await;
}

/// Looks at the certificate for ever. A failure keeps the old one and is said every time; that it ends soon is told
/// again and again until another one is there.
async fn refresh(certificates: Arc<Certificates>, bank: Weak<Bank>) {
    let mut tick = tokio::time::interval(CERTIFICATE_CHECK);
    let mut told: Option<Instant> = None;
    loop {
        tick.tick().await;
        if !certificates.are_ending() {
            told = None;
        } else if told.is_none_or(|at| at.elapsed() >= ENDING_TOLD_EVERY) {
            told = Some(Instant::now());
            if let Some(bank) = bank.upgrade() {
                bank.note_certificate_ending();
            }
        }
        let looked = {
            let certificates = Arc::clone(&certificates);
            tokio::task::spawn_blocking(move || certificates.refresh()).await
        };
        match looked {
            Ok(Ok(true)) => tracing::info!(target: "strongroom", "the certificate was renewed"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::error!(target: "strongroom", %error, "the certificate cannot be renewed")
            }
            Err(error) => tracing::error!(target: "strongroom", %error, "the certificate cannot be renewed"),
        }
    }
}

/// Says where the server is, on standard output, once it can be reached.
fn announce(
    config: &Config,
    public_url: &PublicUrl,
    data: &DataDir,
    metrics: Option<&TcpListener>,
    notes: &[String],
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "strongroom {} is listening", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  url       {public_url}")?;
    if config.server.docs {
        writeln!(out, "  docs      {public_url}/docs")?;
    }
    if config.server.tls == Tls::SelfSigned {
        writeln!(
            out,
            "  authority {}",
            data.path().join("tls").join("ca.pem").display()
        )?;
    }
    if let Some(url) = config.admin.as_ref().and_then(|admin| admin.public_url.as_ref()) {
        writeln!(out, "  operators {url}")?;
    }
    if let Some(address) = metrics.map(TcpListener::local_addr).transpose()? {
        writeln!(out, "  metrics   http://{address}/metrics")?;
    }
    writeln!(out, "  data      {}", data.path().display())?;
    for note in notes {
        writeln!(out, "  {note}")?;
    }
    out.flush()
}
