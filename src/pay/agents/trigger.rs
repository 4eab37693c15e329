//! Queueing runs, and reading them.

use std::time::Duration;

use prost::Message;
use serde_json::json;

use crate::{
    db::Conn,
    error::{Error, Kind, Result},
    idempotency::{self, Keyed},
    identity::Caller,
    ids,
    jobs::{self, NewJob},
    proto::pulpo::{pay::v1 as pb, r#type::v1::Json},
};

use super::{
    super::{Pay, input::Input, time::timestamp, transactions::JsonText},
    builtin::{Builtin, Parameters},
    keys, rows,
    runs::{self, QUEUED, RunRow},
    work,
};

/// Runs of one organisation that have not ended.
const OPEN_MAX: i64 = 1000;
/// When to try again while there are as many.
const OPEN_PAUSE: Duration = Duration::from_secs(10);
/// Runs shown when no limit is given.
const LIMIT_DEFAULT: i64 = 20;
/// Most runs shown; higher limits are cut to it.
const LIMIT_MAX: i64 = 100;
/// The priorities, and what they are to jobs.
const PRIORITIES: [(&str, i16); 4] = [("low", -1), ("normal", 0), ("high", 1), ("critical", 2)];
/// The priority when none is given.
const PRIORITY_DEFAULT: &str = "normal";

/// A run that is well-formed.
struct Order {
    agent: String,
    builtin: Option<Builtin>,
    priority: (&'static str, i16),
    input: String,
    payment_agents: Option<Vec<String>>,
    callback_url: Option<String>,
    keyed: Option<Keyed>,
}

/// Queues a run. Repeating it under its idempotency key gives the first answer.
pub(super) async fn trigger(
    pay: &Pay,
    caller: &Caller,
    request: pb::TriggerAgentRequest,
) -> Result<pb::TriggerAgentResponse> {
    let org_id = caller.org_id()?;
    if !request.agent.is_empty() {
        caller.require_agent(&request.agent)?;
    }
    let order = read(pay, caller, request)?;
    pay.db
        .transaction("pay_trigger_agent", async |conn: &mut Conn| {
            queue(pay, conn, org_id, &order).await
        })
        .await
}

async fn queue(
    pay: &Pay,
    conn: &mut Conn,
    org_id: &str,
    order: &Order,
) -> Result<pb::TriggerAgentResponse> {
    let now = pay.clock.now();
    if let Some(first) = idempotency::replay(conn, order.keyed.as_ref(), now).await? {
        return Ok(first);
    }
    let agent_id = match order.builtin {
        Some(_) => None,
        None => Some(rows::require_id(conn, org_id, &order.agent).await?),
    };
    if runs::has_open(conn, org_id, OPEN_MAX).await? {
        return Err(Error::new(
            Kind::RateLimited,
            "TOO_MANY_RUNS",
            format!("{OPEN_MAX} runs of this organization have not ended; wait until some have"),
        )
        .retry_after(OPEN_PAUSE));
    }
    if order.callback_url.is_some() {
        keys::ensure(conn, &pay.secrets, (org_id, keys::CALLBACKS), now).await?;
    }
    let run = RunRow {
        org_id: org_id.to_owned(),
        id: ids::short("run", 12),
        agent: order.agent.clone(),
        agent_id,
        priority: order.priority.0.to_owned(),
        input: JsonText(order.input.clone()),
        payment_agents: order.payment_agents.clone(),
        callback_url: order.callback_url.clone(),
        status: QUEUED.to_owned(),
        output: None,
        error: None,
        created_at: now,
        started_at: None,
        completed_at: None,
    };
    runs::insert(conn, &run).await?;
    let job = NewJob {
        org_id: Some(run.org_id.clone()),
        ordering_key: Some(runs::ordering_key(&run)),
        priority: order.priority.1,
        ..NewJob::new(work::kind_of(&run), json!({"run_id": run.id}))
    };
    jobs::enqueue(conn, &[job], now).await?;
    let answer = pb::TriggerAgentResponse {
        run_id: run.id,
        agent: run.agent,
        status: run.status,
        priority: run.priority,
        created_at: Some(timestamp(now)),
    };
    idempotency::keep(conn, order.keyed.as_ref(), &answer).await?;
    Ok(answer)
}

/// Checks a request, and names every fault.
fn read(pay: &Pay, caller: &Caller, mut request: pb::TriggerAgentRequest) -> Result<Order> {
    let mut input = Input::default();
    input.name("agent", &request.agent);
    let builtin = Builtin::of(&request.agent);
    let priority = request.priority.as_deref().unwrap_or(PRIORITY_DEFAULT);
    let known = PRIORITIES.into_iter().find(|(name, _)| *name == priority);
    if known.is_none() {
        input.fault("priority", "must be low, normal, high or critical");
    }
    let callback_url = request
        .callback_webhook
        .as_deref()
        .and_then(|url| input.target("callback_webhook", Some(url), pay.allows_private()));
    let key = request.idempotency_key.take();
    // What two spellings of one request have in common.
    request.priority = Some(priority.to_owned());
    let canonical = key.is_some().then(|| request.encode_to_vec());
    let text = object(&mut input, request.input.take());
    let mut payment_agents = Some(Vec::new());
    if let Some(builtin) = builtin {
        let parameters = builtin.read(&mut input, &text, &pay.sources.rules, pay.clock.now());
        payment_agents = scope(caller, &parameters)?;
    }
    input.finish()?;
    let keyed = match (key, canonical) {
        (Some(key), Some(canonical)) => Some(Keyed::new(
            caller.org_id()?,
            "pay.trigger_agent",
            key,
            &canonical,
        )?),
        _ => None,
    };
    Ok(Order {
        agent: request.agent,
        builtin,
        priority: known.unwrap_or(PRIORITIES[1]),
        input: text,
        payment_agents,
        callback_url,
        keyed,
    })
}

/// The input as given, `{}` when absent.
fn object(input: &mut Input, value: Option<Json>) -> String {
    let text = input.object("input", value);
    text.unwrap_or_else(|| "{}".to_owned())
}

/// The agents whose payments the run may look at: the one its input names, or all the key may act for.
fn scope(caller: &Caller, parameters: &Parameters) -> Result<Option<Vec<String>>> {
    match (parameters.reads_payments(), parameters.agent_id()) {
        (false, _) => Ok(Some(Vec::new())),
        (true, Some(agent_id)) => {
            caller.require_agent(agent_id)?;
            Ok(Some(vec![agent_id.to_owned()]))
        }
        (true, None) => Ok(caller.agents()?.map(<[String]>::to_vec)),
    }
}

/// One run.
pub(super) async fn find(pay: &Pay, caller: &Caller, id: &str) -> Result<RunRow> {
    let mut conn = pay.db.connection().await?;
    let run = runs::find(&mut conn, caller.org_id()?, id).await?;
    let run =
        run.ok_or_else(|| Error::not_found("RUN_NOT_FOUND", "There is no run with this id"))?;
    match caller.agents()? {
        Some(agents) if !run.is_within(agents) => Err(Error::forbidden(
            "AGENT_NOT_ALLOWED",
            "This key may act for some agents only, and this run is about others",
        )),
        _ => Ok(run),
    }
}

/// Runs, newest first.
pub(super) async fn list(
    pay: &Pay,
    caller: &Caller,
    request: &pb::ListAgentResultsRequest,
) -> Result<pb::ListAgentResultsResponse> {
    let agent = request.agent.as_deref().filter(|agent| !agent.is_empty());
    if let Some(agent) = agent {
        caller.require_agent(agent)?;
    }
    let mut input = Input::default();
    let limit = input.limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX);
    input.label("agent", agent);
    input.finish()?;
    let mut conn = pay.db.connection().await?;
    let results = runs::list(&mut conn, caller.org_id()?, agent, caller.agents()?, limit).await?;
    Ok(pb::ListAgentResultsResponse {
        count: i64::try_from(results.len()).unwrap_or(i64::MAX),
        results,
        limit,
    })
}
