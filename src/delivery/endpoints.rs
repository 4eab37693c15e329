//! Endpoints as rows.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::Result,
    ids,
    secrets::{Secrets, rotation::SealedColumn},
};

use schema::delivery_endpoints;

mod schema {
    diesel::table! {
        delivery_endpoints (org_id, id) {
            org_id -> Text,
            id -> Text,
            api -> Text,
            url -> Text,
            description -> Nullable<Text>,
            kinds -> Array<Text>,
            labels -> Array<Text>,
            status -> Text,
            failure_count -> Int4,
            last_error -> Nullable<Text>,
            secret -> Bytea,
            previous_secret -> Nullable<Bytea>,
            previous_valid_until -> Nullable<Timestamptz>,
            created_at -> Timestamptz,
            updated_at -> Timestamptz,
        }
    }
}

/// Gets deliveries.
pub const ACTIVE: &str = "active";
/// Gets nothing.
pub const DISABLED: &str = "disabled";
/// Digits of a new secret.
const SECRET_DIGITS: usize = 64;
/// What stands before the endpoint's id in the contexts its secrets are sealed for.
const SECRET_CONTEXT: &str = "delivery:";
const PREVIOUS_CONTEXT: &str = "delivery_previous:";

/// The sealed columns, for rotation.
pub const SEALED: [SealedColumn; 2] = [
    SealedColumn {
        table: "delivery_endpoints",
        column: "secret",
        context_prefix: SECRET_CONTEXT,
    },
    SealedColumn {
        table: "delivery_endpoints",
        column: "previous_secret",
        context_prefix: PREVIOUS_CONTEXT,
    },
];

/// An endpoint.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = delivery_endpoints, primary_key(org_id, id), treat_none_as_null = true, check_for_backend(diesel::pg::Pg))]
pub struct EndpointRow {
    /// The organisation whose events it gets.
    pub org_id: String,
    /// Opaque, with the prefix of its API.
    pub id: String,
    /// Whose profile it is delivered to with.
    pub api: String,
    /// Where to.
    pub url: String,
    /// Free text.
    pub description: Option<String>,
    /// The kinds of events it gets.
    pub kinds: Vec<String>,
    /// If not empty, only events that carry one of these.
    pub labels: Vec<String>,
    /// [`ACTIVE`] or [`DISABLED`].
    pub status: String,
    /// Attempts that failed in a row.
    pub failure_count: i32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Sealed.
    pub secret: Vec<u8>,
    /// Sealed; the secret before.
    pub previous_secret: Option<Vec<u8>>,
    /// Until when the secret before signs as well.
    pub previous_valid_until: Option<DateTime<Utc>>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When its owner last changed it.
    pub updated_at: DateTime<Utc>,
}

impl EndpointRow {
    /// Makes it active, as if nothing had ever failed.
    pub fn enable(&mut self) {
        ACTIVE.clone_into(&mut self.status);
        self.failure_count = 0;
        self.last_error = None;
    }
}

/// A new secret, and the same sealed for this endpoint.
pub async fn new_secret(
    conn: &mut Conn,
    secrets: &Secrets,
    org_id: &str,
    id: &str,
) -> Result<(String, Vec<u8>)> {
    let secret = ids::secret("", SECRET_DIGITS);
    let context = format!("{SECRET_CONTEXT}{id}");
    let sealed = secrets
        .seal(conn, org_id, &context, secret.as_bytes())
        .await?;
    Ok((secret, sealed))
}

/// Gives the endpoint a new secret, with which the one before signs as well until `valid_until`; the row is changed, not
/// stored.
pub async fn rotate_secret(
    conn: &mut Conn,
    secrets: &Secrets,
    row: &mut EndpointRow,
    valid_until: DateTime<Utc>,
) -> Result<String> {
    let before = open_secret(conn, secrets, &row.org_id, &row.id, &row.secret).await?;
    let context = format!("{PREVIOUS_CONTEXT}{}", row.id);
    let previous = secrets.seal(conn, &row.org_id, &context, &before).await?;
    let (secret, sealed) = new_secret(conn, secrets, &row.org_id, &row.id).await?;
    row.secret = sealed;
    row.previous_secret = Some(previous);
    row.previous_valid_until = Some(valid_until);
    Ok(secret)
}

/// The text of an endpoint's secret.
pub(super) async fn open_secret(
    conn: &mut Conn,
    secrets: &Secrets,
    org_id: &str,
    id: &str,
    sealed: &[u8],
) -> Result<Vec<u8>> {
    let context = format!("{SECRET_CONTEXT}{id}");
    secrets.open(conn, org_id, &context, sealed).await
}

/// The text of the secret before.
pub(super) async fn open_previous(
    conn: &mut Conn,
    secrets: &Secrets,
    org_id: &str,
    id: &str,
    sealed: &[u8],
) -> Result<Vec<u8>> {
    let context = format!("{PREVIOUS_CONTEXT}{id}");
    secrets.open(conn, org_id, &context, sealed).await
}

/// The endpoints of the organisation, newest first.
pub async fn list(conn: &mut Conn, org_id: &str, api: &str) -> QueryResult<Vec<EndpointRow>> {
    delivery_endpoints::table
        .filter(
            delivery_endpoints::org_id
                .eq(org_id)
                .and(delivery_endpoints::api.eq(api)),
        )
        .order((
            delivery_endpoints::created_at.desc(),
            delivery_endpoints::id.desc(),
        ))
        .select(EndpointRow::as_select())
        .load(conn)
        .await
}

/// The endpoint of an id, as a query.
#[diesel::dsl::auto_type]
fn by_id<'q>(org_id: &'q str, api: &'q str, id: &'q str) -> _ {
    let row: diesel::dsl::AsSelect<EndpointRow, diesel::pg::Pg> = EndpointRow::as_select();
    delivery_endpoints::table
        .find((org_id, id))
        .filter(delivery_endpoints::api.eq(api))
        .select(row)
}

/// The endpoint, if it is the organisation's.
pub async fn find(
    conn: &mut Conn,
    org_id: &str,
    api: &str,
    id: &str,
) -> QueryResult<Option<EndpointRow>> {
    by_id(org_id, api, id).first(conn).await.optional()
}

/// The same, locked until the transaction ends.
pub async fn lock(
    conn: &mut Conn,
    org_id: &str,
    api: &str,
    id: &str,
) -> QueryResult<Option<EndpointRow>> {
    let locked = by_id(org_id, api, id).for_no_key_update();
    locked.first(conn).await.optional()
}

/// Stores a new endpoint.
pub async fn insert(conn: &mut Conn, row: &EndpointRow) -> QueryResult<()> {
    diesel::insert_into(delivery_endpoints::table)
        .values(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes a changed endpoint.
pub async fn update(conn: &mut Conn, row: &EndpointRow) -> QueryResult<()> {
    diesel::update(delivery_endpoints::table.find((&row.org_id, &row.id)))
        .set(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes the endpoint and its deliveries.
pub async fn delete(conn: &mut Conn, org_id: &str, id: &str) -> QueryResult<()> {
    diesel::delete(delivery_endpoints::table.find((org_id, id)))
        .execute(conn)
        .await?;
    Ok(())
}
