//! The other doors: gRPC and gRPC-Web, on every listener.

mod about;

use prost::Message;
use pulpo::proto::pulpo::{
    pay::v1::{
        GetPaymentRequest, RequestPaymentRequest, RequestPaymentResponse,
        payment_service_client::PaymentServiceClient,
    },
    r#type::v1::{Decimal, Json},
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::support::TestApp;

/// An organisation that can pay, and its key.
async fn desk(app: &TestApp) -> String {
    let org_id = app.organization("Acme").await;
    let key = app.payment_key(&org_id).await;
    app.wallet(&org_id, "agent-a", "USD", 100_000).await;
    app.policy(
        &key,
        &serde_json::json!({"policy_name": "All", "max_daily": 500}),
    )
    .await;
    key
}

fn payment(amount: &str) -> RequestPaymentRequest {
    RequestPaymentRequest {
        requesting_agent_id: "agent-a".to_owned(),
        counterparty_agent_id: Some("agent-b".to_owned()),
        amount: Some(Decimal {
            value: amount.to_owned(),
        }),
        tx_type: "vendor_payment".to_owned(),
        metadata: Some(Json {
            text: r#"{"big":12345678901234567890123}"#.to_owned(),
        }),
        ..Default::default()
    }
}

fn with_key<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

fn reason(status: &Status) -> String {
    status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_through_the_generated_client() {
    let app = TestApp::start().await;
    let key = desk(&app).await;
    let mut client = PaymentServiceClient::new(app.channel().await);
    let reply = client
        .request_payment(with_key(payment("400.00"), &key))
        .await
        .unwrap();
    // The limits are told to every door.
    assert_eq!(reply.metadata().get("x-ratelimit-limit").unwrap(), "120");
    assert!(reply.metadata().get("x-request-id").is_some());
    let paid = reply.into_inner();
    assert_eq!(paid.status, "authorized");
    assert_eq!(paid.authorization.unwrap().reason_code, "policy_pass");
    let id = paid.transaction_id;
    let detail = client
        .get_payment(with_key(GetPaymentRequest { id: id.clone() }, &key))
        .await
        .unwrap()
        .into_inner();
    let transaction = detail.transaction.unwrap();
    assert_eq!(
        (
            transaction.status.as_str(),
            transaction.amount.unwrap().value.as_str()
        ),
        ("settled", "400.00")
    );
    assert_eq!(
        transaction.metadata.unwrap().text,
        r#"{"big":12345678901234567890123}"#
    );
    // REST tells the same, digit for digit.
    let rest = app
        .pulse()
        .bearer(&key)
        .get(&format!("/payments/{id}"))
        .await
        .expect_status(200);
    assert!(
        rest.text
            .contains(r#""metadata":{"big":12345678901234567890123}"#),
        "{}",
        rest.text
    );

    let denied = client
        .request_payment(with_key(payment("100.01"), &key))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        denied.authorization.unwrap().reason_detail.unwrap(),
        "Daily spending limit of $500 exceeded"
    );
    assert!(denied.settlement.is_none());
    drop(client);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_reasons_and_fields() {
    let app = TestApp::start().await;
    let key = desk(&app).await;
    let mut client = PaymentServiceClient::new(app.channel().await);
    let anonymous = client.request_payment(payment("1")).await.unwrap_err();
    assert_eq!(
        (anonymous.code(), reason(&anonymous).as_str()),
        (Code::Unauthenticated, "MISSING_CREDENTIAL")
    );
    let wrong = client
        .request_payment(with_key(payment("1"), "pulse_wrong"))
        .await
        .unwrap_err();
    assert_eq!(
        (wrong.code(), reason(&wrong).as_str()),
        (Code::Unauthenticated, "INVALID_CREDENTIAL")
    );
    let unknown = client
        .get_payment(with_key(
            GetPaymentRequest {
                id: "txn_0".to_owned(),
            },
            &key,
        ))
        .await
        .unwrap_err();
    assert_eq!(
        (unknown.code(), reason(&unknown).as_str()),
        (Code::NotFound, "TRANSACTION_NOT_FOUND")
    );
    let invalid = client
        .request_payment(with_key(payment("0.001"), &key))
        .await
        .unwrap_err();
    assert_eq!(
        (invalid.code(), reason(&invalid).as_str()),
        (Code::InvalidArgument, "INVALID_ARGUMENT")
    );
    let info = invalid.get_details_error_info().unwrap();
    assert_eq!(info.domain, "pulpo");
    let fields = invalid.get_details_bad_request().unwrap().field_violations;
    assert_eq!(
        fields
            .iter()
            .map(|violation| violation.field.as_str())
            .collect::<Vec<_>>(),
        ["amount"]
    );

    // A method nobody thought about is not served.
    let mut raw = tonic::client::Grpc::new(app.channel().await);
    raw.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(
        "/pulpo.pay.v1.PaymentService/Nothing",
    );
    let nothing = raw
        .unary(with_key(Vec::new(), &key), path, crate::support::Raw)
        .await
        .unwrap_err();
    assert_eq!(nothing.code(), Code::Unimplemented);
    drop((client, raw));
    app.stop().await;
}

/// A gRPC-Web call as a browser makes it: the trailers come as the last frame of the body, or, for a refusal without a
/// message, as headers. The message, the status and its text.
async fn grpc_web(
    app: &TestApp,
    base: &str,
    key: Option<&str>,
    message: &impl Message,
) -> (Vec<u8>, i32, String) {
    let bytes = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    frame.extend(bytes);
    let mut request = app
        .http
        .post(format!("{base}/pulpo.pay.v1.PaymentService/RequestPayment"))
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .body(frame);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/grpc-web")
    );
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let (mut status, mut text) = (
        header("grpc-status"),
        header("grpc-message").unwrap_or_default(),
    );
    let body = response.bytes().await.unwrap();
    let (mut rest, mut reply) = (&body[..], Vec::new());
    while let Some((head, tail)) = rest.split_at_checked(5) {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let (content, after) = tail.split_at(length);
        if head[0] & 0x80 == 0 {
            reply.extend_from_slice(content);
        } else {
            for line in String::from_utf8(content.to_vec()).unwrap().lines() {
                match line.split_once(':') {
                    Some(("grpc-status", value)) => status = Some(value.trim().to_owned()),
                    Some(("grpc-message", value)) => value.trim().clone_into(&mut text),
                    _ => {}
                }
            }
        }
        rest = after;
    }
    (reply, status.expect("a grpc-status").parse().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_through_grpc_web() {
    let app = TestApp::start().await;
    let key = desk(&app).await;
    // On every listener.
    let addresses = app.addresses;
    let listeners = [
        addresses.pullpush,
        addresses.pushpaka,
        addresses.puppyone,
        addresses.pulse,
        addresses.integrations,
    ];
    for listener in listeners {
        let base = format!("http://{listener}");
        let (reply, status, text) = grpc_web(&app, &base, Some(&key), &payment("10.00")).await;
        assert_eq!((status, text.as_str()), (0, ""), "{base}");
        let paid = RequestPaymentResponse::decode(reply.as_slice()).unwrap();
        assert_eq!(paid.status, "authorized");
    }
    let base = format!("http://{}", addresses.pulse);
    let (reply, status, _) = grpc_web(&app, &base, None, &payment("10.00")).await;
    assert_eq!((reply.len(), status), (0, Code::Unauthenticated as i32));
    let (_, status, text) = grpc_web(&app, &base, Some(&key), &payment("-1")).await;
    assert_eq!(status, Code::InvalidArgument as i32);
    assert!(text.contains("amount"), "{text}");
    let wallet = app
        .pulse()
        .bearer(&key)
        .get("/wallets/agent-b")
        .await
        .expect_status(200);
    assert_eq!(wallet.json["available_balance"], 50.0);
    app.stop().await;
}
