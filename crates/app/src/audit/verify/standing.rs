//! What stands: the tables of authority and rules against the newest record about each of their rows.
//!
//! A second fold beside that of the books. Every record says something of one row or a few: that it is there or gone,
//! and some of its values. What the record with the largest id says counts, whatever order they come in: ids ascend in
//! the order of the locks. A value that no record ever told (records of earlier versions of this program tell less) is
//! not judged, and a row that no record tells of is a finding. Memory is one small object per row, about 300 bytes; a
//! bank with more rows than fit is folded in several passes, each of which looks at a slice of the ids.

mod compare;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use strongroom_domain::audit::{SignedRecord, replay::Slice};
use strongroom_store::audit::{Standing, key_of_number};

/// A row, by its table and key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    table: Standing,
    id: u128,
    rest: String,
}

impl Key {
    pub(super) const fn of(table: Standing, id: [u8; 16]) -> Self {
        Self {
            table,
            id: u128::from_be_bytes(id),
            rest: String::new(),
        }
    }

    pub(super) const fn numbered(table: Standing, number: i64) -> Self {
        Self {
            table,
            id: key_of_number(number),
            rest: String::new(),
        }
    }

    fn and(mut self, rest: &str) -> Self {
        rest.clone_into(&mut self.rest);
        self
    }
}

/// What the newest record says of one value.
#[derive(Debug)]
struct Fact {
    name: &'static str,
    record: i64,
    value: Option<Box<str>>,
}

/// What the log says of a row so far.
#[derive(Debug, Default)]
struct Object(Vec<Fact>);

/// Whether a row is there, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// No record says.
    Unsaid,
    There,
    Gone,
}

/// The name of the fact that a row is there.
const THERE: &str = "";

impl Object {
    fn say(&mut self, name: &'static str, record: i64, value: Option<&str>) {
        let value = value.map(Box::from);
        match self.0.iter_mut().find(|fact| fact.name == name) {
            Some(fact) if fact.record > record => {}
            Some(fact) => (fact.record, fact.value) = (record, value),
            None => self.0.push(Fact { name, record, value }),
        }
    }

    /// What was said of a value, where anything was: what it is, which may be nothing.
    fn said(&self, name: &str) -> Option<Option<&str>> {
        let fact = self.0.iter().find(|fact| fact.name == name)?;
        Some(fact.value.as_deref())
    }

    fn stands(&self) -> Stands {
        match self.said(THERE) {
            None => Stands::Unsaid,
            Some(None) => Stands::Gone,
            Some(Some(_)) => Stands::There,
        }
    }
}

/// The fold.
#[derive(Debug)]
pub(super) struct Standings {
    slice: Slice,
    /// Whether it began with an empty bank: only then a row without a record is one that nothing tells of.
    from_nothing: bool,
    objects: BTreeMap<Key, Object>,
    /// Tables about which a record of an earlier version told something, and not of which row.
    earlier: BTreeSet<Standing>,
}

impl Standings {
    /// Of the rows of a slice of the ids.
    pub(super) const fn new(slice: Slice, from_nothing: bool) -> Self {
        Self {
            slice,
            from_nothing,
            objects: BTreeMap::new(),
            earlier: BTreeSet::new(),
        }
    }

    /// Whether this pass looks at a row. What is known by a number is little: the first pass looks at all of it.
    fn has(&self, table: Standing, id: u128) -> bool {
        if table.is_numbered() {
            self.slice.index == 0
        } else {
            self.slice.has_id(&id.to_be_bytes())
        }
    }

    /// A record of the log.
    pub(super) fn record(&mut self, record: &SignedRecord) {
        if record.outcome == "ok" {
            told::tell(
                record,
                &mut Said {
                    all: self,
                    record: record.id,
                },
            );
        }
    }
}

/// What one record says.
struct Said<'a> {
    all: &'a mut Standings,
    record: i64,
}

impl Said<'_> {
    fn say(&mut self, key: Key, facts: &[(&'static str, Option<&str>)]) {
        if !self.all.has(key.table, key.id) {
            return;
        }
        let object = self.all.objects.entry(key).or_default();
        for (name, value) in facts {
            object.say(name, self.record, *value);
        }
    }

    /// The row is there, with these values.
    fn is_there(&mut self, key: Key, facts: &[(&'static str, Option<&str>)]) {
        self.say(key.clone(), &[(THERE, Some("1"))]);
        self.say(key, facts);
    }

    fn is_gone(&mut self, key: Key) {
        self.say(key, &[(THERE, None)]);
    }
}
