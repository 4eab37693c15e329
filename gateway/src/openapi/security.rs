//! Which credentials a method takes, from its access rule (`pulpo.options.v1.access`), where the pool knows the option.

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value as Given};
use serde_json::{Map, Value, json};

use super::Credential;
use crate::surface::{list, string};

/// What a method asks of its caller.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Access {
    /// Whether not everyone may call.
    pub(super) needs_credential: bool,
    /// Security requirements, any one of which is enough; empty where everyone may call, and where no credential is known
    /// that the rule names.
    pub(super) requirements: Vec<Value>,
    /// The permission the credential must carry; may be empty.
    pub(super) permission: String,
}

/// Reads the access rule; nothing without one.
pub(super) fn access(
    pool: &DescriptorPool,
    method: &MethodDescriptor,
    credentials: &[Credential],
) -> Option<Access> {
    let option = pool.get_extension_by_name("pulpo.options.v1.access")?;
    let options = method.options();
    if !options.has_extension(&option) {
        return None;
    }
    let rule = options.get_extension(&option).as_message()?.clone();
    let needed = message(&rule, "credentials");
    let Some(needed) = needed else {
        return Some(Access::default());
    };
    let permission = string(&needed, "permission");
    let scopes: Vec<&str> = Some(permission.as_str())
        .filter(|p| !p.is_empty())
        .into_iter()
        .collect();
    let accepted: Vec<String> = list(&needed, "schemes")
        .iter()
        .filter_map(|value| scheme_name(&needed, value))
        .collect();
    let requirements = credentials
        .iter()
        .filter(|credential| accepted.iter().any(|name| name == credential.option))
        .map(|credential| json!({ credential.name: scopes }))
        .collect();
    Some(Access {
        needs_credential: true,
        requirements,
        permission,
    })
}

/// The security schemes that any requirement names.
pub(super) fn schemes(credentials: &[Credential], used: &[String]) -> Map<String, Value> {
    let mut schemes = Map::new();
    for credential in credentials
        .iter()
        .filter(|c| used.iter().any(|name| name == c.name))
    {
        schemes.insert(credential.name.to_owned(), credential.scheme.clone());
    }
    schemes
}

fn message(of: &DynamicMessage, field: &str) -> Option<DynamicMessage> {
    if !of.has_field_by_name(field) {
        return None;
    }
    of.get_field_by_name(field)?.as_message().cloned()
}

fn scheme_name(needed: &DynamicMessage, value: &Given) -> Option<String> {
    use prost_reflect::{Kind, ReflectMessage};
    let field = needed.descriptor().get_field_by_name("schemes")?;
    let Kind::Enum(scheme) = field.kind() else {
        return None;
    };
    let found = scheme.get_value(value.as_enum_number()?)?;
    Some(found.name().to_owned())
}
