//! The rows of data, which belongs to no agent, of reports, and of reconciliation.

use prost::Message;
use pulpo::proto::pulpo::{pay::v1 as pay, r#type::v1::Json};
use tonic::Code;

use super::{
    Row,
    pay::{Bound, bounded},
    rows::{HIDDEN, empty},
    world::World,
};

fn push(_: &World) -> Vec<u8> {
    pay::PushDataRequest {
        source: "erp".to_owned(),
        data_type: "invoices".to_owned(),
        records: vec![pay::NewDataRecord {
            external_id: "INV-1".to_owned(),
            data: Some(Json {
                text: "{}".to_owned(),
            }),
            category: None,
        }],
    }
    .encode_to_vec()
}

fn report(world: &World) -> Vec<u8> {
    pay::GetReconciliationReportRequest {
        id: world.report_id.clone(),
        limit: None,
        offset: None,
    }
    .encode_to_vec()
}

/// The methods, as in `pay`.
pub(super) fn rows() -> Vec<Row> {
    let rows: [Bound; 10] = [
        ("/pulpo.pay.v1.DataService/PushData", None, Code::Ok, push),
        (
            "/pulpo.pay.v1.DataService/BulkPushData",
            None,
            Code::Ok,
            push,
        ),
        ("/pulpo.pay.v1.DataService/QueryData", None, Code::Ok, empty),
        (
            "/pulpo.pay.v1.DataService/SummarizeData",
            None,
            Code::Ok,
            empty,
        ),
        (
            "/pulpo.pay.v1.ReportService/GetComplianceReport",
            None,
            Code::Ok,
            empty,
        ),
        (
            "/pulpo.pay.v1.ReportService/GetEfficiencyReport",
            None,
            Code::Ok,
            empty,
        ),
        // Sums over all agents.
        (
            "/pulpo.pay.v1.ReportService/GetFinancialReport",
            None,
            Code::PermissionDenied,
            empty,
        ),
        // Over all agents too.
        (
            "/pulpo.pay.v1.ReconciliationService/ListReconciliationReports",
            None,
            Code::PermissionDenied,
            empty,
        ),
        (
            "/pulpo.pay.v1.ReconciliationService/GetReconciliationReport",
            HIDDEN,
            Code::PermissionDenied,
            report,
        ),
        (
            "/pulpo.pay.v1.ReconciliationService/TriggerReconciliation",
            None,
            Code::PermissionDenied,
            empty,
        ),
    ];
    rows.into_iter().map(bounded).collect()
}
