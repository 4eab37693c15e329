//! Workers: one alone, several at once, and one that dies.

use std::collections::HashSet;

use chrono::TimeDelta;
use pulpo::workers::Workers;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{super::Desk, Hooks, receiver::Receiver};
use crate::support::TestApp;

#[tokio::test]
async fn a_delivery_whose_worker_died_is_sent_when_its_lease_ends() {
    let hooks = Hooks::open().await;
    let (id, _) = hooks.register(&["payment.settled"]).await;
    hooks.pay().await;
    let app = &hooks.desk.app.app;
    for reader in Workers::of_domains(app).unwrap().readers(app) {
        while reader.round().await.unwrap().read == 0 {}
    }
    assert_eq!(Workers::deliveries(app).abandon().await.unwrap(), 1);
    hooks.receiver.take();
    // While the lease lasts nobody else sends it.
    hooks.pass(TimeDelta::seconds(59));
    hooks.settle().await;
    assert!(hooks.receiver.take().is_empty());
    hooks.pass(TimeDelta::seconds(1));
    hooks.settle().await;
    assert_eq!(hooks.receiver.take().len(), 1);
    let listed = hooks.deliveries(&id).await;
    assert_eq!(
        (&listed[0]["status"], &listed[0]["attempts"]),
        (&json!("delivered"), &json!(2))
    );
    hooks.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_at_once_send_each_delivery_once_and_in_order() {
    let hooks = Hooks::open().await;
    for path in ["/a", "/b"] {
        let over = json!({"url": hooks.receiver.url(path), "events": ["payment.authorized", "payment.settled"]});
        hooks.register_with(over).await;
    }
    for _ in 0..30 {
        hooks.pay().await;
    }
    let app = &hooks.desk.app.app;
    let rounds = (0..3).map(|_| super::settle(app));
    futures_util::future::join_all(rounds).await;
    super::settle(app).await;
    let received = hooks.receiver.take();
    assert_eq!(received.len(), 120);
    let ids: HashSet<_> = received
        .iter()
        .map(|one| one.header("x-pulse-delivery-id"))
        .collect();
    assert_eq!(ids.len(), 120);
    let mut authorized = HashSet::new();
    for one in &received {
        let key = (
            one.path.clone(),
            one.json()["data"]["transaction_id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
        match one.header("x-pulse-event") {
            "payment.authorized" => assert!(authorized.insert(key)),
            _ => assert!(authorized.contains(&key), "settled came first"),
        }
    }
    hooks.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_worker_is_woken_by_a_payment() {
    let app = TestApp::builder()
        .config(|config| config.delivery.allow_private_targets = true)
        .start()
        .await;
    let desk = Desk::furnish(app).await;
    let receiver = Receiver::start().await;
    let stop = CancellationToken::new();
    let mut background = JoinSet::new();
    Workers::of_domains(&desk.app.app)
        .unwrap()
        .spawn(&desk.app.app, &mut background, &stop);
    let body =
        json!({"url": receiver.url("/"), "events": ["payment.authorized", "payment.settled"]});
    let id = desk
        .api()
        .post("/webhooks", &body)
        .await
        .expect_status(201)
        .str("/id")
        .to_owned();
    for count in 1..=5 {
        desk.pay(json!({"amount": 1})).await.expect_status(200);
        receiver.wait_for(2 * count).await;
    }
    stop.cancel();
    background.join_all().await;
    // What was sent is recorded before the worker ends.
    let listed = desk.api().get(&format!("/webhooks/{id}/deliveries")).await;
    let rows = listed.json["deliveries"].as_array().unwrap();
    assert!(
        rows.len() == 10 && rows.iter().all(|row| row["status"] == "delivered"),
        "{}",
        listed.text
    );
    desk.app.stop().await;
}

/// An organisation whose endpoints take everything and never answer leaves slots to the others.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_hang_hold_up_their_own_organization_only() {
    let app = TestApp::builder()
        .config(|config| {
            config.rates.scale = 100;
            config.delivery.allow_private_targets = true;
            config.delivery.concurrency = 4;
            config.delivery.endpoint_concurrency = 4;
        })
        .start()
        .await;
    let desk = Desk::furnish(app).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = json!({"url": format!("http://{}/", silent.local_addr().unwrap()), "events": ["payment.settled"]});
    desk.api()
        .post("/webhooks", &hanging)
        .await
        .expect_status(201);
    for _ in 0..12 {
        desk.pay(json!({"amount": 1})).await.expect_status(200);
    }
    let receiver = Receiver::start().await;
    let other_org = desk.app.organization("Other").await;
    let key = desk.app.payment_key(&other_org).await;
    desk.app.wallet(&other_org, "agent-o", "USD", 10_000).await;
    let api = desk.app.pulse().bearer(&key);
    let policy = json!({"policy_name": "All", "max_per_transaction": 100});
    desk.app.policy(&key, &policy).await;
    let endpoint = json!({"url": receiver.url("/hooks"), "events": ["payment.settled"]});
    api.post("/webhooks", &endpoint).await.expect_status(201);
    let payment = json!({"requesting_agent_id": "agent-o", "amount": 1, "currency": "USD", "tx_type": "invoice_payment"});
    api.post("/payments/request", &payment)
        .await
        .expect_status(200);
    let app = &desk.app.app;
    for reader in Workers::of_domains(app).unwrap().readers(app) {
        while reader.round().await.unwrap().has_more {}
    }
    let stop = CancellationToken::new();
    let working = tokio::spawn(Workers::deliveries(app).run(stop.clone()));
    let mut received = Vec::new();
    // Far less than the thirty seconds that hanging takes.
    for _ in 0..1000 {
        received.extend(receiver.take());
        if !received.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(received.len(), 1);
    stop.cancel();
    working.await.unwrap();
    desk.app.stop().await;
}
