//! Many items in one request: how they are read, counted and answered.

use axum::response::Response;
use http::{Method, StatusCode};
use serde::Serialize;
use strongroom_app::{
    Cx,
    money::{
        accounts::Once,
        orders::{ORDER_ITEMS_MAX, OrderDetails},
    },
};

use crate::{
    Problem,
    layers::Record,
    v1::{check::Check, idempotency::answered},
};

/// What became of an item that was refused.
pub(super) const REFUSED: &str = "refused";

/// Reads the items that are written at `pointer`, each with pointers below its own. Those beyond the bound are refused
/// together and not looked at.
pub(super) fn read_items<W, T>(
    check: &mut Check,
    pointer: &str,
    items: &[W],
    mut read: impl FnMut(&mut Check, &W) -> Option<T>,
) -> Vec<T> {
    if items.is_empty() || items.len() > ORDER_ITEMS_MAX {
        check.refuse(pointer, "out_of_range", "must have 1 to 1000 items");
    }
    let mut found = Vec::with_capacity(items.len().min(ORDER_ITEMS_MAX));
    for (number, item) in items.iter().enumerate().take(ORDER_ITEMS_MAX) {
        check.below(format!("{pointer}/{number}"));
        found.extend(read(check, item));
    }
    check.below(String::new());
    found
}

/// Counts each item as a request; the first was counted when this one arrived.
pub(super) async fn count_items(cx: &Cx, record: &Record, items: usize) -> Result<(), Problem> {
    let more = items.saturating_sub(1);
    record.limits().items(record, &Method::POST, cx, more).await?;
    Ok(())
}

/// The answer with a result for each item: what it became, or the document that its refusal would have got alone.
pub(super) fn answered_each<T, R, B: Serialize + Send + Sync + 'static>(
    record: &Record,
    order: OrderDetails<T>,
    to_result: impl Fn(Result<T, strongroom_api::Problem>) -> R,
    body: impl FnOnce(Vec<R>) -> B,
) -> Response {
    let id = record.id();
    let results = order
        .results
        .into_iter()
        .map(|result| to_result(result.map_err(|error| Problem::from(error).document(&id))));
    let once = Once {
        value: (),
        replayed: order.replayed,
    };
    answered(StatusCode::OK, &once, body(results.collect()))
}
