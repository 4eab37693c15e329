//! The documented routes: what is asked, what is answered, and who may ask.

use pulpo::identity::keys::{KeyKind, NewKey};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    super::{Desk, PAYER, is_id, is_instant, refused, refused_field},
    RUN, Runs,
};
use crate::support::{Client, new_key};

async fn with_key(desk: &Desk, permissions: &[&str], agents: &[&str]) -> Client {
    let new = NewKey {
        allowed_agents: agents.iter().map(|&agent| agent.to_owned()).collect(),
        ..new_key(&desk.org_id, KeyKind::Payment, permissions)
    };
    desk.app.pulse().bearer(&desk.app.key(new).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_queued_done_and_shown() {
    let runs = Runs::open().await;
    let api = runs.desk.api();
    // Every digit of the input survives.
    let body = br#"{"agent": "market-analyzer", "input": {"region": "northeast", "field":"p"}, "priority": "high"}"#;
    let queued = api
        .send(Method::POST, "/agents/trigger", Some(body.to_vec()))
        .await
        .expect(200, "{run_id agent status priority created_at}");
    is_id(queued.str("/run_id"), "run_", 12);
    is_instant(queued.str("/created_at"));
    assert_eq!(
        (
            &queued.json["agent"],
            &queued.json["status"],
            &queued.json["priority"]
        ),
        (&json!("market-analyzer"), &json!("queued"), &json!("high"))
    );
    let path = format!("/agents/status/{}", queued.str("/run_id"));
    let waiting = api
        .get(&path)
        .await
        .expect(200, &RUN.replace("input", "input{region field}"));
    assert_eq!(waiting.json["status"], "queued");
    for absent in [
        "output",
        "error",
        "started_at",
        "completed_at",
        "duration_ms",
    ] {
        assert_eq!(waiting.json[absent], Value::Null, "{absent}");
    }
    assert!(
        waiting
            .text
            .contains(r#"{"region": "northeast", "field":"p"}"#),
        "{}",
        waiting.text
    );
    runs.work().await;
    let done = api.get(&path).await.expect_status(200);
    assert_eq!(done.json["status"], "completed", "{}", done.text);
    assert_eq!(done.json["output"]["records"], 0);
    assert_eq!(done.json["duration_ms"], 0);
    is_instant(done.str("/started_at"));
    is_instant(done.str("/completed_at"));
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_listed_newest_first() {
    let runs = Runs::open().await;
    runs.register("own-agent", json!({})).await;
    let mut ids = Vec::new();
    for agent in [
        "market-analyzer",
        "own-agent",
        "spend-analyzer",
        "own-agent",
    ] {
        ids.push(runs.trigger(json!({"agent": agent})).await);
    }
    let listed = async |query: &str| {
        let path = format!("/agents/results{query}");
        let reply = runs.desk.api().get(&path).await.expect_status(200);
        let rows = reply.json["results"].as_array().unwrap().clone();
        assert_eq!(reply.json["count"], rows.len());
        let ids: Vec<String> = rows
            .iter()
            .map(|row| row["run_id"].as_str().unwrap().to_owned())
            .collect();
        (ids, reply.json["limit"].clone())
    };
    ids.reverse();
    assert_eq!(listed("").await, (ids.clone(), json!(20)));
    let own = vec![ids[0].clone(), ids[2].clone()];
    assert_eq!(listed("?agent=own-agent").await, (own, json!(20)));
    assert_eq!(listed("?limit=1").await, (vec![ids[0].clone()], json!(1)));
    assert_eq!(listed("?limit=1000").await.1, json!(100));
    assert_eq!(listed("?agent=unknown").await.0, Vec::<String>::new());
    for query in ["limit=0", "limit=x"] {
        let reply = runs
            .desk
            .api()
            .get(&format!("/agents/results?{query}"))
            .await;
        refused_field(&reply, "limit");
    }

    // A large output stands on the run's own page only.
    runs.receiver.text(&format!("\"{}\"", "x".repeat(100_000)));
    runs.work().await;
    let list = runs.desk.api().get("/agents/results?limit=1").await;
    let row = &list.json["results"][0];
    assert_eq!(
        (&row["output"], &row["output_omitted"]),
        (&Value::Null, &json!(true))
    );
    let run = runs.status(&ids[0]).await;
    assert_eq!(run.json["output"].as_str().map(str::len), Some(100_000));
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_refused_and_not_queued() {
    let desk = Desk::open().await;
    let api = desk.api();
    let market = |input: Value| json!({"agent": "market-analyzer", "input": input});
    let faults = [
        (json!({}), "agent"),
        (
            json!({"agent": "market-analyzer", "priority": "urgent"}),
            "priority",
        ),
        (
            json!({"agent": "market-analyzer", "priority": "High"}),
            "priority",
        ),
        (json!({"agent": "market-analyzer", "input": [1]}), "input"),
        (json!({"agent": "market-analyzer", "input": "x"}), "input"),
        (market(json!({"colour": "red"})), "input.colour"),
        (market(json!({"region": 5})), "input.region"),
        (market(json!({"region": ""})), "input.region"),
        (market(json!({"currency": "usd"})), "input.currency"),
        (market(json!({"date_from": "soon"})), "input.date_from"),
        (
            json!({"agent": "spend-analyzer", "input": {"date_from": "2020-01-01"}}),
            "input.date_from",
        ),
        (
            json!({"agent": "compliance-scanner", "input": {"jurisdictions": ["MARS"]}}),
            "input.jurisdictions",
        ),
        (
            json!({"agent": "compliance-scanner", "input": {"jurisdictions": "US_FEDERAL"}}),
            "input.jurisdictions",
        ),
    ];
    for (body, field) in faults {
        refused_field(&api.post("/agents/trigger", &body).await, field);
    }
    for url in [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "ftp://example.com/",
        "example.com",
        "",
    ] {
        let body = json!({"agent": "market-analyzer", "callback_webhook": url});
        refused_field(
            &api.post("/agents/trigger", &body).await,
            "callback_webhook",
        );
    }
    let unknown = api
        .post("/agents/trigger", &json!({"agent": "nobody"}))
        .await;
    refused(&unknown, 404, "not_found");
    assert_eq!(
        desk.app
            .sql_number(
                "SELECT (SELECT count(*) FROM pay_agent_runs) + (SELECT count(*) FROM jobs)"
            )
            .await,
        0
    );
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_the_same_run() {
    let desk = Desk::open().await;
    let keyed = desk.api().header("idempotency-key", "run-1");
    let body = json!({"agent": "market-analyzer", "input": {"region": "north"}});
    let first = keyed
        .post("/agents/trigger", &body)
        .await
        .expect_status(200);
    let same =
        json!({"agent": "market-analyzer", "input": {"region": "north"}, "priority": "normal"});
    let again = keyed
        .post("/agents/trigger", &same)
        .await
        .expect_status(200);
    assert_eq!(first.text, again.text);
    let other = json!({"agent": "market-analyzer"});
    refused(
        &keyed.post("/agents/trigger", &other).await,
        409,
        "conflict",
    );
    assert_eq!(desk.app.sql_number("SELECT count(*) FROM jobs").await, 1);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_belong_to_their_organisation_and_ask_for_permission() {
    let runs = Runs::open().await;
    let run_id = runs.trigger(json!({"agent": "market-analyzer"})).await;
    let other = runs.desk.app.organization("Other").await;
    let stranger = runs.desk.app.payment_key(&other).await;
    let stranger = runs.desk.app.pulse().bearer(&stranger);
    let path = format!("/agents/status/{run_id}");
    refused(&stranger.get(&path).await, 404, "not_found");
    assert_eq!(stranger.get("/agents/results").await.json["count"], 0);
    refused(
        &runs.desk.api().get("/agents/status/run_000000000000").await,
        404,
        "not_found",
    );
    // Another organisation's agent does not exist either.
    runs.register("own-agent", json!({})).await;
    let theirs = stranger
        .post("/agents/trigger", &json!({"agent": "own-agent"}))
        .await;
    refused(&theirs, 404, "not_found");

    let reader = with_key(&runs.desk, &["reports:read", "data:read"], &[]).await;
    for reply in [
        reader
            .post("/agents/trigger", &json!({"agent": "market-analyzer"}))
            .await,
        reader.get(&path).await,
        reader.get("/agents/results").await,
        reader.get("/agents").await,
        reader
            .post(
                "/agents",
                &json!({"name": "x", "url": "https://example.com/"}),
            )
            .await,
        reader
            .patch("/agents/own-agent", &json!({"timeout_seconds": 5}))
            .await,
        reader.delete("/agents/own-agent").await,
        reader
            .post("/agents/own-agent/rotate-secret", &json!({}))
            .await,
        reader.post("/agents/callback-secret", &json!({})).await,
    ] {
        refused(&reply, 403, "forbidden");
    }
    let trigger = with_key(&runs.desk, &["agents:trigger"], &[]).await;
    refused(&trigger.get("/reports/efficiency").await, 403, "forbidden");
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_allowed_agents_runs_and_sees_only_these() {
    let runs = Runs::open().await;
    runs.register("own-agent", json!({})).await;
    runs.register("other-agent", json!({})).await;
    runs.desk
        .pay(json!({"amount": 10}))
        .await
        .expect_status(200);
    let agents = ["own-agent", "spend-analyzer", "agent-nobody"];
    let bound = with_key(&runs.desk, &["agents:trigger", "reports:read"], &agents).await;
    for agent in ["other-agent", "market-analyzer", "unknown"] {
        let reply = bound
            .post("/agents/trigger", &json!({"agent": agent}))
            .await;
        refused(&reply, 403, "forbidden");
        let reply = bound.get(&format!("/agents/results?agent={agent}")).await;
        refused(&reply, 403, "forbidden");
    }
    let names = bound.get("/agents").await.expect_status(200).json["agents"].clone();
    let names: Vec<_> = names
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["name"].clone())
        .collect();
    assert_eq!(names, ["spend-analyzer", "own-agent"]);

    // What it computes is about payments of its agents alone.
    let own = bound
        .post("/agents/trigger", &json!({"agent": "spend-analyzer"}))
        .await;
    let own = own.expect_status(200).str("/run_id").to_owned();
    let input = json!({"agent": "spend-analyzer", "input": {"agent_id": PAYER}});
    refused(
        &bound.post("/agents/trigger", &input).await,
        403,
        "forbidden",
    );
    let all = runs.trigger(json!({"agent": "spend-analyzer"})).await;
    let http = runs.trigger(json!({"agent": "own-agent"})).await;
    let others = runs.trigger(json!({"agent": "other-agent"})).await;
    runs.work().await;
    assert_eq!(runs.status(&all).await.json["output"]["payments"], 1);
    let shown = bound
        .get(&format!("/agents/status/{own}"))
        .await
        .expect_status(200);
    assert_eq!(shown.json["output"]["payments"], 0, "{}", shown.text);
    bound
        .get(&format!("/agents/status/{http}"))
        .await
        .expect_status(200);
    for id in [&all, &others] {
        refused(
            &bound.get(&format!("/agents/status/{id}")).await,
            403,
            "forbidden",
        );
    }
    let listed = bound.get("/agents/results").await.expect_status(200);
    assert_eq!(listed.json["count"], 2);
    let report = bound.get("/reports/efficiency").await.expect_status(200);
    assert_eq!(report.json["total_runs"], 2);
    refused(
        &bound.post("/agents/callback-secret", &json!({})).await,
        403,
        "forbidden",
    );
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_has_a_thousand_open_runs_at_most() {
    let runs = Runs::open().await;
    runs.desk
        .app
        .sql(&format!(
            "INSERT INTO pay_agent_runs (org_id, id, agent, priority, input, payment_agents, status, created_at) \
             SELECT '{}', 'run_' || n, 'market-analyzer', 'normal', '{{}}', '{{}}', 'queued', now() \
             FROM generate_series(1, 1000) AS n",
            runs.desk.org_id
        ))
        .await;
    let body = json!({"agent": "market-analyzer"});
    let reply = runs.desk.api().post("/agents/trigger", &body).await;
    refused(&reply, 429, "rate_limited");
    let ended = "DELETE FROM pay_agent_runs WHERE id = 'run_1'";
    runs.desk.app.sql(ended).await;
    runs.trigger(body).await;
    runs.close().await;
}
