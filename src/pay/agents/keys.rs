//! What signs: one secret a registered agent, and one an organisation for its callbacks.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::{Error, Result},
    ids,
    secrets::{Secrets, rotation::SealedColumn},
};

use super::super::schema::pay_agent_secrets;

/// The name under which the secret for callbacks stands among those of agents, whose ids begin otherwise.
pub(super) const CALLBACKS: &str = "callbacks";
/// Digits of a secret.
const DIGITS: usize = 64;
/// How long the secret before signs as well.
const OVERLAP: TimeDelta = TimeDelta::hours(24);
/// What stands before the id in the contexts secrets are sealed for.
const CONTEXT: &str = "pay_agent:";
const PREVIOUS_CONTEXT: &str = "pay_agent_previous:";

/// The sealed columns, for rotation.
pub const SEALED: [SealedColumn; 2] = [
    SealedColumn {
        table: "pay_agent_secrets",
        column: "secret",
        context_prefix: CONTEXT,
    },
    SealedColumn {
        table: "pay_agent_secrets",
        column: "previous_secret",
        context_prefix: PREVIOUS_CONTEXT,
    },
];

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = pay_agent_secrets, primary_key(org_id, id), treat_none_as_null = true, check_for_backend(diesel::pg::Pg))]
struct SecretRow {
    org_id: String,
    id: String,
    secret: Vec<u8>,
    previous_secret: Option<Vec<u8>>,
    previous_valid_until: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

/// Makes a secret where there is none; it stays unknown until it is replaced by [`replace`].
pub(super) async fn ensure(
    conn: &mut Conn,
    secrets: &Secrets,
    (org_id, id): (&str, &str),
    now: DateTime<Utc>,
) -> Result<()> {
    let is_there = diesel::dsl::exists(pay_agent_secrets::table.find((org_id, id)));
    if diesel::select(is_there).get_result(conn).await? {
        return Ok(());
    }
    let (_, row) = new(conn, secrets, (org_id, id), now).await?;
    diesel::insert_into(pay_agent_secrets::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// A new secret in the place of the one before, if any; it, and until when the one before signs as well.
pub(super) async fn replace(
    conn: &mut Conn,
    secrets: &Secrets,
    (org_id, id): (&str, &str),
    now: DateTime<Utc>,
) -> Result<(String, Option<DateTime<Utc>>)> {
    let before: Option<SecretRow> = pay_agent_secrets::table
        .find((org_id, id))
        .select(SecretRow::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    let (secret, mut row) = new(conn, secrets, (org_id, id), now).await?;
    if let Some(before) = before {
        let context = format!("{CONTEXT}{id}");
        let opened = secrets.open(conn, org_id, &context, &before.secret).await?;
        let context = format!("{PREVIOUS_CONTEXT}{id}");
        row.previous_secret = Some(secrets.seal(conn, org_id, &context, &opened).await?);
        row.previous_valid_until = Some(now + OVERLAP);
    }
    diesel::insert_into(pay_agent_secrets::table)
        .values(&row)
        .on_conflict((pay_agent_secrets::org_id, pay_agent_secrets::id))
        .do_update()
        .set(&row)
        .execute(conn)
        .await?;
    Ok((secret, row.previous_valid_until))
}

async fn new(
    conn: &mut Conn,
    secrets: &Secrets,
    (org_id, id): (&str, &str),
    now: DateTime<Utc>,
) -> Result<(String, SecretRow)> {
    let secret = ids::secret("", DIGITS);
    let context = format!("{CONTEXT}{id}");
    let sealed = secrets
        .seal(conn, org_id, &context, secret.as_bytes())
        .await?;
    let row = SecretRow {
        org_id: org_id.to_owned(),
        id: id.to_owned(),
        secret: sealed,
        previous_secret: None,
        previous_valid_until: None,
        updated_at: now,
    };
    Ok((secret, row))
}

/// The secrets that sign now, the newest first.
pub(super) async fn opened(
    conn: &mut Conn,
    secrets: &Secrets,
    (org_id, id): (&str, &str),
    now: DateTime<Utc>,
) -> Result<Vec<Vec<u8>>> {
    let row: SecretRow = pay_agent_secrets::table
        .find((org_id, id))
        .select(SecretRow::as_select())
        .first(conn)
        .await
        .optional()?
        .ok_or_else(|| Error::internal(anyhow::anyhow!("there is no secret to sign with")))?;
    let context = format!("{CONTEXT}{id}");
    let mut opened = vec![secrets.open(conn, org_id, &context, &row.secret).await?];
    if let Some(previous) = row.previous_secret
        && row.previous_valid_until.is_some_and(|until| now < until)
    {
        let context = format!("{PREVIOUS_CONTEXT}{id}");
        opened.push(secrets.open(conn, org_id, &context, &previous).await?);
    }
    Ok(opened)
}

/// Forgets a secret.
pub(super) async fn delete(conn: &mut Conn, org_id: &str, id: &str) -> QueryResult<()> {
    diesel::delete(pay_agent_secrets::table.find((org_id, id)))
        .execute(conn)
        .await?;
    Ok(())
}
