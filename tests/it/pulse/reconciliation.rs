//! Reconciliation: triggered and daily, what it finds, and that a report ends whatever happens to its job.

mod anomalies;
mod calendar;
mod findings;

use chrono::{DateTime, TimeDelta, Utc};
use pulpo::{
    clock::Clock,
    identity::keys::{KeyKind, NewKey},
    jobs,
    workers::Workers,
};
use serde_json::{Value, json};

use super::{Desk, PAYER, is_id, is_instant, refused, refused_field};
use crate::support::{Reply, new_key};

const TRIGGERED: &str = "{triggered report_id status period_start period_end}";
const REPORT: &str = "{id report_period_start report_period_end total_transactions matched_count unmatched_count \
     discrepancy_count total_volume status created_at}";

fn start_of_time() -> DateTime<Utc> {
    "2026-04-14T12:00:00Z".parse().unwrap()
}

impl Desk {
    async fn trigger(&self, body: Value) -> String {
        let reply = self.api().post("/reconciliation/trigger", &body).await;
        reply.expect(200, TRIGGERED).str("/report_id").to_owned()
    }

    async fn report(&self, id: &str) -> Value {
        let reply = self.api().get(&format!("/reconciliation/{id}")).await;
        reply.expect_status(200).json
    }

    async fn reports(&self, query: &str) -> Reply {
        let reply = self.api().get(&format!("/reconciliation{query}")).await;
        reply.expect_status(200)
    }

    fn worker(&self) -> jobs::Worker {
        let workers = Workers::of_domains(&self.app.app).unwrap();
        workers.jobs(&self.app.app)
    }

    /// Does all jobs that are due.
    async fn work(&self) {
        self.worker().drain().await.unwrap();
    }

    async fn push(&self, external_id: &str, data: Value) {
        let body = json!({"source": "erp", "data_type": "invoices",
                          "records": [{"external_id": external_id, "data": data}]});
        let reply = self.api().post("/data/push", &body).await;
        reply.expect_status(200);
    }

    /// How many events of a kind the organisation's stream has.
    async fn events(&self, kind: &str) -> i64 {
        let count = format!("SELECT count(*) FROM events WHERE kind = '{kind}'");
        self.app.sql_number(&count).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_triggered_listed_and_paged() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    let first = desk
        .api()
        .post("/reconciliation/trigger", &json!({}))
        .await
        .expect(200, TRIGGERED);
    is_id(first.str("/report_id"), "rec_", 12);
    assert_eq!(
        json!([
            first.json["triggered"],
            first.json["status"],
            first.json["period_start"],
            first.json["period_end"]
        ]),
        json!([
            true,
            "processing",
            "2026-04-13T12:00:00.000Z",
            "2026-04-14T12:00:00.000Z"
        ])
    );
    clock.set(start_of_time() + TimeDelta::minutes(1));
    let second = desk
        .trigger(
            json!({"period_start": "2026-04-08T00:00:00Z", "period_end": "2026-04-14T23:59:59Z"}),
        )
        .await;
    let page = desk
        .api()
        .get("/reconciliation")
        .await
        .expect(200, &format!("{{reports[{REPORT}] count limit offset}}"));
    let ids = |reply: &Reply| -> Vec<Value> {
        let reports = reply.json["reports"].as_array().unwrap();
        reports.iter().map(|report| report["id"].clone()).collect()
    };
    assert_eq!(ids(&page), [json!(second), first.json["report_id"].clone()]);
    assert_eq!(
        json!([page.json["count"], page.json["limit"], page.json["offset"]]),
        json!([2, 20, 0])
    );
    // What the document prints for this example, before and after it is made.
    let mut expected = json!({
        "id": second, "report_period_start": "2026-04-08T00:00:00.000Z", "report_period_end": "2026-04-14T23:59:59.999Z",
        "total_transactions": 0, "matched_count": 0, "unmatched_count": 0, "discrepancy_count": 0, "total_volume": 0.0,
        "status": "processing", "created_at": "2026-04-14T12:01:00.000Z",
    });
    assert_eq!(page.json["reports"][0], expected);
    desk.work().await;
    expected["status"] = json!("completed");
    assert_eq!(desk.reports("").await.json["reports"][0], expected);

    for (query, expected) in [
        ("?limit=1", vec![json!(second)]),
        ("?limit=1&offset=1", vec![first.json["report_id"].clone()]),
        (
            "?date_from=2026-04-13",
            vec![first.json["report_id"].clone()],
        ),
        ("?date_from=2026-04-01&date_to=2026-04-14", ids(&page)),
        ("?date_to=2026-04-13", vec![]),
    ] {
        assert_eq!(ids(&desk.reports(query).await), expected, "{query}");
    }
    assert_eq!(desk.reports("?limit=1000").await.json["limit"], 100);
    for (query, field) in [
        ("limit=0", "limit"),
        ("offset=-1", "offset"),
        ("date_from=x", "date_from"),
    ] {
        refused_field(
            &desk.api().get(&format!("/reconciliation?{query}")).await,
            field,
        );
    }
    let detail = format!("/reconciliation/{second}?limit=0");
    refused_field(&desk.api().get(&detail).await, "limit");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_are_refused_without_period_permission_or_room() {
    let desk = Desk::open().await;
    for (body, field) in [
        (
            json!({"period_start": "2026-04-02T00:00:00Z", "period_end": "2026-04-02T00:00:00Z"}),
            "period_start",
        ),
        (
            json!({"period_start": "2026-04-03", "period_end": "2026-04-02"}),
            "period_start",
        ),
        (
            json!({"period_start": "2024-01-01", "period_end": "2026-04-02"}),
            "period_start",
        ),
        (json!({"period_start": "2126-01-01"}), "period_start"),
        (json!({"period_end": "soon"}), "period_end"),
    ] {
        let reply = desk.api().post("/reconciliation/trigger", &body).await;
        refused_field(&reply, field);
    }
    let id = desk.trigger(json!({})).await;

    let reader = desk
        .app
        .payment_key_with(&desk.org_id, &["reconciliation:read"])
        .await;
    let reader = desk.app.pulse().bearer(&reader);
    reader.get("/reconciliation").await.expect_status(200);
    refused(
        &reader.post("/reconciliation/trigger", &json!({})).await,
        403,
        "forbidden",
    );
    let writer = desk
        .app
        .payment_key_with(&desk.org_id, &["reconciliation:trigger"])
        .await;
    let writer = desk.app.pulse().bearer(&writer);
    refused(&writer.get("/reconciliation").await, 403, "forbidden");
    refused(
        &writer.get(&format!("/reconciliation/{id}")).await,
        403,
        "forbidden",
    );
    writer
        .post("/reconciliation/trigger", &json!({}))
        .await
        .expect_status(200);

    // Reports are about all agents.
    let bound = NewKey {
        allowed_agents: vec![PAYER.to_owned()],
        ..new_key(
            &desk.org_id,
            KeyKind::Payment,
            &["reconciliation:read", "reconciliation:trigger"],
        )
    };
    let bound = desk.app.pulse().bearer(&desk.app.key(bound).await);
    refused(&bound.get("/reconciliation").await, 403, "forbidden");
    refused(
        &bound.get(&format!("/reconciliation/{id}")).await,
        403,
        "forbidden",
    );
    refused(
        &bound.post("/reconciliation/trigger", &json!({})).await,
        403,
        "forbidden",
    );

    let other = desk.app.organization("Other").await;
    let stranger = desk.app.pulse().bearer(&desk.app.payment_key(&other).await);
    refused(
        &stranger.get(&format!("/reconciliation/{id}")).await,
        404,
        "not_found",
    );
    assert_eq!(stranger.get("/reconciliation").await.json["count"], 0);
    refused(
        &desk.api().get("/reconciliation/rec_000000000000").await,
        404,
        "not_found",
    );

    // Ten may wait, also with an empty body.
    for _ in 2..10 {
        let reply = desk
            .api()
            .send(reqwest::Method::POST, "/reconciliation/trigger", None)
            .await;
        reply.expect_status(200);
    }
    let reply = desk.api().post("/reconciliation/trigger", &json!({})).await;
    refused(&reply, 409, "conflict");
    stranger
        .post("/reconciliation/trigger", &json!({}))
        .await
        .expect_status(200);
    desk.work().await;
    desk.trigger(json!({})).await;
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_active_organisation_has_one_report_a_day() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    desk.app.organization("Idle").await;
    // A schedule begins with the slot after it is first seen.
    desk.work().await;
    desk.pay(json!({"amount": 10})).await.expect_status(200);
    let slot: DateTime<Utc> = "2026-04-15T03:00:00Z".parse().unwrap();
    clock.set(slot - TimeDelta::seconds(1));
    desk.work().await;
    assert_eq!(desk.reports("").await.json["count"], 0);
    clock.set(slot + TimeDelta::minutes(5));
    desk.work().await;
    let reports = desk.reports("").await.json["reports"].clone();
    let report = &reports[0];
    assert_eq!(
        json!([
            report["report_period_start"],
            report["report_period_end"],
            report["status"],
            report["total_transactions"]
        ]),
        json!([
            "2026-04-14T03:00:00.000Z",
            "2026-04-15T02:59:59.999Z",
            "completed",
            1
        ])
    );
    let detail = desk.report(report["id"].as_str().unwrap()).await;
    assert_eq!(detail["cause"], "daily");
    is_instant(detail["ended_at"].as_str().unwrap());

    // The job is done at least once, its reports once.
    let again = "INSERT INTO jobs (kind, payload, run_at, created_at) SELECT kind, payload, run_at, created_at FROM jobs \
         WHERE kind = 'pay_reconciliation_daily'";
    desk.app.sql(again).await;
    desk.work().await;
    let count = "SELECT count(*) FROM reconciliation_reports";
    assert_eq!(desk.app.sql_number(count).await, 1);
    assert_eq!(desk.events("reconciliation.completed").await, 1);
    // The next day nobody did anything.
    clock.set(slot + TimeDelta::days(1));
    desk.work().await;
    assert_eq!(desk.app.sql_number(count).await, 1);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_taken_over_from_a_worker_that_died_and_written_once() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    desk.pay(json!({"amount": 10})).await.expect_status(200);
    let id = desk.trigger(json!({})).await;
    // A worker took the job and is heard of no more.
    let taken = "UPDATE jobs SET state = 'running', worker = 'dead', attempts = 1, token = 1, \
         run_at = '2026-04-14T12:01:00Z' WHERE kind = 'pay_reconciliation'";
    desk.app.sql(taken).await;
    desk.work().await;
    assert_eq!(desk.report(&id).await["report"]["status"], "processing");
    clock.set(start_of_time() + TimeDelta::seconds(61));
    desk.work().await;
    let made = desk.report(&id).await;
    assert_eq!(made["report"]["status"], "completed");
    assert_eq!(made["report"]["total_transactions"], 1);

    // The same job once more: the report has ended.
    desk.pay(json!({"amount": 10})).await.expect_status(200);
    let again = "INSERT INTO jobs (org_id, kind, payload, run_at, created_at) SELECT org_id, kind, payload, run_at, \
         created_at FROM jobs WHERE kind = 'pay_reconciliation'";
    desk.app.sql(again).await;
    clock.set(start_of_time() + TimeDelta::minutes(5));
    desk.work().await;
    assert_eq!(desk.report(&id).await, made);
    let done = "SELECT count(*) FROM jobs WHERE kind = 'pay_reconciliation' AND state = 'done'";
    assert_eq!(desk.app.sql_number(done).await, 2);
    assert_eq!(desk.events("reconciliation.completed").await, 1);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_made_fails_and_says_so() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    desk.work().await;
    let id = desk.trigger(json!({})).await;
    desk.app
        .sql("ALTER TABLE data_records RENAME TO away")
        .await;
    for attempt in 1..=5 {
        assert_eq!(
            desk.report(&id).await["report"]["status"],
            "processing",
            "{attempt}"
        );
        desk.work().await;
        clock.set(clock.now() + TimeDelta::minutes(1));
    }
    let failed = desk.report(&id).await;
    assert_eq!(failed["report"]["status"], "failed");
    let failure = failed["failure"].as_str().unwrap();
    assert!(
        !failure.is_empty() && !failure.contains("data_records"),
        "{failure}"
    );
    is_instant(failed["ended_at"].as_str().unwrap());
    assert_eq!(desk.events("reconciliation.failed").await, 1);
    let dead = "SELECT count(*) FROM jobs WHERE kind = 'pay_reconciliation' AND state = 'dead' \
         AND last_error LIKE '%data_records%'";
    assert_eq!(desk.app.sql_number(dead).await, 1);
    desk.app
        .sql("ALTER TABLE away RENAME TO data_records")
        .await;

    // A job that was interrupted every time cannot say so itself: the hourly sweep does.
    let orphan = desk.trigger(json!({})).await;
    let dead = "UPDATE jobs SET state = 'dead', finished_at = now() WHERE kind = 'pay_reconciliation' AND state = 'waiting'";
    desk.app.sql(dead).await;
    clock.set(start_of_time() + TimeDelta::minutes(45));
    desk.work().await;
    assert_eq!(desk.report(&orphan).await["report"]["status"], "processing");
    clock.set(start_of_time() + TimeDelta::minutes(75));
    desk.work().await;
    let given_up = desk.report(&orphan).await;
    assert_eq!(given_up["report"]["status"], "failed");
    assert!(
        given_up["failure"]
            .as_str()
            .unwrap()
            .contains("interrupted")
    );
    assert_eq!(desk.events("reconciliation.failed").await, 2);
    desk.app.stop().await;
}
