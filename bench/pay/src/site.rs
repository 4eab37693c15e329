//! A server with its own Postgres, and its organisations.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    http::Client,
    organization::{Organization, Setup},
};

const PERMISSIONS: &str =
    "payments:request,payments:write,wallets:write,policies:read,policies:write,webhooks:manage";
const KEY_PREFIX: &str = "pulse_";

/// What runs.
pub(crate) struct Site {
    server: Child,
    program: PathBuf,
    folder: TempDir,
    ports: Ports,
}

/// Where it listens: for payments, and for operators.
#[derive(Clone, Copy, Debug)]
struct Ports {
    pulse: u16,
    operations: u16,
}

impl Site {
    /// Starts a server in an empty folder.
    pub(crate) async fn open(program: &Path) -> Result<Self> {
        let folder = folder()?;
        let ports = Ports::free()?;
        let program = program.canonicalize()?;
        let server = start(&program, folder.path(), ports)?;
        let site = Self {
            server,
            program,
            folder,
            ports,
        };
        site.wait().await?;
        Ok(site)
    }

    /// Makes an organisation whose agents can pay.
    pub(crate) async fn organization(&self, setup: Setup) -> Result<Organization> {
        let id = self.admin(&["create-org", "--name", setup.name], "org_")?;
        let mut create = vec!["create-key", "--api", "pulse", "--name", "bench"];
        create.extend(["--org", &id, "--permissions", PERMISSIONS]);
        let key = self.admin(&create, KEY_PREFIX)?;
        Organization::furnish(id, key, self.ports.pulse, setup).await
    }

    /// Where its database is.
    pub(crate) fn database_url(&self) -> Result<String> {
        pulpo::db::builtin::running_url(&self.data()).context("its Postgres does not run")
    }

    /// What it measures of itself, in the text format of Prometheus.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let mut client = Client::connect(self.ports.operations, "").await?;
        let (status, reply) = client.exchange("GET", "/metrics", "").await?;
        ensure!(status == 200, "/metrics: {status}");
        Ok(String::from_utf8(reply)?)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Client::connect(self.ports.pulse, "").await.is_err() {
            ensure!(Instant::now() < deadline, "the server does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Runs an admin command, and answers the longest word of its output that begins with `prefix`.
    fn admin(&self, arguments: &[&str], prefix: &str) -> Result<String> {
        let output = Command::new(&self.program)
            .args(["admin", "--data-dir"])
            .arg(self.data())
            .args(arguments)
            .current_dir(self.folder.path())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named = words.filter(|word| word.starts_with(prefix));
        match named.max_by_key(|word| word.len()) {
            Some(word) => Ok(word.to_owned()),
            None => bail!(
                "admin {arguments:?} printed {text} {}",
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // It stops its Postgres when it is interrupted, and by the kernel when it is killed.
        let _ = Command::new("kill")
            .args(["-INT", &self.server.id().to_string()])
            .status();
        let _ = self.server.wait();
    }
}

impl Ports {
    /// Two that nobody uses.
    fn free() -> Result<Self> {
        // Both are held until both are known, or the second might be the first again.
        let pulse = TcpListener::bind(("127.0.0.1", 0))?;
        let operations = TcpListener::bind(("127.0.0.1", 0))?;
        Ok(Self {
            pulse: pulse.local_addr()?.port(),
            operations: operations.local_addr()?.port(),
        })
    }
}

fn start(program: &Path, folder: &Path, ports: Ports) -> Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    let mut command = Command::new(program);
    // `dev` delivers webhooks to private addresses, where the receiver of the benchmark is.
    command
        .args(["dev", "--data-dir"])
        .arg(folder.join("data"))
        .current_dir(folder)
        .env("PULPO_RATES_SCALE", "1000000")
        .env("PULPO_LOG", "warn")
        .stdout(Stdio::null())
        .stderr(log);
    for (surface, port) in [
        ("PULSE", ports.pulse),
        ("OPERATIONS", ports.operations),
        ("PULLPUSH", 0),
        ("PUSHPAKA", 0),
        ("PUPPYONE", 0),
        ("INTEGRATIONS", 0),
    ] {
        command.env(format!("PULPO_{surface}_ADDR"), format!("127.0.0.1:{port}"));
    }
    command
        .spawn()
        .context("the program does not start; build it first")
}

/// An empty folder that the user Postgres runs as may enter.
pub(crate) fn folder() -> Result<TempDir> {
    let folder = TempDir::new()?;
    std::fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    Ok(folder)
}
