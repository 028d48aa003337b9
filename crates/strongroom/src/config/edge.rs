//! What stands between the network and the bank.

use strongroom_guard::{Network, Paranoia, Quota};
use strongroom_web::{limits::Class, suspicion::Mode};

use super::{Reader, TABLE};

/// How often somebody may ask.
#[derive(Clone, Debug)]
pub(crate) struct LimitsConfig {
    /// Whether anything is counted.
    pub enabled: bool,
    quotas: Vec<(Class, Quota)>,
}

impl LimitsConfig {
    /// The quota of a class; `None` only where its setting is wrong.
    pub(crate) fn quota(&self, class: Class) -> Option<&Quota> {
        let mut quotas = self.quotas.iter();
        quotas.find_map(|(known, quota)| (*known == class).then_some(quota))
    }
}

/// What looks for attacks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DetectionConfig {
    /// Whether what is certain is refused.
    pub blocks: bool,
    /// How suspicious it is.
    pub paranoia: Paranoia,
}

/// What follows from how an address behaves.
#[derive(Clone, Debug)]
pub(crate) struct BlocksConfig {
    /// Whether suspects are refused.
    pub mode: Mode,
    /// Who is never looked at.
    pub allow: Vec<Network>,
}

/// Whom to tell about a weakness.
#[derive(Clone, Debug)]
pub(crate) struct SecurityTxtConfig {
    /// `https:` and `mailto:` addresses, the preferred one first; empty for the usual mailbox.
    pub contacts: Vec<String>,
    /// Where it is told how reports are dealt with.
    pub policy: Option<String>,
}

impl Reader<'_> {
    pub(super) fn security_txt(&self) -> SecurityTxtConfig {
        let mailbox = self.text("security_txt.contact");
        let mailbox = mailbox.map(|mailbox| format!("mailto:{mailbox}"));
        SecurityTxtConfig {
            contacts: self
                .text("security_txt.contact_url")
                .into_iter()
                .chain(mailbox)
                .collect(),
            policy: self.text("security_txt.policy_url"),
        }
    }

    pub(super) fn limits(&self) -> LimitsConfig {
        let setting = |class: Class| {
            let key = TABLE.iter().map(|setting| setting.key);
            let mut keys = key.filter(|key| key.strip_prefix("limits.") == Some(class.name()));
            keys.next().and_then(|key| self.quota(key))
        };
        let quotas = Class::ALL.into_iter();
        LimitsConfig {
            enabled: self.flag("limits.enabled").unwrap_or_default(),
            quotas: quotas
                .filter_map(|class| setting(class).map(|quota| (class, quota)))
                .collect(),
        }
    }

    pub(super) fn blocks(&self) -> BlocksConfig {
        BlocksConfig {
            mode: match self.text("blocks.mode").as_deref() {
                Some("off") => Mode::Off,
                Some("observe") => Mode::Observe,
                _ => Mode::Enforce,
            },
            allow: self.networks("blocks.allow").unwrap_or_default(),
        }
    }

    pub(super) fn detection(&self) -> DetectionConfig {
        DetectionConfig {
            blocks: self.is("detection.mode", "block"),
            paranoia: match self.number("detection.paranoia") {
                Some(2) => Paranoia::Two,
                Some(3) => Paranoia::Three,
                Some(4) => Paranoia::Four,
                _ => Paranoia::One,
            },
        }
    }
}
