//! Targets that fail: the schedule, the order, and when an endpoint is disabled.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Hooks, kinds, settle, start_of_time};
use crate::{pulse::Desk, support::TestApp};

/// The pauses between attempts, in seconds.
const PAUSES: [i64; 9] = [30, 120, 600, 3600, 14_400, 43_200, 86_400, 172_800, 259_200];

#[tokio::test]
async fn ten_attempts_at_the_documents_times() {
    let hooks = Hooks::open().await;
    let (id, secret) = hooks.register(&["payment.settled"]).await;
    hooks.receiver.always(500);
    hooks.pay().await;
    hooks.settle().await;
    let first = hooks.receiver.take();
    assert_eq!(first.len(), 1);
    for (i, pause) in PAUSES.into_iter().enumerate() {
        let listed = hooks.deliveries(&id).await;
        assert_eq!(
            (&listed[0]["status"], &listed[0]["attempts"]),
            (&json!("pending"), &json!(i + 1))
        );
        hooks.pass(TimeDelta::milliseconds(pause * 1000 - 1));
        hooks.settle().await;
        assert!(
            hooks.receiver.take().is_empty(),
            "attempt {} came too early",
            i + 2
        );
        hooks.pass(TimeDelta::milliseconds(1));
        hooks.settle().await;
        let again = hooks.receiver.take();
        assert_eq!(again.len(), 1, "attempt {} did not come", i + 2);
        again[0].is_signed_with(&secret);
        assert_eq!(again[0].header("x-pulse-retry-count"), (i + 1).to_string());
        // The same delivery of the same event with the same body, signed anew.
        for name in ["x-pulse-delivery-id", "webhook-id"] {
            assert_eq!(again[0].header(name), first[0].header(name));
        }
        assert_eq!(again[0].body, first[0].body);
        assert_ne!(
            again[0].header("x-pulse-timestamp"),
            first[0].header("x-pulse-timestamp")
        );
    }
    let listed = hooks.deliveries(&id).await;
    assert_eq!(
        (&listed[0]["status"], &listed[0]["attempts"]),
        (&json!("failed"), &json!(10))
    );
    assert_eq!(listed[0]["delivered_at"], Value::Null);
    hooks.pass(TimeDelta::days(10));
    hooks.settle().await;
    assert!(hooks.receiver.take().is_empty());
    // Ten attempts of one delivery are ten failures in a row.
    let endpoint = hooks.endpoint(&id).await;
    assert_eq!(
        (&endpoint["status"], &endpoint["failure_count"]),
        (&json!("disabled"), &json!(10))
    );
    assert_eq!(endpoint["last_error"], "answered with 500");
    hooks.close().await;
}

#[tokio::test]
async fn a_retry_that_succeeds_ends_it() {
    let hooks = Hooks::open().await;
    let (id, _) = hooks.register(&["payment.settled"]).await;
    hooks.receiver.answer_with(&[503, 302, 204]);
    hooks.pay().await;
    for pause in [0, 30, 120, 86_400] {
        hooks.pass(TimeDelta::seconds(pause));
        hooks.settle().await;
    }
    let received = hooks.receiver.take();
    // A redirect is a failure like others: nobody went elsewhere.
    assert!(received.len() == 3 && received.iter().all(|one| one.path == "/hooks"));
    let listed = hooks.deliveries(&id).await;
    assert_eq!(
        (
            &listed[0]["status"],
            &listed[0]["attempts"],
            &listed[0]["response_status"]
        ),
        (&json!("delivered"), &json!(3), &json!(204))
    );
    let endpoint = hooks.endpoint(&id).await;
    assert_eq!(
        (&endpoint["failure_count"], &endpoint["last_error"]),
        (&json!(0), &Value::Null)
    );
    hooks.close().await;
}

#[tokio::test]
async fn a_later_event_of_a_transaction_waits_for_the_earlier_ones() {
    let hooks = Hooks::open().await;
    hooks
        .register(&["payment.authorized", "payment.settled"])
        .await;
    hooks.receiver.answer_with(&[500, 500]);
    let failing = hooks.pay().await;
    hooks.settle().await;
    assert_eq!(kinds(&hooks.receiver.take()), ["payment.authorized"]);
    // Other transactions do not wait.
    hooks.receiver.answer_with(&[200, 200, 500]);
    hooks.pay().await;
    hooks.pass(TimeDelta::seconds(29));
    hooks.settle().await;
    let others = hooks.receiver.take();
    assert_eq!(kinds(&others), ["payment.authorized", "payment.settled"]);
    assert!(
        others
            .iter()
            .all(|one| one.json()["data"]["transaction_id"] != failing)
    );

    hooks.pass(TimeDelta::seconds(1));
    hooks.settle().await;
    assert_eq!(kinds(&hooks.receiver.take()), ["payment.authorized"]);
    hooks.pass(TimeDelta::seconds(120));
    hooks.settle().await;
    assert_eq!(
        kinds(&hooks.receiver.take()),
        ["payment.authorized", "payment.settled"]
    );
    hooks.close().await;
}

#[tokio::test]
async fn gone_stops_at_once() {
    let hooks = Hooks::open().await;
    let (id, _) = hooks
        .register(&["payment.authorized", "payment.settled"])
        .await;
    hooks.receiver.answer_with(&[410]);
    hooks.pay().await;
    hooks.settle().await;
    assert_eq!(hooks.receiver.take().len(), 1);
    let endpoint = hooks.endpoint(&id).await;
    assert_eq!(
        (&endpoint["status"], &endpoint["last_error"]),
        (&json!("disabled"), &json!("410 Gone"))
    );
    // What waited has failed, and what happens now is not delivered.
    hooks.pay().await;
    hooks.pass(TimeDelta::days(9));
    hooks.settle().await;
    assert!(hooks.receiver.take().is_empty());
    let listed = hooks.deliveries(&id).await;
    let states: Vec<_> = listed
        .iter()
        .map(|one| (&one["status"], &one["attempts"]))
        .collect();
    assert_eq!(
        states,
        [(&json!("failed"), &json!(0)), (&json!("failed"), &json!(1))]
    );
    hooks.close().await;
}

#[tokio::test]
async fn ten_failures_in_a_row_disable_and_patch_makes_active_again() {
    let hooks = Hooks::open().await;
    let (id, _) = hooks.register(&["payment.settled"]).await;
    let fail = async |times: usize| {
        for _ in 0..times {
            hooks.receiver.answer_with(&[500]);
            hooks.pay().await;
            hooks.settle().await;
        }
    };
    fail(9).await;
    let endpoint = hooks.endpoint(&id).await;
    assert_eq!(
        (&endpoint["status"], &endpoint["failure_count"]),
        (&json!("active"), &json!(9))
    );
    // One that succeeds makes it nine more.
    hooks.pay().await;
    hooks.settle().await;
    assert_eq!(hooks.endpoint(&id).await["failure_count"], 0);
    fail(10).await;
    let endpoint = hooks.endpoint(&id).await;
    assert_eq!(
        (&endpoint["status"], &endpoint["failure_count"]),
        (&json!("disabled"), &json!(10))
    );
    hooks.receiver.take();
    hooks.pay().await;
    hooks.settle().await;
    assert!(hooks.receiver.take().is_empty());

    let path = format!("/webhooks/{id}");
    hooks
        .desk
        .api()
        .patch(&path, &json!({"status": "active"}))
        .await
        .expect_status(200);
    let endpoint = hooks.endpoint(&id).await;
    assert_eq!(
        (
            &endpoint["status"],
            &endpoint["failure_count"],
            &endpoint["last_error"]
        ),
        (&json!("active"), &json!(0), &Value::Null)
    );
    // What was missed is not sent by itself; one more failure does not disable it.
    hooks.pass(TimeDelta::days(9));
    hooks.settle().await;
    assert!(hooks.receiver.take().is_empty());
    fail(1).await;
    let endpoint = hooks.endpoint(&id).await;
    assert_eq!(
        (&endpoint["status"], &endpoint["failure_count"]),
        (&json!("active"), &json!(1))
    );
    hooks.close().await;
}

#[tokio::test]
async fn private_addresses_are_refused_when_they_are_connected_to() {
    let clock = pulpo::clock::Clock::fixed(start_of_time());
    let desk = Desk::furnish(TestApp::builder().clock(&clock).start().await).await;
    let body = json!({"url": "https://your-app.com/", "events": ["payment.settled"]});
    let id = desk
        .api()
        .post("/webhooks", &body)
        .await
        .expect_status(201)
        .str("/id")
        .to_owned();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    // As if it had been registered under another configuration.
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        desk.app
            .sql(&format!(
                "UPDATE delivery_endpoints SET url = 'https://{host}:{port}/'"
            ))
            .await;
        desk.pay(json!({"amount": 1})).await.expect_status(200);
        settle(&desk.app.app).await;
        let listed = desk
            .api()
            .get(&format!("/webhooks/{id}/deliveries?limit=1"))
            .await;
        let delivery = &listed.json["deliveries"][0];
        assert_eq!(
            (&delivery["status"], &delivery["response_status"]),
            (&json!("pending"), &Value::Null)
        );
        let listed = desk.api().get("/webhooks").await;
        let error = listed.str("/webhooks/0/last_error").to_owned();
        assert!(error.contains("public address"), "{host}: {error}");
    }
    assert!(listener.accept().is_err(), "nobody came");
    desk.app.stop().await;
}
