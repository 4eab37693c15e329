//! Webhooks: how many are delivered a second, and how soon after the commit.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::json;

use super::Bench;
use crate::{
    load::{self, Load, Payers, Run},
    organization::{Organization, Setup},
    receiver::{Arrival, Receiver},
    report::{Report, at_least, at_most},
};

/// What a settled payment gives to an endpoint that asks for everything, in this order; the second waits until the first is
/// taken.
const EVENTS: [&str; 2] = ["payment.authorized", "payment.settled"];
/// Endpoints under the large load.
const ENDPOINTS: usize = 8;
/// Payments a second of the large load: they ask for twice the deliveries that are aimed at, and take little of the machine.
const MANY: f64 = 250.0;
/// Payments a second when nothing is in a hurry.
const FEW: f64 = 100.0;

/// The organisation that pays, and who hears of it.
struct Deliveries<'b> {
    bench: &'b Bench,
    organization: Organization,
    receiver: Receiver,
}

/// Measures the delay with one endpoint, then the rate with more.
pub(super) async fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let setup = Setup {
        name: "Hooks",
        wallets: 100,
        has_precheck: false,
    };
    let deliveries = Deliveries {
        bench,
        organization: bench.site.organization(setup).await?,
        receiver: Receiver::start().await?,
    };
    deliveries.register(0).await?;
    deliveries.delays(report).await?;
    for endpoint in 1..ENDPOINTS {
        deliveries.register(endpoint).await?;
    }
    deliveries.rate(report).await
}

impl Deliveries<'_> {
    async fn register(&self, endpoint: usize) -> Result<()> {
        let url = self.receiver.url(&format!("/hooks/{endpoint}"));
        let mut client = self.organization.client().await?;
        client
            .accepted("/webhooks", &json!({"url": url, "events": EVENTS}))
            .await?;
        Ok(())
    }

    /// Pays, and waits until everything was delivered to so many endpoints.
    async fn pay(&self, rate: f64, endpoints: usize) -> Result<(Run, Vec<Arrival>)> {
        let load = Load {
            rate: Some(rate),
            ..self.bench.load(16, Payers::All)
        };
        let run = load::pay(&self.organization, load).await?;
        let count = run.paid.len() * EVENTS.len() * endpoints;
        let arrivals = self.receiver.take(count).await?;
        Ok((run, arrivals))
    }

    /// From the commit to the first byte: the answer of a payment is sent right after its commit.
    async fn delays(&self, report: &mut Report) -> Result<()> {
        let (mut all, mut first, mut half) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.bench.options.rounds {
            let (run, arrivals) = self.pay(FEW, 1).await?;
            let answered: HashMap<&str, Instant> = run
                .paid
                .iter()
                .map(|paid| (paid.transaction_id.as_str(), paid.at))
                .collect();
            let delay = |arrival: &Arrival| {
                let answered = answered.get(arrival.transaction_id.as_str())?;
                Some(arrival.at.saturating_duration_since(*answered))
            };
            all.push(quantile_ms(arrivals.iter().filter_map(delay), 0.99));
            let firsts = arrivals.iter().filter(|one| one.event == EVENTS[0]);
            first.push(quantile_ms(firsts.clone().filter_map(delay), 0.99));
            half.push(quantile_ms(firsts.filter_map(delay), 0.5));
        }
        report.gate(
            "commit to first byte, 100 payments/s, p99, ms",
            &all,
            at_most(100.0, 50.0),
        );
        report.figure("of the first event of each payment, p99, ms", &first);
        report.figure("of the first event of each payment, p50, ms", &half);
        Ok(())
    }

    /// More is asked for than can be delivered, while payments go on.
    async fn rate(&self, report: &mut Report) -> Result<()> {
        let (mut rates, mut paid) = (Vec::new(), Vec::new());
        for _ in 0..self.bench.options.rounds {
            let (run, arrivals) = self.pay(MANY, ENDPOINTS).await?;
            let (Some(first), Some(last)) = (
                run.paid.iter().map(|paid| paid.at).min(),
                run.paid.iter().map(|paid| paid.at).max(),
            ) else {
                continue;
            };
            let meanwhile = arrivals
                .iter()
                .filter(|one| (first..last).contains(&one.at));
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            let meanwhile = meanwhile.count() as f64;
            rates.push(meanwhile / (last - first).as_secs_f64());
            paid.push(run.per_second);
        }
        report.gate(
            "deliveries/s to 8 endpoints while payments go on",
            &rates,
            at_least(1000.0, 2000.0),
        );
        report.figure("payments/s meanwhile", &paid);
        Ok(())
    }
}

fn quantile_ms(delays: impl Iterator<Item = Duration>, share: f64) -> f64 {
    let mut delays: Vec<Duration> = delays.collect();
    delays.sort_unstable();
    load::quantile(&delays, share).as_secs_f64() * 1000.0
}
