//! What the command line does to the hub.

use chrono::{DateTime, Utc};
use diesel_async::RunQueryDsl;

use super::{
    connections::{ConnectionRow, Credentials, context},
    id,
    schema::connections,
};
use crate::{
    connectors,
    db::Conn,
    error::{Error, Result},
    secrets::Secrets,
};

/// A connection to be.
pub struct NewConnection {
    /// The tenant.
    pub org_id: String,
    /// The type of its connector in the catalogue.
    pub connector_type: String,
    /// The name to show.
    pub name: String,
    /// `source`, `destination` or `both`.
    pub direction: String,
    /// `active`, `shadow`, `paused` or `error`.
    pub state: String,
    /// Settings without secrets: a JSON object.
    pub config: serde_json::Value,
    /// Signs the webhooks the other system sends.
    pub webhook_secret: Option<String>,
}

/// Creates a connection; run it in a transaction. Error: `INVALID_ARGUMENT`, naming the field.
pub async fn create_connection(
    conn: &mut Conn,
    secrets: &Secrets,
    new: NewConnection,
    now: DateTime<Utc>,
) -> Result<ConnectionRow> {
    check(&new)?;
    let id = id::new(now);
    let secret = match new.webhook_secret {
        None => None,
        webhook_secret => {
            let text =
                serde_json::to_vec(&Credentials { webhook_secret }).map_err(Error::internal)?;
            Some(
                secrets
                    .seal(conn, &new.org_id, &context(&id), &text)
                    .await?,
            )
        }
    };
    let row = ConnectionRow {
        org_id: new.org_id,
        id,
        connector_type: new.connector_type,
        name: new.name,
        direction: new.direction,
        state: new.state,
        config: new.config,
        secret,
        created_at: now,
        updated_at: now,
    };
    diesel::insert_into(connections::table)
        .values(&row)
        .execute(conn)
        .await?;
    Ok(row)
}

fn check(new: &NewConnection) -> Result<()> {
    if connectors::catalogue()?
        .connector(&new.connector_type)
        .is_none()
    {
        let known: Vec<&str> = connectors::catalogue()?
            .connectors()
            .map(|c| c.kind.as_str())
            .collect();
        return Err(Error::invalid(
            "connectorType",
            format!("must be one of {}", known.join(", ")),
        ));
    }
    let words = [
        (
            "direction",
            &new.direction,
            &["source", "destination", "both"][..],
        ),
        (
            "state",
            &new.state,
            &["active", "shadow", "paused", "error"][..],
        ),
    ];
    for (field, value, known) in words {
        if !known.contains(&value.as_str()) {
            return Err(Error::invalid(
                field,
                format!("must be one of {}", known.join(", ")),
            ));
        }
    }
    if new.name.trim().is_empty() {
        return Err(Error::invalid("name", "must not be empty"));
    }
    if new.webhook_secret.as_deref() == Some("") {
        return Err(Error::invalid("webhookSecret", "must not be empty"));
    }
    match new.config.is_object() {
        true => Ok(()),
        false => Err(Error::invalid("config", "must be an object")),
    }
}
