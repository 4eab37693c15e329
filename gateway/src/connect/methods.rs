//! Which methods are answered, and what each needs: compiled once from descriptors.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use http::{Uri, uri::PathAndQuery};
use prost_reflect::{
    DescriptorPool, MethodDescriptor, ServiceDescriptor,
    prost_types::method_options::IdempotencyLevel,
};

use crate::{
    codec::{Codec, MessageId},
    fault::DetailTypes,
    metadata::MetadataRules,
    profile::{JsonProfile, Unknown},
    surface::{Deadlines, Limits},
};

/// What bounds every call, and how its JSON is read.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Sizes and times. A stream's next message must come within the time for silence.
    pub limits: Limits,
    /// How long calls may take. Clients ask with `Connect-Timeout-Ms`.
    pub deadlines: Deadlines,
    /// How JSON is read and written. Clients expect the default: ProtoJSON, of which they may know more than the gateway.
    pub profile: JsonProfile,
    /// Which headers become metadata, and which metadata headers, besides those of the protocol itself.
    pub metadata: MetadataRules,
}

impl Default for ConnectOptions {
    /// The gateway's own limits, no deadline, the usual headers, and ProtoJSON whose unknown fields and enum names are ignored.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            profile: JsonProfile {
                unknown_fields: Unknown::Ignore,
                unknown_enums: Unknown::Ignore,
                ..JsonProfile::default()
            },
            metadata: MetadataRules::default(),
        }
    }
}

/// The methods of some services, by path.
pub struct Methods {
    pub(super) options: ConnectOptions,
    pub(super) codec: Codec,
    /// What error details can be.
    pub(super) details: DetailTypes,
    by_path: HashMap<String, Arc<Method>, RandomState>,
}

/// One method.
pub(super) struct Method {
    pub(super) uri: Uri,
    pub(super) input: MessageId,
    pub(super) output: MessageId,
    pub(super) kind: Kind,
    /// `idempotency_level = NO_SIDE_EFFECTS`: GET is answered too.
    pub(super) is_safe: bool,
}

/// Which sides of a method are streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unary,
    ServerStream,
    ClientStream,
    BidiStream,
}

impl Methods {
    /// Compiles the methods of `services`.
    ///
    /// # Errors
    /// A method whose name is no URI path.
    pub fn compile(
        pool: &DescriptorPool,
        services: &[ServiceDescriptor],
        options: ConnectOptions,
    ) -> Result<Self, String> {
        let methods: Vec<MethodDescriptor> = services
            .iter()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .collect();
        let roots = methods
            .iter()
            .flat_map(|method| [method.input(), method.output()]);
        let codec = Codec::new(pool, options.profile.clone(), roots);
        let by_path = methods
            .iter()
            .map(|method| compile(&codec, method))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            options,
            codec,
            // What is for readers is not printed as an `Any`, and so nothing is held back.
            details: DetailTypes::new(pool, true),
            by_path,
        })
    }

    /// Whether this path is a method's.
    pub fn contains(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    pub(super) fn find(&self, path: &str) -> Option<&Arc<Method>> {
        self.by_path.get(path)
    }
}

fn compile(codec: &Codec, method: &MethodDescriptor) -> Result<(String, Arc<Method>), String> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let uri = PathAndQuery::try_from(path.as_str())
        .map(Uri::from)
        .map_err(|error| format!("{path}: {error}"))?;
    let message = |name: &str| {
        codec
            .message(name)
            .ok_or_else(|| format!("{path}: the codec does not know {name}"))
    };
    let kind = match (method.is_client_streaming(), method.is_server_streaming()) {
        (false, false) => Kind::Unary,
        (false, true) => Kind::ServerStream,
        (true, false) => Kind::ClientStream,
        (true, true) => Kind::BidiStream,
    };
    let compiled = Method {
        uri,
        input: message(method.input().full_name())?,
        output: message(method.output().full_name())?,
        kind,
        is_safe: has_no_side_effects(method),
    };
    Ok((path, Arc::new(compiled)))
}

fn has_no_side_effects(method: &MethodDescriptor) -> bool {
    method
        .method_descriptor_proto()
        .options
        .as_ref()
        .is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects)
}
