//! Reads the transactions of the PKDD'99 financial data set: one line each, in posting order, with the balance that the
//! bank itself booked after it.

use std::{collections::BTreeMap, fs::File, io::BufRead, io::BufReader, path::Path};

/// The currency of the data set.
pub(super) const CURRENCY: &str = "CZK";
const HEADER: &str =
    "trans_id,account_id,date,direction,operation,amount,balance_after,purpose,partner_bank,partner_account";
/// Most lines of a file.
const LINES_MAX: usize = 5_000_000;

/// One movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Movement {
    /// The bank's number of it.
    pub(super) number: String,
    /// `YYYY-MM-DD`.
    pub(super) date: String,
    /// Positive for a credit, minor units.
    pub(super) amount: i64,
    /// What the bank booked after it, minor units.
    pub(super) balance_after: i64,
    /// What it was.
    pub(super) reference: String,
}

/// An account's movements in order.
pub(super) type History = BTreeMap<u64, Vec<Movement>>;

/// Reads a file.
///
/// # Errors
/// With the number of the line that is not as expected.
pub(super) fn read(path: &Path) -> Result<History, Box<dyn std::error::Error + Send + Sync>> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut lines = BufReader::new(file).lines();
    if lines.next().transpose()?.as_deref().map(str::trim_end) != Some(HEADER) {
        return Err(format!("{}: the first line is not {HEADER}", path.display()).into());
    }
    let mut history = History::new();
    for (number, line) in (2..).zip(lines) {
        if number > LINES_MAX {
            return Err(format!("more than {LINES_MAX} lines").into());
        }
        let (account, movement) = parse(&line?).ok_or_else(|| format!("line {number} cannot be read"))?;
        history.entry(account).or_default().push(movement);
    }
    Ok(history)
}

fn parse(line: &str) -> Option<(u64, Movement)> {
    let fields: Vec<&str> = line.trim_end().split(',').collect();
    let [
        number,
        account,
        date,
        direction,
        operation,
        amount,
        balance,
        purpose,
        bank,
        partner,
    ] = fields.as_slice()
    else {
        return None;
    };
    let sign = match *direction {
        "credit" => 1,
        "debit" => -1,
        _ => return None,
    };
    let words = [*operation, *purpose, *bank, *partner];
    let reference = words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let movement = Movement {
        number: (*number).to_owned(),
        date: (*date).to_owned(),
        amount: sign * minor(amount)?,
        balance_after: minor(balance)?,
        reference,
    };
    Some((account.parse().ok()?, movement))
}

/// Minor units of a decimal text with at most two places. No floats near money.
fn minor(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty()
        || fraction.len() > 2
        || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let value: i64 = format!("{whole}{fraction:0<2}").parse().ok()?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_minor_units_without_a_float() {
        for (text, value) in [
            ("700.00", 70_000),
            ("0.1", 10),
            ("-12.34", -1_234),
            ("5", 500),
            ("0.07", 7),
        ] {
            assert_eq!(minor(text), Some(value), "{text}");
        }
        for bad in ["", ".5", "1.234", "1e3", "1,5", "--1", "nan", "1.-2"] {
            assert_eq!(minor(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_line_is_read_with_its_sign_and_its_words() {
        let line = "695247,2378,1993-01-01,debit,cash_withdrawal,700.00,-1.00,fee,,";
        let (account, movement) = parse(line).unwrap();
        assert_eq!(
            (account, movement.amount, movement.balance_after),
            (2378, -70_000, -100)
        );
        assert_eq!(movement.reference, "cash_withdrawal fee");
        assert!(parse("1,2,3").is_none());
        assert!(parse("1,2,1993-01-01,sideways,x,1.00,1.00,,,").is_none());
    }
}
