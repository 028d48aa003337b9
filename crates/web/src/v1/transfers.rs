//! `/transfers`: money from one account here to another.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use strongroom_api::{money::Money, transfers as wire};
use strongroom_app::money::transfers::{CreateTransfer, Payee, TransferDetails};
use strongroom_domain::{
    id::{AccountId, TransactionId, TransferId, TransferKind},
    text::MEMO_CHARS_MAX,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, MoneyAuth, QueryParams},
    layers::Record,
    state::AppState,
    v1::{
        check::{Check, path_id},
        idempotency::{IdempotencyKey, created},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create, find_by_key))
        .routes(routes!(read))
        .routes(routes!(cancel))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct CreateQuery {
    /// Decide and book nothing; takes no idempotency key.
    #[serde(default)]
    dry_run: bool,
}

/// Move money.
///
/// Decided and booked in one commit with its idempotency key and its audit record. A repetition with the same key and
/// body gets the same answer, with `Idempotent-Replayed: true`; a refusal by the bank's rules (422) is repeated, too.
#[utoipa::path(post, path = "/api/v1/transfers", tag = "transfers", request_body = wire::CreateTransfer,
    params(CreateQuery, ("Idempotency-Key" = Option<String>, Header,
        description = "Your name for this one intent; needed unless `dry_run`.")),
    responses((status = 201, description = "Booked, or `pending_review`.", body = wire::Transfer),
        (status = 200, description = "A dry run: it would be booked like this.", body = wire::Transfer)))]
async fn create(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    record: Record,
    QueryParams(query): QueryParams<CreateQuery>,
    IdempotencyKey(key): IdempotencyKey,
    draft: JsonDraft<wire::CreateTransfer>,
) -> Result<Response, Problem> {
    let dry_run = query.dry_run;
    let input = draft.done(|body, check| parse(check, &body, key, dry_run))?;
    if dry_run {
        record.limits().preview(&record, &cx).await?;
    }
    let once = state.bank.create_transfer(&cx, input).await?;
    let transfer = to_wire(&once.value, dry_run);
    if dry_run {
        return Ok((StatusCode::OK, Json(transfer)).into_response());
    }
    Ok(created(
        &once,
        &format!("/api/v1/transfers/{}", transfer.id),
        transfer,
    ))
}

fn parse(
    check: &mut Check,
    body: &wire::CreateTransfer,
    key: Option<String>,
    dry_run: bool,
) -> Option<CreateTransfer> {
    let input = parse_into(check, body);
    if dry_run && key.is_some() {
        check.refuse(
            "Idempotency-Key:",
            "not_allowed",
            "a dry run books nothing and takes no key",
        );
    }
    input.map(|input| CreateTransfer {
        idempotency_key: key,
        dry_run,
        ..input
    })
}

/// A transfer without its key.
pub(crate) fn parse_into(check: &mut Check, body: &wire::CreateTransfer) -> Option<CreateTransfer> {
    let from: Option<AccountId> = check.id("/from_account_id", &body.from_account_id);
    let to = payee(
        check,
        body.to_account_id.as_deref(),
        body.to_account_number.as_deref(),
    );
    let amount = check.amount("/amount", &body.amount);
    let description = match &body.description {
        Some(text) => check.line("/description", text, MEMO_CHARS_MAX, false).map(Some),
        None => Some(None),
    };
    from.zip(to)
        .zip(amount)
        .zip(description)
        .map(|(((from, to), (amount, currency)), description)| CreateTransfer {
            from,
            to,
            amount,
            currency,
            description,
            idempotency_key: None,
            dry_run: false,
            value_date: None,
        })
}

/// The payee by exactly one of id and number.
pub(crate) fn payee(check: &mut Check, id: Option<&str>, number: Option<&str>) -> Option<Payee> {
    match (id, number) {
        (Some(id), None) => check.id("/to_account_id", id).map(Payee::Account),
        (None, Some(number)) => check.iban("/to_account_number", number).map(Payee::Number),
        // One that was sent and is of no shape is told of already.
        (None, None) if check.is_mended("/to_account_number") => None,
        (None, None) => {
            check.refuse(
                "/to_account_id",
                "required",
                "name the payee by `to_account_id` or `to_account_number`",
            );
            None
        }
        (Some(_), Some(_)) => {
            check.refuse(
                "/to_account_number",
                "ambiguous",
                "name the payee by one of id and number, not both",
            );
            None
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ByKey {
    /// The key that you sent with the transfer.
    idempotency_key: String,
}

/// Find what became of an idempotency key.
#[utoipa::path(get, path = "/api/v1/transfers", tag = "transfers", params(ByKey),
    responses((status = 200, description = "What the key booked.", body = wire::Transfer)))]
async fn find_by_key(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<ByKey>,
) -> Result<Json<wire::Transfer>, Problem> {
    let details = state.bank.transaction_by_key(&cx, &query.idempotency_key).await?;
    Ok(Json(to_wire(&details, false)))
}

/// Read a transfer that you are a party of.
#[utoipa::path(get, path = "/api/v1/transfers/{id}", tag = "transfers", params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The transfer.", body = wire::Transfer)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Transfer>, Problem> {
    let id = path_id::<TransferKind>(&id)?;
    let details = state.bank.transaction(&cx, id.cast()).await?;
    let links = state.bank.reversal_links(id.cast()).await?;
    let text = |id: TransactionId| id.cast::<TransferKind>().to_string();
    Ok(Json(wire::Transfer {
        reversed_by: links.reversed_by.map(text),
        reverses: links.reverses.map(text),
        ..to_wire(&details, false)
    }))
}

/// Take back a transfer of yours that waits for the bank to look at it.
#[utoipa::path(post, path = "/api/v1/transfers/{id}/cancel", tag = "transfers", params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "Taken back; its money is free again.", body = wire::Transfer)))]
async fn cancel(
    State(state): State<AppState>,
    MoneyAuth(cx): MoneyAuth,
    Path(id): Path<String>,
) -> Result<Json<wire::Transfer>, Problem> {
    let id = path_id::<TransferKind>(&id)?;
    let details = state.bank.cancel_transfer(&cx, id.cast()).await?;
    Ok(Json(to_wire(&details, false)))
}

pub(crate) fn to_wire(details: &TransferDetails, dry_run: bool) -> wire::Transfer {
    let transaction = &details.transaction;
    let id: TransferId = transaction.id.cast();
    wire::Transfer {
        id: id.to_string(),
        state: details.state.name().to_owned(),
        from_account_id: transaction.from_account.to_string(),
        to_account_id: transaction.to_account.to_string(),
        amount: Money {
            amount: transaction.amount.minor(),
            currency: transaction.currency.code().to_owned(),
        },
        description: details.description.clone(),
        created_at: transaction.booked_at.to_string(),
        dry_run,
        reversed_by: None,
        reverses: None,
    }
}
