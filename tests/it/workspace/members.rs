//! `/organizations/{org_id}/members…` and `/leave`.

use pulpo::identity::memberships::Role;
use serde_json::{Value, json};

use super::{ERROR, Team, nothing, of, printed};
use crate::support::TestApp;

const MEMBER: &str = "{code message data{user_id email display_name avatar_url role joined_at}}";
const MEMBERS: &str = "{code message data[{user_id email display_name avatar_url role joined_at}]}";

#[tokio::test]
async fn every_member_sees_the_members() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    for user in [&team.owner, &team.member, &team.viewer] {
        let list = of(&app, user)
            .get(&team.path("/members"))
            .await
            .expect(200, MEMBERS);
        let seen: Vec<(&str, &str)> = list.json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| {
                (
                    member["email"].as_str().unwrap(),
                    member["role"].as_str().unwrap(),
                )
            })
            .collect();
        let expected = [
            ("owner@example.com", "owner"),
            ("member@example.com", "member"),
            ("viewer@example.com", "viewer"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(list.str("/data/0/user_id"), printed(&team.owner));
        assert_eq!(list.json["data"][0]["avatar_url"], Value::Null);
    }
    of(&app, &team.stranger)
        .get(&team.path("/members"))
        .await
        .expect(404, ERROR);
    app.stop().await;
}

#[tokio::test]
async fn owners_change_roles_of_others() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    let path = |user| team.path(&format!("/members/{}/role", printed(user)));
    let owner = of(&app, &team.owner);
    let changed = owner
        .put(&path(&team.member), &json!({"role": "viewer"}))
        .await
        .expect(200, MEMBER);
    assert_eq!(changed.str("/data/role"), "viewer");
    assert_eq!(changed.str("/data/user_id"), printed(&team.member));

    // 403: not their own role, nobody becomes owner, only owners change roles.
    owner
        .put(&path(&team.owner), &json!({"role": "viewer"}))
        .await
        .expect(403, ERROR);
    owner
        .put(&path(&team.member), &json!({"role": "owner"}))
        .await
        .expect(403, ERROR);
    of(&app, &team.viewer)
        .put(&path(&team.member), &json!({"role": "member"}))
        .await
        .expect(403, ERROR);
    // 404: not a member, no such user, no such organisation for this caller.
    owner
        .put(&path(&team.stranger), &json!({"role": "viewer"}))
        .await
        .expect(404, ERROR);
    owner
        .put(
            &team.path("/members/user_unknown/role"),
            &json!({"role": "viewer"}),
        )
        .await
        .expect(404, ERROR);
    of(&app, &team.stranger)
        .put(&path(&team.member), &json!({"role": "member"}))
        .await
        .expect(404, ERROR);
    // 422: no role, or none of the roles.
    for body in [json!({}), json!({"role": "admin"}), json!({"role": 1})] {
        let reply = owner
            .put(&path(&team.member), &body)
            .await
            .expect(422, "{code message data[]}");
        assert!(reply.str("/data/0").starts_with("role: "), "{}", reply.text);
    }
    let list = owner.get(&team.path("/members")).await;
    assert_eq!(
        (list.str("/data/0/role"), list.str("/data/1/role")),
        ("owner", "viewer")
    );
    app.stop().await;
}

#[tokio::test]
async fn owners_remove_others_not_themselves() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    let path = |user| team.path(&format!("/members/{}", printed(user)));
    let owner = of(&app, &team.owner);
    of(&app, &team.viewer)
        .delete(&path(&team.member))
        .await
        .expect(403, ERROR);
    of(&app, &team.stranger)
        .delete(&path(&team.member))
        .await
        .expect(404, ERROR);
    owner.delete(&path(&team.owner)).await.expect(403, ERROR);
    owner.delete(&path(&team.stranger)).await.expect(404, ERROR);

    let key = app.access_key(&team.org, &team.member).await;
    let removed = owner.delete(&path(&team.member)).await.expect_status(200);
    assert_eq!(removed.json, nothing());
    owner.delete(&path(&team.member)).await.expect(404, ERROR);
    of(&app, &team.member)
        .get(&team.path(""))
        .await
        .expect(404, ERROR);
    let me = of(&app, &team.member)
        .get("/profile/me")
        .await
        .expect_status(200);
    assert_eq!(me.json["data"]["default_org_id"], Value::Null);
    // What they could do with an access key of the organisation has ended as well.
    let by_key = app
        .puppyone()
        .bearer(&key)
        .get(&team.path("/members"))
        .await;
    assert!(
        matches!(by_key.status, 401 | 404),
        "{}: {}",
        by_key.status,
        by_key.text
    );
    app.stop().await;
}

#[tokio::test]
async fn members_leave_and_owners_cannot() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    let path = team.path("/leave");
    of(&app, &team.owner)
        .post(&path, &json!({}))
        .await
        .expect(403, ERROR);
    of(&app, &team.stranger)
        .post(&path, &json!({}))
        .await
        .expect(404, ERROR);
    let left = of(&app, &team.member)
        .post(&path, &json!({}))
        .await
        .expect_status(200);
    assert_eq!(left.json, nothing());
    of(&app, &team.member)
        .post(&path, &json!({}))
        .await
        .expect(404, ERROR);
    let list = of(&app, &team.owner).get(&team.path("/members")).await;
    assert_eq!(list.json["data"].as_array().unwrap().len(), 2);
    // They may come back.
    app.member(&team.org, &team.member, Role::Viewer).await;
    of(&app, &team.member)
        .get(&team.path(""))
        .await
        .expect_status(200);
    app.stop().await;
}
