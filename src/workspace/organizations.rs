//! Organisations: contract section 3.2. The methods of their members and invitations lead to the files beside this one.

use std::time::SystemTime;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    access::{organization_not_found, require_owner, require_visible},
    invitations, members,
};
use crate::{
    clock::Clock,
    db::{Conn, Db},
    error::{Error, Result},
    identity::{
        Caller, Principal, authenticate, memberships,
        organizations::{self, OrganizationChanges, OrganizationRow},
        rules::Checks,
        users,
    },
    proto::pulpo::workspace::v1::{self as pb, organization_service_server::OrganizationService},
};

/// Most characters of a name.
const MAX_NAME_CHARS: usize = 100;
/// Most characters of a description.
const MAX_DESCRIPTION_CHARS: usize = 2000;
/// Most bytes of an address.
const MAX_URL_BYTES: usize = 2000;

/// Organisations, their members and invitations.
pub struct Organizations {
    /// Where they are.
    pub db: Db,
    /// What time it is.
    pub clock: Clock,
}

#[tonic::async_trait]
impl OrganizationService for Organizations {
    async fn list_organizations(
        &self,
        request: Request<pb::ListOrganizationsRequest>,
    ) -> Result<Response<pb::ListOrganizationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let organizations = list(&self.db, &caller).await?;
        Ok(Response::new(pb::ListOrganizationsResponse {
            organizations,
        }))
    }

    async fn create_organization(
        &self,
        request: Request<pb::CreateOrganizationRequest>,
    ) -> Result<Response<pb::CreateOrganizationResponse>, Status> {
        let user_id = Caller::of(&request)?.user_id()?;
        let organization = create(&self.db, &self.clock, user_id, request.into_inner()).await?;
        Ok(Response::new(pb::CreateOrganizationResponse {
            organization: Some(organization),
        }))
    }

    async fn get_organization(
        &self,
        request: Request<pb::GetOrganizationRequest>,
    ) -> Result<Response<pb::GetOrganizationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let organization = find(&self.db, &caller, &request.into_inner().org_id).await?;
        Ok(Response::new(pb::GetOrganizationResponse {
            organization: Some(organization),
        }))
    }

    async fn update_organization(
        &self,
        request: Request<pb::UpdateOrganizationRequest>,
    ) -> Result<Response<pb::UpdateOrganizationResponse>, Status> {
        let user_id = Caller::of(&request)?.user_id()?;
        let organization = update(&self.db, &self.clock, user_id, request.into_inner()).await?;
        Ok(Response::new(pb::UpdateOrganizationResponse {
            organization: Some(organization),
        }))
    }

    async fn delete_organization(
        &self,
        request: Request<pb::DeleteOrganizationRequest>,
    ) -> Result<Response<pb::DeleteOrganizationResponse>, Status> {
        let user_id = Caller::of(&request)?.user_id()?;
        delete(&self.db, user_id, &request.into_inner().org_id).await?;
        Ok(Response::new(pb::DeleteOrganizationResponse {
            nothing: None,
        }))
    }

    async fn list_members(
        &self,
        request: Request<pb::ListMembersRequest>,
    ) -> Result<Response<pb::ListMembersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let members = members::list(&self.db, &caller, &request.into_inner().org_id).await?;
        Ok(Response::new(pb::ListMembersResponse { members }))
    }

    async fn update_member_role(
        &self,
        request: Request<pb::UpdateMemberRoleRequest>,
    ) -> Result<Response<pb::UpdateMemberRoleResponse>, Status> {
        let caller_id = Caller::of(&request)?.user_id()?;
        let pb::UpdateMemberRoleRequest {
            org_id,
            user_id,
            role,
        } = request.into_inner();
        let member = members::set_role(&self.db, caller_id, &org_id, &user_id, &role).await?;
        Ok(Response::new(pb::UpdateMemberRoleResponse {
            member: Some(member),
        }))
    }

    async fn remove_member(
        &self,
        request: Request<pb::RemoveMemberRequest>,
    ) -> Result<Response<pb::RemoveMemberResponse>, Status> {
        let caller_id = Caller::of(&request)?.user_id()?;
        let pb::RemoveMemberRequest { org_id, user_id } = request.into_inner();
        members::remove(&self.db, &self.clock, caller_id, &org_id, &user_id).await?;
        Ok(Response::new(pb::RemoveMemberResponse { nothing: None }))
    }

    async fn leave_organization(
        &self,
        request: Request<pb::LeaveOrganizationRequest>,
    ) -> Result<Response<pb::LeaveOrganizationResponse>, Status> {
        let user_id = Caller::of(&request)?.user_id()?;
        members::leave(&self.db, &self.clock, user_id, &request.into_inner().org_id).await?;
        Ok(Response::new(pb::LeaveOrganizationResponse {
            nothing: None,
        }))
    }

    async fn invite_member(
        &self,
        request: Request<pb::InviteMemberRequest>,
    ) -> Result<Response<pb::InviteMemberResponse>, Status> {
        let user_id = Caller::of(&request)?.user_id()?;
        let pb::InviteMemberRequest {
            org_id,
            email,
            role,
        } = request.into_inner();
        let invitation = invitations::invite(
            &self.db,
            &self.clock,
            user_id,
            &org_id,
            &email,
            role.as_deref(),
        )
        .await?;
        Ok(Response::new(pb::InviteMemberResponse {
            invitation: Some(invitation),
        }))
    }

    async fn list_invitations(
        &self,
        request: Request<pb::ListInvitationsRequest>,
    ) -> Result<Response<pb::ListInvitationsResponse>, Status> {
        let user_id = Caller::of(&request)?.user_id()?;
        let invitations =
            invitations::list(&self.db, &self.clock, user_id, &request.into_inner().org_id).await?;
        Ok(Response::new(pb::ListInvitationsResponse { invitations }))
    }

    async fn accept_invitation(
        &self,
        request: Request<pb::AcceptInvitationRequest>,
    ) -> Result<Response<pb::AcceptInvitationResponse>, Status> {
        let user_id = Caller::of(&request)?.user_id()?;
        let member =
            invitations::accept(&self.db, &self.clock, user_id, &request.into_inner().token)
                .await?;
        Ok(Response::new(pb::AcceptInvitationResponse {
            member: Some(member),
        }))
    }
}

/// A user's organisations, oldest membership first; the one of an access key.
async fn list(db: &Db, caller: &Caller) -> Result<Vec<pb::Organization>> {
    let mut conn = db.connection().await?;
    let rows = match &caller.principal {
        Principal::Key(key) => organizations::find(&mut conn, &key.org_id)
            .await?
            .into_iter()
            .collect(),
        _ => memberships::organizations_of(&mut conn, caller.user_id()?).await?,
    };
    Ok(rows.into_iter().map(pb::Organization::from).collect())
}

async fn create(
    db: &Db,
    clock: &Clock,
    user_id: Uuid,
    request: pb::CreateOrganizationRequest,
) -> Result<pb::Organization> {
    let pb::CreateOrganizationRequest { name, description } = request;
    check(Some(&name), description.as_deref(), None)?;
    let now = clock.now();
    let row = db
        .transaction("organization_create", async |conn: &mut Conn| {
            // Locked like every change of what a user belongs to: the last organisation is counted under this lock.
            users::lock(conn, user_id)
                .await?
                .ok_or_else(authenticate::invalid)?;
            organizations::create_owned(conn, user_id, name.trim(), description.clone(), now).await
        })
        .await?;
    Ok(row.into())
}

async fn find(db: &Db, caller: &Caller, org_id: &str) -> Result<pb::Organization> {
    let mut conn = db.connection().await?;
    require_visible(&mut conn, caller, org_id).await?;
    let row = organizations::find(&mut conn, org_id)
        .await?
        .ok_or_else(organization_not_found)?;
    Ok(row.into())
}

async fn update(
    db: &Db,
    clock: &Clock,
    user_id: Uuid,
    request: pb::UpdateOrganizationRequest,
) -> Result<pb::Organization> {
    let pb::UpdateOrganizationRequest {
        org_id,
        name,
        description,
        avatar_url,
    } = request;
    check(
        name.as_deref(),
        description.as_deref(),
        avatar_url.as_deref(),
    )?;
    let changes = OrganizationChanges {
        name: name.map(|name| name.trim().to_owned()),
        description,
        avatar_url: avatar_url.map(|url| Some(url).filter(|url| !url.is_empty())),
    };
    let mut conn = db.connection().await?;
    require_owner(&mut conn, &org_id, user_id).await?;
    let row = organizations::update(&mut conn, &org_id, &changes, clock.now()).await?;
    Ok(row.ok_or_else(organization_not_found)?.into())
}

/// Owners only, and never their last one.
async fn delete(db: &Db, user_id: Uuid, org_id: &str) -> Result<()> {
    db.transaction("organization_delete", async |conn: &mut Conn| {
        // Two deletions by one user go one after another, so that the second sees that only one is left.
        users::lock(conn, user_id)
            .await?
            .ok_or_else(authenticate::invalid)?;
        organizations::lock(conn, org_id)
            .await?
            .ok_or_else(organization_not_found)?;
        require_owner(conn, org_id, user_id).await?;
        if memberships::count_of_user(conn, user_id).await? <= 1 {
            return Err(Error::forbidden(
                "LAST_ORGANIZATION",
                "This is your only organization, so it cannot be deleted",
            ));
        }
        organizations::delete(conn, org_id).await
    })
    .await
}

fn check(name: Option<&str>, description: Option<&str>, avatar_url: Option<&str>) -> Result<()> {
    let mut checks = Checks::default();
    if let Some(name) = name {
        checks.length(name, 1, MAX_NAME_CHARS, "name");
    }
    if let Some(description) = description {
        let fits = description.chars().count() <= MAX_DESCRIPTION_CHARS;
        checks.require(
            fits,
            "description",
            format!("must have at most {MAX_DESCRIPTION_CHARS} characters"),
        );
    }
    if let Some(url) = avatar_url {
        checks.require(
            url.is_empty() || is_web_url(url),
            "avatar_url",
            "must be an http or https address",
        );
    }
    checks.finish()
}

fn is_web_url(text: &str) -> bool {
    let Ok(url) = text.parse::<http::Uri>() else {
        return false;
    };
    text.len() <= MAX_URL_BYTES
        && matches!(url.scheme_str(), Some("http" | "https"))
        && url.host().is_some_and(|h| !h.is_empty())
}

impl From<OrganizationRow> for pb::Organization {
    fn from(row: OrganizationRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            slug: row.slug,
            description: row.description,
            avatar_url: row.avatar_url,
            plan: row.plan,
            seat_limit: row.seat_limit.into(),
            created_at: Some(SystemTime::from(row.created_at).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_named() {
        let fields = |result: Result<()>| match result {
            Err(error) => error.violations.into_iter().map(|v| v.field).collect(),
            Ok(()) => Vec::new(),
        };
        let long = "x".repeat(MAX_DESCRIPTION_CHARS + 1);
        assert_eq!(
            fields(check(Some("  "), Some(&long), Some("ftp://x"))),
            ["name", "description", "avatar_url"]
        );
        assert_eq!(
            fields(check(
                Some(&"é".repeat(100)),
                Some(""),
                Some("https://example.com/a.png")
            )),
            [""; 0]
        );
        assert_eq!(
            fields(check(Some(&"x".repeat(101)), None, Some(""))),
            ["name"]
        );
        assert_eq!(fields(check(None, None, None)), [""; 0]);
    }

    #[test]
    fn pictures_are_on_the_web() {
        for wrong in [
            "x",
            "/a.png",
            "javascript:alert(1)",
            "https://",
            "https:///a",
            "http://exa mple.com",
        ] {
            assert!(!is_web_url(wrong), "{wrong}");
        }
        assert!(is_web_url("http://localhost:9090/a?b=c"));
    }
}
