//! The two doors for events.

use pulpo::identity::digest;
use serde_json::{Value, json};

use super::Tenant;
use crate::support::TestApp;

const TAKEN: &str = "{ok eventId requestId}";

fn order(external_id: &str) -> Value {
    json!({
        "type": "order.created",
        "externalId": external_id,
        "occurredAt": "2026-06-16T10:00:00Z",
        "payload": {"orderId": "12345", "total": 599.00, "currency": "NOK"},
    })
}

#[tokio::test]
async fn an_event_is_stored_once_with_its_entry_in_the_stream() {
    let app = TestApp::start().await;
    let tenant = Tenant::new(&app, "Acme").await;
    let client = tenant.client(&app);
    let path = tenant.path("/events");
    let first = client
        .post(&path, &order("ORD-12345"))
        .await
        .expect(200, TAKEN);
    assert_eq!(first.json["ok"], true);
    assert!(first.str("/eventId").starts_with('c'));

    // The same again, and the same external id under another type: the first event, and nothing new.
    let again = client
        .post(&path, &order("ORD-12345"))
        .await
        .expect(200, TAKEN);
    let other_type =
        json!({"type": "order.updated", "externalId": "ORD-12345", "payload": {"x": 1}});
    let other_type = client.post(&path, &other_type).await.expect(200, TAKEN);
    assert_eq!(again.str("/eventId"), first.str("/eventId"));
    assert_eq!(other_type.str("/eventId"), first.str("/eventId"));
    assert_eq!(app.sql_number("SELECT count(*) FROM hub_events").await, 1);
    assert_eq!(
        app.sql_number("SELECT count(*) FROM events WHERE kind = 'hub.event.received'")
            .await,
        1
    );

    let rows = app
        .sql("SELECT type, dedup_key, payload::text, occurred_at::text FROM hub_events")
        .await;
    let key = hex::encode(digest::sha256(format!("{}:ingest:ORD-12345", tenant.id)));
    assert_eq!(rows[0].get::<_, String>(0), "order.created");
    assert_eq!(rows[0].get::<_, String>(1), key);
    let payload: Value = serde_json::from_str(rows[0].get(2)).unwrap();
    assert_eq!(
        payload,
        json!({"orderId": "12345", "total": 599.00, "currency": "NOK"})
    );

    // The same external id of another tenant is another event.
    let other = Tenant::new(&app, "Other").await;
    let theirs = other
        .client(&app)
        .post(&other.path("/events"), &order("ORD-12345"))
        .await
        .expect(200, TAKEN);
    assert_ne!(theirs.str("/eventId"), first.str("/eventId"));
    // What may be left out is left out.
    client
        .post(&path, &json!({"type": "t", "externalId": "bare"}))
        .await
        .expect(200, TAKEN);
    let bare = app.sql("SELECT payload::text, occurred_at = received_at FROM hub_events WHERE external_id = 'bare'").await;
    assert_eq!(
        (
            bare[0].get::<_, String>(0).as_str(),
            bare[0].get::<_, bool>(1)
        ),
        ("{}", true)
    );
    app.stop().await;
}

#[tokio::test]
async fn of_twenty_at_once_one_is_stored() {
    let app = TestApp::start().await;
    let tenant = Tenant::new(&app, "Acme").await;
    let (client, path, event) = (tenant.client(&app), tenant.path("/events"), order("ORD-1"));
    let replies = futures_util::future::join_all((0..20).map(|_| client.post(&path, &event))).await;
    for reply in &replies {
        reply.clone().expect(200, TAKEN);
        assert_eq!(reply.str("/eventId"), replies[0].str("/eventId"));
    }
    assert_eq!(app.sql_number("SELECT count(*) FROM hub_events").await, 1);
    assert_eq!(app.sql_number("SELECT count(*) FROM events").await, 1);
    app.stop().await;
}

#[tokio::test]
async fn numbers_of_a_payload_stay_as_they_were_written() {
    let app = TestApp::start().await;
    let tenant = Tenant::new(&app, "Acme").await;
    let body = r#"{"type":"t","externalId":"n","payload":{"big":12345678901234567890123,"price":599.00,"e":1e400}}"#;
    let sent = tenant
        .client(&app)
        .send(
            reqwest::Method::POST,
            &tenant.path("/events"),
            Some(body.into()),
        )
        .await;
    sent.expect(200, TAKEN);
    let rows = app.sql("SELECT payload::text FROM hub_events").await;
    let stored: String = rows[0].get(0);
    assert!(
        stored.contains("12345678901234567890123")
            && stored.contains("599.00")
            && stored.contains("1e400"),
        "{stored}"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_fit_names_the_field() {
    let app = TestApp::start().await;
    let tenant = Tenant::new(&app, "Acme").await;
    for (change, field) in [
        (json!({"type": null}), "type"),
        (json!({"type": ""}), "type"),
        (json!({"type": 5}), "type"),
        (json!({"externalId": null}), "externalId"),
        (json!({"externalId": "x".repeat(256)}), "externalId"),
        (json!({"externalId": ["a"]}), "externalId"),
        (json!({"occurredAt": "yesterday"}), "occurredAt"),
        (json!({"occurredAt": 1718532000}), "occurredAt"),
        (json!({"payload": []}), "payload"),
        (json!({"payload": "text"}), "payload"),
        (json!({"payload": 1}), "payload"),
    ] {
        let mut body = order("ORD-1");
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let reply = tenant
            .client(&app)
            .post(&tenant.path("/events"), &body)
            .await
            .expect_status(400);
        assert_eq!(reply.str("/error"), "invalid_body", "{}", reply.text);
        assert!(
            reply.json["details"][field].is_string(),
            "{field}: {}",
            reply.text
        );
        assert_eq!(reply.str("/requestId"), reply.header("x-request-id"));
    }
    let both = tenant
        .client(&app)
        .post(&tenant.path("/events"), &json!({}))
        .await
        .expect(400, "{error details{type externalId} requestId}");
    assert_eq!(both.str("/error"), "invalid_body");
    assert_eq!(app.sql_number("SELECT count(*) FROM hub_events").await, 0);
    app.stop().await;
}

#[tokio::test]
async fn the_tenant_door_says_which_credential_fails_and_no_more() {
    let app = TestApp::start().await;
    let (tenant, other) = (
        Tenant::new(&app, "Acme").await,
        Tenant::new(&app, "Other").await,
    );
    let path = tenant.path("/events");
    let missing = app
        .pullpush()
        .post(&path, &order("1"))
        .await
        .expect_status(401);
    assert_eq!(missing.str("/error"), "missing_api_key");
    let error = async |key: &str, path: &str| {
        let reply = app
            .pullpush()
            .bearer(key)
            .post(path, &order("1"))
            .await
            .expect_status(401);
        reply.str("/error").to_owned()
    };
    assert_eq!(error("pp_unknown", &path).await, "invalid_tenant_or_key");
    assert_eq!(error(&other.key, &path).await, "invalid_tenant_or_key");
    assert_eq!(
        error(&tenant.key, "/api/v1/tenants/nobody/events").await,
        "invalid_tenant_or_key"
    );
    let pay = app.payment_key(&tenant.id).await;
    assert_eq!(error(&pay, &path).await, "invalid_tenant_or_key");
    assert_eq!(app.sql_number("SELECT count(*) FROM hub_events").await, 0);
    app.stop().await;
}

#[tokio::test]
async fn the_connect_door_finds_the_tenant_by_its_key() {
    let app = TestApp::start().await;
    let (tenant, other) = (
        Tenant::new(&app, "Acme").await,
        Tenant::new(&app, "Other").await,
    );
    let connection = tenant.connection(&app, "generic", "active").await;
    let foreign = other.connection(&app, "generic", "active").await;
    let door = app.pullpush().header("x-api-key", &tenant.key);
    let with = |connection: &str| {
        let mut body = order("ORD-1");
        body["connectionId"] = connection.into();
        body
    };
    let taken = door
        .post("/api/v1/events", &with(&connection))
        .await
        .expect(202, "{eventId}");
    // Both doors share one space of external ids.
    let same = tenant
        .client(&app)
        .post(&tenant.path("/events"), &order("ORD-1"))
        .await
        .expect(200, TAKEN);
    assert_eq!(same.str("/eventId"), taken.str("/eventId"));
    assert_eq!(app.sql_number("SELECT count(*) FROM hub_events").await, 1);

    for unknown in [foreign.as_str(), "nothing"] {
        let reply = door
            .post("/api/v1/events", &with(unknown))
            .await
            .expect_status(404);
        assert_eq!(reply.str("/error"), "connection_not_found");
    }
    let reply = door
        .post("/api/v1/events", &order("ORD-2"))
        .await
        .expect_status(400);
    assert_eq!(
        (
            reply.str("/error"),
            reply.json["details"]["connectionId"].is_string()
        ),
        ("invalid_body", true)
    );

    let missing = app
        .pullpush()
        .post("/api/v1/events", &with(&connection))
        .await
        .expect_status(401);
    assert_eq!(missing.str("/error"), "missing_api_key");
    let bearer = tenant
        .client(&app)
        .post("/api/v1/events", &with(&connection))
        .await
        .expect_status(401);
    assert_eq!(bearer.str("/error"), "missing_api_key");
    for path in ["/api/v1/events", "/api/v1/events/"] {
        let wrong = app
            .pullpush()
            .header("x-api-key", "pp_unknown")
            .post(path, &with(&connection))
            .await
            .expect_status(401);
        assert_eq!(wrong.str("/error"), "invalid_key");
    }
    app.stop().await;
}
