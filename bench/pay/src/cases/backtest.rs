//! Trying a policy on a million payments.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use super::Bench;
use crate::{
    organization::{Organization, Setup, policy},
    past::{self, Past},
    report::{Report, at_most},
};

/// Past payments, and the agents that share them.
const PAST: u64 = 1_000_000;
const AGENTS: u64 = 100;

/// Fills an organisation, and tries policies on its past: without a precheck, and with one, which looks at the texts of
/// every payment.
pub(super) async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let setup = Setup {
        name: "Backtest",
        wallets: 2,
        has_precheck: false,
    };
    let organization = bench.site.organization(setup).await?;
    let pattern_id = past::pattern(&organization).await?;
    let past = Past {
        org_id: &organization.id,
        pattern_id: &pattern_id,
        agent_ids: (0..AGENTS)
            .map(|agent| format!("past-{agent:02}"))
            .collect(),
        count: PAST / AGENTS,
    };
    let pasts = [past];
    let filled = past::fill(&bench.site.database_url()?, &pasts).await?;
    filled.tell(report, &pasts);
    let rounds = bench
        .rounds(
            async || seconds(&organization, true).await,
            async || seconds(&organization, false).await,
        )
        .await?;
    report.gate(
        "backtest over 1,000,000 payments, s",
        &rounds.ours,
        at_most(10.0, 3.0),
    );
    report.figure("the same with a precheck, s", &rounds.theirs);
    Ok(())
}

/// How long a backtest takes.
async fn seconds(organization: &Organization, has_precheck: bool) -> Result<f64> {
    let mut client = organization.client().await?;
    let body = json!({"policy": policy(has_precheck)});
    let asked = Instant::now();
    let reply = client.accepted("/policies/backtest", &body).await?;
    let seconds = asked.elapsed().as_secs_f64();
    // And the payment that all others are made after.
    let payments = reply["payments"].as_u64();
    ensure!(
        payments == Some(PAST + 1),
        "not all were looked at: {reply}"
    );
    Ok(seconds)
}
