//! Requests as any HTTP client sends them, and what comes back.

use reqwest::{Method, header::HeaderMap};
use serde_json::Value;

use pulpo::contract::SurfaceName;

use super::{described, shape};

/// A client of one API.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    surface: SurfaceName,
    /// With the base path of the document.
    pub(crate) base: String,
    headers: Vec<(String, String)>,
}

/// A reply, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body as it came.
    pub(crate) text: String,
    /// The body as JSON; null if it is none.
    pub(crate) json: Value,
}

impl Client {
    pub(super) fn new(http: reqwest::Client, surface: SurfaceName, base: String) -> Self {
        Self {
            http,
            surface,
            base,
            headers: Vec::new(),
        }
    }

    /// With one more header in every request.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With `Authorization: Bearer …`.
    pub(crate) fn bearer(self, credential: &str) -> Self {
        self.header("authorization", format!("Bearer {credential}"))
    }

    /// A GET.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    /// A DELETE.
    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    /// A POST of JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(body.to_string().into_bytes()))
            .await
    }

    /// A PUT of JSON.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PUT, path, Some(body.to_string().into_bytes()))
            .await
    }

    /// A PATCH of JSON.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, Some(body.to_string().into_bytes()))
            .await
    }

    /// Any request; bytes are sent as `application/json` unless a header says otherwise. The reply is held against the
    /// API's own document.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Reply {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base));
        if let Some(body) = body {
            if !self.headers.iter().any(|(name, _)| name == "content-type") {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.expect("an answer");
        let path = response.url().path().to_owned();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a whole body");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let reply = Reply {
            status,
            headers,
            text,
            json,
        };
        described::check(self.surface, &method, &path, &reply);
        reply
    }
}

impl Reply {
    /// The reply, if it has this status and this [`shape`].
    #[track_caller]
    pub(crate) fn expect(self, status: u16, expected_shape: &str) -> Self {
        assert_eq!(
            (self.status, shape(&self.text).as_str()),
            (status, expected_shape),
            "{}",
            self.text
        );
        self
    }

    /// The reply, if it has this status.
    #[track_caller]
    pub(crate) fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The text of a header; empty without it.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The string at a JSON pointer.
    #[track_caller]
    pub(crate) fn str(&self, pointer: &str) -> &str {
        let value = self.json.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("no string at {pointer} in {}", self.text))
    }
}
