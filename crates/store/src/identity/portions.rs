//! Many rows in few statements.

use sea_orm::DbBackend;

/// Sizes of statements, in rows: at most some twenty values each, within what both engines bind.
const STATEMENT_ROWS: [usize; 5] = [256, 64, 16, 4, 1];

/// `($1, …, $n), ($n+1, …)`: places for so many rows of so many values. SQLite looks for the name of each place from
/// the first one on, so that there they have none.
pub(super) fn places(on: DbBackend, rows: usize, values: usize) -> String {
    let row = |number: usize| {
        let place = |value| match on {
            DbBackend::Sqlite => "?".to_owned(),
            _ => format!("${}", number * values + value),
        };
        let places: Vec<String> = (1..=values).map(place).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// In portions of few sizes, so that their statements are prepared once.
pub(super) fn portions<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = STATEMENT_ROWS.into_iter().find(|size| *size <= rows.len())?;
        let (portion, rest) = rows.split_at(size);
        rows = rest;
        Some(portion)
    })
}
