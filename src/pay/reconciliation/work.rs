//! The jobs: one a report, one a day that asks for the reports of all organisations, and one an hour that ends reports
//! whose job is no more.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    app::App,
    clock::Clock,
    db::{Conn, Db, transaction},
    error::{Error, Result},
    jobs::{self, Handler, Job, Kind, NewJob, Schedule},
};

use super::{
    super::audit,
    anomalies::{self, Anomaly},
    input::Period,
    items::{self, Item},
    matching,
    reports::{self, Cause, End, Figures, NewReport},
};

/// Makes a report.
const KIND: &str = "pay_reconciliation";
/// Asks for the reports of a day.
const DAILY: &str = "pay_reconciliation_daily";
/// Ends reports whose job is no more.
const ORPHANS: &str = "pay_reconciliation_orphans";

/// Attempts before a report is given up.
const ATTEMPTS_MAX: i32 = 5;
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(540);
/// The same for each of its statements: the database gives up what nobody waits for any more.
const STATEMENT_TIMEOUT: &str = "SET LOCAL statement_timeout = '540s'";
/// When the day's reports are asked for, in UTC.
const DAILY_HOUR: u32 = 3;
/// How long a report may be without a job before it is given up.
const ORPHAN_AGE: TimeDelta = TimeDelta::hours(1);
/// Organisations, or reports, of one statement.
const BATCH_ROWS: usize = 100;

const GIVEN_UP: &str = "The reconciliation was interrupted too often; trigger the period once more";

/// The job of a report. One report of an organisation is made at a time; what somebody waits for goes before the daily
/// reports of other organisations.
pub(super) fn job(report: &NewReport) -> NewJob {
    NewJob {
        org_id: Some(report.org_id.clone()),
        ordering_key: Some(format!("{KIND}:{}", report.org_id)),
        priority: i16::from(report.cause == Cause::Trigger),
        ..NewJob::new(KIND, json!({"report_id": report.id}))
    }
}

/// Adds the kinds and the schedules.
pub(in super::super) fn work(app: &App, registry: &mut jobs::Registry) {
    let (db, clock) = (&app.db, &app.clock);
    registry
        .kind(Kind {
            concurrency: 2,
            attempts_max: ATTEMPTS_MAX,
            timeout: ATTEMPT_TIMEOUT + Duration::from_secs(30),
            ..Kind::new(
                KIND,
                Arc::new(Reconcile {
                    db: db.clone(),
                    clock: clock.clone(),
                }),
            )
        })
        .kind(Kind {
            concurrency: 1,
            ..Kind::new(
                DAILY,
                Arc::new(Daily {
                    db: db.clone(),
                    clock: clock.clone(),
                }),
            )
        })
        .kind(Kind {
            concurrency: 1,
            ..Kind::new(
                ORPHANS,
                Arc::new(Orphans {
                    db: db.clone(),
                    clock: clock.clone(),
                }),
            )
        })
        .schedule(
            DAILY,
            Schedule::Daily {
                hour: DAILY_HOUR,
                minute: 0,
            },
            DAILY,
        )
        .schedule(ORPHANS, Schedule::Hourly { minute: 10 }, ORPHANS);
}

/// What a report says.
struct Outcome {
    figures: Figures,
    items: Vec<Item>,
    anomalies: Vec<Anomaly>,
}

struct Reconcile {
    db: Db,
    clock: Clock,
}

#[async_trait::async_trait]
impl Handler for Reconcile {
    async fn run(&self, job: &Job) -> Result<()> {
        let (Some(org_id), Some(id)) = (job.org_id.as_deref(), job.payload["report_id"].as_str())
        else {
            return Err(Error::internal(anyhow::anyhow!("a job without a report")));
        };
        let made = timeout(ATTEMPT_TIMEOUT, self.make(job, (org_id, id))).await;
        let made = made.unwrap_or_else(|_| {
            Err(Error::unavailable(
                "RECONCILIATION_TOO_LARGE",
                "The reconciliation took too long; trigger shorter periods",
                anyhow::anyhow!("an attempt took longer than {ATTEMPT_TIMEOUT:?}"),
            ))
        });
        let Err(error) = made else { return Ok(()) };
        if job.attempts >= ATTEMPTS_MAX {
            self.give_up(job, (org_id, id), &error.message).await?;
        }
        Err(error)
    }
}

impl Reconcile {
    /// Reads everything at one instant; then writes it with the end of the report. Nothing happens to a report that has
    /// ended, or under a lease that is lost.
    async fn make(&self, job: &Job, (org_id, id): (&str, &str)) -> Result<()> {
        let read = self
            .db
            .transaction("pay_reconciliation_read", async |conn: &mut Conn| {
                transaction::begin_snapshot(conn).await?;
                diesel::sql_query(STATEMENT_TIMEOUT).execute(conn).await?;
                match reports::find(conn, org_id, id).await? {
                    Some(report) if report.status == reports::PROCESSING => {
                        Ok(Some(read(conn, org_id, report.period()).await?))
                    }
                    _ => Ok(None),
                }
            });
        let Some(outcome) = read.await? else {
            return Ok(());
        };
        let (now, outcome) = (self.clock.now(), &outcome);
        self.db
            .transaction("pay_reconciliation_end", async |conn: &mut Conn| {
                let end = End::Completed(&outcome.figures);
                if jobs::holds(conn, job).await?
                    && reports::end(conn, (org_id, id), end, now).await?
                {
                    items::insert(conn, (org_id, id), &outcome.items, &outcome.anomalies).await?;
                }
                Ok(())
            })
            .await
    }

    async fn give_up(&self, job: &Job, of: (&str, &str), why: &str) -> Result<()> {
        let now = self.clock.now();
        self.db
            .transaction("pay_reconciliation_fail", async |conn: &mut Conn| {
                if jobs::holds(conn, job).await? {
                    reports::end(conn, of, End::Failed(why), now).await?;
                }
                Ok(())
            })
            .await
    }
}

/// Everything a report says, in a transaction that sees one instant.
async fn read(conn: &mut Conn, org_id: &str, period: Period) -> Result<Outcome> {
    let counts = matching::counts(conn, org_id, period).await?;
    let volumes = matching::volumes(conn, org_id, period).await?;
    let items = matching::items(conn, org_id, period).await?;
    let audit = audit::run(conn, Some(org_id)).await?;
    let mut anomalies = anomalies::of_ledger(&audit);
    let (unusual, unusual_count) = anomalies::find(conn, org_id, period).await?;
    anomalies.extend(unusual);
    let ledger_fault_count = audit.fault_count();
    let figures = Figures {
        total_transactions: counts.payments,
        matched_count: counts.matched,
        unmatched_payment_count: counts.unmatched_payments,
        unmatched_record_count: counts.unmatched_records,
        discrepancy_count: counts.discrepancies,
        anomaly_count: ledger_fault_count.saturating_add(unusual_count),
        ledger_fault_count,
        volumes: json!(volumes),
    };
    Ok(Outcome {
        figures,
        items,
        anomalies,
    })
}

struct Daily {
    db: Db,
    clock: Clock,
}

#[async_trait::async_trait]
impl Handler for Daily {
    async fn run(&self, job: &Job) -> Result<()> {
        let slot_at = job.payload["slot_at"].as_str();
        let slot_at: DateTime<Utc> = slot_at
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::internal(anyhow::anyhow!("a job without a slot")))?;
        let period = Period::up_to(slot_at - TimeDelta::hours(24), slot_at);
        let (now, mut after) = (self.clock.now(), String::new());
        loop {
            let from = after.as_str();
            let active = self
                .db
                .transaction("pay_reconciliation_daily", async |conn: &mut Conn| {
                    let active = active(conn, from, period).await?;
                    let new: Vec<_> = active
                        .iter()
                        .map(|of| NewReport::new(&of.org_id, Cause::Daily, period))
                        .collect();
                    if !new.is_empty() {
                        reports::insert(conn, &new, now).await?;
                    }
                    Ok(active)
                })
                .await?;
            let is_last = active.len() < BATCH_ROWS;
            match active.into_iter().next_back() {
                Some(last) if !is_last => after = last.org_id,
                _ => return Ok(()),
            }
        }
    }
}

#[derive(QueryableByName)]
struct Active {
    #[diesel(sql_type = Text)]
    org_id: String,
}

/// The next organisations that paid, were paid, moved money or pushed records in the period.
async fn active(conn: &mut Conn, after: &str, period: Period) -> QueryResult<Vec<Active>> {
    let sql = format!(
        "SELECT o.id AS org_id FROM organizations o WHERE o.id > $1 AND ( \
         EXISTS (SELECT 1 FROM transactions t WHERE t.org_id = o.id AND t.created_at >= $2 AND t.created_at < $3) \
         OR EXISTS (SELECT 1 FROM wallets w WHERE w.org_id = o.id AND w.last_transaction_at >= $2) \
         OR EXISTS (SELECT 1 FROM data_records d WHERE d.org_id = o.id AND d.created_at >= $2 AND d.created_at < $3)) \
         ORDER BY o.id LIMIT {BATCH_ROWS}"
    );
    diesel::sql_query(sql)
        .bind::<Text, _>(after)
        .bind::<Timestamptz, _>(period.start)
        .bind::<Timestamptz, _>(period.before())
        .load(conn)
        .await
}

struct Orphans {
    db: Db,
    clock: Clock,
}

#[derive(QueryableByName)]
struct Orphan {
    #[diesel(sql_type = Text)]
    org_id: String,
    #[diesel(sql_type = Text)]
    id: String,
}

#[async_trait::async_trait]
impl Handler for Orphans {
    async fn run(&self, _: &Job) -> Result<()> {
        let now = self.clock.now();
        loop {
            let count = self
                .db
                .transaction("pay_reconciliation_orphans", async |conn: &mut Conn| {
                    let orphans = orphans(conn, now - ORPHAN_AGE).await?;
                    // Workers that died with every attempt are rare: at most a batch, one short statement each.
                    for orphan in &orphans {
                        let of = (orphan.org_id.as_str(), orphan.id.as_str());
                        reports::end(conn, of, End::Failed(GIVEN_UP), now).await?;
                    }
                    Ok(orphans.len())
                })
                .await?;
            if count < BATCH_ROWS {
                return Ok(());
            }
        }
    }
}

/// Reports that are said to be made, and that no job makes: every attempt was interrupted, so nobody could say it failed.
async fn orphans(conn: &mut Conn, before: DateTime<Utc>) -> QueryResult<Vec<Orphan>> {
    diesel::sql_query(
        "SELECT r.org_id, r.id FROM reconciliation_reports r WHERE r.status = 'processing' AND r.created_at < $1 \
         AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.kind = $2 AND j.state IN ('waiting', 'running') \
         AND j.org_id = r.org_id AND j.payload ->> 'report_id' = r.id) ORDER BY r.org_id, r.id LIMIT $3",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<Text, _>(KIND)
    .bind::<BigInt, _>(i64::try_from(BATCH_ROWS).unwrap_or(i64::MAX))
    .load(conn)
    .await
}
