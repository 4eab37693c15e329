//! The thread that owns the server: it starts it, starts it again when it dies, and stops it.
//!
//! The kernel interrupts the server when the thread that started it ends, so this one lives exactly as long as the
//! server may: until it is told to stop, or the whole process dies.

use std::{
    path::PathBuf,
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use super::{locate::Programs, process};

/// How often the server is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
/// The pause before the first new start; it doubles with every one that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause. Trying does not end: without the database everything is 503, which no giving up would mend.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A server that ran this long was well; the pauses begin anew.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// What a server needs to be started.
pub(super) struct Launch {
    pub(super) programs: Programs,
    pub(super) data_dir: PathBuf,
    pub(super) cluster: PathBuf,
    pub(super) sockets: PathBuf,
    pub(super) pool_size: u32,
}

impl Launch {
    fn start(&self, stopping: &AtomicBool) -> Result<Child> {
        process::start(self, &|| stopping.load(Ordering::Acquire))
    }
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Supervisor {
    thread: JoinHandle<Result<()>>,
    stopping: Arc<AtomicBool>,
}

impl Supervisor {
    /// Starts the server and returns when it accepts connections.
    ///
    /// # Errors
    /// The server does not start the first time; nothing is left running then.
    pub(super) fn start(launch: Launch) -> Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::sync_channel(1);
        let told_to_stop = stopping.clone();
        let run = move || match launch.start(&told_to_stop) {
            Ok(child) => {
                let _ = tell.send(Ok(()));
                watch(&launch, child, &told_to_stop)
            }
            Err(error) => {
                let _ = tell.send(Err(error));
                Ok(())
            }
        };
        let thread = thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(run)
            .context("cannot start the thread that watches Postgres")?;
        told.recv()
            .context("the thread that watches Postgres ended")??;
        Ok(Self { thread, stopping })
    }

    /// Stops the server and waits until it is gone.
    ///
    /// # Errors
    /// The server could not be signalled or waited for.
    pub(super) fn stop(self) -> Result<()> {
        self.stopping.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread
            .join()
            .map_err(|_| anyhow!("the thread that watches Postgres panicked"))?
    }
}

/// Keeps a server running until told to stop, then stops it.
fn watch(launch: &Launch, mut child: Child, stopping: &AtomicBool) -> Result<()> {
    let mut pause = FIRST_PAUSE;
    let mut running_since = Instant::now();
    loop {
        if stopping.load(Ordering::Acquire) {
            return process::stop(child);
        }
        thread::park_timeout(WATCH_INTERVAL);
        let Some(status) = child.try_wait()? else {
            continue;
        };
        if stopping.load(Ordering::Acquire) {
            return Ok(());
        }
        tracing::error!(%status, "the built-in Postgres ended; starting it again");
        if running_since.elapsed() > WELL_AFTER {
            pause = FIRST_PAUSE;
        }
        match start_again(launch, &mut pause, stopping) {
            Some(started) => child = started,
            None => return Ok(()),
        }
        running_since = Instant::now();
    }
}

/// Tries until the server accepts connections; none when told to stop. What is left of a killed server holds its memory
/// for a moment, and a new one refuses to start until it is gone.
fn start_again(launch: &Launch, pause: &mut Duration, stopping: &AtomicBool) -> Option<Child> {
    let ended = Instant::now();
    for attempt in 1u64.. {
        let resume = Instant::now() + *pause;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        loop {
            if stopping.load(Ordering::Acquire) {
                return None;
            }
            let left = resume.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        match launch.start(stopping) {
            Ok(child) => {
                metrics::counter!("pulpo_postgres_restarts_total").increment(1);
                let took_ms = u64::try_from(ended.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(attempt, took_ms, "the built-in Postgres is back");
                return Some(child);
            }
            Err(error) => {
                let next_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                tracing::error!(attempt, next_ms, error = %format!("{error:#}"), "the built-in Postgres does not start");
            }
        }
    }
    None
}
