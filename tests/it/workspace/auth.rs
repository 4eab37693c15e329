//! `/auth/…`: configuration, login, token exchange, the first organisation.

use chrono::{TimeDelta, Utc};
use pulpo::{clock::Clock, identity::memberships::Role};
use serde_json::json;

use super::{ERROR, of};
use crate::support::{Client, PASSWORD, Reply, TestApp};

const TOKENS: &str = "{code message data{access_token refresh_token expires_in}}";

async fn log_in(app: &TestApp, email: &str) -> Reply {
    app.puppyone()
        .post(
            "/auth/login",
            &json!({"email": email, "password": PASSWORD}),
        )
        .await
}

async fn refresh(client: &Client, token: &str) -> Reply {
    client
        .post("/auth/refresh", &json!({"refresh_token": token}))
        .await
}

#[tokio::test]
async fn config_is_public() {
    let app = TestApp::builder()
        .config(|config| {
            config.workspace.supabase_url = Some("https://auth.example.com".to_owned());
            config.workspace.supabase_anon_key = Some("anon".to_owned());
        })
        .start()
        .await;
    let reply = app.puppyone().get("/auth/config").await.expect_status(200);
    assert_eq!(
        reply.text,
        r#"{"code":0,"message":"success","data":{"supabase_url":"https://auth.example.com","supabase_anon_key":"anon"}}"#
    );
    app.stop().await;
}

#[tokio::test]
async fn login_answers_with_tokens_and_one_text_for_every_failure() {
    let app = TestApp::start().await;
    app.user("ada@example.com").await;
    let reply = log_in(&app, "Ada@Example.com").await.expect(200, TOKENS);
    assert_eq!(
        (&reply.json["code"], &reply.json["message"]),
        (&json!(0), &json!("success"))
    );
    assert_eq!(reply.json["data"]["expires_in"], 3600);
    assert!(reply.str("/data/refresh_token").starts_with("v1."));
    let me = app
        .puppyone()
        .bearer(reply.str("/data/access_token"))
        .get("/profile/me")
        .await
        .expect_status(200);
    assert_eq!(me.str("/data/email"), "ada@example.com");

    let wrong = json!({"email": "ada@example.com", "password": "not this one"});
    let wrong = app
        .puppyone()
        .post("/auth/login", &wrong)
        .await
        .expect(401, ERROR);
    let unknown = log_in(&app, "bob@example.com").await.expect(401, ERROR);
    assert_eq!(wrong.text, unknown.text);
    assert_eq!(wrong.str("/code"), "UNAUTHORIZED");
    assert!(wrong.header("www-authenticate").starts_with("Bearer"));

    let missing = app
        .puppyone()
        .post("/auth/login", &json!({"email": "ada@example.com"}))
        .await
        .expect(422, "{code message data[]}");
    assert_eq!(missing.str("/code"), "VALIDATION_ERROR");
    assert!(
        missing.str("/data/0").starts_with("password: "),
        "{}",
        missing.text
    );
    app.stop().await;
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_used_one_ends_its_family() {
    let app = TestApp::start().await;
    app.user("ada@example.com").await;
    let first = log_in(&app, "ada@example.com")
        .await
        .expect(200, TOKENS)
        .str("/data/refresh_token")
        .to_owned();
    let other_login = log_in(&app, "ada@example.com")
        .await
        .expect(200, TOKENS)
        .str("/data/refresh_token")
        .to_owned();
    let client = app.puppyone();

    let second = refresh(&client, &first).await.expect(200, TOKENS);
    app.puppyone()
        .bearer(second.str("/data/access_token"))
        .get("/profile/me")
        .await
        .expect_status(200);
    let second = second.str("/data/refresh_token").to_owned();
    assert_ne!(first, second);
    let third = refresh(&client, &second)
        .await
        .expect(200, TOKENS)
        .str("/data/refresh_token")
        .to_owned();

    // Somebody shows a used one: the whole family goes, the newest too.
    let reused = refresh(&client, &first).await.expect(401, ERROR);
    assert_eq!(reused.str("/code"), "UNAUTHORIZED");
    refresh(&client, &third).await.expect(401, ERROR);
    // Another login of the same user is another family.
    refresh(&client, &other_login).await.expect(200, TOKENS);

    refresh(&client, "v1.unknown").await.expect(401, ERROR);
    refresh(&client, "")
        .await
        .expect(422, "{code message data[]}");
    app.stop().await;
}

#[tokio::test]
async fn of_two_exchanges_at_once_one_wins() {
    let app = TestApp::start().await;
    app.user("ada@example.com").await;
    let token = log_in(&app, "ada@example.com")
        .await
        .expect(200, TOKENS)
        .str("/data/refresh_token")
        .to_owned();
    let client = app.puppyone();
    let replies = futures_util::future::join_all((0..5).map(|_| refresh(&client, &token))).await;
    assert_eq!(
        replies.iter().filter(|reply| reply.status == 200).count(),
        1
    );
    assert_eq!(
        replies.iter().filter(|reply| reply.status == 401).count(),
        4
    );
    app.stop().await;
}

#[tokio::test]
async fn tokens_expire() {
    let clock = Clock::fixed(Utc::now());
    let app = TestApp::builder().clock(&clock).start().await;
    app.user("ada@example.com").await;
    let tokens = log_in(&app, "ada@example.com").await.expect(200, TOKENS);
    let client = app.puppyone().bearer(tokens.str("/data/access_token"));
    client.get("/profile/me").await.expect_status(200);
    clock.set(clock.now() + TimeDelta::seconds(3601));
    client.get("/profile/me").await.expect(401, ERROR);
    // The refresh token lives longer, and not for ever.
    let next = refresh(&app.puppyone(), tokens.str("/data/refresh_token"))
        .await
        .expect(200, TOKENS);
    clock.set(clock.now() + TimeDelta::days(31));
    refresh(&app.puppyone(), next.str("/data/refresh_token"))
        .await
        .expect(401, ERROR);
    app.stop().await;
}

#[tokio::test]
async fn initialize_makes_one_organization_however_often_it_is_called() {
    let app = TestApp::start().await;
    let user = app.user("ada@example.com").await;
    let client = of(&app, &user);
    let nothing = json!({});
    let calls = (0..8).map(|_| client.post("/auth/initialize", &nothing));
    let replies = futures_util::future::join_all(calls).await;
    for reply in &replies {
        reply
            .clone()
            .expect(200, "{code message data{org_id is_new_org}}");
        assert_eq!(reply.str("/data/org_id"), replies[0].str("/data/org_id"));
    }
    assert_eq!(
        replies
            .iter()
            .filter(|reply| reply.json["data"]["is_new_org"] == true)
            .count(),
        1
    );
    assert_eq!(
        app.sql_number("SELECT count(*) FROM organizations").await,
        1
    );

    let again = client
        .post("/auth/initialize", &json!({}))
        .await
        .expect_status(200);
    assert_eq!(again.json["data"]["is_new_org"], false);
    let organizations = client.get("/organizations/").await.expect_status(200);
    assert_eq!(organizations.str("/data/0/id"), again.str("/data/org_id"));
    assert_eq!(
        organizations.str("/data/0/name"),
        "Ada Lovelace's Workspace"
    );
    assert_eq!(
        organizations.str("/data/0/slug"),
        format!("personal-{}", user.id)
    );
    let members = client
        .get(&format!(
            "/organizations/{}/members",
            again.str("/data/org_id")
        ))
        .await;
    assert_eq!(members.str("/data/0/role"), "owner");
    let me = client.get("/profile/me").await.expect_status(200);
    assert_eq!(me.str("/data/default_org_id"), again.str("/data/org_id"));
    app.stop().await;
}

#[tokio::test]
async fn initialize_keeps_the_organization_a_user_has() {
    let app = TestApp::start().await;
    let org = app.organization("Acme").await;
    let user = app.user("ada@example.com").await;
    app.member(&org, &user, Role::Member).await;
    let reply = of(&app, &user)
        .post("/auth/initialize", &json!({}))
        .await
        .expect_status(200);
    assert_eq!(
        reply.json["data"],
        json!({"org_id": org, "is_new_org": false})
    );
    app.stop().await;
}

#[tokio::test]
async fn credentials_of_the_wrong_kind_are_refused() {
    let app = TestApp::start().await;
    let org = app.organization("Acme").await;
    let user = app.user("ada@example.com").await;
    app.member(&org, &user, Role::Owner).await;
    let tenant_key = app.tenant_key(&org).await;
    let payment_key = app.payment_key(&org).await;
    let deploy_token = app.deploy_token(&user);
    for credential in [
        tenant_key.as_str(),
        payment_key.as_str(),
        deploy_token.as_str(),
        "cli_unknown",
        "x",
    ] {
        let reply = app
            .puppyone()
            .bearer(credential)
            .get("/organizations/")
            .await
            .expect(401, ERROR);
        assert_eq!(reply.str("/code"), "UNAUTHORIZED");
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
    }
    for header in ["", "Bearer", "Basic YTpi", &app.workspace_token(&user)] {
        app.puppyone()
            .header("authorization", header)
            .get("/organizations/")
            .await
            .expect(401, ERROR);
    }
    app.puppyone()
        .get("/organizations/")
        .await
        .expect(401, ERROR);
    app.stop().await;
}
