//! `PolicyService`: spending policies.

use tonic::{Request, Response, Status};

use crate::{
    error::{Error, Result},
    identity::Caller,
    proto::pulpo::pay::v1::{self as pb, policy_service_server::PolicyService},
};

use super::{Pay, backtest, policies, policy_change};

#[tonic::async_trait]
impl PolicyService for Pay {
    async fn list_policies(
        &self,
        request: Request<pb::ListPoliciesRequest>,
    ) -> Result<Response<pb::ListPoliciesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut conn = self.db.connection().await?;
        let rows = policies::list(&mut conn, caller.org_id()?, caller.agents()?)
            .await
            .map_err(Error::from)?;
        Ok(Response::new(pb::ListPoliciesResponse {
            policies: rows.into_iter().map(Into::into).collect(),
        }))
    }

    async fn create_policy(
        &self,
        request: Request<pb::CreatePolicyRequest>,
    ) -> Result<Response<pb::CreatePolicyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let row = policy_change::create(self, &caller, request.into_inner()).await?;
        Ok(Response::new(pb::CreatePolicyResponse {
            policy: Some(row.into()),
        }))
    }

    async fn update_policy(
        &self,
        request: Request<pb::UpdatePolicyRequest>,
    ) -> Result<Response<pb::UpdatePolicyResponse>, Status> {
        let caller = Caller::of(&request)?;
        policy_change::update(self, &caller, request.into_inner()).await?;
        Ok(Response::new(pb::UpdatePolicyResponse { updated: true }))
    }

    async fn backtest_policy(
        &self,
        request: Request<pb::BacktestPolicyRequest>,
    ) -> Result<Response<pb::BacktestPolicyResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            backtest::run(self, &caller, request.into_inner()).await?,
        ))
    }

    async fn delete_policy(
        &self,
        request: Request<pb::DeletePolicyRequest>,
    ) -> Result<Response<pb::DeletePolicyResponse>, Status> {
        let caller = Caller::of(&request)?;
        policy_change::delete(self, &caller, &request.get_ref().id).await?;
        Ok(Response::new(pb::DeletePolicyResponse {
            deleted: true,
            soft: true,
        }))
    }
}
