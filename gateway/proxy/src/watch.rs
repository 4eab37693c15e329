//! Telling when descriptor files change.
//!
//! Their folders are watched, since a file is often replaced by another one that takes its name, or by way of a link. The
//! system tells of the folders that were there when the watches were set, so this is only the fast way: a link to a folder
//! that leads elsewhere, or a folder that is removed and made again, is noticed by looking every few seconds, and then the
//! watches are set anew.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};

/// A file is looked at this long after something happened, so that one written in pieces is read once.
const SETTLE: Duration = Duration::from_millis(200);
/// How often the files are looked at when nothing is told of them.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

/// Which file a name stands for, and its state: device, inode, length, modified (seconds, nanoseconds).
type Identity = Option<(u64, u64, u64, i64, i64)>;
/// Which folder a name stands for: device, inode, and since when, as the inode of one that is gone is used again.
type Place = Option<(u64, u64, Option<SystemTime>)>;

/// Watched files.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    /// Each with the one that is really watched.
    folders: BTreeMap<PathBuf, Place>,
    events: mpsc::Receiver<()>,
    files: Vec<PathBuf>,
    seen: Vec<Identity>,
    /// Something happened that has not been looked at.
    is_stirred: bool,
    /// When the files are looked at without that.
    look_at: Instant,
}

impl Watch {
    /// Begins to watch. Read the files after this, so that no change is missed in between.
    pub(crate) fn start(files: Vec<PathBuf>) -> Result<Self> {
        // One event that has not been looked at stands for all of them.
        let (sender, events) = mpsc::channel(1);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if event.is_ok_and(|event| is_write(event.kind)) {
                    let _ = sender.try_send(());
                }
            })
            .context("files cannot be watched")?;
        let mut folders = BTreeMap::new();
        for file in &files {
            let folder = folder(file);
            // Before it is watched: one that takes its place meanwhile is noticed.
            let place = place(folder);
            if folders.insert(folder.to_owned(), place).is_none() {
                watcher
                    .watch(folder, RecursiveMode::NonRecursive)
                    .with_context(|| format!("{} cannot be watched", folder.display()))?;
            }
        }
        Ok(Self {
            watcher,
            folders,
            events,
            seen: identities(&files),
            files,
            is_stirred: false,
            look_at: Instant::now() + LOOK_PERIOD,
        })
    }

    /// Waits until one of the files is another one or has changed; forever where nothing is watched. Nothing is missed by
    /// whoever stops waiting and comes back.
    pub(crate) async fn changed(&mut self) {
        if self.files.is_empty() {
            return std::future::pending().await;
        }
        loop {
            if !self.is_stirred {
                let told = timeout_at(self.look_at, self.events.recv()).await;
                self.is_stirred = told.is_ok() || identities(&self.files) != self.seen;
                self.renew();
            }
            if self.is_stirred {
                sleep(SETTLE).await;
                self.is_stirred = false;
                while self.events.try_recv().is_ok() {}
                // Other files of the folder are nobody's business here.
                let now = identities(&self.files);
                if now != self.seen {
                    self.seen = now;
                    return;
                }
            }
        }
    }

    /// Watches the folders that the names stand for now.
    fn renew(&mut self) {
        self.look_at = Instant::now() + LOOK_PERIOD;
        for (folder, watched) in &mut self.folders {
            let now = place(folder);
            if now == *watched {
                continue;
            }
            // The one that was watched may be gone, and with it the watch.
            let _ = self.watcher.unwatch(folder);
            // One that is not there, or not to be watched, is looked for again.
            let is_watched = self.watcher.watch(folder, RecursiveMode::NonRecursive);
            *watched = now.filter(|_| is_watched.is_ok());
        }
    }
}

fn is_write(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(mode)) => mode == notify::event::AccessMode::Write,
        EventKind::Access(_) => false,
        _ => true,
    }
}

fn identity(file: &Path) -> Identity {
    let metadata = std::fs::metadata(file).ok()?;
    Some((
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}

fn identities(files: &[PathBuf]) -> Vec<Identity> {
    files.iter().map(|file| identity(file)).collect()
}

fn place(folder: &Path) -> Place {
    let metadata = std::fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.created().ok()))
}

fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
