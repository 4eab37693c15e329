//! Routes for methods that have none: `POST /package.Service/Method` with the request as the body, as Envoy's
//! `auto_mapping` has it.

use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, Value};

use super::Files;

const FILE: &str = "google.protobuf.FileDescriptorProto";

/// The same files, each method without an http rule given one.
pub fn map_unmapped(files: &Files, pool: &DescriptorPool) -> Result<Files, Vec<String>> {
    let fault = |e: &dyn std::fmt::Display| vec![format!("auto_mapping: {e}")];
    let (Some(descriptor), Some(rule)) = (
        pool.get_message_by_name(FILE),
        pool.get_extension_by_name("google.api.http"),
    ) else {
        return Err(fault(&"the set lacks google.protobuf"));
    };
    let mut mapped = Files::default();
    for (name, encoded) in &files.files {
        let mut file = DynamicMessage::decode(descriptor.clone(), encoded.clone())
            .map_err(|e| fault(&format!("{name}: {e}")))?;
        let package = text(&file, "package");
        if let Some(Value::List(services)) = file.get_field_by_name_mut("service") {
            for service in services {
                map_service(service, &package, &rule).map_err(|e| fault(&e))?;
            }
        }
        let encoded = prost::Message::encode_to_vec(&file);
        mapped.files.insert(name.clone(), encoded.into());
    }
    Ok(mapped)
}

fn map_service(
    service: &mut Value,
    package: &str,
    rule: &ExtensionDescriptor,
) -> Result<(), String> {
    let Some(service) = service.as_message_mut() else {
        return Ok(());
    };
    let name = match package {
        "" => text(service, "name"),
        package => format!("{package}.{}", text(service, "name")),
    };
    let Some(Value::List(methods)) = service.get_field_by_name_mut("method") else {
        return Ok(());
    };
    for method in methods {
        let Some(method) = method.as_message_mut() else {
            continue;
        };
        let path = format!("/{name}/{}", text(method, "name"));
        let Some(options) = method
            .get_field_by_name_mut("options")
            .and_then(Value::as_message_mut)
        else {
            continue;
        };
        if options.has_extension(rule) {
            continue;
        }
        options.set_extension(rule, Value::Message(post(rule, path)?));
    }
    Ok(())
}

/// `{post: path, body: "*"}`.
fn post(rule: &ExtensionDescriptor, path: String) -> Result<DynamicMessage, String> {
    let kind = rule.kind();
    let descriptor = kind
        .as_message()
        .ok_or("google.api.http is not a message")?;
    let mut message = DynamicMessage::new(descriptor.clone());
    for (field, value) in [("post", path), ("body", "*".to_owned())] {
        message
            .try_set_field_by_name(field, Value::String(value))
            .map_err(|e| e.to_string())?;
    }
    Ok(message)
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
