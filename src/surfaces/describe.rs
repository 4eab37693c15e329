//! What the surfaces' OpenAPI documents say beyond the contract: titles, error bodies, how credentials are presented.

use std::sync::Arc;

use pulpo_gateway::{
    openapi::{self, Credential, Description, Security, pages::Pages},
    surface::Surface,
};
use serde_json::{Value, json};

use super::{deploy, hub, integrations, pay, workspace};
use crate::contract::{Contract, SurfaceName};

/// What holds for every API here; CommonMark.
const COMMON: &str = "Every reply has an `X-Request-Id`; a request's own is kept. In requests, members that are not known \
                      are ignored, and a member given as `null` counts as absent. The same methods answer over gRPC and \
                      gRPC-Web on this address.";

/// The OpenAPI document of a surface.
pub fn document(contract: &Contract, name: SurfaceName, surface: &Surface) -> Value {
    let services = contract.services(name);
    openapi::document(surface, &contract.pool, &services, &description(name))
}

/// The document and the page that shows it, for the surface's listener.
pub fn pages(contract: &Arc<Contract>, name: SurfaceName, surface: &Arc<Surface>) -> Pages {
    let (contract, described) = (contract.clone(), surface.clone());
    Pages::new(surface, move || document(&contract, name, &described))
}

fn description(name: SurfaceName) -> Description {
    let (title, error_schema) = match name {
        SurfaceName::Hub => (hub::TITLE, hub::error_schema()),
        SurfaceName::Deploy => (deploy::TITLE, deploy::error_schema()),
        SurfaceName::Workspace => (workspace::TITLE, workspace::error_schema()),
        SurfaceName::Pay => (pay::TITLE, pay::error_schema()),
        SurfaceName::Integrations => (integrations::TITLE, integrations::error_schema()),
    };
    Description {
        title: title.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        text: COMMON.to_owned(),
        error_schema,
        credentials: credentials(),
        security: Security::default(),
    }
}

/// One entry for each scheme of `pulpo.options.v1.Scheme`.
fn credentials() -> Vec<Credential> {
    let bearer = |option, name, text: &str| Credential {
        option,
        name,
        scheme: json!({ "type": "http", "scheme": "bearer", "description": text }),
    };
    let token = |option, name, text: &str| {
        let mut credential = bearer(option, name, text);
        credential.scheme["bearerFormat"] = "JWT".into();
        credential
    };
    vec![
        bearer(
            "SCHEME_TENANT_KEY",
            "tenantKey",
            "The key of a tenant, `pp_…`.",
        ),
        Credential {
            option: "SCHEME_TENANT_KEY_HEADER",
            name: "tenantKeyHeader",
            scheme: json!({
                "type": "apiKey",
                "in": "header",
                "name": "x-api-key",
                "description": "The key of a tenant, `pp_…`.",
            }),
        },
        bearer("SCHEME_MCP_KEY", "mcpKey", "The operator's key."),
        token(
            "SCHEME_DEPLOY_TOKEN",
            "deployToken",
            "The token that registration and login give.",
        ),
        token(
            "SCHEME_WORKSPACE_TOKEN",
            "workspaceToken",
            "The access token that login gives.",
        ),
        bearer("SCHEME_ACCESS_KEY", "accessKey", "An access key, `cli_…`."),
        bearer(
            "SCHEME_PAYMENT_KEY",
            "paymentKey",
            "A key with permissions.",
        ),
        bearer(
            "SCHEME_INTEGRATION_TOKEN",
            "integrationToken",
            "A management token.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::pulpo::options::v1::Scheme;

    #[test]
    fn every_credential_scheme_is_described() {
        for number in 1.. {
            let Ok(scheme) = Scheme::try_from(number) else {
                assert!(number > 8, "the schemes end at {number}");
                break;
            };
            let name = scheme.as_str_name();
            assert!(credentials().iter().any(|c| c.option == name), "{name}");
        }
    }
}
