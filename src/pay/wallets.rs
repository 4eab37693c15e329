//! Wallets: the money of agents, one per organisation, agent and currency.
//!
//! Balances change only together with a ledger journal, and never fall below zero: the statement that takes money
//! carries the condition.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    result::{DatabaseErrorKind, Error as DieselError},
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::{
        Conn,
        prepared::{column, prepared},
        rows::Rows,
        transaction,
        write::Write,
    },
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
#[derive(Clone, Debug, PartialEq, Eq, Queryable, QueryableByName, Selectable, Insertable)]
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

    /// The wallet as one side of a movement that has just been applied to it.
    pub fn account(&self) -> Account<'_> {
        Account::Wallet {
            org_id: &self.org_id,
            id: &self.id,
            balance_after_minor: self.available_minor,
        }
    }

    /// What escrow holds of it as one side of a movement that has just been applied to it.
    pub fn held_account(&self) -> Account<'_> {
        Account::Held {
            org_id: &self.org_id,
            id: &self.id,
            balance_after_minor: self.held_minor,
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

/// A page of the active wallets of the organisation, or of these agents of it, oldest first. Anybody can pay an
/// organisation's agents and open wallets by it, so there is no bound on how many there are.
pub async fn list(
    conn: &mut Conn,
    org_id: &str,
    agents: Option<&[String]>,
    (limit, offset): (i64, i64),
) -> QueryResult<Vec<WalletRow>> {
    let mut query = wallets::table
        .filter(wallets::org_id.eq(org_id).and(wallets::is_active))
        .order((wallets::created_at, wallets::id))
        .limit(limit)
        .offset(offset)
        .select(WalletRow::as_select())
        .into_boxed();
    if let Some(agents) = agents {
        query = query.filter(wallets::agent_id.eq_any(agents));
    }
    query.load(conn).await
}

/// The wallet of an agent in a currency.
pub async fn find(
    conn: &mut Conn,
    org_id: &str,
    agent_id: &str,
    currency: &str,
) -> QueryResult<Option<WalletRow>> {
    wallets::table
        .filter(wallets::org_id.eq(org_id))
        .filter(wallets::agent_id.eq(agent_id))
        .filter(wallets::currency.eq(currency))
        .select(WalletRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// What a wallet is found by: organisation, agent and currency.
pub type WalletKey = (String, String, String);

/// The key of a wallet.
pub fn key(org_id: &str, agent_id: &str, currency: &str) -> WalletKey {
    (org_id.to_owned(), agent_id.to_owned(), currency.to_owned())
}

/// Those of the wallets that exist, locked in the order of their ids until the transaction ends. If there are any, the
/// transaction has the setting `pulpo.wallets` afterwards, by which a later statement knows that it is a later one.
pub async fn lock(conn: &Conn, keys: &[WalletKey]) -> QueryResult<HashMap<WalletKey, WalletRow>> {
    const LOCK: &str = "SELECT w.*, (SELECT set_config('pulpo.wallets', 'locked', true)) FROM unnest($1::text[], $2::text[], $3::text[]) AS k (org_id, agent_id, currency) \
        JOIN wallets w ON w.org_id = k.org_id AND w.agent_id = k.agent_id AND w.currency = k.currency \
        ORDER BY w.id, w.org_id FOR NO KEY UPDATE OF w";
    load(conn, LOCK, keys).await
}

/// Those of the wallets that exist.
pub async fn find_all(
    conn: &Conn,
    keys: &[WalletKey],
) -> QueryResult<HashMap<WalletKey, WalletRow>> {
    const FIND: &str = "SELECT w.* FROM unnest($1::text[], $2::text[], $3::text[]) AS k (org_id, agent_id, currency) \
        JOIN wallets w ON w.org_id = k.org_id AND w.agent_id = k.agent_id AND w.currency = k.currency";
    load(conn, FIND, keys).await
}

async fn load(
    mut conn: &Conn,
    statement: &'static str,
    keys: &[WalletKey],
) -> QueryResult<HashMap<WalletKey, WalletRow>> {
    let rows: Vec<WalletRow> = prepared(statement, |query| {
        query
            .bind::<Array<Text>, _>(column(keys, |key| &key.0))
            .bind::<Array<Text>, _>(column(keys, |key| &key.1))
            .bind::<Array<Text>, _>(column(keys, |key| &key.2))
    })
    .load(&mut conn)
    .await?;
    let keyed = |row: WalletRow| (key(&row.org_id, &row.agent_id, &row.currency), row);
    Ok(rows.into_iter().map(keyed).collect())
}

/// What came of [`insert_all`] beside others: the transaction begins anew when an agent got its wallet meanwhile.
pub fn conflict(error: DieselError) -> Error {
    match &error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
            if info.constraint_name() == Some("wallets_agent_currency_key") =>
        {
            transaction::again("a wallet was opened by another request")
        }
        _ => error.into(),
    }
}

/// New wallets.
pub fn insert_all(rows: Vec<&WalletRow>) -> Option<Write<'_>> {
    const INSERT: &str = "INSERT INTO wallets (org_id, id, agent_id, currency, available_minor, held_minor, lifetime_sent_minor, \
        lifetime_received_minor, last_transaction_at, created_at, updated_at) SELECT r.* FROM {rows} ORDER BY org_id, agent_id, currency";
    let write = || {
        Rows::of(&rows)
            .column::<Text, _>("org_id", |row| row.org_id.as_str())
            .column::<Text, _>("id", |row| row.id.as_str())
            .column::<Text, _>("agent_id", |row| row.agent_id.as_str())
            .column::<Text, _>("currency", |row| row.currency.as_str())
            .column::<BigInt, _>("available_minor", |row| row.available_minor)
            .column::<BigInt, _>("held_minor", |row| row.held_minor)
            .column::<BigInt, _>("sent_minor", |row| row.lifetime_sent_minor)
            .column::<BigInt, _>("received_minor", |row| row.lifetime_received_minor)
            .column::<Nullable<Timestamptz>, _>("last_at", |row| row.last_transaction_at)
            .column::<Timestamptz, _>("created_at", |row| row.created_at)
            .column::<Timestamptz, _>("updated_at", |row| row.updated_at)
            .write(INSERT)
    };
    (!rows.is_empty()).then(write)
}

/// The balances of locked wallets.
pub fn store(rows: Vec<&WalletRow>) -> Option<Write<'_>> {
    const UPDATE: &str = "UPDATE wallets w SET available_minor = r.available_minor, held_minor = r.held_minor, \
        lifetime_sent_minor = r.sent_minor, lifetime_received_minor = r.received_minor, last_transaction_at = r.at, updated_at = r.at \
        FROM {rows} WHERE w.org_id = r.org_id AND w.id = r.id";
    let write = || {
        Rows::of(&rows)
            .column::<Text, _>("org_id", |row| row.org_id.as_str())
            .column::<Text, _>("id", |row| row.id.as_str())
            .column::<BigInt, _>("available_minor", |row| row.available_minor)
            .column::<BigInt, _>("held_minor", |row| row.held_minor)
            .column::<BigInt, _>("sent_minor", |row| row.lifetime_sent_minor)
            .column::<BigInt, _>("received_minor", |row| row.lifetime_received_minor)
            .column::<Timestamptz, _>("at", |row| row.updated_at)
            .write(UPDATE)
    };
    (!rows.is_empty()).then(write)
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

/// A movement of money between one wallet and the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Money comes in.
    Fund,
    /// Money goes out.
    Withdraw,
}

impl Transfer {
    fn kind(self) -> JournalKind {
        match self {
            Self::Fund => JournalKind::Fund,
            Self::Withdraw => JournalKind::Withdraw,
        }
    }

    /// What is added to the available balance, and the least there may be of it and the most there may be of it together
    /// with what is held before: held money cannot be withdrawn, and there must be room for it to come back.
    fn bounds(self, amount_minor: i64) -> (i64, (i64, i64)) {
        match self {
            Self::Fund => (amount_minor, (0, i64::MAX.saturating_sub(amount_minor))),
            Self::Withdraw => (-amount_minor, (amount_minor, i64::MAX)),
        }
    }

    /// Why an active wallet is out of these bounds.
    fn refusal(self, agent_id: &str) -> Error {
        match self {
            Self::Fund => balance_too_large("amount"),
            Self::Withdraw => Error::precondition(
                "INSUFFICIENT_BALANCE",
                format!(
                    "The available balance of agent {agent_id} does not cover the amount; withdraw less"
                ),
            ),
        }
    }
}

/// Moves a positive amount into or out of a wallet, writes the journal, and returns the wallet. 404 without an active
/// wallet; 400 when it cannot hold so much, or does not cover the amount.
pub async fn transfer(
    conn: &mut Conn,
    transfer: Transfer,
    (org_id, agent_id, currency): (&str, &str, &str),
    amount_minor: i64,
    now: DateTime<Utc>,
) -> Result<WalletRow> {
    let (change_minor, (least_minor, most_minor)) = transfer.bounds(amount_minor);
    let moved = diesel::update(wallets::table)
        .filter(wallets::org_id.eq(org_id))
        .filter(wallets::agent_id.eq(agent_id))
        .filter(wallets::currency.eq(currency))
        .filter(wallets::is_active.and(wallets::available_minor.ge(least_minor)))
        .filter(wallets::available_minor.le(wallets::held_minor * -1_i64 + most_minor))
        .set((
            wallets::available_minor.eq(wallets::available_minor + change_minor),
            wallets::last_transaction_at.eq(now),
            wallets::updated_at.eq(now),
        ))
        .returning(WalletRow::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    let Some(wallet) = moved else {
        return match find(conn, org_id, agent_id, currency).await? {
            Some(wallet) if wallet.is_active => Err(transfer.refusal(agent_id)),
            _ => Err(not_found(agent_id, currency)),
        };
    };
    let inside = wallet.account();
    let (from, to) = match transfer {
        Transfer::Fund => (Account::External, inside),
        Transfer::Withdraw => (inside, Account::External),
    };
    let movement = Movement {
        org_id,
        kind: transfer.kind(),
        transaction_id: None,
        currency,
        amount_minor,
        from,
        to,
    };
    ledger::post(conn, org_id, &[movement.into()], now).await?;
    Ok(wallet)
}

/// A balance would leave the range of 64 bits.
pub(super) fn balance_too_large(field: &str) -> Error {
    Error::invalid(field, "is more than the wallet can hold")
}
