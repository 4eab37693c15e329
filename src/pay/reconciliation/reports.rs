//! Reports as rows: how they begin, how they end, and how they are read.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    db::Conn,
    events::{self, NewEvent},
    ids,
    jobs::{self, NewJob},
    proto::pulpo::pay::v1 as pb,
};

use super::{
    super::{
        money::decimal,
        schema::reconciliation_reports,
        time::{self, optional_timestamp, timestamp},
    },
    input::{Filter, Period},
    work,
};

/// The status of a report that its job has not ended.
pub(super) const PROCESSING: &str = "processing";

/// Why a report is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A call.
    Trigger,
    /// The schedule.
    Daily,
}

/// A report to be made.
#[derive(Clone, Debug)]
pub(super) struct NewReport {
    pub(super) org_id: String,
    pub(super) id: String,
    pub(super) cause: Cause,
    pub(super) period: Period,
}

impl NewReport {
    pub(super) fn new(org_id: &str, cause: Cause, period: Period) -> Self {
        Self {
            org_id: org_id.to_owned(),
            id: ids::short("rec", 12),
            cause,
            period,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = reconciliation_reports)]
struct NewRow<'a> {
    org_id: &'a str,
    id: &'a str,
    cause: &'static str,
    period_start: DateTime<Utc>,
    period_end: DateTime<Utc>,
    status: &'static str,
    created_at: DateTime<Utc>,
}

/// The payments in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Volume {
    /// ISO 4217 code.
    pub(super) currency: String,
    /// How many.
    pub(super) count: i64,
    /// What they amount to, cut to 64 bits.
    pub(super) amount_minor: i64,
}

/// What a report counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = reconciliation_reports)]
pub(super) struct Figures {
    pub(super) total_transactions: i64,
    pub(super) matched_count: i64,
    pub(super) unmatched_payment_count: i64,
    pub(super) unmatched_record_count: i64,
    pub(super) discrepancy_count: i64,
    pub(super) anomaly_count: i64,
    pub(super) ledger_fault_count: i64,
    /// The [`Volume`]s.
    pub(super) volumes: Value,
}

/// A stored report.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = reconciliation_reports, check_for_backend(diesel::pg::Pg))]
pub(super) struct ReportRow {
    pub(super) id: String,
    cause: String,
    period_start: DateTime<Utc>,
    period_end: DateTime<Utc>,
    pub(super) status: String,
    total_transactions: i64,
    matched_count: i64,
    unmatched_payment_count: i64,
    unmatched_record_count: i64,
    discrepancy_count: i64,
    anomaly_count: i64,
    ledger_fault_count: i64,
    volumes: Value,
    failure: Option<String>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

impl ReportRow {
    pub(super) fn period(&self) -> Period {
        Period {
            start: self.period_start,
            end: self.period_end,
        }
    }

    fn volumes(&self) -> Vec<Volume> {
        serde_json::from_value(self.volumes.clone()).unwrap_or_default()
    }

    /// The document's report.
    pub(super) fn summary(&self) -> pb::ReconciliationReport {
        let volumes = self.volumes();
        let main_minor = volumes.as_slice().first().map_or(0, |v| v.amount_minor);
        let unmatched = self.unmatched_payment_count + self.unmatched_record_count;
        pb::ReconciliationReport {
            id: self.id.clone(),
            report_period_start: Some(timestamp(self.period_start)),
            report_period_end: Some(timestamp(self.period_end)),
            total_transactions: self.total_transactions,
            matched_count: self.matched_count,
            unmatched_count: unmatched,
            discrepancy_count: self.discrepancy_count,
            total_volume: Some(decimal(main_minor)),
            status: self.status.clone(),
            created_at: Some(timestamp(self.created_at)),
        }
    }

    /// All of it but its lists.
    pub(super) fn detail(&self) -> pb::GetReconciliationReportResponse {
        let volumes = self.volumes();
        pb::GetReconciliationReportResponse {
            report: Some(self.summary()),
            cause: self.cause.clone(),
            currency: volumes
                .as_slice()
                .first()
                .map(|volume| volume.currency.clone()),
            volumes: volumes
                .into_iter()
                .map(|volume| pb::ReconciliationVolume {
                    currency: volume.currency,
                    count: volume.count,
                    amount: Some(decimal(volume.amount_minor)),
                })
                .collect(),
            unmatched_payment_count: self.unmatched_payment_count,
            unmatched_record_count: self.unmatched_record_count,
            anomaly_count: self.anomaly_count,
            ledger_fault_count: self.ledger_fault_count,
            failure: self.failure.clone(),
            ended_at: optional_timestamp(self.ended_at),
            ..Default::default()
        }
    }
}

/// Writes the reports with their jobs, in the caller's transaction; those of a day that are there already are left alone.
/// Answers how many were written.
pub(super) async fn insert(
    conn: &mut Conn,
    new: &[NewReport],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let rows: Vec<NewRow<'_>> = new
        .iter()
        .map(|report| NewRow {
            org_id: &report.org_id,
            id: &report.id,
            cause: match report.cause {
                Cause::Trigger => "trigger",
                Cause::Daily => "daily",
            },
            period_start: report.period.start,
            period_end: report.period.end,
            status: PROCESSING,
            created_at: now,
        })
        .collect();
    let inserted: Vec<String> = diesel::insert_into(reconciliation_reports::table)
        .values(&rows)
        .on_conflict_do_nothing()
        .returning(reconciliation_reports::id)
        .get_results(conn)
        .await?;
    let jobs: Vec<NewJob> = new
        .iter()
        .filter(|report| inserted.contains(&report.id))
        .map(work::job)
        .collect();
    if !jobs.is_empty() {
        jobs::enqueue(conn, &jobs, now).await?;
    }
    Ok(jobs.len())
}

/// How many of the organisation's reports have not ended.
pub(super) async fn count_processing(conn: &mut Conn, org_id: &str) -> QueryResult<i64> {
    reconciliation_reports::table
        .filter(reconciliation_reports::org_id.eq(org_id))
        .filter(reconciliation_reports::status.eq(PROCESSING))
        .count()
        .get_result(conn)
        .await
}

/// The organisation's report.
pub(super) async fn find(
    conn: &mut Conn,
    org_id: &str,
    id: &str,
) -> QueryResult<Option<ReportRow>> {
    reconciliation_reports::table
        .find((org_id, id))
        .select(ReportRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// The organisation's reports, newest first.
pub(super) async fn list(
    conn: &mut Conn,
    org_id: &str,
    filter: &Filter,
) -> QueryResult<Vec<ReportRow>> {
    let mut query = reconciliation_reports::table
        .filter(reconciliation_reports::org_id.eq(org_id))
        .order((
            reconciliation_reports::created_at.desc(),
            reconciliation_reports::seq.desc(),
        ))
        .limit(filter.limit)
        .offset(filter.offset)
        .select(ReportRow::as_select())
        .into_boxed();
    if let Some(from) = filter.from {
        query = query.filter(reconciliation_reports::period_start.ge(from));
    }
    if let Some(before) = filter.before {
        query = query.filter(reconciliation_reports::period_end.lt(before));
    }
    query.load(conn).await
}

/// How a report ends.
pub(super) enum End<'a> {
    /// With these figures.
    Completed(&'a Figures),
    /// Because of this, as a sentence for the organisation.
    Failed(&'a str),
}

/// Ends a report that is being made, and tells the organisation's stream; false when it has ended before.
pub(super) async fn end(
    conn: &mut Conn,
    (org_id, id): (&str, &str),
    end: End<'_>,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let (status, failure, figures, kind) = match end {
        End::Completed(figures) => (
            "completed",
            None,
            figures.clone(),
            "reconciliation.completed",
        ),
        End::Failed(why) => (
            "failed",
            Some(why),
            Figures {
                volumes: json!([]),
                ..Figures::default()
            },
            "reconciliation.failed",
        ),
    };
    let ended = diesel::update(reconciliation_reports::table.find((org_id, id)))
        .filter(reconciliation_reports::status.eq(PROCESSING))
        .set((
            figures,
            reconciliation_reports::status.eq(status),
            reconciliation_reports::failure.eq(failure),
            reconciliation_reports::ended_at.eq(now),
        ))
        .returning(ReportRow::as_returning())
        .get_result::<ReportRow>(conn)
        .await
        .optional()?;
    let Some(report) = ended else {
        return Ok(false);
    };
    let event = NewEvent {
        org_id: org_id.to_owned(),
        kind,
        subject: id.to_owned(),
        payload: events::json(&report.payload()),
    };
    events::append(conn, &[event], now).await?;
    Ok(true)
}

impl ReportRow {
    /// What the organisation's stream says of it.
    fn payload(&self) -> Value {
        json!({
            "report_id": self.id,
            "cause": self.cause,
            "status": self.status,
            "period_start": time::text(self.period_start),
            "period_end": time::text(self.period_end),
            "total_transactions": self.total_transactions,
            "matched_count": self.matched_count,
            "unmatched_count": self.unmatched_payment_count + self.unmatched_record_count,
            "discrepancy_count": self.discrepancy_count,
            "anomaly_count": self.anomaly_count,
            "ledger_fault_count": self.ledger_fault_count,
            "failure": self.failure,
        })
    }
}
