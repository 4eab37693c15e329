//! Reading the outbox: every committed event once, in order, whatever the order of the commits.
//!
//! Numbers of a sequence are given out before the commit, so a reader that remembers the highest one would pass over a
//! transaction that commits late. Here a reader takes windows of transactions instead: all that are over, up to the oldest
//! one that is still open. Inside a window events come in the order of writing. A window never splits what happened one after
//! the other: a transaction that waited for another one ends after it, and writes its events later.
//!
//! The cursor moves in the transaction of what the consumer writes, and its row is locked meanwhile: any number of workers
//! may run one consumer, and what it writes is written once.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    db::{Conn, Db, Plans, Topic, prepared::prepared},
    error::Result,
};

/// Events of one transaction of a consumer.
const BATCH_EVENTS: i64 = 500;
/// How often a consumer looks by itself.
const POLL: Duration = Duration::from_secs(1);
/// How long more events are waited for once there is one, or an older transaction that is still open: under load a
/// transaction reads those of many.
const GATHER: Duration = Duration::from_millis(5);
/// How long they are waited for when nobody listened to the last ones.
const GATHER_UNHEARD: Duration = Duration::from_millis(25);
/// How long it pauses after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// A committed event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in the order of writing.
    pub seq: i64,
    /// The organisation whose stream it belongs to.
    pub org_id: String,
    /// What happened.
    pub kind: String,
    /// What it happened to.
    pub subject: String,
    /// What is known of it.
    pub payload: Value,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

/// Something that reacts to events.
#[async_trait::async_trait]
pub trait Consumer: Send + Sync {
    /// The name of its cursor; never to be changed.
    fn name(&self) -> &'static str;

    /// The kinds it wants; others are passed over.
    fn kinds(&self) -> &'static [&'static str];

    /// The API whose endpoints it is for: events of organisations that have no active one are passed over. Most have none.
    fn endpoints_of(&self) -> Option<&'static str> {
        None
    }

    /// Writes what follows from these events, which are in order, in the transaction that moves the cursor.
    async fn consume(&self, conn: &mut Conn, events: &[Event], now: DateTime<Utc>) -> Result<()>;
}

/// Runs one consumer.
#[derive(Clone)]
pub struct Reader {
    db: Db,
    clock: Clock,
    consumer: Arc<dyn Consumer>,
}

/// What one round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Events read, wanted or not.
    pub read: usize,
    /// Those of them that the consumer wanted.
    pub wanted: usize,
    /// Whether there may be more right away.
    pub has_more: bool,
    /// Whether events wait for an older transaction to end.
    pub is_waiting: bool,
}

#[derive(QueryableByName)]
struct Cursor {
    #[diesel(sql_type = BigInt)]
    from_xid: i64,
    #[diesel(sql_type = BigInt)]
    to_xid: i64,
    #[diesel(sql_type = BigInt)]
    after_seq: i64,
    /// The oldest transaction that is still open.
    #[diesel(sql_type = BigInt)]
    open_xid: i64,
    /// Whether there are events from there on.
    #[diesel(sql_type = Bool)]
    is_waiting: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    org_id: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    payload: Option<Value>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

impl Reader {
    /// A reader of this consumer.
    pub fn new(db: Db, clock: Clock, consumer: Arc<dyn Consumer>) -> Self {
        Self {
            db,
            clock,
            consumer,
        }
    }

    /// Reads and consumes until `stop`; ends after the transaction in hand.
    pub async fn run(self, stop: CancellationToken) {
        let mut written = self.db.wake().listen(Topic::Events);
        let mut is_failing = false;
        let mut gather = GATHER;
        while !stop.is_cancelled() {
            written.mark_unchanged();
            let pause = match self.round().await {
                Ok(round) => {
                    is_failing = false;
                    gather = match round {
                        Round { read: 0, .. } => gather,
                        Round { wanted: 0, .. } => GATHER_UNHEARD,
                        _ => GATHER,
                    };
                    match round {
                        Round { has_more: true, .. } => continue,
                        Round {
                            is_waiting: true, ..
                        } => gather,
                        _ => POLL,
                    }
                }
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(consumer = self.consumer.name(), %error, "reading events failed; tried again");
                    }
                    is_failing = true;
                    PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                _ = written.changed(), if !is_failing => tokio::time::sleep(gather).await,
            }
        }
    }

    /// One transaction's worth. Reads nothing while another worker runs the same consumer.
    ///
    /// # Errors
    /// The database's or the consumer's; nothing was read then.
    pub async fn round(&self) -> Result<Round> {
        let now = self.clock.now();
        let round = self
            .db
            .transaction_with(Plans::Kept, "events_consume", async |conn: &mut Conn| {
                self.round_in(conn, now).await
            })
            .await?;
        metrics::counter!("pulpo_events_read_total", "consumer" => self.consumer.name())
            .increment(round.read as u64);
        Ok(round)
    }

    async fn round_in(&self, conn: &mut Conn, now: DateTime<Utc>) -> Result<Round> {
        let name = self.consumer.name();
        let Some(mut cursor) = lock(conn, name, now).await? else {
            return Ok(Round {
                read: 0,
                wanted: 0,
                has_more: false,
                is_waiting: true,
            });
        };
        let is_waiting = cursor.is_waiting;
        if cursor.from_xid == cursor.to_xid {
            cursor.to_xid = cursor.open_xid;
        }
        let rows = page(conn, &cursor, &*self.consumer).await?;
        let read = rows.len();
        let is_last = (read as i64) < BATCH_EVENTS;
        // Those that were committed since it began wake the reader.
        let is_newest = cursor.to_xid == cursor.open_xid;
        let is_window_over = is_last && (read > 0 || cursor.after_seq > 0);
        if let Some(last) = rows.last() {
            cursor.after_seq = last.seq;
        }
        let events: Vec<Event> = rows.into_iter().filter_map(wanted).collect();
        if !events.is_empty() {
            self.consumer.consume(conn, &events, now).await?;
        }
        if is_window_over {
            cursor.from_xid = cursor.to_xid;
            cursor.after_seq = 0;
        }
        // An idle consumer writes nothing: an empty window is looked at again, and grows.
        if read > 0 || is_window_over {
            advance(conn, name, &cursor, now).await?;
        }
        Ok(Round {
            read,
            wanted: events.len(),
            has_more: !(is_last && is_newest),
            is_waiting,
        })
    }
}

/// The events of a page that the consumer wants: the others come without a payload.
fn wanted(row: Row) -> Option<Event> {
    Some(Event {
        payload: row.payload?,
        seq: row.seq,
        org_id: row.org_id,
        kind: row.kind,
        subject: row.subject,
        created_at: row.created_at,
    })
}

/// The cursor, locked until the transaction ends; none while somebody else holds it. A new consumer begins with the
/// first event there is.
///
/// The commit does not wait for the disk: what is lost by a crash is lost together with the move of the cursor, and read
/// again; whatever follows from it is on disk after it.
async fn lock(conn: &mut Conn, name: &str, now: DateTime<Utc>) -> Result<Option<Cursor>> {
    const LOCK: &str = "SELECT from_xid::text::bigint AS from_xid, to_xid::text::bigint AS to_xid, after_seq, \
         pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS open_xid, \
         coalesce((SELECT xid FROM events ORDER BY xid DESC LIMIT 1) >= pg_snapshot_xmin(pg_current_snapshot()), false) AS is_waiting, \
         set_config('synchronous_commit', 'off', true) AS hurry FROM event_cursors WHERE consumer = $1 FOR UPDATE SKIP LOCKED";
    let load = async |mut conn: &Conn| {
        prepared(LOCK, |query| query.bind::<Text, _>(name))
            .get_result::<Cursor>(&mut conn)
            .await
            .optional()
    };
    if let Some(cursor) = load(conn).await? {
        return Ok(Some(cursor));
    }
    diesel::sql_query(
        "INSERT INTO event_cursors (consumer, from_xid, to_xid, after_seq, updated_at) \
         VALUES ($1, '0', '0', 0, $2) ON CONFLICT DO NOTHING",
    )
    .bind::<Text, _>(name)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(load(conn).await?)
}

/// Events, with payloads for those that the consumer wants.
macro_rules! select_wanted {
    () => {
        "SELECT e.seq, e.org_id, e.kind, e.subject, e.created_at, CASE WHEN e.kind = ANY($5) AND ($6::text IS NULL OR ( \
         SELECT true FROM delivery_endpoints d WHERE d.org_id = e.org_id AND d.api = $6 AND d.status = 'active' LIMIT 1)) THEN e.payload END \
         AS payload FROM events e "
    };
}

/// The next events of the window, in the order of writing. The first page of a window is found by its transactions, so that
/// nothing older is read; where to go on from there is known, and by functions no index is looked up that would find the
/// whole window again for each page.
async fn page(conn: &mut Conn, cursor: &Cursor, consumer: &dyn Consumer) -> Result<Vec<Row>> {
    const FIRST: &str = concat!(
        "WITH whole AS MATERIALIZED (SELECT seq FROM events WHERE xid >= $1::text::xid8 AND xid < $2::text::xid8 AND seq > $3), \
         page AS MATERIALIZED (SELECT seq FROM whole ORDER BY seq LIMIT $4) ",
        select_wanted!(),
        "WHERE e.seq IN (SELECT seq FROM page) ORDER BY e.seq"
    );
    const NEXT: &str = concat!(
        select_wanted!(),
        "WHERE xid8cmp(e.xid, $1::text::xid8) >= 0 AND xid8cmp(e.xid, $2::text::xid8) < 0 AND e.seq > $3 \
         ORDER BY e.seq LIMIT $4"
    );
    let is_first = cursor.after_seq == 0 && cursor.from_xid > 0;
    let rows = prepared(if is_first { FIRST } else { NEXT }, |query| {
        query
            .bind::<Text, _>(cursor.from_xid.to_string())
            .bind::<Text, _>(cursor.to_xid.to_string())
            .bind::<BigInt, _>(cursor.after_seq)
            .bind::<BigInt, _>(BATCH_EVENTS)
            .bind::<Array<Text>, _>(consumer.kinds())
            .bind::<Nullable<Text>, _>(consumer.endpoints_of())
    });
    Ok(rows.load(conn).await?)
}

async fn advance(conn: &mut Conn, name: &str, cursor: &Cursor, now: DateTime<Utc>) -> Result<()> {
    const ADVANCE: &str = "UPDATE event_cursors SET from_xid = $2::text::xid8, to_xid = $3::text::xid8, after_seq = $4, \
        updated_at = $5 WHERE consumer = $1";
    prepared(ADVANCE, |query| {
        query
            .bind::<Text, _>(name)
            .bind::<Text, _>(cursor.from_xid.to_string())
            .bind::<Text, _>(cursor.to_xid.to_string())
            .bind::<BigInt, _>(cursor.after_seq)
            .bind::<Timestamptz, _>(now)
    })
    .execute(conn)
    .await?;
    Ok(())
}
