//! Content codings in both directions.

use std::io::{Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use futures_util::stream;
use http_body_util::BodyExt;
use pulpo_gateway::surface::SurfaceOptions;
use tonic::Code;

use super::{
    Line, call, collecting, framed, get, is_refused, lines, options, post, reply, service, surface,
};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn compressing() -> SurfaceOptions {
    SurfaceOptions {
        compress_from_bytes: Some(100),
        ..options()
    }
}

async fn appended(
    coding: &'static str,
    body: Vec<u8>,
) -> (http::Response<tonic::body::Body>, Vec<Line>) {
    let (service, seen) = collecting::<Line>();
    let mut request = post("/v1/logs/l:append", "application/x-ndjson", body);
    request
        .headers_mut()
        .insert("content-encoding", coding.parse().unwrap());
    let response = call(&surface(options()), service, request).await;
    let seen = seen.lock().unwrap().clone();
    (response, seen)
}

#[tokio::test]
async fn compressed_requests_are_read() {
    let body = "{\"id\":1}\n{\"id\":2}\n";
    for coding in ["gzip", "X-GZIP"] {
        let (response, seen) = appended(coding, gzip(body.as_bytes())).await;
        assert_eq!((response.status().as_u16(), seen.len()), (200, 2));
    }
    let zstd = zstd::bulk::compress(body.as_bytes(), 0).unwrap();
    assert_eq!(appended("zstd", zstd).await.1.len(), 2);
    assert_eq!(appended("identity", body.into()).await.1.len(), 2);
    let (response, _) = appended("deflate", body.into()).await;
    is_refused(response, 415, "UNSUPPORTED_CONTENT_ENCODING").await;
    let (response, _) = appended("gzip", body.into()).await;
    is_refused(response, 400, "BODY_UNREADABLE").await;
    let mut cut = gzip(body.as_bytes());
    cut.truncate(cut.len() - 4);
    is_refused(appended("gzip", cut).await.0, 400, "BODY_UNREADABLE").await;
}

#[tokio::test]
async fn a_bomb_is_no_more_than_a_long_body() {
    let bomb = gzip(&vec![b' '; 10_000_000]);
    let mut request = post("/v1/forms/p", "application/json", bomb);
    request
        .headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    let (service, _) = collecting::<Line>();
    is_refused(
        call(&surface(options()), service, request).await,
        413,
        "BODY_TOO_LARGE",
    )
    .await;
}

#[tokio::test]
async fn replies_are_compressed_for_who_accepts_it() {
    let long = || service(|_| async { reply(lines(100), Code::Ok) });
    let surface = surface(compressing());
    let plain = call(&surface, long(), get("/v1/logs/a:watch", &[])).await;
    assert!(!plain.headers().contains_key("content-encoding"));
    assert_eq!(plain.headers()["vary"], "accept-encoding");
    let plain = plain.into_body().collect().await.unwrap().to_bytes();
    let request = get("/v1/logs/a:watch", &[("accept-encoding", "gzip")]);
    let response = call(&surface, long(), request).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let compressed = response.into_body().collect().await.unwrap().to_bytes();
    assert!(compressed.len() < plain.len() / 4);
    let mut back = Vec::new();
    GzDecoder::new(&*compressed).read_to_end(&mut back).unwrap();
    assert_eq!(back, plain);
}

#[tokio::test]
async fn short_replies_stay_as_they_are() {
    let surface = surface(compressing());
    let one = || service(|_| async { reply(lines(1), Code::Ok) });
    let request = get("/v1/lines/a", &[("accept-encoding", "gzip")]);
    let response = call(&surface, one(), request).await;
    assert!(!response.headers().contains_key("content-encoding"));
    assert_eq!(response.headers()["vary"], "accept-encoding");
}

#[tokio::test]
async fn a_strong_tag_of_the_services_own_is_weak_in_a_coding() {
    let tagging = surface(SurfaceOptions {
        has_entity_tags: true,
        ..compressing()
    });
    let untagged = surface(compressing());
    let long = || {
        service(|_| async {
            let line = Line {
                text: "x".repeat(1000),
                ..Line::default()
            };
            let mut response = reply(stream::iter([framed(&line)]), Code::Ok);
            let headers = response.headers_mut();
            headers.insert("etag", "\"v1\"".parse().unwrap());
            response
        })
    };
    for (surface, path) in [
        (&tagging, "/v1/lines/a"),
        (&untagged, "/v1/lines/a"),
        (&untagged, "/v1/logs/a:watch"),
    ] {
        let plain = call(surface, long(), get(path, &[])).await;
        assert_eq!(plain.headers()["etag"], "\"v1\"", "{path}");
        let coded = get(path, &[("accept-encoding", "gzip")]);
        let coded = call(surface, long(), coded).await;
        assert_eq!(coded.headers()["content-encoding"], "gzip", "{path}");
        let tags: Vec<_> = coded.headers().get_all("etag").iter().collect();
        assert_eq!(tags, ["W/\"v1\""], "{path}");
    }
    for known in ["\"v1\"", "W/\"v1\""] {
        for coding in ["gzip", "identity"] {
            let headers = [("accept-encoding", coding), ("if-none-match", known)];
            let again = call(&tagging, long(), get("/v1/lines/a", &headers)).await;
            assert_eq!(again.status(), 304, "{known} {coding}");
        }
    }
}
