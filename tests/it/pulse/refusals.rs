//! Who is refused, how, and in which order.

use pulpo::identity::keys::{KeyKind, NewKey};
use serde_json::json;

use super::{Desk, PAYEE, PAYER, invoice, refused, with};
use crate::support::{ALL_PAY_PERMISSIONS, TestApp, new_key};

/// The routes with the permission each needs.
const ROUTES: [(&str, &str, &str); 12] = [
    ("POST", "/payments/request", "payments:request"),
    ("GET", "/payments", "payments:read"),
    ("GET", "/payments/txn_000000000000", "payments:read"),
    ("GET", "/payments/txn_000000000000/events", "payments:read"),
    ("GET", "/wallets", "wallets:read"),
    ("GET", "/wallets/agent-treasury-ops", "wallets:read"),
    ("POST", "/wallets/agent-treasury-ops/fund", "wallets:write"),
    (
        "POST",
        "/wallets/agent-treasury-ops/withdraw",
        "wallets:write",
    ),
    ("GET", "/policies", "policies:read"),
    ("POST", "/policies", "policies:write"),
    ("PATCH", "/policies/pol_abc123", "policies:write"),
    ("DELETE", "/policies/pol_abc123", "policies:write"),
];

#[tokio::test]
async fn every_route_needs_a_key_with_its_permission() {
    let app = TestApp::builder()
        .config(|config| config.rates.scale = 10)
        .start()
        .await;
    let desk = Desk::furnish(app).await;
    let tenant_key = desk.app.tenant_key(&desk.org_id).await;
    for (method, path, permission) in ROUTES {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let body = (method == reqwest::Method::POST || method == reqwest::Method::PATCH)
            .then(|| b"{}".to_vec());
        let anonymous = desk.app.pulse();
        refused(
            &anonymous.send(method.clone(), path, body.clone()).await,
            401,
            "unauthorized",
        );
        for wrong in [
            tenant_key.as_str(),
            "pulse_0000000000000000000000000000000000000000",
            "x",
        ] {
            refused(
                &anonymous
                    .clone()
                    .bearer(wrong)
                    .send(method.clone(), path, body.clone())
                    .await,
                401,
                "unauthorized",
            );
        }
        let basic = anonymous
            .clone()
            .header("authorization", format!("Basic {}", desk.key));
        refused(
            &basic.send(method.clone(), path, body.clone()).await,
            401,
            "unauthorized",
        );

        let others: Vec<&str> = ALL_PAY_PERMISSIONS
            .into_iter()
            .filter(|&other| other != permission)
            .collect();
        let lacking = anonymous
            .clone()
            .bearer(&desk.app.payment_key_with(&desk.org_id, &others).await);
        let reply = lacking.send(method.clone(), path, body.clone()).await;
        refused(&reply, 403, "forbidden");
        assert!(reply.text.contains(permission), "{}", reply.text);

        let holding =
            anonymous.bearer(&desk.app.payment_key_with(&desk.org_id, &[permission]).await);
        let reply = holding.send(method, path, body).await;
        assert!(
            matches!(reply.status, 200 | 400 | 404),
            "{path}: {} {}",
            reply.status,
            reply.text
        );
    }
    desk.app.stop().await;
}

#[tokio::test]
async fn a_key_acts_for_its_agents_only() {
    let desk = Desk::open().await;
    let new = NewKey {
        allowed_agents: vec![PAYEE.to_owned()],
        ..new_key(&desk.org_id, KeyKind::Payment, &ALL_PAY_PERMISSIONS)
    };
    let bound = desk.app.pulse().bearer(&desk.app.key(new).await);
    refused(
        &bound.post("/payments/request", &invoice()).await,
        403,
        "forbidden",
    );
    // The agent is refused before the rest of the body is looked at.
    refused(
        &bound
            .post("/payments/request", &with(invoice(), json!({"amount": -1})))
            .await,
        403,
        "forbidden",
    );
    refused(
        &bound.get(&format!("/wallets/{PAYER}")).await,
        403,
        "forbidden",
    );
    refused(
        &bound
            .post(&format!("/wallets/{PAYER}/fund"), &json!({"amount": 1}))
            .await,
        403,
        "forbidden",
    );
    refused(
        &bound
            .post(&format!("/wallets/{PAYER}/withdraw"), &json!({"amount": 1}))
            .await,
        403,
        "forbidden",
    );
    refused(
        &bound
            .post("/policies", &json!({"policy_name": "x", "agent_id": PAYER}))
            .await,
        403,
        "forbidden",
    );
    assert_eq!(
        desk.app
            .sql_number("SELECT count(*) FROM transactions")
            .await,
        0
    );

    let own = json!({"requesting_agent_id": PAYEE, "counterparty_agent_id": PAYER, "amount": 10});
    let paid = bound
        .post("/payments/request", &with(invoice(), own))
        .await
        .expect_status(200);
    assert_eq!(paid.json["status"], "authorized");
    bound
        .get(&format!("/wallets/{PAYEE}"))
        .await
        .expect_status(200);
    desk.app.stop().await;
}

#[tokio::test]
async fn a_key_works_from_its_addresses_only() {
    let app = TestApp::builder()
        .config(|config| config.http.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()])
        .start()
        .await;
    let desk = Desk::furnish(app).await;
    let listed = |entries: &[&str]| NewKey {
        ip_whitelist: entries.iter().map(|&entry| entry.to_owned()).collect(),
        ..new_key(&desk.org_id, KeyKind::Payment, &[])
    };
    let office = desk
        .app
        .pulse()
        .bearer(&desk.app.key(listed(&["203.0.113.7", "10.20.0.0/16"])).await);
    refused(&office.get("/meta").await, 403, "forbidden");
    for (forwarded, status) in [
        ("203.0.113.7", 200),
        ("10.20.30.40", 200),
        ("203.0.113.8", 403),
        ("10.21.0.1", 403),
        // The client's own words before the proxy's do not count.
        ("203.0.113.7, 198.51.100.1", 403),
        ("198.51.100.1, 203.0.113.7", 200),
    ] {
        let reply = office
            .clone()
            .header("x-forwarded-for", forwarded)
            .get("/meta")
            .await;
        assert_eq!(reply.status, status, "{forwarded}: {}", reply.text);
    }
    // The address is refused before the permission, and a wrong key before the address.
    refused(&office.get("/wallets").await, 403, "forbidden");
    refused(
        &desk
            .app
            .pulse()
            .bearer("pulse_x")
            .header("x-forwarded-for", "203.0.113.7")
            .get("/meta")
            .await,
        401,
        "unauthorized",
    );
    desk.app.stop().await;
}

#[tokio::test]
async fn forwarded_addresses_of_strangers_are_not_believed() {
    let desk = Desk::open().await;
    let new = NewKey {
        ip_whitelist: vec!["203.0.113.7".to_owned()],
        ..new_key(&desk.org_id, KeyKind::Payment, &[])
    };
    let office = desk
        .app
        .pulse()
        .bearer(&desk.app.key(new).await)
        .header("x-forwarded-for", "203.0.113.7");
    refused(&office.get("/meta").await, 403, "forbidden");
    desk.app.stop().await;
}

#[tokio::test]
async fn a_revoked_key_is_a_wrong_key() {
    let desk = Desk::open().await;
    desk.api().get("/meta").await.expect_status(200);
    desk.app.sql("UPDATE api_keys SET revoked_at = now()").await;
    refused(&desk.api().get("/meta").await, 401, "unauthorized");
    desk.app.stop().await;
}

/// A payment does not look its key up again when it was good lately, but confirms it in its own transaction.
#[tokio::test]
async fn a_key_that_paid_and_was_revoked_pays_nothing_more() {
    let desk = Desk::open().await;
    let keyed = |key: &str| json!({"idempotency_key": key});
    desk.pay(keyed("first")).await.expect_status(200);
    let payments = "SELECT count(*) FROM transactions";
    let revoked = [
        json!({}),
        keyed("first"),
        keyed("second"),
        json!({"amount": -1}),
    ];
    for (paid, over) in (2..).zip(revoked) {
        desk.app.sql("UPDATE api_keys SET revoked_at = NULL").await;
        desk.pay(json!({})).await.expect_status(200);
        desk.app.sql("UPDATE api_keys SET revoked_at = now()").await;
        for _ in 0..2 {
            refused(&desk.pay(over.clone()).await, 401, "unauthorized");
        }
        assert_eq!(desk.app.sql_number(payments).await, paid, "{over}");
    }
    // What was asked for with the revoked key came to nothing, and its idempotency key is free.
    desk.app.sql("UPDATE api_keys SET revoked_at = NULL").await;
    desk.pay(keyed("second")).await.expect_status(200);
    assert_eq!(desk.app.sql_number(payments).await, 6);
    desk.app.stop().await;
}

#[tokio::test]
async fn a_key_whose_agents_were_changed_pays_for_those_of_now() {
    let desk = Desk::open().await;
    // Looked up, confirmed, and remembered as confirmed.
    for _ in 0..3 {
        desk.pay(json!({})).await.expect_status(200);
    }
    desk.app
        .sql("UPDATE api_keys SET allowed_agents = '{somebody-else}'")
        .await;
    refused(&desk.pay(json!({})).await, 503, "service_unavailable");
    refused(&desk.pay(json!({})).await, 403, "forbidden");
    desk.app.stop().await;
}

#[tokio::test]
async fn what_is_not_there() {
    let desk = Desk::open().await;
    refused(&desk.api().get("/nothing").await, 404, "not_found");
    // Every path but that of /health asks for a key first, also those that do not exist.
    let anonymous = desk.app.pulse();
    refused(&anonymous.get("/nothing").await, 401, "unauthorized");
    refused(&anonymous.get("/health/more").await, 401, "unauthorized");
    refused(&anonymous.delete("/wallets").await, 401, "unauthorized");
    let xml = |client: crate::support::Client| client.header("accept", "application/xml");
    refused(
        &xml(anonymous.clone()).get("/wallets").await,
        401,
        "unauthorized",
    );
    refused(
        &xml(desk.api()).get("/wallets").await,
        406,
        "not_acceptable",
    );
    for caller in [anonymous, desk.app.pulse().bearer("nonsense")] {
        let refusal = caller.delete("/health").await;
        refused(&refusal, 405, "method_not_allowed");
        assert_eq!(refusal.header("allow"), "GET, HEAD, OPTIONS");
        let refusal = caller.post("/health/", &json!({})).await;
        refused(&refusal, 405, "method_not_allowed");
        let refusal = xml(caller).get("/health").await;
        refused(&refusal, 406, "not_acceptable");
        assert!(refusal.headers.get("x-ratelimit-limit").is_none());
    }
    let wrong_method = desk.api().delete("/payments/request").await;
    refused(&wrong_method, 405, "method_not_allowed");
    assert!(
        wrong_method.header("allow").contains("POST"),
        "{}",
        wrong_method.header("allow")
    );
    // Trailing slashes make no difference, HEAD is GET without a body.
    desk.api().get("/wallets/").await.expect_status(200);
    let head = desk
        .api()
        .send(reqwest::Method::HEAD, "/wallets", None)
        .await
        .expect_status(200);
    assert_eq!(head.text, "");
    desk.app.stop().await;
}
