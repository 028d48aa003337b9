//! `/me/export`: what is known of a person, in one document of any length.
//!
//! The document is written while it is read: a page of a history is in memory at a time, and whoever reads slowly is
//! waited for. Rights are looked at again for every page, so that an export ends with its session.

use std::io;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, header};
use serde::Serialize;
use strongroom_api::export as wire;
use strongroom_app::{
    Cx, Error,
    money::{accounts::AccountDetails, history::HistoryFilter},
};
use strongroom_domain::beneficiary::BENEFICIARIES_MAX;
use tokio::sync::mpsc;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{accounts, api_keys, beneficiaries, external, history, me, notices, passkeys};
use crate::{Problem, extract::Auth, state::AppState};

/// Things that are read at a time.
const PAGE: u32 = 100;
/// Behind the notices, before the accounts.
const BETWEEN: &str = r#"],"accounts":["#;
/// Parts that wait for a slow reader.
const PARTS_MAX: usize = 4;
const ATTACHMENT: HeaderValue = HeaderValue::from_static("attachment; filename=\"strongroom-export.json\"");

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(export))
}

/// Take a copy of everything that is known of you. Needs a step-up; the document is written while you read it, and is
/// whole only where it ends as JSON does.
#[utoipa::path(post, path = "/api/v1/me/export", tag = "me",
    responses((status = 200, description = "The copy.", body = wire::Export)))]
async fn export(State(state): State<AppState>, Auth(cx): Auth) -> Result<Response, Problem> {
    state.bank.begin_export(&cx).await?;
    let head = personal(&state, &cx).await?;
    let (parts, ready) = mpsc::channel(PARTS_MAX);
    tokio::spawn(async move {
        if let Err(error) = write(&state, cx, head, &parts).await {
            // Cut off: half a document is none.
            let _ = parts.send(Err(io::Error::other(error.code))).await;
        }
    });
    let body = Body::from_stream(stream::unfold(ready, |mut ready| async move {
        ready.recv().await.map(|part| (part, ready))
    }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CONTENT_DISPOSITION, ATTACHMENT),
    ];
    Ok((headers, body).into_response())
}

type Parts = mpsc::Sender<Result<Bytes, io::Error>>;

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// Everything but notices and accounts, up to the bracket that the notices follow.
async fn personal(state: &AppState, cx: &Cx) -> Result<String, Error> {
    let bank = &state.bank;
    let mut sessions = Vec::new();
    loop {
        let before = sessions
            .last()
            .map(|last: &strongroom_app::identity::sessions::SessionDetails| last.id);
        let page = bank.own_sessions(cx, before, PAGE).await?;
        let whole = page.len() < PAGE as usize;
        sessions.extend(page);
        if whole {
            break;
        }
    }
    let export = wire::Export {
        exported_at: cx.now().to_string(),
        you: me::user(bank.me(cx).await?),
        sessions: sessions.into_iter().map(me::session).collect(),
        passkeys: bank
            .own_passkeys(cx)
            .await?
            .into_iter()
            .map(passkeys::to_wire)
            .collect(),
        external_logins: bank
            .own_external_logins(cx)
            .await?
            .into_iter()
            .map(external::to_wire)
            .collect(),
        // There are at most as many as a page holds.
        api_keys: bank
            .own_api_keys(cx, None, PAGE)
            .await?
            .into_iter()
            .map(api_keys::to_wire)
            .collect(),
        // A list has no more.
        beneficiaries: bank
            .beneficiaries(cx, None, BENEFICIARIES_MAX)
            .await?
            .iter()
            .map(beneficiaries::to_wire)
            .collect(),
        notice_preferences: notices::preferences_to_wire(&bank.notice_wishes(cx).await?).events,
        notices: Vec::new(),
        accounts: Vec::new(),
    };
    let text = json(&export)?;
    let open = text
        .strip_suffix("]}")
        .and_then(|text| text.strip_suffix(BETWEEN))
        .ok_or_else(|| Error::broken("an export of another shape"))?;
    Ok(open.to_owned())
}

async fn send(parts: &Parts, text: String) -> Result<(), Error> {
    // Whoever reads is gone: there is nobody to be told.
    let gone = |_| Error::broken("an export that nobody reads");
    parts.send(Ok(Bytes::from(text))).await.map_err(gone)
}

async fn write(state: &AppState, cx: Cx, head: String, parts: &Parts) -> Result<(), Error> {
    send(parts, head).await?;
    write_notices(state, &cx, parts).await?;
    send(parts, BETWEEN.to_owned()).await?;
    let (mut before, mut first) = (None, true);
    loop {
        let cx = state.bank.renew(&cx).await?;
        let page = state.bank.own_accounts(&cx, before, PAGE).await?;
        before = page.last().map(|account| account.id);
        let whole = page.len() < PAGE as usize;
        for account in &page {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            let shown = json(&accounts::to_wire(account, false))?;
            send(parts, format!("{comma}{{\"account\":{shown},\"transactions\":[")).await?;
            write_history(state, &cx, account, parts).await?;
            send(parts, "]}".to_owned()).await?;
        }
        if whole {
            break;
        }
    }
    send(parts, "]}".to_owned()).await
}

async fn write_notices(state: &AppState, cx: &Cx, parts: &Parts) -> Result<(), Error> {
    let (mut before, mut comma) = (None, "");
    loop {
        let cx = state.bank.renew(cx).await?;
        let (page, _) = state.bank.notices(&cx, false, before, PAGE).await?;
        before = page.last().map(|notice| notice.row.id);
        let whole = page.len() < PAGE as usize;
        let mut text = String::new();
        for notice in page {
            text.push_str(comma);
            text.push_str(&json(&notices::to_wire(notice))?);
            comma = ",";
        }
        send(parts, text).await?;
        if whole {
            return Ok(());
        }
    }
}

async fn write_history(
    state: &AppState,
    cx: &Cx,
    account: &AccountDetails,
    parts: &Parts,
) -> Result<(), Error> {
    let (filter, mut before, mut comma) = (HistoryFilter::default(), None, "");
    loop {
        let cx = state.bank.renew(cx).await?;
        let page = state.bank.history(&cx, account.id, &filter, before, PAGE).await?;
        let mut text = String::new();
        for item in &page.items {
            text.push_str(comma);
            text.push_str(&json(&history::to_wire(item))?);
            comma = ",";
        }
        send(parts, text).await?;
        before = page.next;
        if before.is_none() {
            return Ok(());
        }
    }
}
