//! The sums of the rolling windows: they must cost the same however many payments lie in them.

use std::time::Instant;

use anyhow::{Context, Result};
use chrono::Utc;
use pulpo::{
    db::Db,
    pay::{decision, windows},
};

use super::Bench;
use crate::{
    load::{self, Load, Payers},
    organization::{Organization, Setup, agent_id},
    past::{self, Past},
    report::{Report, at_most},
};

/// Past payments of the organisation that is compared with.
const FEW: u64 = 10_000;
/// Wallets of each organisation.
const WALLETS: usize = 10;
/// Agents that share a tenth of the past; the rest is of the payer that is measured.
const OTHERS: u64 = 50;

/// An organisation with little past, one with much, and one payer of each.
struct Windows<'b> {
    bench: &'b Bench,
    young: Organization,
    old: Organization,
    db: Db,
}

/// Fills both, and measures them in turns.
pub(super) async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let url = bench.site.database_url()?;
    let windows = Windows {
        bench,
        young: organization(bench, "Young").await?,
        old: organization(bench, "Old").await?,
        db: Db::new(&url, 1),
    };
    let mut pasts = pasts(&windows.young, FEW).await?;
    pasts.extend(self::pasts(&windows.old, bench.options.past).await?);
    past::fill(&url, &pasts).await?.tell(report, &pasts);
    windows.sums(report).await?;
    windows.dry_runs(report).await?;
    windows.payments(report).await
}

async fn organization(bench: &Bench, name: &'static str) -> Result<Organization> {
    let setup = Setup {
        name,
        wallets: WALLETS,
        has_precheck: false,
    };
    bench.site.organization(setup).await
}

/// Nine tenths of the first agent, who pays in the measurements, and the rest of others.
async fn pasts(organization: &Organization, count: u64) -> Result<Vec<Past<'_>>> {
    let pattern_id = past::pattern(organization).await?;
    let others = (0..OTHERS).map(|other| (format!("other-{other:02}"), count / 10 / OTHERS));
    let payer = (agent_id(0), count - count / 10);
    let agents = std::iter::once(payer).chain(others);
    let past = |(agent_id, count)| Past {
        org_id: &organization.id,
        pattern_id: pattern_id.clone(),
        agent_id,
        count,
        has_policy: false,
    };
    Ok(agents.map(past).collect())
}

impl Windows<'_> {
    /// The statement alone, as payments run it.
    async fn sums(&self, report: &mut Report) -> Result<()> {
        let rounds = self
            .bench
            .rounds(
                async || self.sum(&self.young).await,
                async || self.sum(&self.old).await,
            )
            .await?;
        rounds.tell(
            report,
            "window sums with many past payments, p50, ms",
            "window sums with 10,000, p50, ms",
            ("window sums, many : 10,000", Some(at_most(1.1, 1.0))),
        );
        Ok(())
    }

    /// The p50 of the statement for the payer of an organisation, in milliseconds.
    async fn sum(&self, organization: &Organization) -> Result<f64> {
        let conn = self.db.connection().await?;
        let payer = agent_id(0);
        let key = (payer.as_str(), "USD");
        let (begin, mut times) = (Instant::now(), Vec::new());
        while begin.elapsed() < self.bench.window {
            let asked = Instant::now();
            let starts = decision::window_starts(Utc::now());
            let spent = windows::spent(&conn, &organization.id, &[key], starts).await?;
            times.push(asked.elapsed());
            let spent = spent.get(&(payer.clone(), "USD".to_owned()));
            let last = spent.and_then(|spent| spent.last);
            last.context("the past of the payer is not in its windows")?;
        }
        times.sort_unstable();
        Ok(load::quantile(&times, 0.5).as_secs_f64() * 1000.0)
    }

    /// Through the door: a dry run reads windows and writes nothing.
    async fn dry_runs(&self, report: &mut Report) -> Result<()> {
        self.door(
            report,
            true,
            "dry run with many past payments, one client, p50, ms",
            "dry run with 10,000, p50, ms",
            "dry run, many : 10,000",
        )
        .await
    }

    async fn payments(&self, report: &mut Report) -> Result<()> {
        self.door(
            report,
            false,
            "payment with many past payments, one client, p50, ms",
            "payment with 10,000, p50, ms",
            "payment, many : 10,000",
        )
        .await
    }

    async fn door(
        &self,
        report: &mut Report,
        is_dry_run: bool,
        old: &str,
        young: &str,
        ratio: &str,
    ) -> Result<()> {
        let load = Load {
            is_dry_run,
            ..self.bench.load(1, Payers::One)
        };
        let rounds = self
            .bench
            .rounds(
                async || Ok(load::pay(&self.young, load).await?.quantile_ms(0.5)),
                async || Ok(load::pay(&self.old, load).await?.quantile_ms(0.5)),
            )
            .await?;
        rounds.tell(report, old, young, (ratio, Some(at_most(1.1, 1.0))));
        Ok(())
    }
}
