//! `/payments`: customers pay merchants, merchants give back.

use axum::{
    extract::{FromRequestParts, Path, State},
    response::Response,
};
use http::{HeaderName, StatusCode, request::Parts};
use serde::Deserialize;
use strongroom_api::{
    codes,
    money::{Money, Page},
    payments as wire,
};
use strongroom_app::money::{
    accounts::Once,
    payments::{CreatePayment, PaymentDetails, RefundDetails, RefundPayment},
    sendings::{AnyPayment, PayBeneficiary, SendingDetails},
};
use strongroom_domain::{
    id::{AccountId, BeneficiaryId, MerchantId, PaymentId, PaymentKind, TransferId, TransferKind},
    ledger::Refusal,
    text::MEMO_CHARS_MAX,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, OptionalJsonDraft, QueryParams},
    state::AppState,
    v1::{
        check::{Check, path_id},
        idempotency::{IdempotencyKey, answered, created},
        page::page_of,
    },
    views::Json,
};

const CONFIRM: HeaderName = HeaderName::from_static("x-confirm-duplicate");

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read))
        .routes(routes!(cancel))
        .routes(routes!(refund))
        .routes(routes!(list_refunds))
}

/// What a client says to `duplicate_suspected`: the word of the problem document, sent back as it came.
#[derive(Debug, Clone)]
struct Confirmed(Option<PaymentId>);

impl<S: Sync> FromRequestParts<S> for Confirmed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut sent = parts.headers.get_all(CONFIRM).iter();
        let Some(first) = sent.next() else {
            return Ok(Self(None));
        };
        match (
            first.to_str().ok().and_then(|text| PaymentId::parse(text).ok()),
            sent.next(),
        ) {
            (Some(id), None) => Ok(Self(Some(id))),
            _ => Err(Problem::new(
                &codes::VALIDATION_FAILED,
                "`X-Confirm-Duplicate` must be sent once, with the `confirmation` of the refusal.",
            )),
        }
    }
}

/// Pay a merchant, or a beneficiary.
///
/// To a beneficiary of this bank the money is there at once; to one elsewhere the payment is `pending` until it is
/// `settled` or `returned`, and can be cancelled before it leaves. A payment of the same payer to the same merchant
/// over the same amount within two minutes looks like a mistake: it is answered with `duplicate_suspected`, the earlier
/// payment's id in `resource`, and a `confirmation`; sent again with `X-Confirm-Duplicate: <confirmation>` it goes
/// through.
#[utoipa::path(post, path = "/api/v1/payments", tag = "payments", request_body = wire::CreatePayment,
    params(("Idempotency-Key" = String, Header, description = "Your name for this one intent."),
        ("X-Confirm-Duplicate" = Option<String>, Header, description = "The `confirmation` of `duplicate_suspected`.")),
    responses((status = 201, description = "Paid.", body = wire::Payment)))]
async fn create(
    State(state): State<AppState>,
    Auth(cx): Auth,
    IdempotencyKey(key): IdempotencyKey,
    Confirmed(confirmed): Confirmed,
    draft: JsonDraft<wire::CreatePayment>,
) -> Result<Response, Problem> {
    let parts = draft.done(|body, check| {
        let from: Option<AccountId> = check.id("/from_account_id", &body.from_account_id);
        let payee = payee(check, &body);
        let amount = check.amount("/amount", &body.amount);
        let reference = match &body.reference {
            Some(text) => check.line("/reference", text, MEMO_CHARS_MAX, false).map(Some),
            None => Some(None),
        };
        from.zip(payee).zip(amount).zip(reference)
    })?;
    let (((from, payee), (amount, currency)), reference) = parts;
    let (payment, replayed) = match payee {
        Payee::Merchant(merchant) => {
            let input = CreatePayment {
                from,
                merchant,
                amount,
                currency,
                reference,
                confirmed,
                idempotency_key: key,
            };
            let once = state.bank.create_payment(&cx, input).await?;
            (to_wire(&once.value), once.replayed)
        }
        Payee::Beneficiary(beneficiary) => {
            let input = PayBeneficiary {
                from,
                beneficiary,
                amount,
                currency,
                reference,
                confirmed,
                idempotency_key: key,
            };
            let once = state.bank.pay_beneficiary(&cx, input).await?;
            (sending_to_wire(&once.value), once.replayed)
        }
    };
    let location = format!("/api/v1/payments/{}", payment.id);
    let once = Once { value: (), replayed };
    Ok(created(&once, &location, payment))
}

/// Who is paid: one of the two.
#[derive(Debug, Clone, Copy)]
enum Payee {
    Merchant(MerchantId),
    Beneficiary(BeneficiaryId),
}

fn payee(check: &mut Check, body: &wire::CreatePayment) -> Option<Payee> {
    match (&body.merchant_id, &body.beneficiary_id) {
        // One that was sent and is of no shape is told of already.
        (None, None) if check.is_mended("/merchant_id") || check.is_mended("/beneficiary_id") => None,
        (Some(id), None) => check.id("/merchant_id", id).map(Payee::Merchant),
        (None, Some(id)) => check.id("/beneficiary_id", id).map(Payee::Beneficiary),
        (None, None) => {
            check.refuse("/merchant_id", "required", "name a merchant or a beneficiary");
            None
        }
        (Some(_), Some(_)) => {
            check.refuse(
                "/beneficiary_id",
                "not_allowed",
                "name a merchant or a beneficiary, not both",
            );
            None
        }
    }
}

/// Take back a payment to a beneficiary that has not left the bank.
#[utoipa::path(post, path = "/api/v1/payments/{id}/cancel", tag = "payments",
    params(("id" = String, Path, description = "The payment."),
        ("Idempotency-Key" = String, Header, description = "Your name for this one intent.")),
    responses((status = 200, description = "Taken back.", body = wire::Payment)))]
async fn cancel(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    IdempotencyKey(key): IdempotencyKey,
) -> Result<Response, Problem> {
    let once = state.bank.cancel_payment(&cx, payment_id(&id)?, key).await?;
    let payment = sending_to_wire(&once.value);
    Ok(answered(StatusCode::OK, &once, payment))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// What this merchant of yours was paid; what you paid when absent.
    merchant_id: Option<String>,
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List payments, newest first.
#[utoipa::path(get, path = "/api/v1/payments", tag = "payments", params(ListQuery),
    responses((status = 200, description = "A page of payments.", body = Page<wire::Payment>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<Page<wire::Payment>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let merchant: Option<Option<MerchantId>> = match &query.merchant_id {
        Some(text) => check.id("?merchant_id", text).map(Some),
        None => Some(None),
    };
    let before: Option<Option<PaymentId>> = match &query.cursor {
        Some(text) => check.id("?cursor", text).map(Some),
        None => Some(None),
    };
    let ((limit, merchant), before) = check.done(limit.zip(merchant).zip(before))?;
    let more = limit.saturating_add(1);
    let found: Vec<AnyPayment> = match merchant {
        Some(_) => {
            let found = state.bank.payments(&cx, merchant, before, more).await?;
            found.into_iter().map(AnyPayment::Merchant).collect()
        }
        None => state.bank.any_payments(&cx, before, more).await?,
    };
    Ok(Json(page_of(
        found,
        limit,
        |last| last.id().to_string(),
        |payment| any_to_wire(&payment),
    )))
}

/// Read a payment that you are a party of.
#[utoipa::path(get, path = "/api/v1/payments/{id}", tag = "payments", params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The payment.", body = wire::Payment)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Payment>, Problem> {
    let payment = state.bank.any_payment(&cx, payment_id(&id)?).await?;
    Ok(Json(any_to_wire(&payment)))
}

/// Give back some of a payment that you were paid, or all that is left.
#[utoipa::path(post, path = "/api/v1/payments/{id}/refund", tag = "payments", request_body = Option<wire::RefundPayment>,
    params(("id" = String, Path, description = "The payment."),
        ("Idempotency-Key" = String, Header, description = "Your name for this one intent.")),
    responses((status = 201, description = "Given back.", body = wire::Refund)))]
async fn refund(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    IdempotencyKey(key): IdempotencyKey,
    OptionalJsonDraft(draft): OptionalJsonDraft<wire::RefundPayment>,
) -> Result<Response, Problem> {
    let input = RefundPayment {
        amount: draft.done(|body, check| match &body.amount {
            Some(amount) => check.amount("/amount", amount).map(Some),
            None => Some(None),
        })?,
        payment: payment_id(&id)?,
        idempotency_key: key,
    };
    let once = state.bank.refund_payment(&cx, input).await?;
    let location = format!("/api/v1/payments/{}/refunds", once.value.payment.id);
    Ok(created(&once, &location, refund_to_wire(&once.value)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RefundsQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List what was given back of a payment, in that order.
#[utoipa::path(get, path = "/api/v1/payments/{id}/refunds", tag = "payments",
    params(("id" = String, Path, description = "The payment."), RefundsQuery),
    responses((status = 200, description = "A page of refunds.", body = Page<wire::Refund>)))]
async fn list_refunds(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    QueryParams(query): QueryParams<RefundsQuery>,
) -> Result<Json<Page<wire::Refund>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let after = match query.cursor.as_deref().map(str::parse::<i64>) {
        None => Some(0),
        Some(Ok(after)) if after > 0 => Some(after),
        Some(_) => {
            check.refuse("?cursor", "invalid_value", "must be the cursor of a page before");
            None
        }
    };
    let (limit, after) = check.done(limit.zip(after))?;
    let more = limit.saturating_add(1);
    let found = state.bank.refunds(&cx, payment_id(&id)?, after, more).await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.refunded.refunded.to_string(),
        |refund| refund_to_wire(&refund),
    )))
}

fn payment_id(text: &str) -> Result<PaymentId, Problem> {
    path_id::<PaymentKind>(text).map_err(|_| strongroom_app::Error::from(Refusal::PaymentNotFound).into())
}

fn money(amount: i64, currency: strongroom_domain::money::Currency) -> Money {
    Money {
        amount,
        currency: currency.code().to_owned(),
    }
}

fn to_wire(details: &PaymentDetails) -> wire::Payment {
    let payment = &details.payment;
    let transfer: TransferId = payment.id.cast();
    wire::Payment {
        id: payment.id.to_string(),
        state: payment.status().to_owned(),
        from_account_id: payment.account.to_string(),
        merchant_id: Some(payment.merchant.to_string()),
        beneficiary_id: None,
        beneficiary_name: None,
        transfer_id: transfer.to_string(),
        amount: money(payment.amount.minor(), payment.currency),
        refunded: Some(money(payment.refunded, payment.currency)),
        remaining: Some(money(payment.left(), payment.currency)),
        returned_by: None,
        reference: details.reference.clone(),
        created_at: payment.paid_at.to_string(),
    }
}

fn any_to_wire(payment: &AnyPayment) -> wire::Payment {
    match payment {
        AnyPayment::Merchant(details) => to_wire(details),
        AnyPayment::Beneficiary(details) => sending_to_wire(details),
    }
}

fn sending_to_wire(details: &SendingDetails) -> wire::Payment {
    let payment = &details.payment;
    let transfer: TransferId = payment.id.cast();
    wire::Payment {
        id: payment.id.to_string(),
        state: payment.state.name().to_owned(),
        from_account_id: payment.account.to_string(),
        merchant_id: None,
        beneficiary_id: Some(payment.beneficiary.to_string()),
        beneficiary_name: details.payee.as_ref().map(|payee| payee.name.clone()),
        transfer_id: transfer.to_string(),
        amount: money(payment.amount.minor(), payment.currency),
        refunded: None,
        remaining: None,
        returned_by: details
            .returned_by
            .map(|id| id.cast::<TransferKind>().to_string()),
        reference: details.reference.clone(),
        created_at: payment.paid_at.to_string(),
    }
}

fn refund_to_wire(details: &RefundDetails) -> wire::Refund {
    let payment = &details.payment;
    wire::Refund {
        id: details.id().to_string(),
        payment_id: payment.id.to_string(),
        payment_state: payment.status().to_owned(),
        amount: money(details.refunded.amount.minor(), payment.currency),
        refunded: money(payment.refunded, payment.currency),
        remaining: money(payment.left(), payment.currency),
        created_at: details.refunded.at.to_string(),
    }
}
