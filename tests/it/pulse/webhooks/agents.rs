//! Endpoints that are narrowed to some agents, and keys that are bound to some.

use pulpo::identity::keys::{KeyKind, NewKey};
use serde_json::json;

use super::{
    super::{PAYEE, PAYER, demo_policy, refused},
    Hooks,
};
use crate::support::{ALL_PAY_PERMISSIONS, new_key};

#[tokio::test]
async fn an_endpoint_hears_of_its_agents_only() {
    let hooks = Hooks::open().await;
    for (path, filter) in [
        ("/payer", json!([PAYER])),
        ("/payee", json!([PAYEE])),
        ("/c", json!(["agent-c", "x"])),
    ] {
        let over = json!({"agent_filter": filter, "url": hooks.receiver.url(path)});
        hooks.register_with(over).await;
    }
    let other = hooks.desk.app.organization("Other").await;
    let key = hooks.desk.app.payment_key(&other).await;
    hooks.desk.app.policy(&key, &demo_policy()).await;
    for over in [
        json!({"amount": 1}),
        json!({"amount": 1, "counterparty_agent_id": "agent-c"}),
        // The others' agent of the same name is another agent.
        json!({"amount": 1, "counterparty_org_id": other}),
    ] {
        hooks.desk.pay(over).await.expect_status(200);
    }
    hooks.settle().await;
    let received = hooks.receiver.take();
    let of = |path| received.iter().filter(|one| one.path == path).count();
    assert_eq!((of("/payer"), of("/payee"), of("/c")), (3, 1, 1));
    hooks.close().await;
}

#[tokio::test]
async fn a_key_of_some_agents_may_have_to_do_with_their_endpoints_only() {
    let hooks = Hooks::open().await;
    let new = NewKey {
        allowed_agents: vec![PAYER.to_owned()],
        ..new_key(&hooks.desk.org_id, KeyKind::Payment, &ALL_PAY_PERMISSIONS)
    };
    let bound = hooks
        .desk
        .app
        .pulse()
        .bearer(&hooks.desk.app.key(new).await);
    let body = |filter| json!({"url": hooks.receiver.url("/"), "events": ["payment.settled"], "agent_filter": filter});
    for filter in [json!([]), json!([PAYEE]), json!([PAYER, PAYEE])] {
        refused(
            &bound.post("/webhooks", &body(filter)).await,
            403,
            "forbidden",
        );
    }
    let own = bound
        .post("/webhooks", &body(json!([PAYER])))
        .await
        .expect_status(201)
        .str("/id")
        .to_owned();
    let (wide, _) = hooks.register(&["payment.settled"]).await;
    let listed = bound.get("/webhooks").await;
    assert_eq!(listed.json["webhooks"].as_array().unwrap().len(), 1);
    assert_eq!(listed.str("/webhooks/0/id"), own);
    let widen = json!({"agent_filter": []});
    refused(
        &bound.patch(&format!("/webhooks/{own}"), &widen).await,
        403,
        "forbidden",
    );
    refused(
        &bound.delete(&format!("/webhooks/{wide}")).await,
        403,
        "forbidden",
    );
    refused(
        &bound.get(&format!("/webhooks/{wide}/deliveries")).await,
        403,
        "forbidden",
    );
    bound
        .delete(&format!("/webhooks/{own}"))
        .await
        .expect_status(200);
    hooks.close().await;
}
