//! REST requests, good and bad.

use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, config, reflected},
    upstream::{Reflection, Upstream},
};

#[tokio::test]
async fn requests_reach_the_server_and_replies_come_back() {
    for reflection in [Reflection::V1, Reflection::V1Alpha] {
        let upstream = Upstream::start(reflection).await;
        let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
        let item = gateway.get("/v1/items/lamp").await;
        assert_eq!(item.status(), 200);
        assert_eq!(item.headers()["content-type"], "application/json");
        assert_eq!(
            item.text().await.unwrap(),
            r#"{"name":"lamp","priceCents":"1250","tags":["a","b"]}"#
        );
        let made = gateway
            .client
            .post(gateway.url("/v1/items"))
            .json(&json!({"name": "x".repeat(200_000), "price_cents": "7"}))
            .send()
            .await
            .unwrap();
        assert_eq!(made.status(), 200);
        let made: Value = made.json().await.unwrap();
        assert_eq!(made["name"].as_str().unwrap().len(), 200_000);
        assert_eq!(made["priceCents"], "7");
        gateway.stop().await;
        upstream.stop().await;
    }
}

#[tokio::test]
async fn errors_are_a_status_or_a_problem() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let missing = gateway.get("/v1/items/missing").await;
    assert_eq!(missing.status(), 404);
    assert_eq!(
        missing.json::<Value>().await.unwrap(),
        json!({"code": 5, "message": "there is no such item", "details": []})
    );
    let problem = gateway
        .client
        .post(gateway.url("/v1/items"))
        .header("accept", "application/problem+json, application/json")
        .header("content-type", "application/json")
        .body(r#"{"price_cents": "many"}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(problem.status(), 400, "{problem:?}");
    assert_eq!(
        problem.headers()["content-type"],
        "application/problem+json"
    );
    let problem: Value = problem.json().await.unwrap();
    assert_eq!(problem["title"], "Bad Request");
    assert_eq!(problem["instance"], "/v1/items");
    assert_eq!(problem["errors"][0]["field"], "priceCents");
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn errors_have_the_details_of_the_server() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let closed = gateway.get("/v1/items/closed").await;
    assert_eq!(closed.status(), 400);
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "CLOSED",
        "domain": "shop.v1",
        "metadata": {"day": "Sunday"},
    });
    let item = json!({"@type": "type.googleapis.com/shop.v1.Item", "name": "lamp"});
    let other = json!({"@type": "type.googleapis.com/elsewhere.Thing", "value": "CAE="});
    assert_eq!(
        closed.json::<Value>().await.unwrap()["details"],
        json!([info, item, other])
    );
    let unknown = gateway.get("/v1/items/lamp?nothing=1").await;
    let details = unknown.json::<Value>().await.unwrap()["details"].clone();
    assert_eq!(details[0]["reason"], "INVALID_PARAMETER");
    assert_eq!(details[0]["domain"], "gateway.pulpo");
    assert_eq!(details[1]["fieldViolations"][0]["field"], "nothing");
    gateway.stop().await;
    upstream.stop().await;
}
