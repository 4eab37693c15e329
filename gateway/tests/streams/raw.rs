//! `google.api.HttpBody`: bytes as they are, in and out.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tonic::Code;

use super::{
    HttpBody, Part, call, collecting, framed, get, is_refused, lines, options, post, reply,
    service, surface,
};

fn pieces() -> impl futures_util::Stream<Item = Bytes> + Send + 'static {
    let pieces = [("text/csv", "a,b\n"), ("", "1,2\n"), ("", "")];
    stream::iter(pieces.map(|(content_type, data)| {
        framed(&HttpBody {
            content_type: content_type.into(),
            data: data.into(),
        })
    }))
}

#[tokio::test]
async fn bytes_go_out_as_they_are_under_their_own_type() {
    let download = service(|_| async { reply(pieces(), Code::Ok) });
    // Whatever the client accepts: only the first message tells the type.
    let request = get("/v1/files/f", &[("accept", "image/png")]);
    let response = call(&surface(options()), download, request).await;
    assert_eq!(response.headers()["content-type"], "text/csv");
    assert_eq!(super::text(response).await, "a,b\n1,2\n");
    let empty = service(|_| async { reply(lines(0), Code::Ok) });
    let response = call(&surface(options()), empty, get("/v1/files/f", &[])).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/octet-stream"
    );
    assert_eq!(super::text(response).await, "");
}

#[tokio::test]
async fn bytes_that_fail_early_have_a_status_and_late_ones_break_off() {
    let missing = service(|_| async { reply(lines(0), Code::NotFound) });
    is_refused(
        call(&surface(options()), missing, get("/v1/files/f", &[])).await,
        404,
        "",
    )
    .await;
    let breaking = service(|_| async { reply(pieces(), Code::DataLoss) });
    let response = call(&surface(options()), breaking, get("/v1/files/f", &[])).await;
    assert_eq!(response.status(), 200);
    let collected = http_body_util::BodyExt::collect(response.into_body()).await;
    assert_eq!(collected.unwrap_err().code(), Code::DataLoss);
}

#[tokio::test]
async fn bytes_come_in_pieces_with_type_and_path() {
    let (service, seen) = collecting::<Part>();
    let long = vec![7; 150_000];
    let request = post("/v1/files/f", "image/png", long.clone());
    assert_eq!(
        call(&surface(options()), service, request).await.status(),
        200
    );
    let parts = seen.lock().unwrap().clone();
    assert!(parts.len() > 1 && parts.iter().all(|part| part.name == "f"));
    let bodies: Vec<HttpBody> = parts.into_iter().map(|part| part.body.unwrap()).collect();
    let types: Vec<&str> = bodies.iter().map(|body| &*body.content_type).collect();
    assert!(types[0] == "image/png" && types[1..].iter().all(|text| text.is_empty()));
    assert_eq!(
        bodies
            .iter()
            .flat_map(|body| body.data.to_vec())
            .collect::<Vec<_>>(),
        long
    );
}

#[tokio::test]
async fn a_body_without_bytes_still_says_its_type() {
    let (service, seen) = collecting::<Part>();
    let request = post("/v1/files/f", "image/png", "");
    assert_eq!(
        call(&surface(options()), service, request).await.status(),
        200
    );
    let parts = seen.lock().unwrap().clone();
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].body.as_ref().unwrap().content_type, "image/png");
}

#[tokio::test]
async fn a_late_error_does_not_lose_what_came_before() {
    let breaking = service(|_| async {
        let slow = pieces().chain(stream::iter([Bytes::from_static(b"\0\0\0")]));
        reply(slow, Code::Ok)
    });
    let mut response = call(&surface(options()), breaking, get("/v1/files/f", &[])).await;
    let mut seen = Vec::new();
    let broken = loop {
        match http_body_util::BodyExt::frame(response.body_mut())
            .await
            .unwrap()
        {
            Ok(frame) => seen.extend(frame.into_data().unwrap()),
            Err(status) => break status,
        }
    };
    assert_eq!(
        (seen.as_slice(), broken.code()),
        (b"a,b\n1,2\n".as_slice(), Code::Internal)
    );
}
