//! Requests without a route: what the checks in front of the service learn of them.

use std::convert::Infallible;

use http::{HeaderValue, Request, header};
use pulpo_gateway::{
    fault::{Fault, MethodsAtPath},
    service::Gateway,
};
use tonic::body::Body;
use tower::ServiceExt;

use super::{compiled, request};

#[tokio::test]
async fn requests_without_a_route_tell_the_checks_what_stands_at_their_path() {
    let surface = compiled(None, Some("/unmatched"));
    let item = "/gateway.test.v1.ItemService";
    let xml = |mut request: Request<Body>| {
        let xml = HeaderValue::from_static("application/xml");
        request.headers_mut().insert(header::ACCEPT, xml);
        request
    };
    let both = vec![format!("{item}/GetItem"), format!("{item}/UpdateItem")];
    for (call, status, expected) in [
        (request("POST", "/v1/items/a", "{}"), 405, both),
        (
            xml(request("GET", "/v1/items/a", "")),
            406,
            vec![format!("{item}/GetItem")],
        ),
        (request("GET", "/v1/nothing", ""), 404, Vec::new()),
        (request("GET", "/v1/%zz", ""), 400, Vec::new()),
    ] {
        let check = tower::service_fn(move |call: Request<Body>| {
            let MethodsAtPath(methods) = call.extensions().get().cloned().unwrap();
            let mut paths: Vec<_> = methods.iter().map(|uri| uri.path().to_owned()).collect();
            paths.sort();
            paths.dedup();
            assert_eq!(paths, expected);
            assert_eq!(call.uri().path(), "/unmatched");
            let fault = call.extensions().get::<Fault>().unwrap().clone();
            async move { Ok::<_, Infallible>(fault.to_response()) }
        });
        let gateway = Gateway::new(surface.clone(), check);
        let reply = gateway.oneshot(call).await.unwrap();
        assert_eq!(reply.status(), status);
    }
}
