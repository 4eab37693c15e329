//! The curl examples of the document, run by a shell as they are printed; only the host and the key are put in.
//!
//! `curl/examples.txt` has all of them, with the responses the document prints, copied letter for letter; where the document
//! is at hand, it is compared. The ids that the document invents are given to what was made through the public doors.

use std::{path::Path, process::Stdio};

use pulpo::delivery::endpoints;
use serde_json::{Value, json};

use super::{Desk, invoice, webhooks::receiver::Receiver, with};
use crate::{
    coverage::documents,
    support::{TestApp, shape},
};

const EXAMPLES: &str = include_str!("curl/examples.txt");

/// What the document leaves to the reader of the example of `data/bulk`, and what is put there.
const RECORDS: (&str, &str) = (
    r#""records": [...]"#,
    r#""records": [{"external_id": "INV-001", "data": {"amount": 5000}}]"#,
);

/// Status and shape where the document prints an example without its response.
const UNPRINTED: [(&str, u16, &str); 17] = [
    (
        "GET /meta",
        200,
        "{organization{id name slug type parent_org_id created_at} permissions[] \
         api_key{id name prefix created_at last_used_at ip_whitelist[] allowed_agents[]} rate_limits{per_minute daily}}",
    ),
    ("POST /data/push", 200, "{pushed source data_type ids[]}"),
    (
        "POST /data/bulk",
        200,
        "{total batches inserted failed errors[]}",
    ),
    (
        "GET /data/query",
        200,
        "{records[{id source data_type external_id category data{amount} created_at updated_at}] count limit offset}",
    ),
    (
        "GET /data/summary",
        200,
        "{summary[{data_type category count latest_at}] total_records}",
    ),
    (
        "POST /agents/trigger",
        200,
        "{run_id agent status priority created_at}",
    ),
    (
        "GET /agents/status/run_abc123",
        200,
        "{run_id agent status priority input{region} output error created_at started_at completed_at duration_ms}",
    ),
    (
        "GET /agents/results",
        200,
        "{results[{run_id agent status priority input{region} output error created_at started_at completed_at duration_ms}] \
         count limit}",
    ),
    (
        "GET /reports/efficiency",
        200,
        "{total_runs completed failed success_rate avg_duration_ms \
         by_agent[{agent total_runs completed failed success_rate avg_duration_ms}]}",
    ),
    (
        "GET /reports/compliance",
        200,
        "{period{start end} scanned clear flagged blocked needs_human avg_processing_time_ms confidence top_findings[] \
         jurisdiction_coverage[] predictions[] count limit}",
    ),
    (
        "GET /reports/financial",
        200,
        "{period{start end} currency records[{id source data_type external_id category data{amount} created_at updated_at}] \
         count limit offset totals{record_count record_amount total_volume transaction_count approval_rate compliance_flags \
         avg_settlement_ms total_wallet_balance} roll_up}",
    ),
    ("GET /webhooks", 200, "{webhooks[]}"),
    (
        "POST /webhooks",
        201,
        "{id url description events[] agent_filter[] status secret created_at}",
    ),
    ("PATCH /webhooks/whk_abc123", 200, "{updated}"),
    ("DELETE /webhooks/whk_abc123", 200, "{deleted}"),
    (
        "GET /webhooks/whk_abc123/deliveries",
        200,
        "{deliveries[{id event_type status attempts response_status duration_ms delivered_at created_at}]}",
    ),
    (
        "POST /webhooks/whk_abc123/test",
        200,
        "{delivered delivery_id response_status duration_ms}",
    ),
];

/// An example as the document prints it.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    command: String,
    /// The status and body printed before it: the first ones, of several.
    response: Option<(u16, String)>,
}

impl Example {
    /// Method and path, for example `GET /payments`.
    fn label(&self) -> String {
        let method = self.command.split_once("-X ").map_or("GET", |(_, rest)| {
            rest.split_whitespace().next().unwrap_or_default()
        });
        let (_, path) = self.command.split_once("/pulse-api").unwrap();
        let path = path.split(['"', '?', ' ']).next().unwrap_or_default();
        format!("{method} {path}")
    }

    /// The status and shape the answer must have.
    fn expected(&self) -> (u16, String) {
        if let Some((status, body)) = &self.response {
            return (*status, shape(body));
        }
        let label = self.label();
        let known = UNPRINTED.iter().find(|(of, _, _)| *of == label);
        let (_, status, shape) = known.unwrap_or_else(|| panic!("{label} is expected"));
        (*status, (*shape).to_owned())
    }
}

/// The examples of a text: a command begins with `curl` and ends before an empty line, a response ends with its brace.
fn examples(text: &str) -> Vec<Example> {
    let (mut found, mut response) = (Vec::new(), None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(status) = line.strip_prefix("Response (") {
            let body = lines.by_ref().skip_while(|line| *line != "{");
            let mut body: Vec<_> = body.take_while(|line| *line != "}").collect();
            body.push("}");
            response = response.or_else(|| Some((status[..3].parse().unwrap(), body.join("\n"))));
        } else if line.starts_with("curl ") && line != "curl Example:" {
            let rest = lines.by_ref().take_while(|line| !line.trim().is_empty());
            let command: Vec<_> = [line].into_iter().chain(rest).collect();
            found.push(Example {
                command: command.join("\n"),
                response: response.take(),
            });
        }
    }
    found
}

#[test]
fn the_examples_are_those_of_the_document() {
    let kept = examples(EXAMPLES);
    assert_eq!(kept.len(), 33);
    if let Some(folder) = documents() {
        let document = std::fs::read_to_string(folder.join("pulse/api.txt")).unwrap();
        assert_eq!(kept, examples(&document));
    }
}

/// Gives the names in the document to a payment, its decision and its history.
async fn name_payment(app: &TestApp, id: &str) {
    for statement in [
        "DELETE FROM events WHERE subject = 'txn_9f8e7d6c5b4a'".to_owned(),
        "DELETE FROM transactions WHERE id = 'txn_9f8e7d6c5b4a'".to_owned(),
        format!(
            "INSERT INTO transactions (org_id, id, requesting_agent_id, counterparty_agent_id, amount_minor, currency, tx_type, \
             metadata, status, escrow_terms, settled_at, counted_at, spent_total_minor, created_at, authorization_id, decision, \
             reason_code, compliance_status, processing_time_ms, decided_at) SELECT org_id, 'txn_9f8e7d6c5b4a', \
             requesting_agent_id, counterparty_agent_id, amount_minor, currency, tx_type, metadata, status, escrow_terms, \
             settled_at, counted_at, spent_total_minor, created_at, 'auth_x1y2z3', decision, reason_code, compliance_status, \
             processing_time_ms, decided_at FROM transactions WHERE id = '{id}'"
        ),
        format!(
            "INSERT INTO events (org_id, kind, subject, payload, created_at) SELECT org_id, kind, 'txn_9f8e7d6c5b4a', payload, \
             created_at FROM events WHERE subject = '{id}' ORDER BY seq"
        ),
        format!(
            "UPDATE escrows SET id = 'esc_a1b2c3', transaction_id = 'txn_9f8e7d6c5b4a' WHERE transaction_id = '{id}'"
        ),
    ] {
        app.sql(&statement).await;
    }
}

async fn paid(desk: &Desk, over: Value) -> String {
    let reply = desk.pay(over).await.expect_status(200);
    reply.str("/transaction_id").to_owned()
}

/// An endpoint that somebody serves, with the name in the document. Its secret is sealed for that name.
async fn register_named(desk: &Desk, receiver: &Receiver) {
    const NAME: &str = "whk_abc123";
    let hook = json!({"url": receiver.url("/hooks"), "events": ["payment.settled"]});
    let reply = desk.api().post("/webhooks", &hook).await.expect_status(201);
    let app = &desk.app.app;
    let sealed = {
        let mut conn = app.db.connection().await.unwrap();
        let (_, sealed) = endpoints::new_secret(&mut conn, &app.secrets, &desk.org_id, NAME)
            .await
            .unwrap();
        hex::encode(sealed)
    };
    let (id, sealed) = (reply.str("/id"), format!("'\\x{sealed}'"));
    desk.app
        .sql(&format!(
            "UPDATE delivery_endpoints SET id = '{NAME}', secret = {sealed} WHERE id = '{id}'"
        ))
        .await;
}

/// Makes what the examples from this one on suppose.
async fn prepare(desk: &Desk, receiver: &Receiver, label: &str) {
    match label {
        // The one before is about a payment that was settled, this one about a payment in escrow.
        "POST /payments/txn_9f8e7d6c5b4a/dispute" => {
            let id = paid(desk, json!({"escrow_conditions": {}})).await;
            name_payment(&desk.app, &id).await;
        }
        "PATCH /webhooks/whk_abc123" => register_named(desk, receiver).await,
        // The example before removes it.
        "GET /webhooks/whk_abc123/deliveries" => {
            register_named(desk, receiver).await;
            let test = "/webhooks/whk_abc123/test";
            desk.api().post(test, &json!({})).await.expect_status(200);
        }
        _ => {}
    }
}

/// Runs a command line; the status and body of the answer.
async fn run(home: &Path, command: &str) -> (u16, String) {
    let output = tokio::process::Command::new("sh")
        .args(["-c", command])
        .env("CURL_HOME", home)
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    let (body, code) = printed.rsplit_once('\n').unwrap();
    (code.parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_document_run_as_printed() {
    let receiver = Receiver::start().await;
    let app = TestApp::builder().config(|config| config.delivery.allow_private_targets = true);
    let desk = Desk::furnish(app.start().await).await;
    let invoiced = with(
        invoice(),
        json!({"metadata": {"invoice_id": "INV-2026-0412"}}),
    );
    let id = paid(&desk, invoiced).await;
    name_payment(&desk.app, &id).await;
    let triggered = json!({"agent": "market-analyzer", "input": {"region": "northeast"}});
    for (path, body) in [
        ("/agents/trigger", triggered),
        ("/reconciliation/trigger", json!({})),
    ] {
        desk.api().post(path, &body).await.expect_status(200);
    }
    for statement in [
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
    for example in examples(EXAMPLES) {
        prepare(&desk, &receiver, &example.label()).await;
        let command = example
            .command
            .replace("https://your-instance.pulse.app", &host)
            .replace("YOUR_API_KEY", &desk.key)
            .replace(RECORDS.0, RECORDS.1);
        let (status, body) = run(home.path(), &command).await;
        assert_eq!(
            (status, shape(&body)),
            example.expected(),
            "{}: {body}",
            example.command
        );
    }
    // The sums of the examples: 50,000 − three payments of 2,500, one of them held; + 10,000 − 5,000.
    let wallet = desk
        .api()
        .get("/wallets/agent-treasury-ops")
        .await
        .expect_status(200);
    assert_eq!(wallet.json["available_balance"], json!(47_500.0));
    assert_eq!(wallet.json["held_balance"], json!(2_500.0));
    assert_ne!(wallet.json["last_transaction_at"], Value::Null);
    // The two tests reached whom they were for.
    receiver.wait_for(2).await;
    let disputed = desk.api().get("/payments/txn_9f8e7d6c5b4a").await;
    assert_eq!(disputed.json["escrow"]["status"], "disputed");
    desk.app.stop().await;
}
