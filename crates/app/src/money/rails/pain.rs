//! Files to the bank's own bank: ISO 20022 pain.001.001.09, a credit transfer for each payment, and each asked to be
//! booked by itself.

use std::io;

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use strongroom_domain::{id::PaymentId, money::Currency};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09";
/// Most payments of one file.
pub const FILE_PAYMENTS_MAX: u32 = 500;
/// Longest name, in characters (Max70Text of the SEPA rule book), and longest remittance text (Max140Text).
const NAME_CHARS_MAX: usize = 70;
const REMITTANCE_CHARS_MAX: usize = 140;

/// One payment as the file shows it.
#[derive(Clone)]
pub struct CreditTransfer {
    /// Its name from end to end.
    pub id: PaymentId,
    /// How much, minor units.
    pub minor: i64,
    /// Who is paid.
    pub name: String,
    /// The number of the account that is paid.
    pub number: String,
    /// What it is for.
    pub remittance: Option<String>,
}

/// A file.
#[derive(Clone)]
pub struct PaymentFile {
    /// The message's own name, at most 35 characters: nobody uses it twice.
    pub message: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The day on which it is to be carried out, `YYYY-MM-DD`.
    pub day: String,
    /// Of which currency all of it is.
    pub currency: Currency,
    /// Who pays: the bank's name and its account at its own bank.
    pub debtor: (String, String),
    /// What is paid.
    pub payments: Vec<CreditTransfer>,
}

impl PaymentFile {
    /// The control sum: decimal text of all amounts together; `None` where they do not add up to a number.
    fn sum(&self) -> Option<String> {
        let total = self
            .payments
            .iter()
            .try_fold(0_i64, |sum, payment| sum.checked_add(payment.minor))?;
        Some(decimal(total, self.currency))
    }

    /// The document.
    ///
    /// # Errors
    /// When the amounts do not add up to a number.
    pub fn write(&self) -> io::Result<Vec<u8>> {
        let sum = self
            .sum()
            .ok_or_else(|| io::Error::other("amounts that do not add up"))?;
        let count = self.payments.len().to_string();
        let mut writer = Writer::new(Vec::new());
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        writer
            .create_element("Document")
            .with_attribute(("xmlns", NAMESPACE))
            .write_inner_content(|writer| {
                writer
                    .create_element("CstmrCdtTrfInitn")
                    .write_inner_content(|writer| {
                        writer.create_element("GrpHdr").write_inner_content(|writer| {
                            text(writer, "MsgId", &self.message)?;
                            text(writer, "CreDtTm", &self.created_at)?;
                            text(writer, "NbOfTxs", &count)?;
                            text(writer, "CtrlSum", &sum)?;
                            writer
                                .create_element("InitgPty")
                                .write_inner_content(|writer| text(writer, "Nm", &self.debtor.0))?;
                            Ok(())
                        })?;
                        self.instruction(writer, &count, &sum)
                    })?;
                Ok(())
            })?;
        Ok(writer.into_inner())
    }

    fn instruction(&self, writer: &mut Writer<Vec<u8>>, count: &str, sum: &str) -> io::Result<()> {
        writer.create_element("PmtInf").write_inner_content(|writer| {
            text(writer, "PmtInfId", &self.message)?;
            text(writer, "PmtMtd", "TRF")?;
            text(writer, "BtchBookg", "false")?;
            text(writer, "NbOfTxs", count)?;
            text(writer, "CtrlSum", sum)?;
            writer
                .create_element("ReqdExctnDt")
                .write_inner_content(|writer| text(writer, "Dt", &self.day))?;
            writer
                .create_element("Dbtr")
                .write_inner_content(|writer| text(writer, "Nm", &self.debtor.0))?;
            iban(writer, "DbtrAcct", &self.debtor.1)?;
            writer.create_element("DbtrAgt").write_inner_content(|writer| {
                writer
                    .create_element("FinInstnId")
                    .write_inner_content(|writer| {
                        writer
                            .create_element("Othr")
                            .write_inner_content(|writer| text(writer, "Id", "NOTPROVIDED"))?;
                        Ok(())
                    })?;
                Ok(())
            })?;
            self.payments
                .iter()
                .try_for_each(|payment| self.transfer(writer, payment))
        })?;
        Ok(())
    }

    fn transfer(&self, writer: &mut Writer<Vec<u8>>, payment: &CreditTransfer) -> io::Result<()> {
        writer
            .create_element("CdtTrfTxInf")
            .write_inner_content(|writer| {
                writer
                    .create_element("PmtId")
                    .write_inner_content(|writer| text(writer, "EndToEndId", &payment.id.to_string()))?;
                writer.create_element("Amt").write_inner_content(|writer| {
                    writer
                        .create_element("InstdAmt")
                        .with_attribute(("Ccy", self.currency.code()))
                        .write_text_content(BytesText::new(&decimal(payment.minor, self.currency)))?;
                    Ok(())
                })?;
                let name: String = payment.name.chars().take(NAME_CHARS_MAX).collect();
                writer
                    .create_element("Cdtr")
                    .write_inner_content(|writer| text(writer, "Nm", &name))?;
                iban(writer, "CdtrAcct", &payment.number)?;
                if let Some(remittance) = &payment.remittance {
                    let remittance: String = remittance.chars().take(REMITTANCE_CHARS_MAX).collect();
                    writer
                        .create_element("RmtInf")
                        .write_inner_content(|writer| text(writer, "Ustrd", &remittance))?;
                }
                Ok(())
            })?;
        Ok(())
    }
}

fn text(writer: &mut Writer<Vec<u8>>, name: &str, value: &str) -> io::Result<()> {
    let value: String = value.chars().map(writable).collect();
    writer
        .create_element(name)
        .write_text_content(BytesText::new(&value))?;
    Ok(())
}

/// What XML 1.0 has no way to write (section 2.2) becomes a question mark.
const fn writable(letter: char) -> char {
    match letter {
        '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}' => {
            letter
        }
        _ => '?',
    }
}

fn iban(writer: &mut Writer<Vec<u8>>, name: &str, number: &str) -> io::Result<()> {
    writer.create_element(name).write_inner_content(|writer| {
        writer
            .create_element("Id")
            .write_inner_content(|writer| text(writer, "IBAN", number))?;
        Ok(())
    })?;
    Ok(())
}

/// Minor units as decimal text: `12.50`.
fn decimal(minor: i64, currency: Currency) -> String {
    let digits = usize::from(currency.exponent());
    let text = format!("{minor:0>width$}", width = digits.saturating_add(1));
    match text.split_at_checked(text.len().saturating_sub(digits)) {
        Some((whole, part)) if digits > 0 => format!("{whole}.{part}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payments: Vec<CreditTransfer>) -> PaymentFile {
        PaymentFile {
            message: "M1".to_owned(),
            created_at: "2026-11-20T12:00:00Z".to_owned(),
            day: "2026-11-20".to_owned(),
            currency: Currency::EUR,
            debtor: ("Bank & Sons".to_owned(), "DE02100100109307118603".to_owned()),
            payments,
        }
    }

    fn one(minor: i64, name: &str) -> CreditTransfer {
        CreditTransfer {
            id: PaymentId::from_bytes([7; 16]),
            minor,
            name: name.to_owned(),
            number: "FR1420041010050500013M02606".to_owned(),
            remittance: Some("<rent>".to_owned()),
        }
    }

    #[test]
    fn a_file_says_what_is_paid_to_whom_and_what_it_adds_up_to() {
        let file = file(vec![one(1_250, "Carla\u{1} <b>"), one(5, "Dan")]);
        let text = String::from_utf8(file.write().unwrap()).unwrap();
        for part in [
            "<MsgId>M1</MsgId>",
            "<NbOfTxs>2</NbOfTxs><CtrlSum>12.55</CtrlSum>",
            "<BtchBookg>false</BtchBookg>",
            "<InstdAmt Ccy=\"EUR\">12.50</InstdAmt>",
            "<InstdAmt Ccy=\"EUR\">0.05</InstdAmt>",
            "<Nm>Bank &amp; Sons</Nm>",
            "<Cdtr><Nm>Carla? &lt;b&gt;</Nm></Cdtr>",
            "<Ustrd>&lt;rent&gt;</Ustrd>",
            "<CdtrAcct><Id><IBAN>FR1420041010050500013M02606</IBAN></Id></CdtrAcct>",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(text.contains(&format!(
            "<EndToEndId>{}</EndToEndId>",
            PaymentId::from_bytes([7; 16])
        )));
    }

    #[test]
    fn names_are_cut_where_the_form_ends_and_sums_do_not_overflow() {
        let text = String::from_utf8(file(vec![one(1, &"ä".repeat(90))]).write().unwrap()).unwrap();
        assert!(text.contains(&format!("<Nm>{}</Nm>", "ä".repeat(NAME_CHARS_MAX))));
        assert!(file(vec![one(i64::MAX, "a"), one(1, "b")]).write().is_err());
        let yen = Currency::parse("JPY").unwrap();
        assert_eq!(
            (decimal(5, yen), decimal(5, Currency::EUR)),
            ("5".to_owned(), "0.05".to_owned())
        );
    }
}
