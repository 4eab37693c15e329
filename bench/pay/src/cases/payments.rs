//! Payments beside `pgbench`, and what a precheck costs.

use anyhow::Result;

use super::Bench;
use crate::{
    groups::Groups,
    load::{self, Load, Payers},
    organization::{Organization, Setup},
    pgbench::PgBench,
    report::{Report, at_least, at_most},
};

/// The names of the cases; the first needs no `pgbench`.
pub(super) const CASES: [&str; 5] = ["paced", "throughput", "precheck", "hot", "alone"];

/// Wallets of an organisation.
const WALLETS: usize = 1000;
/// Clients of the gated load.
const CLIENTS: usize = 64;

/// The organisation that pays, and what it is compared with.
struct Payments<'b> {
    bench: &'b Bench,
    organization: Organization,
    pgbench: PgBench,
}

/// Measures those that are asked for.
pub(super) async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let organization = organization(bench, "Bench", false).await?;
    if bench.wants("paced") {
        paced(bench, &organization, report).await?;
    }
    if !CASES.iter().skip(1).any(|case| bench.wants(case)) {
        return Ok(());
    }
    let payments = Payments {
        bench,
        organization,
        pgbench: PgBench::new()?,
    };
    if bench.wants("throughput") {
        payments.throughput(report).await?;
    }
    if bench.wants("precheck") {
        payments.precheck(report).await?;
    }
    if bench.wants("hot") {
        payments.hot(report).await?;
    }
    if bench.wants("alone") {
        payments.alone(report).await?;
    }
    Ok(())
}

async fn organization(
    bench: &Bench,
    name: &'static str,
    has_precheck: bool,
) -> Result<Organization> {
    let setup = Setup {
        name,
        wallets: WALLETS,
        has_precheck,
    };
    bench.site.organization(setup).await
}

/// Half of what many wallets and many clients can make: how long one takes then. Before `pgbench` is there, whose server
/// goes on writing for a while after it was measured.
async fn paced(bench: &Bench, organization: &Organization, report: &mut Report) -> Result<()> {
    let load = bench.load(CLIENTS, Payers::All);
    let (mut rates, mut medians) = (Vec::new(), Vec::new());
    let tails = bench
        .repeated(async || {
            let rate = load::pay(organization, load).await?.per_second / 2.0;
            let half = Load {
                rate: Some(rate),
                ..load
            };
            let run = load::pay(organization, half).await?;
            rates.push(rate);
            medians.push(run.quantile_ms(0.5));
            Ok(run.quantile_ms(0.99))
        })
        .await?;
    report.figure("half of the payments/s of 64 clients", &rates);
    report.figure("p50 at half of that load, ms", &medians);
    report.gate("p99 at half of that load, ms", &tails, at_most(25.0, 10.0));
    Ok(())
}

impl Payments<'_> {
    /// Many wallets, many clients.
    async fn throughput(&self, report: &mut Report) -> Result<()> {
        let bench = self.bench;
        self.pgbench.fill(50)?;
        let load = bench.load(CLIENTS, Payers::All);
        let (mut sizes, mut waits, mut medians) = (Vec::new(), Vec::new(), Vec::new());
        let rounds = bench
            .rounds(
                async || self.pgbench.per_second(CLIENTS, bench.window),
                async || {
                    let before = Groups::read(&bench.site).await?;
                    let run = load::pay(&self.organization, load).await?;
                    let groups = Groups::read(&bench.site).await?;
                    sizes.push(groups.mean_since(before));
                    waits.push(groups.wait_ms_since(before));
                    medians.push(run.quantile_ms(0.5));
                    Ok(run.per_second)
                },
            )
            .await?;
        rounds.tell(
            report,
            "payments/s, 64 clients, 1,000 wallets",
            "pgbench -c 64, scale 50, transactions/s",
            ("payments : pgbench, 64 clients", Some(at_least(0.8, 1.2))),
        );
        report.figure("payments of a group, mean, 64 clients", &sizes);
        report.figure("their wait for the group, mean, ms", &waits);
        report.figure("p50 of these payments, ms", &medians);
        Ok(())
    }

    /// The same load with and without a precheck of every payment.
    async fn precheck(&self, report: &mut Report) -> Result<()> {
        let checked = organization(self.bench, "Checked", true).await?;
        let load = self.bench.load(CLIENTS, Payers::All);
        let rounds = self
            .bench
            .rounds(
                async || Ok(load::pay(&self.organization, load).await?.per_second),
                async || Ok(load::pay(&checked, load).await?.per_second),
            )
            .await?;
        rounds.tell(
            report,
            "payments/s with precheck, 64 clients",
            "payments/s without, in turns",
            ("with precheck : without", None),
        );
        Ok(())
    }

    /// One wallet that everybody pays from.
    async fn hot(&self, report: &mut Report) -> Result<()> {
        self.pgbench.fill(1)?;
        let load = self.bench.load(32, Payers::One);
        let rounds = self
            .bench
            .rounds(
                async || self.pgbench.per_second(32, self.bench.window),
                async || Ok(load::pay(&self.organization, load).await?.per_second),
            )
            .await?;
        rounds.tell(
            report,
            "payments/s, 32 clients, one payer",
            "pgbench -c 32, scale 1, transactions/s",
            ("payments : pgbench, one hot row", Some(at_least(2.0, 4.0))),
        );
        Ok(())
    }

    /// One client, who must not wait for company.
    async fn alone(&self, report: &mut Report) -> Result<()> {
        self.pgbench.fill(1)?;
        let folder = tempfile::tempdir()?;
        let load = self.bench.load(1, Payers::All);
        let rounds = self
            .bench
            .rounds(
                async || {
                    let median = self.pgbench.median(folder.path(), self.bench.window)?;
                    Ok(median.as_secs_f64() * 1000.0)
                },
                async || Ok(load::pay(&self.organization, load).await?.quantile_ms(0.5)),
            )
            .await?;
        rounds.tell(
            report,
            "one client, p50, ms",
            "pgbench -c 1, p50, ms",
            ("one client : pgbench, p50", Some(at_most(4.0, 2.0))),
        );
        Ok(())
    }
}
