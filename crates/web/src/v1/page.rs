//! Pages of lists.

use serde::Deserialize;
use strongroom_api::money::Page;
use strongroom_domain::id::{Id, Kind};
use utoipa::IntoParams;

use crate::{Problem, v1::check::Check};

/// Where a list starts and how long it is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    /// How many, and behind which.
    pub(crate) fn page<K: Kind>(&self) -> Result<(u32, Option<Id<K>>), Problem> {
        self.read(|check, cursor| check.id("?cursor", cursor))
    }

    /// As [`Self::page`], of what has a number.
    pub(crate) fn numbered(&self) -> Result<(u32, Option<i64>), Problem> {
        self.read(|check, cursor| {
            let number = cursor.parse().ok();
            if number.is_none() {
                check.refuse("?cursor", "invalid_value", "must be a cursor of a page before");
            }
            number
        })
    }

    fn read<T>(
        &self,
        cursor: impl FnOnce(&mut Check, &str) -> Option<T>,
    ) -> Result<(u32, Option<T>), Problem> {
        let mut check = Check::default();
        let limit = check.limit(self.limit);
        let before = match &self.cursor {
            Some(text) => cursor(&mut check, text).map(Some),
            None => Some(None),
        };
        check.done(limit.zip(before))
    }
}

/// A page of what was found, where one more than the limit was asked for to know whether there is a next page.
pub(crate) fn page_of<T, W>(
    mut found: Vec<T>,
    limit: u32,
    cursor: impl FnOnce(&T) -> String,
    to_wire: impl FnMut(T) -> W,
) -> Page<W> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    Page {
        next_cursor: found.last().filter(|_| more).map(cursor),
        data: found.into_iter().map(to_wire).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_cursor_where_there_is_more_and_only_there() {
        let page = |found: &[u8], limit| page_of(found.to_vec(), limit, u8::to_string, |item| item);
        let told = |page: Page<u8>| (page.data, page.next_cursor);
        assert_eq!(told(page(&[], 2)), (vec![], None));
        assert_eq!(told(page(&[3, 2], 2)), (vec![3, 2], None));
        assert_eq!(told(page(&[3, 2, 1], 2)), (vec![3, 2], Some("2".to_owned())));
    }
}
