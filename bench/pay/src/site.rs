//! A server with its own Postgres, an organisation, and what its agents need to pay.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::http::Client;

/// Wallets of the organisation.
pub(crate) const WALLETS: usize = 1000;

const PERMISSIONS: &str =
    "payments:request,payments:write,wallets:write,policies:write,webhooks:manage";
const KEY_PREFIX: &str = "pulse_";

/// What runs.
pub(crate) struct Site {
    server: Child,
    program: PathBuf,
    folder: TempDir,
    pub(crate) port: u16,
    pub(crate) org_id: String,
    pub(crate) key: String,
}

impl Site {
    /// Starts a server in an empty folder, and opens the wallets.
    pub(crate) async fn open(program: &Path) -> Result<Self> {
        let folder = folder()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let program = program.canonicalize()?;
        let server = start(&program, folder.path(), port)?;
        let mut site = Self {
            server,
            program,
            folder,
            port,
            org_id: String::new(),
            key: String::new(),
        };
        site.wait().await?;
        site.org_id = site.admin(&["create-org", "--name", "Bench"], "org_")?;
        let org_id = site.org_id.clone();
        site.key = site.admin(
            &[
                "create-key",
                "--api",
                "pulse",
                "--name",
                "bench",
                "--org",
                &org_id,
                "--permissions",
                PERMISSIONS,
            ],
            KEY_PREFIX,
        )?;
        site.furnish().await?;
        Ok(site)
    }

    /// A connection with the organisation's key.
    pub(crate) async fn client(&self) -> Result<Client> {
        Client::connect(self.port, &self.key).await
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Client::connect(self.port, "").await.is_err() {
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

    /// Wallets with money, and a policy with limits that are checked and far away.
    async fn furnish(&self) -> Result<()> {
        let mut client = self.client().await?;
        for agent in 0..WALLETS {
            let wallet = json!({"agent_id": agent_id(agent)});
            client.accepted("/wallets", &wallet).await?;
            let path = format!("/wallets/{}/fund", agent_id(agent));
            client
                .accepted(&path, &json!({"amount": 1_000_000_000}))
                .await?;
        }
        let policy = json!({
            "policy_name": "Limits",
            "max_per_transaction": 10_000,
            "max_daily": 900_000_000,
            "max_monthly": 9_000_000_000_u64,
            "require_human_above": 9_000,
            "allowed_categories": ["operations", "infrastructure"],
            "compliance_precheck": true,
            "compliance_jurisdictions": ["US_FEDERAL"],
        });
        client.accepted("/policies", &policy).await?;
        Ok(())
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

fn start(program: &Path, folder: &Path, port: u16) -> Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    let mut command = Command::new(program);
    command
        .args(["dev", "--data-dir"])
        .arg(folder.join("data"))
        .current_dir(folder)
        .env("PULPO_RATES_SCALE", "1000000")
        .env("PULPO_LOG", "warn")
        .env("PULPO_PULSE_ADDR", format!("127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(log);
    for surface in [
        "PULLPUSH",
        "PUSHPAKA",
        "PUPPYONE",
        "INTEGRATIONS",
        "OPERATIONS",
    ] {
        command.env(format!("PULPO_{surface}_ADDR"), "127.0.0.1:0");
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

/// The name of an agent.
pub(crate) fn agent_id(agent: usize) -> String {
    format!("agent-{agent:04}")
}
