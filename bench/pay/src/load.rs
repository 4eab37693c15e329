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
    organization::{Organization, agent_id},
};

/// Who pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payers {
    /// Any wallet, another one each time.
    All,
    /// One wallet.
    One,
}

/// How it is paid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Connections, each with one payment at a time.
    pub(crate) clients: usize,
    pub(crate) payers: Payers,
    /// So many a second in all, where a latency begins when the payment was due; as fast as answers come without it.
    pub(crate) rate: Option<f64>,
    pub(crate) length: Duration,
}

/// Where payments are asked for.
pub(crate) const REQUEST: &str = "/payments/request";
/// Where it is only said what a payment would be decided.
pub(crate) const DRY_RUN: &str = "/payments/dry-run";

/// An answered payment.
#[derive(Clone, Debug)]
pub(crate) struct Paid {
    pub(crate) transaction_id: String,
    /// When the answer was there.
    pub(crate) at: Instant,
    latency: Duration,
}

/// What a run of load showed.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) per_second: f64,
    /// How long each took, sorted.
    latencies: Vec<Duration>,
    pub(crate) paid: Vec<Paid>,
}

impl Run {
    /// The latency that `share` of the requests did not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        quantile(&self.latencies, share).as_secs_f64() * 1000.0
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
fn payment(payers: Payers, wallets: usize) -> String {
    let mut rng = rand::rng();
    let payer = match payers {
        Payers::All => rng.random_range(0..wallets),
        Payers::One => 0,
    };
    let payee = (payer + rng.random_range(1..wallets)) % wallets;
    format!(
        r#"{{"requesting_agent_id":"{}","counterparty_agent_id":"{}","amount":{}.{:02},"tx_type":"vendor_payment","category":"operations","description":"Payment for services","reference_id":"INV-{}","metadata":{{"department":"engineering"}}}}"#,
        agent_id(payer),
        agent_id(payee),
        rng.random_range(1..50),
        rng.random_range(0..100),
        rng.random_range(0..1_000_000),
    )
}

/// Pays for a while.
pub(crate) async fn pay(organization: &Organization, load: Load) -> Result<Run> {
    let mut connections = Vec::with_capacity(load.clients);
    for _ in 0..load.clients {
        connections.push(organization.client().await?);
    }
    let begin = Instant::now() + Duration::from_millis(10);
    let next = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for client in connections {
        let next = Arc::clone(&next);
        running.spawn(one(client, load, organization.wallets, begin, next));
    }
    let mut paid = Vec::new();
    while let Some(ended) = running.join_next().await {
        paid.extend(ended??);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let per_second = paid.len() as f64 / begin.elapsed().as_secs_f64();
    let mut latencies: Vec<Duration> = paid.iter().map(|paid| paid.latency).collect();
    latencies.sort_unstable();
    Ok(Run {
        per_second,
        latencies,
        paid,
    })
}

async fn one(
    mut client: Client,
    load: Load,
    wallets: usize,
    begin: Instant,
    next: Arc<AtomicU64>,
) -> Result<Vec<Paid>> {
    let mut paid = Vec::new();
    loop {
        let due = match load.rate {
            // Sleeping, even until now, waits for the timer's next millisecond.
            None if begin <= Instant::now() => Instant::now(),
            None => begin,
            Some(rate) => {
                #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
                let place = next.fetch_add(1, Ordering::Relaxed) as f64;
                begin + Duration::from_secs_f64(place / rate)
            }
        };
        if due.duration_since(begin) >= load.length {
            return Ok(paid);
        }
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let reply = ask(&mut client, REQUEST, load.payers, wallets).await?;
        let at = Instant::now();
        paid.push(Paid {
            transaction_id: text(&reply, "transaction_id").to_owned(),
            at,
            latency: at - due,
        });
    }
}

/// One payment that is approved; the answer.
pub(crate) async fn ask(
    client: &mut Client,
    path: &str,
    payers: Payers,
    wallets: usize,
) -> Result<String> {
    let (status, reply) = client.post(path, &payment(payers, wallets)).await?;
    let reply = String::from_utf8(reply)?;
    ensure!(
        status == 200 && reply.contains("authorized"),
        "{status} {reply}"
    );
    Ok(reply)
}

/// The text of a member of JSON that is written without spaces and needs no escapes; empty when there is none. Load shares
/// the cores with the server, so it reads no more than this.
pub(crate) fn text<'t>(json: &'t str, member: &str) -> &'t str {
    let mut parts = json.split('"');
    match parts.find(|part| *part == member) {
        Some(_) => parts.nth(1).unwrap_or_default(),
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn members_are_found_by_their_names() {
        let json = r#"{"event":"payment.settled","data":{"transaction_id":"txn_1","amount":1.00}}"#;
        assert_eq!(text(json, "event"), "payment.settled");
        assert_eq!(text(json, "transaction_id"), "txn_1");
        assert_eq!(text(json, "webhook_id"), "");
    }
}
