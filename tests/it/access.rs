//! The access matrix: every rpc of the contract against every kind of caller, over gRPC.
//!
//! One row a method says what it is asked, what a caller who may gets, and what another organisation's caller gets. The
//! access rules themselves come from the contract, so a rule that is loosened or a method that is added shows here.

use std::collections::BTreeSet;

use prost::Message;
use pulpo::{
    contract::{AccessRule, Contract, MethodRule},
    db::Conn,
    hub::admin::NewConnection,
    identity::{
        invitations,
        keys::KeyKind,
        memberships::Role,
        refresh_tokens,
        users::{self, UserRow},
    },
    proto::pulpo::{
        deploy::v1 as deploy,
        hub::v1 as hub,
        options::v1::Scheme,
        pay::v1 as pay,
        r#type::v1::{Decimal, Json},
        workspace::v1 as workspace,
    },
};
use tonic::{Code, Request, Status, transport::Channel};
use uuid::Uuid;

use crate::support::{ALL_PAY_PERMISSIONS, PASSWORD, Raw, TestApp, User, new_key};

/// The permissions of the integrations API.
const INTEGRATION_PERMISSIONS: [&str; 2] = ["INTEGRATIONS.READ", "INTEGRATIONS.WRITE"];

/// Every kind of credential there is.
const SCHEMES: [Scheme; 8] = [
    Scheme::TenantKey,
    Scheme::TenantKeyHeader,
    Scheme::McpKey,
    Scheme::DeployToken,
    Scheme::WorkspaceToken,
    Scheme::AccessKey,
    Scheme::PaymentKey,
    Scheme::IntegrationToken,
];

/// A method in the matrix.
struct Row {
    method: &'static str,
    /// The request of a caller who may.
    request: fn(&World) -> Vec<u8>,
    /// What that caller gets.
    allowed: Code,
    /// What a caller of another organisation gets for the same request, where it names something of the first.
    foreign: Option<Code>,
}

/// An organisation with everything a request can name, and a stranger beside it.
struct World<'a> {
    app: &'a TestApp,
    org_id: String,
    owner: User,
    member: User,
    invited: String,
    connection_id: String,
    refresh_token: String,
    transaction_id: String,
    policy_id: String,
    stranger_org_id: String,
    stranger: User,
}

/// A credential as it stands in a request.
struct Credential {
    header: &'static str,
    value: String,
}

impl<'a> World<'a> {
    /// `template` is a user whose password hash the others share; hashing is slow.
    async fn new(app: &'a TestApp, template: &UserRow) -> Self {
        let (owner, member, stranger) = (
            user(app, template).await,
            user(app, template).await,
            user(app, template).await,
        );
        let org_id = app.organization("Acme").await;
        app.member(&org_id, &owner, Role::Owner).await;
        app.member(&org_id, &member, Role::Member).await;
        // An owner may not delete their only organisation.
        let second = app.organization("Second").await;
        app.member(&second, &owner, Role::Owner).await;
        let stranger_org_id = app.organization("Stranger").await;
        app.member(&stranger_org_id, &stranger, Role::Owner).await;

        app.wallet(&org_id, "agent-a", "USD", 100_000).await;
        let key = app.payment_key(&org_id).await;
        let policy_id = app
            .policy(&key, &serde_json::json!({"policy_name": "All"}))
            .await;
        let payment =
            serde_json::json!({"requesting_agent_id": "agent-a", "amount": 1, "tx_type": "t"});
        let paid = app
            .pulse()
            .bearer(&key)
            .post("/payments/request", &payment)
            .await
            .expect_status(200);

        let now = app.app.clock.now();
        let mut conn = app.app.db.connection().await.unwrap();
        let refresh_token = refresh_tokens::start(&mut conn, owner.id, now)
            .await
            .unwrap();
        let invited = invitations::replace(
            &mut conn,
            &org_id,
            &stranger.email,
            Role::Member,
            owner.id,
            now,
        )
        .await
        .unwrap()
        .1;
        let connection_id = connection(app, &org_id).await;
        let transaction_id = paid.str("/transaction_id").to_owned();
        Self {
            app,
            org_id,
            owner,
            member,
            invited,
            connection_id,
            refresh_token,
            transaction_id,
            policy_id,
            stranger_org_id,
            stranger,
        }
    }

    /// A good credential of the owner's organisation.
    async fn own(&self, scheme: Scheme) -> Credential {
        self.credential(scheme, &self.org_id, &self.owner).await
    }

    /// A good credential of the other organisation.
    async fn foreign(&self, scheme: Scheme) -> Credential {
        self.credential(scheme, &self.stranger_org_id, &self.stranger)
            .await
    }

    async fn credential(&self, scheme: Scheme, org_id: &str, user: &User) -> Credential {
        let app = self.app;
        let bearer = |secret: String| Credential {
            header: "authorization",
            value: format!("Bearer {secret}"),
        };
        match scheme {
            Scheme::TenantKey => bearer(app.tenant_key(org_id).await),
            Scheme::TenantKeyHeader => Credential {
                header: "x-api-key",
                value: app.tenant_key(org_id).await,
            },
            Scheme::McpKey => bearer(crate::support::MCP_KEY.to_owned()),
            Scheme::DeployToken => bearer(app.deploy_token(user)),
            Scheme::WorkspaceToken => bearer(app.workspace_token(user)),
            Scheme::AccessKey => bearer(app.access_key(org_id, user).await),
            Scheme::PaymentKey => bearer(app.payment_key(org_id).await),
            Scheme::IntegrationToken => {
                bearer(app.integration_key(org_id, &INTEGRATION_PERMISSIONS).await)
            }
            Scheme::Unspecified => unreachable!("no rule has it"),
        }
    }

    /// Keys of the organisation with every permission of their API but one.
    async fn lacking(&self, schemes: &[Scheme], permission: &str) -> Vec<Credential> {
        let without = |all: &[&'static str]| {
            all.iter()
                .copied()
                .filter(|&held| held != permission)
                .collect::<Vec<_>>()
        };
        let mut credentials = Vec::new();
        for scheme in schemes {
            let new = match scheme {
                Scheme::PaymentKey => new_key(
                    &self.org_id,
                    KeyKind::Payment,
                    &without(&ALL_PAY_PERMISSIONS),
                ),
                Scheme::IntegrationToken => new_key(
                    &self.org_id,
                    KeyKind::Integration,
                    &without(&INTEGRATION_PERMISSIONS),
                ),
                other => panic!("the matrix does not know how {other:?} could lack {permission}"),
            };
            credentials.push(Credential {
                header: "authorization",
                value: format!("Bearer {}", self.app.key(new).await),
            });
        }
        credentials
    }
}

async fn user(app: &TestApp, template: &UserRow) -> User {
    let id = Uuid::new_v4();
    let row = UserRow {
        id,
        email: format!("{}@example.com", id.simple()),
        ..template.clone()
    };
    users::insert(&mut app.app.db.connection().await.unwrap(), &row)
        .await
        .unwrap();
    User {
        id,
        email: row.email,
    }
}

async fn connection(app: &TestApp, org_id: &str) -> String {
    let now = app.app.clock.now();
    let secrets = app.app.secrets.clone();
    let created = app
        .app
        .db
        .transaction("test_connection", async |conn: &mut Conn| {
            let new = NewConnection {
                org_id: org_id.to_owned(),
                connector_type: "generic".to_owned(),
                name: "Shop".to_owned(),
                direction: "source".to_owned(),
                state: "active".to_owned(),
                config: serde_json::json!({}),
                webhook_secret: Some("secret".to_owned()),
            };
            pulpo::hub::admin::create_connection(conn, &secrets, new, now).await
        });
    created.await.unwrap().id
}

fn row(
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
    }
}

/// What belongs to somebody else does not exist.
const HIDDEN: Option<Code> = Some(Code::NotFound);
/// The hub's document: a key of another tenant is a wrong key.
const WRONG_KEY: Option<Code> = Some(Code::Unauthenticated);

fn empty(_: &World) -> Vec<u8> {
    Vec::new()
}

fn amount() -> Option<Decimal> {
    Some(Decimal {
        value: "1.00".to_owned(),
    })
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

fn pay_rows() -> Vec<Row> {
    let request = |_: &World| {
        pay::RequestPaymentRequest {
            requesting_agent_id: "agent-a".to_owned(),
            amount: amount(),
            tx_type: "vendor_payment".to_owned(),
            ..Default::default()
        }
        .encode_to_vec()
    };
    let payment = |w: &World| {
        pay::GetPaymentRequest {
            id: w.transaction_id.clone(),
        }
        .encode_to_vec()
    };
    let wallet = |_: &World| {
        pay::GetWalletRequest {
            agent_id: "agent-a".to_owned(),
            currency: None,
        }
        .encode_to_vec()
    };
    let fund = |_: &World| {
        pay::FundWalletRequest {
            agent_id: "agent-a".to_owned(),
            amount: amount(),
            ..Default::default()
        }
        .encode_to_vec()
    };
    let create = |_: &World| {
        pay::CreatePolicyRequest {
            policy_name: Some("One".to_owned()),
            agent_id: Some(Uuid::new_v4().to_string()),
            ..Default::default()
        }
        .encode_to_vec()
    };
    let update = |w: &World| {
        let policy = pay::PolicyChange {
            policy_name: Some("Renamed".to_owned()),
            ..Default::default()
        };
        pay::UpdatePolicyRequest {
            id: w.policy_id.clone(),
            policy: Some(policy),
            update_mask: None,
        }
        .encode_to_vec()
    };
    let delete = |w: &World| {
        pay::DeletePolicyRequest {
            id: w.policy_id.clone(),
        }
        .encode_to_vec()
    };
    vec![
        // A stranger's agent of the same name is another agent: no policy, so denied, which is an ordinary answer.
        row(
            "/pulpo.pay.v1.PaymentService/RequestPayment",
            Code::Ok,
            Some(Code::Ok),
            request,
        ),
        row(
            "/pulpo.pay.v1.PaymentService/ListPayments",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.pay.v1.PaymentService/GetPayment",
            Code::Ok,
            HIDDEN,
            payment,
        ),
        row(
            "/pulpo.pay.v1.PaymentService/ListPaymentEvents",
            Code::Ok,
            HIDDEN,
            payment,
        ),
        row(
            "/pulpo.pay.v1.WalletService/ListWallets",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.pay.v1.WalletService/GetWallet",
            Code::Ok,
            HIDDEN,
            wallet,
        ),
        row(
            "/pulpo.pay.v1.WalletService/FundWallet",
            Code::Ok,
            HIDDEN,
            fund,
        ),
        row(
            "/pulpo.pay.v1.WalletService/WithdrawWallet",
            Code::Ok,
            HIDDEN,
            fund,
        ),
        row(
            "/pulpo.pay.v1.PolicyService/ListPolicies",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.pay.v1.PolicyService/CreatePolicy",
            Code::Ok,
            None,
            create,
        ),
        row(
            "/pulpo.pay.v1.PolicyService/UpdatePolicy",
            Code::Ok,
            HIDDEN,
            update,
        ),
        row(
            "/pulpo.pay.v1.PolicyService/DeletePolicy",
            Code::Ok,
            HIDDEN,
            delete,
        ),
        row(
            "/pulpo.pay.v1.PlatformService/CheckHealth",
            Code::Ok,
            None,
            empty,
        ),
        row(
            "/pulpo.pay.v1.PlatformService/GetMeta",
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

fn rows() -> Vec<Row> {
    [
        hub_rows(),
        deploy_rows(),
        workspace_rows(),
        pay_rows(),
        integrations_rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn the_matrix_has_every_method_once() {
    let contract = Contract::load().unwrap();
    let served: BTreeSet<&str> = contract
        .methods()
        .iter()
        .map(|rule| rule.path.as_str())
        .collect();
    let rows = rows();
    let listed: BTreeSet<&str> = rows.iter().map(|row| row.method).collect();
    let uncovered: Vec<_> = served.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&served).collect();
    assert!(
        uncovered.is_empty(),
        "these methods are not in the matrix: {uncovered:#?}"
    );
    assert!(
        unknown.is_empty(),
        "these methods are not in the contract: {unknown:#?}"
    );
    assert_eq!(
        listed.len(),
        rows.len(),
        "a method stands twice in the matrix"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_answers_every_kind_of_caller_as_its_rule_says() {
    let app = TestApp::builder()
        .config(|config| config.rates.scale = 1000)
        .start()
        .await;
    let first = app.user("first@example.com").await;
    let template = users::find(&mut app.app.db.connection().await.unwrap(), first.id)
        .await
        .unwrap()
        .unwrap();
    let contract = Contract::load().unwrap();
    let channel = app.channel().await;
    let mut faults = Vec::new();
    for row in rows() {
        let Some(rule) = contract.method(row.method) else {
            continue;
        };
        let world = World::new(&app, &template).await;
        check(&world, &channel, rule, &row, &mut faults).await;
    }
    assert!(
        faults.is_empty(),
        "{} cells of the matrix are wrong:\n{}",
        faults.len(),
        faults.join("\n")
    );
    app.stop().await;
}

async fn check(
    world: &World<'_>,
    channel: &Channel,
    rule: &MethodRule,
    row: &Row,
    faults: &mut Vec<String>,
) {
    let request = (row.request)(world);
    let mut cell = |caller: String, expected: Code, got: &Result<Vec<u8>, Status>| {
        let code = got.as_ref().map_or_else(Status::code, |_| Code::Ok);
        if code != expected {
            let said = got.as_ref().map_or_else(Status::message, |_| "");
            faults.push(format!(
                "{} {caller}: {code:?} instead of {expected:?} {said}",
                row.method
            ));
        }
    };
    let AccessRule::Credentials {
        schemes,
        permission,
    } = &rule.access
    else {
        let got = call(channel, row.method, &request, None).await;
        cell("without a credential".to_owned(), row.allowed, &got);
        return;
    };
    cell(
        "without a credential".to_owned(),
        Code::Unauthenticated,
        &call(channel, row.method, &request, None).await,
    );
    for scheme in SCHEMES
        .into_iter()
        .filter(|scheme| !schemes.contains(scheme))
    {
        let got = call(
            channel,
            row.method,
            &request,
            Some(&world.own(scheme).await),
        )
        .await;
        cell(format!("with {scheme:?}"), Code::Unauthenticated, &got);
    }
    if !permission.is_empty() {
        for credential in world.lacking(schemes, permission).await {
            let got = call(channel, row.method, &request, Some(&credential)).await;
            cell(
                format!("without {permission}"),
                Code::PermissionDenied,
                &got,
            );
        }
    }
    for &scheme in schemes {
        if let Some(expected) = row.foreign {
            let got = call(
                channel,
                row.method,
                &request,
                Some(&world.foreign(scheme).await),
            )
            .await;
            cell(
                format!("with another organisation's {scheme:?}"),
                expected,
                &got,
            );
        }
    }
    for &scheme in schemes {
        let got = call(
            channel,
            row.method,
            &request,
            Some(&world.own(scheme).await),
        )
        .await;
        cell(format!("with {scheme:?}"), row.allowed, &got);
    }
}

async fn call(
    channel: &Channel,
    method: &'static str,
    request: &[u8],
    credential: Option<&Credential>,
) -> Result<Vec<u8>, Status> {
    let mut request = Request::new(request.to_vec());
    if let Some(Credential { header, value }) = credential {
        request
            .metadata_mut()
            .insert(*header, value.parse().unwrap());
    }
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(method);
    client
        .unary(request, path, Raw)
        .await
        .map(tonic::Response::into_inner)
}
