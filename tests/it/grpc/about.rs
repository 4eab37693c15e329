//! What the gRPC door says of itself: reflection and health.

use futures_util::stream;
use pulpo::contract::{Contract, SurfaceName};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb;

use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_every_service() {
    let app = TestApp::start().await;
    let channel = app.channel().await;
    let contract = Contract::load().unwrap();
    let services = SurfaceName::ALL
        .into_iter()
        .flat_map(|surface| contract.services(surface));
    let expected: Vec<String> = services
        .map(|service| service.full_name().to_owned())
        .collect();
    assert!(expected.len() >= 14, "{expected:?}");
    for (version, listed) in [
        ("v1", services_v1(channel.clone()).await),
        ("v1alpha", services_v1alpha(channel.clone()).await),
    ] {
        for service in &expected {
            assert!(
                listed.contains(service),
                "{version} does not list {service}: {listed:?}"
            );
        }
    }
    drop(channel);
    app.stop().await;
}

async fn services_v1(channel: Channel) -> Vec<String> {
    use pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let ask = |message| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let questions = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(
            "pulpo.pay.v1.PaymentService".to_owned(),
        )),
    ];
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client
        .server_reflection_info(stream::iter(questions))
        .await
        .unwrap()
        .into_inner();
    let first = answers.message().await.unwrap().unwrap().message_response;
    let second = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::FileDescriptorResponse(file)) = second else {
        panic!("{second:?}")
    };
    assert!(!file.file_descriptor_proto.is_empty());
    let Some(MessageResponse::ListServicesResponse(list)) = first else {
        panic!("{first:?}")
    };
    list.service
        .into_iter()
        .map(|service| service.name)
        .collect()
}

async fn services_v1alpha(channel: Channel) -> Vec<String> {
    use pb::v1alpha::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client
        .server_reflection_info(stream::iter([question]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("{answer:?}")
    };
    list.service
        .into_iter()
        .map(|service| service.name)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_serving() {
    let app = TestApp::start().await;
    let mut client = HealthClient::new(app.channel().await);
    for service in [
        "",
        "pulpo.pay.v1.PaymentService",
        "pulpo.hub.v1.EventService",
    ] {
        let reply = client
            .check(HealthCheckRequest {
                service: service.to_owned(),
            })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = client
        .check(HealthCheckRequest {
            service: "nobody".to_owned(),
        })
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    drop(client);
    app.stop().await;
}
