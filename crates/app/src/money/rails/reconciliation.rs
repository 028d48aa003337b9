//! Whether the bank's books and its own bank's agree.
//!
//! The clearing account is what the bank thinks it has there, less what is under way. Everything that a statement says
//! is booked, placed or not, so that after each statement both must say the same; where they do not, a statement is
//! missing or wrong.

use strongroom_domain::{account::SystemAccount, action::Action, money::Currency};
use strongroom_store::ledger::{RailSums, ReadStatement};

use crate::{
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
};

/// Statements that are compared with each other; older ones were, while they were new.
const STATEMENTS_COMPARED_MAX: u32 = 400;

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `difference`: the books do not say what the newest statement says; `gap`: a statement does not begin where the
    /// one before it ended; `entries`: a statement's entries do not lead from its first balance to its last.
    pub kind: &'static str,
    /// The message of the statement.
    pub message: String,
    /// What it should say, minor units.
    pub expected: i64,
    /// What it says.
    pub found: i64,
}

/// How the books stand against the statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// Of which currency all of it is.
    pub currency: Currency,
    /// What the bank's own bank should say by the books; `None` before the first statement with a balance.
    pub expected: Option<i64>,
    /// The newest statement with a balance.
    pub newest: Option<ReadStatement>,
    /// What the books say.
    pub sums: RailSums,
    /// What does not fit, in the order of the statements.
    pub differences: Vec<Difference>,
}

impl Bank {
    /// How the books stand against the statements.
    ///
    /// # Errors
    /// `forbidden` for others than tellers, compliance, auditors and administrators, `rail_not_configured`.
    pub async fn reconciliation(&self, cx: &Cx) -> Result<Reconciliation, Error> {
        authorize(cx, Action::RailRead, Resource::Bank)?;
        let currency = self.rail()?.currency;
        let statements = self
            .store
            .rail_statements(currency, STATEMENTS_COMPARED_MAX)
            .await?;
        let sums = self
            .store
            .rail_sums(
                currency,
                *SystemAccount::Clearing.id(currency).as_bytes(),
                *SystemAccount::Suspense.id(currency).as_bytes(),
            )
            .await?;
        Ok(compare(currency, statements, sums))
    }
}

/// The newest statements first, the first one ever last.
fn compare(currency: Currency, mut statements: Vec<ReadStatement>, sums: RailSums) -> Reconciliation {
    statements.reverse();
    let mut differences = Vec::new();
    for pair in statements.windows(2) {
        if let [earlier, later] = pair
            && let (Some(expected), Some(found)) = (earlier.closing, later.opening)
            && expected != found
        {
            differences.push(Difference {
                kind: "gap",
                message: later.message.clone(),
                expected,
                found,
            });
        }
    }
    for statement in &statements {
        if let (Some(opening), Some(found)) = (statement.opening, statement.closing) {
            let expected = opening.saturating_add(statement.moved);
            if expected != found {
                differences.push(Difference {
                    kind: "entries",
                    message: statement.message.clone(),
                    expected,
                    found,
                });
            }
        }
    }
    let seen = sums.under_way_total.saturating_sub(sums.clearing);
    let expected = statements
        .iter()
        .find_map(|first| first.opening)
        .map(|opening| opening.saturating_add(seen));
    let newest = statements.into_iter().rev().find(|last| last.closing.is_some());
    if let (Some(expected), Some(newest), Some(found)) = (
        expected,
        &newest,
        newest.as_ref().and_then(|newest| newest.closing),
    ) && expected != found
    {
        differences.push(Difference {
            kind: "difference",
            message: newest.message.clone(),
            expected,
            found,
        });
    }
    Reconciliation {
        currency,
        expected,
        newest,
        sums,
        differences,
    }
}

#[cfg(test)]
mod tests {
    use strongroom_domain::time::Timestamp;

    use super::*;

    fn statement(number: u8, opening: i64, closing: i64, moved: i64) -> ReadStatement {
        ReadStatement {
            id: [number; 16],
            digest: [number; 32],
            message: format!("M{number}"),
            currency: Currency::EUR,
            opening: Some(opening),
            closing: Some(closing),
            day: None,
            entries: 1,
            moved,
            read_at: Timestamp::default(),
        }
    }

    fn sums(clearing: i64, under_way_total: i64) -> RailSums {
        RailSums {
            clearing,
            suspense: 0,
            under_way: 0,
            under_way_total,
            open_items: 0,
        }
    }

    fn kinds(found: &Reconciliation) -> Vec<(&'static str, &str)> {
        let each = found.differences.iter();
        each.map(|one| (one.kind, one.message.as_str())).collect()
    }

    #[test]
    fn books_that_say_what_the_statements_say_have_no_difference() {
        // 500 came in (a debit of the clearing account), 200 were paid, of which the other bank has seen 120.
        let found = compare(
            Currency::EUR,
            vec![statement(2, 1_500, 1_380, -120), statement(1, 1_000, 1_500, 500)],
            sums(-500 + 200, 80),
        );
        assert_eq!((found.expected, kinds(&found)), (Some(1_380), vec![]));
    }

    #[test]
    fn a_missing_or_wrong_statement_is_told() {
        let found = compare(
            Currency::EUR,
            vec![statement(3, 1_400, 1_401, 2), statement(1, 1_000, 1_500, 500)],
            sums(-502, 0),
        );
        assert_eq!(
            kinds(&found),
            [("gap", "M3"), ("entries", "M3"), ("difference", "M3")]
        );
        let none = compare(Currency::EUR, vec![], sums(0, 0));
        assert_eq!((none.expected, none.differences.len()), (None, 0));
    }
}
