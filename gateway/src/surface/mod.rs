//! A surface: the REST face of some services, compiled from their descriptors.
//!
//! `options` is what a surface is besides its routes, `annotation` reads what methods say, `compile` makes the
//! routes and their tables, `handle` lets a running
//! gateway change to a newly compiled surface.

mod annotation;
mod compile;
mod handle;
mod options;

use std::sync::OnceLock;

use http::Uri;
use prost_reflect::MessageDescriptor;

use crate::{
    bind::{Binder, FormBinder},
    codec::{Codec, FieldPath, MessageId},
    fault::DetailTypes,
    framing::Framing,
    router::Router,
};

pub(crate) use self::annotation::{list, pattern, string};
pub use self::{
    handle::SurfaceHandle,
    options::{Deadlines, Envelope, Limits, Streams, SurfaceOptions},
};

/// The compiled surface.
pub struct Surface {
    pub(crate) options: SurfaceOptions,
    pub(crate) codec: Codec,
    pub(crate) router: Router<usize>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) unmatched: Option<Uri>,
    pub(crate) details: DetailTypes,
}

impl Surface {
    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Header fields that a request may have.
    pub fn max_headers(&self) -> usize {
        self.options.limits.max_headers
    }
}

/// One route of one method.
pub(crate) struct Endpoint {
    pub(crate) uri: Uri,
    pub(crate) binder: Binder,
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) mask: Option<MaskBinding>,
}

impl Endpoint {
    /// Whether anything of the request's body is read.
    pub(crate) fn has_body(&self) -> bool {
        !self.binder.body().is_none()
    }
}

/// How the request becomes messages.
pub(crate) struct Input {
    pub(crate) is_streaming: bool,
    /// Where a body goes that is taken as it is.
    pub(crate) raw: Option<RawPlace>,
    /// The message that form fields and files fill; none where the body is no ordinary message.
    pub(crate) form: Option<FormTarget>,
}

/// What a form fills: the request, or the field that is its body. Compiled when the first form comes, as most routes never
/// see one.
pub(crate) struct FormTarget {
    id: MessageId,
    pub(crate) message: MessageDescriptor,
    /// The number of the request's field that the form is.
    pub(crate) within: Option<u32>,
    is_strict: bool,
    compiled: OnceLock<FormBinder>,
}

impl FormTarget {
    /// Whether the message has a field made for files.
    fn has_files(&self) -> bool {
        self.message.fields().any(|field| {
            let kind = field.kind();
            kind.as_message()
                .is_some_and(|message| message.full_name() == "pulpo.type.v1.File")
        })
    }

    pub(crate) fn binder(&self, codec: &Codec) -> &FormBinder {
        self.compiled.get_or_init(|| {
            FormBinder::new(codec, self.id, &self.message, self.is_strict, self.within)
        })
    }
}

/// How messages become the reply.
pub(crate) struct Output {
    pub(crate) is_streaming: bool,
    pub(crate) message: MessageId,
    /// The response is this field when it is there, and null when it is not.
    pub(crate) nullable: Option<u32>,
    pub(crate) raw: Option<RawPlace>,
    /// Status of a successful reply.
    pub(crate) status: u16,
    pub(crate) is_bare: bool,
    /// The framing of a stream, where the client has no choice.
    pub(crate) framing: Option<Framing>,
    pub(crate) events: Events,
    /// Where the client is sent by a reply that names an address.
    pub(crate) redirect: Option<Redirect>,
    /// Whether replies get an entity tag.
    pub(crate) is_tagged: bool,
}

/// A reply that sends the client elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Redirect {
    /// The number of the string field with the address; where it is empty the reply is an ordinary one.
    pub(crate) field: u32,
    pub(crate) status: u16,
}

/// What a server-sent event says besides its data.
#[derive(Default)]
pub(crate) struct Events {
    /// The field printed as the event's id; without one events are counted.
    pub(crate) id: Option<FieldPath>,
    /// The field printed as the event's name.
    pub(crate) name: Option<FieldPath>,
    /// Nothing but data: no ids, no retry, no event at the end.
    pub(crate) is_plain: bool,
}

/// Where a `google.api.HttpBody` stands.
#[derive(Clone, Copy)]
pub(crate) enum RawPlace {
    /// It is the whole message.
    Message,
    /// It is the field with this number.
    Field(u32),
}

/// The field that such a mask is.
pub(crate) const UPDATE_MASK: &str = "update_mask";

/// A mask filled from the keys of a PATCH body.
pub(crate) struct MaskBinding {
    pub(crate) body: Option<FieldPath>,
    pub(crate) message: MessageId,
    /// The number of the mask field in the request.
    pub(crate) number: u32,
}
