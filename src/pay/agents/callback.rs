//! Telling whoever asked that a run has ended: one job a run, written in the transaction that ends it, tried until it is
//! taken. Every attempt says the same, under the run's id.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use serde::Serialize;
use serde_json::{json, value::RawValue};

use crate::{
    db::Conn,
    delivery::Letter,
    error::{Error, Result},
    jobs::{self, NewJob},
};

use super::{
    super::{
        Pay, time,
        webhooks::{PROFILE, VERSION},
    },
    keys,
    runs::{self, RunRow},
};

/// The kind of its jobs.
pub(super) const KIND: &str = "pay_agent_callback";
/// How often one is sent.
pub(super) const ATTEMPTS_MAX: i32 = 10;
/// How long one attempt may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// The most of an answer that is read, in bytes; only its status counts.
const RESPONSE_BYTES_MAX: usize = 1024;

/// The body, in the form of webhooks.
#[derive(Serialize)]
struct Body<'a> {
    event: &'a str,
    event_id: &'a str,
    timestamp: String,
    version: &'static str,
    data: Data<'a>,
}

/// The run as its own page shows it.
#[derive(Serialize)]
struct Data<'a> {
    run_id: &'a str,
    agent: &'a str,
    status: &'a str,
    priority: &'a str,
    input: &'a RawValue,
    output: Option<&'a RawValue>,
    error: Option<&'a str>,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    duration_ms: Option<i64>,
}

/// Writes the jobs of ended runs that have somebody to tell.
pub(super) async fn enqueue(
    conn: &mut Conn,
    ended: &[RunRow],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let asked = ended.iter().filter(|run| run.callback_url.is_some());
    let jobs: Vec<NewJob> = asked
        .map(|run| NewJob {
            org_id: Some(run.org_id.clone()),
            ..NewJob::new(KIND, json!({"run_id": run.id}))
        })
        .collect();
    match jobs.is_empty() {
        true => Ok(()),
        false => jobs::enqueue(conn, &jobs, now).await,
    }
}

/// Sends the callback of a run once. Any 2xx is well, 410 wants no more; everything else fails, to be tried again.
pub(super) async fn send(pay: &Pay, org_id: &str, id: &str, retry_count: i32) -> Result<()> {
    let now = pay.clock.now();
    let (run, secrets) = {
        let mut conn = pay.db.connection().await?;
        // Nobody is told of a run that was swept meanwhile.
        let Some(run) = runs::find(&mut conn, org_id, id).await? else {
            return Ok(());
        };
        let of = (org_id, keys::CALLBACKS);
        (run, keys::opened(&mut conn, &pay.secrets, of, now).await?)
    };
    let Some(url) = run.callback_url.as_deref() else {
        return Ok(());
    };
    let event = format!("agent.run.{}", run.status);
    let body = body(&run, &event)?;
    let letter = Letter {
        url,
        delivery_id: id,
        event_id: id,
        event_type: &event,
        retry_count,
        body: &body,
        secrets: &secrets,
        timeout: TIMEOUT,
        response_bytes_max: RESPONSE_BYTES_MAX,
    };
    match pay.sender.post(&PROFILE, &letter).await.response {
        Ok(answer) if (200..300).contains(&answer.status) || answer.status == 410 => Ok(()),
        Ok(answer) => Err(failed(&format!("answered {}", answer.status))),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(why: &str) -> Error {
    Error::internal(anyhow::anyhow!("the callback was not taken: {why}"))
}

fn body(run: &RunRow, event: &str) -> Result<String> {
    let raw = |text| serde_json::from_str::<&RawValue>(text).map_err(Error::internal);
    let output = run.output.as_ref().map(|output| raw(&output.0));
    let body = Body {
        event,
        event_id: &run.id,
        timestamp: time::text(run.completed_at.unwrap_or(run.created_at)),
        version: VERSION,
        data: Data {
            run_id: &run.id,
            agent: &run.agent,
            status: &run.status,
            priority: &run.priority,
            input: raw(&run.input.0)?,
            output: output.transpose()?,
            error: run.error.as_deref(),
            created_at: time::text(run.created_at),
            started_at: run.started_at.map(time::text),
            completed_at: run.completed_at.map(time::text),
            duration_ms: run.duration_ms(),
        },
    };
    serde_json::to_string(&body).map_err(Error::internal)
}
