//! `/beneficiaries`: whom a customer pays by a name of the customer's own.

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use strongroom_api::{
    beneficiaries as wire,
    money::{Money, Page},
};
use strongroom_app::money::beneficiaries::{AddBeneficiary, BeneficiaryDetails};
use strongroom_domain::{
    id::{BeneficiaryId, BeneficiaryKind},
    ledger::Refusal,
    text::NAME_CHARS_MAX,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonDraft, QueryParams},
    layers::Record,
    state::AppState,
    v1::{
        check::path_id,
        page::{PageQuery, page_of},
    },
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(add, list))
        .routes(routes!(check_name))
        .routes(routes!(read, remove))
}

/// Put somebody on your list of payees.
///
/// Needs a fresh factor that approves exactly this name and number; you are told by mail. Little is paid to a
/// beneficiary who is new: `available` says how much, `new_until` for how long.
#[utoipa::path(post, path = "/api/v1/beneficiaries", tag = "payments", request_body = wire::AddBeneficiary,
    responses((status = 201, description = "On the list.", body = wire::Beneficiary)))]
async fn add(
    State(state): State<AppState>,
    Auth(cx): Auth,
    draft: JsonDraft<wire::AddBeneficiary>,
) -> Result<Response, Problem> {
    let input = draft.done(|body, check| {
        let name = check.line("/name", &body.name, NAME_CHARS_MAX, true);
        let number = check.iban("/account_number", &body.account_number);
        let currency = check.currency("/currency", &body.currency);
        name.zip(number)
            .zip(currency)
            .map(|((name, number), currency)| AddBeneficiary {
                name,
                number,
                currency,
            })
    })?;
    let added = state.bank.add_beneficiary(&cx, input).await?;
    let location = format!("/api/v1/beneficiaries/{}", added.beneficiary.id);
    let headers = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(to_wire(&added))).into_response())
}

/// List your beneficiaries, newest first.
#[utoipa::path(get, path = "/api/v1/beneficiaries", tag = "payments", params(PageQuery),
    responses((status = 200, description = "A page of beneficiaries.", body = Page<wire::Beneficiary>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::Beneficiary>>, Problem> {
    let (limit, before) = query.page()?;
    let more = limit.saturating_add(1);
    let found = state.bank.beneficiaries(&cx, before, more).await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.beneficiary.id.to_string(),
        |item| to_wire(&item),
    )))
}

/// Compare a name with that of an account's holder.
///
/// The answer is whether they are the same, nearly the same, or not: never the name. A class of its own bounds how
/// often anybody may ask.
#[utoipa::path(post, path = "/api/v1/beneficiaries/name-check", tag = "payments", request_body = wire::CheckName,
    responses((status = 200, description = "How the names compare.", body = wire::NameChecked)))]
async fn check_name(
    State(state): State<AppState>,
    Auth(cx): Auth,
    record: Record,
    draft: JsonDraft<wire::CheckName>,
) -> Result<Json<wire::NameChecked>, Problem> {
    let (name, number) = draft.done(|body, check| {
        let name = check.line("/name", &body.name, NAME_CHARS_MAX, true);
        let number = check.iban("/account_number", &body.account_number);
        name.zip(number)
    })?;
    record.limits().payee_check(&record, &cx).await?;
    let result = state.bank.check_payee(&cx, &number, &name).await?;
    Ok(Json(wire::NameChecked {
        result: result.name().to_owned(),
    }))
}

/// Read one of your beneficiaries.
#[utoipa::path(get, path = "/api/v1/beneficiaries/{id}", tag = "payments",
    params(("id" = String, Path, description = "The beneficiary.")),
    responses((status = 200, description = "The beneficiary.", body = wire::Beneficiary)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Beneficiary>, Problem> {
    let found = state.bank.beneficiary(&cx, beneficiary_id(&id)?).await?;
    Ok(Json(to_wire(&found)))
}

/// Take a beneficiary off your list. What was paid to it stays as it is.
#[utoipa::path(delete, path = "/api/v1/beneficiaries/{id}", tag = "payments",
    params(("id" = String, Path, description = "The beneficiary.")),
    responses((status = 204, description = "Off the list.")))]
async fn remove(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.bank.remove_beneficiary(&cx, beneficiary_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn beneficiary_id(text: &str) -> Result<BeneficiaryId, Problem> {
    path_id::<BeneficiaryKind>(text)
        .map_err(|_| strongroom_app::Error::from(Refusal::BeneficiaryNotFound).into())
}

pub(crate) fn to_wire(details: &BeneficiaryDetails) -> wire::Beneficiary {
    let known = &details.beneficiary;
    let bank = if known.account.is_some() { "this" } else { "other" };
    let (name, number) = details.payee.as_ref().map_or_else(Default::default, |payee| {
        (payee.name.clone(), payee.number.clone())
    });
    wire::Beneficiary {
        id: known.id.to_string(),
        name,
        account_number: number,
        currency: known.currency.code().to_owned(),
        bank: bank.to_owned(),
        new_until: details.new_until.map(|until| until.to_string()),
        available: details.left.map(|left| Money {
            amount: left,
            currency: known.currency.code().to_owned(),
        }),
        created_at: known.added_at.to_string(),
    }
}
