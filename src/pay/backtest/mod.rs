//! Trying a policy on the past: what it would have decided on the payments that were requested in a period.
//!
//! The payments pass one by one through the decision of the engine, and none is kept: a million take no more memory than a
//! hundred. What each agent would have committed is what its windows count; before the period it is what it did commit.
//! Wallets are not part of a policy: money is taken to be there, counterparties to be open and not to block the payer.

mod simulate;

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use futures_util::TryStreamExt;
use tokio::sync::Semaphore;

use crate::{
    db::{Conn, prepared::prepared},
    error::{Error, Kind, Result},
    identity::Caller,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    Pay, decision::PolicySnapshot, input::Input, money::decimal, policy_change::require_agent,
    policy_input::new_row, reports::Period, time::timestamp,
};

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

/// A payment as it was requested, and what became of it.
#[derive(Debug, Default, QueryableByName)]
struct Past {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    requesting_agent_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    counterparty_agent_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    counterparty_org_id: Option<String>,
    #[diesel(sql_type = BigInt)]
    amount_minor: i64,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Text)]
    tx_type: String,
    #[diesel(sql_type = Nullable<Text>)]
    category: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    description: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    reference_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    metadata: Option<String>,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Bool)]
    is_counted: bool,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
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
    let mut simulation = Simulation::new(&pay.sources.rules, &policy, period.start);
    let mut conn = pay.db.connection().await?;
    replay(&mut conn, org_id, &policy, period, &mut simulation).await?;
    Ok(told(simulation.end(), period, started))
}

/// Lets every payment pass that was requested in the period, and those before it that its windows may count.
async fn replay(
    conn: &mut Conn,
    org_id: &str,
    policy: &PolicySnapshot,
    period: Period,
    simulation: &mut Simulation<'_>,
) -> Result<()> {
    // The texts are read only for a precheck, which looks at them.
    const PAST: &str = "SELECT id, requesting_agent_id, counterparty_agent_id, counterparty_org_id, amount_minor, currency, tx_type, \
        category, CASE WHEN $5 THEN description END AS description, CASE WHEN $5 THEN reference_id END AS reference_id, \
        CASE WHEN $5 THEN metadata::text END AS metadata, status, counted_at IS NOT NULL AS is_counted, created_at \
        FROM transactions WHERE org_id = $1 AND created_at >= $2 AND created_at < $3 AND ($4 IS NULL OR requesting_agent_id = $4) \
        ORDER BY created_at, seq";
    let earliest = period.start - simulate::REACH;
    let mut rows = prepared(PAST, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Timestamptz, _>(earliest)
            .bind::<Timestamptz, _>(period.end)
            .bind::<Nullable<Text>, _>(policy.agent_id.as_deref())
            .bind::<Bool, _>(policy.asks_for_precheck())
    })
    .load_stream::<Past>(conn)
    .await?;
    while let Some(past) = rows.try_next().await? {
        simulation.pass(&past);
    }
    Ok(())
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
        changes: tally.changes,
        processing_time_ms: i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
    }
}
