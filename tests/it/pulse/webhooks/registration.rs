//! Endpoints: what they must be, what is shown of them, and whose they are.

use serde_json::{Value, json};

use super::{
    super::{Desk, is_id, is_instant, refused, refused_field, with},
    Hooks,
};

const LISTED: &str = "{webhooks[{id url description events[] agent_filter[] status failure_count last_error created_at updated_at}]}";

fn good() -> Value {
    json!({"url": "https://your-app.com/pulse-api/hooks", "events": ["payment.authorized", "payment.settled"]})
}

#[tokio::test]
async fn an_endpoint_is_registered_and_its_secret_shown_once() {
    let desk = Desk::open().await;
    let api = desk.api();
    let reply = api.post("/webhooks", &good()).await;
    let reply = reply.expect(
        201,
        "{id url description events[] agent_filter[] status secret created_at}",
    );
    is_id(reply.str("/id"), "whk_", 12);
    is_id(reply.str("/secret"), "", 64);
    is_instant(reply.str("/created_at"));
    assert_eq!(
        reply.json["events"],
        json!(["payment.authorized", "payment.settled"])
    );
    assert_eq!(
        (&reply.json["description"], &reply.json["status"]),
        (&Value::Null, &json!("active"))
    );
    assert_eq!(reply.json["agent_filter"], json!([]));

    let list = api.get("/webhooks").await.expect(200, LISTED);
    assert!(!list.text.contains(reply.str("/secret")) && !list.text.contains("secret"));
    let in_the_clear = format!(
        "SELECT count(*) FROM delivery_endpoints WHERE position('{}'::bytea IN secret) > 0",
        reply.str("/secret")
    );
    assert_eq!(desk.app.sql_number(&in_the_clear).await, 0);

    // Every event once, in the document's order.
    let twice = json!({"events": ["payment.settled", "payment.denied", "payment.settled"], "description": "D"});
    let reply = api
        .post("/webhooks", &with(good(), twice))
        .await
        .expect_status(201);
    assert_eq!(
        reply.json["events"],
        json!(["payment.denied", "payment.settled"])
    );
    assert_eq!(reply.json["description"], "D");
    desk.app.stop().await;
}

#[tokio::test]
async fn what_an_endpoint_must_be() {
    let desk = Desk::open().await;
    let api = desk.api();
    for (over, field) in [
        (json!({"url": null}), "url"),
        (json!({"url": ""}), "url"),
        (json!({"url": "your-app.com"}), "url"),
        (json!({"url": "http://your-app.com/"}), "url"),
        (json!({"url": "ftp://your-app.com/"}), "url"),
        (json!({"url": "https://user:pw@your-app.com/"}), "url"),
        (json!({"url": "https://127.0.0.1/"}), "url"),
        (json!({"url": "https://0x7f.1/"}), "url"),
        (json!({"url": "https://localhost/"}), "url"),
        (json!({"url": "https://10.0.0.1/"}), "url"),
        (
            json!({"url": "https://169.254.169.254/latest/meta-data"}),
            "url",
        ),
        (json!({"url": "https://[::1]/"}), "url"),
        (json!({"url": "https://[::ffff:192.168.0.1]/"}), "url"),
        (
            json!({"url": format!("https://your-app.com/{}", "a".repeat(2048))}),
            "url",
        ),
        (json!({"url": 5}), "url"),
        (json!({"events": null}), "events"),
        (json!({"events": []}), "events"),
        (
            json!({"events": ["payment.settled", "payment.paid"]}),
            "events[1]",
        ),
        (json!({"events": ["test"]}), "events[0]"),
        (json!({"events": "payment.settled"}), "events"),
        (json!({"agent_filter": [""]}), "agent_filter[0]"),
        (json!({"agent_filter": vec!["a"; 1001]}), "agent_filter"),
        (json!({"description": "a".repeat(4097)}), "description"),
    ] {
        let reply = api.post("/webhooks", &with(good(), over)).await;
        refused_field(&reply, field);
    }
    assert_eq!(api.get("/webhooks").await.json["webhooks"], json!([]));
    desk.app.stop().await;
}

#[tokio::test]
async fn an_endpoint_is_changed_and_removed() {
    let desk = Desk::open().await;
    let api = desk.api();
    let id = api
        .post("/webhooks", &good())
        .await
        .expect_status(201)
        .str("/id")
        .to_owned();
    let path = format!("/webhooks/{id}");
    let change = json!({"url": "https://other.example.com/x", "events": ["payment.denied"], "agent_filter": ["a"],
        "description": "D", "status": "disabled"});
    let reply = api.patch(&path, &change).await.expect(200, "{updated}");
    assert_eq!(reply.json["updated"], true);
    let list = api.get("/webhooks").await.expect(200, LISTED);
    for (member, value) in change.as_object().unwrap() {
        assert_eq!(&list.json["webhooks"][0][member], value, "{member}");
    }
    // Only what is named changes; null takes the description away.
    api.patch(&path, &json!({"status": "active", "description": null}))
        .await
        .expect_status(200);
    let list = api.get("/webhooks").await.json["webhooks"][0].clone();
    assert_eq!(
        (&list["status"], &list["description"]),
        (&json!("active"), &Value::Null)
    );
    assert_eq!(list["events"], json!(["payment.denied"]));
    for (change, field) in [
        (json!({"status": "paused"}), "status"),
        (json!({"status": null}), "status"),
        (json!({"url": null}), "url"),
        (json!({"url": "https://192.168.1.1/"}), "url"),
        (json!({"events": []}), "events"),
        (json!({"events": ["nope"]}), "events[0]"),
    ] {
        refused_field(&api.patch(&path, &change).await, field);
    }
    let reply = api.delete(&path).await.expect(200, "{deleted}");
    assert_eq!(reply.json["deleted"], true);
    refused(&api.delete(&path).await, 404, "not_found");
    desk.app.stop().await;
}

#[tokio::test]
async fn what_belongs_to_others_does_not_exist() {
    let hooks = Hooks::open().await;
    let (id, _) = hooks.register(&["payment.settled"]).await;
    let tested = hooks
        .desk
        .api()
        .post(&format!("/webhooks/{id}/test"), &json!({}))
        .await;
    let delivery = tested.expect_status(200).str("/delivery_id").to_owned();
    let other = hooks.desk.app.organization("Other").await;
    let key = hooks.desk.app.payment_key(&other).await;
    let stranger = hooks.desk.app.pulse().bearer(&key);
    for api in [&stranger, &hooks.desk.api()] {
        let id = if std::ptr::eq(api, &stranger) {
            id.as_str()
        } else {
            "whk_000000000000"
        };
        let path = format!("/webhooks/{id}");
        for reply in [
            api.patch(&path, &json!({"status": "disabled"})).await,
            api.get(&format!("{path}/deliveries")).await,
            api.get(&format!("{path}/deliveries/{delivery}")).await,
            api.post(&format!("{path}/test"), &json!({})).await,
            api.post(&format!("{path}/replay"), &json!({})).await,
            api.post(&format!("{path}/rotate-secret"), &json!({})).await,
            api.delete(&path).await,
        ] {
            refused(&reply, 404, "not_found");
        }
    }
    let unknown = format!("/webhooks/{id}/deliveries/dlv_0");
    refused(&hooks.desk.api().get(&unknown).await, 404, "not_found");
    assert_eq!(stranger.get("/webhooks").await.json["webhooks"], json!([]));
    assert_eq!(hooks.endpoint(&id).await["status"], "active");
    hooks.close().await;
}

#[tokio::test]
async fn an_organisation_has_fifty_endpoints_at_most() {
    let hooks = Hooks::open().await;
    let api = hooks.desk.api();
    let register = async || api.post("/webhooks", &good()).await.status;
    for _ in 0..48 {
        assert_eq!(register().await, 201);
    }
    // Of those that come at once the last place lets one in.
    let statuses = futures_util::future::join_all((0..6).map(|_| register())).await;
    let of = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((of(201), of(400)), (2, 4));
    hooks.close().await;
}
