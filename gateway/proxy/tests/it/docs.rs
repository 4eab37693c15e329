//! What describes a surface to its readers.

use serde_json::Value;

use crate::{
    gateway::{Gateway, config, reflected},
    upstream::{Reflection, Upstream},
};

#[tokio::test]
async fn a_surface_has_its_document_and_a_page() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.surfaces[0].docs.text = "Things to buy.".to_owned();
    let gateway = Gateway::start(told).await;
    let reply = gateway.get("/openapi.json").await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["content-type"], "application/json");
    assert!(reply.headers().contains_key("x-request-id"));
    let document: Value = reply.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "shop");
    assert_eq!(document["info"]["description"], "Things to buy.");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/v1/items/{name}"), "{paths:?}");
    let page = gateway.get("/docs").await;
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(page.text().await.unwrap().contains("docs/start.js"));
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn neither_is_there_where_it_is_switched_off() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.surfaces[0].docs.serve = false;
    let gateway = Gateway::start(told).await;
    for path in ["/openapi.json", "/docs", "/docs/start.js"] {
        assert_eq!(gateway.get(path).await.status(), 404, "{path}");
    }
    gateway.stop().await;
    upstream.stop().await;
}
