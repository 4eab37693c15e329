//! The processes of a server: started on its core, ended with this one, and how much CPU time they took.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// A server process; ended when dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a program on one core. What it prints goes to `log`.
    pub(crate) fn start(
        core: usize,
        program: &Path,
        arguments: &[&str],
        log: &Path,
    ) -> Result<Self> {
        let log = fs::File::create(log)?;
        let child = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        Ok(Self { child })
    }

    /// Waits until something listens there.
    pub(crate) fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server at {address} ended with {status}");
            }
            if began.elapsed() > START {
                bail!("nothing listens at {address}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// CPU time of all its threads so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // Nanoseconds on a core come first; /proc/<pid>/stat counts in hundredths of a second.
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split_ascii_whitespace().next();
            total += first.context("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// Resident memory now, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most resident memory since [`Process::forget_peak`], in KiB.
    pub(crate) fn peak_kib(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// Starts the peak anew at what is resident now.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        // 5 resets the peak and nothing else (proc_pid_clear_refs(5)).
        Ok(fs::write(
            format!("/proc/{}/clear_refs", self.child.id()),
            "5",
        )?)
    }

    fn status(&self, name: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next())
            .with_context(|| format!("no {name}"))?
            .parse()
            .context("not a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address nothing listens at.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
