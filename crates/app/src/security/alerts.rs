//! Alerts: what people are told of, within seconds.
//!
//! Events are counted by the rules of the [catalogue](super::catalogue), in memory, each node those that it sees. A
//! rule that is met becomes a row, one for each span of time whichever nodes notice it, and mails to the administrators
//! in the same commit. A job tells each row on the log and, where one is named, to a webhook, until that has taken it:
//! at least once, also after a kill. What is done on the command line makes its row in its own commit, and the server
//! tells it.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use strongroom_crypto::{SecretString, random, webhook_signature};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{AlertId, Id, RequestId, UserId},
    principal::Role,
    time::Timestamp,
};
use strongroom_store::{
    Scope, WriteTx,
    identity::{AlertRow, SWEEP_ROWS_MAX},
};

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::external::{Fetch, Outgoing},
    mail::MailKind,
    security::catalogue::{AlertRule, SecurityEventKind},
};

/// Longest time between two looks: another process may have left something.
pub(crate) const ALERT_WAIT: Duration = Duration::from_secs(2);
/// Alerts that wait for their row.
const RAISED_MAX: usize = 64;
/// Alerts that are told in one look.
const TOLD_ROWS_MAX: u32 = 20;
/// Wait after the first try that failed, in seconds; twice as long after each further one.
const RETRY_SECS: i64 = 2;
/// Longest wait between two tries, in seconds.
const RETRY_SECS_MAX: i64 = 300;
/// Tries before an alert is told to the log alone: about two days.
const ATTEMPTS_MAX: u32 = 600;
/// How long alerts are kept, in seconds.
const KEPT_SECS: i64 = 400 * 24 * 60 * 60;
/// Administrators who get a mail.
const MAILED_MAX: u32 = 100;
/// Nothing in particular.
const NOTHING: [u8; 16] = [0; 16];

/// Where alerts go besides the log and mails.
pub struct AlertWebhook {
    /// Who carries requests.
    pub fetch: Arc<dyn Fetch>,
    /// Where to.
    pub url: String,
    /// What proves that it is us.
    pub secret: SecretString,
}

impl fmt::Debug for AlertWebhook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("AlertWebhook([redacted])")
    }
}

/// A rule that was met and has no row yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raised {
    pub(crate) rule: AlertRule,
    pub(crate) about: Option<[u8; 16]>,
    pub(crate) number: u64,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
    pub(crate) request: Option<RequestId>,
}

impl Raised {
    fn row(&self) -> AlertRow {
        let quiet = self.rule.quiet_secs().saturating_mul(1_000_000);
        AlertRow {
            id: Id::from_bytes(random::uuid_v7(self.last_at.micros())),
            rule: self.rule.name().to_owned(),
            about: self.about.unwrap_or(NOTHING),
            window_at: Timestamp::from_micros(self.last_at.micros().div_euclid(quiet) * quiet),
            number: self.number,
            first_at: self.first_at,
            last_at: self.last_at,
            request: self.request,
            told_at: None,
            attempts: 0,
            acknowledged_at: None,
            acknowledged_by: None,
        }
    }
}

/// What the rules have counted.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    seen: HashMap<AlertRule, Seen>,
    raised: Vec<Raised>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The last moments, as many as make an alert.
    at: VecDeque<Timestamp>,
    said_at: Option<Timestamp>,
}

impl Seen {
    /// Counts one; first and last of those that make an alert, if they do now.
    fn count(&mut self, rule: AlertRule, now: Timestamp, always: bool) -> Option<(Timestamp, Timestamp)> {
        let (threshold, window) = rule.threshold();
        let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
        self.at.push_back(now);
        while self.at.len() > threshold {
            self.at.pop_front();
        }
        let first = *self.at.front()?;
        let is_met = self.at.len() == threshold && now.seconds_since(first) <= window;
        let is_quiet = self
            .said_at
            .is_some_and(|said| now.seconds_since(said) < rule.quiet_secs());
        if !is_met || (is_quiet && !always) {
            return None;
        }
        self.said_at = Some(now);
        Some((first, now))
    }
}

impl Alarm {
    fn with<T>(&self, work: impl FnOnce(&mut Counts) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts an event; whether somebody is to be told.
    pub(crate) fn count(
        &self,
        kind: SecurityEventKind,
        now: Timestamp,
        about: Option<[u8; 16]>,
        request: Option<RequestId>,
    ) -> bool {
        self.with(|counts| {
            let mut any = false;
            for rule in AlertRule::ALL.iter().filter(|rule| rule.kinds().contains(&kind)) {
                let seen = counts.seen.entry(*rule).or_default();
                let Some((first_at, last_at)) = seen.count(*rule, now, about.is_some()) else {
                    continue;
                };
                if counts.raised.len() >= RAISED_MAX {
                    metrics::counter!("strongroom_alerts_lost_total").increment(1);
                    continue;
                }
                any = true;
                counts.raised.push(Raised {
                    rule: *rule,
                    about,
                    number: u64::from(rule.threshold().0),
                    first_at,
                    last_at,
                    request,
                });
            }
            any
        })
    }

    fn take(&self) -> Vec<Raised> {
        self.with(|counts| std::mem::take(&mut counts.raised))
    }

    fn give_back(&self, raised: Vec<Raised>) {
        self.with(|counts| {
            counts.raised.extend(raised);
            counts.raised.truncate(RAISED_MAX);
        });
    }
}

/// An alert as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What is kept of it.
    pub row: AlertRow,
    /// The rule, where this version knows it.
    pub rule: Option<AlertRule>,
}

impl From<AlertRow> for Alert {
    fn from(row: AlertRow) -> Self {
        Self {
            rule: AlertRule::parse(&row.rule),
            row,
        }
    }
}

impl Bank {
    /// Says where alerts go besides the log and mails. Once, before the jobs run.
    pub fn alert_by(&self, webhook: AlertWebhook) {
        // A second one changes nothing.
        let _ = self.security.webhook.set(webhook);
    }

    /// Raises the alerts of an event in the commit of what made it.
    pub(crate) async fn raise_within(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        kind: SecurityEventKind,
        about: [u8; 16],
    ) -> Result<(), Error> {
        for rule in AlertRule::ALL.iter().filter(|rule| rule.kinds().contains(&kind)) {
            let raised = Raised {
                rule: *rule,
                about: Some(about),
                number: 1,
                first_at: cx.now(),
                last_at: cx.now(),
                request: Some(cx.request),
            };
            self.write_alert(tx, &raised).await?;
        }
        Ok(())
    }

    async fn write_alert(&self, tx: &mut WriteTx, raised: &Raised) -> Result<bool, Error> {
        let row = raised.row();
        if !tx.add_alert(&row).await? {
            return Ok(false);
        }
        if raised.rule.is_mailed() {
            for admin in self.store.holders(Role::Admin, MAILED_MAX).await? {
                self.mail_alert(tx, admin, raised).await?;
            }
        }
        Ok(true)
    }

    async fn mail_alert(&self, tx: &mut WriteTx, admin: UserId, raised: &Raised) -> Result<(), Error> {
        let at = jiff::Timestamp::from_microsecond(raised.last_at.micros()).unwrap_or_default();
        let detail = format!(
            "{} It was noticed on {} UTC. The rule is {}, severity {}.",
            raised.rule.says(),
            at.strftime("%-d %B %Y at %H:%M:%S"),
            raised.rule.name(),
            raised.rule.severity().name()
        );
        self.mail_detail(tx, admin, MailKind::SecurityAlert, detail).await
    }

    /// Writes what the rules raised; how many alerts are new.
    ///
    /// # Errors
    /// When the database does not answer; the next call writes the same again.
    pub async fn write_alerts(&self) -> Result<usize, Error> {
        let raised = self.security.alarm.take();
        if raised.is_empty() {
            return Ok(0);
        }
        let written = self.try_write_alerts(&raised).await;
        if written.is_err() {
            self.security.alarm.give_back(raised);
        }
        written
    }

    async fn try_write_alerts(&self, raised: &[Raised]) -> Result<usize, Error> {
        let mut tx = self.store.write(Scope::System).await?;
        let mut new = 0;
        for each in raised {
            new += usize::from(self.write_alert(&mut tx, each).await?);
        }
        tx.commit().await?;
        if new > 0 {
            self.identity.mail_waits.notify_one();
        }
        Ok(new)
    }

    /// Tells what is to be told: on the log, and to the webhook where there is one.
    ///
    /// # Errors
    /// When the database does not answer. A webhook that does not take an alert is no error: it waits for its next try.
    pub async fn tell_alerts(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let waiting = self.store.untold_alerts(now, TOLD_ROWS_MAX).await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let mut mine = Vec::new();
        for row in waiting {
            let wait = RETRY_SECS
                .checked_shl(row.attempts.min(16))
                .unwrap_or(RETRY_SECS_MAX);
            let next = now.plus_seconds(wait.min(RETRY_SECS_MAX));
            let tx = self.store.write(Scope::System).await?;
            let is_mine = tx.claim_alert(row.id, row.attempts, next).await?;
            tx.commit().await?;
            if is_mine {
                mine.push(Alert::from(row));
            }
        }
        // Those at the console first: a webhook that hangs must not hold them up.
        for alert in mine.iter().filter(|alert| alert.row.attempts == 0) {
            say(alert);
        }
        let told = join_all(mine.iter().map(|alert| self.tell_webhook(alert))).await;
        for (alert, told) in mine.iter().zip(&told) {
            if *told || alert.row.attempts >= ATTEMPTS_MAX {
                let tx = self.store.write(Scope::System).await?;
                tx.told_alert(alert.row.id, self.clock.now()).await?;
                tx.commit().await?;
            }
        }
        Ok(told.into_iter().filter(|told| *told).count())
    }

    async fn tell_webhook(&self, alert: &Alert) -> bool {
        let Some(webhook) = self.security.webhook.get() else {
            return true;
        };
        let (id, body) = (alert.row.id.to_string(), body(alert));
        let at = self.clock.now().micros().div_euclid(1_000_000);
        let signature = webhook_signature(&webhook.secret, &id, at, &body);
        let request = Outgoing {
            post: true,
            url: webhook.url.clone(),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("webhook-id".to_owned(), id),
                ("webhook-timestamp".to_owned(), at.to_string()),
                ("webhook-signature".to_owned(), signature),
            ],
            body,
        };
        match webhook.fetch.fetch(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => true,
            Ok(answer) => {
                tracing::warn!(alert = %alert.row.id, status = answer.status, "the webhook did not take an alert");
                metrics::counter!("strongroom_alert_deliveries_failed_total").increment(1);
                false
            }
            Err(error) => {
                tracing::warn!(alert = %alert.row.id, %error, "the webhook did not take an alert");
                metrics::counter!("strongroom_alert_deliveries_failed_total").increment(1);
                false
            }
        }
    }

    /// Alerts, newest first; those alone that nobody took note of, if `open`.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn alerts(
        &self,
        cx: &Cx,
        open: bool,
        before: Option<AlertId>,
        limit: u32,
    ) -> Result<Vec<Alert>, Error> {
        authorize(cx, Action::SecurityEventRead, Resource::Bank)?;
        let found = self.store.alerts(open, before, limit).await?;
        Ok(found.into_iter().map(Alert::from).collect())
    }

    /// The caller takes note of an alert. Whoever does so again, or later, changes nothing.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn acknowledge_alert(self: &Arc<Self>, cx: &Cx, alert: AlertId) -> Result<Alert, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::AlertAcknowledge, Resource::Bank)?;
            let person = cx.person()?;
            bank.store.alert(alert).await?.ok_or_else(Error::not_found)?;
            let mut tx = bank.store.write(Scope::Operator).await?;
            if tx.acknowledge_alert(alert, person, cx.now()).await? {
                let entry = Entry {
                    object: Object::Other("alert", *alert.as_bytes()),
                    outcome: "ok",
                    details: Details::none(),
                };
                bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            }
            tx.commit().await?;
            let row = bank.store.alert(alert).await?.ok_or_else(Error::not_found)?;
            Ok(Alert::from(row))
        })
        .await
    }

    /// Forgets alerts whose time is over. A job calls it.
    pub(crate) async fn sweep_alerts(&self) -> Result<(), Error> {
        let before = self.clock.now().plus_seconds(-KEPT_SECS);
        let tx = self.store.write(Scope::System).await?;
        let forgotten = tx.forget_alerts(before).await?;
        debug_assert!(forgotten <= SWEEP_ROWS_MAX.unsigned_abs());
        Ok(tx.commit().await?)
    }
}

fn say(alert: &Alert) {
    let severity = alert.rule.map_or("high", |rule| rule.severity().name());
    metrics::counter!("strongroom_alerts_total", "rule" => alert.row.rule.clone()).increment(1);
    tracing::error!(
        target: "security",
        alert = alert.row.rule,
        alert_id = %alert.row.id,
        severity,
        count = alert.row.number,
        request_id = alert.row.request.map(|id| id.to_string()),
        "{}",
        alert.rule.map_or("An alert of another version.", AlertRule::says)
    );
}

/// What a webhook is told: ids and numbers, nothing of a person.
fn body(alert: &Alert) -> Vec<u8> {
    let row = &alert.row;
    serde_json::json!({
        "type": "security.alert",
        "id": row.id.to_string(),
        "rule": row.rule,
        "severity": alert.rule.map_or("high", |rule| rule.severity().name()),
        "says": alert.rule.map_or("An alert of another version.", AlertRule::says),
        "count": row.number,
        "first_at": row.first_at.to_string(),
        "last_at": row.last_at.to_string(),
        "request_id": row.request.map(|id| id.to_string()),
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).plus_seconds(seconds)
    }

    fn raised_of(alarm: &Alarm, kind: SecurityEventKind, moments: impl IntoIterator<Item = i64>) -> usize {
        for seconds in moments {
            alarm.count(kind, at(seconds), None, None);
        }
        alarm.take().len()
    }

    #[test]
    fn so_many_in_a_window_are_one_alert_and_one_less_is_none() {
        let kind = SecurityEventKind::LoginFailed;
        assert_eq!(raised_of(&Alarm::default(), kind, 0..19), 0);
        assert_eq!(raised_of(&Alarm::default(), kind, 0..20), 1);
        assert_eq!(
            raised_of(&Alarm::default(), kind, (0..60).map(|n| n * 20)),
            0,
            "too slow for one window"
        );
    }

    #[test]
    fn kinds_of_one_rule_are_counted_together() {
        let alarm = Alarm::default();
        for number in 0..20 {
            let kind = if number % 2 == 0 {
                SecurityEventKind::LoginFailed
            } else {
                SecurityEventKind::FactorFailed
            };
            alarm.count(kind, at(0), None, None);
        }
        assert_eq!(alarm.take().len(), 1);
    }

    #[test]
    fn what_goes_on_is_said_again_when_the_quiet_is_over_and_not_before() {
        let alarm = Alarm::default();
        let kind = SecurityEventKind::RefreshReused;
        assert_eq!(raised_of(&alarm, kind, [0, 1, 2, 899]), 1);
        assert_eq!(raised_of(&alarm, kind, [900]), 1);
    }

    #[test]
    fn different_things_are_told_apart_where_it_matters() {
        let alarm = Alarm::default();
        for number in 0..3_u8 {
            alarm.count(SecurityEventKind::OperatorForced, at(0), Some([number; 16]), None);
        }
        assert_eq!(alarm.take().len(), 3);
    }

    #[test]
    fn what_waits_is_bounded() {
        let alarm = Alarm::default();
        for number in 0..200_u8 {
            alarm.count(SecurityEventKind::OperatorForced, at(0), Some([number; 16]), None);
        }
        assert_eq!(alarm.take().len(), RAISED_MAX);
    }

    #[test]
    fn nodes_that_notice_the_same_name_the_same_span() {
        let raised = |seconds: i64| Raised {
            rule: AlertRule::FailedLogins,
            about: None,
            number: 20,
            first_at: at(0),
            last_at: at(seconds),
            request: None,
        };
        assert_eq!(raised(1).row().window_at, raised(2).row().window_at);
        assert_ne!(raised(1).row().window_at, raised(901).row().window_at);
    }
}
