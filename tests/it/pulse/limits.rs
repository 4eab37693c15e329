//! Rate limits of a key: 120 in any minute, 10,000 in a UTC day.

use chrono::{DateTime, Duration, Utc};
use pulpo::{
    clock::Clock,
    identity::keys::{KeyKind, NewKey},
};
use serde_json::json;

use super::{Desk, PAYER, refused};
use crate::support::{Client, Reply, TestApp, new_key};

/// The four headers: limit, remaining, reset, remaining of the day.
#[track_caller]
fn headers(reply: &Reply) -> [i64; 4] {
    [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-ratelimit-daily-remaining",
    ]
    .map(|name| {
        reply
            .header(name)
            .parse()
            .unwrap_or_else(|_| panic!("no {name} on {}: {}", reply.status, reply.text))
    })
}

#[tokio::test]
async fn exactly_120_in_any_minute_also_across_a_restart() {
    let start: DateTime<Utc> = "2026-04-14T12:00:00Z".parse().unwrap();
    let clock = Clock::fixed(start);
    let mut desk = Desk::open_at(&clock).await;
    desk.key = desk.app.payment_key(&desk.org_id).await;
    let first = desk.api().get("/meta").await.expect_status(200);
    assert_eq!(headers(&first), [120, 119, start.timestamp() + 60, 9_999]);
    clock.set(start + Duration::seconds(30));
    for used in 2..=80 {
        let reply = desk.api().get("/meta").await.expect_status(200);
        assert_eq!(headers(&reply)[1], 120 - used);
    }
    desk = Desk {
        app: desk.app.restart().await,
        ..desk
    };
    for used in 81..=120 {
        let reply = desk.api().get("/meta").await.expect_status(200);
        assert_eq!(headers(&reply)[1], 120 - used);
    }
    let refusal = desk.api().get("/meta").await;
    refused(&refusal, 429, "rate_limited");
    assert_eq!(refusal.header("retry-after"), "30");
    assert_eq!(headers(&refusal), [120, 0, start.timestamp() + 60, 9_880]);
    // A refused key has no say in anything else, and other keys go on.
    refused(&desk.api().get("/nothing").await, 429, "rate_limited");
    desk.app
        .pulse()
        .bearer(&desk.app.payment_key(&desk.org_id).await)
        .get("/meta")
        .await
        .expect_status(200);

    // The first request leaves the window: one more, not 120.
    clock.set(start + Duration::seconds(60));
    assert_eq!(
        headers(&desk.api().get("/meta").await.expect_status(200))[1],
        0
    );
    refused(&desk.api().get("/meta").await, 429, "rate_limited");
    clock.set(start + Duration::seconds(90));
    assert_eq!(
        headers(&desk.api().get("/meta").await.expect_status(200))[1],
        118
    );
    desk.app.stop().await;
}

#[tokio::test]
async fn ten_thousand_in_a_day_and_midnight_starts_the_next() {
    let noon: DateTime<Utc> = "2026-04-14T12:00:00Z".parse().unwrap();
    let clock = Clock::fixed(noon);
    let mut desk = Desk::open_at(&clock).await;
    desk.key = desk.app.payment_key(&desk.org_id).await;
    // As if 9,999 requests had been made this morning; the key that set things up may have been counted by now.
    let seeded = "INSERT INTO rate_days (key, day, count) SELECT id, '2026-04-14', 9999 FROM api_keys ON CONFLICT DO NOTHING";
    desk.app.sql(seeded).await;
    assert_eq!(
        headers(&desk.api().get("/meta").await.expect_status(200))[3],
        0
    );
    let refusal = desk.api().get("/meta").await;
    refused(&refusal, 429, "rate_limited");
    assert_eq!(refusal.header("retry-after"), (12 * 3600).to_string());
    clock.set(noon + Duration::hours(12));
    assert_eq!(
        headers(&desk.api().get("/meta").await.expect_status(200))[3],
        9_999
    );
    desk.app.stop().await;
}

#[tokio::test]
async fn every_answer_to_a_key_carries_the_headers() {
    let desk = Desk::open().await;
    let bare = desk
        .app
        .pulse()
        .bearer(&desk.app.payment_key_with(&desk.org_id, &[]).await);
    let replies = [
        (200, desk.api().get("/wallets").await),
        (
            201,
            desk.api()
                .post("/policies", &json!({"policy_name": "x", "agent_id": "x"}))
                .await,
        ),
        (400, desk.api().post("/payments/request", &json!({})).await),
        (
            400,
            desk.api()
                .send(
                    reqwest::Method::POST,
                    "/payments/request",
                    Some(b"{".to_vec()),
                )
                .await,
        ),
        (400, desk.api().get("/payments?limit=x").await),
        (403, bare.get("/wallets").await),
        (404, desk.api().get("/wallets/agent-nobody").await),
        (404, desk.api().get("/nothing").await),
        (405, desk.api().delete("/wallets").await),
        (
            409,
            desk.api()
                .post("/policies", &json!({"policy_name": "x", "agent_id": "x"}))
                .await,
        ),
        (
            415,
            desk.api()
                .header("content-type", "text/plain")
                .post(&format!("/wallets/{PAYER}/fund"), &json!({}))
                .await,
        ),
    ];
    for (status, reply) in replies {
        assert_eq!(reply.status, status, "{}", reply.text);
        let [limit, remaining, reset, daily] = headers(&reply);
        assert_eq!(limit, 120);
        assert!(
            (0..120).contains(&remaining) && (9_000..10_000).contains(&daily),
            "{remaining} {daily}"
        );
        assert!(reset > 1_700_000_000, "{reset}");
    }
    // There is no key on these.
    for reply in [
        desk.app.pulse().get("/wallets").await,
        desk.app.pulse().get("/health").await,
    ] {
        assert!(reply.headers.get("x-ratelimit-limit").is_none());
    }
    desk.app.stop().await;
}

/// The address the key of the next test may be used from.
const OFFICE: &str = "203.0.113.7";

fn from(desk: &Desk, ip: &str) -> Client {
    desk.api().header("x-forwarded-for", ip)
}

/// Two refusals of a wrong address that tell these limits.
async fn refused_twice(desk: &Desk, limits: [i64; 4]) {
    for path in ["/meta", "/nothing"] {
        let refusal = from(desk, "203.0.113.8").get(path).await;
        refused(&refusal, 403, "forbidden");
        assert_eq!(headers(&refusal), limits);
        assert!(refusal.headers.get("retry-after").is_none());
    }
}

#[tokio::test]
async fn a_wrong_address_is_told_the_limits_and_uses_up_none() {
    let start: DateTime<Utc> = "2026-04-14T12:00:00Z".parse().unwrap();
    let clock = Clock::fixed(start);
    let app = TestApp::builder()
        .clock(&clock)
        .config(|config| config.http.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()])
        .start()
        .await;
    let mut desk = Desk::furnish(app).await;
    let new = NewKey {
        ip_whitelist: vec![OFFICE.to_owned()],
        ..new_key(&desk.org_id, KeyKind::Payment, &[])
    };
    desk.key = desk.app.key(new).await;

    // Never seen before: nothing is used, and the window is open now.
    refused_twice(&desk, [120, 120, start.timestamp(), 10_000]).await;
    let told = [120, 119, start.timestamp() + 60, 9_999];
    let counted = from(&desk, OFFICE).get("/meta").await.expect_status(200);
    assert_eq!(headers(&counted), told);
    clock.set(start + Duration::seconds(10));
    refused_twice(&desk, told).await;
    desk = Desk {
        app: desk.app.restart().await,
        ..desk
    };
    // Known from the database alone.
    refused_twice(&desk, told).await;
    for used in 2..=120 {
        let counted = from(&desk, OFFICE).get("/meta").await.expect_status(200);
        assert_eq!(headers(&counted)[1], 120 - used);
    }
    // The address is refused before the limit, and the permission and the body after both.
    let told = [120, 0, start.timestamp() + 60, 9_880];
    refused_twice(&desk, told).await;
    let refusal = from(&desk, "203.0.113.8")
        .post("/payments/request", &json!({}))
        .await;
    refused(&refusal, 403, "forbidden");
    assert_eq!(headers(&refusal), told);
    assert!(refusal.text.contains("address"), "{}", refusal.text);
    let refusal = from(&desk, OFFICE)
        .post("/payments/request", &json!({}))
        .await;
    refused(&refusal, 429, "rate_limited");
    assert_eq!(headers(&refusal), told);
    desk.app.stop().await;
}
