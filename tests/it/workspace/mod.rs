//! The workspace API (puppyone).

mod auth;
mod invitations;
mod members;
mod organizations;
mod profile;

use pulpo::identity::{memberships::Role, users};
use serde_json::{Value, json};

use crate::support::{Client, TestApp, User};

/// The members of every reply.
const ERROR: &str = "{code message data}";

/// An organisation with its owner, a member, a viewer and a stranger.
struct Team {
    org: String,
    owner: User,
    member: User,
    viewer: User,
    stranger: User,
}

impl Team {
    async fn new(app: &TestApp) -> Self {
        let org = app.organization("Acme").await;
        let owner = app.user("owner@example.com").await;
        let member = app.user("member@example.com").await;
        let viewer = app.user("viewer@example.com").await;
        let stranger = app.user("stranger@example.com").await;
        app.member(&org, &owner, Role::Owner).await;
        app.member(&org, &member, Role::Member).await;
        app.member(&org, &viewer, Role::Viewer).await;
        Self {
            org,
            owner,
            member,
            viewer,
            stranger,
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/organizations/{}{rest}", self.org)
    }
}

/// The API as this user sees it.
fn of(app: &TestApp, user: &User) -> Client {
    app.puppyone().bearer(&app.workspace_token(user))
}

/// The id as this API prints it.
fn printed(user: &User) -> String {
    users::print_id(user.id)
}

/// What a successful reply without data says.
fn nothing() -> Value {
    json!({"code": 0, "message": "success", "data": null})
}
