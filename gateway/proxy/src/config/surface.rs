//! What clients see of a surface, in the configuration.

use std::{collections::BTreeMap, time::Duration};

use pulpo_gateway::{
    metadata::{MetadataRules, PassFault, PassList},
    surface::{Deadlines, Limits, Streams},
};
use serde::{Deserialize, Serialize};

use super::{
    Json,
    security::{Requirement, Schemes},
};

/// A surface: some services as REST, Connect, gRPC and gRPC-Web.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Surface {
    /// For logs and metrics.
    pub name: String,
    /// The listeners it is served on; all when empty.
    pub listeners: Vec<String>,
    /// The hosts it is served for, without a port. `*.example.com` stands for every name below; empty for any host that
    /// no other surface is served for.
    pub hosts: Vec<String>,
    /// The upstreams whose services it has; all when empty.
    pub upstreams: Vec<String>,
    /// The full names of its services; all of the upstreams' when empty.
    pub services: Vec<String>,
    /// Whether the Connect protocol is spoken too. Where methods are mapped by themselves it takes the requests that
    /// only Connect's clients send.
    pub connect: bool,
    /// Whether methods without an http rule are `POST /package.Service/Method`.
    pub auto_mapping: bool,
    /// Whether every route with a JSON body takes it as a form too; otherwise only methods that say so.
    pub forms: bool,
    /// The body of errors.
    pub errors: ErrorBody,
    /// Whether a `google.rpc.DebugInfo` among the details of an error is shown.
    pub debug_details: bool,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Bytes of a request body that becomes one message, decompressed; of a stream, of each message.
    pub max_body_bytes: usize,
    /// Bytes of one message of a reply, decompressed.
    pub max_reply_bytes: usize,
    /// How long a request body may take to arrive.
    pub body_timeout_ms: u64,
    /// How long a request stream may be silent.
    pub stream_idle_timeout_ms: u64,
    /// How long a unary call may take whose client asks for nothing; no limit without it.
    pub deadline_ms: Option<u64>,
    /// The most a client can ask for.
    pub deadline_cap_ms: Option<u64>,
    /// The least bytes of a reply worth compressing; replies are not compressed without it.
    pub compress_from_bytes: Option<usize>,
    /// Whether messages to and from the upstream may be compressed with gzip.
    pub grpc_gzip: bool,
    /// Whether replies to GET carry an entity tag, and a request that knows it gets 304.
    pub entity_tags: bool,
    /// Origins that browsers may call and open WebSockets from; `*` for all. Empty means no CORS, and sockets from the host
    /// itself only.
    pub cors_origins: Vec<String>,
    /// Headers of replies that scripts of those origins may read besides the usual ones; `*` for all, which holds for
    /// requests without credentials (the Fetch standard, section 3.2).
    pub cors_exposed: Vec<String>,
    /// What describes it to readers.
    pub docs: Docs,
    /// Which headers pass.
    pub headers: Headers,
    /// How streams are kept alive.
    pub streams: StreamTimes,
    /// How its JSON looks.
    pub json: Json,
}

impl Default for Surface {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            name: String::new(),
            listeners: Vec::new(),
            hosts: Vec::new(),
            upstreams: Vec::new(),
            services: Vec::new(),
            connect: true,
            auto_mapping: false,
            forms: false,
            errors: ErrorBody::default(),
            debug_details: false,
            max_headers: limits.max_headers,
            max_body_bytes: limits.max_body_bytes,
            max_reply_bytes: limits.max_reply_bytes,
            body_timeout_ms: milliseconds(limits.body_timeout),
            stream_idle_timeout_ms: milliseconds(limits.idle_timeout),
            deadline_ms: None,
            deadline_cap_ms: None,
            compress_from_bytes: None,
            grpc_gzip: false,
            entity_tags: false,
            cors_origins: Vec::new(),
            cors_exposed: Vec::new(),
            docs: Docs::default(),
            headers: Headers::default(),
            streams: StreamTimes::default(),
            json: Json::default(),
        }
    }
}

impl Surface {
    /// The most requests and replies may hold.
    pub fn limits(&self) -> Limits {
        Limits {
            max_headers: self.max_headers,
            max_body_bytes: self.max_body_bytes,
            max_reply_bytes: self.max_reply_bytes,
            body_timeout: Duration::from_millis(self.body_timeout_ms),
            idle_timeout: Duration::from_millis(self.stream_idle_timeout_ms),
        }
    }

    /// How long calls may take.
    pub fn deadlines(&self) -> Deadlines {
        Deadlines {
            default: self.deadline_ms.map(Duration::from_millis),
            cap: self.deadline_cap_ms.map(Duration::from_millis),
        }
    }
}

/// The body of errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorBody {
    /// `google.rpc.Status`: code, message, details; `application/problem+json` for clients that ask for that.
    #[default]
    Status,
    /// RFC 9457, always.
    Problem,
}

/// The OpenAPI document at `/openapi.json`, and the page at `/docs` that shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Docs {
    /// Whether they are served; a route of the surface that has their path comes first.
    pub serve: bool,
    /// The name of the API; the surface's without it.
    pub title: Option<String>,
    /// The version of the API.
    pub version: String,
    /// What the API is for, in CommonMark.
    pub text: String,
    /// How callers tell who they are: OpenAPI's Security Scheme Objects by name.
    pub security_schemes: Schemes,
    /// Which of them a call needs: any one of these requirements is enough.
    pub security: Vec<Requirement>,
}

impl Default for Docs {
    fn default() -> Self {
        Self {
            serve: true,
            title: None,
            version: "1".to_owned(),
            text: String::new(),
            security_schemes: Schemes::new(),
            security: Vec::new(),
        }
    }
}

/// Which headers become metadata, and which metadata headers. Patterns are names, `x-*`, `*-bin`, or `*` for everything
/// that may pass at all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Headers {
    /// Request headers that pass; a usual list without it.
    pub requests: Option<Vec<String>>,
    /// Metadata of replies that passes; all of it without it.
    pub replies: Option<Vec<String>>,
    /// Request headers that pass under another name.
    pub rename_requests: BTreeMap<String, String>,
    /// Metadata of replies that passes under another name.
    pub rename_replies: BTreeMap<String, String>,
}

impl Headers {
    /// The rules, or everything that is wrong with them.
    pub fn rules(&self) -> Result<MetadataRules, Vec<PassFault>> {
        let mut faults = Vec::new();
        let usual = MetadataRules::default();
        let rules = MetadataRules {
            requests: list(
                &self.requests,
                &self.rename_requests,
                usual.requests,
                &mut faults,
            ),
            replies: list(
                &self.replies,
                &self.rename_replies,
                usual.replies,
                &mut faults,
            ),
        };
        if faults.is_empty() {
            Ok(rules)
        } else {
            Err(faults)
        }
    }
}

fn list(
    patterns: &Option<Vec<String>>,
    renames: &BTreeMap<String, String>,
    usual: PassList,
    faults: &mut Vec<PassFault>,
) -> PassList {
    let mut list = match patterns {
        Some(_) => PassList::default(),
        None => usual,
    };
    for pattern in patterns.iter().flatten() {
        faults.extend(list.pass(pattern).err());
    }
    for (from, to) in renames {
        faults.extend(list.rename(from, to).err());
    }
    list
}

/// How streams are kept alive.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamTimes {
    /// After how much silence server-sent events get a comment.
    pub keep_alive_ms: u64,
    /// After how long a client of server-sent events should connect again.
    pub retry_ms: u64,
    /// How often a WebSocket is pinged.
    pub ping_ms: u64,
}

impl Default for StreamTimes {
    fn default() -> Self {
        let streams = Streams::default();
        Self {
            keep_alive_ms: milliseconds(streams.keep_alive),
            retry_ms: milliseconds(streams.retry),
            ping_ms: milliseconds(streams.ping),
        }
    }
}

impl From<StreamTimes> for Streams {
    fn from(times: StreamTimes) -> Self {
        Self {
            keep_alive: Duration::from_millis(times.keep_alive_ms),
            retry: Duration::from_millis(times.retry_ms),
            ping: Duration::from_millis(times.ping_ms),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
