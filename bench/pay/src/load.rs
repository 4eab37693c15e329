//! Load: payments from many connections, each waiting for its answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use rand::RngExt;
use tokio::task::JoinSet;

use crate::{
    http::Client,
    site::{Site, WALLETS, agent_id},
};

/// Who pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payers {
    /// Any wallet, another one each time.
    All,
    /// One wallet.
    One,
}

/// What a run of load showed.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) per_second: f64,
    /// How long each took, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Run {
    /// The latency that `share` of the requests did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        quantile(&self.latencies, share)
    }
}

/// Of sorted durations the one at `share`.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    let place = (last as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

/// A payment that the policy lets pass.
pub(crate) fn payment(payers: Payers) -> String {
    let mut rng = rand::rng();
    let payer = match payers {
        Payers::All => rng.random_range(0..WALLETS),
        Payers::One => 0,
    };
    let payee = (payer + rng.random_range(1..WALLETS)) % WALLETS;
    format!(
        r#"{{"requesting_agent_id":"{}","counterparty_agent_id":"{}","amount":{}.{:02},"tx_type":"vendor_payment","category":"operations","description":"Payment for services","reference_id":"INV-{}","metadata":{{"department":"engineering"}}}}"#,
        agent_id(payer),
        agent_id(payee),
        rng.random_range(1..50),
        rng.random_range(0..100),
        rng.random_range(0..1_000_000),
    )
}

/// Pays from `clients` connections for a while: as fast as answers come, or at `rate` a second in all, where a latency
/// begins when the payment was due.
pub(crate) async fn pay(
    site: &Site,
    clients: usize,
    payers: Payers,
    rate: Option<f64>,
    length: Duration,
) -> Result<Run> {
    let mut connections = Vec::with_capacity(clients);
    for _ in 0..clients {
        connections.push(site.client().await?);
    }
    let begin = Instant::now() + Duration::from_millis(10);
    let next = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for client in connections {
        let next = Arc::clone(&next);
        running.spawn(one(client, payers, rate, begin, length, next));
    }
    let mut latencies = Vec::new();
    while let Some(ended) = running.join_next().await {
        latencies.extend(ended??);
    }
    latencies.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let per_second = latencies.len() as f64 / begin.elapsed().as_secs_f64();
    Ok(Run {
        per_second,
        latencies,
    })
}

async fn one(
    mut client: Client,
    payers: Payers,
    rate: Option<f64>,
    begin: Instant,
    length: Duration,
    next: Arc<AtomicU64>,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let due = match rate {
            // Sleeping, even until now, waits for the timer's next millisecond.
            None if begin <= Instant::now() => Instant::now(),
            None => begin,
            Some(rate) => {
                #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
                let place = next.fetch_add(1, Ordering::Relaxed) as f64;
                begin + Duration::from_secs_f64(place / rate)
            }
        };
        if due.duration_since(begin) >= length {
            return Ok(latencies);
        }
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let (status, reply) = client.post("/payments/request", &payment(payers)).await?;
        latencies.push(due.elapsed());
        ensure!(
            status == 200 && reply.windows(10).any(|part| part == b"authorized"),
            "{status} {}",
            String::from_utf8_lossy(&reply)
        );
    }
}
