//! Why a payment is denied, reason by reason in the document's order.

use serde_json::{Value, json};

use super::{Desk, PAYEE, with};

const DENIED: &str =
    "{transaction_id status authorization{decision reason_code reason_detail processing_time_ms}}";

struct Denial {
    policy: Value,
    payment: Value,
    reason: &'static str,
    detail: &'static str,
}

fn denials() -> Vec<Denial> {
    let denial = |policy, payment, reason, detail| Denial {
        policy,
        payment,
        reason,
        detail,
    };
    vec![
        denial(
            json!({"max_per_transaction": 100}),
            json!({"amount": 100.01}),
            "amount_exceeds_limit",
            "Per-transaction limit of $100 exceeded",
        ),
        denial(
            json!({"currency": "EUR"}),
            json!({"amount": 1}),
            "currency_mismatch",
            "",
        ),
        denial(
            json!({"max_daily": 100}),
            json!({"amount": 100.01}),
            "daily_limit_exceeded",
            "Daily spending limit of $100 exceeded",
        ),
        denial(
            json!({"max_monthly": 100}),
            json!({"amount": 100.01}),
            "monthly_limit_exceeded",
            "Monthly spending limit of $100 exceeded",
        ),
        denial(
            json!({"blocked_counterparties": [PAYEE], "approved_counterparties": [PAYEE]}),
            json!({}),
            "counterparty_blocked",
            PAYEE,
        ),
        denial(
            json!({"approved_counterparties": ["agent-else"]}),
            json!({}),
            "counterparty_not_approved",
            PAYEE,
        ),
        denial(
            json!({"allowed_categories": ["treasury"]}),
            json!({}),
            "category_not_allowed",
            "operations",
        ),
        denial(
            json!({"allowed_categories": ["treasury"]}),
            json!({"category": null}),
            "category_not_allowed",
            "",
        ),
        denial(
            json!({}),
            json!({"amount": 1000.01}),
            "insufficient_funds",
            "",
        ),
        denial(
            json!({"compliance_jurisdictions": ["US_FEDERAL"]}),
            json!({"amount": 50, "counterparty_agent_id": "Hydra Market"}),
            "compliance_denied",
            "sanctions list",
        ),
        // Several faults at once: the first of the documented order decides.
        denial(
            json!({"max_per_transaction": 10, "max_daily": 10, "blocked_counterparties": [PAYEE]}),
            json!({"amount": 5000}),
            "amount_exceeds_limit",
            "",
        ),
        denial(
            json!({"max_daily": 10, "max_monthly": 10, "blocked_counterparties": [PAYEE]}),
            json!({"amount": 5000}),
            "daily_limit_exceeded",
            "",
        ),
        denial(
            json!({"blocked_counterparties": [PAYEE], "allowed_categories": ["none"]}),
            json!({"amount": 5000}),
            "counterparty_blocked",
            "",
        ),
        denial(
            json!({"allowed_categories": ["none"], "require_human_above": 1}),
            json!({"amount": 5000}),
            "category_not_allowed",
            "",
        ),
    ]
}

#[tokio::test]
async fn every_reason_to_deny_one_by_one() {
    let desk = Desk::open().await;
    for (
        i,
        Denial {
            policy,
            payment,
            reason,
            detail,
        },
    ) in denials().into_iter().enumerate()
    {
        let agent = format!("agent-{i}");
        desk.app.wallet(&desk.org_id, &agent, "USD", 100_000).await;
        desk.app
            .policy(
                &desk.key,
                &with(policy, json!({"policy_name": "One", "agent_id": agent})),
            )
            .await;
        let body = with(
            with(
                super::invoice(),
                json!({"requesting_agent_id": agent, "amount": 100}),
            ),
            payment,
        );
        let reply = desk
            .api()
            .post("/payments/request", &body)
            .await
            .expect(200, DENIED);
        assert_eq!(
            reply.json["authorization"]["reason_code"], reason,
            "{i}: {}",
            reply.text
        );
        assert!(
            reply.str("/authorization/reason_detail").contains(detail),
            "{i}: {}",
            reply.text
        );
        assert_eq!(desk.available(&agent).await, 1_000.0, "{i}");
    }
    assert_eq!(desk.available(PAYEE).await, 1_000.0);
    desk.app.stop().await;
}
