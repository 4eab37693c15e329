//! `ReportService`: what the precheck found, what money moved, and how runs of agents went.
//!
//! A report on payments is about a period, 30 days up to now when none is given, and reads its parts one after the other, so that a
//! payment made meanwhile may be in one part and not in another. `totals` holds the sums over payments and wallets,
//! `compliance` what is counted over predictions, `efficiency` what is counted over runs.

mod compliance;
mod efficiency;
mod totals;

use chrono::{DateTime, TimeDelta, Utc};
use tonic::{Request, Response, Status};

use crate::{
    error::{Error, Result},
    identity::Caller,
    proto::pulpo::pay::v1::{self as pb, report_service_server::ReportService},
};

use super::{
    Pay,
    data::records::{self, Filter},
    input::Input,
    time::timestamp,
};

/// Rows shown when no limit is given.
const LIMIT_DEFAULT: i64 = 50;
/// Most rows shown; higher limits are cut to it.
const LIMIT_MAX: i64 = 200;
/// How long a period is when its start is not given.
const PERIOD_DAYS: i64 = 30;

/// The span of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) start: DateTime<Utc>,
    /// Exclusive.
    pub(super) end: DateTime<Utc>,
}

impl Period {
    /// What was asked for; the last 30 days when nothing was. Now is in it.
    pub(super) fn read(
        input: &mut Input,
        from: Option<&str>,
        to: Option<&str>,
        now: DateTime<Utc>,
    ) -> Self {
        let end = input
            .date_to(to)
            .unwrap_or(now + TimeDelta::milliseconds(1));
        let start = input
            .date_from(from)
            .unwrap_or(end - TimeDelta::days(PERIOD_DAYS));
        if start >= end {
            input.fault("date_from", "must be before date_to");
        }
        Self { start, end }
    }

    fn message(self) -> pb::ReportPeriod {
        pb::ReportPeriod {
            start: Some(timestamp(self.start)),
            end: Some(timestamp(self.end)),
        }
    }
}

#[tonic::async_trait]
impl ReportService for Pay {
    async fn get_efficiency_report(
        &self,
        request: Request<pb::GetEfficiencyReportRequest>,
    ) -> Result<Response<pb::GetEfficiencyReportResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            efficiency::report(self, &caller, request.get_ref()).await?,
        ))
    }

    async fn get_compliance_report(
        &self,
        request: Request<pb::GetComplianceReportRequest>,
    ) -> Result<Response<pb::GetComplianceReportResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            compliance::report(self, &caller, request.get_ref()).await?,
        ))
    }

    async fn get_financial_report(
        &self,
        request: Request<pb::GetFinancialReportRequest>,
    ) -> Result<Response<pb::GetFinancialReportResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            financial(self, &caller, request.get_ref()).await?,
        ))
    }
}

/// Sums over all agents are not for keys bound to some of them.
pub(super) fn require_all_agents(caller: &Caller) -> Result<()> {
    match caller.agents()? {
        None => Ok(()),
        Some(_) => Err(Error::forbidden(
            "AGENT_NOT_ALLOWED",
            "This key may act for some agents only, and this report is about all of them",
        )),
    }
}

async fn financial(
    pay: &Pay,
    caller: &Caller,
    request: &pb::GetFinancialReportRequest,
) -> Result<pb::GetFinancialReportResponse> {
    require_all_agents(caller)?;
    let mut input = Input::default();
    let (from, to) = (request.date_from.as_deref(), request.date_to.as_deref());
    let period = Period::read(&mut input, from, to, pay.clock.now());
    let currency = input.currency(request.currency.as_deref());
    let filter = Filter {
        currency: Some(currency.clone()),
        from: Some(period.start),
        before: Some(period.end),
        limit: input.limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX),
        offset: input.offset(request.offset),
        ..Filter::default()
    };
    input.finish()?;
    let org_id = caller.org_id()?;
    let mut conn = pay.db.connection().await?;
    let rows = records::list(&mut conn, org_id, &filter).await?;
    let recorded = totals::recorded(&mut conn, org_id, &currency, period).await?;
    let organizations = totals::organizations(&mut conn, org_id, &currency, period).await?;
    let (own, children): (Vec<_>, Vec<_>) =
        organizations.into_iter().partition(|row| row.id == org_id);
    Ok(pb::GetFinancialReportResponse {
        period: Some(period.message()),
        currency,
        count: i64::try_from(rows.len()).unwrap_or(i64::MAX),
        records: rows.into_iter().map(Into::into).collect(),
        limit: filter.limit,
        offset: filter.offset,
        totals: own.first().map(|own| own.totals(&recorded)),
        roll_up: (!children.is_empty()).then(|| totals::roll_up(&children, period)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_now_and_lasts_thirty_days() {
        let now = "2026-04-14T12:00:00Z".parse().unwrap();
        let read = |from, to| {
            let mut input = Input::default();
            let period = Period::read(&mut input, from, to, now);
            input.finish().map(|()| period)
        };
        let period = read(None, None).unwrap();
        assert!(period.start < now && now < period.end);
        assert_eq!(period.end - period.start, TimeDelta::days(30));
        let day = read(Some("2026-04-01"), Some("2026-04-01")).unwrap();
        assert_eq!(day.end - day.start, TimeDelta::days(1));
        assert!(read(Some("2026-04-02"), Some("2026-04-01")).is_err());
        assert!(read(Some("2027-01-01"), None).is_err());
    }
}
