//! Compiles the service's `.proto` file into its descriptor set and its tonic server.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use prost::Message;

const FILE: &str = "echo/v1/echo.proto";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto", "../../proto"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_file(FILE)?;
    // prost_types drops extension options, so the embedded set is the compiler's own encoding.
    let encoded = compiler.encode_file_descriptor_set();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), &encoded)?;
    let set = prost_types::FileDescriptorSet::decode(encoded.as_slice())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .build_client(false)
        .include_file("protos.rs")
        .compile_fds(set)
        .context("code generation")
}
