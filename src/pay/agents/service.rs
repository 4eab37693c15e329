//! `AgentService`: runs, and the agents that do them.

use tonic::{Request, Response, Status};

use crate::{
    identity::Caller,
    proto::pulpo::pay::v1::{self as pb, agent_service_server::AgentService},
};

use super::{
    super::{
        Pay,
        time::{optional_timestamp, timestamp},
    },
    registry, trigger,
};

#[tonic::async_trait]
impl AgentService for Pay {
    async fn trigger_agent(
        &self,
        request: Request<pb::TriggerAgentRequest>,
    ) -> Result<Response<pb::TriggerAgentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let queued = trigger::trigger(self, &caller, request.into_inner()).await?;
        Ok(Response::new(queued))
    }

    async fn get_agent_run(
        &self,
        request: Request<pb::GetAgentRunRequest>,
    ) -> Result<Response<pb::GetAgentRunResponse>, Status> {
        let caller = Caller::of(&request)?;
        let run = trigger::find(self, &caller, &request.get_ref().run_id).await?;
        Ok(Response::new(pb::GetAgentRunResponse {
            run: Some(run.into()),
        }))
    }

    async fn list_agent_results(
        &self,
        request: Request<pb::ListAgentResultsRequest>,
    ) -> Result<Response<pb::ListAgentResultsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let results = trigger::list(self, &caller, request.get_ref()).await?;
        Ok(Response::new(results))
    }

    async fn list_agents(
        &self,
        request: Request<pb::ListAgentsRequest>,
    ) -> Result<Response<pb::ListAgentsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let agents = registry::list(self, &caller).await?;
        Ok(Response::new(pb::ListAgentsResponse { agents }))
    }

    async fn register_agent(
        &self,
        request: Request<pb::RegisterAgentRequest>,
    ) -> Result<Response<pb::RegisterAgentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let registered = registry::register(self, &caller, request.into_inner()).await?;
        Ok(Response::new(registered.into()))
    }

    async fn update_agent(
        &self,
        request: Request<pb::UpdateAgentRequest>,
    ) -> Result<Response<pb::UpdateAgentResponse>, Status> {
        let caller = Caller::of(&request)?;
        registry::update(self, &caller, request.into_inner()).await?;
        Ok(Response::new(pb::UpdateAgentResponse { updated: true }))
    }

    async fn delete_agent(
        &self,
        request: Request<pb::DeleteAgentRequest>,
    ) -> Result<Response<pb::DeleteAgentResponse>, Status> {
        let caller = Caller::of(&request)?;
        registry::delete(self, &caller, &request.get_ref().name).await?;
        Ok(Response::new(pb::DeleteAgentResponse { deleted: true }))
    }

    async fn rotate_agent_secret(
        &self,
        request: Request<pb::RotateAgentSecretRequest>,
    ) -> Result<Response<pb::RotateAgentSecretResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (secret, until) = registry::rotate(self, &caller, &request.get_ref().name).await?;
        Ok(Response::new(pb::RotateAgentSecretResponse {
            secret,
            previous_valid_until: until.map(timestamp),
        }))
    }

    async fn rotate_callback_secret(
        &self,
        request: Request<pb::RotateCallbackSecretRequest>,
    ) -> Result<Response<pb::RotateCallbackSecretResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (secret, until) = registry::rotate_callbacks(self, &caller).await?;
        Ok(Response::new(pb::RotateCallbackSecretResponse {
            secret,
            previous_valid_until: optional_timestamp(until),
        }))
    }
}
