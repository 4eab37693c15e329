//! Creating, changing and deleting policies.

use crate::{
    db::Conn,
    error::{Error, Result},
    identity::Caller,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    Pay,
    policies::{self, PolicyRow},
    policy_input::{apply, blank, check, named_fields, new_row},
};

/// Creates a policy; 409 when the agent has an active one.
pub(super) async fn create(
    pay: &Pay,
    caller: &Caller,
    request: pb::CreatePolicyRequest,
) -> Result<PolicyRow> {
    let org_id = caller.org_id()?;
    require_agent(caller, request.agent_id.as_deref())?;
    let row = new_row(org_id, request, &pay.sources.rules, pay.clock.now())?;
    pay.db
        .transaction("pay_create_policy", async |conn: &mut Conn| {
            policies::insert(conn, &row).await
        })
        .await?;
    Ok(row)
}

/// Changes the named fields of an active policy, or without a mask those that are set.
pub(super) async fn update(
    pay: &Pay,
    caller: &Caller,
    request: pb::UpdatePolicyRequest,
) -> Result<()> {
    let org_id = caller.org_id()?;
    let change = request.policy.unwrap_or_default();
    let fields = named_fields(&change, request.update_mask)?;
    if fields.contains(&"agent_id") {
        require_agent(caller, change.agent_id.as_deref())?;
    }
    // Refused before the policy is looked for: bad input is 400 even for an unknown id.
    apply(
        blank(org_id, pay.clock.now()),
        &change,
        &fields,
        &pay.sources.rules,
    )?;
    let now = pay.clock.now();
    pay.db
        .transaction("pay_update_policy", async |conn: &mut Conn| {
            let row = policies::lock_active(conn, org_id, &request.id).await?;
            require_agent(caller, row.agent_id.as_deref())?;
            let mut row = apply(row, &change, &fields, &pay.sources.rules)?;
            check(&row)?;
            row.updated_at = now;
            policies::update(conn, &row).await
        })
        .await
}

/// Makes an active policy inactive.
pub(super) async fn delete(pay: &Pay, caller: &Caller, id: &str) -> Result<()> {
    let org_id = caller.org_id()?;
    let now = pay.clock.now();
    pay.db
        .transaction("pay_delete_policy", async |conn: &mut Conn| {
            let mut row = policies::lock_active(conn, org_id, id).await?;
            require_agent(caller, row.agent_id.as_deref())?;
            row.is_active = false;
            row.updated_at = now;
            policies::update(conn, &row).await
        })
        .await
}

/// A key bound to some agents may neither touch the policies of others nor the default, which binds them all.
pub(super) fn require_agent(caller: &Caller, agent_id: Option<&str>) -> Result<()> {
    match agent_id {
        Some(agent_id) => caller.require_agent(agent_id),
        None if caller.agents()?.is_none() => Ok(()),
        None => Err(Error::forbidden(
            "AGENT_NOT_ALLOWED",
            "This key may act for some agents only, and the organization's default policy binds all of them",
        )),
    }
}
