//! Decisions on their way to the database: noted where they are taken, written in portions.
//!
//! A decision is a matter of microseconds, and so is noting one. The buffer is bounded, and what finds no room is not
//! decided: an operator's request is refused rather than done unseen. Room is kept by rank, so that whoever knocks
//! all day cannot keep operators out: what customers are allowed to do stands in the audit log besides and takes half
//! of the buffer at most (beyond it is counted and left out), refusals of customers take three quarters, operators all
//! of it. Customers' reads are sampled.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use strongroom_domain::{
    action::Action,
    department::Department,
    id::{RequestId, UserId},
    money::{Amount, Currency},
    principal::{Assurance, Caller, Principal, Role},
    time::Timestamp,
};
use tokio::sync::Notify;

use crate::{
    authority::{
        authorize::{About, Forbidding, Resource, department_of, roles_for},
        policy::{BUILT_IN_VERSION, is_counted_reading, is_read},
    },
    cx::{Cx, Rights},
    error::Error,
    security::catalogue::SecurityEventKind,
    security::stream::{Line, Security, address_text, line_of},
};

/// Most decisions that wait to be written.
const WAITING_MAX: usize = 8_192;
/// Most that are written in one commit.
pub(crate) const PORTION_MAX: usize = 512;
/// One of so many reads by customers is noted.
const READS_SAMPLED: u64 = 64;

/// A decision that waits to be written.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub(crate) at: Timestamp,
    pub(crate) request: RequestId,
    pub(crate) caller: Caller,
    pub(crate) rights: Arc<Rights>,
    /// Those of the roles that counted.
    pub(crate) roles: Vec<Role>,
    pub(crate) resource_department: Option<Department>,
    pub(crate) assurance: Assurance,
    pub(crate) address: Option<IpAddr>,
    pub(crate) action: Action,
    pub(crate) resource: Resource,
    pub(crate) money: Option<(Amount, Currency)>,
    pub(crate) account_state: Option<&'static str>,
    pub(crate) reason: Option<Arc<str>>,
    pub(crate) allowed: bool,
    pub(crate) version: i32,
}

impl Noted {
    /// The person whose key seals where the request came from.
    pub(crate) const fn person(&self) -> Option<UserId> {
        self.caller.principal.owner()
    }

    /// Whose thing it was about, for operators, who have things of their own as well.
    pub(crate) fn owner(&self) -> Option<UserId> {
        match self.resource {
            Resource::OwnedBy(owner) if self.is_operators() => Some(owner),
            Resource::OwnedBy(_) | Resource::Bank => None,
        }
    }

    fn is_operators(&self) -> bool {
        self.rights.roles.iter().any(|role| role.is_operator())
    }

    /// An operator who was let read about somebody else, or who went through a list of them.
    pub(crate) fn reader(&self) -> Option<UserId> {
        match self.caller.principal {
            Principal::User(reader)
                if self.allowed
                    && self.is_operators()
                    && self.resource != Resource::OwnedBy(reader)
                    && is_counted_reading(self.action) =>
            {
                Some(reader)
            }
            _ => None,
        }
    }
}

/// Decisions on their way to the database.
#[derive(Debug, Default)]
pub(crate) struct DecisionLog {
    waiting: Mutex<Vec<Noted>>,
    reads: AtomicU64,
    more: Notify,
    security: Option<Arc<Security>>,
    /// When somebody was last told of a reader: a row per operator at most.
    told: Mutex<HashMap<UserId, Timestamp>>,
}

/// Policies that an event names at most.
const NAMED_MAX: usize = 4;

/// Which set of policies refused, and which of them forbade it; where none is named, none permits it.
fn refused_by(version: i32, verdict: &Forbidding) -> String {
    let names = verdict.as_ref().map_or(&[][..], |verdict| &verdict.reasons);
    let mut text = format!("set {version}");
    for (place, name) in names.iter().take(NAMED_MAX).enumerate() {
        text.push_str(if place == 0 { ": " } else { ", " });
        text.push_str(name);
    }
    text
}

/// What happens to a decision that finds no room.
enum Rank {
    /// It is left out and counted.
    May(usize),
    /// It is not taken.
    Must(usize),
}

impl DecisionLog {
    /// A log that tells of refusals, too.
    pub(crate) fn told_to(security: Arc<Security>) -> Self {
        Self {
            security: Some(security),
            ..Self::default()
        }
    }

    /// Notes a decision.
    ///
    /// # Errors
    /// `overloaded` where it must be noted and there is no room: then it is none.
    pub(crate) fn note(
        &self,
        cx: &Cx,
        action: Action,
        resource: Resource,
        about: About,
        decided: Result<(), &Forbidding>,
    ) -> Result<(), Error> {
        let allowed = decided.is_ok();
        let version = cx
            .in_force
            .as_ref()
            .map_or(BUILT_IN_VERSION, |in_force| in_force.version);
        if let (Some(security), Err(verdict)) = (&self.security, decided) {
            let address = address_text(cx.address);
            security.note(&Line {
                outcome: "refused",
                reason: action.name(),
                object: match resource {
                    Resource::OwnedBy(owner) => Some(owner.to_string()),
                    Resource::Bank => None,
                },
                policy: Some(refused_by(version, verdict)),
                ..line_of(cx, SecurityEventKind::AccessDenied, &address)
            });
        }
        let Some(rank) = self.rank(cx, action, allowed) else {
            return Ok(());
        };
        let noted = Noted {
            at: cx.now(),
            request: cx.request,
            caller: cx.caller,
            rights: cx.rights.clone(),
            roles: roles_for(cx, action, resource).into_owned(),
            resource_department: department_of(cx, resource),
            assurance: cx.assurance,
            address: cx.address,
            action,
            resource,
            money: about.money,
            account_state: about.account_state,
            reason: cx.reason.clone(),
            allowed,
            version,
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match rank {
            Rank::May(room) if waiting.len() >= room => {
                metrics::counter!("strongroom_decisions_left_out_total").increment(1);
                return Ok(());
            }
            Rank::Must(room) if waiting.len() >= room => return Err(Error::overloaded()),
            Rank::May(_) | Rank::Must(_) => {}
        }
        waiting.push(noted);
        drop(waiting);
        self.more.notify_one();
        Ok(())
    }

    fn rank(&self, cx: &Cx, action: Action, allowed: bool) -> Option<Rank> {
        // Whoever came in asks for something next.
        if action == Action::DeskEnter && allowed {
            return None;
        }
        if cx.rights.roles.iter().any(|role| role.is_operator()) {
            return Some(Rank::Must(WAITING_MAX));
        }
        if !allowed {
            return Some(Rank::Must(WAITING_MAX / 4 * 3));
        }
        let is_sampled = || {
            self.reads
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(READS_SAMPLED)
        };
        (!is_read(action) || is_sampled()).then_some(Rank::May(WAITING_MAX / 2))
    }

    /// Whether nobody was told of this reader in this window yet; from now on somebody was.
    pub(crate) fn is_news(&self, reader: UserId, window: Timestamp) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(reader, window) != Some(window)
    }

    /// Returns when something waits.
    pub(crate) async fn wait(&self) {
        loop {
            let more = self.more.notified();
            if !self.first(1).is_empty() {
                return;
            }
            more.await;
        }
    }

    /// The first that wait; they go on waiting until they are [`Self::written`].
    pub(crate) fn first(&self, count: usize) -> Vec<Noted> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.iter().take(count).cloned().collect()
    }

    /// The first so many are written.
    pub(crate) fn written(&self, count: usize) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.min(waiting.len());
        waiting.drain(..count);
    }
}

#[cfg(test)]
mod tests {
    use strongroom_domain::principal::Origin;

    use super::*;

    fn cx(role: Role) -> Cx {
        let caller = Caller {
            principal: Principal::User(UserId::from_bytes([1; 16])),
            session: None,
            origin: Origin::Api,
        };
        let rights = Rights {
            roles: vec![role],
            ..Rights::default()
        };
        let request = RequestId::from_bytes([2; 16]);
        Cx::new(
            caller,
            Arc::new(rights),
            Assurance::Aal2,
            request,
            Timestamp::from_micros(0),
            1,
        )
    }

    #[test]
    fn what_finds_no_room_is_not_decided_and_who_knocks_all_day_keeps_no_operator_out() {
        let (log, customer, teller) = (DecisionLog::default(), cx(Role::Customer), cx(Role::Teller));
        let note = |cx: &Cx, action, allowed: bool| {
            let decided = if allowed { Ok(()) } else { Err(&None) };
            log.note(cx, action, Resource::Bank, About::default(), decided)
        };
        let waiting = || log.first(usize::MAX).len();
        for _ in 0..WAITING_MAX {
            assert!(note(&customer, Action::TransferCreate, true).is_ok());
        }
        assert_eq!(waiting(), WAITING_MAX / 2);
        let refused = (0..WAITING_MAX)
            .filter(|_| note(&customer, Action::TransferCreate, false).is_err())
            .count();
        assert_eq!(waiting(), WAITING_MAX / 4 * 3);
        assert_eq!(refused, WAITING_MAX - WAITING_MAX / 4);
        for _ in 0..WAITING_MAX / 4 {
            assert!(note(&teller, Action::AccountRead, true).is_ok());
        }
        assert_eq!(
            note(&teller, Action::AccountRead, true).unwrap_err().code,
            "overloaded"
        );
        log.written(1);
        assert!(note(&teller, Action::AccountRead, true).is_ok());
        assert!(note(&teller, Action::AccountRead, true).is_err());
    }

    #[test]
    fn customers_reads_are_sampled_and_operators_are_noted_in_full() {
        let (log, customer, teller) = (DecisionLog::default(), cx(Role::Customer), cx(Role::Support));
        for _ in 0..READS_SAMPLED * 2 {
            for cx in [&customer, &teller] {
                let noted = log.note(cx, Action::AccountRead, Resource::Bank, About::default(), Ok(()));
                assert!(noted.is_ok());
            }
        }
        let of = |role| {
            let all = log.first(usize::MAX);
            all.iter().filter(|noted| noted.rights.has(role)).count()
        };
        assert_eq!((of(Role::Customer), of(Role::Support)), (2, 128));
    }
}
