//! Dry runs: the decision without the payment.

use serde_json::{Value, json};

use super::{Desk, PAYER, invoice, refused, refused_field, with};

#[tokio::test]
async fn a_dry_run_says_what_would_be_decided_and_writes_nothing() {
    let desk = Desk::open().await;
    let run = |over: Value| {
        let (api, body) = (desk.api(), with(invoice(), over));
        async move { api.post("/payments/dry-run", &body).await }
    };
    for (over, status, reason) in [
        (json!({}), "authorized", "policy_pass"),
        (
            json!({"counterparty_agent_id": "agent-new"}),
            "authorized",
            "policy_pass",
        ),
        (
            json!({"escrow_conditions": {}}),
            "escrow_held",
            "policy_pass",
        ),
        (
            json!({"amount": 9500}),
            "pending_human_review",
            "human_required",
        ),
        (
            json!({"amount": 10_000.01}),
            "denied",
            "amount_exceeds_limit",
        ),
        (
            json!({"requesting_agent_id": "agent-poor"}),
            "denied",
            "insufficient_funds",
        ),
    ] {
        let dry = run(over.clone()).await.expect_status(200);
        assert_eq!(dry.json["dry_run"], true);
        assert_eq!(dry.json["status"], status, "{over}");
        assert_eq!(dry.json["authorization"]["reason_code"], reason, "{over}");
    }
    refused_field(&run(json!({"amount": 0})).await, "amount");
    let nowhere = json!({"counterparty_org_id": "org_nowhere"});
    refused(&run(nowhere).await, 404, "not_found");
    let written = "SELECT (SELECT count(*) FROM transactions) + (SELECT count(*) FROM events) \
         + (SELECT count(*) FROM wallets) - 2";
    assert_eq!(desk.app.sql_number(written).await, 0);

    // The payment itself is decided the same.
    let denied = desk.pay(json!({"amount": 10_000.01})).await;
    let dry = run(json!({"amount": 10_000.01})).await;
    for member in ["decision", "reason_code", "reason_detail"] {
        assert_eq!(
            denied.json["authorization"][member],
            dry.json["authorization"][member]
        );
    }
    assert_eq!(desk.available(PAYER).await, 50_000.0);
    desk.app.stop().await;
}
