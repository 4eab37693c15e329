//! The gRPC service, in process behind the gateway and alone behind a transcoder.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use pulpo_gateway::services::Services;
use tonic::{
    Request, Response, Status,
    service::{Routes, RoutesBuilder},
};

use super::MAX_BODY_BYTES;
use crate::{
    model,
    proto::{
        google::api::HttpBody,
        pulpo::bench::v1::{
            Account, Document, DownloadRequest, GetAccountRequest, ListPaymentsRequest,
            ListPaymentsResponse, Note, Payment, StructDocument, WatchPaymentsRequest,
            feed_service_server::{FeedService, FeedServiceServer},
            payment_service_server::{PaymentService, PaymentServiceServer},
        },
    },
};

/// Bytes of one message of a download.
const PIECE: usize = 64 * 1024;

#[derive(Clone)]
struct Payments {
    /// What a database would give; every call takes copies of its own.
    rows: Arc<[Payment]>,
}

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn echo_payment(&self, request: Request<Payment>) -> Result<Response<Payment>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn list_payments(
        &self,
        _: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        Ok(Response::new(ListPaymentsResponse {
            payments: self.rows.to_vec(),
            next_page_token: model::PAGE.to_string(),
        }))
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<Account>, Status> {
        let row = model::Account::sample(request.into_inner().id);
        Ok(Response::new(Account {
            id: row.id,
            owner: row.owner,
            currency: row.currency,
            is_open: row.is_open,
        }))
    }

    async fn echo_document(
        &self,
        request: Request<Document>,
    ) -> Result<Response<Document>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn echo_struct(
        &self,
        request: Request<StructDocument>,
    ) -> Result<Response<StructDocument>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn echo_note(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

type Outgoing<T> = stream::BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl FeedService for Payments {
    type WatchPaymentsStream = Outgoing<Payment>;
    type AwaitPaymentsStream = Outgoing<Payment>;
    type DownloadStream = Outgoing<HttpBody>;

    async fn watch_payments(
        &self,
        _: Request<WatchPaymentsRequest>,
    ) -> Result<Response<Outgoing<Payment>>, Status> {
        let rows = self.rows.clone();
        let payments = (0..model::STREAM).filter_map(move |n| rows.get(n % rows.len()).cloned());
        Ok(Response::new(stream::iter(payments.map(Ok)).boxed()))
    }

    async fn await_payments(
        &self,
        _: Request<WatchPaymentsRequest>,
    ) -> Result<Response<Outgoing<Payment>>, Status> {
        let first = self.rows.first().cloned();
        let payments = stream::iter(first.map(Ok)).chain(stream::pending());
        Ok(Response::new(payments.boxed()))
    }

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Outgoing<HttpBody>>, Status> {
        let mut left = usize::try_from(request.into_inner().bytes)
            .map_err(|_| Status::invalid_argument("bytes: at least 0"))?;
        let pieces = std::iter::from_fn(move || {
            let length = left.min(PIECE);
            left -= length;
            (length > 0).then(|| HttpBody {
                content_type: "application/octet-stream".to_owned(),
                data: vec![b'x'; length],
                extensions: Vec::new(),
            })
        });
        Ok(Response::new(stream::iter(pieces.map(Ok)).boxed()))
    }
}

fn payments() -> Payments {
    let rows = model::Payment::samples().into_iter().map(Payment::from);
    Payments {
        rows: rows.collect(),
    }
}

fn payment_service(payments: Payments) -> PaymentServiceServer<Payments> {
    PaymentServiceServer::new(payments)
        .max_decoding_message_size(MAX_BODY_BYTES)
        .max_encoding_message_size(MAX_BODY_BYTES)
}

/// The services for a gateway in the same process.
pub(super) fn services() -> Services {
    let payments = payments();
    let mut services = Services::new();
    services
        .add_service(FeedServiceServer::new(payments.clone()))
        .add_service(payment_service(payments));
    services
}

/// The services for a server of their own.
pub(super) fn routes() -> Routes {
    let payments = payments();
    let mut routes = RoutesBuilder::default();
    routes.add_service(FeedServiceServer::new(payments.clone()));
    routes.add_service(payment_service(payments));
    routes.routes().prepare()
}
