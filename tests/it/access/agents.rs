//! The rows of agents that are triggered.

use prost::Message;
use pulpo::proto::pulpo::pay::v1 as pay;
use tonic::Code;
use uuid::Uuid;

use super::{
    Row,
    pay::{Bound, bounded},
    rows::{HIDDEN, empty},
    world::{AGENT, World},
};

fn trigger(_: &World) -> Vec<u8> {
    pay::TriggerAgentRequest {
        agent: AGENT.to_owned(),
        ..Default::default()
    }
    .encode_to_vec()
}

fn run(world: &World) -> Vec<u8> {
    pay::GetAgentRunRequest {
        run_id: world.run_id.clone(),
    }
    .encode_to_vec()
}

fn register_agent(_: &World) -> Vec<u8> {
    pay::RegisterAgentRequest {
        name: format!("a-{}", Uuid::new_v4().simple()),
        url: "https://example.com/agent".to_owned(),
        ..Default::default()
    }
    .encode_to_vec()
}

fn describe_agent(_: &World) -> Vec<u8> {
    let agent = pay::AgentChange {
        description: Some("Described".to_owned()),
        ..Default::default()
    };
    pay::UpdateAgentRequest {
        name: AGENT.to_owned(),
        agent: Some(agent),
        update_mask: None,
    }
    .encode_to_vec()
}

/// Removing an agent and changing its secret ask for nothing but its name.
fn agent(_: &World) -> Vec<u8> {
    pay::DeleteAgentRequest {
        name: AGENT.to_owned(),
    }
    .encode_to_vec()
}

/// The methods, as in the rows of payments.
pub(super) fn rows() -> Vec<Row> {
    const REFUSED: Code = Code::PermissionDenied;
    let rows: [Bound; 9] = [
        (
            "/pulpo.pay.v1.AgentService/TriggerAgent",
            HIDDEN,
            REFUSED,
            trigger,
        ),
        (
            "/pulpo.pay.v1.AgentService/GetAgentRun",
            HIDDEN,
            REFUSED,
            run,
        ),
        (
            "/pulpo.pay.v1.AgentService/ListAgentResults",
            None,
            Code::Ok,
            empty,
        ),
        (
            "/pulpo.pay.v1.AgentService/ListAgents",
            None,
            Code::Ok,
            empty,
        ),
        (
            "/pulpo.pay.v1.AgentService/RegisterAgent",
            None,
            REFUSED,
            register_agent,
        ),
        (
            "/pulpo.pay.v1.AgentService/UpdateAgent",
            HIDDEN,
            REFUSED,
            describe_agent,
        ),
        (
            "/pulpo.pay.v1.AgentService/DeleteAgent",
            HIDDEN,
            REFUSED,
            agent,
        ),
        (
            "/pulpo.pay.v1.AgentService/RotateAgentSecret",
            HIDDEN,
            REFUSED,
            agent,
        ),
        // The secret signs callbacks of all agents.
        (
            "/pulpo.pay.v1.AgentService/RotateCallbackSecret",
            None,
            REFUSED,
            empty,
        ),
    ];
    rows.into_iter().map(bounded).collect()
}
