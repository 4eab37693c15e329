//! A key that is bound to some agents: what it is shown, and what it is refused.

use pulpo::identity::keys::{KeyKind, NewKey};
use serde_json::{Value, json};

use super::{Desk, PAYEE, PAYER, demo_policy, invoice, refused, with};
use crate::support::{ALL_PAY_PERMISSIONS, Client, new_key};

/// A client with every permission, bound to these agents.
async fn bound(desk: &Desk, org_id: &str, agents: &[&str]) -> Client {
    let new = NewKey {
        allowed_agents: agents.iter().map(|&agent| agent.to_owned()).collect(),
        ..new_key(org_id, KeyKind::Payment, &ALL_PAY_PERMISSIONS)
    };
    desk.app.pulse().bearer(&desk.app.key(new).await)
}

/// The values of one member in a list of the reply.
fn column(list: &Value, member: &str) -> Vec<String> {
    let rows = list.as_array().unwrap();
    rows.iter()
        .map(|row| row[member].as_str().unwrap_or("null").to_owned())
        .collect()
}

async fn listed(api: &Client, query: &str) -> Vec<String> {
    let reply = api.get(&format!("/payments{query}")).await;
    let reply = reply.expect_status(200);
    let ids = column(&reply.json["transactions"], "id");
    assert_eq!(reply.json["count"], ids.len());
    ids
}

/// Payments between two organisations that both have agents of the same names; the ids, oldest first.
async fn payments(desk: &Desk, other_org_id: &str, other: &Client) -> Vec<String> {
    let across = json!({"counterparty_org_id": other_org_id, "amount": 1});
    let back = json!({"counterparty_org_id": desk.org_id, "amount": 1});
    let outside = json!({"counterparty_agent_id": null});
    let from_payee = json!({"requesting_agent_id": PAYEE, "counterparty_agent_id": PAYER});
    let api = desk.api();
    let mut ids = Vec::new();
    for (api, over) in [
        (&api, json!({})),
        (&api, json!({"counterparty_agent_id": "agent-c"})),
        (&api, outside.clone()),
        (&api, with(outside, json!({"requesting_agent_id": PAYEE}))),
        // A denial concerns its agents like a payment.
        (&api, with(from_payee.clone(), json!({"amount": 9_999}))),
        // The others' agent of the same name is another agent.
        (&api, across),
        (other, back.clone()),
        (other, with(back, from_payee)),
    ] {
        let payment = with(with(invoice(), json!({"amount": 10})), over);
        let reply = api
            .post("/payments/request", &payment)
            .await
            .expect_status(200);
        ids.push(reply.str("/transaction_id").to_owned());
    }
    ids
}

#[tokio::test]
async fn payments_are_shown_where_they_concern_an_agent_of_the_key() {
    let desk = Desk::open().await;
    let other_org_id = desk.app.organization("Other").await;
    let other_key = desk.app.payment_key(&other_org_id).await;
    desk.app.policy(&other_key, &demo_policy()).await;
    for agent in [PAYER, PAYEE] {
        desk.app.wallet(&other_org_id, agent, "USD", 100_000).await;
    }
    let other = desk.app.pulse().bearer(&other_key);
    let ids = payments(&desk, &other_org_id, &other).await;
    let pick =
        |numbers: &[usize]| -> Vec<String> { numbers.iter().map(|&n| ids[n].clone()).collect() };

    assert_eq!(listed(&desk.api(), "").await.len(), 8);
    let payee = bound(&desk, &desk.org_id, &[PAYEE]).await;
    assert_eq!(listed(&payee, "").await, pick(&[6, 4, 3, 0]));
    // Pages and filters count the rows that are shown.
    assert_eq!(listed(&payee, "?limit=3").await, pick(&[6, 4, 3]));
    assert_eq!(listed(&payee, "?limit=3&offset=3").await, pick(&[0]));
    assert_eq!(listed(&payee, "?offset=4").await, pick(&[]));
    assert_eq!(listed(&payee, "?status=denied").await, pick(&[4]));
    let of_payee = format!("?agent_id={PAYEE}");
    assert_eq!(listed(&payee, &of_payee).await, pick(&[6, 4, 3, 0]));
    let of_payer = format!("/payments?agent_id={PAYER}");
    refused(&payee.get(&of_payer).await, 403, "forbidden");

    for (keys_agents, shown) in [
        (&["agent-c"][..], &[1][..]),
        (&["agent-c", PAYEE], &[6, 4, 3, 1, 0]),
        (&[PAYER], &[7, 5, 4, 2, 1, 0]),
        (&["agent-nobody"], &[]),
    ] {
        let api = bound(&desk, &desk.org_id, keys_agents).await;
        assert_eq!(listed(&api, "").await, pick(shown), "{keys_agents:?}");
    }
    let theirs = bound(&desk, &other_org_id, &[PAYEE]).await;
    assert_eq!(listed(&theirs, "").await, pick(&[7, 5]));

    // One by one: shown, or refused.
    for (api, shown) in [(&payee, &[6, 4, 3, 0][..]), (&theirs, &[7, 5])] {
        for (number, id) in ids.iter().enumerate() {
            for path in [format!("/payments/{id}"), format!("/payments/{id}/events")] {
                let reply = api.get(&path).await;
                if shown.contains(&number) {
                    reply.expect_status(200);
                } else if reply.status == 404 {
                    // Not this organisation's at all.
                    assert!(!listed(&other, "").await.contains(id), "{number}");
                } else {
                    refused(&reply, 403, "forbidden");
                }
            }
        }
    }
    let unknown = payee.get("/payments/txn_000000000000").await;
    refused(&unknown, 404, "not_found");
    desk.app.stop().await;
}

#[tokio::test]
async fn wallets_and_policies_are_shown_where_they_concern_an_agent_of_the_key() {
    let desk = Desk::open().await;
    desk.app.wallet(&desk.org_id, PAYEE, "EUR", 100).await;
    let payee = bound(&desk, &desk.org_id, &[PAYEE, "agent-x"]).await;
    let wallets = payee.get("/wallets").await.expect_status(200);
    assert_eq!(column(&wallets.json["wallets"], "agent_id"), [PAYEE, PAYEE]);
    assert_eq!(column(&wallets.json["wallets"], "currency"), ["USD", "EUR"]);
    for agent in [PAYER, "agent-nobody"] {
        let wallet = payee.get(&format!("/wallets/{agent}")).await;
        refused(&wallet, 403, "forbidden");
    }
    let missing = payee.get("/wallets/agent-x").await;
    refused(&missing, 404, "not_found");

    let policy = |agent: &str| json!({"policy_name": agent, "agent_id": agent});
    let of_payer = desk.app.policy(&desk.key, &policy(PAYER)).await;
    let of_payee = desk.app.policy(&desk.key, &policy(PAYEE)).await;
    let api = desk.api();
    let deleted = api.delete(&format!("/policies/{of_payee}")).await;
    deleted.expect_status(200);
    let policies = payee.get("/policies").await.expect_status(200);
    // Its own, also when inactive, and the default, which binds it.
    assert_eq!(
        column(&policies.json["policies"], "agent_id"),
        [PAYEE, "null"]
    );
    let all = api.get("/policies").await.expect_status(200);
    assert_eq!(
        column(&all.json["policies"], "agent_id"),
        [PAYEE, PAYER, "null"]
    );
    let default = all.str("/policies/2/id");
    for id in [of_payer.as_str(), default] {
        let path = format!("/policies/{id}");
        let changed = payee.patch(&path, &json!({"policy_name": "Mine"})).await;
        refused(&changed, 403, "forbidden");
        refused(&payee.delete(&path).await, 403, "forbidden");
    }
    desk.app.stop().await;
}
