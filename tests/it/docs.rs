//! What every listener tells of its own API: `/openapi.json` and the page at `/docs`.

use reqwest::{Method, Response};

use crate::support::TestApp;

fn listeners(app: &TestApp) -> [(&'static str, String); 5] {
    let addresses = &app.addresses;
    [
        ("PullPush", addresses.pullpush),
        ("Pushpaka", addresses.pushpaka),
        ("PuppyOne", addresses.puppyone),
        ("Pulse", addresses.pulse),
        ("Integrations", addresses.integrations),
    ]
    .map(|(name, address)| (name, format!("http://{address}")))
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    let value = response.headers().get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

async fn ask(app: &TestApp, method: Method, url: String, headers: &[(&str, &str)]) -> Response {
    let mut request = app.http.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listener_describes_its_own_api() {
    let app = TestApp::start().await;
    for (title, base) in listeners(&app) {
        let url = format!("{base}/openapi.json");
        let plain = ask(&app, Method::GET, url.clone(), &[]).await;
        assert_eq!(plain.status(), 200);
        assert_eq!(header(&plain, "content-type"), "application/json");
        assert_eq!(header(&plain, "content-encoding"), "");
        let document: serde_json::Value = plain.json().await.expect("JSON");
        assert_eq!(document["openapi"], "3.1.0");
        let given = document["info"]["title"].as_str().unwrap_or_default();
        assert!(given.starts_with(title), "{given}");

        let takes_gzip = [("accept-encoding", "gzip, br")];
        let packed = ask(&app, Method::GET, url.clone(), &takes_gzip).await;
        assert_eq!(header(&packed, "content-encoding"), "gzip");
        let tag = header(&packed, "etag").to_owned();
        let known = [takes_gzip[0], ("if-none-match", &tag)];
        let again = ask(&app, Method::GET, url.clone(), &known).await;
        assert_eq!(
            (again.status().as_u16(), header(&again, "etag")),
            (304, tag.as_str())
        );
        let head = ask(&app, Method::HEAD, url, &takes_gzip).await;
        assert_eq!(head.status(), 200);
        assert_eq!(
            header(&head, "content-length"),
            header(&packed, "content-length")
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_all_it_needs_and_may_load_nothing_else() {
    let app = TestApp::start().await;
    for (_, base) in listeners(&app) {
        let page = ask(&app, Method::GET, format!("{base}/docs"), &[]).await;
        assert_eq!(page.status(), 200);
        let policy = header(&page, "content-security-policy").to_owned();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(
            !policy.contains("http") && !policy.contains('*'),
            "{policy}"
        );
        assert_eq!(header(&page, "x-content-type-options"), "nosniff");
        let html = page.text().await.expect("a page");
        let linked = html.split('"').filter(|part| part.starts_with("docs/"));
        let mut count = 0;
        for file in linked {
            let found = ask(&app, Method::GET, format!("{base}/{file}"), &[]).await;
            assert_eq!(found.status(), 200, "{file}");
            assert!(!found.text().await.expect("a text").is_empty(), "{file}");
            count += 1;
        }
        assert_eq!(count, 3);
        assert!(!html.contains("http:") && !html.contains("https:"));
    }
    // Everything else keeps the policy of replies that are no pages.
    let missing = ask(
        &app,
        Method::GET,
        format!("http://{}/docs/none", app.addresses.pullpush),
        &[],
    )
    .await;
    assert_eq!(missing.status(), 404);
    assert_eq!(
        header(&missing, "content-security-policy"),
        "default-src 'none'; frame-ancestors 'none'"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_can_be_switched_off() {
    let builder = TestApp::builder().config(|config| config.http.docs = false);
    let app = builder.start().await;
    for path in ["openapi.json", "docs", "docs/start.js"] {
        let url = format!("http://{}/{path}", app.addresses.pullpush);
        assert_eq!(
            ask(&app, Method::GET, url, &[]).await.status(),
            404,
            "{path}"
        );
    }
    app.stop().await;
}
