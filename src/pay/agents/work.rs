//! The jobs of runs: a built-in computation, a call, a callback, and looking for runs whose job was given up.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;

use crate::{
    app::App,
    db::Conn,
    error::{Error, Kind as ErrorKind, Result},
    jobs::{self, Handler, Job, Kind, Registry, Schedule},
};

use super::{
    super::Pay,
    builtin, callback, http,
    registry::ATTEMPTS_MAX,
    runs::{self, Ending, RunRow},
};

/// Does built-in runs.
const COMPUTE: &str = "pay_agent_compute";
/// Calls registered agents; a kind of its own, so that slow ones do not keep the built-in ones waiting.
const CALL: &str = "pay_agent_call";
/// Looks for runs whose job was given up.
const LOST: &str = "pay_agent_lost";
/// How often a built-in run is tried.
const COMPUTE_ATTEMPTS_MAX: i32 = 3;
/// Interrupted attempts on top of those a run has; then its job is given up and the run counts as lost.
const INTERRUPTED_MAX: i32 = 2;
/// How long an attempt may take beyond the time of what it does: what comes before and after.
const MARGIN: Duration = Duration::from_secs(30);
/// A run is not looked at by [`Lost`] before it is this old.
const LOST_AFTER: TimeDelta = TimeDelta::minutes(5);
/// Lost runs of one round; the rest comes with the next one.
const LOST_MAX: i64 = 100;
/// What is said of them.
const LOST_ERROR: &str = "Every attempt was interrupted; trigger it again";

/// Adds the kinds of jobs and their schedule.
pub(in super::super) fn work(app: &App, registry: &mut Registry) {
    let pay = Pay::new(app);
    registry
        .kind(Kind {
            attempts_max: COMPUTE_ATTEMPTS_MAX + INTERRUPTED_MAX,
            timeout: builtin::TIMEOUT + MARGIN,
            ..Kind::new(COMPUTE, Arc::new(Compute(pay.clone())))
        })
        .kind(Kind {
            concurrency: 32,
            attempts_max: ATTEMPTS_MAX + INTERRUPTED_MAX,
            timeout: http::TIMEOUT_MAX + MARGIN,
            ..Kind::new(CALL, Arc::new(Call(pay.clone())))
        })
        .kind(Kind {
            concurrency: 32,
            attempts_max: callback::ATTEMPTS_MAX,
            timeout: callback::TIMEOUT + MARGIN,
            ..Kind::new(callback::KIND, Arc::new(Callback(pay.clone())))
        })
        .kind(Kind {
            concurrency: 1,
            ..Kind::new(LOST, Arc::new(Lost(pay)))
        })
        .schedule("pay_agent_lost", Schedule::Minutely, LOST);
}

/// The kind of job that does a run.
pub(super) fn kind_of(run: &RunRow) -> &'static str {
    match run.agent_id {
        Some(_) => CALL,
        None => COMPUTE,
    }
}

/// The organisation and the id of the run a job is for.
fn named(job: &Job) -> Result<(&str, &str)> {
    let org_id = job.org_id.as_deref();
    let named = org_id.zip(job.payload["run_id"].as_str());
    named.ok_or_else(|| Error::internal(anyhow::anyhow!("the job names no run")))
}

/// Takes up a run; none when it has ended, or the lease was lost.
async fn begin(pay: &Pay, job: &Job) -> Result<Option<RunRow>> {
    let (org_id, id) = named(job)?;
    let now = pay.clock.now();
    pay.db
        .transaction(
            "pay_begin_agent_run",
            async |conn: &mut Conn| match jobs::holds(conn, job).await? {
                true => Ok(runs::begin(conn, org_id, id, now).await?),
                false => Ok(None),
            },
        )
        .await
}

/// Ends a run under the job's lease, and queues its callback in the same transaction.
async fn end(pay: &Pay, job: &Job, run: &RunRow, ending: &Ending) -> Result<()> {
    let now = pay.clock.now();
    pay.db
        .transaction("pay_end_agent_run", async |conn: &mut Conn| {
            let of = (run.org_id.as_str(), run.id.as_str());
            if jobs::holds(conn, job).await? && runs::end(conn, of, ending, now).await? {
                callback::enqueue(conn, std::slice::from_ref(run), now).await?;
            }
            Ok(())
        })
        .await
}

/// Does built-in runs. What the agent says of its input ends the run; faults of ours are tried again.
struct Compute(Pay);

#[async_trait::async_trait]
impl Handler for Compute {
    async fn run(&self, job: &Job) -> Result<()> {
        let Some(run) = begin(&self.0, job).await? else {
            return Ok(());
        };
        let ending = match builtin::run(&self.0, &run).await {
            Ok(output) => Ending::Completed(output),
            Err(error) => {
                let is_ours = matches!(error.kind, ErrorKind::Internal | ErrorKind::Unavailable);
                if is_ours && job.attempts < COMPUTE_ATTEMPTS_MAX {
                    return Err(error);
                }
                if is_ours {
                    tracing::error!(%error, run = run.id, "a built-in agent failed");
                }
                Ending::Failed(error.message.into_owned())
            }
        };
        end(&self.0, job, &run, &ending).await
    }
}

/// Calls registered agents.
struct Call(Pay);

#[async_trait::async_trait]
impl Handler for Call {
    async fn run(&self, job: &Job) -> Result<()> {
        let Some(run) = begin(&self.0, job).await? else {
            return Ok(());
        };
        let ending = http::call(&self.0, &run, job.attempts).await?;
        end(&self.0, job, &run, &ending).await
    }
}

/// Tells that a run has ended.
struct Callback(Pay);

#[async_trait::async_trait]
impl Handler for Callback {
    async fn run(&self, job: &Job) -> Result<()> {
        let (org_id, id) = named(job)?;
        callback::send(&self.0, org_id, id, job.attempts - 1).await
    }
}

/// Fails runs whose job was given up without an end, because every worker that took it died.
struct Lost(Pay);

#[async_trait::async_trait]
impl Handler for Lost {
    async fn run(&self, _job: &Job) -> Result<()> {
        let now = self.0.clock.now();
        let before = now - LOST_AFTER;
        let failed = self
            .0
            .db
            .transaction("pay_fail_lost_runs", async |conn: &mut Conn| {
                let lost = runs::fail_lost(conn, LOST_ERROR, before, LOST_MAX, now).await?;
                callback::enqueue(conn, &lost, now).await?;
                Ok(lost.len())
            })
            .await?;
        if failed > 0 {
            tracing::warn!(failed, "runs of agents were lost and have failed");
        }
        Ok(())
    }
}
