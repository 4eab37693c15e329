//! For build scripts: `.proto` files → descriptor set with its options → messages and tonic services.
//!
//! The services are tonic's own, as `tonic-prost-build` writes them. Only what answers a call is another type,
//! `pulpo_gateway::server::Grpc`, which does the same for less.

use std::{env, fs, path::Path};

use anyhow::{Context, Result};
use prost::Message;
use prost_build::{Config, Service, ServiceGenerator};
use prost_types::FileDescriptorSet;
use tonic_prost_build::Builder;

pub use tonic_prost_build::configure;

/// What tonic's generated services answer calls with, and what these do.
const ANSWERS: [&str; 2] = [
    "tonic::server::Grpc::new(codec)",
    "pulpo_gateway::server::Grpc::new(codec)",
];

/// Compiled `.proto` files.
pub struct Definitions {
    encoded: Vec<u8>,
    /// The same without options that are extensions: `prost-types` drops them.
    pub set: FileDescriptorSet,
}

/// Compiles files, found below the roots, and everything they import. Cargo is told to look at the roots.
pub fn compile<R, F>(roots: &[R], files: impl IntoIterator<Item = F>) -> Result<Definitions>
where
    R: AsRef<Path>,
    F: AsRef<Path>,
{
    for root in roots {
        println!("cargo::rerun-if-changed={}", root.as_ref().display());
    }
    let mut compiler = protox::Compiler::new(roots).context("the roots of the .proto files")?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(files)
        .context("the .proto files do not compile")?;
    let encoded = compiler.encode_file_descriptor_set();
    let set = FileDescriptorSet::decode(encoded.as_slice())?;
    Ok(Definitions { encoded, set })
}

impl Definitions {
    /// The descriptor set with all its options.
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Writes `descriptor.bin`, and the code of messages and services behind the file `include`, to `OUT_DIR`.
    pub fn generate(self, builder: Builder, include: &str) -> Result<()> {
        let out = env::var_os("OUT_DIR").context("OUT_DIR")?;
        let out = Path::new(&out);
        fs::write(out.join("descriptor.bin"), &self.encoded)?;
        let services = builder.codec_path("pulpo_gateway::tonic_codec::MessageCodec");
        Config::new()
            .service_generator(Box::new(Services(services.service_generator())))
            .include_file(include)
            .compile_fds(self.set)
            .context("code generation")
    }
}

/// tonic's services with another answer.
struct Services(Box<dyn ServiceGenerator>);

impl ServiceGenerator for Services {
    fn generate(&mut self, service: Service, code: &mut String) {
        let (name, methods) = (service.proto_name.clone(), service.methods.len());
        let mut generated = String::new();
        self.0.generate(service, &mut generated);
        let [theirs, ours] = ANSWERS;
        let answers = generated.matches(theirs).count();
        // A build script may stop: code that silently kept tonic's answer would only be slower.
        assert_eq!(
            answers, methods,
            "{name}: tonic-prost-build writes services in another way than it did"
        );
        code.push_str(&generated.replace(theirs, ours));
    }

    fn finalize(&mut self, code: &mut String) {
        self.0.finalize(code);
    }

    fn finalize_package(&mut self, package: &str, code: &mut String) {
        self.0.finalize_package(package, code);
    }
}
