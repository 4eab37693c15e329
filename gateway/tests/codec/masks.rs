//! Update masks.

use pulpo_gateway::profile::{JsonProfile, Unknown};

use crate::support::{PROTO_JSON, codec, path};

const ORDER: &str = "codec.own.Order";

#[test]
fn masks_name_the_leaves_that_are_given() {
    let order = PROTO_JSON.message(ORDER).unwrap();
    let mask = |json: &str| PROTO_JSON.body_mask(order, json.as_bytes());
    for (json, expected) in [
        ("{}", ""),
        (r#"{"orderId":"a","page":null}"#, "order_id,page"),
        (
            r#"{"item":{"sku":"a","parent":{"tags":[]}},"targetItem":{}}"#,
            "item.sku,item.parent.tags,target_item",
        ),
        (
            r#"{"item":null,"items":[{"sku":1}],"byName":{"a":{}},"createTime":"x","attributes":{"a":1},"price":1,"payload":{"a":1},"limit":"1"}"#,
            "item,items,by_name,create_time,attributes,price,payload,limit",
        ),
    ] {
        assert_eq!(mask(json).unwrap().join(","), expected);
    }
    for (json, path) in [
        (r#"{"item":{"x":1}}"#, "item.x"),
        (r#"{"item":{"sku":1,"sku":2}}"#, "item.sku"),
        (r#"{"item":{"sku":}}"#, "item.sku"),
        ("[]", ""),
        ("{}x", ""),
    ] {
        assert_eq!(mask(json).unwrap_err().path, path);
    }
    let lenient = codec(JsonProfile {
        unknown_fields: Unknown::Ignore,
        ..JsonProfile::default()
    });
    // Nothing known was given, so nothing is to change.
    assert_eq!(
        lenient
            .body_mask(
                lenient.message(ORDER).unwrap(),
                br#"{"item":{"x":1},"y":2}"#
            )
            .unwrap(),
        Vec::<String>::new()
    );
    let of = |field: &str, json: &str| {
        PROTO_JSON
            .field_body_mask(&path(&PROTO_JSON, ORDER, field), json.as_bytes())
            .unwrap()
            .join(",")
    };
    assert_eq!(
        of("item", r#"{"sku":"a","parent":{"quantity":1}}"#),
        "sku,parent.quantity"
    );
    assert_eq!(of("item", " null "), "");
    assert_eq!(of("items", "[{}]"), "");
    assert_eq!(of("attributes", r#"{"a":1}"#), "");
}
