//! Policies in force, remembered as long as none changes.

use std::{collections::HashMap, sync::Arc};

use diesel::QueryResult;
use uuid::Uuid;

use crate::{
    db::{Conn, generation::Memory},
    pay::decision::PolicySnapshot,
};

/// Most agents a process remembers the policy of.
const AGENTS_MAX: usize = 100_000;

/// An organisation and an agent.
type Agent = (String, String);

/// What decides for agents, or that nothing does.
pub struct Remembered(Memory<Agent, Option<Arc<PolicySnapshot>>>);

impl Default for Remembered {
    fn default() -> Self {
        Self(Memory::new(AGENTS_MAX))
    }
}

impl Remembered {
    /// [`super::in_force`]; asked for are only those that are not remembered of this generation, which was read in the same
    /// transaction.
    pub async fn in_force(
        &self,
        conn: &Conn,
        agents: &[(&str, &str)],
        generation: Uuid,
    ) -> QueryResult<HashMap<Agent, Arc<PolicySnapshot>>> {
        let mut in_force = HashMap::new();
        let mut missing = Vec::new();
        for (org_id, agent_id) in agents {
            let agent = ((*org_id).to_owned(), (*agent_id).to_owned());
            match self.0.get(generation, &agent) {
                Some(policy) => in_force.extend(policy.map(|policy| (agent, policy))),
                None => missing.push((*org_id, *agent_id)),
            }
        }
        if missing.is_empty() {
            return Ok(in_force);
        }
        let found = super::in_force(conn, &missing).await?;
        for (org_id, agent_id) in missing {
            let agent = (org_id.to_owned(), agent_id.to_owned());
            let policy = found.get(&agent).cloned();
            self.0.put(generation, agent, policy);
        }
        in_force.extend(found);
        Ok(in_force)
    }
}
