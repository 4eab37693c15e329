//! The rows of the matrix; those of payments are in `pay`.

use prost::Message;
use pulpo::{
    identity::users,
    proto::pulpo::{
        deploy::v1 as deploy, hub::v1 as hub, r#type::v1::Json, workspace::v1 as workspace,
    },
};
use tonic::Code;
use uuid::Uuid;

use super::{Row, world::World};
use crate::support::PASSWORD;

pub(super) fn row(
    method: &'static str,
    allowed: Code,
    foreign: Option<Code>,
    request: fn(&World) -> Vec<u8>,
) -> Row {
    Row {
        method,
        request,
        allowed,
        foreign,
        bound: None,
    }
}

/// What belongs to somebody else does not exist.
pub(super) const HIDDEN: Option<Code> = Some(Code::NotFound);
/// The hub's document: a key of another tenant is a wrong key.
const WRONG_KEY: Option<Code> = Some(Code::Unauthenticated);

pub(super) fn empty(_: &World) -> Vec<u8> {
    Vec::new()
}

fn user_id(id: Uuid) -> String {
    users::print_id(id)
}

fn hub_rows() -> Vec<Row> {
    let ingest = |w: &World| {
        hub::IngestEventRequest {
            tenant_id: w.org_id.clone(),
            r#type: "order.created".to_owned(),
            external_id: "1".to_owned(),
            payload: Some(Json {
                text: "{}".to_owned(),
            }),
            ..Default::default()
        }
        .encode_to_vec()
    };
    let connect = |w: &World| {
        hub::IngestConnectEventRequest {
            connection_id: w.connection_id.clone(),
            r#type: "order.created".to_owned(),
            external_id: "2".to_owned(),
            payload: Some(Json {
                text: "{}".to_owned(),
            }),
            ..Default::default()
        }
        .encode_to_vec()
    };
    let webhook = |w: &World| {
        hub::ReceiveWebhookRequest {
            tenant_id: w.org_id.clone(),
            connection_id: w.connection_id.clone(),
            body: None,
        }
        .encode_to_vec()
    };
    let rotate = |w: &World| {
        hub::RotateKeyRequest {
            tenant_id: w.org_id.clone(),
        }
        .encode_to_vec()
    };
    vec![
        row(
            "/pulpo.hub.v1.HealthService/CheckLiveness",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.hub.v1.HealthService/CheckReadiness",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.hub.v1.EventService/IngestEvent",
            Code::Ok,
            WRONG_KEY,
            ingest,
        ),
        row(
            "/pulpo.hub.v1.EventService/IngestConnectEvent",
            Code::Ok,
            HIDDEN,
            connect,
        ),
        // Public, and yet refused: the body is not signed.
        row(
            "/pulpo.hub.v1.WebhookService/ReceiveWebhook",
            Code::Unauthenticated,
            None,
            webhook,
        ),
        row(
            "/pulpo.hub.v1.KeyService/RotateKey",
            Code::Ok,
            WRONG_KEY,
            rotate,
        ),
    ]
}

fn deploy_rows() -> Vec<Row> {
    let register = |_: &World| {
        deploy::RegisterRequest {
            email: format!("{}@example.com", Uuid::new_v4().simple()),
            name: "Grace Hopper".to_owned(),
            password: PASSWORD.to_owned(),
        }
        .encode_to_vec()
    };
    let login = |w: &World| {
        deploy::LoginRequest {
            email: w.owner.email.clone(),
            password: PASSWORD.to_owned(),
        }
        .encode_to_vec()
    };
    vec![
        row(
            "/pulpo.deploy.v1.AuthService/Register",
            Code::Ok,
            None,
            register,
        ),
        row("/pulpo.deploy.v1.AuthService/Login", Code::Ok, None, login),
        row(
            "/pulpo.deploy.v1.HealthService/CheckHealth",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.deploy.v1.HealthService/CheckReadiness",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.deploy.v1.HealthService/GetMetrics",
            Code::Ok,
            None,
            empty,
        ),
    ]
}

fn workspace_rows() -> Vec<Row> {
    let login = |w: &World| {
        workspace::LoginRequest {
            email: w.owner.email.clone(),
            password: PASSWORD.to_owned(),
        }
        .encode_to_vec()
    };
    let refresh = |w: &World| {
        workspace::RefreshTokenRequest {
            refresh_token: w.refresh_token.clone(),
        }
        .encode_to_vec()
    };
    let create = |_: &World| {
        workspace::CreateOrganizationRequest {
            name: "New".to_owned(),
            description: None,
        }
        .encode_to_vec()
    };
    let update = |w: &World| {
        workspace::UpdateOrganizationRequest {
            org_id: w.org_id.clone(),
            name: Some("Renamed".to_owned()),
            ..Default::default()
        }
        .encode_to_vec()
    };
    let role = |w: &World| {
        workspace::UpdateMemberRoleRequest {
            org_id: w.org_id.clone(),
            user_id: user_id(w.member.id),
            role: "viewer".to_owned(),
        }
        .encode_to_vec()
    };
    let remove = |w: &World| {
        workspace::RemoveMemberRequest {
            org_id: w.org_id.clone(),
            user_id: user_id(w.member.id),
        }
        .encode_to_vec()
    };
    let invite = |w: &World| {
        workspace::InviteMemberRequest {
            org_id: w.org_id.clone(),
            email: "new@example.com".to_owned(),
            role: None,
        }
        .encode_to_vec()
    };
    // Every message that holds an organisation's id alone has the same bytes.
    let organization = |w: &World| {
        workspace::GetOrganizationRequest {
            org_id: w.org_id.clone(),
        }
        .encode_to_vec()
    };
    let accept = |w: &World| {
        workspace::AcceptInvitationRequest {
            token: w.invited.clone(),
        }
        .encode_to_vec()
    };
    vec![
        row(
            "/pulpo.workspace.v1.AuthService/GetAuthConfig",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.workspace.v1.AuthService/Login",
            Code::Ok,
            None,
            login,
        ),
        row(
            "/pulpo.workspace.v1.AuthService/RefreshToken",
            Code::Ok,
            None,
            refresh,
        ),
        row(
            "/pulpo.workspace.v1.AuthService/Initialize",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.workspace.v1.OrganizationService/ListOrganizations",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.workspace.v1.OrganizationService/CreateOrganization",
            Code::Ok,
            None,
            create,
        ),
        row(
            "/pulpo.workspace.v1.OrganizationService/GetOrganization",
            Code::Ok,
            HIDDEN,
            organization,
        ),
        row(
            "/pulpo.workspace.v1.OrganizationService/UpdateOrganization",
            Code::Ok,
            HIDDEN,
            update,
        ),
        // Payments belong to this organisation, so it cannot be deleted, but its owner may ask.
        row(
            "/pulpo.workspace.v1.OrganizationService/DeleteOrganization",
            Code::FailedPrecondition,
            HIDDEN,
            organization,
        ),
        row(
            "/pulpo.workspace.v1.OrganizationService/ListMembers",
            Code::Ok,
            HIDDEN,
            organization,
        ),
        row(
            "/pulpo.workspace.v1.OrganizationService/UpdateMemberRole",
            Code::Ok,
            HIDDEN,
            role,
        ),
        row(
            "/pulpo.workspace.v1.OrganizationService/RemoveMember",
            Code::Ok,
            HIDDEN,
            remove,
        ),
        // The owner cannot leave, and is told so; a stranger is told that there is nothing to leave.
        row(
            "/pulpo.workspace.v1.OrganizationService/LeaveOrganization",
            Code::PermissionDenied,
            HIDDEN,
            organization,
        ),
        row(
            "/pulpo.workspace.v1.OrganizationService/InviteMember",
            Code::Ok,
            HIDDEN,
            invite,
        ),
        row(
            "/pulpo.workspace.v1.OrganizationService/ListInvitations",
            Code::Ok,
            HIDDEN,
            organization,
        ),
        // The token is the stranger's: they may, the owner, who is a member already, may not.
        row(
            "/pulpo.workspace.v1.OrganizationService/AcceptInvitation",
            Code::PermissionDenied,
            Some(Code::Ok),
            accept,
        ),
        row(
            "/pulpo.workspace.v1.ProfileService/GetProfile",
            Code::Ok,
            None,
            empty,
        ),
    ]
}

fn integrations_rows() -> Vec<Row> {
    vec![
        row(
            "/pulpo.integrations.v1.IntegrationService/ListAvailableIntegrations",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.integrations.v1.IntegrationService/ListIntegrations",
            Code::Ok,
            None,
            empty,
        ),
    ]
}

pub(super) fn rows() -> Vec<Row> {
    [
        hub_rows(),
        deploy_rows(),
        workspace_rows(),
        super::pay::rows(),
        integrations_rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
