//! Rotation: new keys for old, while requests go on.
//!
//! Every step is a short transaction over one page of rows and does nothing to rows that are done, so a rotation may be
//! stopped anywhere and started again. Servers notice nothing: they read data keys afresh each time, and know both
//! master keys while the master key changes.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Binary, Integer, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use super::{DataKey, Secrets, broken, envelope, failed, secret};
use crate::{
    db::{Conn, Db},
    error::Result,
};

/// Rows of one transaction.
const PAGE_ROWS: i64 = 200;

/// A column of sealed secrets. Its table has `org_id` and `id`; both are text.
#[derive(Clone, Copy, Debug)]
pub struct SealedColumn {
    /// The table.
    pub table: &'static str,
    /// The column, `bytea`, null where nothing is sealed.
    pub column: &'static str,
    /// What stands before the row's id in the context it is sealed for.
    pub context_prefix: &'static str,
}

#[derive(QueryableByName)]
struct Wrapped {
    #[diesel(sql_type = Text)]
    org_id: String,
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Binary)]
    wrapped: Vec<u8>,
}

#[derive(QueryableByName)]
struct Sealed {
    #[diesel(sql_type = Text)]
    org_id: String,
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Binary)]
    sealed: Vec<u8>,
}

/// One transaction's work: where the next one goes on, if there is more, and how many rows were changed.
type Page<At> = (Option<At>, usize);

/// Wraps every data key with the master key that is configured now instead of the previous one; answers how many were
/// changed. When it has succeeded, the previous master key opens nothing any more.
///
/// # Errors
/// A data key that opens under neither master key; the pages before it stay done.
pub async fn rotate_master_key(db: &Db, secrets: &Secrets, now: DateTime<Utc>) -> Result<usize> {
    let (mut at, mut changed) = (Some((String::new(), 0)), 0);
    while let Some(after) = at {
        let page = db
            .transaction("secrets_rewrap", async |conn: &mut Conn| {
                rewrap(conn, secrets, &after, now).await
            })
            .await?;
        at = page.0;
        changed += page.1;
    }
    Ok(changed)
}

/// Gives a new data key to every organisation whose newest one was made before `made_before`; answers how many. What is
/// sealed moves to it with [`reseal`].
pub async fn rotate_data_keys(
    db: &Db,
    secrets: &Secrets,
    made_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<usize> {
    let (mut at, mut made) = (Some(String::new()), 0);
    while let Some(after) = at {
        let page = db
            .transaction("secrets_rotate", async |conn: &mut Conn| {
                add_keys(conn, secrets, &after, made_before, now).await
            })
            .await?;
        at = page.0;
        made += page.1;
    }
    Ok(made)
}

/// Seals what `column` holds with the newest data key of its organisation, where an older one did; answers how many.
pub async fn reseal(db: &Db, secrets: &Secrets, column: SealedColumn) -> Result<usize> {
    let (mut at, mut changed) = (Some((String::new(), String::new())), 0);
    while let Some(after) = at {
        let page = db
            .transaction("secrets_reseal", async |conn: &mut Conn| {
                reseal_page(conn, secrets, column, &after).await
            })
            .await?;
        at = page.0;
        changed += page.1;
    }
    Ok(changed)
}

/// The last key of a full page; a page that is not full was the last.
fn next<T, At>(rows: &[T], at: impl Fn(&T) -> At) -> Option<At> {
    (rows.len() as i64 == PAGE_ROWS)
        .then(|| rows.last().map(at))
        .flatten()
}

async fn rewrap(
    conn: &mut Conn,
    secrets: &Secrets,
    (org_id, version): &(String, i32),
    now: DateTime<Utc>,
) -> Result<Page<(String, i32)>> {
    let rows: Vec<Wrapped> = diesel::sql_query(
        "SELECT org_id, version, wrapped FROM data_keys WHERE (org_id, version) > ($1, $2)
         ORDER BY org_id, version LIMIT $3 FOR UPDATE",
    )
    .bind::<Text, _>(org_id)
    .bind::<Integer, _>(version)
    .bind::<BigInt, _>(PAGE_ROWS)
    .load(conn)
    .await?;
    let next = next(&rows, |row| (row.org_id.clone(), row.version));
    let (mut orgs, mut versions, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let version = row.version.unsigned_abs();
        if secrets.is_current(&row.org_id, version, &row.wrapped) {
            continue;
        }
        let data_key = secrets.unwrap_key(&row.org_id, version, &row.wrapped)?;
        boxes.push(secrets.wrap_key(&row.org_id, version, &data_key.key)?);
        orgs.push(row.org_id);
        versions.push(row.version);
    }
    let changed = diesel::sql_query(
        "UPDATE data_keys AS d SET wrapped = g.wrapped, rewrapped_at = $4
         FROM unnest($1::text[], $2::integer[], $3::bytea[]) AS g(org_id, version, wrapped)
         WHERE d.org_id = g.org_id AND d.version = g.version",
    )
    .bind::<Array<Text>, _>(orgs)
    .bind::<Array<Integer>, _>(versions)
    .bind::<Array<Binary>, _>(boxes)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok((next, changed))
}

async fn add_keys(
    conn: &mut Conn,
    secrets: &Secrets,
    after: &str,
    made_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Page<String>> {
    // The newest key of each organisation, and only where it is old.
    let rows: Vec<Wrapped> = diesel::sql_query(
        "SELECT org_id, version, wrapped FROM (
             SELECT DISTINCT ON (org_id) org_id, version, wrapped, created_at FROM data_keys
             WHERE org_id > $1 ORDER BY org_id, version DESC) AS newest
         WHERE created_at < $2 ORDER BY org_id LIMIT $3",
    )
    .bind::<Text, _>(after)
    .bind::<Timestamptz, _>(made_before)
    .bind::<BigInt, _>(PAGE_ROWS)
    .load(conn)
    .await?;
    let next = next(&rows, |row| row.org_id.clone());
    let (mut orgs, mut versions, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        // Who cannot open the old key must not make a new one.
        secrets.unwrap_key(&row.org_id, row.version.unsigned_abs(), &row.wrapped)?;
        let version = row.version.unsigned_abs() + 1;
        let key = envelope::random_key().map_err(failed("making a data key"))?;
        boxes.push(secrets.wrap_key(&row.org_id, version, &key)?);
        versions.push(row.version + 1);
        orgs.push(row.org_id);
    }
    // Another rotation may have been faster; its key is as new.
    let made = diesel::sql_query(
        "INSERT INTO data_keys (org_id, version, wrapped, created_at)
         SELECT org_id, version, wrapped, $4
         FROM unnest($1::text[], $2::integer[], $3::bytea[]) AS g(org_id, version, wrapped)
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<Text>, _>(orgs)
    .bind::<Array<Integer>, _>(versions)
    .bind::<Array<Binary>, _>(boxes)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok((next, made))
}

async fn reseal_page(
    conn: &mut Conn,
    secrets: &Secrets,
    of: SealedColumn,
    (org_id, id): &(String, String),
) -> Result<Page<(String, String)>> {
    let SealedColumn { table, column, .. } = of;
    let rows: Vec<Sealed> = diesel::sql_query(format!(
        "SELECT org_id, id, {column} AS sealed FROM {table}
         WHERE {column} IS NOT NULL AND (org_id, id) > ($1, $2)
         ORDER BY org_id, id LIMIT $3 FOR UPDATE"
    ))
    .bind::<Text, _>(org_id)
    .bind::<Text, _>(id)
    .bind::<BigInt, _>(PAGE_ROWS)
    .load(conn)
    .await?;
    let next = next(&rows, |row| (row.org_id.clone(), row.id.clone()));
    let keys = Keys::load(conn, secrets, &rows).await?;
    let (mut orgs, mut ids, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let newest = keys.newest(&row.org_id)?;
        let version = envelope::version(&row.sealed)
            .ok_or_else(|| broken("a sealed secret has an unknown format"))?;
        if version == newest.version {
            continue;
        }
        let context = format!("{}{}", of.context_prefix, row.id);
        let purpose = secret(&row.org_id, &context);
        let sealed_with = keys.of_version(&row.org_id, version)?;
        let text = envelope::open(&sealed_with.key, purpose, &row.sealed)
            .map_err(failed("opening a secret"))?;
        let sealed = envelope::seal(&newest.key, newest.version, purpose, &text);
        boxes.push(sealed.map_err(failed("sealing a secret"))?);
        orgs.push(row.org_id);
        ids.push(row.id);
    }
    let changed = diesel::sql_query(format!(
        "UPDATE {table} AS t SET {column} = g.sealed
         FROM unnest($1::text[], $2::text[], $3::bytea[]) AS g(org_id, id, sealed)
         WHERE t.org_id = g.org_id AND t.id = g.id"
    ))
    .bind::<Array<Text>, _>(orgs)
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<Binary>, _>(boxes)
    .execute(conn)
    .await?;
    Ok((next, changed))
}

/// The data keys of the organisations of one page, the newest of each first.
struct Keys(Vec<(String, DataKey)>);

impl Keys {
    async fn load(conn: &mut Conn, secrets: &Secrets, rows: &[Sealed]) -> Result<Self> {
        let mut orgs: Vec<&str> = rows.iter().map(|row| row.org_id.as_str()).collect();
        orgs.dedup();
        let stored: Vec<Wrapped> = diesel::sql_query(
            "SELECT org_id, version, wrapped FROM data_keys WHERE org_id = ANY($1)
             ORDER BY org_id, version DESC",
        )
        .bind::<Array<Text>, _>(orgs)
        .load(conn)
        .await?;
        let open = |row: Wrapped| {
            let key = secrets.unwrap_key(&row.org_id, row.version.unsigned_abs(), &row.wrapped)?;
            Ok((row.org_id, key))
        };
        Ok(Self(stored.into_iter().map(open).collect::<Result<_>>()?))
    }

    fn newest(&self, org_id: &str) -> Result<&DataKey> {
        self.find(|(org, _)| org == org_id)
    }

    fn of_version(&self, org_id: &str, version: u32) -> Result<&DataKey> {
        self.find(|(org, key)| org == org_id && key.version == version)
    }

    fn find(&self, wanted: impl Fn(&(String, DataKey)) -> bool) -> Result<&DataKey> {
        let found = self.0.iter().find(|key| wanted(key));
        found
            .map(|(_, key)| key)
            .ok_or_else(|| broken("the data key of a sealed secret is missing"))
    }
}
