//! Payment routes 1 to 4: requesting, listing, one transaction, its events.

use chrono::{DateTime, Duration, Utc};
use pulpo::clock::Clock;
use serde_json::{Value, json};

use super::{Desk, PAYEE, PAYER, demo_policy, is_id, is_instant, refused, refused_field, with};

const DENIED: &str =
    "{transaction_id status authorization{decision reason_code reason_detail processing_time_ms}}";
const APPROVED: &str = "{transaction_id status authorization{decision reason_code compliance_status processing_time_ms} settlement{settled_at}}";

#[tokio::test]
async fn an_approved_payment_is_answered_stored_and_settled_as_documented() {
    let desk = Desk::open().await;
    let reply = desk
        .pay(json!({"metadata": {"invoice_id": "INV-2026-0412"}}))
        .await
        .expect(200, APPROVED);
    let id = reply.str("/transaction_id").to_owned();
    is_id(&id, "txn_", 12);
    is_instant(reply.str("/settlement/settled_at"));
    assert_eq!(reply.json["status"], "authorized");
    assert_eq!(reply.json["authorization"]["decision"], "approved");
    assert_eq!(reply.json["authorization"]["reason_code"], "policy_pass");
    assert_eq!(reply.json["authorization"]["compliance_status"], "clear");
    assert!(reply.json["authorization"]["processing_time_ms"].is_u64());

    let detail = desk.api().get(&format!("/payments/{id}")).await.expect(
        200,
        "{transaction{id requesting_agent_id requesting_org_id counterparty_agent_id amount currency tx_type status \
         metadata{invoice_id} created_at} \
         authorization{id decision reason_code processing_time_ms created_at} \
         events[{id event_type created_at}] escrow}",
    );
    assert!(
        detail.text.contains(r#""amount":2500.00,"currency":"USD""#),
        "{}",
        detail.text
    );
    assert_eq!(detail.json["transaction"]["status"], "settled");
    assert_eq!(detail.json["transaction"]["requesting_org_id"], desk.org_id);
    assert_eq!(
        detail.json["transaction"]["metadata"],
        json!({"invoice_id": "INV-2026-0412"})
    );
    assert_eq!(detail.json["escrow"], Value::Null);
    assert!(detail.str("/authorization/id").starts_with("auth_"));
    assert!(detail.str("/events/0/id").starts_with("evt_"));
    is_instant(detail.str("/transaction/created_at"));
    is_instant(detail.str("/authorization/created_at"));

    let events = desk.api().get(&format!("/payments/{id}/events")).await.expect(
        200,
        "{events[{id event_type event_data{decision reason_code} created_at}|{id event_type event_data{settled_at} created_at}]}",
    );
    assert_eq!(events.json["events"][0]["event_type"], "authorized");
    assert_eq!(
        events.json["events"][0]["event_data"],
        json!({"decision": "approved", "reason_code": "policy_pass"})
    );
    assert_eq!(events.json["events"][1]["event_type"], "settled");
    assert_eq!(
        events.json["events"][1]["event_data"]["settled_at"],
        reply.json["settlement"]["settled_at"]
    );
    for (listed, full) in detail.json["events"]
        .as_array()
        .unwrap()
        .iter()
        .zip(events.json["events"].as_array().unwrap())
    {
        assert_eq!(listed["id"], full["id"]);
    }

    assert_eq!(desk.available(PAYER).await, 47_500.0);
    assert_eq!(desk.available(PAYEE).await, 3_500.0);
    desk.app.stop().await;
}

#[tokio::test]
async fn a_denied_payment_is_answered_and_stored_and_moves_nothing() {
    let desk = Desk::open().await;
    // Five payments of 9,000 leave 5,000 of the day.
    for _ in 0..5 {
        desk.pay(json!({"amount": 9000}))
            .await
            .expect(200, APPROVED);
    }
    let denied = desk
        .pay(json!({"amount": 5000.01}))
        .await
        .expect(200, DENIED);
    assert_eq!(denied.json["status"], "denied");
    assert_eq!(denied.json["authorization"]["decision"], "denied");
    assert_eq!(
        denied.json["authorization"]["reason_code"],
        "daily_limit_exceeded"
    );
    assert_eq!(
        denied.json["authorization"]["reason_detail"],
        "Daily spending limit of $50,000 exceeded"
    );
    assert_eq!(desk.available(PAYER).await, 5_000.0);

    let id = denied.str("/transaction_id");
    let detail = desk
        .api()
        .get(&format!("/payments/{id}"))
        .await
        .expect_status(200);
    assert_eq!(detail.json["transaction"]["status"], "denied");
    assert_eq!(
        detail.json["authorization"]["reason_detail"],
        "Daily spending limit of $50,000 exceeded"
    );
    let types: Vec<_> = detail.json["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["event_type"].clone())
        .collect();
    assert_eq!(types, ["denied"]);
    // A sum equal to the limit passes, and the denial did not count.
    desk.pay(json!({"amount": 5000}))
        .await
        .expect(200, APPROVED);
    desk.app.stop().await;
}

/// A policy of one agent, a payment of that agent, and why it is denied.
#[tokio::test]
async fn the_list_filters_and_pages() {
    let start: DateTime<Utc> = "2026-04-14T23:59:59.999Z".parse().unwrap();
    let clock = Clock::fixed(start);
    let desk = Desk::open_at(&clock).await;
    let empty = desk
        .api()
        .get("/payments")
        .await
        .expect(200, "{transactions[] count limit offset}");
    assert_eq!(
        empty.json,
        json!({"transactions": [], "count": 0, "limit": 50, "offset": 0})
    );

    desk.pay(json!({})).await.expect_status(200);
    clock.set(start + Duration::milliseconds(1));
    desk.pay(json!({"amount": 9_999, "tx_type": "refund"}))
        .await
        .expect(200, DENIED);
    let bare = json!({"counterparty_agent_id": null, "category": null, "description": null, "reference_id": null, "amount": 7});
    desk.pay(bare).await.expect(200, APPROVED);

    let row = "{id requesting_agent_id requesting_org_id counterparty_agent_id counterparty_org_id amount currency tx_type \
               category description reference_id status settled_at created_at}";
    let all = desk
        .api()
        .get("/payments")
        .await
        .expect(200, &format!("{{transactions[{row}] count limit offset}}"));
    let of = |i: usize, name: &str| all.json["transactions"][i][name].clone();
    assert_eq!(
        [of(0, "amount"), of(1, "amount"), of(2, "amount")],
        [7.0, 9_999.0, 2_500.0]
    );
    assert!(all.text.contains(r#""amount":2500.00,"#), "{}", all.text);
    for absent in [
        "counterparty_agent_id",
        "counterparty_org_id",
        "category",
        "description",
        "reference_id",
    ] {
        assert_eq!(of(0, absent), Value::Null, "{absent}");
    }
    assert_eq!(of(1, "settled_at"), Value::Null);
    assert_eq!(of(2, "settled_at"), "2026-04-14T23:59:59.999Z");
    assert_eq!(of(2, "reference_id"), "INV-2026-0412");

    for (query, amounts) in [
        ("status=settled&limit=20", &[7.0, 2_500.0][..]),
        ("status=pending_human_review", &[9_999.0]),
        ("status=denied", &[]),
        ("tx_type=refund", &[9_999.0]),
        ("agent_id=agent-vendor-pay", &[9_999.0, 2_500.0]),
        (
            "agent_id=agent-treasury-ops&status=settled",
            &[7.0, 2_500.0],
        ),
        ("agent_id=agent-nobody", &[]),
        ("date_to=2026-04-14", &[2_500.0]),
        ("date_from=2026-04-15", &[7.0, 9_999.0]),
        (
            "date_from=2026-04-14T23:59:59.999Z&date_to=2026-04-14T23:59:59.999Z",
            &[2_500.0],
        ),
        ("limit=1", &[7.0]),
        ("limit=1&offset=1", &[9_999.0]),
        ("offset=3", &[]),
        ("unknown=1", &[7.0, 9_999.0, 2_500.0]),
    ] {
        let reply = desk
            .api()
            .get(&format!("/payments?{query}"))
            .await
            .expect_status(200);
        let rows = reply.json["transactions"].as_array().unwrap();
        let found: Vec<f64> = rows
            .iter()
            .map(|row| row["amount"].as_f64().unwrap())
            .collect();
        assert_eq!(found, amounts, "{query}");
        assert_eq!(reply.json["count"], amounts.len(), "{query}");
    }
    assert_eq!(
        desk.api().get("/payments?limit=5000").await.json["limit"],
        200
    );
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("status=lost", "status"),
        ("date_from=yesterday", "date_from"),
        ("date_to=2026-02-30", "date_to"),
    ] {
        refused_field(&desk.api().get(&format!("/payments?{query}")).await, field);
    }
    desk.app.stop().await;
}

#[tokio::test]
async fn bad_requests_name_their_fields_and_store_nothing() {
    let desk = Desk::open().await;
    for (over, field) in [
        (json!({"requesting_agent_id": null}), "requesting_agent_id"),
        (json!({"requesting_agent_id": ""}), "requesting_agent_id"),
        (json!({"amount": null}), "amount"),
        (json!({"amount": 0}), "amount"),
        (json!({"amount": -1}), "amount"),
        (json!({"amount": 0.001}), "amount"),
        (json!({"amount": 1e300}), "amount"),
        (json!({"amount": true}), "amount"),
        (json!({"tx_type": null}), "tx_type"),
        (json!({"currency": "usd"}), "currency"),
        (json!({"currency": "DOLLAR"}), "currency"),
        (json!({"metadata": []}), "metadata"),
        (
            json!({"counterparty_agent_id": PAYER}),
            "counterparty_agent_id",
        ),
        (json!({"requesting_agent_id": 7}), "requesting_agent_id"),
    ] {
        refused_field(&desk.pay(over).await, field);
    }
    refused_field(
        &desk.api().post("/payments/request", &json!({})).await,
        "requesting_agent_id",
    );
    refused(
        &desk.api().get("/payments/txn_000000000000").await,
        404,
        "not_found",
    );
    refused(
        &desk.api().get("/payments/txn_000000000000/events").await,
        404,
        "not_found",
    );
    assert_eq!(
        desk.app
            .sql_number("SELECT count(*) FROM transactions")
            .await,
        0
    );
    desk.app.stop().await;
}

#[tokio::test]
async fn payments_cross_organizations_and_only_those_two_see_them() {
    let desk = Desk::open().await;
    let receiver = desk.app.organization("Receiver").await;
    let receiver_api = desk
        .app
        .pulse()
        .bearer(&desk.app.payment_key(&receiver).await);
    let stranger = desk.app.organization("Stranger").await;
    let stranger_api = desk
        .app
        .pulse()
        .bearer(&desk.app.payment_key(&stranger).await);

    let paid = desk
        .pay(json!({"counterparty_org_id": receiver, "counterparty_agent_id": "agent-sales"}))
        .await
        .expect(200, APPROVED);
    let id = paid.str("/transaction_id");
    let wallet = receiver_api
        .get("/wallets/agent-sales")
        .await
        .expect_status(200);
    assert_eq!(wallet.json["available_balance"], 2_500.0);
    assert_eq!(wallet.json["lifetime_received"], 2_500.0);
    assert_eq!(desk.available(PAYER).await, 47_500.0);
    // The same name here is another agent.
    refused(
        &desk.api().get("/wallets/agent-sales").await,
        404,
        "not_found",
    );

    let listed = receiver_api.get("/payments").await.expect_status(200);
    assert_eq!(listed.json["transactions"][0]["id"], id);
    assert_eq!(
        listed.json["transactions"][0]["requesting_org_id"],
        desk.org_id
    );
    assert_eq!(
        listed.json["transactions"][0]["counterparty_org_id"],
        receiver
    );
    receiver_api
        .get(&format!("/payments/{id}"))
        .await
        .expect_status(200);
    let events = receiver_api
        .get(&format!("/payments/{id}/events"))
        .await
        .expect_status(200);
    assert_eq!(events.json["events"].as_array().unwrap().len(), 1);
    assert_eq!(events.str("/events/0/event_type"), "settled");

    assert_eq!(stranger_api.get("/payments").await.json["count"], 0);
    refused(
        &stranger_api.get(&format!("/payments/{id}")).await,
        404,
        "not_found",
    );
    refused(
        &stranger_api.get(&format!("/payments/{id}/events")).await,
        404,
        "not_found",
    );

    // The receiving organisation's policy may block the payer.
    receiver_api
        .post(
            "/policies",
            &with(demo_policy(), json!({"blocked_counterparties": [PAYER]})),
        )
        .await
        .expect_status(201);
    let blocked = desk
        .pay(json!({"counterparty_org_id": receiver, "counterparty_agent_id": "agent-sales"}))
        .await
        .expect(200, DENIED);
    assert_eq!(
        blocked.json["authorization"]["reason_code"],
        "receiver_counterparty_blocked"
    );
    refused(
        &desk
            .pay(json!({"counterparty_org_id": "org_unknown"}))
            .await,
        404,
        "not_found",
    );
    refused_field(
        &desk
            .pay(json!({"counterparty_org_id": receiver, "counterparty_agent_id": null}))
            .await,
        "counterparty_agent_id",
    );
    desk.app.stop().await;
}
