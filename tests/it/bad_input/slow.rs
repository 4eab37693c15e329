//! Clients that take their time, and clients that go away.

use std::time::Duration;

use pulpo::contract::SurfaceName;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{caller::World, shapes::assert_error, wire};
use crate::support::TestApp;

const SURFACES: [SurfaceName; 5] = SurfaceName::ALL;

async fn world() -> World {
    let app = TestApp::builder()
        .config(|config| {
            config.http.header_timeout_ms = 500;
            config.http.body_timeout_ms = 500;
        })
        .start()
        .await;
    World::of(app).await
}

async fn connect(world: &World, surface: SurfaceName, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(world.address(surface)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// On a connection of its own: one that is kept open is cut off like every other that sends nothing.
async fn others_are_served(world: &World) {
    let request = wire::request("GET", "/health", &[], None);
    let answer = wire::exchange(world.address(SurfaceName::Hub), &request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn headers_that_do_not_end_are_cut_off() {
    let world = world().await;
    for surface in SURFACES {
        for start in [
            &b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: "[..],
            b"GET / HT",
        ] {
            let mut slow = connect(&world, surface, start).await;
            // Others are served meanwhile.
            others_are_served(&world).await;
            let read = wire::read_to_end(&mut slow).await;
            assert!(
                read.is_empty() || wire::parse(&read).status == 408,
                "{}",
                String::from_utf8_lossy(&read)
            );
        }
    }
    world.app.stop().await;
}

#[tokio::test]
async fn connections_without_a_request_are_cut_off() {
    let world = world().await;
    for surface in SURFACES {
        // "P" and "PRI" could become either version of HTTP.
        for start in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n"] {
            let mut silent = connect(&world, surface, start).await;
            others_are_served(&world).await;
            let read = wire::read_to_end(&mut silent).await;
            assert!(
                read.is_empty() || read.starts_with(b"HTTP/1.1 4"),
                "{}",
                String::from_utf8_lossy(&read)
            );
        }
    }
    world.app.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let world = world().await;
    for (surface, path, headers) in [
        (SurfaceName::Deploy, "/api/v1/auth/login", ""),
        (SurfaceName::Workspace, "/api/v1/auth/login", ""),
        (SurfaceName::Hub, "/api/v1/webhooks/t/c", ""),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{headers}"
        );
        for rest in [
            "Content-Length: 100\r\n\r\n{\"email\":",
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{ \r\n",
        ] {
            let mut slow = connect(&world, surface, format!("{head}{rest}").as_bytes()).await;
            others_are_served(&world).await;
            let answer = wire::parse(&wire::read_to_end(&mut slow).await);
            assert_error(surface, &answer, path);
            assert_eq!(answer.status, 408, "{path}: {}", answer.text());
        }
    }
    world.app.stop().await;
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let world = world().await;
    for surface in SURFACES {
        let many = "X-Many: 1\r\n".repeat(500);
        let long = format!("X-Long: {}\r\n", "x".repeat(200_000));
        for headers in [many, long] {
            let request =
                format!("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
            let mut stream = TcpStream::connect(world.address(surface)).await.unwrap();
            // The server may close before it has read everything.
            let _ = stream.write_all(request.as_bytes()).await;
            let read = wire::read_to_end(&mut stream).await;
            assert!(
                read.is_empty() || wire::parse(&read).status == 431,
                "{}",
                String::from_utf8_lossy(&read)
            );
        }
        let mut garbage = connect(
            &world,
            surface,
            b"\x16\x03\x01\x02\x00 this is no HTTP \r\n\r\n",
        )
        .await;
        let read = wire::read_to_end(&mut garbage).await;
        assert!(
            read.is_empty() || wire::parse(&read).status == 400,
            "{}",
            String::from_utf8_lossy(&read)
        );
    }
    others_are_served(&world).await;
    world.app.stop().await;
}

/// Reads the state of the database until it is so; the test's own patience ends it.
async fn until(app: &TestApp, query: &str) {
    let reached = async { while app.sql_number(query).await == 0 {} };
    tokio::time::timeout(Duration::from_secs(20), reached)
        .await
        .expect("it came to that");
}

/// A client that goes away in the middle of a transaction leaves nothing behind: neither an open transaction on a
/// connection of the pool, nor half of its work, which a later request would commit.
#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_transaction_behind() {
    let app = TestApp::builder()
        .config(|config| config.database.pool_size = 1)
        .start()
        .await;
    let user = app.user("ada@example.com").await;
    let token = app.workspace_token(&user);
    let database: String = app.sql("SELECT current_database()::text").await[0].get(0);
    let sockets: String = app
        .sql("SELECT current_setting('unix_socket_directories')")
        .await[0]
        .get(0);
    let url = format!("host='{sockets}' port=5432 user=pulpo dbname={database}");
    let (locker, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let running = tokio::spawn(connection);

    // The organisation is inserted, and the membership has to wait.
    locker
        .batch_execute("BEGIN; LOCK TABLE memberships IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let body = json!({"name": "Half made"}).to_string();
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let request = wire::request(
        "POST",
        "/api/v1/organizations/",
        &headers,
        Some(body.as_bytes()),
    );
    let mut client = TcpStream::connect(app.addresses.puppyone).await.unwrap();
    client.write_all(&request).await.unwrap();
    until(
        &app,
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
    )
    .await;
    drop(client);
    // What the server noticed shows in its being able to serve: its only connection is free again.
    locker.batch_execute("ROLLBACK").await.unwrap();

    let me = app.puppyone().bearer(&token).get("/profile/me").await;
    me.expect_status(200);
    let second = app
        .puppyone()
        .bearer(&token)
        .post("/organizations/", &json!({"name": "Whole"}))
        .await;
    second.expect_status(201);
    let open = "SELECT (count(*) = 0)::int::bigint FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    until(&app, open).await;
    // Either it was done as a whole or not at all, and what came after is there.
    let halves = "SELECT count(*) FROM organizations o WHERE NOT EXISTS (SELECT 1 FROM memberships m WHERE m.org_id = o.id)";
    assert_eq!(app.sql_number(halves).await, 0);
    assert_eq!(
        app.sql_number("SELECT count(*) FROM organizations WHERE name = 'Whole'")
            .await,
        1
    );
    drop(locker);
    running.await.unwrap().unwrap();
    app.stop().await;
}
