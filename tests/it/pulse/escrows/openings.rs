//! A payee's wallet is opened by the first money it gets, not by a promise of it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::super::{Desk, concurrency::audit_finds_nothing};
use crate::support::TestApp;

const ROUNDS: usize = 8;

impl Desk {
    async fn wallets_of(&self, org_id: &str) -> Value {
        let key = self.app.payment_key(org_id).await;
        let listed = self.app.pulse().bearer(&key).get("/wallets").await;
        let wallets = listed.expect_status(200).json["wallets"].clone();
        let rows = wallets.as_array().into_iter().flatten();
        rows.map(|row| json!([row["agent_id"], row["available_balance"]]))
            .collect()
    }
}

/// Escrow costs the payer nothing that comes back, so it must not fill another organisation's list.
#[tokio::test]
async fn a_wallet_is_opened_by_a_release_and_not_by_a_hold() {
    let desk = Desk::open().await;
    let seller = desk.app.organization("Seller").await;
    let over = json!({"counterparty_org_id": seller, "counterparty_agent_id": "agent-sales"});
    let kept = desk.hold(over.clone()).await;
    let returned = desk.hold(over).await;
    assert_eq!(desk.wallets_of(&seller).await, json!([]));
    let key = desk.app.payment_key(&seller).await;
    let refunded = desk.app.pulse().bearer(&key);
    let refunded = refunded
        .post(&format!("/payments/{returned}/refund"), &json!({}))
        .await;
    refunded.expect_status(200);
    assert_eq!(desk.wallets_of(&seller).await, json!([]));
    desk.act(&kept, "release", json!({}))
        .await
        .expect_status(200);
    let opened = json!([["agent-sales", 2_500.0]]);
    assert_eq!(desk.wallets_of(&seller).await, opened);
    audit_finds_nothing(&desk).await;
    desk.app.stop().await;
}

/// Releases of different payments and a payment may all be the first money of an agent.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn first_moneys_at_once_open_one_wallet() {
    let app = TestApp::builder()
        .config(|config| config.rates.scale = 100)
        .start()
        .await;
    let desk = Desk::furnish(app).await;
    for round in 0..ROUNDS {
        let payee = format!("agent-new-{round}");
        let to = json!({"counterparty_agent_id": payee, "amount": 10});
        let held = join_all((0..4).map(|_| desk.hold(to.clone()))).await;
        let releases = join_all(held.iter().map(|id| desk.act(id, "release", json!({}))));
        let (released, paid) = tokio::join!(releases, desk.pay(to.clone()));
        for reply in released.into_iter().chain([paid]) {
            reply.expect_status(200);
        }
        assert_eq!(desk.available(&payee).await, 50.0);
    }
    audit_finds_nothing(&desk).await;
    desk.app.stop().await;
}
