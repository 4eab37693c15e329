//! The database goes away and comes back: 503 in each surface's shape, and recovery without a restart.

use pulpo::contract::SurfaceName;
use serde_json::json;
use tokio_postgres::{Client, NoTls};

use super::{caller::World, routes::Route, shapes::assert_error_shape};
use crate::support::TestApp;

/// What the operator does to the database from beside it.
struct Operator {
    client: Client,
    database: String,
}

impl Operator {
    async fn new(app: &TestApp) -> Self {
        let database: String = app.sql("SELECT current_database()::text").await[0].get(0);
        let sockets: String = app
            .sql("SELECT current_setting('unix_socket_directories')")
            .await[0]
            .get(0);
        let url = format!("host='{sockets}' port=5432 user=pulpo dbname=postgres");
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        Self { client, database }
    }

    /// Ends every connection and lets nobody in.
    async fn cut(&self) {
        let Self { client, database } = self;
        client
            .batch_execute(&format!(
                "ALTER DATABASE {database} ALLOW_CONNECTIONS false"
            ))
            .await
            .unwrap();
        let end = format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{database}'"
        );
        client.execute(&end, &[]).await.unwrap();
    }

    async fn restore(&self) {
        let Self { client, database } = self;
        client
            .batch_execute(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn without_the_database_everything_is_503_until_it_is_back() {
    let world = World::new().await;
    let app = &world.app;
    let operator = Operator::new(app).await;
    app.pullpush().get("/health/ready").await.expect_status(200);
    operator.cut().await;

    // Alive, and not ready: the documents' own bodies.
    let health = app.pullpush().get("/health").await.expect_status(200);
    assert_eq!(
        health.text,
        r#"{"ok":true,"service":"kaduno-pullpush-api"}"#
    );
    let ready = app.pullpush().get("/health/ready").await.expect_status(503);
    assert_eq!(
        ready.text,
        r#"{"ok":false,"checks":{"postgres":false,"redis":true},"service":"kaduno-pullpush-api"}"#
    );
    let deploy = app
        .pushpaka()
        .get("/health")
        .await
        .expect(503, "{status version checks{database redis}}");
    assert_eq!(
        (deploy.str("/status"), &deploy.json["checks"]["database"]),
        ("degraded", &json!(false))
    );
    app.pushpaka().get("/ready").await.expect_status(503);
    app.pushpaka().get("/metrics").await.expect_status(200);
    app.puppyone().get("/auth/config").await.expect_status(200);

    // One route of each surface that asks the database, and every wait for it is bounded.
    let asks = |route: &Route| match route.surface {
        SurfaceName::Deploy => route.template.ends_with("/login"),
        SurfaceName::Hub => route.template.ends_with("/rotate"),
        _ => route.method == "GET" && !route.schemes.is_empty(),
    };
    let routes = Route::all();
    let calls = SurfaceName::ALL.map(|surface| {
        let route = routes
            .iter()
            .find(|route| route.surface == surface && asks(route))
            .unwrap();
        let world = &world;
        async move {
            let body = br#"{"email":"ada@example.com","password":"correct horse battery"}"#;
            let path = world.path(route);
            let headers = [("content-type", "application/json")];
            let answer = world
                .call(route, &path, &headers, route.takes_json().then_some(body))
                .await;
            (route.surface, route.name(), answer)
        }
    });
    for (surface, name, answer) in futures_util::future::join_all(calls).await {
        assert_eq!(answer.status, 503, "{name}: {}", answer.text());
        assert_error_shape(surface, &answer, &name);
    }

    operator.restore().await;
    app.pullpush().get("/health/ready").await.expect_status(200);
    app.pushpaka().get("/health").await.expect_status(200);
    app.pushpaka().get("/ready").await.expect_status(200);
    for surface in SurfaceName::ALL {
        let route = routes
            .iter()
            .find(|route| route.surface == surface && asks(route))
            .unwrap();
        let body = br#"{"email":"ada@example.com","password":"correct horse battery"}"#;
        let headers = [("content-type", "application/json")];
        let answer = world
            .call(
                route,
                &world.path(route),
                &headers,
                route.takes_json().then_some(body),
            )
            .await;
        assert!(
            matches!(answer.status, 200 | 404),
            "{}: {} {}",
            route.name(),
            answer.status,
            answer.text()
        );
    }
    world.app.stop().await;
}

#[tokio::test]
async fn connections_that_died_are_replaced() {
    let world = World::new().await;
    let app = &world.app;
    let operator = Operator::new(app).await;
    let event = |id: usize| json!({"type": "order.created", "externalId": format!("{id}")});
    let tenant = app.organization("Shop").await;
    let client = app.pullpush().bearer(&app.tenant_key(&tenant).await);
    let path = format!("/api/v1/tenants/{tenant}/events");
    let (mut taken, mut refused) = (0, 0);
    for round in 0..10 {
        if round % 3 == 1 {
            operator.cut().await;
            operator.restore().await;
        }
        let calls: Vec<_> = (0..8).map(|n| event(round * 8 + n)).collect();
        for reply in
            futures_util::future::join_all(calls.iter().map(|event| client.post(&path, event)))
                .await
        {
            match reply.status {
                200 => taken += 1,
                503 => refused += 1,
                other => panic!("{other}: {}", reply.text),
            }
        }
    }
    assert_eq!(taken + refused, 80);
    // What was acknowledged is there; a client that was refused sends again.
    assert!(app.sql_number("SELECT count(*) FROM hub_events").await >= taken);
    assert_eq!(
        app.sql_number("SELECT count(*) FROM hub_events").await,
        app.sql_number("SELECT count(*) FROM events").await
    );
    for id in 0..80 {
        client.post(&path, &event(id)).await.expect_status(200);
    }
    assert_eq!(app.sql_number("SELECT count(*) FROM hub_events").await, 80);
    world.app.stop().await;
}
