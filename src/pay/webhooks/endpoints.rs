//! Registering, changing and removing endpoints.

use chrono::{DateTime, Utc};

use crate::{
    db::Conn,
    delivery::{endpoints as rows, endpoints::EndpointRow, queue},
    error::{Error, Result},
    identity::{Caller, organizations},
    ids,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    super::Pay,
    PROFILE,
    input::{apply, named_fields},
};

/// Endpoints of one organisation.
const ENDPOINTS_MAX: usize = 50;

/// The organisation's endpoints, newest first; for a key that is bound to some agents those that get nothing of others.
pub(super) async fn list(pay: &Pay, caller: &Caller) -> Result<Vec<EndpointRow>> {
    let mut conn = pay.db.connection().await?;
    let mut rows = rows::list(&mut conn, caller.org_id()?, PROFILE.api).await?;
    let agents = caller.agents()?;
    rows.retain(|row| is_within(&row.labels, agents));
    Ok(rows)
}

/// Registers an endpoint; it and its secret.
pub(super) async fn register(
    pay: &Pay,
    caller: &Caller,
    request: pb::RegisterWebhookRequest,
) -> Result<(EndpointRow, String)> {
    let org_id = caller.org_id()?;
    require_agents(caller, &request.agent_filter)?;
    let now = pay.clock.now();
    let change = pb::WebhookChange {
        url: Some(request.url),
        description: request.description,
        events: request.events,
        agent_filter: request.agent_filter,
        status: Some(rows::ACTIVE.to_owned()),
    };
    let fields = ["url", "description", "events", "agent_filter", "status"];
    let row = apply(blank(org_id, now), &change, &fields, pay.allows_private())?;
    pay.db
        .transaction("pay_register_webhook", async |conn: &mut Conn| {
            // One after the other, so that the number holds.
            organizations::lock(conn, org_id).await?;
            if rows::list(conn, org_id, PROFILE.api).await?.len() >= ENDPOINTS_MAX {
                return Err(Error::precondition(
                    "TOO_MANY_WEBHOOKS",
                    format!("An organization may have {ENDPOINTS_MAX} webhook endpoints; delete one first"),
                ));
            }
            let (secret, sealed) =
                rows::new_secret(conn, &pay.secrets, org_id, &row.id).await?;
            let row = EndpointRow {
                secret: sealed,
                ..row.clone()
            };
            rows::insert(conn, &row).await?;
            Ok((row, secret))
        })
        .await
}

/// Changes the named fields of an endpoint, or without a mask those that are set.
pub(super) async fn update(
    pay: &Pay,
    caller: &Caller,
    request: pb::UpdateWebhookRequest,
) -> Result<()> {
    let org_id = caller.org_id()?;
    let now = pay.clock.now();
    let change = request.webhook.unwrap_or_default();
    let fields = named_fields(&change, request.update_mask)?;
    if fields.contains(&"agent_filter") {
        require_agents(caller, &change.agent_filter)?;
    }
    // Refused before the endpoint is looked for: bad input is 400 even for an unknown id.
    let allows_private = pay.allows_private();
    apply(blank(org_id, now), &change, &fields, allows_private)?;
    pay.db
        .transaction("pay_update_webhook", async |conn: &mut Conn| {
            let row = lock(conn, caller, &request.id).await?;
            let mut row = apply(row, &change, &fields, allows_private)?;
            row.updated_at = now;
            rows::update(conn, &row).await?;
            if row.status == rows::DISABLED {
                queue::give_up(conn, org_id, &row.id).await?;
            }
            Ok(())
        })
        .await
}

/// Removes an endpoint and everything that was or would be sent to it.
pub(super) async fn delete(pay: &Pay, caller: &Caller, id: &str) -> Result<()> {
    pay.db
        .transaction("pay_delete_webhook", async |conn: &mut Conn| {
            let row = lock(conn, caller, id).await?;
            Ok(rows::delete(conn, &row.org_id, &row.id).await?)
        })
        .await
}

/// Gives an endpoint a new secret; it, and until when the one before signs as well.
pub(super) async fn rotate(
    pay: &Pay,
    caller: &Caller,
    id: &str,
) -> Result<(String, DateTime<Utc>)> {
    let now = pay.clock.now();
    let valid_until = now + PROFILE.overlap;
    pay.db
        .transaction("pay_rotate_webhook_secret", async |conn: &mut Conn| {
            let mut row = lock(conn, caller, id).await?;
            let secret = rows::rotate_secret(conn, &pay.secrets, &mut row, valid_until).await?;
            row.updated_at = now;
            rows::update(conn, &row).await?;
            Ok((secret, valid_until))
        })
        .await
}

/// The endpoint, if it is the organisation's and the key may have to do with it.
pub(super) async fn find(conn: &mut Conn, caller: &Caller, id: &str) -> Result<EndpointRow> {
    let row = rows::find(conn, caller.org_id()?, PROFILE.api, id).await?;
    allowed(caller, row)
}

/// The same, locked until the transaction ends.
pub(super) async fn lock(conn: &mut Conn, caller: &Caller, id: &str) -> Result<EndpointRow> {
    let row = rows::lock(conn, caller.org_id()?, PROFILE.api, id).await?;
    allowed(caller, row)
}

fn allowed(caller: &Caller, row: Option<EndpointRow>) -> Result<EndpointRow> {
    let row = row.ok_or_else(|| {
        Error::not_found(
            "WEBHOOK_NOT_FOUND",
            "There is no webhook endpoint with this id",
        )
    })?;
    require_agents(caller, &row.labels)?;
    Ok(row)
}

/// A key bound to some agents may have to do only with endpoints that get nothing of others.
fn require_agents(caller: &Caller, labels: &[String]) -> Result<()> {
    if is_within(labels, caller.agents()?) {
        return Ok(());
    }
    match labels
        .iter()
        .try_for_each(|label| caller.require_agent(label))
    {
        Err(refused) => Err(refused),
        Ok(()) => Err(Error::forbidden(
            "AGENT_NOT_ALLOWED",
            "This key may act for some agents only; name them in agent_filter",
        )),
    }
}

/// Whether an endpoint with this filter gets events of these agents only; no agents are all.
fn is_within(labels: &[String], agents: Option<&[String]>) -> bool {
    agents.is_none_or(|agents| {
        !labels.is_empty() && labels.iter().all(|label| agents.contains(label))
    })
}

/// An endpoint to be filled in.
fn blank(org_id: &str, now: DateTime<Utc>) -> EndpointRow {
    EndpointRow {
        org_id: org_id.to_owned(),
        id: ids::short("whk", 12),
        api: PROFILE.api.to_owned(),
        url: String::new(),
        description: None,
        kinds: Vec::new(),
        labels: Vec::new(),
        status: rows::ACTIVE.to_owned(),
        failure_count: 0,
        last_error: None,
        secret: Vec::new(),
        previous_secret: None,
        previous_valid_until: None,
        created_at: now,
        updated_at: now,
    }
}
