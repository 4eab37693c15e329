//! Somebody who receives webhooks: a real HTTP server that keeps what it gets and answers as it is told.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::watch;

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    count: watch::Sender<usize>,
}

struct State {
    received: Vec<Received>,
    /// For the next requests; 200 when there are no more.
    answers: VecDeque<u16>,
    always: u16,
    text: String,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            received: Vec::new(),
            answers: VecDeque::new(),
            always: 200,
            text: "thanks".to_owned(),
        };
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(state)),
            count: watch::Sender::new(0),
        };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                let service = service_fn(move |request| serving.clone().answer(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        receiver
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut state = self.state.lock().unwrap();
        state.received.push(Received {
            path: head.uri.path().to_owned(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        let status = state.answers.pop_front().unwrap_or(state.always);
        self.count.send_modify(|count| *count += 1);
        let mut response = Response::builder().status(status);
        if (300..400).contains(&status) {
            response = response.header("location", format!("http://{}/elsewhere", self.address));
        }
        Ok(response.body(Full::from(state.text.clone())).unwrap())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came since the last time.
    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.lock().unwrap().received)
    }

    /// Waits until this many requests have come in all.
    pub(crate) async fn wait_for(&self, count: usize) {
        let mut counts = self.count.subscribe();
        let waiting = counts.wait_for(|come| *come >= count);
        let patience = std::time::Duration::from_secs(60);
        tokio::time::timeout(patience, waiting)
            .await
            .expect("requests come")
            .unwrap();
    }

    /// Answers with these from now on, one each, and then with 200.
    pub(crate) fn answer_with(&self, statuses: &[u16]) {
        self.state.lock().unwrap().answers = statuses.iter().copied().collect();
    }

    /// Answers with this one from now on.
    pub(crate) fn always(&self, status: u16) {
        self.state.lock().unwrap().always = status;
    }

    pub(crate) fn text(&self, text: &str) {
        text.clone_into(&mut self.state.lock().unwrap().text);
    }
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The documented scheme: HMAC-SHA256 of `<timestamp>.<body>` under the secret as it was shown.
    #[track_caller]
    pub(crate) fn is_signed_with(&self, secret: &str) {
        let signed = format!("{}.{}", self.header("x-pulse-timestamp"), self.body);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, signed.as_bytes());
        let expected = format!("sha256={}", hex::encode(tag));
        assert_eq!(self.header("x-pulse-signature"), expected);
    }

    /// How many of the Standard Webhooks signatures this secret made; its base64 is the key.
    pub(crate) fn standard_signatures_of(&self, secret: &str) -> usize {
        let (id, at) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
        let tag = hmac::sign(&key, format!("{id}.{at}.{}", self.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(tag));
        let all = self.header("webhook-signature").split(' ');
        all.filter(|signature| *signature == expected).count()
    }
}
