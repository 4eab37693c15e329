//! Registered agents: what they must be, what is shown of them, and whose they are.

use serde_json::{Value, json};

use super::{
    super::{Desk, is_id, is_instant, refused, refused_field, with},
    Runs,
};

fn good() -> Value {
    json!({"name": "price-watch", "kind": "http", "url": "https://your-app.com/agents/price-watch"})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_registered_changed_and_removed() {
    let desk = Desk::open().await;
    let api = desk.api();
    let registered = api.post("/agents", &good()).await.expect(
        201,
        "{name kind description url timeout_seconds max_attempts secret created_at}",
    );
    is_id(registered.str("/secret"), "", 64);
    is_instant(registered.str("/created_at"));
    assert_eq!(
        json!([
            registered.json["timeout_seconds"],
            registered.json["max_attempts"]
        ]),
        json!([30, 3])
    );
    let list = api.get("/agents").await.expect(
        200,
        "{agents[{name kind description url timeout_seconds max_attempts created_at updated_at}]}",
    );
    assert!(!list.text.contains("secret"));
    let names = |list: &Value| -> Vec<String> {
        let agents = list["agents"].as_array().unwrap().iter();
        agents
            .map(|agent| {
                format!(
                    "{} {}",
                    agent["name"].as_str().unwrap(),
                    agent["kind"].as_str().unwrap()
                )
            })
            .collect()
    };
    let builtin = [
        "compliance-scanner builtin",
        "market-analyzer builtin",
        "spend-analyzer builtin",
    ];
    assert_eq!(
        names(&list.json),
        [&builtin[..], &["price-watch http"]].concat()
    );
    let in_the_clear = format!(
        "SELECT count(*) FROM pay_agent_secrets WHERE position('{}'::bytea IN secret) > 0",
        registered.str("/secret")
    );
    assert_eq!(desk.app.sql_number(&in_the_clear).await, 0);

    let change = json!({"description": "Watches", "timeout_seconds": 300, "max_attempts": null});
    let changed = api.patch("/agents/price-watch", &change).await;
    changed.expect(200, "{updated}");
    let list = api.get("/agents").await;
    let agent = &list.json["agents"][3];
    assert_eq!(
        json!([
            agent["description"],
            agent["timeout_seconds"],
            agent["max_attempts"],
            agent["url"]
        ]),
        json!(["Watches", 300, 3, "https://your-app.com/agents/price-watch"])
    );
    let rotated = api
        .post("/agents/price-watch/rotate-secret", &json!({}))
        .await
        .expect(200, "{secret previous_valid_until}");
    assert_ne!(rotated.json["secret"], registered.json["secret"]);
    api.delete("/agents/price-watch")
        .await
        .expect(200, "{deleted}");
    assert_eq!(names(&api.get("/agents").await.json), builtin);
    refused(&api.delete("/agents/price-watch").await, 404, "not_found");
    assert_eq!(
        desk.app
            .sql_number("SELECT count(*) FROM pay_agent_secrets")
            .await,
        0
    );
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_agent_is_refused() {
    let desk = Desk::open().await;
    let api = desk.api();
    let long = "x".repeat(65);
    for (over, field) in [
        (json!({"name": null}), "name"),
        (json!({"name": "Price"}), "name"),
        (json!({"name": "price_watch"}), "name"),
        (json!({"name": "price--watch"}), "name"),
        (json!({"name": "-price"}), "name"),
        (json!({"name": "9price"}), "name"),
        (json!({"name": long}), "name"),
        (json!({"kind": "builtin"}), "kind"),
        (json!({"url": null}), "url"),
        (json!({"url": "http://example.com/"}), "url"),
        (json!({"url": "https://10.0.0.1/"}), "url"),
        (json!({"timeout_seconds": 0}), "timeout_seconds"),
        (json!({"timeout_seconds": 301}), "timeout_seconds"),
        (json!({"max_attempts": 11}), "max_attempts"),
    ] {
        refused_field(&api.post("/agents", &with(good(), over)).await, field);
    }
    for name in [
        "market-analyzer",
        "spend-analyzer",
        "compliance-scanner",
        "trigger",
    ] {
        let reply = api
            .post("/agents", &with(good(), json!({"name": name})))
            .await;
        refused(&reply, 409, "conflict");
    }
    api.post("/agents", &good()).await.expect_status(201);
    refused(&api.post("/agents", &good()).await, 409, "conflict");
    // The same name in another organisation is another agent.
    let other = desk.app.organization("Other").await;
    let stranger = desk.app.pulse().bearer(&desk.app.payment_key(&other).await);
    for reply in [
        stranger
            .patch("/agents/price-watch", &json!({"timeout_seconds": 5}))
            .await,
        stranger.delete("/agents/price-watch").await,
        stranger
            .post("/agents/price-watch/rotate-secret", &json!({}))
            .await,
    ] {
        refused(&reply, 404, "not_found");
    }
    stranger.post("/agents", &good()).await.expect_status(201);

    for (change, field) in [
        (json!({"url": null}), "url"),
        (json!({"url": "https://localhost/"}), "url"),
        (json!({"timeout_seconds": 0}), "timeout_seconds"),
    ] {
        refused_field(&api.patch("/agents/unknown", &change).await, field);
    }
    let change = json!({"description": "Mine"});
    refused(
        &api.patch("/agents/unknown", &change).await,
        404,
        "not_found",
    );
    for reply in [
        api.patch("/agents/market-analyzer", &change).await,
        api.delete("/agents/market-analyzer").await,
    ] {
        refused(&reply, 409, "conflict");
    }
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_registers_a_hundred_agents_at_most() {
    let runs = Runs::open().await;
    runs.desk
        .app
        .sql(&format!(
            "INSERT INTO pay_agents SELECT '{}', 'agt_' || n, 'agent-' || n, 'https://example.com/', NULL, 30, 3, now(), now() \
             FROM generate_series(1, 99) AS n",
            runs.desk.org_id
        ))
        .await;
    let api = runs.desk.api();
    let register = async |n: u8| {
        let body = with(good(), json!({"name": format!("new-{n}")}));
        api.post("/agents", &body).await.status
    };
    let statuses = futures_util::future::join_all((0..4).map(register)).await;
    let of = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((of(201), of(400)), (1, 3));
    runs.close().await;
}
