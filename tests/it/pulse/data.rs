//! Pushing, querying and summing up data.

use chrono::TimeDelta;
use pulpo::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Desk, is_instant, refused, refused_field};
use crate::support::Reply;

const RECORD: &str =
    "{id source data_type external_id category data{amount} created_at updated_at}";

fn records(from: usize, to: usize) -> Value {
    (from..to)
        .map(|i| json!({"external_id": format!("INV-{i:04}"), "data": {"amount": i + 1}}))
        .collect()
}

fn push(records: Value) -> Value {
    json!({"source": "erp", "data_type": "invoices", "records": records})
}

/// The external ids of a page.
fn external_ids(reply: &Reply) -> Vec<&str> {
    let records = reply.json["records"].as_array().unwrap();
    records
        .iter()
        .map(|record| record["external_id"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_pushed_queried_and_summed_up() {
    let clock = Clock::fixed("2026-04-14T12:00:00Z".parse().unwrap());
    let desk = Desk::open_at(&clock).await;
    let pushed = desk
        .api()
        .post("/data/push", &push(records(0, 3)))
        .await
        .expect(200, "{pushed source data_type ids[]}");
    assert_eq!(
        (&pushed.json["pushed"], &pushed.json["source"]),
        (&json!(3), &json!("erp"))
    );
    clock.set(clock.now() + TimeDelta::days(1));
    let order = json!({"source": "shop", "data_type": "orders", "records": [
        {"external_id": "O-1", "data": {"amount": 1}, "category": "retail"},
    ]});
    desk.api()
        .post("/data/push", &order)
        .await
        .expect_status(200);

    let page = desk
        .api()
        .get("/data/query")
        .await
        .expect(200, &format!("{{records[{RECORD}] count limit offset}}"));
    assert_eq!(
        external_ids(&page),
        ["O-1", "INV-0002", "INV-0001", "INV-0000"]
    );
    assert_eq!(
        json!([page.json["count"], page.json["limit"], page.json["offset"]]),
        json!([4, 50, 0])
    );
    assert_eq!(page.json["records"][3]["id"], pushed.json["ids"][0]);
    is_instant(page.str("/records/0/created_at"));
    let filters: [(&str, Value, &[&str]); 7] = [
        ("data_type", json!("orders"), &["O-1"]),
        ("category", json!("retail"), &["O-1"]),
        ("connector_slug", json!("shop"), &["O-1"]),
        ("date_from", json!("2026-04-15"), &["O-1"]),
        (
            "date_to",
            json!("2026-04-14"),
            &["INV-0002", "INV-0001", "INV-0000"],
        ),
        ("limit", json!(1), &["O-1"]),
        ("offset", json!(3), &["INV-0000"]),
    ];
    for (name, value, expected) in filters {
        let text = value.as_str().map_or(value.to_string(), str::to_owned);
        let asked = desk.api().get(&format!("/data/query?{name}={text}")).await;
        let posted = desk.api().post("/data/query", &json!({name: value})).await;
        assert_eq!(external_ids(&asked), expected, "{name}");
        assert_eq!(asked.json, posted.json, "{name}");
    }
    let large = desk.api().get("/data/query?limit=1000").await;
    assert_eq!(large.json["limit"], 200);

    let summary = desk.api().get("/data/summary").await.expect(
        200,
        "{summary[{data_type category count latest_at}] total_records}",
    );
    assert_eq!(
        summary.json,
        json!({"summary": [
            {"data_type": "invoices", "category": null, "count": 3, "latest_at": "2026-04-14T12:00:00.000Z"},
            {"data_type": "orders", "category": "retail", "count": 1, "latest_at": "2026-04-15T12:00:00.000Z"},
        ], "total_records": 4})
    );
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushing_again_replaces_and_keeps_every_digit() {
    let clock = Clock::fixed("2026-04-14T12:00:00Z".parse().unwrap());
    let desk = Desk::open_at(&clock).await;
    let data = r#"{"b": 123456789012345678901234567890, "a":1.10, "line": "\u000a", "é": [true]}"#;
    let body = format!(
        r#"{{"source":"erp","data_type":"x","records":[{{"external_id":"1","data":{{"old":1}},"category":"c"}},
        {{"external_id":"2","data":{{}}}},{{"external_id":"1","data":{data}}}]}}"#
    );
    let first = desk
        .api()
        .send(Method::POST, "/data/push", Some(body.into_bytes()))
        .await
        .expect_status(200);
    assert_eq!(first.json["ids"][0], first.json["ids"][2]);
    let page = desk.api().get("/data/query").await.expect_status(200);
    assert_eq!(external_ids(&page), ["2", "1"]);
    assert!(page.text.contains(data), "{}", page.text);
    assert_eq!(page.json["records"][1]["category"], Value::Null);

    clock.set(clock.now() + TimeDelta::hours(1));
    let again = json!([{"external_id": "1", "data": {"amount": 2}}]);
    let mut again = push(again);
    again["data_type"] = json!("x");
    let second = desk.api().post("/data/push", &again).await;
    assert_eq!(second.json["ids"], json!([first.json["ids"][0]]));
    // The same id of another source or type is another record.
    again["source"] = json!("shop");
    desk.api().post("/data/push", &again).await;
    let page = desk.api().get("/data/query?connector_slug=erp").await;
    let record = &page.json["records"][1];
    assert_eq!(record["data"], json!({"amount": 2}));
    assert_eq!(
        (&record["created_at"], &record["updated_at"]),
        (
            &json!("2026-04-14T12:00:00.000Z"),
            &json!("2026-04-14T13:00:00.000Z")
        )
    );
    assert_eq!(
        desk.api().get("/data/summary").await.json["total_records"],
        3
    );
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_or_too_little_is_refused_and_nothing_stored() {
    let desk = Desk::open().await;
    for path in ["/data/push", "/data/bulk"] {
        let most = if path == "/data/push" { 100 } else { 1000 };
        for wrong in [json!([]), records(0, most + 1)] {
            refused_field(&desk.api().post(path, &push(wrong)).await, "records");
        }
        for (missing, field) in [("source", "source"), ("data_type", "data_type")] {
            let mut body = push(records(0, 1));
            body.as_object_mut().unwrap().remove(missing);
            refused_field(&desk.api().post(path, &body).await, field);
        }
    }
    let long = "x".repeat(256);
    let large = "x".repeat(65 * 1024);
    let faults: [(Value, &str); 6] = [
        (json!({"data": {}}), "records[1].external_id"),
        (json!({"external_id": "b"}), "records[1].data"),
        (
            json!({"external_id": "b", "data": [1]}),
            "records[1].data: must be an object",
        ),
        (
            json!({"external_id": "b", "data": {"text": large}}),
            "records[1].data",
        ),
        (
            json!({"external_id": long, "data": {}}),
            "records[1].external_id",
        ),
        (
            json!({"external_id": "b", "data": {}, "category": ""}),
            "records[1].category",
        ),
    ];
    for (fault, field) in faults {
        let batch = json!([{"external_id": "a", "data": {}}, fault]);
        refused_field(&desk.api().post("/data/push", &push(batch)).await, field);
    }
    for query in [
        "limit=0",
        "limit=x",
        "offset=-1",
        "date_from=yesterday",
        "date_to=2026-13-01",
    ] {
        let field = query.split('=').next().unwrap();
        refused_field(
            &desk.api().get(&format!("/data/query?{query}")).await,
            field,
        );
    }
    let left = desk.api().get("/data/summary").await.expect_status(200);
    assert_eq!(left.json, json!({"summary": [], "total_records": 0}));
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_push_stores_what_is_valid() {
    let desk = Desk::open().await;
    let all = desk
        .api()
        .post("/data/bulk", &push(records(0, 1000)))
        .await
        .expect(200, "{total batches inserted failed errors[]}");
    assert_eq!(
        all.json,
        json!({"total": 1000, "batches": 10, "inserted": 1000, "failed": 0, "errors": []})
    );
    let some = json!([
        {"external_id": "INV-0000", "data": {"amount": 7}},
        {"external_id": "", "data": {}},
        {"external_id": "bad", "data": 5},
        {"external_id": "new", "data": {}},
    ]);
    let some = desk.api().post("/data/bulk", &push(some)).await;
    assert_eq!(
        some.expect_status(200).json,
        json!({"total": 4, "batches": 1, "inserted": 2, "failed": 2, "errors": [
            {"index": 1, "external_id": "", "error": "external_id is required"},
            {"index": 2, "external_id": "bad", "error": "data must be an object"},
        ]})
    );
    let summary = desk.api().get("/data/summary").await;
    assert_eq!(summary.json["total_records"], 1001);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_records_at_the_same_time_are_stored_once() {
    let desk = Desk::open().await;
    let mut pushes = tokio::task::JoinSet::new();
    for round in 0..8 {
        let api = desk.api();
        let mut all: Vec<Value> = records(0, 300).as_array().unwrap().clone();
        if round % 2 == 1 {
            all.reverse();
        }
        pushes.spawn(async move { api.post("/data/bulk", &push(Value::Array(all))).await });
    }
    while let Some(done) = pushes.join_next().await {
        assert_eq!(done.unwrap().expect_status(200).json["inserted"], 300);
    }
    let summary = desk.api().get("/data/summary").await;
    assert_eq!(summary.json["total_records"], 300);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_belongs_to_its_organisation_and_asks_for_permission() {
    let desk = Desk::open().await;
    desk.api()
        .post("/data/push", &push(records(0, 2)))
        .await
        .expect_status(200);
    let other = desk.app.organization("Other").await;
    let stranger = desk.app.pulse().bearer(&desk.app.payment_key(&other).await);
    assert_eq!(stranger.get("/data/query").await.json["count"], 0);
    assert_eq!(stranger.get("/data/summary").await.json["total_records"], 0);
    stranger
        .post("/data/push", &push(records(0, 1)))
        .await
        .expect_status(200);
    assert_eq!(desk.api().get("/data/query").await.json["count"], 2);

    let reader = desk
        .app
        .payment_key_with(&desk.org_id, &["data:read"])
        .await;
    let writer = desk
        .app
        .payment_key_with(&desk.org_id, &["data:write"])
        .await;
    let (reader, writer) = (
        desk.app.pulse().bearer(&reader),
        desk.app.pulse().bearer(&writer),
    );
    for path in ["/data/push", "/data/bulk"] {
        let one = push(records(0, 1));
        refused(&reader.post(path, &one).await, 403, "forbidden");
        writer.post(path, &one).await.expect_status(200);
    }
    refused(&writer.get("/data/query").await, 403, "forbidden");
    refused(
        &writer.post("/data/query", &json!({})).await,
        403,
        "forbidden",
    );
    refused(&writer.get("/data/summary").await, 403, "forbidden");
    reader.get("/data/summary").await.expect_status(200);
    desk.app.stop().await;
}

/// Three names of 255 characters of four bytes each are more than an index can hold.
#[tokio::test]
async fn names_are_bounded_in_bytes_too() {
    let desk = Desk::open().await;
    // Written so that nothing of it can be compressed.
    let long = |from: u32| -> String {
        let chars = (0..255).filter_map(|i| char::from_u32(0x20000 + (from + i) * 131 % 0xA000));
        chars.collect()
    };
    let (source, data_type, external_id) = (long(0), long(300), long(600));
    let body =
        json!({"source": source, "data_type": "x", "records": [{"external_id": "1", "data": {}}]});
    refused_field(&desk.api().post("/data/push", &body).await, "source");
    let body = json!({"source": "erp", "data_type": data_type, "records": [{"external_id": "1", "data": {}}]});
    refused_field(&desk.api().post("/data/push", &body).await, "data_type");
    let records =
        json!([{"external_id": external_id, "data": {}}, {"external_id": "2", "data": {}}]);
    let body = json!({"source": "erp", "data_type": "x", "records": records});
    let field = "records[0].external_id";
    refused_field(&desk.api().post("/data/push", &body).await, field);
    let stored = desk.api().post("/data/bulk", &body).await;
    let stored = stored.expect_status(200).json;
    assert_eq!(stored["errors"][0]["index"], 0, "{stored}");
    // As long as all three may be.
    let longest = |text: &str| text.chars().take(200).collect::<String>();
    let records = json!([{"external_id": longest(&external_id), "data": {}}]);
    let body =
        json!({"source": longest(&source), "data_type": longest(&data_type), "records": records});
    let pushed = desk.api().post("/data/push", &body).await;
    pushed.expect_status(200);
    desk.app.stop().await;
}
