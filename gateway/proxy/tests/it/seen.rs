//! What is seen of requests: ids, addresses, metrics; and what browsers are allowed.

use crate::{
    gateway::{Gateway, config, eventually, reflected},
    upstream::{Reflection, Upstream},
};

#[tokio::test]
async fn every_request_has_an_id_that_the_server_sees_too() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let fresh = gateway.get("/v1/items/lamp").await;
    assert_eq!(fresh.headers()["x-request-id"].len(), 36);
    assert_eq!(
        fresh.headers()["x-request-id"],
        fresh.headers()["x-seen-id"]
    );
    for (sent, is_kept) in [("my-id", true), ("two words", false)] {
        let request = gateway.client.get(gateway.url("/v1/items/lamp"));
        let reply = request.header("x-request-id", sent).send().await.unwrap();
        assert_eq!(reply.headers()["x-request-id"] == sent, is_kept, "{sent}");
        assert_eq!(
            reply.headers()["x-request-id"],
            reply.headers()["x-seen-id"]
        );
    }
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn addresses_are_believed_from_trusted_proxies_only() {
    let upstream = Upstream::start(Reflection::V1).await;
    for (trusted, seen) in [
        (vec![], "127.0.0.1"),
        (
            vec!["127.0.0.0/8".parse().unwrap()],
            "203.0.113.9,127.0.0.1",
        ),
    ] {
        let mut told = config(reflected(&upstream.url()));
        told.server.trusted_proxies = trusted;
        let gateway = Gateway::start(told).await;
        let request = gateway.client.get(gateway.url("/v1/items/lamp"));
        let reply = request
            .header("x-forwarded-for", "203.0.113.9")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.headers()["x-seen-address"], seen);
        gateway.stop().await;
    }
    upstream.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_what_the_client_saw() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.admin.address = Some("127.0.0.1:0".parse().unwrap());
    let gateway = Gateway::start(told).await;
    for path in [
        "/v1/items/lamp",
        "/v1/items/lamp",
        "/v1/items/missing",
        "/x",
    ] {
        gateway.get(path).await.text().await.unwrap();
    }
    for line in [
        r#"pulpo_gateway_requests_total{method="GET",route="shop.v1.Shop/GetItem",status="200",surface="shop"} 2"#,
        r#"pulpo_gateway_requests_total{method="GET",route="shop.v1.Shop/GetItem",status="404",surface="shop"} 1"#,
        r#"pulpo_gateway_requests_total{method="GET",route="none",status="404",surface="none"} 1"#,
        r#"pulpo_gateway_request_seconds_count{route="shop.v1.Shop/GetItem",surface="shop"} 3"#,
        "pulpo_gateway_requests_in_flight 0",
        r#"pulpo_gateway_upstream_connections{upstream="shop"} "#,
    ] {
        eventually(async || gateway.metrics().await.contains(line)).await;
    }
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn other_origins_are_allowed_where_they_are_named() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.surfaces[0].cors_origins = vec!["https://app.example".to_owned()];
    told.surfaces[0].cors_exposed = vec!["x-seen-id".to_owned()];
    let gateway = Gateway::start(told).await;
    let preflight = gateway
        .client
        .request(reqwest::Method::OPTIONS, gateway.url("/v1/items"))
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .send()
        .await
        .unwrap();
    let allowed = "access-control-allow-origin";
    assert_eq!(preflight.headers()[allowed], "https://app.example");
    assert_eq!(
        preflight.headers()["access-control-allow-headers"],
        "content-type"
    );
    for (origin, is_allowed) in [
        ("https://app.example", true),
        ("https://other.example", false),
    ] {
        let request = gateway.client.get(gateway.url("/v1/items/lamp"));
        let reply = request.header("origin", origin).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(
            reply.headers().contains_key(allowed),
            is_allowed,
            "{origin}"
        );
        let exposed = reply.headers()["access-control-expose-headers"].to_str();
        let mut exposed = exposed.unwrap().split(',');
        assert!(exposed.any(|name| name == "x-seen-id"));
    }
    let plain = gateway
        .client
        .request(reqwest::Method::OPTIONS, gateway.url("/v1/items"))
        .send()
        .await
        .unwrap();
    assert_eq!(plain.headers()["allow"], "OPTIONS, POST");
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn hosts_choose_the_surface() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.surfaces[0].hosts = vec!["*.shop.example".to_owned(), "localhost".to_owned()];
    let gateway = Gateway::start(told).await;
    for (host, status) in [
        ("eu.shop.example:8080", 200),
        ("LOCALHOST", 200),
        ("shop.example", 421),
        ("other.example", 421),
    ] {
        let request = gateway.client.get(gateway.url("/v1/items/lamp"));
        let reply = request.header("host", host).send().await.unwrap();
        assert_eq!(reply.status(), status, "{host}");
    }
    gateway.stop().await;
    upstream.stop().await;
}
