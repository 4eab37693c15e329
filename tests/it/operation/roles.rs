//! `--role api|worker|all`.

use std::net::TcpListener;

use super::program::{Program, eventually, serve};
use crate::support::TestApp;

const EXPIRED: &str = "SELECT count(*) FROM idempotency_keys";

async fn seed_expired(app: &TestApp) {
    app.sql(
        "INSERT INTO idempotency_keys (org_id, scope, key, request_sha256, response, created_at, expires_at)
         SELECT 'org_1', 'test', i::text, sha256('x'), 'y', now() - interval '2 days', now() - interval '1 day'
         FROM generate_series(1, 25) AS i",
    )
    .await;
}

async fn get(program: &Program, path: &str) -> (u16, String) {
    let url = format!("http://{}{path}", program.address("operations"));
    let reply = reqwest::get(url).await.expect("an answer");
    (
        reply.status().as_u16(),
        reply.text().await.expect("a whole body"),
    )
}

/// The program in `role`, with the operator's listener and a round of housekeeping after the other.
fn start(app: &TestApp, role: &str) -> Program {
    let mut command = serve(&app.database_url(), role);
    command
        .env("PULPO_OPERATIONS_ADDR", "127.0.0.1:0")
        .env("PULPO_HOUSEKEEPING_INTERVAL_MS", "5");
    Program::start(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_sweeps_and_opens_no_door() {
    let app = TestApp::start().await;
    seed_expired(&app).await;
    // Were it to listen for an API, it could not start.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = serve(&app.database_url(), "worker");
    for surface in ["PULLPUSH", "PUSHPAKA", "PUPPYONE", "PULSE", "INTEGRATIONS"] {
        let address = taken.local_addr().unwrap().to_string();
        command.env(format!("PULPO_{surface}_ADDR"), address);
    }
    command
        .env("PULPO_OPERATIONS_ADDR", "127.0.0.1:0")
        .env("PULPO_HOUSEKEEPING_INTERVAL_MS", "5");
    let worker = Program::start(command);
    let operations = worker.address("operations");
    assert_eq!(
        worker.ready,
        format!("ready: worker operations {operations}")
    );
    eventually("the rows are swept", async || {
        (app.sql_number(EXPIRED).await == 0).then_some(())
    })
    .await;
    assert_eq!(
        get(&worker, "/health").await,
        (200, r#"{"status":"ok"}"#.to_owned())
    );
    assert_eq!(
        get(&worker, "/ready").await,
        (200, r#"{"status":"ready"}"#.to_owned())
    );
    assert_eq!(get(&worker, "/anything").await.0, 404);
    let swept = r#"pulpo_housekeeping_rows_total{sweep="idempotency_keys"} 25"#;
    let (status, metrics) = get(&worker, "/metrics").await;
    assert!(status == 200 && metrics.contains(swept), "{metrics}");
    let log = worker.stop();
    let line = log
        .lines()
        .filter(|line| line.contains("expired rows were swept"));
    let line: Vec<_> = line.collect();
    assert!(
        line.len() == 1 && line[0].contains("idempotency_keys 25"),
        "{log}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_only_answers_and_all_does_both() {
    let app = TestApp::start().await;
    seed_expired(&app).await;
    let api = start(&app, "api");
    let health = format!("http://{}/health", api.address("pullpush"));
    for _ in 0..50 {
        let reply = reqwest::get(&health).await.expect("an answer");
        assert_eq!(reply.status(), 200);
    }
    let (_, metrics) = get(&api, "/metrics").await;
    assert!(metrics.contains("pulpo_calls_total"), "{metrics}");
    assert!(!metrics.contains("pulpo_housekeeping"), "{metrics}");
    assert_eq!(app.sql_number(EXPIRED).await, 25);
    api.stop();

    let all = start(&app, "all");
    eventually("the rows are swept", async || {
        (app.sql_number(EXPIRED).await == 0).then_some(())
    })
    .await;
    let health = format!("http://{}/health", all.address("pullpush"));
    let reply = reqwest::get(health).await.expect("an answer");
    assert_eq!(reply.status(), 200);
    all.stop();
    app.stop().await;
}
