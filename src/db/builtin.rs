//! The built-in Postgres: a private cluster in the data folder, on a unix socket, that lives as long as this process.
//!
//! It promises that data survives whatever stops the process (fsync is on), that nobody but its owner reaches it (the
//! folders are 0700, there is no TCP), that two programs never share a data folder, that a server that dies is started
//! again, and that none is left behind: the kernel interrupts it when the thread that started it ends. `cluster` makes
//! the cluster, `locate` finds the programs and the user they run as, `process` starts and stops a server, `supervise`
//! keeps it running.

mod cluster;
mod locate;
mod process;
mod supervise;

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use locate::Programs;
use supervise::{Launch, Supervisor};

/// The database and its owner.
const NAME: &str = "pulpo";

/// How long a fast shutdown may take before the server is told to quit at once.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What can be chosen about the server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder with `initdb` and `postgres`; searched for when absent.
    pub postgres_bin: Option<PathBuf>,
    /// Connections that this program opens; the server takes ten more for people and tools.
    pub pool_size: u32,
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct BuiltIn {
    server: Option<Supervisor>,
    sockets: PathBuf,
    sockets_are_temporary: bool,
    _lock: Flock<File>,
}

impl BuiltIn {
    /// Starts the server of `data_dir`, making the cluster the first time, and returns when it accepts connections. From
    /// then on it is started again whenever it dies; its address stays the same.
    ///
    /// # Errors
    /// Postgres is not installed, another program uses the folder, the folder cannot be used, or the server does not
    /// start; the message says what to do.
    pub fn start(data_dir: &Path, options: &Options) -> Result<Self> {
        let programs = Programs::find(options.postgres_bin.as_deref())?;
        std::fs::create_dir_all(data_dir)
            .with_context(|| format!("cannot create {}", data_dir.display()))?;
        let data_dir = data_dir.canonicalize()?;
        programs.check_reachable(&data_dir)?;
        let lock = lock(&data_dir)?;
        let cluster = data_dir.join("pg");
        process::stop_leftover(&cluster)?;
        if !cluster.join("PG_VERSION").exists() {
            cluster::create(&programs, &data_dir, &cluster)?;
        }
        let (sockets, sockets_are_temporary) = socket_folder(&programs, &data_dir)?;
        let server = Supervisor::start(Launch {
            programs,
            cluster,
            sockets: sockets.clone(),
            pool_size: options.pool_size,
            data_dir,
        })?;
        let started = Self {
            server: Some(server),
            sockets,
            sockets_are_temporary,
            _lock: lock,
        };
        cluster::create_database(&address(&started.sockets, "postgres"))?;
        Ok(started)
    }

    /// Where the database is, as key=value pairs.
    pub fn url(&self) -> String {
        address(&self.sockets, NAME)
    }

    /// Stops the server: open transactions are rolled back, everything committed is on disk. Does nothing the second
    /// time.
    ///
    /// # Errors
    /// The server could not be signalled or waited for.
    pub fn stop(&mut self) -> Result<()> {
        let Some(server) = self.server.take() else {
            return Ok(());
        };
        let stopped = server.stop();
        if self.sockets_are_temporary {
            // Best effort: an empty folder in the temporary folder harms nobody.
            let _ = std::fs::remove_dir_all(&self.sockets);
        }
        stopped
    }
}

impl Drop for BuiltIn {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(error = %format!("{error:#}"), "the built-in Postgres could not be stopped");
        }
    }
}

/// Where the database of `data_dir` is while another process of ours runs its server.
pub fn running_url(data_dir: &Path) -> Option<String> {
    let cluster = data_dir.canonicalize().ok()?.join("pg");
    process::running_sockets(&cluster).map(|sockets| address(&sockets, NAME))
}

fn address(sockets: &Path, database: &str) -> String {
    let folder = sockets
        .to_string_lossy()
        .replace('\\', "\\\\")
        .replace('\'', "\\'");
    format!("host='{folder}' port=5432 user={NAME} dbname={database}")
}

/// One program per data folder; the kernel lets go of the lock however the program ends.
fn lock(data_dir: &Path) -> Result<Flock<File>> {
    let path = data_dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => anyhow!(
            "another pulpo uses {}; stop it or choose another --data-dir",
            data_dir.display()
        ),
        other => anyhow!("cannot lock {}: {other}", path.display()),
    })
}

/// Where the socket is: in the data folder, or in a temporary one when the path would not fit a socket address.
fn socket_folder(programs: &Programs, data_dir: &Path) -> Result<(PathBuf, bool)> {
    const SOCKET: &str = "/.s.PGSQL.5432";
    const LONGEST_BYTES: usize = 107;
    let inside = data_dir.join("run");
    if inside.as_os_str().len() + SOCKET.len() <= LONGEST_BYTES {
        programs.private_folder(&inside)?;
        return Ok((inside, false));
    }
    let outside = std::env::temp_dir().join(crate::ids::short("pulpo", 16));
    programs.private_folder(&outside)?;
    Ok((outside, true))
}

#[cfg(test)]
mod tests;
