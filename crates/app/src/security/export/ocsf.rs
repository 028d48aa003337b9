//! JSON of the Open Cybersecurity Schema Framework, 1.3 (schema.ocsf.io), with the attributes that its classes require.

use serde_json::{Map, Value, json};

use super::ExportedEvent;
use crate::security::catalogue::{Class, SecurityEventKind, Severity};

const SCHEMA: &str = "1.3.0";
/// What a schema calls everything else.
const OTHER: u32 = 99;

/// A class of the schema with the activity that an event is.
struct Place {
    category: u32,
    class: u32,
    activity: u32,
}

fn place(kind: Option<SecurityEventKind>) -> Place {
    use SecurityEventKind as Kind;
    let account = |activity| Place {
        category: 3,
        class: 3001,
        activity,
    };
    match kind {
        // Account Change: create, attach and detach policy, a factor disabled.
        Some(Kind::OperatorAdded | Kind::OperatorForced) => account(1),
        Some(Kind::RoleGiven) => account(7),
        Some(Kind::RoleTaken) => account(8),
        Some(Kind::FactorsReset | Kind::FactorRemoved) => account(11),
        // Enabled, password change and reset, disabled, another factor.
        Some(Kind::LoginOpened) => account(2),
        Some(Kind::PasswordChanged) => account(3),
        Some(Kind::LoginStopped) => account(5),
        Some(Kind::FactorAdded | Kind::RecoveryCodesMade) => account(10),
        Some(Kind::EmailChanged | Kind::EmailChangeAsked) => account(OTHER),
        // Authentication: logoff.
        Some(Kind::SessionEnded) => Place {
            category: 3,
            class: 3002,
            activity: 2,
        },
        // API Activity: what people did to accounts and limits is no finding; that a limit stopped somebody is.
        Some(
            Kind::TransferReversed
            | Kind::AccountFrozen
            | Kind::AccountUnfrozen
            | Kind::AccountClosed
            | Kind::LimitChanged
            | Kind::AllowanceChanged
            | Kind::PayeeAdded
            | Kind::ReviewDecided,
        ) => Place {
            category: 6,
            class: 6003,
            activity: OTHER,
        },
        Some(kind) => match kind.class() {
            // Authentication: logon.
            Class::Authentication => Place {
                category: 3,
                class: 3002,
                activity: 1,
            },
            // API Activity.
            Class::Authorization | Class::Administration => Place {
                category: 6,
                class: 6003,
                activity: OTHER,
            },
            // Detection Finding: create.
            Class::Money | Class::Attack | Class::Integrity | Class::Errors => Place {
                category: 2,
                class: 2004,
                activity: 1,
            },
        },
        None => Place {
            category: 6,
            class: 6003,
            activity: OTHER,
        },
    }
}

/// The event in one line.
pub(super) fn write(event: &ExportedEvent, version: &str) -> String {
    let kind = event.known_kind();
    let Place {
        category,
        class,
        activity,
    } = place(kind);
    let severity = match event.severity() {
        Severity::Info => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    };
    let (status, outcome) = match (event.outcome.as_str(), class) {
        (_, 2004) => (1, "New"),
        ("done", _) => (1, "Success"),
        ("refused", _) => (2, "Failure"),
        _ => (OTHER, "Noted"),
    };
    let somebody = json!({
        "uid": event.principal.as_deref().unwrap_or("unknown"),
        "uid_alt": event.subject,
        "type_id": 0,
    });
    let mut all = json!({
        "activity_id": activity,
        "category_uid": category,
        "class_uid": class,
        "type_uid": class * 100 + activity,
        "severity_id": severity,
        "status_id": status,
        "status": outcome,
        "status_detail": event.reason,
        "time": event.at.div_euclid(1_000),
        "message": event.means(),
        "metadata": {
            "uid": event.id,
            "version": SCHEMA,
            "event_code": event.kind,
            "correlation_uid": event.request_id,
            "product": {"name": "Strongroom", "vendor_name": "Strongroom", "version": version},
        },
        "src_endpoint": {"ip": event.address, "uid": event.session_id},
        "http_request": event.user_agent.as_ref().map(|agent| json!({"user_agent": agent})),
        "unmapped": {
            "class": kind.map(|kind| kind.class().name()),
            "incident_id": event.incident_id,
            "object": event.object,
            "outcome": event.outcome,
            "policy": event.policy,
            "token": event.token,
        },
    });
    let rest = match class {
        3001 => json!({
            "user": {"uid": event.object.as_deref().unwrap_or("unknown"), "type_id": 0},
            "actor": {"user": somebody},
        }),
        3002 => json!({"user": somebody, "service": {"name": "strongroom"}}),
        2004 => json!({
            "finding_info": {"uid": event.incident_id.as_deref().unwrap_or(&event.id), "title": event.means()},
            "actor": {"user": somebody},
        }),
        _ => json!({"actor": {"user": somebody}, "api": {"operation": event.kind}}),
    };
    if let (Value::Object(all), Value::Object(rest)) = (&mut all, rest) {
        all.extend(rest);
    }
    strip(&mut all);
    escaped(&all.to_string())
}

/// Takes out what is not known.
fn strip(value: &mut Value) {
    if let Value::Object(members) = value {
        let kept = std::mem::take(members)
            .into_iter()
            .filter_map(|(name, mut member)| {
                strip(&mut member);
                let is_empty = member.is_null() || member.as_object().is_some_and(Map::is_empty);
                (!is_empty).then_some((name, member))
            });
        *members = kept.collect();
    }
}

/// JSON leaves some characters alone that end lines elsewhere.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
            out.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{super::samples::hostile, *};

    /// What every event has to have (base event, 1.3), and what its class asks for besides.
    const ALWAYS: &[&str] = &[
        "activity_id",
        "category_uid",
        "class_uid",
        "type_uid",
        "severity_id",
        "time",
        "metadata",
    ];

    fn wanted(class: u64) -> &'static [&'static str] {
        match class {
            3001 => &["user"],
            3002 => &["user", "service"],
            2004 => &["finding_info"],
            6003 => &["actor", "api", "src_endpoint"],
            other => panic!("no class of the schema: {other}"),
        }
    }

    #[test]
    fn every_kind_has_what_its_class_requires() {
        for kind in SecurityEventKind::ALL {
            let event = ExportedEvent {
                kind: kind.name().to_owned(),
                ..hostile()
            };
            let written: Value = serde_json::from_str(&write(&event, "1")).unwrap();
            let class = written["class_uid"].as_u64().unwrap();
            for name in ALWAYS.iter().chain(wanted(class)) {
                assert!(
                    written.get(name).is_some(),
                    "{name} of {}: {written}",
                    kind.name()
                );
            }
            let type_uid = class * 100 + written["activity_id"].as_u64().unwrap();
            assert_eq!(written["type_uid"], type_uid);
            assert_eq!(written["category_uid"], class / 1000);
            assert_eq!(written["metadata"]["event_code"], kind.name());
            assert_eq!(written["metadata"]["uid"], "sev_01");
        }
    }

    #[test]
    fn what_a_client_says_is_one_text_of_one_line() {
        let line = write(&hostile(), "1");
        assert!(
            !line.chars().any(char::is_control) && !line.contains('\u{2028}'),
            "{line:?}"
        );
        let written: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            written["http_request"]["user_agent"],
            hostile().user_agent.unwrap()
        );
        assert_eq!(written["status_id"], 2);
        assert_eq!(written["src_endpoint"]["ip"], "192.0.2.1");
    }

    #[test]
    fn a_kind_of_another_version_is_told_all_the_same() {
        let event = ExportedEvent {
            kind: "never_heard_of".to_owned(),
            ..hostile()
        };
        let written: Value = serde_json::from_str(&write(&event, "1")).unwrap();
        assert_eq!(
            (written["class_uid"].as_u64(), written["severity_id"].as_u64()),
            (Some(6003), Some(4))
        );
    }
}
