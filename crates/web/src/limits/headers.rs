//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): what is allowed, and what is left
//! of it. Each window of a class is a policy of its own.

use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue};
use strongroom_guard::Quota;

use super::{Charge, Class, Limits};
use crate::layers::Record;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The names of the windows of a class: the first has the name of the class, others say their period.
pub(super) fn names(class: Class, quota: &Quota) -> Vec<String> {
    let windows = quota.windows().iter().enumerate();
    let name = |(index, window): (usize, &strongroom_guard::Window)| match index {
        0 => class.name().to_owned(),
        _ => format!("{}_{}s", class.name(), window.period_seconds()),
    };
    windows.map(name).collect()
}

pub(super) fn policy(names: &[String], quota: &Quota) -> String {
    let windows = names.iter().zip(quota.windows());
    let item = |(name, window): (&String, &strongroom_guard::Window)| {
        format!("\"{name}\";q={};w={}", window.count(), window.period_seconds())
    };
    windows.map(item).collect::<Vec<_>>().join(", ")
}

/// Writes both headers from how the request was counted.
pub(crate) fn write(limits: &Limits, record: &Record, headers: &mut HeaderMap) {
    let Some(inner) = &limits.0 else { return };
    let (mut policy, mut state) = (String::new(), String::new());
    record.each_charge(|Charge { class, standing }| {
        let counted = &inner.classes[class.index()];
        if !policy.is_empty() {
            policy.push_str(", ");
        }
        policy.push_str(&counted.policy);
        for (name, window) in counted.names.iter().zip(standing.windows()) {
            let comma = if state.is_empty() { "" } else { ", " };
            let seconds = window.reset.as_secs() + u64::from(window.reset.subsec_nanos() > 0);
            let _ = write!(state, "{comma}\"{name}\";r={};t={seconds}", window.remaining);
        }
    });
    for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
        if !text.is_empty()
            && let Ok(value) = HeaderValue::try_from(text)
        {
            headers.insert(name, value);
        }
    }
}
