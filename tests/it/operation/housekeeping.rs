//! What has expired is swept, and nothing else.

use chrono::{DateTime, TimeDelta, Utc};
use pulpo::{
    clock::Clock,
    config,
    housekeeping::{Housekeeping, SWEEPS},
};
use tokio_util::sync::CancellationToken;

use crate::support::TestApp;

fn start_of_time() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn housekeeping(app: &TestApp, batch_rows: u32) -> Housekeeping {
    let config = config::Housekeeping {
        batch_rows,
        ..config::Housekeeping::default()
    };
    Housekeeping::new(app.app.db.clone(), app.app.clock.clone(), &config)
}

/// `rows` of every kind that is swept, each expiring `first` after the start of time and one second apart.
async fn seed(app: &TestApp, rows: u32) {
    let org = app.organization("Acme").await;
    let user = app.user("ada@example.com").await.id;
    let created = start_of_time();
    let expiring = |rest: &str| {
        format!(
            "FROM generate_series(1, {rows}) AS i, LATERAL (SELECT timestamptz '{created}' + i * interval '1 hour' AS at) AS x {rest}"
        )
    };
    for statement in [
        format!(
            "INSERT INTO refresh_tokens (id, user_id, family, sha256, created_at, expires_at, used_at)
             SELECT gen_random_uuid(), '{user}', gen_random_uuid(), sha256(i::text::bytea), '{created}', at,
             CASE WHEN i % 2 = 0 THEN timestamptz '{created}' END {}",
            expiring("")
        ),
        format!(
            "INSERT INTO idempotency_keys (org_id, scope, key, request_sha256, response, created_at, expires_at)
             SELECT '{org}', 'test', i::text, sha256('x'), 'y', '{created}', at {}",
            expiring("")
        ),
        format!(
            "INSERT INTO invitations (id, org_id, email, role, token_sha256, status, expires_at, created_at)
             SELECT 'inv_' || i, '{org}', i || '@example.com', 'member', sha256(i::text::bytea), 'pending', at,
             '{created}' {}",
            expiring("")
        ),
        format!("INSERT INTO rate_hits (key, at, n, batch, process) SELECT 'k', at, 1, 1, gen_random_uuid() {}", expiring("")),
        format!(
            "INSERT INTO rate_days (key, day, count)
             SELECT 'k', (timestamptz '{created}' + i * interval '1 day')::date, 1 {}",
            expiring("")
        ),
    ] {
        app.sql(&statement).await;
    }
}

async fn left(app: &TestApp) -> [i64; 5] {
    let mut left = [0; 5];
    for (place, table) in left.iter_mut().zip([
        "refresh_tokens",
        "idempotency_keys",
        "invitations WHERE status = 'pending'",
        "rate_hits",
        "rate_days",
    ]) {
        *place = app
            .sql_number(&format!("SELECT count(*) FROM {table}"))
            .await;
    }
    left
}

#[tokio::test]
async fn exactly_what_has_expired_by_the_clock_is_swept() {
    let clock = Clock::fixed(start_of_time());
    let app = TestApp::builder().clock(&clock).start().await;
    seed(&app, 10).await;
    let stop = CancellationToken::new();
    // Two rows a statement: it takes several to sweep five.
    let keeper = housekeeping(&app, 2);
    assert_eq!(keeper.round(&stop).await.unwrap().rows(), 0);
    assert_eq!(left(&app).await, [10; 5]);

    // At the hour itself a token is refused, so it is swept; rates are kept longer than they are asked for.
    clock.set(start_of_time() + TimeDelta::hours(5));
    let report = keeper.round(&stop).await.unwrap();
    let of = |name| report.rows_of(name);
    assert_eq!(
        SWEEPS.map(|sweep| of(sweep.name)),
        [5, 5, 5, 4, 0, 0, 0, 0, 0],
        "{report}"
    );
    assert_eq!(left(&app).await, [5, 5, 5, 6, 10]);
    let expired = "SELECT count(*) FROM invitations WHERE status = 'expired'";
    assert_eq!(app.sql_number(expired).await, 5);
    let early = "SELECT count(*) FROM refresh_tokens WHERE expires_at <= timestamptz '2026-03-01T17:00:00Z'";
    assert_eq!(app.sql_number(early).await, 0);

    clock.set(start_of_time() + TimeDelta::days(8));
    keeper.round(&stop).await.unwrap();
    // Days 2 to 5 of March are more than two days before the 9th, and so is the 6th; 7 to 11 are kept.
    assert_eq!(left(&app).await, [0, 0, 0, 0, 5]);
    assert_eq!(keeper.round(&stop).await.unwrap().rows(), 0);
    app.stop().await;
}

#[tokio::test]
async fn workers_at_once_share_the_work_and_wait_for_nobody() {
    let clock = Clock::fixed(start_of_time() + TimeDelta::days(400));
    let app = TestApp::builder().clock(&clock).start().await;
    seed(&app, 400).await;
    let stop = CancellationToken::new();

    // A request holds one token: it is passed over, not waited for.
    let held = app.app.db.connection();
    let mut held = held.await.unwrap();
    use diesel_async::SimpleAsyncConnection;
    held.batch_execute(
        "BEGIN; SELECT 1 FROM refresh_tokens ORDER BY expires_at LIMIT 1 FOR UPDATE",
    )
    .await
    .unwrap();
    let keeper = housekeeping(&app, 7);
    let rounds = futures_util::future::join_all((0..4).map(|_| keeper.round(&stop))).await;
    let swept: usize = rounds.iter().map(|r| r.as_ref().unwrap().rows()).sum();
    assert_eq!(swept, 5 * 400 - 1 - days_kept());
    held.batch_execute("ROLLBACK").await.unwrap();
    drop(held);
    assert_eq!(keeper.round(&stop).await.unwrap().rows(), 1);
    app.stop().await;
}

#[tokio::test]
async fn finished_jobs_and_deliveries_are_kept_for_their_time() {
    let now = start_of_time() + TimeDelta::days(100);
    let clock = Clock::fixed(now);
    let app = TestApp::builder().clock(&clock).start().await;
    let org = app.organization("Acme").await;
    // A row for each of the last hundred days, of every state.
    let days = format!(
        "generate_series(0, 99) AS i, LATERAL (SELECT timestamptz '{now}' - i * interval '1 day' AS at) AS x"
    );
    for statement in [
        format!(
            "INSERT INTO jobs (kind, payload, state, run_at, created_at, finished_at)
             SELECT 'test', '{{}}', s, at, at, CASE WHEN s <> 'waiting' THEN at END
             FROM {days}, unnest(ARRAY['waiting', 'done', 'dead']) AS s"
        ),
        format!(
            "INSERT INTO delivery_endpoints (org_id, id, api, url, kinds, status, secret, created_at, updated_at)
             VALUES ('{org}', 'whk_1', 'pay', 'https://example.com/', '{{x}}', 'active', 'x', '{now}', '{now}')"
        ),
        format!(
            "INSERT INTO deliveries (org_id, endpoint_id, id, api, event_id, event_type, ordering_key, body, status, due_at,
                created_at, delivered_at)
             SELECT '{org}', 'whk_1', s || i, 'pay', 'e', 'x', 'k', '{{}}', s, at, at,
                CASE WHEN s = 'delivered' THEN at END
             FROM {days}, unnest(ARRAY['pending', 'delivered', 'failed']) AS s"
        ),
    ] {
        app.sql(&statement).await;
    }
    let report = housekeeping(&app, 1000)
        .round(&CancellationToken::new())
        .await
        .unwrap();
    let of = |name| report.rows_of(name);
    assert_eq!(
        (of("jobs"), of("dead_jobs"), of("deliveries")),
        (92, 9, 2 * 69)
    );
    for (state, kept) in [("waiting", 100), ("done", 8), ("dead", 91)] {
        let count = format!("SELECT count(*) FROM jobs WHERE state = '{state}'");
        assert_eq!(app.sql_number(&count).await, kept, "{state}");
    }
    let count = "SELECT count(*) FROM deliveries";
    assert_eq!(app.sql_number(count).await, 100 + 31 + 31);
    app.stop().await;
}

/// Of 400 days from 2 March 2026 on, those that are not more than two days before 5 April 2027.
fn days_kept() -> usize {
    let today = (start_of_time() + TimeDelta::days(400)).date_naive();
    (1..=400)
        .filter(|i| {
            start_of_time().date_naive() + chrono::Days::new(*i) >= today - chrono::Days::new(2)
        })
        .count()
}

#[tokio::test]
async fn a_round_is_bounded_and_ends_when_told() {
    let clock = Clock::fixed(start_of_time() + TimeDelta::days(400));
    let app = TestApp::builder().clock(&clock).start().await;
    seed(&app, 150).await;
    let stop = CancellationToken::new();
    // A hundred statements of one row each.
    let report = housekeeping(&app, 1).round(&stop).await.unwrap();
    assert_eq!(
        SWEEPS.map(|sweep| report.rows_of(sweep.name)),
        [100, 100, 100, 100, 100, 0, 0, 0, 0]
    );
    stop.cancel();
    let report = housekeeping(&app, 1).round(&stop).await.unwrap();
    assert_eq!(report.rows(), 0);
    app.stop().await;
}
