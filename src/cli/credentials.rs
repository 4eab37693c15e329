//! `credentials.json`, and the same as lines to paste into a shell.

use serde::{Deserialize, Serialize};

use crate::server::Addresses;

/// What opens the demo organisation. The shape is fixed: test tools read it.
#[derive(Serialize, Deserialize)]
pub(super) struct Credentials {
    /// The organisation.
    pub(super) organization_id: String,
    /// Where gRPC clients go.
    pub(super) grpc: String,
    /// The key of the MCP door.
    pub(super) mcp_api_key: String,
    /// The hub.
    pub(super) pullpush: PullPush,
    /// Deployments.
    pub(super) pushpaka: Login,
    /// Workspaces.
    pub(super) puppyone: PuppyOne,
    /// Payments.
    pub(super) pulse: Pulse,
    /// Integrations.
    pub(super) integrations: Integrations,
}

/// A tenant and its key.
#[derive(Serialize, Deserialize)]
pub(super) struct PullPush {
    pub(super) base_url: String,
    pub(super) tenant_id: String,
    pub(super) api_key: String,
}

/// A user.
#[derive(Serialize, Deserialize)]
pub(super) struct Login {
    pub(super) base_url: String,
    pub(super) email: String,
    pub(super) password: String,
}

/// A user and an access key.
#[derive(Serialize, Deserialize)]
pub(super) struct PuppyOne {
    pub(super) base_url: String,
    pub(super) email: String,
    pub(super) password: String,
    pub(super) access_key: String,
}

/// A payments key.
#[derive(Serialize, Deserialize)]
pub(super) struct Pulse {
    pub(super) base_url: String,
    pub(super) api_key: String,
    pub(super) org_id: String,
}

/// An integrations token.
#[derive(Serialize, Deserialize)]
pub(super) struct Integrations {
    pub(super) base_url: String,
    pub(super) token: String,
}

impl Credentials {
    /// Says where the surfaces are now, with the base paths of their documents.
    pub(super) fn set_addresses(&mut self, at: Addresses) {
        self.grpc = format!("http://{}", at.pullpush);
        self.pullpush.base_url = format!("http://{}", at.pullpush);
        self.pushpaka.base_url = format!("http://{}/api/v1", at.pushpaka);
        self.puppyone.base_url = format!("http://{}/api/v1", at.puppyone);
        self.pulse.base_url = format!("http://{}/pulse-api", at.pulse);
        self.integrations.base_url = format!("http://{}/v1/integrations", at.integrations);
    }

    /// Lines that work when they are pasted into a shell.
    pub(super) fn curl_lines(&self) -> String {
        let Self {
            pullpush,
            pushpaka,
            puppyone,
            pulse,
            integrations,
            ..
        } = self;
        let json = "-H 'Content-Type: application/json'";
        [
            "# pullpush: send an event".to_owned(),
            format!(
                "curl -s {}/api/v1/tenants/{}/events -H 'Authorization: Bearer {}' {json} \
                 -d '{{\"type\":\"order.created\",\"externalId\":\"order-1001\",\"payload\":{{\"total\":99.5}}}}'; echo",
                pullpush.base_url, pullpush.tenant_id, pullpush.api_key
            ),
            "# pushpaka: log in".to_owned(),
            format!(
                "curl -s {}/auth/login {json} -d '{{\"email\":\"{}\",\"password\":\"{}\"}}'; echo",
                pushpaka.base_url, pushpaka.email, pushpaka.password
            ),
            "# puppyone: list organizations".to_owned(),
            format!(
                "curl -s {}/organizations/ -H 'Authorization: Bearer {}'; echo",
                puppyone.base_url, puppyone.access_key
            ),
            "# pulse: pay, and look at the wallets".to_owned(),
            format!(
                "curl -s {}/payments/request -H 'Authorization: Bearer {}' {json} \
                 -d '{{\"requesting_agent_id\":\"agent-treasury-ops\",\"counterparty_agent_id\":\"agent-vendor-pay\",\
                 \"amount\":2500.00,\"currency\":\"USD\",\"tx_type\":\"vendor_payment\",\"category\":\"operations\"}}'; echo",
                pulse.base_url, pulse.api_key
            ),
            format!("curl -s {}/wallets -H 'Authorization: Bearer {}'; echo", pulse.base_url, pulse.api_key),
            "# integrations: what can be connected".to_owned(),
            format!(
                "curl -s {}/available -H 'Authorization: Bearer {}'; echo\n",
                integrations.base_url, integrations.token
            ),
        ]
        .join("\n")
    }
}
