//! The access matrix: every rpc of the contract against every kind of caller, over gRPC.
//!
//! One row a method says what it is asked, what a caller who may gets, what another organisation's caller gets, and what
//! a payments key gets that is bound to another agent. The access rules themselves come from the contract, so a rule that
//! is loosened or a method that is added shows here.

mod agents;
mod pay;
mod pay_data;
mod rows;
mod world;

use std::collections::BTreeSet;

use pulpo::{
    contract::{AccessRule, Contract, MethodRule},
    identity::users,
    proto::pulpo::options::v1::Scheme,
};
use tonic::{Code, Request, Status, transport::Channel};

use self::{
    rows::rows,
    world::{Credential, World},
};
use crate::support::{Raw, TestApp};

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
    /// What a payments key gets that is bound to an agent the request does not name.
    bound: Option<Code>,
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
        .config(|config| {
            config.rates.scale = 1000;
            config.delivery.allow_private_targets = true;
        })
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
        ..
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
        if let Some(credential) = world.at_wrong_address(scheme).await {
            let got = call(channel, row.method, &request, Some(&credential)).await;
            let caller = format!("with {scheme:?} from a wrong address");
            cell(caller, Code::PermissionDenied, &got);
        }
    }
    if let Some(credential) = world.bound(schemes).await {
        let got = call(channel, row.method, &request, Some(&credential)).await;
        // A row that forgets to say what such a key gets is wrong too.
        let expected = row.bound.unwrap_or(Code::Unknown);
        cell("with a key of another agent".to_owned(), expected, &got);
        let shown = got.unwrap_or_default();
        let agent = world::AGENT.as_bytes();
        if shown.windows(agent.len()).any(|part| part == agent) {
            cell(
                "with a key of another agent, shown".to_owned(),
                Code::PermissionDenied,
                &Ok(shown),
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
