//! Compiles the benchmark's service: descriptor set for the transcoders, messages and service for tonic.

use anyhow::Result;

fn main() -> Result<()> {
    let mut definitions = pulpo_gateway_build::compile(&["proto", "../../proto"], ["bench.proto"])?;
    // Options are for the transcoders; nothing here needs them as messages.
    definitions.set.file.retain(|file| {
        !matches!(
            file.name(),
            "google/api/annotations.proto"
                | "google/api/http.proto"
                | "pulpo/options/v1/options.proto"
        )
    });
    let services = pulpo_gateway_build::configure().build_client(false);
    definitions.generate(services, "bench.rs")
}
