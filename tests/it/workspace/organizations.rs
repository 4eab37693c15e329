//! `/organizations/` and `/organizations/{org_id}`.

use pulpo::identity::memberships::Role;
use serde_json::{Value, json};

use super::{ERROR, Team, nothing, of};
use crate::support::TestApp;

const ONE: &str =
    "{code message data{id name slug description avatar_url plan seat_limit created_at}}";
const LIST: &str =
    "{code message data[{id name slug description avatar_url plan seat_limit created_at}]}";
const INVALID: &str = "{code message data[]}";

#[tokio::test]
async fn create_list_and_get() {
    let app = TestApp::start().await;
    let user = app.user("ada@example.com").await;
    let client = of(&app, &user);
    client
        .get("/organizations/")
        .await
        .expect(200, "{code message data[]}");

    let body = json!({"name": "My Team", "description": "Team description"});
    let made = client.post("/organizations/", &body).await.expect(201, ONE);
    assert!(made.str("/data/id").starts_with("org_"));
    assert_eq!(made.str("/data/name"), "My Team");
    assert_eq!(made.str("/data/description"), "Team description");
    assert_eq!(made.str("/data/slug"), "my-team");
    assert_eq!(made.str("/data/plan"), "free");
    assert_eq!(made.json["data"]["seat_limit"], 5);
    assert_eq!(made.json["data"]["avatar_url"], Value::Null);

    // The same name again gets another slug; without the trailing slash it is the same route.
    let second = client
        .post("/organizations", &json!({"name": "My Team"}))
        .await
        .expect(201, ONE);
    assert!(
        second.str("/data/slug").starts_with("my-team-"),
        "{}",
        second.text
    );
    assert_eq!(second.json["data"]["description"], Value::Null);

    let list = client.get("/organizations/").await.expect(200, LIST);
    let ids: Vec<&str> = list.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|o| o["id"].as_str())
        .collect();
    assert_eq!(ids, [made.str("/data/id"), second.str("/data/id")]);
    assert_eq!(
        client.get("/organizations").await.expect_status(200).text,
        list.text
    );

    let path = format!("/organizations/{}", made.str("/data/id"));
    let got = client.get(&path).await.expect(200, ONE);
    assert_eq!(got.json["data"], made.json["data"]);
    assert_eq!(
        client
            .get(&format!("{path}/"))
            .await
            .expect_status(200)
            .text,
        got.text
    );
    app.stop().await;
}

#[tokio::test]
async fn create_names_what_is_wrong() {
    let app = TestApp::start().await;
    let user = app.user("ada@example.com").await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "   "}), "name"),
        (json!({"name": "x".repeat(101)}), "name"),
        (json!({"name": 5}), "name"),
        (
            json!({"name": "ok", "description": "x".repeat(2001)}),
            "description",
        ),
    ] {
        let reply = of(&app, &user)
            .post("/organizations/", &body)
            .await
            .expect(422, INVALID);
        assert_eq!(reply.str("/code"), "VALIDATION_ERROR");
        assert!(
            reply.str("/data/0").starts_with(&format!("{field}: ")),
            "{}",
            reply.text
        );
    }
    assert_eq!(
        app.sql_number("SELECT count(*) FROM organizations").await,
        0
    );
    app.stop().await;
}

#[tokio::test]
async fn only_members_see_an_organization() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    for user in [&team.owner, &team.member, &team.viewer] {
        of(&app, user).get(&team.path("")).await.expect(200, ONE);
    }
    let foreign = of(&app, &team.stranger)
        .get(&team.path(""))
        .await
        .expect(404, ERROR);
    let unknown = of(&app, &team.stranger)
        .get("/organizations/org_unknown")
        .await
        .expect(404, ERROR);
    assert_eq!(foreign.text, unknown.text);
    assert_eq!(foreign.str("/code"), "NOT_FOUND");

    // An access key sees its own organisation and nothing else, and changes nothing.
    let other = app.organization("Other").await;
    app.member(&other, &team.owner, Role::Owner).await;
    let key = app
        .puppyone()
        .bearer(&app.access_key(&team.org, &team.owner).await);
    key.get(&team.path("")).await.expect(200, ONE);
    key.get(&format!("/organizations/{other}"))
        .await
        .expect(404, ERROR);
    let list = key.get("/organizations/").await.expect(200, LIST);
    assert_eq!(list.json["data"].as_array().unwrap().len(), 1);
    key.put(&team.path(""), &json!({"name": "Renamed"}))
        .await
        .expect(401, ERROR);
    app.stop().await;
}

#[tokio::test]
async fn update_is_for_owners_and_changes_what_is_given() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    let owner = of(&app, &team.owner);
    let body = json!({"name": "Renamed", "description": "Now with one", "avatar_url": "https://example.com/a.png"});
    let updated = owner.put(&team.path(""), &body).await.expect(200, ONE);
    assert_eq!(updated.str("/data/name"), "Renamed");
    assert_eq!(updated.str("/data/avatar_url"), "https://example.com/a.png");
    let updated = owner
        .put(&team.path(""), &json!({"description": "Another"}))
        .await
        .expect(200, ONE);
    assert_eq!(
        (updated.str("/data/name"), updated.str("/data/description")),
        ("Renamed", "Another")
    );

    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"avatar_url": "javascript:alert(1)"}), "avatar_url"),
        (json!({"description": "x".repeat(2001)}), "description"),
    ] {
        let reply = owner.put(&team.path(""), &body).await.expect(422, INVALID);
        assert!(reply.str("/data/0").starts_with(field), "{}", reply.text);
    }
    for user in [&team.member, &team.viewer] {
        let reply = of(&app, user)
            .put(&team.path(""), &json!({"name": "Mine"}))
            .await
            .expect(403, ERROR);
        assert_eq!(reply.str("/code"), "FORBIDDEN");
    }
    of(&app, &team.stranger)
        .put(&team.path(""), &json!({"name": "Mine"}))
        .await
        .expect(404, ERROR);
    assert_eq!(owner.get(&team.path("")).await.str("/data/name"), "Renamed");
    app.stop().await;
}

#[tokio::test]
async fn delete_is_for_owners_and_never_takes_the_last_one() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    for user in [&team.member, &team.viewer] {
        of(&app, user)
            .delete(&team.path(""))
            .await
            .expect(403, ERROR);
    }
    of(&app, &team.stranger)
        .delete(&team.path(""))
        .await
        .expect(404, ERROR);
    let owner = of(&app, &team.owner);
    let last = owner.delete(&team.path("")).await.expect(403, ERROR);
    assert_eq!(last.str("/code"), "FORBIDDEN");

    owner
        .post("/organizations/", &json!({"name": "Second"}))
        .await
        .expect_status(201);
    let deleted = owner.delete(&team.path("")).await.expect_status(200);
    assert_eq!(deleted.json, nothing());
    owner.get(&team.path("")).await.expect(404, ERROR);
    owner.delete(&team.path("")).await.expect(404, ERROR);
    of(&app, &team.member)
        .get(&team.path(""))
        .await
        .expect(404, ERROR);
    // Whose default it was can go on.
    let me = owner.get("/profile/me").await.expect_status(200);
    assert_eq!(me.json["data"]["default_org_id"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn of_two_deletions_at_once_one_organization_is_left() {
    let app = TestApp::start().await;
    let user = app.user("ada@example.com").await;
    let client = of(&app, &user);
    let mut paths = Vec::new();
    for name in ["One", "Two"] {
        let made = client
            .post("/organizations/", &json!({"name": name}))
            .await
            .expect_status(201);
        paths.push(format!("/organizations/{}", made.str("/data/id")));
    }
    let (one, two) = tokio::join!(client.delete(&paths[0]), client.delete(&paths[1]));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
    assert_eq!(
        app.sql_number("SELECT count(*) FROM organizations").await,
        1
    );
    app.stop().await;
}
