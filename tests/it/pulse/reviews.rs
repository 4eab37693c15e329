//! Human review: what waits for a human, and what becomes of it.

use chrono::Duration;
use futures_util::future::join_all;
use pulpo::{
    clock::Clock,
    pay::audit,
    proto::pulpo::pay::v1::{ApprovePaymentRequest, review_service_client::ReviewServiceClient},
    workers::Workers,
};
use serde_json::{Value, json};
use tonic::{Code, Request};

use super::{Desk, PAYEE, PAYER, refused, refused_field, start_of_time};

const PENDING: &str =
    "{transaction_id status authorization{decision reason_code reason_detail processing_time_ms}}";

impl Desk {
    /// A payment above the threshold of 9,000.
    async fn pending(&self, over: Value) -> String {
        let reply = self
            .pay(super::with(json!({"amount": 9500}), over))
            .await
            .expect(200, PENDING);
        assert_eq!(reply.json["status"], "pending_human_review");
        reply.str("/transaction_id").to_owned()
    }

    async fn review(&self, id: &str, verb: &str) -> crate::support::Reply {
        let path = format!("/payments/{id}/{verb}");
        self.api().post(&path, &json!({"reason": "Seen"})).await
    }

    /// Status, decision, reason code and event types.
    async fn told(&self, id: &str) -> Value {
        let detail = self.api().get(&format!("/payments/{id}")).await;
        let detail = detail.expect_status(200).json;
        let events = detail["events"].as_array().unwrap();
        let types: Vec<_> = events.iter().map(|e| &e["event_type"]).collect();
        json!([
            detail["transaction"]["status"],
            detail["authorization"]["decision"],
            detail["authorization"]["reason_code"],
            types
        ])
    }
}

#[tokio::test]
async fn above_the_threshold_a_payment_waits_and_holds_nothing() {
    let desk = Desk::open().await;
    let id = desk.pending(json!({})).await;
    assert_eq!(desk.available(PAYER).await, 50_000.0);
    let waits = json!([
        "pending_human_review",
        "pending_human_review",
        "human_required",
        ["pending_human_review"]
    ]);
    assert_eq!(desk.told(&id).await, waits);
    let listed = desk
        .api()
        .get("/payments?status=pending_human_review")
        .await;
    assert_eq!(listed.json["count"], 1);
    // What equals the threshold passes.
    desk.pay(json!({"amount": 9000})).await.expect_status(200);
    assert_eq!(desk.available(PAYER).await, 41_000.0);

    let approved = desk.review(&id, "approve").await.expect(
        200,
        "{transaction_id status authorization{decision reason_code compliance_status processing_time_ms} settlement{settled_at}}",
    );
    assert_eq!(approved.json["status"], "authorized");
    let settled = json!([
        "settled",
        "approved",
        "policy_pass",
        ["pending_human_review", "authorized", "settled"]
    ]);
    assert_eq!(desk.told(&id).await, settled);
    assert_eq!(desk.available(PAYER).await, 31_500.0);
    let events = desk.api().get(&format!("/payments/{id}/events")).await;
    assert_eq!(
        events.str("/events/1/event_data/human_review/reason"),
        "Seen"
    );
    for verb in ["approve", "reject"] {
        refused(&desk.review(&id, verb).await, 409, "conflict");
    }
    desk.app.stop().await;
}

#[tokio::test]
async fn rejecting_and_waiting_too_long_deny() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    // A schedule begins with the slot after it is first seen.
    let mut jobs = Workers::of_domains(&desk.app.app)
        .unwrap()
        .jobs(&desk.app.app);
    jobs.drain().await.unwrap();
    let rejected = desk.pending(json!({})).await;
    let reply = desk.review(&rejected, "reject").await.expect(200, PENDING);
    assert_eq!(reply.json["authorization"]["reason_code"], "human_denied");
    assert_eq!(reply.json["authorization"]["reason_detail"], "Seen");
    let types = json!(["pending_human_review", "denied"]);
    assert_eq!(
        desk.told(&rejected).await,
        json!(["denied", "denied", "human_denied", types])
    );

    // Read, approved, and swept after 72 hours.
    let ids = [
        desk.pending(json!({})).await,
        desk.pending(json!({})).await,
        desk.pending(json!({})).await,
    ];
    clock.set(start_of_time() + Duration::hours(72) - Duration::milliseconds(1));
    assert_eq!(desk.told(&ids[0]).await[0], "pending_human_review");
    clock.set(start_of_time() + Duration::hours(72));
    let over = json!(["denied", "denied", "escalation_timeout", types]);
    assert_eq!(desk.told(&ids[0]).await, over);
    refused(&desk.review(&ids[1], "approve").await, 409, "conflict");
    assert_eq!(desk.told(&ids[1]).await, over);
    jobs.drain().await.unwrap();
    let swept = "SELECT count(*) FROM transactions WHERE status = 'denied'";
    assert_eq!(desk.app.sql_number(swept).await, 4);
    assert_eq!(desk.told(&ids[2]).await, over);
    assert_eq!(desk.available(PAYER).await, 50_000.0);
    desk.app.stop().await;
}

/// An approval decides again: by the policy, the sums and the wallet as they are then.
#[tokio::test]
async fn approving_decides_again_and_counts_from_then_on() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(desk.pending(json!({})).await);
    }
    clock.set(start_of_time() + Duration::hours(48));
    // Five of 9,500 are within 50,000 a day; the day of each is that of its approval.
    for id in &ids[..5] {
        assert_eq!(
            desk.review(id, "approve").await.json["status"],
            "authorized"
        );
    }
    let denied = desk.review(&ids[5], "approve").await.expect(200, PENDING);
    assert_eq!(denied.json["status"], "denied");
    assert_eq!(
        denied.json["authorization"]["reason_code"],
        "daily_limit_exceeded"
    );
    assert_eq!(desk.available(PAYER).await, 2_500.0);
    clock.set(clock.now() + Duration::hours(25));
    let poor = desk.pay(json!({"amount": 9500})).await;
    assert_eq!(
        poor.json["authorization"]["reason_code"],
        "insufficient_funds"
    );
    desk.app.stop().await;
}

/// Nothing forbids it and a human approved it, but what it takes is gone: it was authorized, and failed.
#[tokio::test]
async fn an_approval_that_cannot_be_carried_out_fails_and_moves_nothing() {
    let desk = Desk::open().await;
    let (poor, closed) = (desk.pending(json!({})).await, desk.pending(json!({})).await);
    let withdraw = json!({"amount": 40_500.01});
    let path = format!("/wallets/{PAYER}/withdraw");
    desk.api().post(&path, &withdraw).await.expect_status(200);
    let keyed = desk.api().header("idempotency-key", "approve-poor");
    let approve = format!("/payments/{poor}/approve");
    let failed = keyed.post(&approve, &json!({"reason": "Seen"})).await;
    let failed = failed.expect(
        200,
        "{transaction_id status authorization{decision reason_code reason_detail compliance_status processing_time_ms}}",
    );
    assert_eq!(failed.json["status"], "failed");
    assert_eq!(
        failed.json["authorization"]["reason_detail"],
        format!("The USD wallet of agent {PAYER} does not cover $9,500")
    );
    let again = keyed.post(&approve, &json!({"reason": "Seen"})).await;
    assert_eq!(failed.text, again.text);

    let pay_in = format!("/wallets/{PAYER}/fund");
    desk.api().post(&pay_in, &withdraw).await.expect_status(200);
    let close = format!("UPDATE wallets SET is_active = false WHERE agent_id = '{PAYEE}'");
    desk.app.sql(&close).await;
    assert_eq!(
        desk.review(&closed, "approve").await.json["status"],
        "failed"
    );

    let types = json!(["pending_human_review", "authorized", "failed"]);
    for (id, reason) in [
        (&poor, "insufficient_funds"),
        (&closed, "counterparty_blocked"),
    ] {
        assert_eq!(
            desk.told(id).await,
            json!(["failed", "approved", reason, types])
        );
        let events = desk.api().get(&format!("/payments/{id}/events")).await;
        assert_eq!(
            events.str("/events/1/event_data/reason_code"),
            "policy_pass"
        );
        assert_eq!(
            events.str("/events/1/event_data/human_review/reason"),
            "Seen"
        );
        assert_eq!(events.str("/events/2/event_data/reason_code"), reason);
        // It is over: nobody can approve it again when there is money.
        for verb in ["approve", "reject"] {
            refused(&desk.review(id, verb).await, 409, "conflict");
        }
    }
    let listed = desk.api().get("/payments?status=failed").await;
    assert_eq!(listed.json["count"], 2);
    assert_eq!(desk.available(PAYER).await, 50_000.0);
    // Neither counts in the windows: the whole day's 50,000 are left.
    let outside = json!({"amount": 8_999, "counterparty_agent_id": "agent-other"});
    for _ in 0..5 {
        let paid = desk.pay(outside.clone()).await.expect_status(200);
        assert_eq!(paid.json["status"], "authorized", "{}", paid.text);
    }
    let audit = audit::verify(&desk.app.app.db, None).await.unwrap();
    assert_eq!(audit.fault_count(), 0);
    desk.app.stop().await;
}

#[tokio::test]
async fn approvals_are_for_the_payer_and_repeatable_under_a_key() {
    let desk = Desk::open().await;
    let receiver = desk.app.organization("Receiver").await;
    let receiver_key = desk.app.payment_key(&receiver).await;
    let across = json!({"counterparty_org_id": receiver});
    let id = desk.pending(across).await;
    let receiver_api = desk.app.pulse().bearer(&receiver_key);
    let path = format!("/payments/{id}/approve");
    refused(
        &receiver_api.post(&path, &json!({})).await,
        403,
        "forbidden",
    );
    let unknown = desk.review("txn_000000000000", "reject").await;
    refused(&unknown, 404, "not_found");
    let long = json!({"reason": "x".repeat(4097)});
    refused_field(&desk.api().post(&path, &long).await, "reason");

    let keyed = desk.api().header("idempotency-key", "approve-1");
    let first = keyed.post(&path, &json!({})).await.expect_status(200);
    let again = keyed.post(&path, &json!({})).await.expect_status(200);
    assert_eq!(first.text, again.text);
    assert_eq!(desk.available(PAYER).await, 40_500.0);

    // The same over gRPC: nothing waits any more.
    let mut client = ReviewServiceClient::new(desk.app.channel().await);
    let message = ApprovePaymentRequest {
        id,
        ..Default::default()
    };
    let mut request = Request::new(message);
    let bearer = format!("Bearer {}", desk.key).parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let status = client.approve_payment(request).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    desk.app.stop().await;
}

/// The receiver hears of the money. What the payer's limits are, and what its people said, is the payer's.
#[tokio::test]
async fn how_the_payer_decides_stays_with_the_payer() {
    let desk = Desk::open().await;
    let receiver = desk.app.organization("Receiver").await;
    let receiver_key = desk.app.payment_key(&receiver).await;
    let receiver_api = desk.app.pulse().bearer(&receiver_key);
    let across = json!({"counterparty_org_id": receiver});
    let waiting = desk.pending(across.clone()).await;
    let approved = desk.pending(across.clone()).await;
    desk.review(&approved, "approve").await.expect_status(200);
    let rejected = desk.pending(across.clone()).await;
    desk.review(&rejected, "reject").await.expect_status(200);
    let above = json!({"counterparty_org_id": receiver, "amount": 10_000.01});
    let denied = desk.pay(above).await.expect_status(200);
    let denied = denied.str("/transaction_id");
    for (id, decision, types) in [
        (waiting.as_str(), "pending_human_review", json!([])),
        (&approved, "approved", json!(["settled"])),
        (&rejected, "denied", json!([])),
        (denied, "denied", json!([])),
    ] {
        let path = format!("/payments/{id}");
        let own = desk.api().get(&path).await.expect_status(200);
        assert!(!own.json["events"].as_array().unwrap().is_empty());
        let own_detail = &own.json["authorization"]["reason_detail"];
        assert_eq!(own_detail.is_null(), decision == "approved", "{own_detail}");
        let seen = receiver_api.get(&path).await.expect_status(200);
        assert_eq!(seen.json["authorization"]["decision"], decision);
        assert_eq!(seen.json["authorization"]["reason_detail"], Value::Null);
        let events = receiver_api.get(&format!("{path}/events")).await;
        for reply in [&seen, &events] {
            let events = reply.json["events"].as_array().unwrap();
            let seen: Vec<_> = events.iter().map(|e| &e["event_type"]).collect();
            assert_eq!(json!(seen), types, "{decision}");
            for secret in [
                "Seen",
                "\"human_review\"",
                "approved_by",
                "9000.00",
                "10000.00",
            ] {
                assert!(!reply.text.contains(secret), "{secret}: {}", reply.text);
            }
        }
    }
    desk.app.stop().await;
}

/// Approvals, rejections and the end of the time at once: one of them decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_answers_decides() {
    let clock = Clock::fixed(start_of_time());
    let app = crate::support::TestApp::builder()
        .clock(&clock)
        .config(|config| config.rates.scale = 100)
        .start()
        .await;
    let desk = Desk::furnish(app).await;
    for round in 0..5 {
        let id = desk.pending(json!({})).await;
        // In the last rounds the time is over for everyone.
        let is_over = round >= 3;
        if is_over {
            clock.set(clock.now() + Duration::hours(72));
        }
        let calls = (0..9).map(|i| {
            let verb = ["approve", "reject", "approve"][(i + round) % 3];
            desk.review(&id, verb)
        });
        let replies = join_all(calls).await;
        let decided: Vec<_> = replies.iter().filter(|r| r.status == 200).collect();
        let refused = replies.iter().filter(|r| r.status == 409).count();
        assert_eq!(decided.len() + refused, 9);
        assert_eq!(decided.len(), usize::from(!is_over));
        let told = desk.told(&id).await;
        assert_eq!(
            told[0] == "settled",
            decided
                .first()
                .is_some_and(|r| r.json["status"] == "authorized")
        );
        let ends = told[3]
            .as_array()
            .unwrap()
            .iter()
            .filter(|t| **t == "denied" || **t == "settled");
        assert_eq!(ends.count(), 1, "{told}");
    }
    let paid =
        "SELECT coalesce(sum(amount_minor), 0)::bigint FROM transactions WHERE status = 'settled'";
    let left = desk.available(PAYER).await.as_f64().unwrap();
    assert_eq!(
        (left * 100.0) as i64,
        5_000_000 - desk.app.sql_number(paid).await
    );
    let received = desk.available(PAYEE).await.as_f64().unwrap();
    assert_eq!(left + received, 51_000.0);
    desk.app.stop().await;
}
