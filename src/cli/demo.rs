//! The demo organisation of `pulpo dev`: made once, so that the documents' own examples run.

use std::path::Path;

use anyhow::{Context, Result};

use super::{
    console,
    credentials::{Credentials, Integrations, Login, PullPush, Pulse, PuppyOne},
};
use crate::{
    app::App,
    db::Conn,
    error::Error,
    identity::{
        admin as identity,
        keys::{KeyKind, NewKey},
        memberships::Role,
        users::UserRole,
    },
    ids,
    pay::admin as pay,
    proto::pulpo::{pay::v1::CreatePolicyRequest, r#type::v1::Decimal},
    server::Addresses,
};

/// Every permission that the payments document names.
const PAYMENT_PERMISSIONS: &[&str] = &[
    "payments:read",
    "payments:request",
    "payments:write",
    "wallets:read",
    "wallets:write",
    "policies:read",
    "policies:write",
    "agents:trigger",
    "reports:read",
    "webhooks:manage",
    "data:read",
    "data:write",
    "reconciliation:read",
    "reconciliation:trigger",
];

/// Every permission of the integrations API.
const INTEGRATION_PERMISSIONS: &[&str] = &[
    "INTEGRATIONS.READ",
    "INTEGRATIONS.CREATE",
    "INTEGRATIONS.UPDATE",
    "INTEGRATIONS.DELETE",
];

/// The wallets and their opening balances in USD cents.
const WALLETS: [(&str, i64); 2] = [
    ("agent-treasury-ops", 5_000_000),
    ("agent-vendor-pay", 100_000),
];

/// Makes the organisation unless `credentials.json` says that it is there, writes the file with the addresses of this
/// run, and returns what to print: the same as curl lines.
pub(super) async fn prepare(app: &App, data_dir: &Path, addresses: Addresses) -> Result<String> {
    let path = data_dir.join("credentials.json");
    let mut credentials: Credentials = match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged; remove it to get a new demo organisation",
                path.display()
            )
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(app).await?,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    if let Some(key) = &app.config.secrets.mcp_api_key {
        credentials.mcp_api_key = key.expose().to_owned();
    }
    credentials.set_addresses(addresses);
    let text = serde_json::to_string_pretty(&credentials)? + "\n";
    console::private_file(&path, &text)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(format!(
        "credentials: {}\n\n{}\n",
        path.display(),
        credentials.curl_lines()
    ))
}

async fn create(app: &App) -> Result<Credentials> {
    let org_id = identity::create_organization(&app.db, &app.clock, "Pulpo Demo")
        .await?
        .id;
    // Of its own, since an organisation whose credentials were lost keeps its user.
    let email = format!("{}@example.com", ids::short("demo", 6).replace('_', "-"));
    let password = ids::secret("", 24);
    let user = identity::create_user(
        &app.db,
        &app.clock,
        &email,
        "Demo User",
        &password,
        UserRole::User,
    )
    .await?;
    identity::add_member(&app.db, &app.clock, &org_id, user.id, Role::Owner).await?;
    let key = async |kind, user_id, permissions: &[&str]| -> Result<String> {
        let new = NewKey {
            org_id: org_id.clone(),
            user_id,
            kind,
            name: "Demo key".to_owned(),
            permissions: permissions
                .iter()
                .map(|&permission| permission.to_owned())
                .collect(),
            ip_whitelist: Vec::new(),
            allowed_agents: Vec::new(),
        };
        Ok(identity::create_key(&app.db, &app.clock, new).await?.1)
    };
    let tenant_key = key(KeyKind::Tenant, None, &[]).await?;
    let access_key = key(KeyKind::Access, Some(user.id), &[]).await?;
    let payment_key = key(KeyKind::Payment, None, PAYMENT_PERMISSIONS).await?;
    let token = key(KeyKind::Integration, None, INTEGRATION_PERMISSIONS).await?;
    create_money(app, &org_id).await?;
    let base_url = String::new; // set_addresses knows
    Ok(Credentials {
        grpc: base_url(),
        mcp_api_key: String::new(),
        pullpush: PullPush {
            base_url: base_url(),
            tenant_id: org_id.clone(),
            api_key: tenant_key,
        },
        pushpaka: Login {
            base_url: base_url(),
            email: email.clone(),
            password: password.clone(),
        },
        puppyone: PuppyOne {
            base_url: base_url(),
            email,
            password,
            access_key,
        },
        pulse: Pulse {
            base_url: base_url(),
            api_key: payment_key,
            org_id: org_id.clone(),
        },
        integrations: Integrations {
            base_url: base_url(),
            token,
        },
        organization_id: org_id,
    })
}

/// The wallets and the policy of the payments document's examples.
async fn create_money(app: &App, org_id: &str) -> Result<(), Error> {
    let now = app.clock.now();
    let amount = |text: &str| {
        Some(Decimal {
            value: text.to_owned(),
        })
    };
    let policy = CreatePolicyRequest {
        policy_name: Some("Organization default".to_owned()),
        max_per_transaction: amount("10000.00"),
        max_daily: amount("50000.00"),
        max_monthly: amount("500000.00"),
        require_human_above: amount("9000.00"),
        currency: Some("USD".to_owned()),
        ..Default::default()
    };
    app.db
        .transaction("demo_money", async |conn: &mut Conn| {
            for (agent_id, opening_minor) in WALLETS {
                pay::create_wallet(conn, org_id, agent_id, "USD", opening_minor, now).await?;
            }
            pay::create_policy(conn, org_id, policy.clone(), &app.compliance, now).await?;
            Ok(())
        })
        .await
}
