//! The servers that are compared.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use tempfile::TempDir;

use super::{
    Options,
    cases::Case,
    envoy,
    process::{Process, free_address},
};
use crate::proto::DESCRIPTOR_SET;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    InProcess,
    ByHand,
    Envoy,
    Proxy,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InProcess => "in process",
            Self::ByHand => "by hand",
            Self::Envoy => "Envoy + tonic",
            Self::Proxy => "proxy + tonic",
        })
    }
}

/// One of them, running.
pub(crate) struct Contender {
    pub(crate) name: Name,
    pub(crate) address: SocketAddr,
    processes: Vec<Arc<Process>>,
}

impl Contender {
    /// CPU time of all its processes so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.processes.iter().map(|process| process.cpu()).sum()
    }
}

/// All of them.
pub(crate) struct Servers {
    contenders: Vec<Contender>,
    /// Configurations and logs.
    _folder: TempDir,
}

impl Servers {
    /// Starts them and waits until they listen.
    pub(crate) fn start(options: &Options) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let own = std::env::current_exe()?;
        let start = |program: &Path, arguments: &[&str], log: &str, address| {
            let log = folder.path().join(log);
            let mut process = Process::start(options.server_core, program, arguments, &log)?;
            process.wait_for(address)?;
            anyhow::Ok(Arc::new(process))
        };
        let serve = |kind: &str| {
            let address = free_address()?;
            let process = start(&own, &["serve", kind, &address.to_string()], kind, address)?;
            anyhow::Ok((address, process))
        };
        let (in_process, in_process_server) = serve("in-process")?;
        let (by_hand, by_hand_server) = serve("by-hand")?;
        let (grpc, grpc_server) = serve("grpc")?;
        let envoy = free_address()?;
        let descriptors = folder.path().join("descriptor.bin");
        fs::write(&descriptors, DESCRIPTOR_SET)?;
        let config = envoy::write_config(folder.path(), &descriptors, envoy, grpc)?;
        let arguments = [
            "-c",
            &config,
            "--concurrency",
            "1",
            "--use-dynamic-base-id",
            "-l",
            "error",
        ];
        let envoy_server = start(&options.envoy, &arguments, "envoy", envoy)?;
        let proxy = free_address()?;
        let arguments = [
            "--upstream",
            &format!("http://{grpc}"),
            "--descriptor-set",
            &descriptors.to_string_lossy(),
            "--listen",
            &proxy.to_string(),
        ];
        let proxy_server = start(
            &own.with_file_name("pulpo-gateway"),
            &arguments,
            "proxy",
            proxy,
        )?;
        let contender = |name, address, processes| Contender {
            name,
            address,
            processes,
        };
        Ok(Self {
            contenders: vec![
                contender(Name::InProcess, in_process, vec![in_process_server]),
                contender(Name::ByHand, by_hand, vec![by_hand_server]),
                contender(Name::Envoy, envoy, vec![envoy_server, grpc_server.clone()]),
                contender(Name::Proxy, proxy, vec![proxy_server, grpc_server]),
            ],
            _folder: folder,
        })
    }

    /// Those a case has gates for.
    pub(crate) fn of(&self, case: &Case) -> Vec<&Contender> {
        let is_in = |name| {
            case.gates
                .iter()
                .any(|gate| gate.subject == name || gate.rival == name)
        };
        self.contenders
            .iter()
            .filter(|contender| is_in(contender.name))
            .collect()
    }
}
