//! Compiles the benchmark's service: descriptor set for the transcoders, messages and service for tonic.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use prost::Message;

const ROOTS: [&str; 2] = ["proto", "../../proto"];

fn main() -> Result<()> {
    for root in ROOTS {
        println!("cargo::rerun-if-changed={root}");
    }
    let mut compiler = protox::Compiler::new(ROOTS).context("proto roots")?;
    compiler
        .include_imports(true)
        .open_file("bench.proto")
        .context("the benchmark's service does not compile")?;
    // prost_types drops extension options, so the embedded set is the compiler's own encoding.
    let encoded = compiler.encode_file_descriptor_set();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), &encoded)?;
    let mut set = prost_types::FileDescriptorSet::decode(encoded.as_slice())?;
    // Options are for the transcoders; nothing here needs them as messages.
    set.file.retain(|file| {
        !matches!(
            file.name(),
            "google/api/annotations.proto"
                | "google/api/http.proto"
                | "pulpo/options/v1/options.proto"
        )
    });
    tonic_prost_build::configure()
        .build_client(false)
        .codec_path("pulpo_gateway::tonic_codec::MessageCodec")
        .include_file("bench.rs")
        .compile_fds(set)
        .context("code generation")
}
