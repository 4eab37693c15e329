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
