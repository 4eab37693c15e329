//! Compiles the files that descriptor sets refer to and often do not hold: `google/api` and `google/protobuf`.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};

const ROOT: &str = "../../proto";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed={ROOT}/google");
    let mut compiler = protox::Compiler::new([ROOT]).context("proto root")?;
    compiler
        .include_imports(true)
        .open_files([
            "google/api/annotations.proto",
            "google/api/http.proto",
            "google/api/httpbody.proto",
            "google/protobuf/any.proto",
            "google/protobuf/api.proto",
            "google/protobuf/descriptor.proto",
            "google/protobuf/duration.proto",
            "google/protobuf/empty.proto",
            "google/protobuf/field_mask.proto",
            "google/protobuf/source_context.proto",
            "google/protobuf/struct.proto",
            "google/protobuf/timestamp.proto",
            "google/protobuf/type.proto",
            "google/protobuf/wrappers.proto",
        ])
        .context("the well-known files do not compile")?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("known.bin"), compiler.encode_file_descriptor_set())?;
    Ok(())
}
