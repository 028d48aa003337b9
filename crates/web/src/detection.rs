//! Detection at the front: what looks like an attack is noted under a number, makes its address suspicious, and can be
//! refused.
//!
//! Path, query and some headers are looked at before the router, texts of bodies when a handler reads them. Only path
//! and query refuse, only where no honest reading is left, and only if the configuration says so; bodies, in which
//! people write what they like, make points. Of the values nothing is kept, and secrets are not looked at: the rules
//! that a password meets would say something about it.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, Uri};
use strongroom_api::codes;
use strongroom_guard::{Detector, Inspection, Limiter, Part, Quota, Recognised, Subject};

use crate::{Problem, extract::each_string, layers::Record, suspicion::refused};

/// The counter of requests that looked like an attack, by kind and by whether they were refused.
const RECOGNISED: &str = "strongroom_http_attacks_recognised_total";
/// So many refusals of an address tell it a number; then it hears what everybody hears who asks too often.
const TOLD: &str = "2/10m";
/// Headers that attacks are written into and that have no strict form of their own.
const HEADERS: [&str; 6] = [
    "user-agent",
    "referer",
    "accept-language",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-api-version",
];
/// Fields with these words in their names are secrets.
const SECRETS: [&str; 5] = ["password", "token", "secret", "code", "csrf"];

/// A request that looked like an attack.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The client's address.
    pub client: IpAddr,
    /// The number of the request.
    pub request_id: String,
    /// The template of its route, where there was one.
    pub route: Option<String>,
    /// Who asked, by id, where that was established.
    pub principal: Option<String>,
    /// The kind of attack.
    pub attack: &'static str,
    /// Its points.
    pub score: u32,
    /// The rules that met.
    pub rules: Vec<&'static str>,
    /// Whether the request was refused for it.
    pub refused: bool,
}

/// Where sightings are noted; gives their number, or nothing where there are too many to keep apart.
type Sink = Box<dyn Fn(Sighting) -> Option<String> + Send + Sync>;

/// What looks at requests. Clones share it.
#[derive(Clone)]
pub struct Detection(Option<Arc<Inner>>);

struct Inner {
    detector: Detector,
    blocks: bool,
    told: Option<Limiter>,
    sink: Sink,
}

impl fmt::Debug for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Detection").field(&self.0.is_some()).finish()
    }
}

impl Detection {
    /// Looks at nothing: for listeners that are not public.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Looks at everything; refuses what is certain where it `blocks`.
    pub fn new(
        detector: Detector,
        blocks: bool,
        sink: impl Fn(Sighting) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(Inner {
            detector,
            blocks,
            told: TOLD.parse::<Quota>().ok().map(Limiter::new),
            sink: Box::new(sink),
        })))
    }

    /// Looks at what is known before the body. A refusal where that is certainly an attack.
    pub(crate) fn begin(&self, record: &Record, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let mut inspection = inner.detector.inspect();
        inspection.look(Part::Path, uri.path().as_bytes());
        for pair in uri.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            inspection.look(Part::Query, name.as_bytes());
            if !is_secret(name) {
                inspection.look(Part::Query, value.as_bytes());
            }
        }
        for name in HEADERS {
            for value in headers.get_all(name) {
                inspection.look(Part::Header, value.as_bytes());
            }
        }
        let Some(recognised) = inspection.recognised() else {
            return Ok(());
        };
        let is_certain = recognised.is_certain();
        record.recognise(recognised);
        if is_certain && inner.blocks {
            record.refuse_as_attack();
            return Err(inner.refusal(record));
        }
        Ok(())
    }

    /// Looks at the texts of a JSON body.
    pub(crate) fn look_at_json(&self, record: &Record, text: &str) {
        self.look(record, |inspection| {
            each_string(text, |name, value| {
                if !is_secret(name) {
                    inspection.look(Part::Body, value.as_bytes());
                }
            });
        });
    }

    /// Looks at the fields of a form.
    pub(crate) fn look_at_form(&self, record: &Record, pairs: &[(String, String)]) {
        self.look(record, |inspection| {
            for (name, value) in pairs.iter().filter(|(name, _)| !is_secret(name)) {
                inspection.look(Part::Body, name.as_bytes());
                inspection.look(Part::Body, value.as_bytes());
            }
        });
    }

    fn look(&self, record: &Record, work: impl FnOnce(&mut Inspection<'_>)) {
        let Some(inner) = &self.0 else { return };
        let mut inspection = inner.detector.inspect();
        work(&mut inspection);
        if let Some(recognised) = inspection.recognised() {
            record.recognise(recognised);
        }
    }

    /// After the answer: notes what was recognised and not refused.
    pub(crate) fn end(&self, record: &Record) {
        let Some(inner) = &self.0 else { return };
        if !record.is_refused_as_attack() {
            inner.note(record);
        }
    }
}

impl Inner {
    /// The first ones hear a number to ask about: a wrong refusal must be findable. Whoever goes on learns nothing.
    fn refusal(&self, record: &Record) -> Problem {
        let number = self.note(record);
        let told = self
            .told
            .as_ref()
            .map(|told| told.charge(Subject::Address(record.client()), 1));
        match (told, number) {
            (Some(Ok(_)), Some(number)) => Problem::new(
                &codes::ATTACK_SUSPECTED,
                "The request looks like an attack and was not served.",
            )
            .with_incident(number),
            (Some(Err(exceeded)), _) => refused(exceeded.retry_after),
            _ => refused(Duration::from_secs(60)),
        }
    }

    fn note(&self, record: &Record) -> Option<String> {
        let found = record.recognised()?;
        let refused = record.is_refused_as_attack();
        let label = if refused { "true" } else { "false" };
        metrics::counter!(RECOGNISED, "attack" => found.attack.name(), "refused" => label).increment(1);
        let number = (self.sink)(Sighting {
            client: record.client(),
            request_id: record.id().to_string(),
            route: record.route().map(str::to_owned),
            principal: record.principal().map(str::to_owned),
            attack: found.attack.name(),
            score: found.score,
            rules: found.rules,
            refused,
        });
        tracing::warn!(
            target: "strongroom_web",
            request_id = %record.id(),
            incident_id = number,
            attack = found.attack.name(),
            score = found.score,
            refused,
            "a request looks like an attack"
        );
        number
    }
}

/// Two looks at one request are one finding.
pub(crate) fn join(known: &mut Option<Recognised>, new: Recognised) {
    match known {
        None => *known = Some(new),
        Some(known) => {
            if new.score > known.score {
                known.attack = new.attack;
            }
            known.score += new.score;
            known.open_score += new.open_score;
            for rule in new.rules {
                if !known.rules.contains(&rule) {
                    known.rules.push(rule);
                }
            }
        }
    }
}

fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|word| name.contains(word))
}
