//! Detection and false alarms of the rules about fraud on real histories, as the table of `docs/fraud.md`.
//!
//! `STRONGROOM_FRAUD_HISTORIES` names a folder with `transactions.csv`: the customers' movements of a Czech bank of the
//! nineties (PKDD'99, "Berka"), with the columns `account_id`, `date`, `direction`, `operation`, `amount` and
//! `partner_account`. Without it there is nothing to measure and the test says so. Every movement out is measured as it
//! would have been in the commit, and learned. Behind each history with enough of a past comes one fraud of each kind.
//! A half of the customers, by the hash of their number, was never looked at while the rules were made: `held`.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use strongroom_domain::{
    fraud::{Features, Flow, FraudMode, FraudRules, Scene, Verdict, tag_of},
    money::{Amount, Currency},
    time::Timestamp,
    transaction::TransactionKind,
};

const DAY: i64 = 86_400;
/// Movements out that a customer needs for a fraud behind them.
const PAST_MIN: usize = 12;
/// How much of the injected fraud is found at least, and of the honest payments taken for one at most, in thousandths.
const FOUND_MIN: u32 = 700;
const FALSE_MAX: u32 = 20;

#[derive(Debug, Clone, Copy)]
struct Movement {
    at: Timestamp,
    out: bool,
    kind: TransactionKind,
    minor: i64,
    other: u32,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    met: u32,
    all: u32,
}

impl Count {
    fn add(&mut self, met: bool) {
        self.met += u32::from(met);
        self.all += 1;
    }

    fn thousandths(self) -> u32 {
        (self.met * 1_000).checked_div(self.all).unwrap_or(0)
    }

    fn text(self) -> String {
        let ten_thousandths = (u64::from(self.met) * 10_000)
            .checked_div(u64::from(self.all))
            .unwrap_or(0);
        format!(
            "{}.{:02} % of {}",
            ten_thousandths / 100,
            ten_thousandths % 100,
            self.all
        )
    }
}

struct Customer {
    row: Features,
    rules: FraudRules,
    balance: i64,
}

impl Customer {
    /// What is decided about a movement out; then it is learned, as if it had been let go.
    fn pays(&mut self, at: Timestamp, hour: u8, minor: i64, to: u32, network: u32) -> Verdict {
        let currency = Currency::parse("CZK").unwrap();
        let amount = Amount::new(minor.max(1)).unwrap();
        let scene = Scene {
            at,
            hour,
            amount,
            currency,
            payer: Some(&self.row),
            payee: None,
            to,
            spendable: Some(self.balance.max(minor)),
            floor: false,
            program: false,
            network: Some(network),
        };
        let verdict = self.rules.judge(&scene).verdict;
        self.row.paid_out(&Flow {
            at,
            hour,
            kind: TransactionKind::Transfer,
            amount,
            currency,
            other: to,
            network: Some(network),
        });
        self.balance -= minor;
        verdict
    }

    fn gets(&mut self, at: Timestamp, kind: TransactionKind, minor: i64, from: u32) {
        self.row.took_in(&Flow {
            at,
            hour: 12,
            kind,
            amount: Amount::new(minor.max(1)).unwrap(),
            currency: Currency::parse("CZK").unwrap(),
            other: from,
            network: None,
        });
        self.balance += minor;
    }
}

fn hash(text: &str) -> u32 {
    tag_of(text.as_bytes())
}

fn histories(text: &str) -> BTreeMap<String, Vec<Movement>> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let (account, date, direction) = (column("account_id"), column("date"), column("direction"));
    let (operation, amount, partner) = (column("operation"), column("amount"), column("partner_account"));
    let mut found: BTreeMap<String, Vec<Movement>> = BTreeMap::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        // Office hours, spread by what is booked.
        let hour = 8 + i64::from(hash(line) % 10);
        let day = Timestamp::parse(&format!("{}T00:00:00Z", fields[date])).unwrap();
        let (whole, part) = fields[amount].split_once('.').unwrap_or((fields[amount], "0"));
        let minor = whole.parse::<i64>().unwrap() * 100 + format!("{part:0<2}")[..2].parse::<i64>().unwrap();
        let kind = match fields[operation] {
            "incoming_transfer" | "outgoing_transfer" => TransactionKind::Transfer,
            _ => TransactionKind::Deposit,
        };
        let other = match fields[partner] {
            "" => hash(fields[operation]),
            number => hash(number),
        };
        found
            .entry(fields[account].to_owned())
            .or_default()
            .push(Movement {
                at: day.plus_seconds(hour * 3_600),
                out: fields[direction] == "debit",
                kind,
                minor,
                other,
            });
    }
    found
}

const HOME: u32 = 1;
const ABROAD: u32 = 2;

/// The kinds of fraud, each told by what it does behind a history: every verdict on its way.
fn fraud(kind: &str, customer: &mut Customer, begin: Timestamp, median: i64) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let at = |seconds| begin.plus_seconds(seconds);
    match kind {
        "one large payment to somebody new" => {
            verdicts.push(customer.pays(at(0), 12, median * 40, 77, HOME));
        }
        "all the money to somebody new" => {
            customer.balance = median * 12;
            verdicts.push(customer.pays(at(0), 12, median * 12, 77, HOME));
        }
        "all the money to five new payees within an hour" => {
            for number in 0..5_u32 {
                let after = i64::from(number) * 500;
                verdicts.push(customer.pays(at(after), 12, median * 5, 80 + number, HOME));
            }
        }
        "forty payments in a quarter of an hour" => {
            for number in 0..40 {
                verdicts.push(customer.pays(at(number * 20), 12, median, 78, HOME));
            }
        }
        "four payments a little below what is reported" => {
            for number in 0..4 {
                verdicts.push(customer.pays(at(number * 3_000), 12, 950_000 + number, 79, HOME));
            }
        }
        "a large payment at night to a known payee" => {
            let known = hash("cash_withdrawal");
            verdicts.push(customer.pays(at(0), 3, median * 6, known, HOME));
        }
        "a payment to somebody new from another network within an hour" => {
            verdicts.push(customer.pays(at(0), 12, median, hash("cash_withdrawal"), HOME));
            verdicts.clear();
            verdicts.push(customer.pays(at(1_800), 12, median.max(20_000), 81, ABROAD));
        }
        "an account that wakes after 200 days" => {
            verdicts.push(customer.pays(at(200 * DAY), 12, median.max(60_000), 82, HOME));
        }
        "fifteen tiny payments" => {
            for number in 0..15 {
                verdicts.push(customer.pays(at(number * 60), 12, 100, 83, HOME));
            }
        }
        "money that goes round five times" => {
            for number in 0..5 {
                customer.gets(
                    at(number * 2_000),
                    TransactionKind::Transfer,
                    median.max(100_000),
                    84,
                );
                verdicts.push(customer.pays(at(number * 2_000 + 600), 12, median.max(100_000), 84, HOME));
            }
        }
        other => panic!("{other}"),
    }
    verdicts
}

const KINDS: [&str; 10] = [
    "one large payment to somebody new",
    "all the money to somebody new",
    "all the money to five new payees within an hour",
    "forty payments in a quarter of an hour",
    "four payments a little below what is reported",
    "a large payment at night to a known payee",
    "a payment to somebody new from another network within an hour",
    "an account that wakes after 200 days",
    "fifteen tiny payments",
    "money that goes round five times",
];

#[test]
fn what_rules_find_and_what_they_take_for_fraud_is_measured() {
    let Some(folder) = std::env::var_os("STRONGROOM_FRAUD_HISTORIES").map(PathBuf::from) else {
        println!("nothing to measure: STRONGROOM_FRAUD_HISTORIES names no folder");
        return;
    };
    let text = fs::read_to_string(folder.join("transactions.csv")).unwrap();
    let rules = FraudRules::built_in(FraudMode::Enforce);
    let mut honest: BTreeMap<&str, [Count; 2]> = BTreeMap::new();
    let mut found: BTreeMap<&str, [Count; 2]> = BTreeMap::new();
    for (account, movements) in histories(&text) {
        let half = usize::from((hash(&account) >> 16) & 1 == 1);
        let mut customer = Customer {
            row: Features::default(),
            rules: rules.clone(),
            balance: 0,
        };
        let mut paid = Vec::new();
        for movement in &movements {
            if movement.out {
                let hour = u8::try_from(movement.at.seconds() / 3_600 % 24).unwrap();
                let verdict = customer.pays(movement.at, hour, movement.minor, movement.other, HOME);
                paid.push(movement.minor);
                honest.entry("a fresh factor or more").or_default()[half].add(verdict >= Verdict::StepUp);
                honest.entry("a look or more").or_default()[half].add(verdict >= Verdict::Review);
            } else {
                customer.gets(movement.at, movement.kind, movement.minor, movement.other);
            }
        }
        if paid.len() < PAST_MIN {
            continue;
        }
        paid.sort_unstable();
        let median = paid[paid.len() / 2];
        let begin = movements.last().unwrap().at.plus_seconds(3 * DAY);
        for kind in KINDS {
            let mut customer = Customer {
                row: customer.row,
                rules: rules.clone(),
                balance: customer.balance.max(median * 100),
            };
            let verdicts = fraud(kind, &mut customer, begin, median);
            let met = verdicts.iter().any(|verdict| *verdict >= Verdict::StepUp);
            found.entry(kind).or_default()[half].add(met);
        }
    }
    let row = |name: &str, counts: &[Count; 2]| {
        println!("| {name} | {} | {} |", counts[0].text(), counts[1].text());
    };
    println!("| injected fraud that was met | seen | held |\n|---|---|---|");
    for (name, counts) in &found {
        row(name, counts);
    }
    println!("\n| honest payments that were met with | seen | held |\n|---|---|---|");
    for (name, counts) in &honest {
        row(name, counts);
    }
    for half in 0..2 {
        let all = found.values().fold(Count::default(), |sum, counts| Count {
            met: sum.met + counts[half].met,
            all: sum.all + counts[half].all,
        });
        assert!(all.thousandths() >= FOUND_MIN, "{all:?}");
        assert!(honest["a fresh factor or more"][half].thousandths() <= FALSE_MAX);
    }
}
