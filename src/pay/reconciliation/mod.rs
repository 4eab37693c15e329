//! `ReconciliationService`: payments held against pushed records and the ledger, on demand and every day.
//!
//! What is promised: a report that was asked for ends, completed or failed, whatever process dies; all its figures are of one
//! instant; it is written once, whole; its counts count everything, its lists name up to [`items::ITEMS_MAX`] of each.
//!
//! A report's way: its row and its job are written together (`reports`) → the job reads (`matching` for the records,
//! `anomalies` for what is unusual, [`super::audit`] for the ledger) → the result and the end of the report are
//! written together (`work`). `input` says what a period is, `items` holds what lists show.

mod anomalies;
mod input;
mod items;
mod matching;
mod reports;
mod work;

use tonic::{Request, Response, Status};

use crate::{
    db::Conn,
    error::{Error, Result},
    identity::Caller,
    proto::pulpo::pay::v1::{self as pb, reconciliation_service_server::ReconciliationService},
};

use super::{Pay, reports::require_all_agents, time::timestamp};

pub(super) use work::work;

use items::Section;
use reports::{Cause, NewReport};

/// Most reports of an organisation that wait or are being made.
const PROCESSING_MAX: i64 = 10;

#[tonic::async_trait]
impl ReconciliationService for Pay {
    async fn list_reconciliation_reports(
        &self,
        request: Request<pb::ListReconciliationReportsRequest>,
    ) -> Result<Response<pb::ListReconciliationReportsResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(list(self, &caller, request.get_ref()).await?))
    }

    async fn get_reconciliation_report(
        &self,
        request: Request<pb::GetReconciliationReportRequest>,
    ) -> Result<Response<pb::GetReconciliationReportResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(show(self, &caller, request.get_ref()).await?))
    }

    async fn trigger_reconciliation(
        &self,
        request: Request<pb::TriggerReconciliationRequest>,
    ) -> Result<Response<pb::TriggerReconciliationResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            trigger(self, &caller, request.get_ref()).await?,
        ))
    }
}

async fn list(
    pay: &Pay,
    caller: &Caller,
    request: &pb::ListReconciliationReportsRequest,
) -> Result<pb::ListReconciliationReportsResponse> {
    require_all_agents(caller)?;
    let filter = input::filter(request)?;
    let mut conn = pay.db.connection().await?;
    let rows = reports::list(&mut conn, caller.org_id()?, &filter).await?;
    Ok(pb::ListReconciliationReportsResponse {
        count: i64::try_from(rows.len()).unwrap_or(i64::MAX),
        reports: rows.iter().map(reports::ReportRow::summary).collect(),
        limit: filter.limit,
        offset: filter.offset,
    })
}

async fn show(
    pay: &Pay,
    caller: &Caller,
    request: &pb::GetReconciliationReportRequest,
) -> Result<pb::GetReconciliationReportResponse> {
    require_all_agents(caller)?;
    let (limit, offset) = input::page(request)?;
    let org_id = caller.org_id()?;
    let mut conn = pay.db.connection().await?;
    let Some(report) = reports::find(&mut conn, org_id, &request.id).await? else {
        return Err(Error::not_found(
            "RECONCILIATION_NOT_FOUND",
            "There is no such report; GET /pulse-api/reconciliation lists them",
        ));
    };
    let page = items::Page {
        org_id,
        report_id: &report.id,
        limit,
        offset,
    };
    Ok(pb::GetReconciliationReportResponse {
        matched: items::page(&mut conn, Section::Matched, &page).await?,
        unmatched: items::page(&mut conn, Section::Unmatched, &page).await?,
        discrepancies: items::page(&mut conn, Section::Discrepancy, &page).await?,
        anomalies: items::anomalies(&mut conn, &page).await?,
        items_max: items::ITEMS_MAX,
        limit,
        offset,
        ..report.detail()
    })
}

async fn trigger(
    pay: &Pay,
    caller: &Caller,
    request: &pb::TriggerReconciliationRequest,
) -> Result<pb::TriggerReconciliationResponse> {
    require_all_agents(caller)?;
    let (org_id, now) = (caller.org_id()?, pay.clock.now());
    let new = NewReport::new(org_id, Cause::Trigger, input::period(request, now)?);
    let report = &new;
    pay.db
        .transaction("pay_reconciliation_trigger", async |conn: &mut Conn| {
            if reports::count_processing(conn, org_id).await? >= PROCESSING_MAX {
                return Err(Error::conflict(
                    "RECONCILIATION_BUSY",
                    format!("{PROCESSING_MAX} reports are being made; trigger again when one is completed"),
                ));
            }
            match reports::insert(conn, std::slice::from_ref(report), now).await? {
                1 => Ok(()),
                _ => Err(Error::internal(anyhow::anyhow!("the id of a report was taken"))),
            }
        })
        .await?;
    Ok(pb::TriggerReconciliationResponse {
        triggered: true,
        report_id: new.id,
        status: reports::PROCESSING.to_owned(),
        period_start: Some(timestamp(new.period.start)),
        period_end: Some(timestamp(new.period.end)),
    })
}
