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

use crate::{
    Problem,
    extract::{each_string, foreign_cookies},
    layers::Record,
    suspicion::refused,
};

/// The counter of requests that looked like an attack, by kind and by whether they were refused.
const RECOGNISED: &str = "strongroom_http_attacks_recognised_total";
/// So many refusals of an address tell it a number; then it hears what everybody hears who asks too often.
const TOLD: &str = "2/10m";
/// Headers that attacks are written into and that have no strict form of their own, besides those of nobody's making
/// (`X-…`).
const HEADERS: [&str; 4] = ["user-agent", "referer", "accept-language", "forwarded"];
/// Headers of ours that hold secrets, or what proves to know one.
const SECRET_HEADERS: [&str; 5] = [
    "x-api-key",
    "x-signature",
    "x-nonce",
    "x-device-token",
    "x-csrf-token",
];
/// Query parameters of ours that hold secrets: what an issuer sends back, and the token of a mail.
const SECRET_PARAMETERS: [&str; 3] = ["code", "state", "token"];
/// Fields of bodies that hold secrets, by their whole names: whatever else has such a word in its name is looked at.
const SECRET_FIELDS: [&str; 15] = [
    "access_token",
    "change_token",
    "code",
    "csrf",
    "current_password",
    "mfa_token",
    "new_password",
    "password",
    "rebind_token",
    "recovery_codes",
    "refresh_token",
    "secret",
    "signing_secret",
    "token",
    "totp_uri",
];

/// A request that looked like an attack.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The client's address.
    pub client: IpAddr,
    /// What the client calls itself; empty where it does not say.
    pub agent: String,
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
            if !SECRET_PARAMETERS.contains(&name) {
                inspection.look(Part::Query, value.as_bytes());
            }
        }
        for (name, value) in headers {
            let name = name.as_str();
            if HEADERS.contains(&name) || (name.starts_with("x-") && !SECRET_HEADERS.contains(&name)) {
                inspection.look(Part::Header, value.as_bytes());
            }
        }
        for value in foreign_cookies(headers) {
            inspection.look(Part::Header, value.as_bytes());
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
                if !SECRET_FIELDS.contains(&name) {
                    inspection.look(Part::Body, value.as_bytes());
                }
            });
        });
    }

    /// Looks at the fields of a form.
    pub(crate) fn look_at_form(&self, record: &Record, pairs: &[(String, String)]) {
        self.look(record, |inspection| {
            for (name, value) in pairs
                .iter()
                .filter(|(name, _)| !SECRET_FIELDS.contains(&name.as_str()))
            {
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
            agent: record.agent().to_owned(),
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

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::atomic::{AtomicU32, Ordering},
    };

    use axum::{Router, body::Body, routing::get};
    use http::Request;
    use serde_json::Value;
    use strongroom_guard::{Paranoia, TrustedProxies};

    use super::*;
    use crate::{
        layers::{Front, FrontSettings, Hsts, Origins},
        limits::Limits,
        suspicion::Watch,
        v1,
    };

    const ATTACK: &str = "'%20UNION%20SELECT%20password%20FROM%20users--";
    const PLAIN: &str = concat!("' UNION SEL", "ECT password FROM users--");

    /// How many requests that it served looked like attacks.
    fn looking() -> (Front, Arc<AtomicU32>) {
        let seen = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&seen);
        let detection = Detection::new(Detector::new(Paranoia::One).unwrap(), false, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            None
        });
        let front = Front::new(
            Router::new().route("/y", get(|| async {})),
            FrontSettings {
                request_time_max: Duration::from_secs(5),
                concurrency_max: 8,
                hsts: Hsts::Off,
                origins: Origins::default(),
                trusted_proxies: TrustedProxies::default(),
                limits: Limits::off(),
                watch: Watch::off(),
                detection,
            },
        );
        (front, seen)
    }

    async fn is_noticed(path: &str, header: (&'static str, &str)) -> bool {
        let (front, seen) = looking();
        let request = Request::get(path).header("host", "x").header(header.0, header.1);
        let request = request.body(Body::empty()).unwrap();
        front.serve(request, Ipv4Addr::LOCALHOST.into()).await;
        seen.load(Ordering::Relaxed) == 1
    }

    #[tokio::test]
    async fn a_secrets_name_within_another_hides_nothing() {
        for name in [
            "zipcode",
            "tokens",
            "my_password",
            "secret_santa",
            "csrf2",
            "Code",
            "q",
        ] {
            let path = format!("/x?a=b&{name}={ATTACK}");
            assert!(is_noticed(&path, ("accept", "*/*")).await, "{name}");
        }
        for name in SECRET_PARAMETERS {
            let path = format!("/x?{name}={ATTACK}");
            assert!(!is_noticed(&path, ("accept", "*/*")).await, "{name}");
        }
    }

    #[tokio::test]
    async fn whatever_a_client_makes_up_is_looked_at_and_what_is_ours_is_not() {
        let junk = format!("theme=dark; basket={PLAIN}");
        for header in [
            ("cookie", junk.as_str()),
            ("referer", PLAIN),
            ("user-agent", PLAIN),
            ("x-original-url", PLAIN),
            ("x-forwarded-host", PLAIN),
        ] {
            assert!(is_noticed("/x", header).await, "{header:?}");
        }
        let own = format!("__Host-sid={PLAIN}");
        for header in [
            ("cookie", own.as_str()),
            ("x-api-key", PLAIN),
            ("x-signature", PLAIN),
            // What browsers and proxies really send.
            (
                "cookie",
                "_ga=GA1.2.1195814337.1700000000; consent=%7B%22ads%22%3Afalse%2C%22v%22%3A2%7D; lang=de-DE",
            ),
            (
                "cookie",
                "session=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl; cart=a1%2Cb2%3B; name=O%27Brien",
            ),
            (
                "referer",
                "https://www.example.com/search?q=update+address+o%27brien&hl=en#top",
            ),
            ("x-forwarded-for", "203.0.113.7, 10.0.0.1"),
            ("x-request-id", "4bf92f3577b34da6a3ce929d0e0e4736"),
            ("x-requested-with", "XMLHttpRequest"),
            (
                "x-access-reason",
                "Customer called: please select the committee's account and update it",
            ),
        ] {
            assert!(!is_noticed("/x", header).await, "{header:?}");
        }
    }

    /// A field of the contract that is named like a secret is one, or named here.
    #[test]
    fn every_secret_of_the_contract_is_left_alone() {
        let document = crate::document(v1::describe, "https://bank.example");
        let mut names = Vec::new();
        collect(&serde_json::to_value(document).unwrap(), &mut names);
        assert!(names.len() > 100, "{names:?}");
        let no_secrets = ["ledger_code", "token_type"];
        for name in names {
            let is_named_so = ["password", "token", "secret", "code"]
                .iter()
                .any(|word| name.contains(word));
            let is_known = SECRET_FIELDS.contains(&name.as_str()) || no_secrets.contains(&name.as_str());
            assert!(!is_named_so || is_known, "{name}");
        }
    }

    fn collect(value: &Value, names: &mut Vec<String>) {
        if let Some(fields) = value["properties"].as_object() {
            names.extend(fields.keys().cloned());
        }
        match value {
            Value::Object(members) => members.values().for_each(|member| collect(member, names)),
            Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
            _ => {}
        }
    }
}
