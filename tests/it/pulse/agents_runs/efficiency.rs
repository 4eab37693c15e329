//! The report on runs.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{super::refused_field, Runs};

#[tokio::test(flavor = "multi_thread")]
async fn the_report_counts_runs_by_agent() {
    let runs = Runs::open().await;
    let api = runs.desk.api();
    let empty = api.get("/reports/efficiency").await.expect(
        200,
        "{total_runs completed failed success_rate avg_duration_ms by_agent[]}",
    );
    assert_eq!(
        empty.json,
        json!({"total_runs": 0, "completed": 0, "failed": 0, "success_rate": null, "avg_duration_ms": null, "by_agent": []})
    );
    runs.register("own-agent", json!({"max_attempts": 2})).await;
    // Three that complete, one of them after five seconds, one that fails at once, and one that waits.
    runs.trigger(json!({"agent": "market-analyzer"})).await;
    runs.trigger(json!({"agent": "own-agent"})).await;
    runs.work().await;
    runs.trigger(json!({"agent": "own-agent"})).await;
    runs.receiver.answer_with(&[500]);
    runs.work().await;
    runs.pass(TimeDelta::seconds(5));
    runs.work().await;
    runs.pass(TimeDelta::days(1));
    runs.receiver.answer_with(&[404]);
    runs.trigger(json!({"agent": "own-agent"})).await;
    runs.work().await;
    runs.trigger(json!({"agent": "own-agent"})).await;
    let report = api.get("/reports/efficiency").await.expect_status(200);
    assert_eq!(
        report.json,
        json!({"total_runs": 5, "completed": 3, "failed": 1, "success_rate": 0.75, "avg_duration_ms": 1250, "by_agent": [
            {"agent": "market-analyzer", "total_runs": 1, "completed": 1, "failed": 0, "success_rate": 1.0,
             "avg_duration_ms": 0},
            {"agent": "own-agent", "total_runs": 4, "completed": 2, "failed": 1, "success_rate": 0.6667,
             "avg_duration_ms": 1667},
        ]})
    );
    let today = api.get("/reports/efficiency?date_from=2026-04-15").await;
    assert_eq!(
        json!([today.json["total_runs"], today.json["success_rate"]]),
        json!([2, 0.0])
    );
    let before = api.get("/reports/efficiency?date_to=2026-04-14").await;
    assert_eq!(before.json["total_runs"], 3);
    let wrong = "/reports/efficiency?date_from=2026-04-02&date_to=2026-04-01";
    refused_field(&api.get(wrong).await, "date_from");

    let other = runs.desk.app.organization("Other").await;
    let stranger = runs
        .desk
        .app
        .pulse()
        .bearer(&runs.desk.app.payment_key(&other).await);
    let theirs = stranger.get("/reports/efficiency").await;
    assert_eq!(
        json!([theirs.json["total_runs"], theirs.json["avg_duration_ms"]]),
        json!([0, Value::Null])
    );
    runs.close().await;
}
