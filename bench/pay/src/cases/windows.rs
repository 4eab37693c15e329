//! The sums of the rolling windows: they must cost the same however many payments lie in them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::Utc;
use pulpo::{
    db::Db,
    pay::{decision, windows},
};

use super::{Bench, Rounds};
use crate::{
    http::Client,
    load::{self, Payers},
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
        // As in the transactions of payments, which plan a statement once.
        db: Db::new(
            &format!("{url} options='-c plan_cache_mode=force_generic_plan'"),
            1,
        ),
    };
    let of_young = past::pattern(&windows.young).await?;
    let of_old = past::pattern(&windows.old).await?;
    let mut pasts = pasts(&windows.young, &of_young, FEW);
    pasts.extend(self::pasts(&windows.old, &of_old, bench.options.past));
    past::fill(&url, &pasts).await?.tell(report, &pasts);
    windows.sums(report).await?;
    windows.door(report, "dry run", load::DRY_RUN).await?;
    windows.door(report, "payment", load::REQUEST).await
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
fn pasts<'a>(organization: &'a Organization, pattern_id: &'a str, count: u64) -> Vec<Past<'a>> {
    let past = |agent_ids, count| Past {
        org_id: &organization.id,
        pattern_id,
        agent_ids,
        count,
    };
    let others = (0..OTHERS).map(|other| format!("other-{other:02}"));
    vec![
        past(vec![agent_id(0)], count - count / 10),
        past(others.collect(), count / 10 / OTHERS),
    ]
}

impl Windows<'_> {
    /// The statement alone, as payments run it.
    async fn sums(&self, report: &mut Report) -> Result<()> {
        let conn = self.db.connection().await?;
        let payer = agent_id(0);
        let key = (payer.as_str(), "USD");
        let sum = async |organization: &Organization| {
            let starts = decision::window_starts(Utc::now());
            let past = windows::preview(&conn, &organization.id, &[key], starts).await?;
            let spent = past.spent.get(&(payer.clone(), "USD".to_owned()));
            let last = spent.and_then(|spent| spent.last);
            last.context("the past of the payer is not in its windows")?;
            Ok(())
        };
        let rounds = self
            .turns(
                async || sum(&self.young).await,
                async || sum(&self.old).await,
            )
            .await?;
        self.tell(report, "window sums", &rounds);
        Ok(())
    }

    /// Through the door: a dry run reads windows and writes nothing, a payment does both.
    async fn door(&self, report: &mut Report, name: &str, path: &str) -> Result<()> {
        let (mut young, mut old) = (self.young.client().await?, self.old.client().await?);
        let rounds = self
            .turns(
                async || ask(&mut young, path).await,
                async || ask(&mut old, path).await,
            )
            .await?;
        self.tell(report, name, &rounds);
        Ok(())
    }

    /// The medians of two things that are done one after the other, so that whatever else the machine does slows both; in
    /// milliseconds.
    async fn turns(
        &self,
        mut young: impl AsyncFnMut() -> Result<()>,
        mut old: impl AsyncFnMut() -> Result<()>,
    ) -> Result<Rounds> {
        let mut rounds = Rounds::default();
        for _ in 0..self.bench.options.rounds {
            let (begin, mut of_young, mut of_old) = (Instant::now(), Vec::new(), Vec::new());
            while begin.elapsed() < self.bench.window {
                let asked = Instant::now();
                young().await?;
                of_young.push(asked.elapsed());
                let asked = Instant::now();
                old().await?;
                of_old.push(asked.elapsed());
            }
            rounds.push(median_ms(of_young), median_ms(of_old));
        }
        Ok(rounds)
    }

    fn tell(&self, report: &mut Report, name: &str, rounds: &Rounds) {
        let many = self.bench.options.past;
        rounds.tell(
            report,
            &format!("{name}, {many} past payments, p50, ms"),
            &format!("{name}, {FEW} past payments, p50, ms"),
            (&format!("{name}, {many} : {FEW}"), Some(at_most(1.1, 1.0))),
        );
    }
}

async fn ask(client: &mut Client, path: &str) -> Result<()> {
    load::ask(client, path, Payers::One, WALLETS).await?;
    Ok(())
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    load::quantile(&times, 0.5).as_secs_f64() * 1000.0
}
