//! `/deposits` and `/withdrawals`: cash over the counter, by a teller.

use axum::{extract::State, response::Response};
use strongroom_api::{approvals::ApprovalRequested, money::Money, transfers as wire};
use strongroom_app::money::{
    counter::{Cash, MoveCash},
    transfers::TransferDetails,
};
use strongroom_domain::{
    id::{AccountId, DepositId, WithdrawalId},
    text::MEMO_CHARS_MAX,
    transaction::TransactionKind,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{JsonDraft, MoneyAuth},
    state::AppState,
    v1::{
        admin_approvals::asked,
        check::Check,
        idempotency::{IdempotencyKey, created},
    },
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(deposit))
        .routes(routes!(withdraw))
}

/// Book cash into an account. Tellers only, and never about an account of one's own.
///
/// Above a bound that the bank sets it takes a second teller or an administrator: then the answer is `202`, and it is
/// booked under the same key once somebody approves it at `/admin/approvals`.
#[utoipa::path(post, path = "/api/v1/deposits", tag = "counter", request_body = wire::MoveCash,
    params(("Idempotency-Key" = String, Header, description = "Your name for this one intent.")),
    responses((status = 201, description = "Booked.", body = wire::CashMovement),
        (status = 202, description = "Waits for a second person.", body = ApprovalRequested)))]
async fn deposit(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    IdempotencyKey(key): IdempotencyKey,
    draft: JsonDraft<wire::MoveCash>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| parse(check, &body, key))?;
    Ok(told(state.bank.deposit(&cx, input).await?))
}

/// Book cash out of an account. Tellers only, and never about an account of one's own.
///
/// Above a bound that the bank sets it takes a second teller or an administrator: then the answer is `202`, and it is
/// booked under the same key once somebody approves it at `/admin/approvals`.
#[utoipa::path(post, path = "/api/v1/withdrawals", tag = "counter", request_body = wire::MoveCash,
    params(("Idempotency-Key" = String, Header, description = "Your name for this one intent.")),
    responses((status = 201, description = "Booked.", body = wire::CashMovement),
        (status = 202, description = "Waits for a second person.", body = ApprovalRequested)))]
async fn withdraw(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    IdempotencyKey(key): IdempotencyKey,
    draft: JsonDraft<wire::MoveCash>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| parse(check, &body, key))?;
    Ok(told(state.bank.withdraw(&cx, input).await?))
}

fn told(cash: Cash) -> Response {
    match cash {
        Cash::Booked(once) => {
            let movement = to_wire(&once.value);
            created(&once, &format!("/api/v1/receipts/{}", movement.id), movement)
        }
        Cash::Asked(approval) => asked(approval),
    }
}

fn parse(check: &mut Check, body: &wire::MoveCash, key: Option<String>) -> Option<MoveCash> {
    let account: Option<AccountId> = check.id("/account_id", &body.account_id);
    let amount = check.amount("/amount", &body.amount);
    let reference = match &body.reference {
        Some(text) => check.line("/reference", text, MEMO_CHARS_MAX, false).map(Some),
        None => Some(None),
    };
    let value_date = match &body.value_date {
        Some(text) => check.date("/value_date", text).map(Some),
        None => Some(None),
    };
    account
        .zip(amount)
        .zip(reference)
        .zip(value_date)
        .map(|(((account, amount), reference), value_date)| MoveCash {
            account,
            amount: amount.0,
            currency: amount.1,
            reference,
            value_date,
            idempotency_key: key,
        })
}

fn to_wire(details: &TransferDetails) -> wire::CashMovement {
    let transaction = &details.transaction;
    let (id, account) = if transaction.kind == TransactionKind::Withdrawal {
        let id: WithdrawalId = transaction.id.cast();
        (id.to_string(), transaction.from_account)
    } else {
        let id: DepositId = transaction.id.cast();
        (id.to_string(), transaction.to_account)
    };
    wire::CashMovement {
        id,
        state: "posted".to_owned(),
        account_id: account.to_string(),
        amount: Money {
            amount: transaction.amount.minor(),
            currency: transaction.currency.code().to_owned(),
        },
        reference: details.description.clone(),
        value_date: transaction.value_date.to_string(),
        created_at: transaction.booked_at.to_string(),
    }
}
