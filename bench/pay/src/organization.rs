//! An organisation, and what its agents need to pay.

use anyhow::Result;
use serde_json::{Value, json};

use crate::http::Client;

/// What an organisation is to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    /// Wallets with money.
    pub(crate) wallets: usize,
    /// Whether every payment is held against the rules of a jurisdiction, too.
    pub(crate) has_precheck: bool,
}

/// An organisation and its key.
#[derive(Clone, Debug)]
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) wallets: usize,
    port: u16,
    key: String,
}

impl Organization {
    /// Opens the wallets and makes the policy of an organisation that has neither.
    pub(crate) async fn furnish(id: String, key: String, port: u16, setup: Setup) -> Result<Self> {
        let organization = Self {
            id,
            wallets: setup.wallets,
            port,
            key,
        };
        let mut client = organization.client().await?;
        for agent in 0..setup.wallets {
            let wallet = json!({"agent_id": agent_id(agent)});
            client.accepted("/wallets", &wallet).await?;
            let path = format!("/wallets/{}/fund", agent_id(agent));
            client
                .accepted(&path, &json!({"amount": 1_000_000_000}))
                .await?;
        }
        client
            .accepted("/policies", &policy(setup.has_precheck))
            .await?;
        Ok(organization)
    }

    /// A connection with the organisation's key.
    pub(crate) async fn client(&self) -> Result<Client> {
        Client::connect(self.port, &self.key).await
    }
}

/// A policy with limits that are checked and far away.
pub(crate) fn policy(has_precheck: bool) -> Value {
    let mut policy = json!({
        "policy_name": "Limits",
        "max_per_transaction": 10_000,
        "max_daily": 900_000_000,
        "max_monthly": 9_000_000_000_u64,
        "require_human_above": 9_000,
        "allowed_categories": ["operations", "infrastructure"],
        "compliance_precheck": has_precheck,
    });
    if has_precheck {
        policy["compliance_jurisdictions"] = json!(["US_FEDERAL"]);
    }
    policy
}

/// The name of an agent.
pub(crate) fn agent_id(agent: usize) -> String {
    format!("agent-{agent:04}")
}
