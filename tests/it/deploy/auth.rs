//! `/auth/register` and `/auth/login`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{PASSWORD, TestApp};

const ANSWER: &str = "{token user{id email name role created_at}}";

fn registration(email: &str) -> Value {
    json!({"email": email, "name": "Jane Doe", "password": "securepassword"})
}

#[tokio::test]
async fn register_answers_with_a_token_and_the_user() {
    let app = TestApp::start().await;
    let reply = app
        .pushpaka()
        .post("/auth/register", &registration("User@Example.com"))
        .await
        .expect(201, ANSWER);
    assert_eq!(reply.str("/user/email"), "user@example.com");
    assert_eq!(reply.str("/user/name"), "Jane Doe");
    assert_eq!(reply.str("/user/role"), "user");
    assert!(Uuid::try_parse(reply.str("/user/id")).is_ok());
    assert!(chrono::DateTime::parse_from_rfc3339(reply.str("/user/created_at")).is_ok());
    assert!(reply.str("/user/created_at").ends_with('Z'));
    assert_eq!(reply.str("/token").split('.').count(), 3);
    assert!(!reply.text.contains("securepassword"));

    // The same address in another case is the same account.
    let taken = app
        .pushpaka()
        .post("/auth/register", &registration("uSER@example.COM"))
        .await;
    taken.expect(409, "{error}");
    assert_eq!(app.sql_number("SELECT count(*) FROM users").await, 1);
    app.stop().await;
}

#[tokio::test]
async fn of_two_registrations_at_once_one_wins() {
    let app = TestApp::start().await;
    let client = app.pushpaka();
    let body = registration("race@example.com");
    let attempts = (0..4).map(|_| client.post("/auth/register", &body));
    let mut statuses: Vec<u16> = futures_util::future::join_all(attempts)
        .await
        .into_iter()
        .map(|reply| reply.status)
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
    assert_eq!(app.sql_number("SELECT count(*) FROM users").await, 1);
    assert_eq!(
        app.sql_number("SELECT count(*) FROM organizations").await,
        1
    );
    app.stop().await;
}

#[tokio::test]
async fn register_names_what_is_wrong() {
    let app = TestApp::builder()
        .config(|config| config.rates.scale = 1000)
        .start()
        .await;
    for (change, field) in [
        (json!({"email": "nobody"}), "email"),
        (json!({"email": ""}), "email"),
        (json!({"name": "J"}), "name"),
        (json!({"name": "   J   "}), "name"),
        (json!({"password": "seven77"}), "password"),
        (json!({"password": "x".repeat(1001)}), "password"),
        (json!({"password": null}), "password"),
    ] {
        let mut body = registration("user@example.com");
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let reply = app
            .pushpaka()
            .post("/auth/register", &body)
            .await
            .expect(400, "{error}");
        assert!(reply.str("/error").contains(field), "{}", reply.text);
    }
    for field in ["email", "name", "password"] {
        let mut body = registration("user@example.com");
        body.as_object_mut().unwrap().remove(field);
        let reply = app
            .pushpaka()
            .post("/auth/register", &body)
            .await
            .expect(400, "{error}");
        assert!(reply.str("/error").contains(field), "{}", reply.text);
    }
    assert_eq!(app.sql_number("SELECT count(*) FROM users").await, 0);
    app.stop().await;
}

#[tokio::test]
async fn login_gives_a_token_and_says_one_thing_for_every_failure() {
    let app = TestApp::start().await;
    let user = app.user("ada@example.com").await;
    let login = async |email: &str, password: &str| {
        app.pushpaka()
            .post(
                "/auth/login",
                &json!({"email": email, "password": password}),
            )
            .await
    };
    let reply = login("ADA@example.com", PASSWORD).await.expect(200, ANSWER);
    assert_eq!(reply.str("/user/id"), user.id.to_string());

    let wrong_password = login("ada@example.com", "not this one")
        .await
        .expect(401, "{error}");
    let unknown_address = login("bob@example.com", PASSWORD)
        .await
        .expect(401, "{error}");
    assert_eq!(wrong_password.text, unknown_address.text);

    login("ada@example.com", "").await.expect(400, "{error}");
    app.pushpaka()
        .post("/auth/login", &json!({}))
        .await
        .expect(400, "{error}");
    app.stop().await;
}

#[tokio::test]
async fn passwords_cannot_be_guessed_in_a_hurry() {
    let app = TestApp::start().await;
    let body = json!({"email": "ada@example.com", "password": "guess number one"});
    for _ in 0..10 {
        app.pushpaka()
            .post("/auth/login", &body)
            .await
            .expect_status(401);
    }
    let refused = app
        .pushpaka()
        .post("/auth/login", &body)
        .await
        .expect(429, "{error}");
    assert_eq!(refused.str("/error"), "too many requests");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    app.stop().await;
}

#[tokio::test]
async fn the_token_opens_nothing_else() {
    let app = TestApp::start().await;
    let registered = app
        .pushpaka()
        .post("/auth/register", &registration("user@example.com"))
        .await
        .expect_status(201);
    let token = registered.str("/token");
    app.puppyone()
        .bearer(token)
        .get("/profile/me")
        .await
        .expect_status(401);
    app.pulse()
        .bearer(token)
        .get("/wallets")
        .await
        .expect_status(401);
    app.integrations()
        .bearer(token)
        .get("/available")
        .await
        .expect_status(401);
    let tenant = app.organization("Acme").await;
    let path = format!("/api/v1/tenants/{tenant}/keys/rotate");
    app.pullpush()
        .bearer(token)
        .post(&path, &json!({}))
        .await
        .expect_status(401);
    app.stop().await;
}
