//! What is read of statements, and what is refused whole.

use proptest::prelude::*;

use super::*;

const HEAD: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    r#"<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>"#,
    "<GrpHdr><MsgId>M1</MsgId></GrpHdr>",
    "<Stmt><Acct><Id><IBAN>DE02100100109307118603</IBAN></Id><Ccy>EUR</Ccy></Acct>"
);
const TAIL: &str = "</Stmt></BkToCstmrStmt></Document>";

fn ntry(inner: &str) -> String {
    format!(
        r#"<Ntry><Amt Ccy="EUR">12.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><AcctSvcrRef>R1</AcctSvcrRef>{inner}</Ntry>"#
    )
}

fn statement(inner: &str) -> Result<Vec<Statement>, StatementError> {
    read(format!("{HEAD}{inner}{TAIL}").as_bytes())
}

fn only(inner: &str) -> Entry {
    let mut found = statement(&ntry(inner)).unwrap();
    assert_eq!((found.len(), found[0].entries.len()), (1, 1));
    found.remove(0).entries.remove(0)
}

#[test]
fn an_entry_is_read_with_whom_it_is_for_and_what_is_said() {
    let entry = only(
        "<ValDt><Dt>2026-11-20</Dt></ValDt><NtryDtls><TxDtls><Refs><EndToEndId>E1</EndToEndId></Refs>\
         <RltdPties><Dbtr><Pty><Nm>M&amp;M &#x41;</Nm></Pty></Dbtr><CdtrAcct><Id><IBAN>FR1420041010050500013M02606</IBAN></Id>\
         </CdtrAcct></RltdPties><RmtInf><Ustrd>one</Ustrd><Ustrd>two</Ustrd></RmtInf></TxDtls></NtryDtls>",
    );
    assert_eq!(
        (entry.reference.as_str(), entry.direction, entry.back),
        ("R1", Direction::Credit, false)
    );
    assert_eq!(entry.amount.minor(), 1_250);
    assert_eq!(entry.end_to_end.as_deref(), Some("E1"));
    assert_eq!(entry.name.as_deref(), Some("M&M A"));
    assert_eq!(entry.remittance.as_deref(), Some("one two"));
    assert_eq!(entry.creditor.unwrap().as_str(), "FR1420041010050500013M02606");
    assert_eq!(entry.value_date, Date::parse("2026-11-20").ok());
}

#[test]
fn a_return_and_a_reversal_go_back() {
    assert!(only("<NtryDtls><TxDtls><RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf></TxDtls></NtryDtls>").back);
    assert!(only("<NtryDtls><TxDtls><RtrInf/></TxDtls></NtryDtls>").back);
    assert!(only("<RvslInd>true</RvslInd>").back);
    assert!(!only("<RvslInd>false</RvslInd>").back);
}

#[test]
fn several_transactions_are_taken_apart_where_they_add_up() {
    let parts = |second: &str| {
        format!(
            r#"<NtryDtls><TxDtls><Refs><EndToEndId>A</EndToEndId></Refs><Amt Ccy="EUR">12.00</Amt></TxDtls>
            <TxDtls><Refs><EndToEndId>B</EndToEndId></Refs><Amt Ccy="EUR">{second}</Amt></TxDtls></NtryDtls>"#
        )
    };
    let found = statement(&ntry(&parts("0.50"))).unwrap().remove(0).entries;
    let told: Vec<_> = found
        .iter()
        .map(|entry| (entry.end_to_end.as_deref().unwrap(), entry.amount.minor()))
        .collect();
    assert_eq!(told, [("A", 1_200), ("B", 50)]);
    assert_ne!(found[0].reference, found[1].reference);
    // Where they do not, people look at the whole.
    let whole = only(&parts("0.51"));
    assert_eq!((whole.amount.minor(), whole.end_to_end), (1_250, None));
}

#[test]
fn balances_are_signed_and_announced_entries_are_none() {
    let balance = |code: &str, sign: &str, amount: &str| {
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt>\
             <CdtDbtInd>{sign}</CdtDbtInd><Dt><Dt>2026-11-20</Dt></Dt></Bal>"
        )
    };
    let pending = ntry("").replace("BOOK", "PDNG");
    let text = format!(
        "{}{}{}{pending}",
        balance("OPBD", "DBIT", "1.00"),
        balance("CLBD", "CRDT", "0.00"),
        balance("CLAV", "CRDT", "9.00")
    );
    let found = statement(&text).unwrap().remove(0);
    assert_eq!((found.opening, found.closing), (Some(-100), Some(0)));
    assert_eq!((found.entries.len(), found.message.as_str()), (0, "M1"));
    assert_eq!(found.day, Date::parse("2026-11-20").ok());
}

#[test]
fn what_is_no_statement_is_refused_and_so_is_whatever_could_grow() {
    let good = format!("{HEAD}{}{TAIL}", ntry(""));
    assert!(read(good.as_bytes()).is_ok());
    for cut in [20, HEAD.len(), good.len() - 1, good.len() - TAIL.len()] {
        assert_eq!(
            read(&good.as_bytes()[..cut]),
            Err(StatementError::Malformed),
            "{cut}"
        );
    }
    let bomb = good.replacen(
        "<Document",
        r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b SYSTEM "file:///etc/passwd">]><Document"#,
        1,
    );
    assert_eq!(read(bomb.as_bytes()), Err(StatementError::Entities));
    let entity = good.replace("R1", "&b;");
    assert_eq!(read(entity.as_bytes()), Err(StatementError::Entities));
    let deep = format!("{HEAD}{}{}{TAIL}", "<a>".repeat(40), "</a>".repeat(40));
    assert_eq!(read(deep.as_bytes()), Err(StatementError::TooLarge));
    let long = good.replace("R1", &"x".repeat(3_000));
    assert_eq!(read(long.as_bytes()), Err(StatementError::TooLarge));
    let other = good.replace("BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn");
    assert_eq!(read(other.as_bytes()), Err(StatementError::Malformed));
    for (from, to) in [
        ("12.50", "12.505"),
        ("12.50", "-1"),
        ("12.50", "1e3"),
        ("12.50", "0.00"),
        ("<AcctSvcrRef>R1</AcctSvcrRef>", ""),
        ("CRDT", "BOTH"),
    ] {
        assert_eq!(
            read(good.replace(from, to).as_bytes()),
            Err(StatementError::Malformed),
            "{to}"
        );
    }
    let dollars = good.replace(r#"<Amt Ccy="EUR">"#, r#"<Amt Ccy="USD">"#);
    assert_eq!(read(dollars.as_bytes()), Err(StatementError::NotOurs));
}

proptest! {
    #[test]
    fn no_bytes_bring_the_reader_down(at in 0..800_usize, byte: u8, more in any::<Vec<u8>>()) {
        let mut bytes = format!("{HEAD}{}{TAIL}", ntry("")).into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&bytes);
        bytes.splice(at..at, more);
        let _ = read(&bytes);
    }
}
