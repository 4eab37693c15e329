//! The error bodies of the document: each status it lists with its code, and the reason programs tell errors of one code apart by.

use pulpo::proto::pulpo::pay::v1::{
    ListWalletsRequest, wallet_service_client::WalletServiceClient,
};
use serde_json::{Value, json};
use tonic::{Code, Request};

use super::{Desk, PAYER, invoice, refused, with};
use crate::support::Reply;

/// The document's body with this code and detail.
#[track_caller]
fn refused_because(reply: &Reply, status: u16, code: &str, detail: &str) {
    refused(reply, status, code);
    assert_eq!(reply.json["detail"], detail, "{}", reply.text);
}

#[tokio::test]
async fn the_detail_has_the_fields_or_the_reason() {
    let desk = Desk::open().await;
    let api = desk.api();
    let wallet = format!("/wallets/{PAYER}");
    let too_much = json!({"amount": 50_000.01});
    let reply = api.post(&format!("{wallet}/withdraw"), &too_much).await;
    refused_because(&reply, 400, "bad_request", "INSUFFICIENT_BALANCE");
    let id = desk.pay(json!({})).await.str("/transaction_id").to_owned();
    let reply = api
        .post(&format!("/payments/{id}/dispute"), &json!({}))
        .await;
    refused_because(&reply, 400, "bad_request", "NO_ESCROW");
    let fields = with(invoice(), json!({"amount": -1, "currency": "usd"}));
    let reply = api.post("/payments/request", &fields).await;
    refused(&reply, 400, "bad_request");
    let detail = reply.str("/detail");
    assert!(
        detail.contains("amount: ") && detail.contains("; currency: "),
        "{detail}"
    );
    assert!(!detail.contains("INVALID_ARGUMENT"), "{detail}");

    let anonymous = desk.app.pulse();
    let reply = anonymous.get("/wallets").await;
    refused_because(&reply, 401, "unauthorized", "MISSING_CREDENTIAL");
    let reply = anonymous.bearer("x").get("/wallets").await;
    refused_because(&reply, 401, "unauthorized", "INVALID_CREDENTIAL");
    let reply = api.get("/payments/txn_000000000000").await;
    refused_because(&reply, 404, "not_found", "TRANSACTION_NOT_FOUND");
    let reply = api.get("/wallets/nobody").await;
    refused_because(&reply, 404, "not_found", "WALLET_NOT_FOUND");
    let reply = api.post("/policies", &json!({"policy_name": "x"})).await;
    refused_because(&reply, 409, "conflict", "POLICY_EXISTS");
    desk.app.stop().await;
}

/// A fault of ours: the database refuses a statement. Nothing of what it said is told, nothing was done, and the next request is
/// served as if nothing had been.
#[tokio::test]
async fn a_fault_of_ours_is_500_and_says_nothing_of_it() {
    let desk = Desk::open().await;
    let api = desk.api().header("idempotency-key", "over");
    let fund = format!("/wallets/{PAYER}/fund");
    desk.app.batch("ALTER TABLE wallets RENAME TO gone").await;
    for reply in [
        api.get("/wallets").await,
        api.get(&format!("/wallets/{PAYER}")).await,
        api.post("/payments/request", &invoice()).await,
        api.post(&fund, &json!({"amount": 1})).await,
    ] {
        refused(&reply, 500, "internal_error");
        assert_eq!(reply.json["detail"], Value::Null, "{}", reply.text);
        for word in ["wallet", "gone", "relation", "exist", "42P01", "ERROR:"] {
            assert!(!reply.text.contains(word), "{word}: {}", reply.text);
        }
        // Like every other answer to a key; and the log has it under this name.
        let remaining = reply.header("x-ratelimit-remaining");
        assert!(remaining.parse::<u32>().is_ok(), "{remaining}");
        assert!(!reply.header("x-request-id").is_empty());
    }
    let mut wallets = WalletServiceClient::new(desk.app.channel().await);
    let mut request = Request::new(ListWalletsRequest::default());
    let bearer = format!("Bearer {}", desk.key).parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let status = wallets.list_wallets(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("relation"), "{status}");
    // What does not ask for the table is served meanwhile.
    api.get("/payments").await.expect_status(200);

    desk.app.batch("ALTER TABLE gone RENAME TO wallets").await;
    assert_eq!(desk.available(PAYER).await, 50_000.0);
    let payments = api.get("/payments").await.expect_status(200);
    assert_eq!(payments.json["count"], 0);
    // After an error the keys are free.
    api.post("/payments/request", &invoice())
        .await
        .expect_status(200);
    api.post(&fund, &json!({"amount": 1}))
        .await
        .expect_status(200);
    assert_eq!(desk.available(PAYER).await, 47_501.0);
    desk.app.stop().await;
}
