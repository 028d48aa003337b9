//! Pages of lists.

use strongroom_api::money::Page;

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
