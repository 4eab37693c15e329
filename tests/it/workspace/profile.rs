//! `/profile/me`.

use pulpo::identity::memberships::Role;
use serde_json::json;

use super::{of, printed};
use crate::support::TestApp;

const PROFILE: &str = "{code message data{user_id email display_name avatar_url default_org_id has_onboarded onboarded_at \
                       demo_project_id created_at updated_at}}";

#[tokio::test]
async fn me_is_the_user_of_the_token_or_of_the_access_key() {
    let app = TestApp::start().await;
    let org = app.organization("Acme").await;
    let user = app.user("ada@example.com").await;
    let fresh = of(&app, &user)
        .get("/profile/me")
        .await
        .expect(200, PROFILE);
    assert_eq!(fresh.json["data"]["default_org_id"], json!(null));
    assert_eq!(fresh.json["data"]["avatar_url"], json!(null));
    assert_eq!(fresh.json["data"]["has_onboarded"], json!(false));
    assert_eq!(fresh.json["data"]["onboarded_at"], json!(null));
    assert_eq!(fresh.str("/data/user_id"), printed(&user));
    assert_eq!(fresh.str("/data/display_name"), "Ada Lovelace");

    app.member(&org, &user, Role::Viewer).await;
    let key = app.access_key(&org, &user).await;
    assert!(key.starts_with("cli_"));
    let by_key = app
        .puppyone()
        .bearer(&key)
        .get("/profile/me")
        .await
        .expect(200, PROFILE);
    assert_eq!(by_key.str("/data/email"), "ada@example.com");
    assert_eq!(by_key.str("/data/default_org_id"), org);
    // With a slash it is the same place.
    let slash = app
        .puppyone()
        .bearer(&key)
        .get("/profile/me/")
        .await
        .expect_status(200);
    assert_eq!(slash.text, by_key.text);
    app.stop().await;
}
