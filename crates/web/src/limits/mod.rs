//! How often somebody may ask: classes, their counters, and who is counted.
//!
//! Two stages. Before anybody is known, [`Limits::arrive`] counts the address of what is open to everybody.
//! Once a principal is known the authenticator calls [`Limits::principal`]; a credential that fails is counted
//! against its address by [`Limits::stranger`], so trying credentials is no way around the first stage. Whoever
//! was not counted anywhere until the answer (an unknown path, a method that is not there) is counted then.
//!
//! The request's [`Record`] remembers how it was counted; the front writes the headers of every answer from it.
//!
//! Where several nodes count together, this one counts first: what is too much for one node is too much for all,
//! whatever they remember. Only then are the shared counters asked. While those are away each node goes on by its own
//! counts, except for guesses, which nobody may make meanwhile.

mod class;
mod guess;
mod headers;
mod traffic;

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use strongroom_api::codes;
use strongroom_app::Cx;
use strongroom_domain::principal::{Principal, Role};
use strongroom_guard::{
    Away, Exceeded, Limiter, Quota, SharedCount, SharedCounters, SharedQuestion, Standing, Subject,
};

use crate::{Problem, extract::device_mark, layers::Record};

pub use class::Class;
pub(crate) use guess::Guess;
pub(crate) use headers::write;
pub(crate) use traffic::RouteClass;
pub use traffic::{Shows, Traffic};

/// The counter of requests that were refused because somebody asked too often, by class.
const LIMITED: &str = "strongroom_http_requests_limited_total";
/// The counter of requests that this node counted alone although nodes should count together, by class.
const ALONE: &str = "strongroom_http_requests_counted_alone_total";
/// When those come again who could not be counted together with others.
const AWAY_RETRY: Duration = Duration::from_secs(5);

/// Reads the text of a device mark: what names it, if this server issued it.
type ReadMark = dyn Fn(&str) -> Option<[u8; 16]> + Send + Sync;

/// All classes with their counters. Clones share them.
#[derive(Clone)]
pub struct Limits(Option<Arc<Inner>>);

struct Inner {
    classes: Vec<Counted>,
    /// The counters that all nodes have in common.
    shared: Option<Arc<SharedCounters>>,
    read_mark: Box<ReadMark>,
    guesses: guess::Guesses,
}

struct Counted {
    limiter: Limiter,
    /// What the class is, as `RateLimit-Policy` says it.
    policy: String,
    /// The names of its windows.
    names: Vec<String>,
}

/// How a request was counted in one class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    class: Class,
    standing: Standing,
}

impl Charge {
    /// In which class.
    pub(crate) const fn class(&self) -> Class {
        self.class
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Limits").field(&self.0.is_some()).finish()
    }
}

impl Limits {
    /// Counts nothing and refuses nobody.
    pub const fn off() -> Self {
        Self(None)
    }

    /// The quotas of all classes, what nodes have in common, and how a device mark is read.
    ///
    /// # Errors
    /// A class without a quota.
    pub fn new(
        quota: impl Fn(Class) -> Option<Quota>,
        shared: Option<Arc<SharedCounters>>,
        read_mark: impl Fn(&str) -> Option<[u8; 16]> + Send + Sync + 'static,
    ) -> Result<Self, Class> {
        let counted = |class| {
            let quota = quota(class).ok_or(class)?;
            let names = headers::names(class, &quota);
            Ok(Counted {
                policy: headers::policy(&names, &quota),
                names,
                limiter: Limiter::new(quota),
            })
        };
        Ok(Self(Some(Arc::new(Inner {
            classes: Class::ALL.into_iter().map(counted).collect::<Result<_, _>>()?,
            shared,
            read_mark: Box::new(read_mark),
            guesses: guess::Guesses::default(),
        }))))
    }

    /// Whether counting may wait for others.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.shared.is_some())
    }

    /// Whether nothing keeps this node from counting as it should: it counts alone, or together with others.
    pub fn is_whole(&self) -> bool {
        let shared = self.0.as_ref().and_then(|inner| inner.shared.as_ref());
        shared.is_none_or(|shared| shared.is_together())
    }

    /// The first stage, at a route that was found. `Ok(Some(_))` where the answer decides what is counted. Ready at
    /// once unless [`Self::is_shared`].
    pub(crate) async fn arrive(
        &self,
        record: &Record,
        traffic: Traffic,
        headers: &HeaderMap,
    ) -> Result<Option<Guess>, Problem> {
        let Some(inner) = &self.0 else { return Ok(None) };
        let address = Subject::Address(record.client());
        match traffic {
            Traffic::Principal | Traffic::Upload if shows_credential(headers) => return Ok(None),
            Traffic::Health => inner.count(record, Class::Health, address).await?,
            Traffic::Document => inner.count(record, Class::Document, address).await?,
            Traffic::Asset => inner.count(record, Class::Asset, address).await?,
            Traffic::Session => {
                inner
                    .count(record, Class::Session, inner.subject(record, Some(headers)))
                    .await?
            }
            Traffic::Principal | Traffic::Upload | Traffic::Anonymous | Traffic::Guess => {
                let subject = inner.subject(record, Some(headers));
                inner.count(record, Class::Anonymous, subject).await?;
                if traffic == Traffic::Guess {
                    return Ok(Some(Guess::new(Arc::clone(inner), record.clone(), subject)));
                }
            }
        }
        Ok(None)
    }

    /// The second stage: counts the principal.
    pub(crate) async fn principal(&self, record: &Record, method: &Method, cx: &Cx) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let class = class_of(cx, method, record.traffic());
        inner
            .count(record, class, Subject::Principal(cx.caller.principal.id_bytes()))
            .await
    }

    /// Counts what a request asks for beyond the first thing: each item of a batch is a request.
    pub(crate) async fn items(
        &self,
        record: &Record,
        method: &Method,
        cx: &Cx,
        more: usize,
    ) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let class = class_of(cx, method, record.traffic());
        let subject = Subject::Principal(cx.caller.principal.id_bytes());
        match u32::try_from(more) {
            Ok(0) => Ok(()),
            Ok(more) => inner.count_many(record, class, subject, more).await,
            Err(_) => Err(Problem::body_too_large()),
        }
    }

    /// Counts one thing more of the same principal: what asks what would happen.
    pub(crate) async fn preview(&self, record: &Record, cx: &Cx) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let subject = Subject::Principal(cx.caller.principal.id_bytes());
        inner.count(record, Class::Preview, subject).await
    }

    /// Counts one question more of the same principal: whose account it is.
    pub(crate) async fn payee_check(&self, record: &Record, cx: &Cx) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let subject = Subject::Principal(cx.caller.principal.id_bytes());
        inner.count(record, Class::PayeeCheck, subject).await
    }

    /// Counts the question of a browser what a page of a named origin may do: a page asks it before it can show who it
    /// is.
    pub(crate) async fn preflight(&self, record: &Record) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        inner
            .count(record, Class::Asset, Subject::Address(record.client()))
            .await
    }

    /// Counts the address of a request that turned out to be nobody's, unless it was counted before.
    pub(crate) async fn stranger(&self, record: &Record, headers: Option<&HeaderMap>) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        if record.was_counted() {
            return Ok(());
        }
        inner
            .count(record, Class::Anonymous, inner.subject(record, headers))
            .await
    }
}

impl Limits {
    /// Says how the address stands without counting: for a request that nobody looked at.
    pub(crate) fn show(&self, record: &Record) {
        let Some(inner) = &self.0 else { return };
        let class = Class::Anonymous;
        let standing = inner.limiter(class).standing(Subject::Address(record.client()));
        record.count(Charge { class, standing });
    }
}

impl Inner {
    fn subject(&self, record: &Record, headers: Option<&HeaderMap>) -> Subject {
        let address = record.client();
        let mark = headers.and_then(device_mark).and_then(&self.read_mark);
        mark.map_or(Subject::Address(address), |mark| Subject::Device {
            mark,
            address,
        })
    }

    fn limiter(&self, class: Class) -> &Limiter {
        &self.classes[class.index()].limiter
    }

    async fn count(&self, record: &Record, class: Class, subject: Subject) -> Result<(), Problem> {
        self.count_many(record, class, subject, 1).await
    }

    async fn count_many(
        &self,
        record: &Record,
        class: Class,
        subject: Subject,
        times: u32,
    ) -> Result<(), Problem> {
        match self.charge(class, subject, times).await {
            Ok(standing) => {
                record.count(Charge { class, standing });
                Ok(())
            }
            Err(exceeded) => Err(refuse(record, class, &exceeded)),
        }
    }

    /// Counts here, and then with the other nodes if they can be asked.
    async fn charge(&self, class: Class, subject: Subject, times: u32) -> Result<Standing, Exceeded> {
        let limiter = self.limiter(class);
        let here = limiter.charge(subject, times)?;
        let Some(shared) = &self.shared else {
            return Ok(here);
        };
        match shared.charge(self.question(class, subject), times).await {
            Ok(SharedCount { outcome, .. }) => outcome.inspect_err(|_| {
                limiter.refund(subject, times);
            }),
            Err(Away) => {
                metrics::counter!(ALONE, "class" => class.name()).increment(1);
                Ok(here)
            }
        }
    }

    /// Takes back, here and with the other nodes, what was charged; nothing where `times` is 0. Of a guess it says
    /// besides that it is decided.
    async fn settle(&self, class: Class, subject: Subject, times: u32) -> Standing {
        let here = match times {
            0 => self.limiter(class).standing(subject),
            times => self.limiter(class).refund(subject, times),
        };
        let Some(shared) = &self.shared else { return here };
        let settled = shared.refund(self.question(class, subject), times).await;
        settled.unwrap_or(here)
    }

    fn question(&self, class: Class, subject: Subject) -> SharedQuestion<'_> {
        SharedQuestion {
            class: class.name(),
            quota: self.limiter(class).quota(),
            subject,
            is_guess: class == Class::Auth,
        }
    }
}

/// What nobody may do while nodes cannot count together.
fn away() -> Problem {
    Problem::new(
        &codes::UNAVAILABLE,
        "Passwords and codes cannot be looked at for the moment.",
    )
    .with_retry_after(AWAY_RETRY)
}

fn refuse(record: &Record, class: Class, exceeded: &Exceeded) -> Problem {
    metrics::counter!(LIMITED, "class" => class.name()).increment(1);
    record.count(Charge {
        class,
        standing: exceeded.standing,
    });
    limited(class, exceeded.retry_after)
}

fn limited(class: Class, retry_after: Duration) -> Problem {
    let detail = format!("Rate limit exceeded: too many {} requests.", class.name());
    Problem::new(&codes::RATE_LIMITED, detail).with_retry_after(retry_after)
}

/// The class of somebody who is known. Operators and programs have other ones than customers, and everybody
/// has one.
fn class_of(cx: &Cx, method: &Method, traffic: Option<Traffic>) -> Class {
    if traffic == Some(Traffic::Upload) {
        return Class::FileUpload;
    }
    let is_operator = cx.rights.roles.iter().copied().any(Role::is_operator);
    let is_key = matches!(cx.caller.principal, Principal::ApiKey { .. });
    match (is_key, is_operator, method.is_safe()) {
        (true, true, _) => Class::Service,
        (true, false, true) => Class::KeyRead,
        (true, false, false) => Class::KeyWrite,
        (false, true, true) => Class::OperatorRead,
        (false, true, false) => Class::OperatorWrite,
        (false, false, true) => Class::ApiRead,
        (false, false, false) => Class::ApiWrite,
    }
}

/// Whether somebody says who they are. Whether it is true, the authenticator finds out.
pub(crate) fn shows_credential(headers: &HeaderMap) -> bool {
    use http::header::{AUTHORIZATION, COOKIE};
    [
        AUTHORIZATION.as_str(),
        "x-api-key",
        "x-api-key-id",
        COOKIE.as_str(),
    ]
    .into_iter()
    .any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests;
