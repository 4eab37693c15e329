//! Starting and stopping the server.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{STOP_TIMEOUT, supervise::Launch};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The server's log is set aside when it has grown to this.
const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Starts the server and returns when it accepts connections; gives up when `is_cancelled`.
pub(super) fn start(launch: &Launch, is_cancelled: &dyn Fn() -> bool) -> Result<Child> {
    let Launch {
        programs,
        data_dir,
        cluster,
        sockets,
        pool_size,
    } = launch;
    let log_path = data_dir.join("pg.log");
    let log = open_log(&log_path)?;
    let mut child = programs
        .command("postgres", Signal::SIGINT)
        .arg("-D")
        .arg(cluster)
        .args([
            "-c",
            "listen_addresses=",
            "-c",
            "unix_socket_permissions=0700",
            "-c",
        ])
        .arg(format!("unix_socket_directories={}", sockets.display()))
        .args([
            "-c",
            "shared_buffers=128MB",
            "-c",
            "fsync=on",
            "-c",
            "synchronous_commit=on",
            "-c",
            // Statements are short: compiling them takes longer than running them.
            "jit=off",
            "-c",
            // Pages are in memory or on a solid disk: an index is not avoided because of its order.
            "random_page_cost=1.1",
            "-c",
            "log_destination=stderr",
            "-c",
        ])
        .arg(format!("max_connections={}", pool_size.saturating_add(10)))
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot run postgres")?;
    let ready = wait_until_ready(&mut child, cluster, &log_path, is_cancelled);
    if let Err(error) = ready {
        // Best effort: the error says what is wrong, and the kernel stops the server with us.
        let _ = stop(child);
        return Err(error);
    }
    Ok(child)
}

fn wait_until_ready(
    child: &mut Child,
    cluster: &Path,
    log_path: &Path,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<()> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(log_path).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(5).collect();
            let last = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
            bail!(
                "postgres ended with {status}; the end of {}:\n{last}",
                log_path.display()
            );
        }
        // The first line of postmaster.pid is the process, the eighth its state.
        let state = std::fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
        let mut lines = state.lines().map(str::trim);
        if lines.next().and_then(|pid| pid.parse().ok()) == Some(child.id())
            && lines.nth(6) == Some("ready")
        {
            return Ok(());
        }
        if is_cancelled() {
            bail!("stopped while postgres was starting");
        }
        if started.elapsed() > START_TIMEOUT {
            bail!(
                "postgres did not start in {} s; see {}",
                START_TIMEOUT.as_secs(),
                log_path.display()
            );
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn open_log(path: &Path) -> Result<File> {
    if path
        .metadata()
        .is_ok_and(|metadata| metadata.len() > LOG_LIMIT_BYTES)
    {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Stops our server: sessions end and committed work is written; after [`STOP_TIMEOUT`] it recovers at its next start.
pub(super) fn stop(mut child: Child) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    if child.try_wait()?.is_some() {
        return Ok(());
    }
    kill(pid, Signal::SIGINT)?;
    let asked = Instant::now();
    while child.try_wait()?.is_none() {
        if asked.elapsed() > STOP_TIMEOUT {
            kill(pid, Signal::SIGQUIT)?;
            child.wait()?;
            break;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Stops the server that a killed program left in `cluster`, if it is still there: the kernel has told it to stop, but
/// that takes a moment. The caller holds the folder's lock, so the server is nobody else's.
pub(super) fn stop_leftover(cluster: &Path) -> Result<()> {
    let Ok(state) = std::fs::read_to_string(cluster.join("postmaster.pid")) else {
        return Ok(());
    };
    let Some(pid) = state
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok())
        .filter(|pid| *pid > 1)
    else {
        return Ok(());
    };
    let pid = Pid::from_raw(pid);
    // The number may have been given to another process since.
    if !is_server_of(pid, cluster) {
        return Ok(());
    }
    tracing::warn!(
        pid = pid.as_raw(),
        "stopping the Postgres that was left over"
    );
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        match kill(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => {
                bail!("cannot stop the Postgres that was left over (process {pid}): {errno}")
            }
        }
        let asked = Instant::now();
        while asked.elapsed() < STOP_TIMEOUT {
            if !is_server_of(pid, cluster) {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
    bail!("the Postgres that was left over (process {pid}) does not stop")
}

/// The socket folder of the server of `cluster`, when it runs and is ready.
pub(super) fn running_sockets(cluster: &Path) -> Option<PathBuf> {
    let state = std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let lines: Vec<_> = state.lines().map(str::trim).collect();
    let pid = Pid::from_raw(lines.first()?.parse().ok()?);
    // The fifth line is the socket folder.
    (lines.get(7) == Some(&"ready") && is_server_of(pid, cluster)).then(|| PathBuf::from(lines[4]))
}

/// Whether the process was started as the server of `cluster`. A zombie has no arguments and so is none.
fn is_server_of(pid: Pid, cluster: &Path) -> bool {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let wanted = cluster.as_os_str().as_encoded_bytes();
    arguments
        .split(|byte| *byte == 0)
        .any(|argument| argument == wanted)
}
