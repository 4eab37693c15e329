//! Compiles the contract: `.proto` files → descriptor set (embedded with its options) → tonic services.
//!
//! Refuses a method without an access rule, so that nothing can be served that nobody thought about.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use prost_reflect::{DescriptorPool, MethodDescriptor, Value};

const ROOT: &str = "proto";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=migrations");
    let mut files = Vec::new();
    collect(Path::new(ROOT), &mut files)?;
    files.sort();

    let definitions = pulpo_gateway_build::compile(&[ROOT], &files)?;
    check_access(definitions.encoded())?;
    let services = pulpo_gateway_build::configure().build_transport(false);
    definitions.generate(services, "pulpo.rs")
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

/// Lists every method that has no access rule, and every service without a surface.
fn check_access(encoded: &[u8]) -> Result<()> {
    let pool = DescriptorPool::decode(encoded)?;
    let access = pool
        .get_extension_by_name("pulpo.options.v1.access")
        .context("pulpo.options.v1.access is not declared")?;
    let surface = pool
        .get_extension_by_name("pulpo.options.v1.surface")
        .context("pulpo.options.v1.surface is not declared")?;
    let has_rule =
        |method: &MethodDescriptor| match method.options().get_extension(&access).as_ref() {
            Value::Message(rule) => rule.fields().count() == 1,
            _ => false,
        };
    let mut faults = Vec::new();
    for service in pool.services() {
        if !service.options().has_extension(&surface) {
            faults.push(format!("{} has no surface option", service.full_name()));
        }
        for method in service.methods().filter(|m| !has_rule(m)) {
            faults.push(format!("{} has no access option", method.full_name()));
        }
    }
    if !faults.is_empty() {
        bail!("the contract is incomplete:\n  {}", faults.join("\n  "));
    }
    Ok(())
}
