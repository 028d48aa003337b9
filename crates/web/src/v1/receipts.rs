//! `/receipts`: proof that a transaction is in the bank's log.

use axum::extract::{Path, State};
use strongroom_api::receipts as wire;
use strongroom_domain::id::{DepositId, PaymentId, RefundId, TransactionId, TransferId, WithdrawalId};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Problem, extract::Auth, state::AppState, views::Json};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// Get a receipt.
///
/// For both parties of a transfer, deposit or withdrawal. A receipt verifies without this server: `strongroom receipt
/// verify` needs the file and the log's public key only. Right after a booking it waits up to two seconds for the seal;
/// after that the answer is 503 `receipt_pending`, and the receipt is there a moment later.
#[utoipa::path(get, path = "/api/v1/receipts/{transaction_id}", tag = "receipts",
    params(("transaction_id" = String, Path, description = "A transaction, transfer, deposit, withdrawal, payment or refund.")),
    responses((status = 200, description = "The receipt.", body = wire::Receipt)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Receipt>, Problem> {
    let issued = state.bank.receipt(&cx, transaction_id(&id)?).await?;
    Ok(Json(wire::Receipt::new(&issued.receipt, &issued.checkpoint.note)))
}

/// One transaction is known by two names: its own, and what it was asked for as.
pub(crate) fn transaction_id(text: &str) -> Result<TransactionId, Problem> {
    TransactionId::parse(text)
        .or_else(|_| TransferId::parse(text).map(TransferId::cast))
        .or_else(|_| DepositId::parse(text).map(DepositId::cast))
        .or_else(|_| WithdrawalId::parse(text).map(WithdrawalId::cast))
        .or_else(|_| PaymentId::parse(text).map(PaymentId::cast))
        .or_else(|_| RefundId::parse(text).map(RefundId::cast))
        .map_err(|_| Problem::not_found())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_found_by_each_of_its_names() {
        let id = TransactionId::from_bytes([7; 16]);
        let names = [
            id.to_string(),
            id.cast::<strongroom_domain::id::TransferKind>().to_string(),
            id.cast::<strongroom_domain::id::DepositKind>().to_string(),
            id.cast::<strongroom_domain::id::WithdrawalKind>().to_string(),
            id.cast::<strongroom_domain::id::PaymentKind>().to_string(),
            id.cast::<strongroom_domain::id::RefundKind>().to_string(),
        ];
        for name in names {
            assert!(transaction_id(&name).is_ok_and(|found| found == id), "{name}");
        }
        assert!(transaction_id("acct_01jd3vw4ezfkx8y0q4sfcmj2t9").is_err());
        assert!(transaction_id("").is_err());
    }
}
