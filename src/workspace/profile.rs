//! The caller's profile: contract section 3.12.

use std::time::SystemTime;

use tonic::{Request, Response, Status};

use crate::{
    db::Db,
    identity::{
        Caller, authenticate,
        users::{self, UserRow},
    },
    proto::pulpo::workspace::v1::{
        GetProfileRequest, GetProfileResponse, Profile, profile_service_server::ProfileService,
    },
};

/// Profiles of users.
pub struct Profiles {
    /// Where users are.
    pub db: Db,
}

#[tonic::async_trait]
impl ProfileService for Profiles {
    async fn get_profile(
        &self,
        request: Request<GetProfileRequest>,
    ) -> Result<Response<GetProfileResponse>, Status> {
        let user_id = Caller::of(&request)?.user_id()?;
        let mut conn = self.db.connection().await?;
        let user = users::find(&mut conn, user_id)
            .await
            .map_err(crate::error::Error::from)?;
        let user = user.ok_or_else(authenticate::invalid)?;
        Ok(Response::new(GetProfileResponse {
            profile: Some(user.into()),
        }))
    }
}

impl From<UserRow> for Profile {
    fn from(row: UserRow) -> Self {
        Self {
            user_id: users::print_id(row.id),
            email: row.email,
            display_name: row.name,
            avatar_url: row.avatar_url,
            default_org_id: row.default_org_id,
            has_onboarded: row.has_onboarded,
            onboarded_at: row.onboarded_at.map(|at| SystemTime::from(at).into()),
            demo_project_id: row.demo_project_id,
            created_at: Some(SystemTime::from(row.created_at).into()),
            updated_at: Some(SystemTime::from(row.updated_at).into()),
        }
    }
}
