//! The program as a process of its own, and requests to it.

use std::{io::Write, net::SocketAddr, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pulpo_gateway_proxy::config::Config;
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use crate::server::ANYWHERE;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_pulpo-gateway");

/// A process of the program, and what it logs.
pub(crate) struct Running {
    pub(crate) child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log }
    }

    /// The first line of the log that has this in it.
    pub(crate) async fn says(&mut self, text: &str) -> String {
        loop {
            let line = self.log.next_line().await.unwrap();
            let line = line.expect("the program ended early");
            if line.contains(text) {
                return line;
            }
        }
    }

    fn id(&self) -> i32 {
        i32::try_from(self.child.id().unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id()), signal).unwrap();
    }
}

/// The address that a line of the log tells.
pub(crate) fn address(line: &str) -> SocketAddr {
    let told = line.split("address=").nth(1).unwrap();
    told.split(' ').next().unwrap().parse().unwrap()
}

/// A process that serves.
pub(crate) struct Program {
    pub(crate) running: Running,
    /// Where its listeners are, in the order of the configuration.
    pub(crate) addresses: Vec<SocketAddr>,
    admin: SocketAddr,
    pub(crate) client: reqwest::Client,
    _config: NamedTempFile,
}

impl Program {
    /// Starts it with this configuration and an admin listener.
    pub(crate) async fn start(mut config: Config) -> Self {
        config.admin.address = Some(ANYWHERE);
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(config.print().unwrap().as_bytes()).unwrap();
        let mut running = Running::start(&["--config", file.path().to_str().unwrap()]);
        let mut addresses = Vec::new();
        for _ in &config.listeners {
            addresses.push(address(&running.says("listening").await));
        }
        let admin = address(&running.says("listening").await);
        Self {
            running,
            addresses,
            admin,
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                // What should have come by then does not come.
                .timeout(Duration::from_secs(60))
                .build()
                .unwrap(),
            _config: file,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = self.client.get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn status(&self, path: &str) -> u16 {
        self.get(path, &[]).await.status().as_u16()
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        let request = self.client.post(self.url(path));
        let request = request.header("content-type", content_type);
        request.body(body).send().await.unwrap()
    }

    /// What the admin listener says.
    pub(crate) async fn admin(&self, path: &str) -> String {
        let reply = self.client.get(format!("http://{}{path}", self.admin));
        reply.send().await.unwrap().text().await.unwrap()
    }

    /// Resident memory now, in KiB.
    pub(crate) fn resident_kib(&self) -> usize {
        self.memory("VmRSS:")
    }

    /// The most resident memory since [`Program::forget_peak`], in KiB.
    pub(crate) fn peak_kib(&self) -> usize {
        self.memory("VmHWM:")
    }

    /// Starts the peak anew at what is resident now.
    pub(crate) fn forget_peak(&self) {
        // 5 resets the peak and nothing else (proc_pid_clear_refs(5)).
        std::fs::write(format!("/proc/{}/clear_refs", self.running.id()), "5").unwrap();
    }

    fn memory(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.id()));
        let status = status.unwrap();
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Ends it as an operator would, and waits until it has drained.
    pub(crate) async fn stop(mut self) {
        self.running.signal(Signal::SIGTERM);
        assert!(self.running.child.wait().await.unwrap().success());
    }
}
