//! OpenAPI 3.1 of a surface, from the tables that serve it.
//!
//! What it promises:
//!
//! - Every route of every binding is there, with its parameters, body, success status, reply and error bodies, and the
//!   credentials its access rule asks for. Names, enum values, nulls and which members are always printed are read from
//!   the codec's own tables, error bodies are worded by the surface's own formatter.
//! - The same descriptors give the same text, byte for byte.
//! - Examples fit their schemas.
//!
//! What OpenAPI cannot say is said as well as it can be: `path` has the rules for wildcards; the custom kind `*` stands as
//! GET, PUT, POST, DELETE and PATCH; methods OpenAPI has no word for, and a second operation with the method and the path
//! shape of another, are listed in `x-other-operations` of their path. Members that a request may give as `null` are
//! those with presence; the gateway takes `null` for any member, and either spelling of its name.
//!
//! How it is arranged: `route` reads the bindings, `operation`, `form` and `reply` describe them, `schema`, `known` and `names`
//! give schemas, `errors`, `security`, `comments` and `example` what their names say. `pages` serves the document.

mod behaviour;
mod comments;
mod errors;
mod example;
mod form;
mod known;
mod names;
mod operation;
pub mod pages;
mod path;
mod reach;
mod reply;
mod route;
mod schema;
mod security;

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use prost_reflect::{DescriptorPool, MessageDescriptor, ServiceDescriptor};
use serde_json::{Map, Value, json};

use self::{
    comments::Comments, errors::Errors, example::Examples, operation::Operations, path::Path,
    route::Route, schema::Schemas,
};
use crate::{problem, router::RouteMethod, surface::Surface};

/// The version of the specification a document follows.
pub const OPENAPI_VERSION: &str = "3.1.0";

/// What a surface's document says beyond its descriptors.
#[derive(Clone, Debug)]
pub struct Description {
    /// The name of the API.
    pub title: String,
    /// The version of the API.
    pub version: String,
    /// What the API is for; CommonMark.
    pub text: String,
    /// The JSON Schema of the body of every error.
    pub error_schema: Value,
    /// The credentials that access rules name.
    pub credentials: Vec<Credential>,
    /// What is needed where no access rule says so.
    pub security: Security,
}

/// What the methods of a surface ask of their callers that have no access rule.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// Security Scheme Objects by name.
    pub schemes: Map<String, Value>,
    /// Security Requirement Objects, any one of which is enough; none where nothing is known of them.
    pub requirements: Vec<Value>,
}

/// A credential of an access rule as a client presents it.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The value of the enum `pulpo.options.v1.Scheme`, for example `SCHEME_PAYMENT_KEY`. Several entries for one value
    /// are several ways to present it.
    pub option: &'static str,
    /// The name of the security scheme in the document.
    pub name: &'static str,
    /// The Security Scheme Object.
    pub scheme: Value,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// The document of a surface that was compiled from these services.
pub fn document(
    surface: &Surface,
    pool: &DescriptorPool,
    services: &[ServiceDescriptor],
    description: &Description,
) -> Value {
    let comments = Comments::of_pool(pool);
    let routes = route::routes(surface, pool, services);
    let of_routes = |message: fn(&Route<'_>) -> MessageDescriptor| -> Vec<MessageDescriptor> {
        routes.iter().map(message).collect()
    };
    let (inputs, outputs) = (
        of_routes(|route| route.method.input()),
        of_routes(|route| route.method.output()),
    );
    let profile = &surface.options.profile;
    let schemas = Schemas::new(&surface.codec, profile, &comments, &inputs, &outputs);
    let errors = Errors::new(surface);
    let mut components = schemas.components();
    components.insert(errors::SCHEMA.to_owned(), description.error_schema.clone());
    if surface.options.has_problem_json {
        components.insert(errors::PROBLEM.to_owned(), problem::schema());
    }
    let mut operations = Operations {
        surface,
        pool,
        comments: &comments,
        schemas: &schemas,
        errors: &errors,
        description,
        components,
        schemes: Vec::new(),
    };
    let paths = paths(&routes, surface, &mut operations);
    let Operations {
        components,
        schemes,
        ..
    } = operations;
    let mut security = security::schemes(&description.credentials, &schemes);
    security.extend(description.security.schemes.clone());
    let mut document = json!({
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": description.title,
            "version": description.version,
            "description": description.text,
        },
        "servers": [{ "url": "/" }],
        "tags": tags(&routes, services, &comments),
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": errors.components,
            "securitySchemes": security,
        },
    });
    let requirements = &description.security.requirements;
    if !requirements.is_empty() {
        document["security"] = json!(requirements);
    }
    prune(&mut document);
    document
}

fn paths(
    routes: &[Route<'_>],
    surface: &Surface,
    operations: &mut Operations<'_>,
) -> Map<String, Value> {
    let mut paths: Map<String, Value> = Map::new();
    let mut shapes: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    for route in routes {
        let mut path = Path::new(&route.template, |field| route.printed(surface, field));
        let (text, names) = shapes.entry(path.shape()).or_insert_with(|| {
            let names = path.parameters().map(|p| p.name.clone()).collect();
            (path.text(), names)
        });
        path.rename(names);
        let item = paths
            .entry(text.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        for method in methods(&route.http) {
            let key = method.as_str().to_ascii_lowercase();
            let is_any = route.http == RouteMethod::Any;
            let operation = operations.operation(route, &path, is_any.then_some(key.as_str()));
            let is_free = item.get(&key).is_none();
            if is_known(&method) && is_free {
                item[key] = operation;
            } else if !is_any {
                // A route for one method comes before one for any, wherever it stands.
                push_other(item, &method, route, operation);
            }
        }
    }
    paths
}

fn push_other(item: &mut Value, method: &Method, route: &Route<'_>, operation: Value) {
    let other = json!({
        "method": method.as_str(),
        "template": route.template.text(),
        "operation": operation,
    });
    match item
        .get_mut("x-other-operations")
        .and_then(Value::as_array_mut)
    {
        Some(others) => others.push(other),
        None => item["x-other-operations"] = json!([other]),
    }
}

/// The methods a route is described for.
fn methods(http: &RouteMethod) -> Vec<Method> {
    match http {
        RouteMethod::Only(method) => vec![method.clone()],
        RouteMethod::Any => vec![
            Method::GET,
            Method::PUT,
            Method::POST,
            Method::DELETE,
            Method::PATCH,
        ],
    }
}

/// The methods a Path Item Object has a member for.
fn is_known(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "PUT" | "POST" | "DELETE" | "OPTIONS" | "HEAD" | "PATCH" | "TRACE"
    )
}

/// One tag a service that has a route.
fn tags(routes: &[Route<'_>], services: &[ServiceDescriptor], comments: &Comments) -> Vec<Value> {
    let mut tags = Vec::new();
    for service in services {
        let Some(route) = routes.iter().find(|r| r.method.parent_service() == service) else {
            continue;
        };
        let file = service.parent_file();
        let comment = comments.at(file.file_descriptor_proto(), service.path());
        let mut tag = json!({ "name": route.tag });
        if !comment.text.is_empty() {
            tag["description"] = comment.text.into();
        }
        tags.push(tag);
    }
    tags
}

/// Throws away components that nothing refers to.
fn prune(document: &mut Value) {
    let mut used = BTreeSet::new();
    let mut queue: Vec<String> = Vec::new();
    references(&document["paths"], &mut queue);
    while let Some(reference) = queue.pop() {
        let target = document.pointer(reference.trim_start_matches('#'));
        if let (Some(target), true) = (target, used.insert(reference.clone())) {
            references(target, &mut queue);
        }
    }
    for section in ["schemas", "responses"] {
        let components = document["components"][section].as_object_mut();
        if let Some(components) = components {
            components.retain(|name, _| used.contains(&format!("#/components/{section}/{name}")));
        }
    }
    if let Some(components) = document["components"].as_object_mut() {
        components.retain(|_, section| section.as_object().is_some_and(|s| !s.is_empty()));
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(reference) if name == "$ref" => found.push(reference.clone()),
                    // Examples are data: a `$ref` in them would be a member like any other.
                    _ if name == "example" || name == "examples" => {}
                    value => references(value, found),
                }
            }
        }
        _ => {}
    }
}

/// Examples of everything the components have so far.
fn examples(components: &BTreeMap<String, Value>) -> Examples<'_> {
    Examples { components }
}
