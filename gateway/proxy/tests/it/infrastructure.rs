//! gRPC's own services beside those of a server: nobody's business unless somebody names them.

use pulpo_gateway_proxy::{config::Config, run::Proxy};
use tonic::service::Routes;

use crate::{
    gateway::{Gateway, config, reflected},
    scripted,
    server::{ANYWHERE, Reflection, Server},
    upstream::descriptor_set,
};

/// A service of gRPC's own package, with routes.
const SERVICE: &str = "grpc.health.v1.StreamService";
const ITEM: &str = "/v1/items/lamp";
const LINE: &str = "/v1/lines/l";

/// Its descriptors in a file of this name, which is as long as that of the file it is made of.
fn infrastructure(file: &str) -> Vec<u8> {
    let mut set = scripted::changed(|proto| proto.replace("gateway.test.v1", "grpc.health.v1"));
    let own = b"stream.proto";
    assert_eq!(file.len(), own.len());
    let is_own = |place: &usize| set[*place..].starts_with(own);
    let places: Vec<usize> = (0..set.len()).filter(is_own).collect();
    for place in places {
        set[place..place + own.len()].copy_from_slice(file.as_bytes());
    }
    set
}

/// A server that has nothing but reflection of these sets.
async fn described(sets: &[Vec<u8>]) -> Server {
    // Sets one after the other are one set.
    let set = sets.concat();
    Server::start(ANYWHERE, Routes::default(), Reflection::V1, &set).await
}

/// One that lists both and can describe only the shop.
async fn half_described() -> Server {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(&descriptor_set(true))
        .with_service_name(SERVICE)
        .with_service_name("shop.v1.Shop")
        .build_v1()
        .unwrap();
    Server::serve(ANYWHERE, Routes::new(reflection), None).await
}

fn of_both(one: &Server, other: &Server, services: &[&str]) -> Config {
    let mut told = config(reflected(&one.url()));
    let mut second = reflected(&other.url());
    second.name = "other".to_owned();
    told.upstreams.push(second);
    told.surfaces[0].services = services.iter().map(|s| (*s).to_owned()).collect();
    told
}

/// Whether there is a route; nobody answers.
async fn has(gateway: &Gateway, path: &str) -> bool {
    match gateway.get(path).await.status().as_u16() {
        404 => false,
        501 => true,
        status => panic!("{path}: {status}"),
    }
}

#[tokio::test]
async fn upstreams_may_describe_it_in_other_files() {
    let one = described(&[descriptor_set(true), infrastructure("health.proto")]).await;
    let other = described(&[scripted::descriptor_set(), infrastructure("checks.proto")]).await;
    let gateway = Gateway::start(of_both(&one, &other, &[])).await;
    assert!(has(&gateway, ITEM).await);
    assert!(has(&gateway, LINE).await);
    gateway.stop().await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn it_is_served_where_it_is_named() {
    let server = described(&[descriptor_set(true), infrastructure("health.proto")]).await;
    for (services, has_it) in [(&[][..], false), (&[SERVICE, "shop.v1.Shop"], true)] {
        let mut told = config(reflected(&server.url()));
        told.surfaces[0].services = services.iter().map(|s| (*s).to_owned()).collect();
        let gateway = Gateway::start(told).await;
        assert!(has(&gateway, ITEM).await);
        assert_eq!(has(&gateway, LINE).await, has_it);
        gateway.stop().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_need_not_describe_it() {
    let (half, whole) = (
        half_described().await,
        described(&[infrastructure("health.proto")]).await,
    );
    // Unnamed it is not asked for.
    let gateway = Gateway::start(config(reflected(&half.url()))).await;
    assert!(has(&gateway, ITEM).await);
    gateway.stop().await;
    // Named it is whoever's can describe it.
    let services = [SERVICE, "shop.v1.Shop"];
    let gateway = Gateway::start(of_both(&half, &whole, &services)).await;
    assert!(has(&gateway, ITEM).await);
    assert!(has(&gateway, LINE).await);
    gateway.stop().await;
    // And what is wrong where nobody can is told of the service, not of the conversation.
    let mut told = config(reflected(&half.url()));
    told.surfaces[0].services = services.map(str::to_owned).to_vec();
    let refused = Proxy::bind(told).await.err().unwrap().to_string();
    let told = format!("surface shop: no upstream has the service {SERVICE}");
    assert!(refused.contains(&told), "{refused}");
    half.stop().await;
    whole.stop().await;
}
