//! `/organizations/{org_id}/invite`, `/invitations` and `/organizations/invitations/{token}/accept`.

use chrono::{TimeDelta, Utc};
use pulpo::{clock::Clock, identity::memberships::Role};
use serde_json::json;

use super::{ERROR, Team, of, printed};
use crate::support::{Reply, TestApp};

const INVITATION: &str =
    "{code message data{id email role status expires_at created_at token accept_url}}";
const LIST: &str = "{code message data[{id email role status expires_at created_at}]}";
const MEMBERSHIP: &str = "{code message data{org_id user_id role}}";

fn accept_path(invited: &Reply) -> String {
    format!(
        "/organizations/invitations/{}/accept",
        invited.str("/data/token")
    )
}

#[tokio::test]
async fn an_invitation_is_sent_listed_and_accepted_once() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    let owner = of(&app, &team.owner);
    let invited = owner
        .post(
            &team.path("/invite"),
            &json!({"email": "Stranger@Example.com"}),
        )
        .await
        .expect(200, INVITATION);
    assert_eq!(invited.str("/data/email"), "stranger@example.com");
    assert_eq!(invited.str("/data/role"), "member");
    assert_eq!(invited.str("/data/status"), "pending");
    assert!(invited.str("/data/token").len() >= 43);
    assert!(
        invited
            .str("/data/accept_url")
            .ends_with(&accept_path(&invited))
    );
    let at = |pointer| chrono::DateTime::parse_from_rfc3339(invited.str(pointer)).unwrap();
    assert_eq!(
        at("/data/expires_at") - at("/data/created_at"),
        TimeDelta::days(7)
    );

    let list = owner
        .get(&team.path("/invitations"))
        .await
        .expect(200, LIST);
    assert_eq!(list.str("/data/0/id"), invited.str("/data/id"));
    assert!(!list.text.contains(invited.str("/data/token")));

    // Somebody else cannot use it.
    let bob = app.user("bob@example.com").await;
    of(&app, &bob)
        .post(&accept_path(&invited), &json!({}))
        .await
        .expect(403, ERROR);

    let accepted = of(&app, &team.stranger)
        .post(&accept_path(&invited), &json!({}))
        .await
        .expect(200, MEMBERSHIP);
    let expected =
        json!({"org_id": team.org, "user_id": printed(&team.stranger), "role": "member"});
    assert_eq!(accepted.json["data"], expected);
    of(&app, &team.stranger)
        .get(&team.path(""))
        .await
        .expect_status(200);
    of(&app, &team.stranger)
        .post(&accept_path(&invited), &json!({}))
        .await
        .expect(403, ERROR);
    owner
        .get(&team.path("/invitations"))
        .await
        .expect(200, "{code message data[]}");
    let unknown = of(&app, &bob)
        .post("/organizations/invitations/unknown/accept", &json!({}))
        .await;
    assert_eq!(unknown.expect(404, ERROR).str("/code"), "NOT_FOUND");
    app.stop().await;
}

#[tokio::test]
async fn inviting_is_for_owners_and_names_what_is_wrong() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    let body = json!({"email": "new@example.com", "role": "viewer"});
    for user in [&team.member, &team.viewer] {
        of(&app, user)
            .post(&team.path("/invite"), &body)
            .await
            .expect(403, ERROR);
        of(&app, user)
            .get(&team.path("/invitations"))
            .await
            .expect(403, ERROR);
    }
    of(&app, &team.stranger)
        .post(&team.path("/invite"), &body)
        .await
        .expect(404, ERROR);
    of(&app, &team.stranger)
        .get(&team.path("/invitations"))
        .await
        .expect(404, ERROR);

    let owner = of(&app, &team.owner);
    for (body, field) in [
        (json!({}), "email"),
        (json!({"email": "nobody"}), "email"),
        (json!({"email": 1}), "email"),
        (json!({"email": "new@example.com", "role": "owner"}), "role"),
        (json!({"email": "new@example.com", "role": "admin"}), "role"),
    ] {
        let reply = owner
            .post(&team.path("/invite"), &body)
            .await
            .expect(422, "{code message data[]}");
        assert!(
            reply.str("/data/0").starts_with(&format!("{field}: ")),
            "{}",
            reply.text
        );
    }
    let member = owner
        .post(
            &team.path("/invite"),
            &json!({"email": "member@example.com"}),
        )
        .await;
    assert!(
        (400..410).contains(&member.status),
        "{}: {}",
        member.status,
        member.text
    );
    assert_eq!(app.sql_number("SELECT count(*) FROM invitations").await, 0);
    app.stop().await;
}

#[tokio::test]
async fn a_newer_invitation_replaces_the_older() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    let owner = of(&app, &team.owner);
    let email = json!({"email": "stranger@example.com", "role": "viewer"});
    let first = owner
        .post(&team.path("/invite"), &email)
        .await
        .expect(200, INVITATION);
    let second = owner
        .post(&team.path("/invite"), &email)
        .await
        .expect(200, INVITATION);
    let list = owner
        .get(&team.path("/invitations"))
        .await
        .expect(200, LIST);
    assert_eq!(list.json["data"].as_array().unwrap().len(), 1);
    assert_eq!(list.str("/data/0/id"), second.str("/data/id"));
    of(&app, &team.stranger)
        .post(&accept_path(&first), &json!({}))
        .await
        .expect(403, ERROR);
    let accepted = of(&app, &team.stranger)
        .post(&accept_path(&second), &json!({}))
        .await
        .expect(200, MEMBERSHIP);
    assert_eq!(accepted.str("/data/role"), "viewer");
    app.stop().await;
}

#[tokio::test]
async fn an_invitation_expires_after_seven_days() {
    let clock = Clock::fixed(Utc::now());
    let app = TestApp::builder().clock(&clock).start().await;
    let team = Team::new(&app).await;
    let invited = of(&app, &team.owner)
        .post(
            &team.path("/invite"),
            &json!({"email": "stranger@example.com"}),
        )
        .await;
    clock.set(clock.now() + TimeDelta::days(7));
    let refused = of(&app, &team.stranger)
        .post(&accept_path(&invited), &json!({}))
        .await
        .expect(403, ERROR);
    assert_eq!(refused.str("/code"), "FORBIDDEN");
    of(&app, &team.owner)
        .get(&team.path("/invitations"))
        .await
        .expect(200, "{code message data[]}");
    app.stop().await;
}

#[tokio::test]
async fn seats_are_never_exceeded() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    let owner = of(&app, &team.owner);
    let mut invited = Vec::new();
    // Three of five seats are taken; both others are fought for by three.
    for name in ["x", "y", "z"] {
        let user = app.user(&format!("{name}@example.com")).await;
        let reply = owner
            .post(&team.path("/invite"), &json!({"email": user.email}))
            .await
            .expect(200, INVITATION);
        invited.push((of(&app, &user), accept_path(&reply)));
    }
    let body = json!({});
    let accepts = invited
        .iter()
        .map(|(client, path)| client.post(path, &body));
    let mut statuses: Vec<u16> = futures_util::future::join_all(accepts)
        .await
        .into_iter()
        .map(|reply| reply.status)
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 403]);
    let members = format!(
        "SELECT count(*) FROM memberships WHERE org_id = '{}'",
        team.org
    );
    assert_eq!(app.sql_number(&members).await, 5);
    let full = owner
        .post(&team.path("/invite"), &json!({"email": "late@example.com"}))
        .await
        .expect(403, ERROR);
    assert_eq!(full.str("/code"), "FORBIDDEN");
    app.stop().await;
}

#[tokio::test]
async fn an_invitation_by_a_member_of_two_organizations_leads_to_the_right_one() {
    let app = TestApp::start().await;
    let team = Team::new(&app).await;
    let other = app.organization("Other").await;
    app.member(&other, &team.owner, Role::Owner).await;
    let invite = format!("/organizations/{other}/invite");
    let invited = of(&app, &team.owner)
        .post(&invite, &json!({"email": "stranger@example.com"}))
        .await
        .expect_status(200);
    let accepted = of(&app, &team.stranger)
        .post(&accept_path(&invited), &json!({}))
        .await
        .expect(200, MEMBERSHIP);
    assert_eq!(accepted.str("/data/org_id"), other);
    of(&app, &team.stranger)
        .get(&team.path(""))
        .await
        .expect(404, ERROR);
    app.stop().await;
}
