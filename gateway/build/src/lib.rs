//! For build scripts: `.proto` files → descriptor set with its options → messages and tonic services.
//!
//! The services are tonic's own, as `tonic-prost-build` writes them. Only what answers a call is another type,
//! `pulpo_gateway::server::Grpc`, which does the same for less, and unary methods are called by its trait, without a box.

use std::{env, fs, path::Path};

use anyhow::{Context, Result};
use prost::Message;
use prost_build::{Config, Service, ServiceGenerator};
use prost_types::FileDescriptorSet;
use tonic_prost_build::Builder;

pub use tonic_prost_build::configure;

/// Compiled `.proto` files.
pub struct Definitions {
    encoded: Vec<u8>,
    /// The same without options that are extensions: `prost-types` drops them.
    pub set: FileDescriptorSet,
}

/// Compiles files, found below the roots, and everything they import. Cargo is told to look at the roots.
#[expect(clippy::print_stdout, reason = "a build script speaks to Cargo so")]
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
        let mut generated = String::new();
        let (name, methods) = (service.proto_name.clone(), service.methods.clone());
        self.0.generate(service, &mut generated);
        let answered = generated.matches(THEIRS).count();
        let unary = methods.iter();
        let unary = unary.filter(|method| !method.client_streaming && !method.server_streaming);
        let unary = unary.count();
        let (answer, called_at_once) = at_once(&generated.replace(THEIRS, OURS));
        let (answer, unboxed) = unboxed(&answer);
        // A build script may stop: code that silently kept tonic's answer would only be slower.
        assert_eq!(
            (answered, called_at_once, unboxed),
            (methods.len(), unary, unary),
            "{name}: tonic-prost-build writes services in another way than it did"
        );
        code.push_str(&answer);
    }

    fn finalize(&mut self, code: &mut String) {
        self.0.finalize(code);
    }

    fn finalize_package(&mut self, package: &str, code: &mut String) {
        self.0.finalize_package(package, code);
    }
}

/// What tonic's services answer calls with, and what these do.
const THEIRS: &str = "tonic::server::Grpc::new(codec)";
const OURS: &str = "pulpo_gateway::server::Grpc::new(codec)";

/// Where the future of a call begins, which tonic makes of everything; how a unary one ends, but for spaces; how the
/// same ends that is no future but makes a small one.
const BEGIN: &str = "let fut = async move {";
const END: [&str; 5] = [
    "let res = grpc.unary(method, req).await;",
    "Ok(res)",
    "};",
    "Box::pin(fut)",
    "}",
];
const AT_ONCE: &str = "grpc.unary(method, req)\n}";

/// Code in which unary calls are made at once, and how many those are.
fn at_once(code: &str) -> (String, usize) {
    let mut parts = code.split(BEGIN);
    let mut changed = parts.next().unwrap_or_default().to_owned();
    let mut count = 0;
    for part in parts {
        match unary(part) {
            Some((before, after)) => {
                count += 1;
                changed.extend([before, AT_ONCE, after]);
            }
            None => changed.extend([BEGIN, part]),
        }
    }
    (changed, count)
}

/// What is before and behind the end of a unary call.
fn unary(part: &str) -> Option<(&str, &str)> {
    let [first, rest @ ..] = END;
    let (before, after) = part.split_once(first)?;
    let after = rest
        .iter()
        .try_fold(after, |after, word| after.trim_start().strip_prefix(word))?;
    Some((before, after))
}

/// How tonic's service of a unary method is named, and this one.
const THEIR_UNARY: &str = "tonic::server::UnaryService<";
const OUR_UNARY: &str = "pulpo_gateway::server::Unary<";
const FUTURE: &str = "impl std::future::Future<Output = std::result::Result<tonic::Response<Self::Response>, tonic::Status>> + Send + 'static + use<T>";

/// Code in which the futures of unary methods are in no box, and how many those are.
fn unboxed(code: &str) -> (String, usize) {
    let mut parts = code.split(THEIR_UNARY);
    let mut changed = parts.next().unwrap_or_default().to_owned();
    let mut count = 0;
    for part in parts {
        match without_box(part) {
            Some(part) => {
                count += 1;
                changed.extend([OUR_UNARY, &part]);
            }
            None => changed.extend([THEIR_UNARY, part]),
        }
    }
    (changed, count)
}

/// What follows the name of the trait: its first future loses its name and its box.
fn without_box(part: &str) -> Option<String> {
    let (types, rest) = part.split_once("type Future = ")?;
    let (_, rest) = rest.split_once(';')?;
    let (arguments, rest) = rest.split_once("Self::Future")?;
    let (inner, rest) = rest.split_once(BEGIN)?;
    let (call, rest) = rest.split_once("Box::pin(fut)")?;
    let call = call.trim_end().strip_suffix(';')?;
    Some([types, arguments, FUTURE, inner, "async move {", call, rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_as_a_unary_call_is_changed() {
        let call = "let inner = x;\nlet fut = async move {\nlet mut grpc = y;\nlet res = grpc.unary(method, req).await;\n    Ok(res)\n};\nBox::pin(fut)\n}\n";
        let (changed, count) = at_once(&format!("{call}{call}"));
        let at_once_twice =
            "let inner = x;\n\nlet mut grpc = y;\ngrpc.unary(method, req)\n}\n".repeat(2);
        assert_eq!((changed, count), (at_once_twice, 2));
        let others = [
            call.replace("unary", "streaming"),
            call.replace("Ok(res)", "Ok(other)"),
            "let fut = async move { z };\nBox::pin(fut)\n}".to_owned(),
        ];
        for other in others {
            assert_eq!(at_once(&other), (other.clone(), 0));
        }
    }

    #[test]
    fn only_unary_futures_lose_their_box() {
        let method = "tonic::server::UnaryService<A> for S {\ntype Future = BoxFuture<\nB,\n>;\nfn call() -> Self::Future {\nlet fut = async move {\n x\n};\nBox::pin(fut)\n}\n}\n";
        let without = format!(
            "pulpo_gateway::server::Unary<A> for S {{\n\nfn call() -> {FUTURE} {{\nasync move {{\n x\n}}\n}}\n}}\n"
        );
        let (changed, count) = unboxed(&format!("impl {method}impl {method}"));
        assert_eq!(
            (changed, count),
            (format!("impl {without}impl {without}"), 2)
        );
        let others = [
            method.replace("UnaryService", "StreamingService"),
            method.replace("Box::pin(fut)", "fut"),
        ];
        for other in others {
            assert_eq!(unboxed(&other), (other.clone(), 0));
        }
    }
}
