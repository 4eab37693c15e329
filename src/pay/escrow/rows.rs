//! Escrows as rows.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    sql_types::{BigInt, Jsonb, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::{
    db::{Conn, rows::Rows, write::Write},
    error::{Error, Result},
    ids,
    proto::pulpo::{pay::v1 as pb, r#type::v1::Json},
};

use super::{
    super::{
        money::decimal,
        request::Payment,
        schema::escrows,
        time::{optional_timestamp, timestamp},
    },
    state::{self, Event, State},
    terms::{Condition, Terms},
};

/// An escrow.
#[derive(Clone, Debug, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = escrows, check_for_backend(Pg), primary_key(org_id, id), treat_none_as_null = true)]
pub(in crate::pay) struct EscrowRow {
    /// The paying organisation.
    pub(in crate::pay) org_id: String,
    /// esc_…
    pub(in crate::pay) id: String,
    /// The payment.
    pub(in crate::pay) transaction_id: String,
    /// What is held.
    pub(in crate::pay) amount_minor: i64,
    /// ISO 4217 code.
    pub(in crate::pay) currency: String,
    /// held, disputed, released or refunded.
    pub(in crate::pay) status: String,
    /// Array of conditions.
    pub(in crate::pay) release_conditions: Value,
    /// When the money was put aside.
    pub(in crate::pay) held_at: DateTime<Utc>,
    /// When it goes back, unless it was disputed before.
    pub(in crate::pay) expires_at: DateTime<Utc>,
    /// When it was disputed.
    pub(in crate::pay) disputed_at: Option<DateTime<Utc>>,
    /// What the dispute says.
    pub(in crate::pay) dispute_reason: Option<String>,
    /// When the money went to the payee.
    pub(in crate::pay) released_at: Option<DateTime<Utc>>,
    /// When the money went back.
    pub(in crate::pay) refunded_at: Option<DateTime<Utc>>,
}

impl EscrowRow {
    /// A payment that is put aside now.
    pub(in crate::pay) fn new(
        org_id: &str,
        transaction_id: &str,
        payment: &Payment,
        terms: &Terms,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            org_id: org_id.to_owned(),
            id: ids::short("esc", 12),
            transaction_id: transaction_id.to_owned(),
            amount_minor: payment.amount_minor,
            currency: payment.currency.clone(),
            status: "held".to_owned(),
            release_conditions: json(&terms.release_conditions),
            held_at: now,
            expires_at: terms.ends_at(now),
            disputed_at: None,
            dispute_reason: None,
            released_at: None,
            refunded_at: None,
        }
    }

    /// Where it stands.
    pub(super) fn state(&self) -> State {
        match (self.status.as_str(), self.disputed_at) {
            ("held", _) => State::Held {
                expires_at: self.expires_at,
            },
            ("disputed", Some(disputed_at)) => State::Disputed { disputed_at },
            ("released", _) => State::Released,
            // The table has no other status.
            _ => State::Refunded,
        }
    }

    /// The conditions.
    pub(super) fn conditions(&self) -> Result<Vec<Condition>> {
        serde_json::from_value(self.release_conditions.clone()).map_err(Error::internal)
    }

    /// Sets the conditions.
    pub(super) fn set_conditions(&mut self, conditions: &[Condition]) {
        self.release_conditions = json(conditions);
    }

    /// The conditions as a message: type, target and status of each, in this order.
    pub(super) fn conditions_message(&self) -> Result<Json> {
        let text = serde_json::to_string(&self.conditions()?).map_err(Error::internal)?;
        Ok(Json { text })
    }
}

/// Texts always serialise.
fn json(conditions: &[Condition]) -> Value {
    serde_json::to_value(conditions).unwrap_or_else(|_| Value::Array(Vec::new()))
}

impl TryFrom<EscrowRow> for pb::Escrow {
    type Error = Error;

    fn try_from(row: EscrowRow) -> Result<Self> {
        Ok(Self {
            release_conditions: Some(row.conditions_message()?),
            id: row.id,
            status: row.status,
            amount: Some(decimal(row.amount_minor)),
            currency: row.currency,
            held_at: Some(timestamp(row.held_at)),
            expires_at: Some(timestamp(row.expires_at)),
            released_at: optional_timestamp(row.released_at),
            disputed_at: optional_timestamp(row.disputed_at),
        })
    }
}

/// New escrows.
pub(in crate::pay) fn insert_all<'a>(rows: &[&'a EscrowRow]) -> Write<'a> {
    const INSERT: &str = "INSERT INTO escrows (org_id, id, transaction_id, amount_minor, currency, status, release_conditions, held_at, \
        expires_at) SELECT r.* FROM {rows}";
    Rows::of(rows)
        .column::<Text, _>("org_id", |row| row.org_id.as_str())
        .column::<Text, _>("id", |row| row.id.as_str())
        .column::<Text, _>("transaction_id", |row| row.transaction_id.as_str())
        .column::<BigInt, _>("amount_minor", |row| row.amount_minor)
        .column::<Text, _>("currency", |row| row.currency.as_str())
        .column::<Text, _>("status", |row| row.status.as_str())
        .column::<Jsonb, _>("release_conditions", |row| &row.release_conditions)
        .column::<Timestamptz, _>("held_at", |row| row.held_at)
        .column::<Timestamptz, _>("expires_at", |row| row.expires_at)
        .write(INSERT)
}

/// The escrow of a payment of the paying organisation.
pub(in crate::pay) async fn find(
    conn: &mut Conn,
    (org_id, transaction_id): (&str, &str),
) -> QueryResult<Option<EscrowRow>> {
    escrows::table
        .filter(escrows::org_id.eq(org_id))
        .filter(escrows::transaction_id.eq(transaction_id))
        .select(EscrowRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// The same, locked until the transaction ends.
pub(super) async fn lock(
    conn: &mut Conn,
    (org_id, transaction_id): (&str, &str),
) -> QueryResult<Option<EscrowRow>> {
    escrows::table
        .filter(escrows::org_id.eq(org_id))
        .filter(escrows::transaction_id.eq(transaction_id))
        .select(EscrowRow::as_select())
        .for_update()
        .first(conn)
        .await
        .optional()
}

/// Writes a locked escrow.
pub(super) async fn store(conn: &mut Conn, row: &EscrowRow) -> QueryResult<()> {
    diesel::update(escrows::table.find((&row.org_id, &row.id)))
        .set(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether its time is over and its money still waits.
pub(in crate::pay) fn is_due(row: &EscrowRow, now: DateTime<Utc>) -> bool {
    state::step(row.state(), Event::Lapse, now).is_ok()
}
