//! Escrow: held, released, refunded, disputed, expired, and who may do it.

mod openings;
mod races;

use chrono::Duration;
use http::Method;
use pulpo::{clock::Clock, workers::Workers};
use serde_json::{Value, json};

use super::{Desk, PAYEE, PAYER, is_id, is_instant, refused, refused_field, start_of_time, with};
use crate::support::Reply;

const HELD: &str = "{transaction_id status authorization{decision reason_code compliance_status processing_time_ms}}";

/// Two conditions and a day.
fn conditions() -> Value {
    json!({
        "release_conditions": [
            {"type": "delivery_confirmation", "target": PAYEE},
            {"type": "quality_check", "target": "agent-q", "status": "pending"},
        ],
        "duration_minutes": 1440,
    })
}

impl Desk {
    async fn hold(&self, over: Value) -> String {
        let escrow = with(json!({"escrow_conditions": conditions()}), over);
        let reply = self.pay(escrow).await.expect(200, HELD);
        assert_eq!(reply.json["status"], "escrow_held", "{}", reply.text);
        reply.str("/transaction_id").to_owned()
    }

    async fn act(&self, id: &str, verb: &str, body: Value) -> Reply {
        self.api()
            .post(&format!("/payments/{id}/{verb}"), &body)
            .await
    }

    async fn detail(&self, id: &str) -> Value {
        let reply = self.api().get(&format!("/payments/{id}")).await;
        reply.expect_status(200).json
    }

    /// Status of the transaction, of its escrow, and the types of its events after the first two.
    async fn stands(&self, id: &str) -> Value {
        let detail = self.detail(id).await;
        let events = detail["events"].as_array().unwrap();
        let types: Vec<_> = events.iter().skip(2).map(|e| &e["event_type"]).collect();
        json!([
            detail["transaction"]["status"],
            detail["escrow"]["status"],
            types
        ])
    }

    /// Available, held and lifetime sent of the payer; available and lifetime received of the payee.
    async fn money(&self) -> [Value; 5] {
        let wallet = |agent| async move {
            self.api()
                .get(&format!("/wallets/{agent}"))
                .await
                .expect_status(200)
                .json
        };
        let (payer, payee) = (wallet(PAYER).await, wallet(PAYEE).await);
        [
            payer["available_balance"].clone(),
            payer["held_balance"].clone(),
            payer["lifetime_sent"].clone(),
            payee["available_balance"].clone(),
            payee["lifetime_received"].clone(),
        ]
    }
}

const BEFORE: [f64; 5] = [50_000.0, 0.0, 0.0, 1_000.0, 0.0];
const DURING: [f64; 5] = [47_500.0, 2_500.0, 0.0, 1_000.0, 0.0];
const AFTER: [f64; 5] = [47_500.0, 0.0, 2_500.0, 3_500.0, 2_500.0];

#[tokio::test]
async fn money_is_held_until_every_condition_has_passed() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    let id = desk.hold(json!({})).await;
    assert_eq!(desk.money().await, DURING);
    let escrow = desk.detail(&id).await["escrow"].clone();
    is_id(escrow["id"].as_str().unwrap(), "esc_", 12);
    let expected = json!({
        "id": escrow["id"],
        "status": "held",
        "amount": 2500.0,
        "currency": "USD",
        "release_conditions": [
            {"type": "delivery_confirmation", "target": PAYEE, "status": "pending"},
            {"type": "quality_check", "target": "agent-q", "status": "pending"},
        ],
        "held_at": "2026-04-14T12:00:00.000Z",
        "expires_at": "2026-04-15T12:00:00.000Z",
        "released_at": null,
        "disputed_at": null,
    });
    assert_eq!(escrow, expected);
    assert_eq!(desk.stands(&id).await, json!(["escrow_held", "held", []]));

    let quality = json!({"type": "quality_check", "target": "agent-q"});
    let delivery = json!({"type": "delivery_confirmation", "target": PAYEE});
    for (mark, status) in [(&quality, "failed"), (&delivery, "passed")] {
        let condition = with(mark.clone(), json!({"status": status}));
        let marked = desk
            .act(&id, "release", json!({"condition": condition}))
            .await
            .expect(
                200,
                "{released escrow_id status release_conditions[{type target status}] released_at}",
            );
        assert_eq!(marked.json["released"], false);
        assert_eq!(marked.json["status"], "held");
    }
    assert_eq!(desk.money().await, DURING);
    let unknown = json!({"condition": {"type": "quality_check", "target": "agent-x"}});
    refused_field(&desk.act(&id, "release", unknown).await, "condition");
    let released = desk
        .act(&id, "release", json!({"condition": quality}))
        .await;
    assert_eq!(released.json["released"], true, "{}", released.text);
    is_instant(released.str("/released_at"));
    assert_eq!(desk.money().await, AFTER);
    assert_eq!(
        desk.stands(&id).await,
        json!(["settled", "released", ["escrow_released", "settled"]])
    );
    for verb in ["release", "refund", "dispute"] {
        refused(&desk.act(&id, verb, json!({})).await, 409, "conflict");
    }
    desk.app.stop().await;
}

/// A number no value can hold must not cost the payment its conditions.
#[tokio::test]
async fn conditions_that_cannot_be_read_are_refused() {
    let desk = Desk::open().await;
    let text = super::invoice().to_string();
    let open = text.strip_suffix('}').unwrap();
    let terms = r#"{"release_conditions":[{"type":"quality_check","target":"q"}],"duration_minutes":60,"note":1e400}"#;
    let body = format!(r#"{open},"escrow_conditions":{terms}}}"#);
    let api = desk.api();
    refused_field(
        &api.send(Method::POST, "/payments/request", Some(body.into_bytes()))
            .await,
        "escrow_conditions",
    );
    assert_eq!(api.get("/payments").await.json["count"], 0);
    assert_eq!(desk.money().await, BEFORE);
    desk.app.stop().await;
}

#[tokio::test]
async fn a_dispute_freezes_the_escrow_until_it_is_answered() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    let id = desk.hold(json!({})).await;
    let empty = desk
        .api()
        .send(
            reqwest::Method::POST,
            &format!("/payments/{id}/dispute"),
            None,
        )
        .await;
    let disputed = empty.expect(200, "{disputed escrow_id status disputed_at}");
    assert_eq!(disputed.json["disputed"], true);
    assert_eq!(disputed.json["status"], "disputed");
    assert_eq!(disputed.json["disputed_at"], "2026-04-14T12:00:00.000Z");
    assert_eq!(
        desk.stands(&id).await,
        json!(["disputed", "disputed", ["disputed"]])
    );
    refused(&desk.act(&id, "dispute", json!({})).await, 409, "conflict");

    // It does not expire, still counts and can be released.
    clock.set(start_of_time() + Duration::days(6));
    assert_eq!(desk.stands(&id).await[0], "disputed");
    assert_eq!(desk.money().await, DURING);
    desk.act(&id, "release", json!({})).await.expect_status(200);
    assert_eq!(desk.money().await, AFTER);

    // Another one that nobody answers goes back after seven days.
    let reason = json!({"reason": "Deliverables not met per SOW section 3.2"});
    let other = desk.hold(json!({})).await;
    desk.act(&other, "dispute", reason.clone())
        .await
        .expect_status(200);
    let events = desk.api().get(&format!("/payments/{other}/events")).await;
    assert_eq!(
        events.json["events"][2]["event_data"]["reason"],
        reason["reason"]
    );
    clock.set(clock.now() + Duration::days(7));
    refused(
        &desk.act(&other, "release", json!({})).await,
        409,
        "conflict",
    );
    assert_eq!(
        desk.stands(&other).await,
        json!(["refunded", "refunded", ["disputed", "refunded"]])
    );
    assert_eq!(desk.money().await, AFTER);
    desk.app.stop().await;
}

#[tokio::test]
async fn an_escrow_expires_when_it_is_read_and_by_schedule() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    // A schedule begins with the slot after it is first seen.
    let mut jobs = Workers::of_domains(&desk.app.app)
        .unwrap()
        .jobs(&desk.app.app);
    jobs.drain().await.unwrap();
    let (read, swept) = (desk.hold(json!({})).await, desk.hold(json!({})).await);
    clock.set(start_of_time() + Duration::days(1) - Duration::milliseconds(1));
    assert_eq!(desk.stands(&read).await[0], "escrow_held");
    clock.set(start_of_time() + Duration::days(1));
    refused(
        &desk.act(&read, "dispute", json!({})).await,
        409,
        "conflict",
    );
    let over = json!(["refunded", "refunded", ["escrow_expired", "refunded"]]);
    assert_eq!(desk.stands(&read).await, over);
    assert_eq!(desk.money().await, DURING);
    jobs.drain().await.unwrap();
    let held = "SELECT count(*) FROM escrows WHERE status <> 'refunded'";
    assert_eq!(desk.app.sql_number(held).await, 0);
    assert_eq!(desk.stands(&swept).await, over);
    assert_eq!(desk.money().await, BEFORE);
    let kinds = desk
        .app
        .sql("SELECT DISTINCT kind FROM events WHERE kind LIKE 'payment.%' ORDER BY kind")
        .await;
    let kinds: Vec<String> = kinds.iter().map(|row| row.get(0)).collect();
    assert_eq!(
        kinds,
        [
            "payment.authorized",
            "payment.escrow_expired",
            "payment.escrow_held",
            "payment.refunded"
        ]
    );
    desk.app.stop().await;
}

#[tokio::test]
async fn each_side_can_only_give_to_the_other() {
    let desk = Desk::open().await;
    let receiver = desk.app.organization("Receiver").await;
    let receiver_key = desk.app.payment_key(&receiver).await;
    let receiver_api = desk.app.pulse().bearer(&receiver_key);
    let stranger = desk.app.organization("Stranger").await;
    let stranger_api = desk
        .app
        .pulse()
        .bearer(&desk.app.payment_key(&stranger).await);
    let id = desk.hold(json!({"counterparty_org_id": receiver})).await;
    let path = |verb: &str| format!("/payments/{id}/{verb}");
    for verb in ["dispute", "release", "refund"] {
        refused(
            &stranger_api.post(&path(verb), &json!({})).await,
            404,
            "not_found",
        );
    }
    refused(
        &receiver_api.post(&path("release"), &json!({})).await,
        403,
        "forbidden",
    );
    refused(&desk.act(&id, "refund", json!({})).await, 403, "forbidden");
    receiver_api
        .post(&path("dispute"), &json!({}))
        .await
        .expect_status(200);
    // Its stream hears of the money, not of the decision.
    let heard = format!("SELECT count(*) FROM events WHERE org_id = '{receiver}'");
    assert_eq!(desk.app.sql_number(&heard).await, 2);

    let keyed = receiver_api.header("idempotency-key", "refund-1");
    let first = keyed
        .post(&path("refund"), &json!({"reason": "Late"}))
        .await;
    let first = first.expect(200, "{refunded escrow_id status refunded_at}");
    let again = keyed
        .post(&path("refund"), &json!({"reason": "Late"}))
        .await;
    assert_eq!(again.text, first.text);
    refused(
        &keyed.post(&path("refund"), &json!({})).await,
        409,
        "conflict",
    );
    assert_eq!(desk.money().await, BEFORE);
    desk.app.stop().await;
}

#[tokio::test]
async fn without_escrow_there_is_nothing_to_dispute() {
    let desk = Desk::open().await;
    let plain = desk.pay(json!({})).await.expect_status(200);
    let id = plain.str("/transaction_id");
    for verb in ["dispute", "release", "refund"] {
        refused(&desk.act(id, verb, json!({})).await, 400, "bad_request");
        refused(
            &desk.act("txn_000000000000", verb, json!({})).await,
            404,
            "not_found",
        );
    }
    for (escrow, field) in [
        (json!([]), "escrow_conditions"),
        (json!({"duration_minutes": 0}), "duration_minutes"),
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"expires_at": "2999-01-01T00:00:00Z"}), "expires_at"),
        (
            json!({"release_conditions": [{"type": "luck", "target": "a"}]}),
            "release_conditions[0].type",
        ),
    ] {
        refused_field(&desk.pay(json!({"escrow_conditions": escrow})).await, field);
    }
    let transactions = "SELECT count(*) FROM transactions";
    assert_eq!(desk.app.sql_number(transactions).await, 1);
    desk.app.stop().await;
}

/// Held money counts in the windows and cannot be withdrawn; a human's approval holds too.
#[tokio::test]
async fn held_money_counts_and_cannot_be_spent() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    for _ in 0..4 {
        desk.hold(json!({"amount": 9000})).await;
    }
    let id = desk.hold(json!({"amount": 9000})).await;
    desk.act(&id, "dispute", json!({})).await.expect_status(200);
    let denied = desk.pay(json!({"amount": 5000.01})).await;
    assert_eq!(
        denied.json["authorization"]["reason_code"],
        "daily_limit_exceeded"
    );
    let too_much = desk
        .api()
        .post(
            &format!("/wallets/{PAYER}/withdraw"),
            &json!({"amount": 5000.01}),
        )
        .await;
    refused(&too_much, 400, "bad_request");

    clock.set(start_of_time() + Duration::hours(24));
    let pending = json!({"amount": 9001, "escrow_conditions": {"expires_at": "2026-04-16"}});
    desk.api()
        .post(
            &format!("/wallets/{PAYER}/fund"),
            &json!({"amount": 20_000}),
        )
        .await
        .expect_status(200);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let waits = desk.pay(pending.clone()).await;
        assert_eq!(
            waits.json["status"], "pending_human_review",
            "{}",
            waits.text
        );
        ids.push(waits.str("/transaction_id").to_owned());
    }
    let approved = desk
        .act(&ids[0], "approve", json!({}))
        .await
        .expect(200, HELD);
    assert_eq!(approved.json["status"], "escrow_held");
    assert_eq!(
        desk.detail(&ids[0]).await["escrow"]["expires_at"],
        "2026-04-16T00:00:00.000Z"
    );
    clock.set("2026-04-16T00:00:00Z".parse().unwrap());
    let late = desk
        .act(&ids[1], "approve", json!({}))
        .await
        .expect_status(200);
    assert_eq!(late.json["status"], "failed");
    assert_eq!(late.json["authorization"]["reason_code"], "escrow_expired");
    desk.app.stop().await;
}
