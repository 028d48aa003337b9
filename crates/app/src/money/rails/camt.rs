//! Statements of the bank's own bank: ISO 20022 camt.053, as far as money is concerned.
//!
//! Read as a stream with bounds on bytes, depth, entries and text. A document type is refused, and so is every entity
//! beyond the five of XML and character references: nothing is fetched and nothing grows. An entry that stands for
//! several transactions is taken apart where these add up to it; what is not understood is given back as it stands, for
//! people.

use quick_xml::{Reader, events::Event};
use strongroom_domain::{
    iban::Iban,
    money::{AMOUNT_MAX, Amount, Currency},
    rail::Direction,
    time::Date,
};

/// Longest file, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most entries of a file.
pub const ENTRIES_MAX: usize = 10_000;
/// Most statements of a file.
const STATEMENTS_MAX: usize = 100;
/// Deepest nesting of elements.
const DEPTH_MAX: usize = 32;
/// Longest text of an element, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;
/// Longest name of a message or a reference, in characters (Max35Text), with room for banks that take more.
const REFERENCE_CHARS_MAX: usize = 64;

/// Why a document is no statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// More than is read.
    #[error("it is larger than a statement may be")]
    TooLarge,
    /// A document type or an entity of its own.
    #[error("it brings a document type or entities")]
    Entities,
    /// Not XML, or not a statement, or only the beginning of one.
    #[error("it is no camt.053 statement")]
    Malformed,
    /// The statement of another account.
    #[error("it is about another account or currency")]
    NotOurs,
}

/// One booked entry, or one transaction of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The other bank's name of it: within the account it is unique.
    pub reference: String,
    /// Which way.
    pub direction: Direction,
    /// Whether it takes back an earlier entry, or is a return.
    pub back: bool,
    /// How much.
    pub amount: Amount,
    /// The day it counts for.
    pub value_date: Option<Date>,
    /// The name that we gave a payment, where the entry is about one.
    pub end_to_end: Option<String>,
    /// The account that is credited.
    pub creditor: Option<Iban>,
    /// Who sends, as the entry says.
    pub name: Option<String>,
    /// What the sender says.
    pub remittance: Option<String>,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The message's own name.
    pub message: String,
    /// The bank's account at its own bank.
    pub account: String,
    /// Of which currency all of it is.
    pub currency: Currency,
    /// The balance before, in minor units, positive where the bank has money there.
    pub opening: Option<i64>,
    /// The balance after.
    pub closing: Option<i64>,
    /// The day of the balance after.
    pub day: Option<Date>,
    /// What was booked, in the order of the document.
    pub entries: Vec<Entry>,
}

/// What an entry says of one transaction.
#[derive(Debug, Clone, Default)]
struct Details {
    reference: Option<String>,
    amount: Option<(Amount, Currency)>,
    returned: bool,
    end_to_end: Option<String>,
    creditor: Option<Iban>,
    name: Option<String>,
    remittance: Option<String>,
}

#[derive(Debug, Default)]
struct OpenEntry {
    reference: Option<String>,
    direction: Option<Direction>,
    reversal: bool,
    booked: bool,
    amount: Option<(Amount, Currency)>,
    value_date: Option<Date>,
    details: Vec<Details>,
}

#[derive(Debug, Default)]
struct OpenBalance {
    code: String,
    minor: Option<(i64, Currency)>,
    direction: Option<Direction>,
    day: Option<Date>,
}

#[derive(Debug, Default)]
struct OpenStatement {
    account: Option<String>,
    currency: Option<Currency>,
    opening: Option<i64>,
    closing: Option<i64>,
    day: Option<Date>,
    entries: Vec<Entry>,
}

#[derive(Debug, Default)]
struct Document {
    path: Vec<String>,
    content: String,
    currency: Option<String>,
    message: Option<String>,
    statements: Vec<OpenStatement>,
    entry: OpenEntry,
    balance: OpenBalance,
    entries: usize,
}

/// Reads the statements of a file.
///
/// # Errors
/// [`StatementError`].
pub fn read(bytes: &[u8]) -> Result<Vec<Statement>, StatementError> {
    if bytes.len() > STATEMENT_BYTES_MAX {
        return Err(StatementError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| StatementError::Malformed)?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut document = Document::default();
    loop {
        match reader.read_event().map_err(|_| StatementError::Malformed)? {
            Event::Start(start) => {
                let currency = start
                    .try_get_attribute("Ccy")
                    .map_err(|_| StatementError::Malformed)?
                    .map(|found| found.value.into_owned());
                document.start(start.local_name().as_ref(), currency)?;
            }
            Event::Text(part) => document.push(&part.xml10_content())?,
            Event::CData(part) => document.push(&part.xml10_content())?,
            Event::GeneralRef(entity) => {
                let letter = entity.resolve_char_ref().map_err(|_| StatementError::Malformed)?;
                let known = match (letter, &*entity) {
                    (Some(letter), _) => letter,
                    (None, "amp") => '&',
                    (None, "lt") => '<',
                    (None, "gt") => '>',
                    (None, "quot") => '"',
                    (None, "apos") => '\'',
                    _ => return Err(StatementError::Entities),
                };
                document.push(known.encode_utf8(&mut [0; 4]))?;
            }
            Event::End(_) => document.end()?,
            Event::DocType(_) => return Err(StatementError::Entities),
            Event::Eof => break,
            Event::Empty(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
    document.finish()
}

impl Document {
    fn start(&mut self, name: &str, currency: Option<String>) -> Result<(), StatementError> {
        if self.path.len() >= DEPTH_MAX {
            return Err(StatementError::TooLarge);
        }
        let expected = match self.path.len() {
            0 => Some("Document"),
            1 => Some("BkToCstmrStmt"),
            _ => None,
        };
        if expected.is_some_and(|expected| expected != name) {
            return Err(StatementError::Malformed);
        }
        self.content.clear();
        self.currency = currency;
        self.path.push(name.to_owned());
        match self.names().as_slice() {
            ["Document", "BkToCstmrStmt", "Stmt"] => {
                if self.statements.len() >= STATEMENTS_MAX {
                    return Err(StatementError::TooLarge);
                }
                self.statements.push(OpenStatement::default());
            }
            ["Document", "BkToCstmrStmt", "Stmt", "Ntry"] => {
                self.entries = self.entries.saturating_add(1);
                self.entry = OpenEntry::default();
            }
            ["Document", "BkToCstmrStmt", "Stmt", "Bal"] => self.balance = OpenBalance::default(),
            [.., "NtryDtls", "TxDtls"] => {
                self.entries = self.entries.saturating_add(1);
                self.entry.details.push(Details::default());
            }
            _ => {}
        }
        if self.entries > ENTRIES_MAX.saturating_mul(2) {
            return Err(StatementError::TooLarge);
        }
        Ok(())
    }

    fn names(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    fn push(&mut self, part: &str) -> Result<(), StatementError> {
        if self.content.len().saturating_add(part.len()) > TEXT_BYTES_MAX {
            return Err(StatementError::TooLarge);
        }
        self.content.push_str(part);
        Ok(())
    }

    fn end(&mut self) -> Result<(), StatementError> {
        let path = std::mem::take(&mut self.path);
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let content = std::mem::take(&mut self.content);
        let value = content.trim();
        match names.as_slice() {
            ["Document", "BkToCstmrStmt", "GrpHdr", "MsgId"] => self.message = Some(reference(value)?),
            ["Document", "BkToCstmrStmt", "Stmt", rest @ ..] => self.end_of_statement(rest, value)?,
            _ => {}
        }
        self.path = path;
        self.path.pop();
        Ok(())
    }

    fn end_of_statement(&mut self, names: &[&str], value: &str) -> Result<(), StatementError> {
        let attribute = self.currency.as_deref();
        let statement = self.statements.last_mut().ok_or(StatementError::Malformed)?;
        match names {
            ["Acct", "Id", "IBAN"] => statement.account = Some(value.to_owned()),
            ["Acct", "Ccy"] => statement.currency = Currency::parse(value).ok(),
            ["Bal", "Tp", "CdOrPrtry", "Cd"] => value.clone_into(&mut self.balance.code),
            ["Bal", "Amt"] => self.balance.minor = minor_of(value, attribute),
            ["Bal", "CdtDbtInd"] => self.balance.direction = direction_of(value),
            ["Bal", "Dt", "Dt"] => self.balance.day = Date::parse(value).ok(),
            ["Bal"] => statement.take(&self.balance),
            ["Ntry"] => statement.close(std::mem::take(&mut self.entry))?,
            ["Ntry", "AcctSvcrRef"] => self.entry.reference = Some(reference(value)?),
            ["Ntry", "CdtDbtInd"] => self.entry.direction = direction_of(value),
            ["Ntry", "RvslInd"] => self.entry.reversal = value == "true" || value == "1",
            ["Ntry", "Sts", "Cd"] | ["Ntry", "Sts"] if !value.is_empty() => {
                self.entry.booked = value == "BOOK";
            }
            ["Ntry", "Amt"] => self.entry.amount = amount_of(value, attribute),
            ["Ntry", "ValDt", "Dt"] => self.entry.value_date = Date::parse(value).ok(),
            ["Ntry", "NtryDtls", "TxDtls", rest @ ..] => {
                if let Some(details) = self.entry.details.last_mut() {
                    details.take(rest, value, attribute)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Statement>, StatementError> {
        let message = self.message.ok_or(StatementError::Malformed)?;
        if !self.path.is_empty() || self.statements.is_empty() {
            return Err(StatementError::Malformed);
        }
        let statements = self.statements.into_iter();
        statements.map(|open| open.finish(&message)).collect()
    }
}

impl Details {
    fn take(&mut self, names: &[&str], value: &str, currency: Option<&str>) -> Result<(), StatementError> {
        match names {
            ["Refs", "AcctSvcrRef"] => self.reference = Some(reference(value)?),
            ["Refs", "EndToEndId"] => self.end_to_end = Some(value.to_owned()),
            ["Amt"] | ["AmtDtls", "TxAmt", "Amt"] => self.amount = amount_of(value, currency),
            ["RtrInf"] => self.returned = true,
            ["RltdPties", "CdtrAcct", "Id", "IBAN"] => self.creditor = Iban::parse(value).ok(),
            ["RltdPties", "Dbtr", "Nm"] | ["RltdPties", "Dbtr", "Pty", "Nm"] => {
                self.name = Some(value.to_owned());
            }
            ["RmtInf", "Ustrd"] => {
                let text = self.remittance.get_or_insert_default();
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(value);
                if text.len() > TEXT_BYTES_MAX {
                    return Err(StatementError::TooLarge);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl OpenStatement {
    fn take(&mut self, balance: &OpenBalance) {
        let signed = balance.minor.zip(balance.direction);
        let signed = signed.map(|((minor, currency), direction)| match direction {
            Direction::Credit => (minor, currency),
            Direction::Debit => (minor.saturating_neg(), currency),
        });
        let Some((minor, currency)) = signed else { return };
        self.currency = self.currency.or(Some(currency));
        // Booked opening and closing balances; what is only available or announced is another matter.
        match balance.code.as_str() {
            "OPBD" | "PRCD" => self.opening = self.opening.or(Some(minor)),
            "CLBD" => {
                self.closing = Some(minor);
                self.day = balance.day;
            }
            _ => {}
        }
    }

    /// What is only announced is no entry. One without a name of its own could not be booked once.
    fn close(&mut self, entry: OpenEntry) -> Result<(), StatementError> {
        if !entry.booked {
            return Ok(());
        }
        let reference = entry.reference.ok_or(StatementError::Malformed)?;
        let direction = entry.direction.ok_or(StatementError::Malformed)?;
        let (amount, currency) = entry.amount.ok_or(StatementError::Malformed)?;
        if *self.currency.get_or_insert(currency) != currency {
            return Err(StatementError::NotOurs);
        }
        let alone = entry.details.len() <= 1;
        let apart = apart(&entry.details, amount, currency);
        if !alone && let Some(amounts) = apart {
            for (number, (details, amount)) in entry.details.into_iter().zip(amounts).enumerate() {
                let part = details.reference.clone().unwrap_or_default();
                self.entries.push(Entry {
                    reference: format!("{reference}/{number}/{part}"),
                    direction,
                    back: entry.reversal || details.returned,
                    amount,
                    value_date: entry.value_date,
                    end_to_end: details.end_to_end,
                    creditor: details.creditor,
                    name: details.name,
                    remittance: details.remittance,
                });
            }
        } else {
            let details = entry.details.into_iter().next().filter(|_| alone);
            let details = details.unwrap_or_default();
            self.entries.push(Entry {
                reference,
                direction,
                back: entry.reversal || details.returned,
                amount,
                value_date: entry.value_date,
                end_to_end: details.end_to_end,
                creditor: details.creditor,
                name: details.name,
                remittance: details.remittance,
            });
        }
        if self.entries.len() > ENTRIES_MAX {
            return Err(StatementError::TooLarge);
        }
        Ok(())
    }

    fn finish(self, message: &str) -> Result<Statement, StatementError> {
        Ok(Statement {
            message: message.to_owned(),
            account: self.account.ok_or(StatementError::Malformed)?,
            currency: self.currency.ok_or(StatementError::Malformed)?,
            opening: self.opening,
            closing: self.closing,
            day: self.day,
            entries: self.entries,
        })
    }
}

/// The amounts of an entry's transactions, where all have one in its currency and they add up to it.
fn apart(details: &[Details], amount: Amount, currency: Currency) -> Option<Vec<Amount>> {
    let amounts: Option<Vec<Amount>> = details
        .iter()
        .map(|details| {
            details
                .amount
                .filter(|part| part.1 == currency)
                .map(|part| part.0)
        })
        .collect();
    let amounts = amounts?;
    let total = amounts
        .iter()
        .try_fold(0_i64, |sum, part| sum.checked_add(part.minor()))?;
    (total == amount.minor()).then_some(amounts)
}

fn reference(text: &str) -> Result<String, StatementError> {
    if text.is_empty() || text.chars().count() > REFERENCE_CHARS_MAX {
        return Err(StatementError::Malformed);
    }
    Ok(text.to_owned())
}

fn direction_of(text: &str) -> Option<Direction> {
    match text {
        "CRDT" => Some(Direction::Credit),
        "DBIT" => Some(Direction::Debit),
        _ => None,
    }
}

/// `12.50` of a currency with two digits, 0 included; nothing is rounded.
fn minor_of(text: &str, currency: Option<&str>) -> Option<(i64, Currency)> {
    let currency = Currency::parse(currency?).ok()?;
    let digits = usize::from(currency.exponent());
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (part, rest) = part.split_at_checked(digits).unwrap_or((part, ""));
    if whole.is_empty() || !plain(whole) || !plain(part) || rest.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let minor: i64 = format!("{whole}{part:0<digits$}").parse().ok()?;
    Some((minor, currency)).filter(|_| minor <= AMOUNT_MAX)
}

fn amount_of(text: &str, currency: Option<&str>) -> Option<(Amount, Currency)> {
    let (minor, currency) = minor_of(text, currency)?;
    Amount::new(minor).ok().map(|amount| (amount, currency))
}

#[cfg(test)]
mod tests;
