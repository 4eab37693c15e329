//! `DataService`: records that other systems push, kept as they were given.
//!
//! What is promised: a push is stored as a whole or not at all, a bulk push stores its valid records in one statement,
//! the same external id of a source and type is one record whatever happens at the same time, and the JSON comes back
//! digit for digit. `input` says what a valid record is; `records` holds the rows and their statements.

mod input;
pub mod records;

use tonic::{Request, Response, Status};

use crate::{
    db::Conn,
    error::{Error, Result},
    identity::Caller,
    proto::pulpo::pay::v1::{self as pb, data_service_server::DataService},
};

use super::{Pay, time::timestamp};

/// How many records the document calls a batch.
const BATCH_RECORDS: usize = 100;

#[tonic::async_trait]
impl DataService for Pay {
    async fn push_data(
        &self,
        request: Request<pb::PushDataRequest>,
    ) -> Result<Response<pb::PushDataResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            push(self, &caller, request.into_inner()).await?,
        ))
    }

    async fn bulk_push_data(
        &self,
        request: Request<pb::BulkPushDataRequest>,
    ) -> Result<Response<pb::BulkPushDataResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            bulk(self, &caller, request.into_inner()).await?,
        ))
    }

    async fn query_data(
        &self,
        request: Request<pb::QueryDataRequest>,
    ) -> Result<Response<pb::QueryDataResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            query(self, &caller, request.into_inner()).await?,
        ))
    }

    async fn summarize_data(
        &self,
        request: Request<pb::SummarizeDataRequest>,
    ) -> Result<Response<pb::SummarizeDataResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(summary(self, &caller).await?))
    }
}

/// Stores all records, or names every fault and stores none.
async fn push(
    pay: &Pay,
    caller: &Caller,
    request: pb::PushDataRequest,
) -> Result<pb::PushDataResponse> {
    let batch = input::push(request)?;
    let ids = store(pay, caller, &batch).await?;
    Ok(pb::PushDataResponse {
        pushed: count(ids.len()),
        source: batch.source,
        data_type: batch.data_type,
        ids,
    })
}

/// Stores the valid records.
async fn bulk(
    pay: &Pay,
    caller: &Caller,
    request: pb::BulkPushDataRequest,
) -> Result<pb::BulkPushDataResponse> {
    let total = request.records.len();
    let (batch, errors) = input::bulk(request)?;
    let ids = store(pay, caller, &batch).await?;
    Ok(pb::BulkPushDataResponse {
        total: count(total),
        batches: count(total.div_ceil(BATCH_RECORDS)),
        inserted: count(ids.len()),
        failed: count(errors.len()),
        errors,
    })
}

async fn store(pay: &Pay, caller: &Caller, batch: &records::Batch) -> Result<Vec<String>> {
    let (org_id, now) = (caller.org_id()?, pay.clock.now());
    pay.db
        .transaction("pay_store_data", async |conn: &mut Conn| {
            records::upsert(conn, org_id, batch, now).await
        })
        .await
}

async fn query(
    pay: &Pay,
    caller: &Caller,
    request: pb::QueryDataRequest,
) -> Result<pb::QueryDataResponse> {
    let filter = input::filter(request)?;
    let mut conn = pay.db.connection().await?;
    let rows = records::list(&mut conn, caller.org_id()?, &filter).await?;
    Ok(pb::QueryDataResponse {
        count: count(rows.len()),
        records: rows.into_iter().map(Into::into).collect(),
        limit: filter.limit,
        offset: filter.offset,
    })
}

async fn summary(pay: &Pay, caller: &Caller) -> Result<pb::SummarizeDataResponse> {
    let mut conn = pay.db.connection().await?;
    let groups = records::summary(&mut conn, caller.org_id()?)
        .await
        .map_err(Error::from)?;
    Ok(pb::SummarizeDataResponse {
        total_records: groups.first().map_or(0, |group| group.total),
        summary: groups
            .into_iter()
            .map(|group| pb::DataGroup {
                data_type: group.data_type,
                category: group.category,
                count: group.count,
                latest_at: Some(timestamp(group.latest_at)),
            })
            .collect(),
    })
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
