//! Telling when descriptor files change.
//!
//! Their folders are watched, since a file is often replaced by another one that takes its name, or by way of a link.

use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind};
use tokio::{sync::mpsc, time::sleep};

/// A file is looked at this long after something happened, so that one written in pieces is read once.
const SETTLE: Duration = Duration::from_millis(200);

/// Which file a name stands for, and its state: device, inode, length, modified (seconds, nanoseconds).
type Identity = Option<(u64, u64, u64, i64, i64)>;

/// Watched files.
pub(crate) struct Watch {
    _watcher: RecommendedWatcher,
    events: mpsc::Receiver<()>,
    files: Vec<PathBuf>,
    seen: Vec<Identity>,
    /// Something happened that has not been looked at.
    is_stirred: bool,
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
        let folders: BTreeSet<&Path> = files.iter().map(|file| folder(file)).collect();
        for folder in folders {
            watcher
                .watch(folder, RecursiveMode::NonRecursive)
                .with_context(|| format!("{} cannot be watched", folder.display()))?;
        }
        let seen = files.iter().map(|file| identity(file)).collect();
        Ok(Self {
            _watcher: watcher,
            events,
            files,
            seen,
            is_stirred: false,
        })
    }

    /// Waits until one of the files is another one or has changed; forever where nothing is watched. Nothing is missed by
    /// whoever stops waiting and comes back.
    pub(crate) async fn changed(&mut self) {
        while self.is_stirred || self.events.recv().await.is_some() {
            self.is_stirred = true;
            sleep(SETTLE).await;
            self.is_stirred = false;
            while self.events.try_recv().is_ok() {}
            // Other files of the folder are nobody's business here.
            let now: Vec<Identity> = self.files.iter().map(|file| identity(file)).collect();
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
        std::future::pending().await
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

fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
