//! The descriptors of what stands behind the gateway: files as they were encoded, so that no option is lost.
//!
//! They come from a `FileDescriptorSet` in a file (`protoc --include_imports -o`, `buf build -o`) or from a server's
//! reflection. Imports of `google/api` and `google/protobuf` that are left out of a set are supplied.

mod auto;
mod reflection;

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use prost::Message;
use prost_reflect::DescriptorPool;

pub use auto::map_unmapped;
pub use reflection::reflect;

/// The largest descriptor set that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Services of this package are gRPC's own, health and reflection among them: they are passed on, have no REST routes and are
/// not described, unless a surface names them.
pub const INFRASTRUCTURE: &str = "grpc.";

/// The files of `google/api` and `google/protobuf` that others import.
const KNOWN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/known.bin"));
/// What gives methods their routes. It is there whether it is imported or not.
const ANNOTATIONS: &str = "google/api/annotations.proto";

/// `google.protobuf.FileDescriptorSet`, its files left encoded: prost's own types drop the options they do not know.
#[derive(Clone, PartialEq, Message)]
struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

/// The beginning of a `google.protobuf.FileDescriptorProto`.
#[derive(Clone, PartialEq, Message)]
struct FileHead {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "3")]
    dependency: Vec<String>,
}

/// Why descriptors could not be read.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Everything that is wrong.
    pub faults: Vec<String>,
    /// Whether the server was not there or did not answer, which may be otherwise in a moment.
    pub is_passing: bool,
}

impl Unread {
    /// They were there, and are wrong.
    pub fn wrong(faults: Vec<String>) -> Self {
        Self {
            faults,
            is_passing: false,
        }
    }
}

/// Descriptor files by name, each as it was encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    files: BTreeMap<String, Bytes>,
}

impl Files {
    /// The files of an encoded `FileDescriptorSet`.
    pub fn decode(set: impl Into<Bytes>) -> Result<Self, Vec<String>> {
        let set: Bytes = set.into();
        let raw = RawSet::decode(set).map_err(|e| vec![format!("not a descriptor set: {e}")])?;
        let mut files = Self::default();
        for file in raw.file {
            files.add(file)?;
        }
        if files.files.is_empty() {
            return Err(vec!["the descriptor set is empty".to_owned()]);
        }
        Ok(files)
    }

    /// The files of the set at `path`.
    pub async fn read(path: &Path) -> Result<Self, Vec<String>> {
        let fault = |e: std::io::Error| vec![format!("{}: {e}", path.display())];
        let length = tokio::fs::metadata(path).await.map_err(fault)?.len();
        if length > MAX_BYTES as u64 {
            let message = format!("{}: longer than {MAX_BYTES} bytes", path.display());
            return Err(vec![message]);
        }
        let set = tokio::fs::read(path).await.map_err(fault)?;
        Self::decode(set).map_err(|faults| {
            let named = faults.iter().map(|f| format!("{}: {f}", path.display()));
            named.collect()
        })
    }

    /// Adds one encoded file and tells its imports.
    fn add(&mut self, file: Bytes) -> Result<Vec<String>, Vec<String>> {
        let head = FileHead::decode(file.clone())
            .map_err(|e| vec![format!("not a file descriptor: {e}")])?;
        self.files.insert(head.name, file);
        Ok(head.dependency)
    }

    /// The bytes of all of them.
    fn bytes(&self) -> usize {
        self.files.values().map(Bytes::len).sum()
    }

    /// Whether a file of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Everything of `other` beside what is here. The same file may be in both, but must say the same.
    pub fn merge(&mut self, other: &Self) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        for (name, file) in &other.files {
            match self.files.get(name) {
                None => {
                    self.files.insert(name.clone(), file.clone());
                }
                Some(own) if own == file || known(name).is_some() || is_same(own, file) => {}
                Some(_) => faults.push(format!("{name}: two upstreams have different ones")),
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    /// The files compiled, with what is missing of the well-known ones. All missing imports are listed.
    pub fn pool(&self) -> Result<DescriptorPool, Vec<String>> {
        let mut all = self.files.clone();
        let mut wanted = vec![("the gateway".to_owned(), ANNOTATIONS.to_owned())];
        for (name, file) in &self.files {
            wanted.extend(imports(file).into_iter().map(|i| (name.clone(), i)));
        }
        let mut missing = Vec::new();
        while let Some((by, name)) = wanted.pop() {
            if all.contains_key(&name) {
                continue;
            }
            match known(&name) {
                Some(file) => {
                    wanted.extend(imports(&file).into_iter().map(|i| (name.clone(), i)));
                    all.insert(name, file);
                }
                None => missing.push(format!("{by} imports {name}, which the set does not have")),
            }
        }
        if !missing.is_empty() {
            missing.sort();
            missing.dedup();
            return Err(missing);
        }
        let set = RawSet {
            file: all.into_values().collect(),
        };
        DescriptorPool::decode(set.encode_to_vec().as_slice()).map_err(|e| vec![e.to_string()])
    }
}

fn imports(file: &Bytes) -> Vec<String> {
    FileHead::decode(file.clone())
        .map(|head| head.dependency)
        .unwrap_or_default()
}

/// Whether two files differ in no more than the comments they carry.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    let bare = |file: &Bytes| {
        let file = prost_types::FileDescriptorProto::decode(file.clone()).ok()?;
        Some(prost_types::FileDescriptorProto {
            source_code_info: None,
            ..file
        })
    };
    match (bare(one), bare(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

fn known(name: &str) -> Option<Bytes> {
    let set = RawSet::decode(KNOWN).ok()?;
    set.file
        .into_iter()
        .find(|file| FileHead::decode(file.clone()).is_ok_and(|head| head.name == name))
}
