//! Which instants periods may have.

use serde_json::json;

use super::{Desk, refused_field};

/// What could not be printed is not stored, so that it cannot spoil what is read later.
#[tokio::test(flavor = "multi_thread")]
async fn instants_beyond_the_calendar_are_refused() {
    let desk = Desk::open().await;
    let api = desk.api();
    for (field, instant) in [
        ("period_end", "0001-01-01"),
        ("period_end", "0001-01-01T00:30:00+01:00"),
        ("period_end", "0000-01-01"),
        ("period_end", "9999-12-31"),
        ("period_end", "9999-12-31T23:30:00-01:00"),
        ("period_start", "0000-12-31T23:59:59Z"),
    ] {
        let body = json!({ field: instant });
        let reply = api.post("/reconciliation/trigger", &body).await;
        refused_field(&reply, field);
        assert!(
            reply.text.contains("in the years 1900 to 9998"),
            "{}",
            reply.text
        );
    }
    assert_eq!(desk.reports("").await.json["count"], 0);
    for path in [
        "/reports/financial",
        "/reports/compliance",
        "/reports/efficiency",
        "/payments",
    ] {
        for query in [
            "date_to=9999-12-31",
            "date_to=0001-01-01",
            "date_from=0000-01-01",
        ] {
            let field = query.split('=').next().unwrap();
            refused_field(&api.get(&format!("{path}?{query}")).await, field);
        }
    }
    let backtest = json!({"policy": {"policy_name": "Past"}, "date_to": "9999-12-31"});
    refused_field(&api.post("/policies/backtest", &backtest).await, "date_to");
    desk.app.stop().await;
}
