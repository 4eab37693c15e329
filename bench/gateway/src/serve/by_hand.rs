//! The same API by hand: axum handlers and serde messages, with the limits the gateway has.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Query, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, header};

use super::MAX_BODY_BYTES;
use crate::model::{self, Account, Document, Note, Page, PageQuery, Payment};

type Rows = Arc<[Payment]>;

pub(super) fn router() -> Router {
    let rows: Rows = Payment::samples().into();
    Router::new()
        .route("/v1/payments:echo", post(echo_payment))
        .route("/v1/payments", get(list_payments))
        .route("/v1/accounts/{id}", get(get_account))
        .route("/v1/documents:echo", post(echo_document))
        .route("/v1/notes:echo", post(echo_note))
        .route("/v1/payments:watch", get(watch_payments))
        .route("/v1/payments:await", get(await_payments))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(rows)
}

async fn echo_payment(Json(payment): Json<Payment>) -> Json<Payment> {
    Json(payment)
}

async fn list_payments(State(rows): State<Rows>, Query(_): Query<PageQuery>) -> Json<Page> {
    Json(Page {
        payments: rows.to_vec(),
        next_page_token: model::PAGE.to_string(),
    })
}

async fn get_account(Path(id): Path<String>) -> Json<Account> {
    Json(Account::sample(id))
}

async fn echo_document(Json(document): Json<Document>) -> Json<Document> {
    Json(document)
}

async fn echo_note(Json(note): Json<Note>) -> Json<Note> {
    Json(note)
}

fn payments(rows: Rows) -> impl Iterator<Item = Payment> {
    (0..model::STREAM).filter_map(move |n| rows.get(n % rows.len()).cloned())
}

async fn watch_payments(State(rows): State<Rows>, headers: HeaderMap) -> Response {
    let wants_events = headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept == "text/event-stream");
    if wants_events {
        return events(stream::iter(payments(rows))).into_response();
    }
    let lines = payments(rows).map(|payment| {
        let mut line = serde_json::to_vec(&payment)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(line)
    });
    let media_type = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (media_type, Body::from_stream(stream::iter(lines))).into_response()
}

async fn await_payments(State(rows): State<Rows>) -> impl IntoResponse {
    let first = rows.first().cloned();
    events(stream::iter(first).chain(stream::pending::<Payment>()))
}

fn events(
    payments: impl Stream<Item = Payment> + Send + 'static,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + Send + 'static> {
    // A payment always serialises: its names are texts and its numbers finite.
    let event = |payment| Ok(Event::default().json_data(payment).unwrap_or_default());
    Sse::new(payments.map(event)).keep_alive(KeepAlive::default())
}
