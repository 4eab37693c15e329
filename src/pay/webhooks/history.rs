//! What was sent to an endpoint, sending a test, and sending what was missed.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Jsonb, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::{
    db::Conn,
    delivery::{
        endpoints::{DISABLED, EndpointRow},
        fanout,
        history::{self, DeliveryRow},
        sender::Sending,
    },
    error::{Error, Result},
    events::consumer::{Consumer, Event},
    identity::Caller,
    ids,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    super::{Pay, input::Input},
    Deliveries, PROFILE, TEST_EVENT, endpoints, messages,
};

/// Rows of a page when no limit is given.
const LIMIT_DEFAULT: i64 = 50;
/// Most rows of a page; higher limits are cut to it.
const LIMIT_MAX: i64 = 200;
/// Most events of one replay.
const REPLAY_MAX: i64 = 10_000;
/// How far back a replay reaches: as long as what was delivered is known.
const REPLAY_DAYS: i64 = 30;

/// A page of what was sent, newest first.
pub(super) async fn list(
    pay: &Pay,
    caller: &Caller,
    request: &pb::ListWebhookDeliveriesRequest,
) -> Result<Vec<DeliveryRow>> {
    let mut input = Input::default();
    let limit = input.limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX);
    input.finish()?;
    let mut conn = pay.db.connection().await?;
    let endpoint = endpoints::find(&mut conn, caller, &request.id).await?;
    Ok(history::list(&mut conn, &endpoint.org_id, &endpoint.id, limit).await?)
}

/// One delivery.
pub(super) async fn detail(
    pay: &Pay,
    caller: &Caller,
    request: &pb::GetWebhookDeliveryRequest,
) -> Result<DeliveryRow> {
    let mut conn = pay.db.connection().await?;
    let endpoint = endpoints::find(&mut conn, caller, &request.id).await?;
    let row = history::find(
        &mut conn,
        &endpoint.org_id,
        &endpoint.id,
        &request.delivery_id,
    );
    row.await?.ok_or_else(|| {
        Error::not_found(
            "DELIVERY_NOT_FOUND",
            "There is no delivery with this id; it may have been swept",
        )
    })
}

/// Sends the event `test` now.
pub(super) async fn test(pay: &Pay, caller: &Caller, id: &str) -> Result<Sending> {
    let endpoint = {
        let mut conn = pay.db.connection().await?;
        endpoints::find(&mut conn, caller, id).await?
    };
    let event_id = ids::short("evt", 12);
    let body = messages::test(&event_id, &endpoint.id, pay.clock.now());
    pay.sender
        .send_now(&PROFILE, &endpoint, &event_id, TEST_EVENT, &body)
        .await
}

/// Queues the events of a period that the endpoint asked for and that neither reached it nor are on their way; answers
/// how many.
pub(super) async fn replay(
    pay: &Pay,
    caller: &Caller,
    request: &pb::ReplayWebhookRequest,
) -> Result<usize> {
    let mut input = Input::default();
    let since = input.instant_from("since", request.since.as_deref());
    let until = input.instant_to("until", request.until.as_deref());
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        input.fault("since", "must be before until");
    }
    input.finish()?;
    let now = pay.clock.now();
    await_consumer(pay).await?;
    pay.db
        .transaction("pay_replay_webhook", async |conn: &mut Conn| {
            let endpoint = endpoints::lock(conn, caller, &request.id).await?;
            if endpoint.status == DISABLED {
                return Err(Error::precondition(
                    "WEBHOOK_DISABLED",
                    "This endpoint is disabled; make it active first",
                ));
            }
            let since = since.unwrap_or(endpoint.created_at);
            let since = since.max(now - TimeDelta::days(REPLAY_DAYS));
            let missed = missed(
                conn,
                &endpoint,
                since,
                until.unwrap_or(now + TimeDelta::days(1)),
            )
            .await?;
            let messages = messages::messages(conn, &missed).await?;
            Ok(fanout::replay(conn, PROFILE.api, &messages, &endpoint.id, now).await?)
        })
        .await
}

#[derive(QueryableByName)]
struct Missed {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

/// Waits for what the consumer writes at this moment: it may have begun while the endpoint was not active yet. It is not
/// kept waiting by the replay itself, which may take long and is of one organisation.
async fn await_consumer(pay: &Pay) -> Result<()> {
    const LOCK: &str = "SELECT 1 FROM event_cursors WHERE consumer = $1 FOR UPDATE";
    pay.db
        .transaction("pay_await_webhooks", async |conn: &mut Conn| {
            diesel::sql_query(LOCK)
                .bind::<Text, _>(Deliveries.name())
                .execute(conn)
                .await?;
            Ok(())
        })
        .await
}

/// The oldest events of the period that the endpoint asked for and that were read, but neither reached it nor are on their
/// way. Those that have not been read yet reach it anyhow. One statement sees the cursor and what was written with it, and
/// replays of one endpoint lock it, so that none is taken twice.
async fn missed(
    conn: &mut Conn,
    endpoint: &EndpointRow,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<Event>> {
    let rows: Vec<Missed> = diesel::sql_query(
        "SELECT e.seq, e.kind, e.subject, e.payload, e.created_at FROM events AS e \
         JOIN event_cursors AS c ON c.consumer = $6 WHERE e.org_id = $1 AND e.created_at >= $3 AND e.created_at < $4 AND e.kind = ANY($5) \
         AND (e.xid < c.from_xid OR (e.xid < c.to_xid AND e.seq <= c.after_seq) OR e.created_at < $7) \
         AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.org_id = $1 AND d.endpoint_id = $2 \
             AND d.event_seq = e.seq AND d.status IN ('pending', 'delivered')) \
         AND ($9 = '{}' OR EXISTS (SELECT 1 FROM transactions AS t \
             WHERE t.org_id = coalesce(e.payload ->> 'requesting_org_id', e.org_id) AND t.id = e.subject \
             AND (t.org_id = $1 AND t.requesting_agent_id = ANY($9) \
                 OR coalesce(t.counterparty_org_id, t.org_id) = $1 AND t.counterparty_agent_id = ANY($9)))) \
         ORDER BY e.seq LIMIT $8",
    )
    .bind::<Text, _>(&endpoint.org_id)
    .bind::<Text, _>(&endpoint.id)
    .bind::<Timestamptz, _>(since)
    .bind::<Timestamptz, _>(until)
    .bind::<Array<Text>, _>(&endpoint.kinds)
    .bind::<Text, _>(Deliveries.name())
    .bind::<Timestamptz, _>(endpoint.created_at)
    .bind::<BigInt, _>(REPLAY_MAX)
    // As [`messages::agents`] has them.
    .bind::<Array<Text>, _>(&endpoint.labels)
    .load(conn)
    .await?;
    let event = |row: Missed| Event {
        seq: row.seq,
        org_id: endpoint.org_id.clone(),
        kind: row.kind,
        subject: row.subject,
        payload: row.payload,
        created_at: row.created_at,
    };
    Ok(rows.into_iter().map(event).collect())
}
