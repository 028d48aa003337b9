//! Policies: Cedar's language and evaluator (permit and forbid, forbid wins, the default is no), cut to what can apply.
//!
//! A whole set is evaluated in time proportional to its size. Most of a policy's cost is its head, and most heads can
//! be decided long before: who the principal is and which roles it holds changes rarely, and actions are a fixed list.
//! So a set is cut into slices, one per kind of principal, roles and action, made when first asked for; a slice holds
//! the policies whose heads match, without them. What is left are conditions over the facts of the decision, and only
//! the facts that some condition of the slice names are put together. Where those are few and of few values (whose it
//! is, how well the caller proved, by which way), the verdict over them is evaluated once: the same facts always come
//! to the same one. Nothing that an amount, a moment or an address had a part in is remembered.
//!
//! All attributes are facts of the decision (`context`), fresh by construction; principal and resource are names. An
//! evaluation that fails decides no, whichever policy it was.

mod facts;
mod force;
mod question;
mod rails;
mod schema;
mod slice;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use cedar_policy::{Authorizer, Decision, Entities, PolicySet, ValidationMode, Validator};
use strongroom_domain::action::Action;

use self::{
    facts::Names,
    slice::{Holder, Parsed, Slice},
};
pub use self::{
    facts::{Facts, Kind},
    force::InForce,
    question::{Asker, Case, Circumstances, Question, Thing},
};
pub(crate) use self::{
    force::{BUILT_IN_VERSION, Book},
    rails::broken_rail,
    schema::{is_counted_reading, moves_money, reads as is_read},
};

const GUARDRAILS: &str = include_str!("../../../policies/guardrails.cedar");
const BUILTIN: &str = include_str!("../../../policies/builtin.cedar");
/// Most slices that are kept; more kinds of principals than that are cut anew each time.
const SLICES_MAX: usize = 16_384;

/// Why a set of policies is refused; for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is not Cedar.
    #[error("not a policy: {0}")]
    Syntax(String),
    /// It names what there is not, or compares what cannot be compared.
    #[error("does not fit the schema: {0}")]
    Schema(String),
    /// It is Cedar, but not of the part that decisions here are cut along.
    #[error("{0}: {1}")]
    Shape(String, &'static str),
}

/// What a decision came to and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The policies that decided, by name: the forbids that matched, or else the permits.
    pub reasons: Vec<String>,
    /// Whether a policy could not be evaluated, which decides no.
    pub failed: bool,
}

/// A decision with everything that went into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What it came to.
    pub verdict: Verdict,
    /// The policies that could apply, by name and effect (`permit`, `forbid`).
    pub applicable: Vec<(String, &'static str)>,
    /// The facts that these ask for; an absent one is not there.
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// A set of policies, ready to decide.
#[derive(Debug)]
pub struct Policies {
    parsed: Vec<Parsed>,
    names: Names,
    nothing: Entities,
    slices: RwLock<HashMap<(Holder, Action), Arc<Slice>>>,
}

static BUILT_IN: LazyLock<Result<Arc<Policies>, PolicyError>> =
    LazyLock::new(|| Policies::of(&[]).map(Arc::new));

/// The policies that the program brings along.
///
/// # Errors
/// Never in a build whose tests passed.
pub fn built_in() -> Result<&'static Arc<Policies>, PolicyError> {
    BUILT_IN.as_ref().map_err(Clone::clone)
}

/// Digest of the policies that the program brings along.
pub(crate) fn built_in_digest() -> [u8; 32] {
    strongroom_crypto::token::fingerprint(&[GUARDRAILS, BUILTIN].concat())
}

fn read(text: &str) -> Result<PolicySet, PolicyError> {
    text.parse()
        .map_err(|error: cedar_policy::ParseErrors| PolicyError::Syntax(error.to_string()))
}

fn fits(validator: &Validator, set: &PolicySet) -> Result<(), PolicyError> {
    let found = validator.validate(set, ValidationMode::Strict);
    match found.validation_errors().next() {
        Some(error) => Err(PolicyError::Schema(error.to_string())),
        None => Ok(()),
    }
}

impl Policies {
    /// The built-in policies and more texts, numbered.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn parse(more: &[&str]) -> Result<Self, PolicyError> {
        let labels: Vec<String> = (1..=more.len()).map(|number| number.to_string()).collect();
        let more: Vec<_> = labels
            .iter()
            .map(String::as_str)
            .zip(more.iter().copied())
            .collect();
        Self::of(&more)
    }

    /// The built-in policies and an author's texts, each with a label that goes in front of the names of its policies.
    /// The guardrails are always among them. An author's texts are held against the schema; the program's own are by
    /// its tests.
    ///
    /// # Errors
    /// [`PolicyError`], for the first text that does not fit.
    pub fn of(more: &[(&str, &str)]) -> Result<Self, PolicyError> {
        let validator = match more {
            [] => None,
            _ => Some(Validator::new(schema::schema()?)),
        };
        let mut parsed = Vec::new();
        let mut names = BTreeSet::new();
        let own = [GUARDRAILS, BUILTIN].map(|text| (None, text));
        let authors = more.iter().map(|(label, text)| (Some(*label), *text));
        for (label, text) in own.into_iter().chain(authors) {
            let set = read(text)?;
            // The program's own fit the schema of their build, as a test shows: a third of a start would go into
            // showing it again.
            if let (Some(validator), Some(_)) = (&validator, label) {
                fits(validator, &set)?;
            }
            for policy in set.policies() {
                let policy = Parsed::read(policy, label)?;
                // Two of one name could not be in one slice.
                if !names.insert(policy.name().to_owned()) {
                    let name = policy.name().to_owned();
                    return Err(PolicyError::Shape(name, "two policies have this name"));
                }
                parsed.push(policy);
            }
        }
        Ok(Self {
            parsed,
            names: Names::new()?,
            nothing: Entities::empty(),
            slices: RwLock::default(),
        })
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.parsed.len()
    }

    /// Whether there are none; never.
    pub fn is_empty(&self) -> bool {
        self.parsed.is_empty()
    }

    /// Decides. The same facts always come to the same verdict.
    pub fn decide(&self, facts: &Facts<'_>) -> Arc<Verdict> {
        let slice = match self.slice(facts) {
            Ok(slice) => slice,
            Err(_) => return Arc::new(Verdict::failure()),
        };
        if let Some(always) = &slice.always {
            return always.clone();
        }
        match slice.place(facts) {
            Some(place) => place
                .get_or_init(|| Arc::new(self.evaluate(&slice, facts)))
                .clone(),
            None => Arc::new(self.evaluate(&slice, facts)),
        }
    }

    fn evaluate(&self, slice: &Slice, facts: &Facts<'_>) -> Verdict {
        let Some(request) = self.names.request(facts, slice.wanted) else {
            return Verdict::failure();
        };
        let response = Authorizer::new().is_authorized(&request, &slice.set, &self.nothing);
        if response.diagnostics().errors().next().is_some() {
            return Verdict::failure();
        }
        let mut reasons: Vec<_> = response.diagnostics().reason().map(ToString::to_string).collect();
        reasons.sort_unstable();
        Verdict {
            allowed: response.decision() == Decision::Allow,
            reasons,
            failed: false,
        }
    }

    /// Decides, and tells everything that went into it.
    pub fn explain(&self, facts: &Facts<'_>) -> Explanation {
        let holder = Holder::of(facts);
        Explanation {
            verdict: Verdict::clone(&self.decide(facts)),
            applicable: self
                .parsed
                .iter()
                .filter(|policy| policy.applies(holder, facts.action))
                .map(|policy| (policy.name().to_owned(), policy.effect()))
                .collect(),
            facts: self
                .slice(facts)
                .map(|slice| facts::told(facts, slice.wanted))
                .unwrap_or_default(),
        }
    }

    fn slice(&self, facts: &Facts<'_>) -> Result<Arc<Slice>, PolicyError> {
        let key = (Holder::of(facts), facts.action);
        let slices = self.slices.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = slices.get(&key) {
            return Ok(slice.clone());
        }
        drop(slices);
        let slice = Arc::new(Slice::cut(&self.parsed, key.0, key.1)?);
        let mut slices = self.slices.write().unwrap_or_else(PoisonError::into_inner);
        if slices.len() < SLICES_MAX {
            slices.insert(key, slice.clone());
        }
        Ok(slice)
    }
}

impl Verdict {
    const fn failure() -> Self {
        Self {
            allowed: false,
            reasons: Vec::new(),
            failed: true,
        }
    }
}

#[cfg(test)]
mod tests;
