//! Trying a policy on the past: what it would have decided on the payments that were requested in a period.
//!
//! The payments pass one by one through the decision of the engine, and none is kept longer than something is still to come
//! of it: a million take no more memory than a hundred. What each agent would have committed is what its windows count, as
//! those of the engine do; before the period it is what it did commit. What humans said of a payment they say again, at the
//! same instant, and what came back to the payer comes back then. Wallets are not part of a policy: money is taken to be
//! there, counterparties to be open and not to block the payer.

mod past;
mod simulate;
mod window;

#[cfg(test)]
mod simulate_tests;

use std::{sync::Arc, time::Instant};

use chrono::TimeDelta;
use futures_util::TryStreamExt;
use tokio::sync::Semaphore;

use crate::{
    error::{Error, Kind, Result},
    identity::Caller,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    Pay, decision::PolicySnapshot, input::Input, money::decimal, policy_change::require_agent,
    policy_input::new_row, reports::Period, time::timestamp,
};

use past::Past;
use simulate::{Simulation, Tally};

/// Backtests at the same time in one process: each holds a connection.
const ROOM: usize = 2;

/// Longest period: 366 days.
const DAYS_MAX: i64 = 366;

/// Changes that are named.
const CHANGES_MAX: usize = 100;

/// The room for backtests of a process.
pub(super) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ROOM))
}

/// Tries a policy.
///
/// # Errors
/// 400 for a policy that could not be created or a period of more than 366 days, 503 when two others run.
pub(super) async fn run(
    pay: &Pay,
    caller: &Caller,
    request: pb::BacktestPolicyRequest,
) -> Result<pb::BacktestPolicyResponse> {
    let started = Instant::now();
    let (org_id, now) = (caller.org_id()?, pay.clock.now());
    let mut asked = request.policy.unwrap_or_default();
    asked
        .policy_name
        .get_or_insert_with(|| "backtest".to_owned());
    require_agent(caller, asked.agent_id.as_deref())?;
    let policy = PolicySnapshot::from(new_row(org_id, asked, &pay.sources.rules, now)?);
    let mut input = Input::default();
    let (from, to) = (request.date_from.as_deref(), request.date_to.as_deref());
    let period = Period::read(&mut input, from, to, now);
    if period.end - period.start > TimeDelta::days(DAYS_MAX) {
        input.fault(
            "date_from",
            format!("must be at most {DAYS_MAX} days before date_to"),
        );
    }
    input.finish()?;
    let _place = pay.backtests.try_acquire().map_err(|_| {
        Error::new(
            Kind::Unavailable,
            "TOO_MANY_BACKTESTS",
            "Other backtests are running; try again shortly",
        )
    })?;
    let mut simulation = Simulation::new(&pay.sources.rules, &policy, period);
    let mut conn = pay.db.connection().await?;
    let mut rows = past::stream(&mut conn, org_id, &policy, period).await?;
    while let Some(past) = rows.try_next().await? {
        simulation.pass(past);
    }
    Ok(told(simulation.end(), period, started))
}

fn told(tally: Tally, period: Period, started: Instant) -> pb::BacktestPolicyResponse {
    let counts = |counts: simulate::Counts| pb::BacktestCounts {
        approved: counts.approved,
        pending_human_review: counts.review,
        denied: counts.denied,
        approved_volume: Some(decimal(
            i64::try_from(counts.approved_minor).unwrap_or(i64::MAX),
        )),
    };
    let mut reasons: Vec<_> = tally
        .reasons
        .into_iter()
        .map(|(reason_code, count)| pb::BacktestReason {
            reason_code: reason_code.to_owned(),
            count,
        })
        .collect();
    reasons.sort_by(|a, b| (b.count, &a.reason_code).cmp(&(a.count, &b.reason_code)));
    pb::BacktestPolicyResponse {
        period_start: Some(timestamp(period.start)),
        period_end: Some(timestamp(period.end)),
        payments: tally.payments,
        simulated: Some(counts(tally.simulated)),
        actual: Some(counts(tally.actual)),
        reasons,
        changed: tally.changed,
        changes: tally.changes.into_values().collect(),
        processing_time_ms: i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
    }
}
