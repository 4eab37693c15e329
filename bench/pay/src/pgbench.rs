//! `pgbench` on the same Postgres, in a database of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::load;

/// The program and where its database is.
pub(crate) struct PgBench {
    program: PathBuf,
    host: String,
}

impl PgBench {
    /// Finds `pgbench` beside the newest Postgres, and makes the database. `url` is the server's.
    pub(crate) async fn new(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        client.batch_execute("CREATE DATABASE bench").await?;
        drop(client);
        connection.await??;
        let host = url
            .split('\'')
            .nth(1)
            .context("the built-in server has a socket folder")?
            .to_owned();
        Ok(Self {
            program: program()?,
            host,
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
            .arg("bench")
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
