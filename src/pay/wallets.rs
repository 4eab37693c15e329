//! Wallets: the money of agents, one per organisation, agent and currency.
//!
//! Balances change only together with a ledger journal, and never fall below zero: the statement that takes money
//! carries the condition.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, QueryResult,
    SelectableHelper, prelude::*,
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::{Error, Result},
    ids,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    ledger::{self, Account, JournalKind, Movement},
    money::decimal,
    schema::wallets,
    time::{optional_timestamp, timestamp},
};

/// A wallet.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = wallets, check_for_backend(diesel::pg::Pg))]
pub struct WalletRow {
    /// The organisation.
    pub org_id: String,
    /// wal_…
    pub id: String,
    /// The agent whose money it is.
    pub agent_id: String,
    /// ISO 4217 code.
    pub currency: String,
    /// What can be spent.
    pub available_minor: i64,
    /// What escrow holds.
    pub held_minor: i64,
    /// Everything ever settled out of it.
    pub lifetime_sent_minor: i64,
    /// Everything ever settled into it.
    pub lifetime_received_minor: i64,
    /// Whether it takes part in payments.
    pub is_active: bool,
    /// The last settlement, funding or withdrawal.
    pub last_transaction_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl WalletRow {
    /// A new wallet without money.
    pub fn empty(org_id: &str, agent_id: &str, currency: &str, now: DateTime<Utc>) -> Self {
        Self {
            org_id: org_id.to_owned(),
            id: ids::short("wal", 12),
            agent_id: agent_id.to_owned(),
            currency: currency.to_owned(),
            available_minor: 0,
            held_minor: 0,
            lifetime_sent_minor: 0,
            lifetime_received_minor: 0,
            is_active: true,
            last_transaction_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

impl From<WalletRow> for pb::WalletSummary {
    fn from(row: WalletRow) -> Self {
        Self {
            id: row.id,
            agent_id: row.agent_id,
            currency: row.currency,
            available_balance: Some(decimal(row.available_minor)),
            held_balance: Some(decimal(row.held_minor)),
            lifetime_sent: Some(decimal(row.lifetime_sent_minor)),
            lifetime_received: Some(decimal(row.lifetime_received_minor)),
            last_transaction_at: optional_timestamp(row.last_transaction_at),
            is_active: row.is_active,
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<WalletRow> for pb::Wallet {
    fn from(row: WalletRow) -> Self {
        Self {
            id: row.id,
            org_id: row.org_id,
            agent_id: row.agent_id,
            currency: row.currency,
            available_balance: Some(decimal(row.available_minor)),
            held_balance: Some(decimal(row.held_minor)),
            lifetime_sent: Some(decimal(row.lifetime_sent_minor)),
            lifetime_received: Some(decimal(row.lifetime_received_minor)),
            last_transaction_at: optional_timestamp(row.last_transaction_at),
            is_active: row.is_active,
            created_at: Some(timestamp(row.created_at)),
            updated_at: Some(timestamp(row.updated_at)),
        }
    }
}

/// The active wallets of the organisation, oldest first.
pub async fn list(conn: &mut Conn, org_id: &str) -> QueryResult<Vec<WalletRow>> {
    wallets::table
        .filter(wallets::org_id.eq(org_id).and(wallets::is_active))
        .order((wallets::created_at, wallets::id))
        .select(WalletRow::as_select())
        .load(conn)
        .await
}

/// The wallet of an agent in a currency.
pub async fn find(
    conn: &mut Conn,
    org_id: &str,
    agent_id: &str,
    currency: &str,
) -> QueryResult<Option<WalletRow>> {
    wallets::table
        .filter(
            wallets::org_id
                .eq(org_id)
                .and(wallets::agent_id.eq(agent_id))
                .and(wallets::currency.eq(currency)),
        )
        .select(WalletRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// Stores the wallet unless the agent has one in that currency; says whether it did.
pub async fn insert(conn: &mut Conn, row: &WalletRow) -> QueryResult<bool> {
    let inserted = diesel::insert_into(wallets::table)
        .values(row)
        .on_conflict((wallets::org_id, wallets::agent_id, wallets::currency))
        .do_nothing()
        .execute(conn)
        .await?;
    Ok(inserted == 1)
}

/// The wallet of an agent; 404 when there is none.
pub async fn require(
    conn: &mut Conn,
    org_id: &str,
    agent_id: &str,
    currency: &str,
) -> Result<WalletRow> {
    find(conn, org_id, agent_id, currency)
        .await?
        .ok_or_else(|| not_found(agent_id, currency))
}

fn not_found(agent_id: &str, currency: &str) -> Error {
    Error::not_found(
        "WALLET_NOT_FOUND",
        format!("Agent {agent_id} has no {currency} wallet"),
    )
}

/// Adds money from outside and returns the wallet; 404 without an active wallet, 400 when it cannot hold so much.
pub async fn fund(
    conn: &mut Conn,
    org_id: &str,
    agent_id: &str,
    currency: &str,
    amount_minor: i64,
    now: DateTime<Utc>,
) -> Result<WalletRow> {
    let funded = diesel::update(wallets::table)
        .filter(
            wallets::org_id
                .eq(org_id)
                .and(wallets::agent_id.eq(agent_id))
                .and(wallets::currency.eq(currency)),
        )
        .filter(wallets::is_active.and(wallets::available_minor.le(i64::MAX - amount_minor)))
        .set((
            wallets::available_minor.eq(wallets::available_minor + amount_minor),
            wallets::last_transaction_at.eq(now),
            wallets::updated_at.eq(now),
        ))
        .returning(WalletRow::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    let Some(wallet) = funded else {
        return match find(conn, org_id, agent_id, currency).await? {
            Some(wallet) if wallet.is_active => Err(balance_too_large("amount")),
            _ => Err(not_found(agent_id, currency)),
        };
    };
    let to = Account::Wallet {
        org_id,
        id: &wallet.id,
        balance_after_minor: wallet.available_minor,
    };
    let movement = Movement {
        org_id,
        kind: JournalKind::Fund,
        transaction_id: None,
        currency,
        amount_minor,
        from: Account::External,
        to,
    };
    ledger::post(conn, &movement, now).await?;
    Ok(wallet)
}

/// Takes money out and returns the wallet; 404 without an active wallet, 400 when it does not cover the amount. Held
/// money does not count.
pub async fn withdraw(
    conn: &mut Conn,
    org_id: &str,
    agent_id: &str,
    currency: &str,
    amount_minor: i64,
    now: DateTime<Utc>,
) -> Result<WalletRow> {
    let withdrawn = diesel::update(wallets::table)
        .filter(
            wallets::org_id
                .eq(org_id)
                .and(wallets::agent_id.eq(agent_id))
                .and(wallets::currency.eq(currency)),
        )
        .filter(wallets::is_active.and(wallets::available_minor.ge(amount_minor)))
        .set((
            wallets::available_minor.eq(wallets::available_minor - amount_minor),
            wallets::last_transaction_at.eq(now),
            wallets::updated_at.eq(now),
        ))
        .returning(WalletRow::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    let Some(wallet) = withdrawn else {
        return match find(conn, org_id, agent_id, currency).await? {
            Some(wallet) if wallet.is_active => Err(Error::precondition(
                "INSUFFICIENT_BALANCE",
                format!(
                    "The available balance of agent {agent_id} does not cover the amount; withdraw less"
                ),
            )),
            _ => Err(not_found(agent_id, currency)),
        };
    };
    let from = Account::Wallet {
        org_id,
        id: &wallet.id,
        balance_after_minor: wallet.available_minor,
    };
    let movement = Movement {
        org_id,
        kind: JournalKind::Withdraw,
        transaction_id: None,
        currency,
        amount_minor,
        from,
        to: Account::External,
    };
    ledger::post(conn, &movement, now).await?;
    Ok(wallet)
}

/// A balance would leave the range of 64 bits.
pub(super) fn balance_too_large(field: &str) -> Error {
    Error::invalid(field, "is more than the wallet can hold")
}
