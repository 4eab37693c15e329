//! The curl examples of the document, run by a shell as they are printed; only the host and the key are put in.

use std::process::Stdio;

use serde_json::{Value, json};

use super::{Desk, invoice};
use crate::support::shape;

/// The examples of the routes served, in the document's order, with the status and shape each must have.
const EXAMPLES: &[(&str, u16, &str)] = &[
    (
        r#"curl -X POST https://your-instance.pulse.app/pulse-api/payments/request \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "requesting_agent_id": "agent-treasury-ops",
    "counterparty_agent_id": "agent-vendor-pay",
    "amount": 2500.00,
    "currency": "USD",
    "tx_type": "vendor_payment",
    "category": "operations",
    "description": "Invoice INV-2026-0412",
    "reference_id": "INV-2026-0412"
  }'"#,
        200,
        "{transaction_id status authorization{decision reason_code compliance_status processing_time_ms} settlement{settled_at}}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/payments?status=settled&limit=20" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{transactions[{id requesting_agent_id requesting_org_id counterparty_agent_id counterparty_org_id amount currency \
         tx_type category description reference_id status settled_at created_at}] count limit offset}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/payments/txn_9f8e7d6c5b4a" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{transaction{id requesting_agent_id requesting_org_id counterparty_agent_id amount currency tx_type status metadata{} \
         created_at} authorization{id decision reason_code processing_time_ms created_at} \
         events[{id event_type created_at}] escrow}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/payments/txn_9f8e7d6c5b4a/events" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{events[{id event_type event_data{decision reason_code} created_at}|{id event_type event_data{settled_at} created_at}]}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/wallets" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{wallets[{id agent_id currency available_balance held_balance lifetime_sent lifetime_received last_transaction_at \
         is_active created_at}]}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/wallets/agent-treasury-ops" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{id org_id agent_id currency available_balance held_balance lifetime_sent lifetime_received last_transaction_at \
         is_active created_at updated_at}",
    ),
    (
        r#"curl -X POST "https://your-instance.pulse.app/pulse-api/wallets/agent-treasury-ops/fund" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"amount": 10000, "currency": "USD"}'"#,
        200,
        "{funded agent_id amount new_balance}",
    ),
    (
        r#"curl -X POST "https://your-instance.pulse.app/pulse-api/wallets/agent-treasury-ops/withdraw" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"amount": 5000, "currency": "USD"}'"#,
        200,
        "{withdrawn agent_id amount new_balance}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/policies" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{policies[{id org_id policy_name agent_id max_per_transaction max_daily max_monthly currency require_human_above \
         approved_counterparties[] blocked_counterparties[] allowed_categories[] compliance_precheck \
         compliance_jurisdictions[] is_active created_at}]}",
    ),
    (
        r#"curl -X POST "https://your-instance.pulse.app/pulse-api/policies" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "policy_name": "Treasury Agent Policy",
    "agent_id": "agent-treasury-ops",
    "max_per_transaction": 50000,
    "max_daily": 200000,
    "max_monthly": 2000000,
    "require_human_above": 100000,
    "allowed_categories": ["treasury", "operations"],
    "compliance_jurisdictions": ["US_FEDERAL", "US_STATE_NY"]
  }'"#,
        201,
        "{id org_id policy_name agent_id max_per_transaction max_daily max_monthly currency require_human_above \
         approved_counterparties[] blocked_counterparties[] allowed_categories[] compliance_precheck \
         compliance_jurisdictions[] is_active created_at}",
    ),
    (
        r#"curl -X PATCH "https://your-instance.pulse.app/pulse-api/policies/pol_abc123" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"max_per_transaction": 75000, "max_daily": 300000}'"#,
        200,
        "{updated}",
    ),
    (
        r#"curl -X DELETE "https://your-instance.pulse.app/pulse-api/policies/pol_abc123" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{deleted soft}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/reconciliation?date_from=2026-04-01" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{reports[{id report_period_start report_period_end total_transactions matched_count unmatched_count \
         discrepancy_count total_volume status created_at}] count limit offset}",
    ),
    (
        r#"curl -X POST "https://your-instance.pulse.app/pulse-api/reconciliation/trigger" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"period_start": "2026-04-08T00:00:00Z", "period_end": "2026-04-14T23:59:59Z"}'"#,
        200,
        "{triggered report_id status period_start period_end}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/health""#,
        200,
        "{status version timestamp}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/meta" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{organization{id name slug type parent_org_id created_at} permissions[] \
         api_key{id name prefix created_at last_used_at ip_whitelist[] allowed_agents[]} rate_limits{per_minute daily}}",
    ),
    (
        r#"curl -X POST "https://your-instance.pulse.app/pulse-api/data/push" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"source": "erp", "data_type": "invoices", "records": [{"external_id": "INV-001", "data": {"amount": 5000}}]}'"#,
        200,
        "{pushed source data_type ids[]}",
    ),
    // The document's example leaves the records to the reader (`[...]`); these are those of the push before.
    (
        r#"curl -X POST "https://your-instance.pulse.app/pulse-api/data/bulk" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"source": "erp", "data_type": "invoices", "records": [{"external_id": "INV-001", "data": {"amount": 5000}}]}'"#,
        200,
        "{total batches inserted failed errors[]}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/data/query?data_type=invoices&limit=50" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{records[{id source data_type external_id category data{amount} created_at updated_at}] count limit offset}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/data/summary" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{summary[{data_type category count latest_at}] total_records}",
    ),
    (
        r#"curl -X POST "https://your-instance.pulse.app/pulse-api/agents/trigger" \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"agent": "market-analyzer", "input": {"region": "northeast"}, "priority": "high"}'"#,
        200,
        "{run_id agent status priority created_at}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/agents/status/run_abc123" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{run_id agent status priority input{region} output error created_at started_at completed_at duration_ms}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/agents/results?agent=market-analyzer&limit=10" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{results[{run_id agent status priority input{region} output error created_at started_at completed_at duration_ms}] \
         count limit}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/reports/efficiency" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{total_runs completed failed success_rate avg_duration_ms \
         by_agent[{agent total_runs completed failed success_rate avg_duration_ms}]}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/reports/compliance" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{period{start end} scanned clear flagged blocked needs_human avg_processing_time_ms confidence top_findings[] \
         jurisdiction_coverage[] predictions[] count limit}",
    ),
    (
        r#"curl "https://your-instance.pulse.app/pulse-api/reports/financial" \
  -H "Authorization: Bearer YOUR_API_KEY""#,
        200,
        "{period{start end} currency records[{id source data_type external_id category data{amount} created_at updated_at}] \
         count limit offset totals{record_count record_amount total_volume transaction_count approval_rate compliance_flags \
         avg_settlement_ms total_wallet_balance} roll_up}",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_document_run_as_printed() {
    let desk = Desk::open().await;
    desk.api()
        .post("/payments/request", &invoice())
        .await
        .expect_status(200);
    let run = json!({"agent": "market-analyzer", "input": {"region": "northeast"}});
    desk.api()
        .post("/agents/trigger", &run)
        .await
        .expect_status(200);
    desk.api()
        .post("/reconciliation/trigger", &json!({}))
        .await
        .expect_status(200);
    // The examples name a transaction, a policy and a run; these get those names.
    for statement in [
        "INSERT INTO transactions (org_id, id, requesting_agent_id, counterparty_agent_id, amount_minor, currency, tx_type, metadata, \
         status, settled_at, counted_at, spent_total_minor, created_at, authorization_id, decision, reason_code, compliance_status, \
         processing_time_ms, decided_at) SELECT org_id, 'txn_9f8e7d6c5b4a', requesting_agent_id, counterparty_agent_id, amount_minor, \
         currency, tx_type, metadata, status, settled_at, counted_at, spent_total_minor, created_at, 'auth_x1y2z3', decision, reason_code, \
         compliance_status, processing_time_ms, decided_at FROM transactions",
        "INSERT INTO events (org_id, kind, subject, payload, created_at) SELECT org_id, kind, 'txn_9f8e7d6c5b4a', payload, created_at \
         FROM events WHERE subject LIKE 'txn_%' ORDER BY seq",
        "UPDATE policies SET id = 'pol_abc123'",
        "UPDATE pay_agent_runs SET id = 'run_abc123'",
    ] {
        desk.app.sql(statement).await;
    }
    // The settings that make curl print the status after the body; the command line stays as printed.
    let home = tempfile::tempdir().unwrap();
    std::fs::write(
        home.path().join(".curlrc"),
        "silent\nshow-error\nnoproxy = \"*\"\nwrite-out = \"\\n%{http_code}\"\n",
    )
    .unwrap();
    let host = desk.app.pulse().base.replace("/pulse-api", "");
    for (example, status, expected) in EXAMPLES {
        let command = example
            .replace("https://your-instance.pulse.app", &host)
            .replace("YOUR_API_KEY", &desk.key);
        let output = tokio::process::Command::new("sh")
            .args(["-c", &command])
            .env("CURL_HOME", home.path())
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert!(
            output.status.success(),
            "{example}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let printed = String::from_utf8(output.stdout).unwrap();
        let (body, code) = printed.rsplit_once('\n').unwrap();
        assert_eq!(
            (code, shape(body).as_str()),
            (status.to_string().as_str(), *expected),
            "{example}: {body}"
        );
    }
    // The sums of the examples: 50,000 − two payments of 2,500, one of them before; + 10,000 − 5,000.
    let wallet = desk
        .api()
        .get("/wallets/agent-treasury-ops")
        .await
        .expect_status(200);
    assert_eq!(wallet.json["available_balance"], json!(50_000.0));
    assert_ne!(wallet.json["last_transaction_at"], Value::Null);
    desk.app.stop().await;
}
