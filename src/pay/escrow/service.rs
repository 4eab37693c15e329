//! `EscrowService`.

use tonic::{Request, Response, Status};

use crate::{
    identity::Caller,
    proto::pulpo::pay::v1::{self as pb, escrow_service_server::EscrowService},
};

use super::{super::Pay, verbs};

#[tonic::async_trait]
impl EscrowService for Pay {
    async fn dispute_payment(
        &self,
        request: Request<pb::DisputePaymentRequest>,
    ) -> Result<Response<pb::DisputePaymentResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            verbs::dispute(self, &caller, request.into_inner()).await?,
        ))
    }

    async fn release_payment(
        &self,
        request: Request<pb::ReleasePaymentRequest>,
    ) -> Result<Response<pb::ReleasePaymentResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            verbs::release(self, &caller, request.into_inner()).await?,
        ))
    }

    async fn refund_payment(
        &self,
        request: Request<pb::RefundPaymentRequest>,
    ) -> Result<Response<pb::RefundPaymentResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            verbs::refund(self, &caller, request.into_inner()).await?,
        ))
    }
}
