//! `pgbench` on a Postgres with the same program and settings as the server's.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use pulpo::db::builtin::{BuiltIn, Options};
use tempfile::TempDir;

use crate::{load, site};

/// Connections its server takes: those of the clients.
const CONNECTIONS: u32 = 64;

/// The program and its database.
pub(crate) struct PgBench {
    program: PathBuf,
    host: String,
    _server: BuiltIn,
    _folder: TempDir,
}

impl PgBench {
    /// Starts a Postgres of its own, as the server's but for the number of connections.
    pub(crate) fn new() -> Result<Self> {
        let folder = site::folder()?;
        let options = Options {
            pool_size: CONNECTIONS,
            ..Options::default()
        };
        let server = BuiltIn::start(&folder.path().join("data"), &options)?;
        let url = server.url();
        let host = url.split('\'').nth(1);
        Ok(Self {
            program: program()?,
            host: host.context("the server has a socket folder")?.to_owned(),
            _server: server,
            _folder: folder,
        })
    }

    /// Fills the tables.
    pub(crate) fn fill(&self, scale: u32) -> Result<()> {
        self.run(&["-i", "-q", "-s", &scale.to_string()])?;
        Ok(())
    }

    /// Transactions a second, prepared.
    pub(crate) fn per_second(&self, clients: usize, length: Duration) -> Result<f64> {
        let output = self.run(&[
            "-M",
            "prepared",
            "-n",
            "-j",
            "2",
            "-c",
            &clients.to_string(),
            "-T",
            &length.as_secs().to_string(),
        ])?;
        let tps = output
            .lines()
            .find_map(|line| line.strip_prefix("tps = "))
            .context("no tps")?;
        Ok(tps.split(' ').next().unwrap_or_default().parse()?)
    }

    /// The median time of a transaction of one client.
    pub(crate) fn median(&self, folder: &Path, length: Duration) -> Result<Duration> {
        let prefix = folder.join("pgbench_times");
        let prefix = prefix.to_string_lossy();
        let length = length.as_secs().to_string();
        self.run(&[
            "-M",
            "prepared",
            "-n",
            "-c",
            "1",
            "-T",
            &length,
            "-l",
            "--log-prefix",
            &prefix,
        ])?;
        let mut times = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.to_string_lossy().starts_with(&*prefix) {
                for line in std::fs::read_to_string(&path)?.lines() {
                    let micros = line.split(' ').nth(2).context("no time")?;
                    times.push(Duration::from_micros(micros.parse()?));
                }
                std::fs::remove_file(&path)?;
            }
        }
        times.sort_unstable();
        Ok(load::quantile(&times, 0.5))
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(["-h", &self.host, "-U", "pulpo"])
            .args(arguments)
            .arg("pulpo")
            .output()?;
        if !output.status.success() {
            bail!("pgbench: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn program() -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin/pgbench"))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().context("there is no pgbench")
}
