//! The details of a `google.rpc.Status`: carried as they came, and printed with their type where it is known.
//!
//! Known are the messages of `google/rpc/error_details.proto` and those of the surface's descriptors. Any other is opaque:
//! its type's name and its bytes. JSON is ProtoJSON whatever a surface's own looks like, as `google.rpc.Status` is a message
//! of its own standing that clients have libraries for.

use std::sync::{LazyLock, OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, prost_types::Any};
use serde_json::value::RawValue;

use crate::{codec::Codec, profile::JsonProfile};

/// Details of one status that are carried; more are left out.
const MAX_DETAILS: usize = 32;
/// Bytes of them, as many as of all headers of a reply.
const MAX_BYTES: usize = 64 * 1024;
/// Bytes of one as JSON. A longer one is opaque, which is at most a third longer than its bytes.
const MAX_JSON_BYTES: usize = 256 * 1024;

const TYPE_PREFIX: &str = "type.googleapis.com/";
const ANY: &str = "google.protobuf.Any";
const DEBUG_INFO: &str = "google.rpc.DebugInfo";

/// Every surface knows these.
static STANDARD_CODEC: LazyLock<Option<Codec>> = LazyLock::new(|| {
    let mut pool = DescriptorPool::global();
    pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .inspect_err(|error| tracing::error!(%error, "the error details have no descriptors"))
        .ok()?;
    codec_of(&pool)
});

static STANDARD: DetailTypes = DetailTypes {
    pool: None,
    shows_debug: false,
    codec: OnceLock::new(),
};

/// One detail: a message with the name of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// `type.googleapis.com/package.Message`.
    pub type_url: String,
    /// The message on the wire.
    pub value: Bytes,
}

impl Detail {
    pub(crate) fn new(name: &str, message: &impl prost::Message) -> Self {
        Self {
            type_url: format!("{TYPE_PREFIX}{name}"),
            value: message.encode_to_vec().into(),
        }
    }

    /// The full name of its type.
    pub fn name(&self) -> &str {
        self.type_url
            .rsplit_once('/')
            .map_or(&self.type_url, |(_, name)| name)
    }

    pub(crate) fn into_any(self) -> Any {
        Any {
            type_url: self.type_url,
            value: self.value.into(),
        }
    }
}

/// The details in `grpc-status-details-bin`. What cannot be read has none: what went wrong is in the code and the message.
pub(crate) fn read(status: &[u8]) -> Vec<Detail> {
    let details = tonic_types::Status::decode(status).map(|status| status.details);
    let details = details.unwrap_or_default().into_iter();
    details
        .map(|any| Detail {
            type_url: any.type_url,
            value: any.value.into(),
        })
        .collect()
}

/// The first of a type; one that is damaged is none, and takes no other with it.
pub(crate) fn find<M: prost::Message + Default>(details: &[Detail], name: &str) -> Option<M> {
    let mut named = details.iter().filter(|detail| detail.name() == name);
    named.find_map(|detail| M::decode(&*detail.value).ok())
}

/// As many as are carried.
pub(crate) fn bounded(details: Vec<Detail>) -> Vec<Detail> {
    let mut bytes = 0;
    details
        .into_iter()
        .filter(|detail| {
            let with_this = bytes + detail.type_url.len() + detail.value.len();
            let fits = with_this <= MAX_BYTES;
            if fits {
                bytes = with_this;
            }
            fits
        })
        .take(MAX_DETAILS)
        .collect()
}

/// Which types of details are known, and which are shown.
pub struct DetailTypes {
    pool: Option<DescriptorPool>,
    shows_debug: bool,
    /// Made when the first detail of such a type comes: most surfaces only ever have the standard ones.
    codec: OnceLock<Option<Codec>>,
}

impl DetailTypes {
    /// Only the standard ones, and no `google.rpc.DebugInfo` is shown.
    pub fn standard() -> &'static Self {
        &STANDARD
    }

    /// The standard ones and those of the pool.
    pub(crate) fn new(pool: &DescriptorPool, shows_debug: bool) -> Self {
        Self {
            pool: Some(pool.clone()),
            shows_debug,
            codec: OnceLock::new(),
        }
    }

    /// Each detail that may be shown, as ProtoJSON has an `Any`; an unknown one as `{"@type": …, "value": base64}`.
    pub fn print(&self, details: &[Detail]) -> Vec<Box<RawValue>> {
        details
            .iter()
            .filter(|detail| self.shows_debug || detail.name() != DEBUG_INFO)
            .filter_map(|detail| self.typed(detail).or_else(|| opaque(detail)))
            .collect()
    }

    fn typed(&self, detail: &Detail) -> Option<Box<RawValue>> {
        let codec = self.codec(detail.name())?;
        let any = detail.clone().into_any().encode_to_vec();
        json(codec, ANY, &any)
    }

    /// The message itself as JSON, where its type is known.
    pub(crate) fn message(&self, detail: &Detail) -> Option<Box<RawValue>> {
        let codec = self.codec(detail.name())?;
        json(codec, detail.name(), &detail.value)
    }

    fn codec(&self, name: &str) -> Option<&Codec> {
        if let Some(codec) = &*STANDARD_CODEC
            && codec.message(name).is_some()
        {
            return Some(codec);
        }
        let pool = self.pool.as_ref()?;
        pool.get_message_by_name(name)?;
        self.codec.get_or_init(|| codec_of(pool)).as_ref()
    }
}

/// A codec of all messages of the pool.
fn codec_of(pool: &DescriptorPool) -> Option<Codec> {
    let any = pool
        .get_message_by_name(ANY)
        .or_else(|| DescriptorPool::global().get_message_by_name(ANY))?;
    Some(Codec::new(pool, JsonProfile::default(), [any]))
}

fn json(codec: &Codec, name: &str, wire: &[u8]) -> Option<Box<RawValue>> {
    let mut json = Vec::new();
    codec
        .write_json(codec.message(name)?, wire, &mut json)
        .ok()?;
    let is_short = json.len() <= MAX_JSON_BYTES;
    RawValue::from_string(String::from_utf8(json).ok().filter(|_| is_short)?).ok()
}

fn opaque(detail: &Detail) -> Option<Box<RawValue>> {
    let value = BASE64.encode(&detail.value);
    let any = serde_json::json!({"@type": detail.type_url, "value": value});
    serde_json::value::to_raw_value(&any).ok()
}
