//! The requests that are measured.

use serde_json::json;

use super::servers::Name;
use crate::model::{self, Payment};

/// One kind of request.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What it is, for the results.
    pub(crate) about: &'static str,
    pub(crate) path: &'static str,
    /// POST when there is one, GET otherwise.
    pub(crate) body: Option<String>,
    /// A server without the method is asked at another path.
    pub(crate) envoy_path: Option<&'static str>,
    pub(crate) shape: Shape,
    pub(crate) protocol: Protocol,
    pub(crate) connections: usize,
    pub(crate) gates: Vec<Gate>,
}

/// How the messages of an answer are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One JSON value.
    Single,
    /// One value a line.
    Lines,
    /// Server-sent events.
    Events,
}

impl Shape {
    /// What is sent as Accept.
    pub(crate) fn accept(self) -> &'static str {
        match self {
            Self::Single => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }
}

/// Which HTTP, and so which tool makes the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 by wrk.
    Http1,
    /// HTTP/2 by h2load, eight streams a connection.
    Http2,
}

/// How much less the subject must cost than the rival.
#[derive(Clone, Copy)]
pub(crate) struct Gate {
    pub(crate) subject: Name,
    pub(crate) rival: Name,
    /// Cost of the rival as a multiple of the subject's; without one the figures are only told.
    pub(crate) must: Option<f64>,
    pub(crate) aim: Option<f64>,
}

fn gate(subject: Name, rival: Name, must: f64, aim: f64) -> Gate {
    Gate {
        subject,
        rival,
        must: Some(must),
        aim: Some(aim),
    }
}

fn told(subject: Name, rival: Name) -> Gate {
    Gate {
        subject,
        rival,
        must: None,
        aim: None,
    }
}

/// In process against Envoy, in process against by hand, and the proxy against Envoy.
fn gates(envoy: Option<(f64, f64)>, proxy: Option<(f64, f64)>) -> Vec<Gate> {
    let against = |subject, rival, limits: Option<(f64, f64)>| match limits {
        Some((must, aim)) => gate(subject, rival, must, aim),
        None => told(subject, rival),
    };
    vec![
        against(Name::InProcess, Name::Envoy, envoy),
        gate(Name::InProcess, Name::ByHand, 0.9, 1.0),
        against(Name::Proxy, Name::Envoy, proxy),
    ]
}

fn long_text() -> String {
    let line = "The quick brown fox jumps over the lazy dog; 0123456789. ";
    let mut text = line.repeat((1 << 20) / line.len() + 1);
    text.truncate(1 << 20);
    json!({ "text": text }).to_string()
}

/// All of them, in the order of the results.
pub(crate) fn all() -> Vec<Case> {
    let payment = serde_json::to_string(&Payment::sample(0)).unwrap_or_default();
    let document = format!(r#"{{"name":"order","data":{}}}"#, model::free_json());
    let unary = |name, about, path, body: Option<&String>, gates| Case {
        name,
        about,
        path,
        body: body.cloned(),
        envoy_path: None,
        shape: Shape::Single,
        protocol: Protocol::Http1,
        connections: 16,
        gates,
    };
    let stream = |name, about, shape, gates| Case {
        shape,
        connections: 4,
        ..unary(name, about, "/v1/payments:watch", None, gates)
    };
    let by_hand = gate(Name::InProcess, Name::ByHand, 0.9, 1.0);
    vec![
        unary(
            "echo",
            "a payment of 15 fields back as it came, 375 B each way",
            "/v1/payments:echo",
            Some(&payment),
            gates(Some((6.0, 7.0)), Some((3.0, 4.0))),
        ),
        unary(
            "list",
            "50 payments, 19 KB out",
            "/v1/payments?pageSize=50",
            None,
            gates(Some((8.0, 10.0)), Some((5.0, 7.0))),
        ),
        unary(
            "get",
            "an account by its id, 74 B out",
            "/v1/accounts/acc_01HZX3",
            None,
            gates(Some((5.0, 6.0)), Some((2.2, 2.8))),
        ),
        Case {
            envoy_path: Some("/v1/structs:echo"),
            ..unary(
                "json",
                "4 KB of free JSON back as it came; a `Json`, by hand a `RawValue`, for Envoy a `Struct`",
                "/v1/documents:echo",
                Some(&document),
                gates(None, None),
            )
        },
        Case {
            connections: 4,
            ..unary(
                "text",
                "a string of 1 MiB back as it came",
                "/v1/notes:echo",
                Some(&long_text()),
                gates(None, None),
            )
        },
        stream(
            "ndjson",
            "a stream of 1,000 payments, one a line",
            Shape::Lines,
            vec![
                by_hand,
                told(Name::InProcess, Name::Envoy),
                told(Name::Proxy, Name::Envoy),
            ],
        ),
        stream(
            "events",
            "a stream of 1,000 payments as server-sent events",
            Shape::Events,
            vec![by_hand],
        ),
        Case {
            protocol: Protocol::Http2,
            connections: 4,
            ..unary(
                "http2",
                "the echo again, over HTTP/2",
                "/v1/payments:echo",
                Some(&payment),
                vec![
                    told(Name::InProcess, Name::Envoy),
                    told(Name::InProcess, Name::ByHand),
                    told(Name::Proxy, Name::Envoy),
                ],
            )
        },
    ]
}
