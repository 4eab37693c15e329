//! Forms: fields by the names of query parameters, files with their name and type.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::{Status, body::Body};

use super::{File, Form, HttpBody, call, collecting, is_refused, options, post, surface};

async fn submitted(
    path: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> (Response<Body>, Vec<Form>) {
    let (service, seen) = collecting::<Form>();
    let response = call(&surface(options()), service, post(path, content_type, body)).await;
    let seen = seen.lock().unwrap().clone();
    (response, seen)
}

const MULTIPART: &str = "multipart/form-data; boundary=XX";

fn part(name: &str, file: Option<(&str, &str)>, data: &str) -> String {
    let file_name = file
        .map(|(name, _)| format!("; filename=\"{name}\""))
        .unwrap_or_default();
    let media_type = file
        .map(|(_, media_type)| format!("content-type: {media_type}\r\n"))
        .unwrap_or_default();
    format!(
        "--XX\r\ncontent-disposition: form-data; name=\"{name}\"{file_name}\r\n{media_type}\r\n{data}\r\n"
    )
}

fn file(name: &str, content_type: &str, data: &str) -> File {
    File {
        name: name.into(),
        content_type: content_type.into(),
        data: data.into(),
    }
}

#[tokio::test]
async fn fields_and_files_fill_one_message() {
    let body = [
        part("project", None, "elsewhere"),
        part("tags", None, "a"),
        part("tags", None, "b"),
        part("files", Some(("one.txt", "text/plain")), "1"),
        part("files", Some(("two.json", "application/json")), "{}"),
        part("picture", Some(("p.png", "image/png")), "PNG"),
        part(
            "seal",
            Some(("s", "application/octet-stream")),
            "\u{1}\u{2}",
        ),
        part("count", None, "3"),
        "--XX--\r\n".to_owned(),
    ]
    .concat();
    let (response, seen) = submitted("/v1/forms/p", MULTIPART, body).await;
    assert_eq!(response.status(), 200);
    let expected = Form {
        project: "p".into(),
        tags: vec!["a".into(), "b".into()],
        files: vec![
            file("one.txt", "text/plain", "1"),
            file("two.json", "application/json", "{}"),
        ],
        picture: Some(HttpBody {
            content_type: "image/png".into(),
            data: Bytes::from_static(b"PNG"),
        }),
        seal: vec![1, 2],
        count: 3,
    };
    assert_eq!(seen, [expected]);
}

#[tokio::test]
async fn url_encoded_fields_fill_one_message() {
    let form = "application/x-www-form-urlencoded";
    let (response, seen) = submitted("/v1/forms/p", form, "tags=a+b&tags=%C3%BC&count=3").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        (seen[0].count, seen[0].tags.clone()),
        (3, vec!["a b".to_owned(), "ü".to_owned()])
    );
    let (response, _) = submitted("/v1/forms/p", form, "count=x").await;
    is_refused(response, 400, "INVALID_PARAMETER").await;
    let (response, _) = submitted("/v1/forms/p", form, "nothing=x").await;
    is_refused(response, 400, "INVALID_PARAMETER").await;
}

#[tokio::test]
async fn a_stream_gets_files_in_pieces() {
    let body = [
        part("tags", None, "a"),
        part(
            "files",
            Some(("one.txt", "text/plain")),
            &"1".repeat(200_000),
        ),
        part("files", Some(("two.txt", "text/plain")), ""),
        part("count", None, "3"),
        "--XX--\r\n".to_owned(),
    ]
    .concat();
    let (response, seen) = submitted("/v1/forms/p:stream", MULTIPART, body).await;
    assert_eq!(response.status(), 200);
    assert!(seen.iter().all(|form| form.project == "p"));
    assert_eq!(seen[0].tags, ["a"]);
    let files: Vec<&File> = seen.iter().flat_map(|form| &form.files).collect();
    let names: Vec<&str> = files
        .iter()
        .map(|f| &*f.name)
        .filter(|n| !n.is_empty())
        .collect();
    assert_eq!(names, ["one.txt", "two.txt"]);
    assert_eq!(files.iter().map(|f| f.data.len()).sum::<usize>(), 200_000);
    assert_eq!(seen.last().unwrap().count, 3);
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let end = "--XX--\r\n";
    let twice =
        part("seal", Some(("a", "a/b")), "1") + &part("seal", Some(("b", "a/b")), "2") + end;
    let stray = part("count", Some(("a", "a/b")), "1") + end;
    let wrong = part("count", None, "many") + end;
    let unknown = part("nothing", None, "1") + end;
    for (body, reason) in [
        (twice, "INVALID_PARAMETER"),
        (stray, "UNEXPECTED_FILE"),
        (wrong, "INVALID_PARAMETER"),
        (unknown, "INVALID_PARAMETER"),
        (part("count", None, "1"), "INVALID_BODY"),
        ("rubbish".to_owned(), "INVALID_BODY"),
    ] {
        let (response, seen) = submitted("/v1/forms/p", MULTIPART, body).await;
        is_refused(response, 400, reason).await;
        assert!(seen.is_empty());
    }
    let (response, _) = submitted("/v1/forms/p", "multipart/form-data", "x").await;
    is_refused(response, 400, "INVALID_BODY").await;
    let long = part("seal", Some(("a", "a/b")), &"1".repeat(5000)) + end;
    let (response, _) = submitted("/v1/forms/p", MULTIPART, long).await;
    is_refused(response, 413, "BODY_TOO_LARGE").await;
}

#[tokio::test]
async fn what_never_becomes_a_part_is_not_kept() {
    let long_head = format!("--XX\r\nX-A: {}", "a".repeat(64 * 1024));
    for first in [long_head, "a".repeat(64 * 1024)] {
        let read = Arc::new(AtomicUsize::new(0));
        let counted = read.clone();
        let pieces = stream::iter((0..1000).map(move |n| {
            counted.fetch_add(1, Ordering::Relaxed);
            let piece = if n == 0 {
                first.clone()
            } else {
                "a".repeat(64 * 1024)
            };
            Ok::<_, Status>(Frame::data(Bytes::from(piece)))
        }));
        let mut request = post("/v1/forms/p:stream", MULTIPART, "");
        *request.body_mut() = Body::new(StreamBody::new(pieces));
        let (service, _) = collecting::<Form>();
        let response = call(&surface(options()), service, request).await;
        is_refused(response, 400, "INVALID_BODY").await;
        assert!(read.load(Ordering::Relaxed) < 10, "{read:?} pieces");
    }
}

#[tokio::test]
async fn fields_of_one_message_fit_together_or_are_refused() {
    let tags = part("tags", None, &"a".repeat(3000));
    let body = [&*tags, &*tags, "--XX--\r\n"].concat();
    let (response, seen) = submitted("/v1/forms/p:stream", MULTIPART, body).await;
    is_refused(response, 413, "BODY_TOO_LARGE").await;
    assert!(seen.is_empty());
}
