//! Forms: fields by the names of query parameters, files with their name and type.

use bytes::Bytes;

use super::output::in_front_of;
use crate::{
    gateway::{config, reflected},
    messages::{File, Form, HttpBody},
    running::Program,
    scripted::collecting,
    upstream::{Reflection, Upstream},
};

const MULTIPART: &str = "multipart/form-data; boundary=XX";
const FORM: &str = "application/x-www-form-urlencoded";
const END: &str = "--XX--\r\n";

fn field(name: &str, value: &str) -> String {
    format!("--XX\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(name: &str, file_name: &str, content_type: &str, data: &str) -> String {
    format!(
        "--XX\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
         content-type: {content_type}\r\n\r\n{data}\r\n"
    )
}

#[tokio::test]
async fn fields_and_files_fill_one_message() {
    let (server, seen) = collecting::<Form>().await;
    let program = in_front_of(&server).await;
    let body = [
        field("project", "elsewhere"),
        field("tags", "a"),
        field("tags", "b"),
        file("files", "one.txt", "text/plain", "1"),
        file("files", "two.json", "application/json", "{}"),
        file("picture", "p.png", "image/png", "PNG"),
        file("seal", "s", "application/octet-stream", "\u{1}\u{2}"),
        field("count", "3"),
        END.to_owned(),
    ]
    .concat();
    let sent = program.post("/v1/forms/p", MULTIPART, body).await;
    assert_eq!(sent.status(), 200);
    let of = |name: &str, content_type: &str, data: &str| File {
        name: name.into(),
        content_type: content_type.into(),
        data: data.into(),
    };
    let expected = Form {
        project: "p".into(),
        tags: vec!["a".into(), "b".into()],
        files: vec![
            of("one.txt", "text/plain", "1"),
            of("two.json", "application/json", "{}"),
        ],
        picture: Some(HttpBody {
            content_type: "image/png".into(),
            data: Bytes::from_static(b"PNG"),
        }),
        seal: vec![1, 2],
        count: 3,
    };
    assert_eq!(*seen.lock().unwrap(), [expected]);
    for (body, reason) in [
        (field("count", "many") + END, "INVALID_PARAMETER"),
        (field("nothing", "1") + END, "INVALID_PARAMETER"),
        (file("count", "a", "a/b", "1") + END, "UNEXPECTED_FILE"),
        (field("count", "1"), "INVALID_BODY"),
    ] {
        let refused = program.post("/v1/forms/p", MULTIPART, body).await;
        assert_eq!(refused.status(), 400);
        let told = refused.text().await.unwrap();
        assert!(told.contains(reason), "{told}");
    }
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_stream_gets_files_in_pieces() {
    let (server, seen) = collecting::<Form>().await;
    let program = in_front_of(&server).await;
    // Longer than one message may be.
    let length = 10 << 20;
    let body = [
        field("tags", "a"),
        file("files", "one.txt", "text/plain", &"1".repeat(length)),
        file("files", "two.txt", "text/plain", ""),
        field("count", "3"),
        END.to_owned(),
    ]
    .concat();
    let sent = program.post("/v1/forms/p:stream", MULTIPART, body).await;
    assert_eq!(sent.status(), 200);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(seen.iter().all(|form| form.project == "p"));
    assert_eq!(seen[0].tags, ["a"]);
    assert_eq!(seen.last().unwrap().count, 3);
    let files: Vec<&File> = seen.iter().flat_map(|form| &form.files).collect();
    let names = files.iter().map(|file| &*file.name);
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    assert_eq!(names, ["one.txt", "two.txt"]);
    let received: usize = files.iter().map(|file| file.data.len()).sum();
    assert_eq!(received, length);
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn url_encoded_fields_fill_one_message() {
    let (server, seen) = collecting::<Form>().await;
    let program = in_front_of(&server).await;
    let fields = "tags=a+b&tags=%C3%BC&count=3";
    let sent = program.post("/v1/forms/p", FORM, fields).await;
    assert_eq!(sent.status(), 200);
    let tags = vec!["a b".to_owned(), "ü".to_owned()];
    let expected = Form {
        project: "p".into(),
        tags,
        count: 3,
        ..Form::default()
    };
    assert_eq!(*seen.lock().unwrap(), [expected]);
    for wrong in ["count=x", "nothing=x"] {
        let refused = program.post("/v1/forms/p", FORM, wrong).await;
        assert_eq!(refused.status(), 400, "{wrong}");
    }
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn messages_without_files_come_as_forms_where_the_surface_says_so() {
    let shop = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&shop.url()));
    let made = async |program: &Program, content_type: &str, body: &str| {
        let made = program.post("/v1/items", content_type, body.to_owned());
        let made = made.await;
        (made.status().as_u16(), made.text().await.unwrap())
    };
    let parts = field("name", "lamp") + &field("priceCents", "7") + END;
    let bodies = [(FORM, "name=lamp&priceCents=7"), (MULTIPART, &parts)];
    for (forms, status) in [(false, 415), (true, 200)] {
        told.surfaces[0].forms = forms;
        let program = Program::start(told.clone()).await;
        for (content_type, body) in bodies {
            let (seen, text) = made(&program, content_type, body).await;
            assert_eq!(seen, status, "{content_type}: {text}");
            if forms {
                assert_eq!(text, r#"{"name":"lamp","priceCents":"7"}"#);
            }
        }
        program.stop().await;
    }
    shop.stop().await;
}
