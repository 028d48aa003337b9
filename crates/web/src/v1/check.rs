//! From wire values to the domain's types, with every wrong field named at once and no value repeated.

use std::net::IpAddr;

use ipnet::IpNet;
use strongroom_api::{FieldError, money};
use strongroom_app::identity::email::Email;
use strongroom_domain::{
    department::Department,
    iban::Iban,
    id::{Id, Kind},
    money::{AMOUNT_MAX, Amount, Currency},
    principal::Role,
    text::{TextError, check_line},
    time::{Date, Timestamp},
};

use crate::Problem;

/// Most items on a page.
pub(crate) const PAGE_ITEMS_MAX: u32 = 100;
const PAGE_ITEMS_DEFAULT: u32 = 20;

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub(crate) struct Check {
    errors: Vec<FieldError>,
    /// Of what was refused for its shape: what is there instead says nothing.
    mended: Vec<String>,
    /// What stands before every pointer: where in the body the item is that is looked at.
    place: String,
}

impl Check {
    /// For a body whose shape is wrong: these are told whatever else is found.
    pub(crate) fn after(errors: Vec<FieldError>) -> Self {
        // What is taken out leaves nothing that could be told of.
        let is_there = |error: &&FieldError| !matches!(error.code.as_str(), "unknown_field" | "not_yours");
        let mended = errors.iter().filter(is_there);
        Self {
            mended: mended.map(|error| error.pointer.clone()).collect(),
            errors,
            place: String::new(),
        }
    }

    /// Whether something is wrong with the shape of the body.
    pub(crate) const fn is_after_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether a value was refused for its shape, or what it is in was.
    pub(crate) fn is_mended(&self, pointer: &str) -> bool {
        let pointer = format!("{}{pointer}", self.place);
        self.mended.iter().any(|mended| {
            let below = pointer.strip_prefix(mended.as_str());
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        })
    }

    /// From now on pointers are below this one.
    pub(crate) fn below(&mut self, place: String) {
        self.place = place;
    }

    /// Notes a refused field.
    pub(crate) fn refuse(&mut self, pointer: &str, code: &str, detail: &str) {
        if self.is_mended(pointer) {
            return;
        }
        self.errors.push(FieldError {
            pointer: format!("{}{pointer}", self.place),
            code: code.to_owned(),
            detail: detail.to_owned(),
        });
    }

    /// The values, if nothing was refused.
    pub(crate) fn done<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.errors)),
        }
    }

    /// Of a work list: `open` for what nobody decided, `all` for everything; `open` when absent.
    pub(crate) fn open(&mut self, state: Option<&str>) -> Option<bool> {
        match state {
            None | Some("open") => Some(true),
            Some("all") => Some(false),
            Some(_) => {
                self.refuse("?state", "invalid_value", "must be `open` or `all`");
                None
            }
        }
    }

    fn keep<T, E: std::fmt::Display>(&mut self, pointer: &str, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|error| self.refuse(pointer, "invalid_value", &format!("must be valid: {error}")))
            .ok()
    }

    pub(crate) fn id<K: Kind>(&mut self, pointer: &str, text: &str) -> Option<Id<K>> {
        self.keep(pointer, Id::parse(text))
    }

    pub(crate) fn currency(&mut self, pointer: &str, code: &str) -> Option<Currency> {
        self.keep(pointer, Currency::parse(code))
    }

    pub(crate) fn iban(&mut self, pointer: &str, text: &str) -> Option<Iban> {
        self.keep(pointer, Iban::parse(text))
    }

    pub(crate) fn email(&mut self, pointer: &str, text: &str) {
        if Email::parse(text).is_none() {
            self.refuse(pointer, "invalid_value", "must be an e-mail address");
        }
    }

    pub(crate) fn date(&mut self, pointer: &str, text: &str) -> Option<Date> {
        self.keep(pointer, Date::parse(text))
    }

    pub(crate) fn moment(&mut self, pointer: &str, text: &str) -> Option<Timestamp> {
        self.keep(pointer, Timestamp::parse(text))
    }

    /// An amount that can be moved, with its currency.
    pub(crate) fn amount(&mut self, pointer: &str, money: &money::Money) -> Option<(Amount, Currency)> {
        let amount = Amount::new(money.amount).map_err(|_| {
            let detail = format!("must lie between 1 and {AMOUNT_MAX} minor units");
            self.refuse(&format!("{pointer}/amount"), "out_of_range", &detail);
        });
        let currency = self.currency(&format!("{pointer}/currency"), &money.currency);
        amount.ok().zip(currency)
    }

    /// A network in CIDR form, or one address.
    pub(crate) fn network(&mut self, pointer: &str, text: &str) -> Option<IpNet> {
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        let network = text
            .parse()
            .ok()
            .or_else(address)
            .filter(|network: &IpNet| network.trunc() == *network);
        if network.is_none() {
            self.refuse(
                pointer,
                "invalid_value",
                "must be an address or a network in CIDR form",
            );
        }
        network
    }

    /// A text of one line.
    pub(crate) fn line(
        &mut self,
        pointer: &str,
        text: &str,
        chars_max: usize,
        required: bool,
    ) -> Option<String> {
        match check_line(text, chars_max, required) {
            Ok(()) => Some(text.to_owned()),
            Err(error) => {
                let code = match error {
                    TextError::Empty => "empty",
                    TextError::TooLong => "too_long",
                    TextError::Deceptive => "deceptive_text",
                    TextError::CardNumber => "card_number",
                };
                let detail = match error {
                    TextError::TooLong => format!("must have at most {chars_max} characters"),
                    TextError::Empty | TextError::Deceptive | TextError::CardNumber => error.to_string(),
                };
                self.refuse(pointer, code, &detail);
                None
            }
        }
    }

    /// Where somebody works or belongs.
    pub(crate) fn department(&mut self, pointer: &str, name: &str) -> Option<Department> {
        let department = Department::parse(name);
        if department.is_none() {
            let detail = "must be 1 to 24 lower-case letters, digits and hyphens";
            self.refuse(pointer, "invalid_value", detail);
        }
        department
    }

    /// A role that works for the bank.
    pub(crate) fn operators_role(&mut self, pointer: &str, name: &str) -> Option<Role> {
        let role = Role::parse(name).filter(|role| role.is_operator());
        if role.is_none() {
            self.refuse(pointer, "invalid_value", "must be an operator's role");
        }
        role
    }

    /// The size of a page.
    pub(crate) fn limit(&mut self, limit: Option<u32>) -> Option<u32> {
        let limit = limit.unwrap_or(PAGE_ITEMS_DEFAULT);
        if (1..=PAGE_ITEMS_MAX).contains(&limit) {
            return Some(limit);
        }
        self.refuse("?limit", "out_of_range", "must lie between 1 and 100");
        None
    }
}

/// An id in the path: one that cannot be an id names nothing.
pub(crate) fn path_id<K: Kind>(text: &str) -> Result<Id<K>, Problem> {
    Id::parse(text).map_err(|_| Problem::not_found())
}
