//! `pulpo admin`: what an operator creates, rotates and verifies, by the same rules as at the doors. Every command prints one
//! JSON object, `verify-ledger` when it is asked to.

use anyhow::{Context, Result, anyhow};
use chrono::TimeDelta;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{console, ledger};
use crate::{
    clock::Clock,
    config::Config,
    db::{Conn, Db, migrate},
    delivery::endpoints,
    hub::admin as hub,
    identity::{
        admin as identity,
        keys::{KeyKind, NewKey},
        memberships::Role,
        users::UserRole,
    },
    pay::{admin as pay, agents, money},
    secrets::{
        Secrets,
        rotation::{self, SealedColumn},
    },
};

/// What is sealed, all of it: what is missing here stays under its old data key.
const SEALED: [SealedColumn; 6] = [
    SealedColumn {
        table: "connections",
        column: "secret",
        context_prefix: "connection:",
    },
    SealedColumn {
        table: "integrations",
        column: "secrets",
        context_prefix: "integration:",
    },
    endpoints::SEALED[0],
    endpoints::SEALED[1],
    agents::SEALED[0],
    agents::SEALED[1],
];

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Admin {
    /// Creates an organisation.
    #[command(name = "create-org")]
    Org {
        /// Its name.
        #[arg(long)]
        name: String,
    },
    /// Creates a user, in an organisation or without one.
    #[command(name = "create-user")]
    User {
        /// Address to log in with.
        #[arg(long)]
        email: String,
        /// Name to show.
        #[arg(long)]
        name: String,
        /// Password; one is made and printed when absent.
        #[arg(long)]
        password: Option<String>,
        /// Makes the user an operator of the deployment platform.
        #[arg(long)]
        admin: bool,
        /// The organisation to join.
        #[arg(long)]
        org: Option<String>,
        /// What the user may do there: owner, member or viewer.
        #[arg(long, default_value = "member", requires = "org")]
        role: String,
    },
    /// Creates an API key and prints it once.
    #[command(name = "create-key")]
    Key {
        /// The organisation it belongs to.
        #[arg(long)]
        org: String,
        /// The API it opens.
        #[arg(long, value_enum)]
        api: Api,
        /// Name to show.
        #[arg(long)]
        name: String,
        /// The user it acts for, by id.
        #[arg(long)]
        user: Option<Uuid>,
        /// What it may do, comma-separated.
        #[arg(long, value_delimiter = ',')]
        permissions: Vec<String>,
        /// Addresses and networks it may be used from, comma-separated; everywhere when absent.
        #[arg(long, value_delimiter = ',')]
        ip_whitelist: Vec<String>,
        /// Agents it may act for, comma-separated; all when absent.
        #[arg(long, value_delimiter = ',')]
        allowed_agents: Vec<String>,
    },
    /// Creates a wallet.
    #[command(name = "create-wallet")]
    Wallet {
        /// The organisation.
        #[arg(long)]
        org: String,
        /// The agent that owns it.
        #[arg(long)]
        agent: String,
        /// ISO 4217 code.
        #[arg(long, default_value = "USD")]
        currency: String,
        /// The opening balance, for example 1000.00; nothing when absent.
        #[arg(long)]
        amount: Option<String>,
    },
    /// Creates a connection of the hub.
    #[command(name = "create-connection")]
    Connection {
        /// The tenant.
        #[arg(long)]
        org: String,
        /// The connector, as the catalogue names it.
        #[arg(long)]
        connector: String,
        /// Name to show.
        #[arg(long)]
        name: String,
        /// source, destination or both.
        #[arg(long, default_value = "both")]
        direction: String,
        /// active, shadow, paused or error.
        #[arg(long, default_value = "active")]
        state: String,
        /// Settings without secrets, as a JSON object.
        #[arg(long, default_value = "{}")]
        settings: String,
        /// Signs the webhooks that come in.
        #[arg(long)]
        webhook_secret: Option<String>,
    },
    /// Puts new keys for old while servers run: wraps data keys with PULPO_MASTER_KEY instead of
    /// PULPO_PREVIOUS_MASTER_KEY, makes new data keys for old ones, and seals every secret with the newest. May be
    /// stopped and started again.
    RotateSecrets {
        /// Data keys older than this many days are replaced; 0 replaces all.
        #[arg(long, default_value_t = 90)]
        max_age_days: u32,
    },
    /// Sums up the ledger again and names every fault; fails when there is one.
    VerifyLedger {
        /// Only this organisation; all when absent.
        #[arg(long)]
        org: Option<String>,
        /// Prints a JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// The APIs that have keys.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Api {
    /// A tenant key of the hub.
    Pullpush,
    /// An access key of the workspace.
    Puppyone,
    /// A payments key.
    Pulse,
    /// An integrations token.
    Integrations,
}

impl From<Api> for KeyKind {
    fn from(api: Api) -> Self {
        match api {
            Api::Pullpush => Self::Tenant,
            Api::Puppyone => Self::Access,
            Api::Pulse => Self::Payment,
            Api::Integrations => Self::Integration,
        }
    }
}

/// Does it in the database at `url`, which is brought up to date first.
pub(super) async fn run(command: Admin, config: &Config, url: &str) -> Result<()> {
    migrate::run(url).await?;
    let db = Db::new(url, 1);
    let clock = Clock::system();
    let created = match command {
        Admin::Org { name } => {
            let row = identity::create_organization(&db, &clock, &name).await?;
            json!({"organization_id": row.id, "name": row.name, "slug": row.slug})
        }
        Admin::User { .. } => create_user(&db, &clock, command).await?,
        Admin::Key {
            org,
            api,
            name,
            user,
            permissions,
            ip_whitelist,
            allowed_agents,
        } => {
            let kind = api.into();
            let new = NewKey {
                org_id: org,
                user_id: user,
                kind,
                name,
                permissions,
                ip_whitelist,
                allowed_agents,
            };
            let (row, key) = identity::create_key(&db, &clock, new).await?;
            json!({"key_id": row.id, "organization_id": row.org_id, "prefix": row.prefix, "key": key})
        }
        Admin::Wallet {
            org,
            agent,
            currency,
            amount,
        } => {
            let amount = amount.as_deref().unwrap_or("0");
            let opening_minor = if amount == "0" {
                0
            } else {
                money::parse_amount(amount).map_err(|rule| anyhow!("--amount {rule}"))?
            };
            let now = clock.now();
            let row = db
                .transaction("admin_create_wallet", async |conn: &mut Conn| {
                    pay::create_wallet(conn, &org, &agent, &currency, opening_minor, now).await
                })
                .await?;
            json!({"wallet_id": row.id, "organization_id": org, "agent_id": agent, "currency": currency,
                   "available": money::format_minor(row.available_minor)})
        }
        Admin::Connection { .. } => create_connection(&db, &clock, config, command).await?,
        Admin::RotateSecrets { max_age_days } => {
            rotate_secrets(&db, &clock, config, max_age_days).await?
        }
        Admin::VerifyLedger { org, json } => {
            return ledger::verify(&db, org.as_deref(), json).await;
        }
    };
    console::line(&serde_json::to_string_pretty(&created)?)
}

async fn create_user(db: &Db, clock: &Clock, command: Admin) -> Result<Value> {
    let Admin::User {
        email,
        name,
        password,
        admin,
        org,
        role,
    } = command
    else {
        return Ok(Value::Null);
    };
    let role = Role::parse(&role).context("--role must be owner, member or viewer")?;
    let is_made = password.is_none();
    let password = password.unwrap_or_else(|| crate::ids::secret("", 24));
    let user_role = if admin {
        UserRole::Admin
    } else {
        UserRole::User
    };
    let user = identity::create_user(db, clock, &email, &name, &password, user_role).await?;
    if let Some(org) = &org {
        identity::add_member(db, clock, org, user.id, role).await?;
    }
    let mut shown =
        json!({"user_id": user.id.to_string(), "email": user.email, "organization_id": org});
    if is_made {
        shown["password"] = Value::String(password);
    }
    Ok(shown)
}

async fn create_connection(
    db: &Db,
    clock: &Clock,
    config: &Config,
    command: Admin,
) -> Result<Value> {
    let Admin::Connection {
        org,
        connector,
        name,
        direction,
        state,
        settings,
        webhook_secret,
    } = command
    else {
        return Ok(Value::Null);
    };
    let secrets = Secrets::configured(&config.secrets)?;
    let settings: Value =
        serde_json::from_str(&settings).context("--settings must be a JSON object")?;
    let now = clock.now();
    let row = db
        .transaction("admin_create_connection", async |conn: &mut Conn| {
            let new = hub::NewConnection {
                org_id: org.clone(),
                connector_type: connector.clone(),
                name: name.clone(),
                direction: direction.clone(),
                state: state.clone(),
                config: settings.clone(),
                webhook_secret: webhook_secret.clone(),
            };
            hub::create_connection(conn, &secrets, new, now).await
        })
        .await?;
    Ok(
        json!({"connection_id": row.id, "organization_id": row.org_id, "connector": row.connector_type,
              "state": row.state}),
    )
}

async fn rotate_secrets(
    db: &Db,
    clock: &Clock,
    config: &Config,
    max_age_days: u32,
) -> Result<Value> {
    let secrets = Secrets::configured(&config.secrets)?;
    let now = clock.now();
    let rewrapped = rotation::rotate_master_key(db, &secrets, now)
        .await
        .context("does every data key open under PULPO_MASTER_KEY or PULPO_PREVIOUS_MASTER_KEY?")?;
    let made_before = now - TimeDelta::days(i64::from(max_age_days));
    let made = rotation::rotate_data_keys(db, &secrets, made_before, now).await?;
    let mut resealed = 0;
    for column in SEALED {
        resealed += rotation::reseal(db, &secrets, column).await?;
    }
    Ok(
        json!({"data_keys_rewrapped": rewrapped, "data_keys_made": made, "secrets_resealed": resealed}),
    )
}
