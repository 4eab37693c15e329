//! Payments of the past, written by SQL: the door would take hours for ten million.
//!
//! A payment that came through the door is the pattern: every column that is not the copy's own is taken from it, so that
//! the rows are as wide as real ones and columns that are added to the table need nothing here. Only `transactions` is filled:
//! neither windows nor backtests read events or the ledger.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tokio_postgres::{Client, NoTls};

use crate::{
    organization::{Organization, agent_id},
    report::Report,
};

/// How far back they reach: within every window of 30 days, with time to measure.
const REACH: &str = "interval '29 days 12 hours'";

/// What a copy has of its own, as SQL over `past`: the place `n`, its instant `at`, its `key`, its amount and its running total.
const OWN: [(&str, &str); 10] = [
    ("id", "'txn_' || key"),
    ("authorization_id", "'auth_' || key"),
    ("requesting_agent_id", "agent_id"),
    ("amount_minor", "past.amount_minor"),
    ("reference_id", "'INV-' || n"),
    ("created_at", "at"),
    ("decided_at", "at"),
    ("settled_at", "at"),
    ("counted_at", "at"),
    ("spent_total_minor", "total_minor"),
];

/// Payments of agents, evenly over the last 30 days and in the order of time, as they would have come.
#[derive(Clone, Debug)]
pub(crate) struct Past<'a> {
    pub(crate) org_id: &'a str,
    /// The payment they are made after; of an agent that is none of these.
    pub(crate) pattern_id: &'a str,
    pub(crate) agent_ids: Vec<String>,
    /// Payments of each.
    pub(crate) count: u64,
}

/// What a filling cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filled {
    pub(crate) duration: Duration,
    /// The whole database afterwards.
    pub(crate) bytes: i64,
}

impl Filled {
    /// As figures.
    pub(crate) fn tell(&self, report: &mut Report, pasts: &[Past<'_>]) {
        let count = |past: &Past<'_>| past.count * past.agent_ids.len() as u64;
        let count: u64 = pasts.iter().map(count).sum();
        let seconds = self.duration.as_secs_f64();
        report.figure(&format!("filling in {count} past payments, s"), &[seconds]);
        #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
        let gigabytes = self.bytes as f64 / 1e9;
        report.figure("the database then, GB", &[gigabytes]);
    }
}

/// Pays once from the last wallet of an organisation, whose other wallets may then be given a past; answers the transaction.
pub(crate) async fn pattern(organization: &Organization) -> Result<String> {
    let last = organization.wallets - 1;
    let payment = json!({
        "requesting_agent_id": agent_id(last),
        "counterparty_agent_id": agent_id(last - 1),
        "amount": 1,
        "tx_type": "vendor_payment",
        "category": "operations",
        "description": "Payment for services",
        "reference_id": "INV-0",
        "metadata": {"department": "engineering"},
    });
    let mut client = organization.client().await?;
    let reply = client.accepted("/payments/request", &payment).await?;
    let id = reply["transaction_id"].as_str();
    Ok(id.context("a payment without an id")?.to_owned())
}

/// Writes them, without the indexes, which are made anew afterwards; then lets Postgres look at the table.
pub(crate) async fn fill(url: &str, pasts: &[Past<'_>]) -> Result<Filled> {
    let began = Instant::now();
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let statement = statement(&client).await?;
    let indexes = indexes(&client).await?;
    let names: Vec<&str> = indexes.iter().map(|(name, _)| name.as_str()).collect();
    client
        .batch_execute(&format!("DROP INDEX {}", names.join(", ")))
        .await?;
    for past in pasts {
        let count = i64::try_from(past.count)?;
        client
            .execute(
                &statement,
                &[&past.org_id, &past.pattern_id, &past.agent_ids, &count],
            )
            .await?;
    }
    client
        .batch_execute("SET maintenance_work_mem = '512MB'")
        .await?;
    for (_, definition) in &indexes {
        client.batch_execute(definition).await?;
    }
    // What autovacuum does sooner or later; and no checkpoint of the filling falls into a measurement.
    client
        .batch_execute("VACUUM (ANALYZE) transactions")
        .await?;
    client.batch_execute("CHECKPOINT").await?;
    let size = "SELECT pg_database_size(current_database())";
    let bytes = client.query_one(size, &[]).await?.get(0);
    drop(client);
    connection.await??;
    Ok(Filled {
        duration: began.elapsed(),
        bytes,
    })
}

/// The indexes that enforce nothing, with what makes them.
async fn indexes(client: &Client) -> Result<Vec<(String, String)>> {
    const INDEXES: &str = "SELECT i.indexname::text, i.indexdef FROM pg_indexes i WHERE i.tablename = 'transactions' \
         AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)";
    let rows = client.query(INDEXES, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The statement that writes the payments of agents.
async fn statement(client: &Client) -> Result<String> {
    const COLUMNS: &str = "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name = 'transactions' AND is_identity = 'NO'";
    let columns: Option<String> = client.query_one(COLUMNS, &[]).await?.get(0);
    let columns = columns.context("there is no table of payments")?;
    let values: Vec<String> = columns
        .split(',')
        .map(|column| match OWN.iter().find(|(own, _)| *own == column) {
            Some((_, value)) => (*value).to_owned(),
            None => format!("t.{column}"),
        })
        .collect();
    // Amounts depend on the place alone, so all agents have the same running totals.
    Ok(format!(
        "INSERT INTO transactions ({columns}) SELECT {values} FROM transactions t CROSS JOIN ( \
             SELECT n, amount_minor, total_minor, agent_id, lpad(to_hex(n), 12, '0') || agent_id AS key, now() - {REACH} \
                 + {REACH} * ((n + place / cardinality($3)::double precision) / ($4 + 2)) AS at \
             FROM (SELECT n, amount_minor, sum(amount_minor) OVER (ROWS UNBOUNDED PRECEDING) AS total_minor \
                 FROM (SELECT n, 100 + n * 7919 % 4900 AS amount_minor \
                     FROM (SELECT generate_series(1, $4::bigint) AS n) AS places) AS amounts) AS totals \
             CROSS JOIN unnest($3::text[]) WITH ORDINALITY AS agents (agent_id, place) \
         ) AS past WHERE t.org_id = $1 AND t.id = $2",
        values = values.join(", "),
    ))
}
