//! Making the cluster and its database.

use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::{NAME, locate::Programs};

/// Makes the cluster. It appears under its name only when it is complete and on disk: whoever stops us on the way
/// finds nothing, and starts again.
pub(super) fn create(programs: &Programs, data_dir: &Path, cluster: &Path) -> Result<()> {
    let unfinished = data_dir.join("pg.new");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)
            .with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    programs.private_folder(&unfinished)?;
    let output = programs
        .command("initdb", Signal::SIGKILL)
        .args([
            "--username",
            NAME,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--locale",
            "C.UTF-8",
            // The same order, compared by the bytes instead of by the C library: every index of text is faster.
            "--lc-collate",
            "C",
            "--pgdata",
        ])
        .arg(&unfinished)
        .output()
        .context("cannot run initdb")?;
    if !output.status.success() {
        bail!(
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    std::fs::rename(&unfinished, cluster)?;
    std::fs::File::open(data_dir)?
        .sync_all()
        .context("cannot sync the data folder")
}

/// Creates the database unless it exists. On a thread and a runtime of its own, since the caller may have none, or one
/// that must not be blocked.
pub(super) fn create_database(url: &str) -> Result<()> {
    let create = || -> Result<()> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async {
                let (client, connection) =
                    tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
                let work = async {
                    if client
                        .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&NAME])
                        .await?
                        .is_none()
                    {
                        client
                            .batch_execute(&format!("CREATE DATABASE {NAME}"))
                            .await?;
                    }
                    Ok::<_, tokio_postgres::Error>(())
                };
                tokio::select! {
                    done = work => done?,
                    ended = connection => ended?,
                }
                Ok(())
            })
    };
    std::thread::scope(|scope| match scope.spawn(create).join() {
        Ok(done) => done.context("cannot create the database"),
        Err(_) => bail!("creating the database panicked"),
    })
}
