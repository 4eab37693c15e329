//! The Connect protocol on every listener, behind the same checks as the other doors.

use serde_json::{Value, json};

use crate::support::TestApp;

const PAY: &str = "/pulpo.pay.v1.PaymentService/RequestPayment";

struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

async fn call(app: &TestApp, listener: &str, key: Option<&str>, body: &Value) -> Reply {
    let mut request = app
        .http
        .post(format!("{listener}{PAY}"))
        .header("content-type", "application/json")
        .header("connect-protocol-version", "1")
        .header("origin", "https://page.example")
        .body(body.to_string());
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await.unwrap();
    Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: serde_json::from_str(&response.text().await.unwrap()).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_on_every_listener() {
    let app = TestApp::start().await;
    let org_id = app.organization("Acme").await;
    let key = app.payment_key(&org_id).await;
    app.wallet(&org_id, "agent-a", "USD", 100_000).await;
    app.policy(&key, &json!({"policy_name": "All", "max_daily": 500}))
        .await;
    let payment = json!({
        "requestingAgentId": "agent-a",
        "counterpartyAgentId": "agent-b",
        "amount": 10.5,
        "txType": "vendor_payment",
        "unknown": true,
    });
    let addresses = app.addresses;
    for address in [
        addresses.pullpush,
        addresses.pushpaka,
        addresses.puppyone,
        addresses.pulse,
        addresses.integrations,
    ] {
        let listener = format!("http://{address}");
        let paid = call(&app, &listener, Some(&key), &payment).await;
        assert_eq!(paid.status, 200, "{}", paid.body);
        // ProtoJSON's names, not those of the surface's document.
        assert_eq!(paid.body["status"], "authorized");
        assert!(paid.body["transactionId"].is_string());
        assert_eq!(paid.headers["x-ratelimit-limit"], "120");
        assert_eq!(paid.headers["x-content-type-options"], "nosniff");
        assert!(paid.headers.contains_key("x-request-id"));

        let refused = call(&app, &listener, None, &payment).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.body["code"], "unauthenticated");
        let details = refused.body["details"].as_array().unwrap();
        assert_eq!(details[0]["type"], "google.rpc.ErrorInfo");
        assert!(details[0]["debug"]["reason"].is_string());
    }
    let wrong = call(
        &app,
        &format!("http://{}", addresses.pulse),
        Some(&key),
        &json!({"amount": "much"}),
    )
    .await;
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.body["code"], "invalid_argument");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_message_tells_a_stranger_nothing() {
    let app = TestApp::start().await;
    let listener = format!("http://{}", app.addresses.pulse);
    let refused = call(&app, &listener, None, &json!({"amount": "much"})).await;
    assert_eq!(refused.status, 401, "the credential is asked for first");
}
