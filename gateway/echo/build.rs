//! Compiles the service's `.proto` file into its descriptor set and its tonic server.

use anyhow::Result;

fn main() -> Result<()> {
    let services = pulpo_gateway_build::configure()
        .build_transport(false)
        .build_client(false);
    pulpo_gateway_build::compile(&["proto", "../../proto"], ["echo/v1/echo.proto"])?
        .generate(services, "protos.rs")
}
