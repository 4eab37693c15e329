//! The management of integrations.

use pulpo::{
    db::Conn,
    integrations::{self, NewIntegration},
};
use serde_json::{Value, json};

use crate::support::{Client, TestApp};

const ERROR: &str = "{error{code message details[]}}";
const READ: &[&str] = &["INTEGRATIONS.READ"];

async fn reader(app: &TestApp) -> (String, Client) {
    let org = app.organization("Acme").await;
    let key = app.integration_key(&org, READ).await;
    (org, app.integrations().bearer(&key))
}

#[tokio::test]
async fn available_is_the_catalogue() {
    let app = TestApp::start().await;
    let (_, client) = reader(&app).await;
    let reply = client.get("/available").await.expect(
        200,
        "{data[{service name description category type direction \
         settingsSchema[{key label type required default options[]}] \
         events[{eventType direction description defaultEnabled retryCount}]}] total}",
    );
    let services: Vec<&str> = reply.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["service"].as_str().unwrap())
        .collect();
    assert_eq!(services, ["custom", "klaviyo", "webhook-out"]);
    assert_eq!(reply.json["total"], 3);
    let klaviyo = &reply.json["data"][1];
    assert_eq!(
        (&klaviyo["type"], &klaviyo["direction"]),
        (&json!("prebuilt"), &json!("outbound"))
    );
    let setting = |key: &str| {
        klaviyo["settingsSchema"]
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["key"] == key)
            .cloned()
            .unwrap()
    };
    let api_key = setting("apiKey");
    assert_eq!(
        (&api_key["type"], &api_key["required"], &api_key["default"]),
        (&json!("secret"), &json!(true), &Value::Null)
    );
    assert_eq!(setting("environment")["default"], "production");
    assert_eq!(
        setting("environment")["options"],
        json!(["production", "sandbox"])
    );
    assert_eq!(setting("syncConsent")["default"], true);
    assert_eq!(setting("requestsPerMinute")["default"], 60);
    let created = &klaviyo["events"][0];
    assert_eq!(
        (
            &created["eventType"],
            &created["defaultEnabled"],
            &created["retryCount"]
        ),
        (&json!("order.created"), &json!(true), &json!(3))
    );
    assert_eq!(
        client.get("/available/").await.expect_status(200).text,
        reply.text
    );
    app.stop().await;
}

async fn create(app: &TestApp, org: &str, service: &str, settings: &Value, at: &str) {
    let created = app
        .app
        .db
        .transaction("test_integration", async |conn: &mut Conn| {
            let new = NewIntegration {
                org_id: org.to_owned(),
                service: service.to_owned(),
                name: None,
                enabled: true,
                settings: settings.as_object().unwrap().clone(),
                synchronizations: None,
            };
            integrations::create(conn, &app.app.secrets, new, at.parse().unwrap()).await
        });
    created.await.expect("an integration");
}

#[tokio::test]
async fn the_list_is_the_tenants_own_newest_first_and_tells_no_secret() {
    let app = TestApp::start().await;
    let (org, client) = reader(&app).await;
    let empty = client.get("/").await.expect_status(200);
    assert_eq!(empty.text, r#"{"data":[],"total":0}"#);
    assert_eq!(client.get("").await.expect_status(200).text, empty.text);

    let other = app.organization("Other").await;
    let secret = "pk_live_abcdef123";
    let settings = json!({"apiKey": secret, "listId": "L1"});
    create(&app, &org, "klaviyo", &settings, "2026-01-01T00:00:00Z").await;
    create(&app, &org, "custom", &json!({}), "2026-02-01T00:00:00Z").await;
    create(&app, &other, "custom", &json!({}), "2026-03-01T00:00:00Z").await;
    app.sql("UPDATE integrations SET api_key_prefix = 'int_abcd' WHERE service = 'custom'")
        .await;

    let list = client.get("/").await.expect_status(200);
    let services: Vec<&str> = list.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["service"].as_str().unwrap())
        .collect();
    assert_eq!(
        (services.as_slice(), &list.json["total"]),
        (&["custom", "klaviyo"][..], &json!(2))
    );
    let mut members: Vec<&str> = list.json["data"][0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    members.sort_unstable();
    let expected = [
        "apiKeyPrefix",
        "createdAt",
        "enabled",
        "id",
        "lastSyncAt",
        "name",
        "service",
        "settings",
        "synchronizations",
        "updatedAt",
    ];
    assert_eq!(members, expected);
    let custom = &list.json["data"][0];
    assert_eq!(
        (
            &custom["apiKeyPrefix"],
            &custom["lastSyncAt"],
            &custom["enabled"]
        ),
        (&json!("int_abcd"), &Value::Null, &json!(true))
    );
    let klaviyo = &list.json["data"][1];
    assert!(klaviyo["id"].as_str().unwrap().starts_with("int_"));
    assert_eq!(klaviyo["name"], "Klaviyo");
    assert_eq!(klaviyo["settings"]["apiKey"], "pk_***123");
    assert_eq!(klaviyo["settings"]["listId"], "L1");
    assert_eq!(klaviyo["synchronizations"][0]["eventType"], "order.created");
    assert!(klaviyo.get("apiKeyPrefix").is_none());
    assert_eq!(klaviyo["synchronizations"][0]["retryCount"], 3);
    assert!(!list.text.contains(secret), "{}", list.text);
    assert_eq!(
        app.sql_number(&format!(
            "SELECT count(*) FROM integrations i WHERE i::text LIKE '%{secret}%'"
        ))
        .await,
        0
    );
    assert!(
        klaviyo["createdAt"]
            .as_str()
            .unwrap()
            .starts_with("2026-01-01T00:00:00")
    );
    app.stop().await;
}

#[tokio::test]
async fn refusals_have_the_documented_shape() {
    let app = TestApp::start().await;
    let org = app.organization("Acme").await;
    let weak = app.integration_key(&org, &["INTEGRATIONS.CREATE"]).await;
    let pay = app.payment_key(&org).await;
    for path in ["/available", "/"] {
        let forbidden = app
            .integrations()
            .bearer(&weak)
            .get(path)
            .await
            .expect(403, ERROR);
        assert_eq!(forbidden.str("/error/code"), "FORBIDDEN");
        assert!(
            forbidden
                .str("/error/message")
                .contains("INTEGRATIONS.READ"),
            "{}",
            forbidden.text
        );
        let missing = app.integrations().get(path).await.expect(401, ERROR);
        assert_eq!(missing.str("/error/code"), "UNAUTHORIZED");
        app.integrations()
            .bearer(&pay)
            .get(path)
            .await
            .expect(401, ERROR);
        app.integrations()
            .bearer("int_unknown")
            .get(path)
            .await
            .expect(401, ERROR);
    }
    let (_, client) = reader(&app).await;
    assert_eq!(
        client
            .get("/nothing/here")
            .await
            .expect(404, ERROR)
            .str("/error/code"),
        "NOT_FOUND"
    );
    let wrong_method = client.delete("/available").await.expect(405, ERROR);
    assert_eq!(wrong_method.str("/error/code"), "METHOD_NOT_ALLOWED");
    assert!(wrong_method.header("allow").contains("GET"));
    app.stop().await;
}
