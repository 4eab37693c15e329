//! Descriptor sets as tools write them.

use pulpo_gateway_proxy::descriptors::{Files, map_unmapped};
use serde_json::json;

use crate::{
    gateway::{Gateway, config, reflected},
    upstream::{Reflection, Upstream, compiled, descriptor_set},
};

#[test]
fn a_set_without_the_well_known_imports_has_its_rules() {
    let pool = Files::decode(descriptor_set(false))
        .unwrap()
        .pool()
        .unwrap();
    let rule = pool.get_extension_by_name("google.api.http").unwrap();
    let method = pool
        .get_service_by_name("shop.v1.Shop")
        .unwrap()
        .methods()
        .next()
        .unwrap();
    assert!(method.options().has_extension(&rule));
}

#[test]
fn all_missing_imports_are_told() {
    let with = compiled(true, |proto| {
        proto.replace(
            "import \"google/api/annotations.proto\";",
            "import \"google/api/annotations.proto\";\nimport \"pulpo/type/v1/json.proto\";\nimport \"pulpo/type/v1/decimal.proto\";",
        )
    });
    let files = Files::decode(with).unwrap();
    assert!(files.pool().is_ok());
    let without = compiled(false, |proto| {
        proto.replace(
            "import \"google/api/annotations.proto\";",
            "import \"google/api/annotations.proto\";\nimport \"pulpo/type/v1/json.proto\";\nimport \"pulpo/type/v1/decimal.proto\";",
        )
    });
    let faults = Files::decode(without).unwrap().pool().unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("pulpo/type/v1/decimal.proto"));
    assert!(faults[1].contains("pulpo/type/v1/json.proto"));
}

#[test]
fn methods_without_a_rule_are_given_one_and_the_others_keep_theirs() {
    let files = Files::decode(descriptor_set(false)).unwrap();
    let mapped = map_unmapped(&files, &files.pool().unwrap()).unwrap();
    let pool = mapped.pool().unwrap();
    let rule = pool.get_extension_by_name("google.api.http").unwrap();
    let paths: Vec<String> = pool
        .get_service_by_name("shop.v1.Shop")
        .unwrap()
        .methods()
        .map(|method| {
            let options = method.options();
            let rule = options.get_extension(&rule);
            let rule = rule.as_message().unwrap();
            ["get", "post"]
                .into_iter()
                .find(|name| rule.has_field_by_name(name))
                .and_then(|name| rule.get_field_by_name(name)?.as_str().map(str::to_owned))
                .unwrap()
        })
        .collect();
    assert_eq!(
        paths,
        [
            "/v1/items/{name}",
            "/v1/items",
            "/shop.v1.Shop/Plain",
            "/shop.v1.Shop/Talk"
        ]
    );
}

#[tokio::test]
async fn methods_are_mapped_by_themselves_where_that_is_wanted() {
    let upstream = Upstream::start(Reflection::V1).await;
    for (is_wanted, status) in [(true, 200), (false, 404)] {
        let mut told = config(reflected(&upstream.url()));
        told.surfaces[0].auto_mapping = is_wanted;
        told.surfaces[0].connect = is_wanted;
        let gateway = Gateway::start(told).await;
        let plain = gateway.client.post(gateway.url("/shop.v1.Shop/Plain"));
        let reply = plain.json(&json!({"name": "lamp"})).send().await.unwrap();
        assert_eq!(reply.status(), status);
        let typed = gateway.client.post(gateway.url("/shop.v1.Shop/Plain"));
        let typed = typed.header("content-type", "application/proto");
        let typed = typed.body(&b"\x0a\x04lamp"[..]).send().await.unwrap();
        assert_eq!(typed.status(), status);
        if is_wanted {
            assert_eq!(reply.text().await.unwrap(), r#"{"name":"lamp"}"#);
            assert_eq!(typed.bytes().await.unwrap(), &b"\x0a\x04lamp"[..]);
        }
        assert_eq!(gateway.get("/v1/items/lamp").await.status(), 200);
        gateway.stop().await;
    }
    upstream.stop().await;
}
