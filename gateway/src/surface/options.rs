//! What a surface is, besides its routes.

use std::{sync::Arc, time::Duration};

use crate::{fault::ErrorFormat, metadata::MetadataRules, profile::JsonProfile};

/// What a surface is, besides its routes. Start from [`SurfaceOptions::new`].
#[derive(Clone)]
pub struct SurfaceOptions {
    /// For logs and metrics.
    pub name: String,
    /// How its JSON looks.
    pub profile: JsonProfile,
    /// What stands around the data of a successful unary reply.
    pub envelope: Option<Envelope>,
    /// How its errors look.
    pub errors: Arc<dyn ErrorFormat>,
    /// Whether every route with a JSON body takes it as a form too. Otherwise only methods do that say so
    /// (`pulpo.options.v1.body`), or whose body has a `pulpo.type.v1.File`.
    pub has_forms: bool,
    /// Whether errors are RFC 9457 problem details for a client that asks for `application/problem+json`.
    pub has_problem_json: bool,
    /// Whether a `google.rpc.DebugInfo` among the details of an error is shown. It may say what is for the service's
    /// operators alone.
    pub has_debug_details: bool,
    /// Whether unary replies to GET carry an entity tag, and a request that knows it gets 304.
    pub has_entity_tags: bool,
    /// The least bytes of a reply worth compressing; none where replies are never compressed.
    pub compress_from_bytes: Option<usize>,
    /// Whether messages to and from the gRPC service may be compressed with gzip: for a service at the other end of a wire.
    pub has_grpc_gzip: bool,
    /// Sizes and times.
    pub limits: Limits,
    /// How long calls may take.
    pub deadlines: Deadlines,
    /// How streams are kept alive.
    pub streams: Streams,
    /// Which headers become metadata, and which metadata headers.
    pub metadata: MetadataRules,
    /// Origins whose pages may open WebSockets here, `*` for all; pages of the host itself always may. Browsers keep no page
    /// from it, so these are best those of CORS.
    pub origins: Vec<String>,
    /// The gRPC path that requests without a route are sent to, with their [`crate::fault::Fault`] as an extension,
    /// so that checks apply to them too. Without it they are answered at once.
    pub unmatched: Option<String>,
}

impl SurfaceOptions {
    /// A surface with the defaults of each part.
    pub fn new(name: impl Into<String>, errors: Arc<dyn ErrorFormat>) -> Self {
        Self {
            name: name.into(),
            profile: JsonProfile::default(),
            envelope: None,
            errors,
            has_forms: false,
            has_problem_json: false,
            has_debug_details: false,
            has_entity_tags: false,
            compress_from_bytes: None,
            has_grpc_gzip: false,
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            streams: Streams::default(),
            metadata: MetadataRules::default(),
            origins: Vec::new(),
            unmatched: None,
        }
    }
}

/// Text around the data of a successful reply.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// Before the data.
    pub prefix: &'static str,
    /// What stands for data that is absent.
    pub absent: &'static str,
    /// After the data.
    pub suffix: &'static str,
}

/// The most a request or a reply may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Header fields of a request, without those that a listener adds to it.
    pub max_headers: usize,
    /// Bytes of a request body that becomes one message, decompressed. Of a stream, bytes of each message.
    pub max_body_bytes: usize,
    /// Bytes of one message of a reply, decompressed.
    pub max_reply_bytes: usize,
    /// How long a request body that becomes one message may take to arrive.
    pub body_timeout: Duration,
    /// How long a request stream may be silent.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    /// 100 headers, 4 MiB in, 64 MiB out, 30 s for a body, 5 minutes of silence.
    fn default() -> Self {
        Self {
            max_headers: 100,
            max_body_bytes: 4 << 20,
            max_reply_bytes: 64 << 20,
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
        }
    }
}

/// How long calls may take. Clients ask with `grpc-timeout` or `X-Server-Timeout`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadlines {
    /// Of a unary call whose client asks for nothing. Streams have none then.
    pub default: Option<Duration>,
    /// The most a client can ask for.
    pub cap: Option<Duration>,
}

/// How streams are kept alive.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    /// After how much silence server-sent events get a comment.
    pub keep_alive: Duration,
    /// After how long a client of server-sent events should connect again; sent to it.
    pub retry: Duration,
    /// How often a WebSocket is pinged; one that does not answer before the next ping is closed.
    pub ping: Duration,
}

impl Default for Streams {
    /// A comment after 15 s, retry after 3 s, a ping every 30 s.
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(15),
            retry: Duration::from_secs(3),
            ping: Duration::from_secs(30),
        }
    }
}
