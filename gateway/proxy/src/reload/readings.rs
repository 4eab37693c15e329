//! Reading descriptors: of all upstreams at the same time, so that one that does not answer holds none of the others back.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, timeout};

use crate::{
    config::Config,
    descriptors::{Files, Unread, reflect},
    upstream::Upstream,
};

type UnderWay = Pin<Box<dyn Future<Output = Result<Files, Unread>> + Send>>;

/// The descriptors of one upstream on their way.
#[derive(Default)]
pub(super) struct Reading {
    /// None when nothing is being read.
    under_way: Option<UnderWay>,
    /// What was read last, where it is not served.
    pub(super) files: Option<Files>,
    /// Why nothing could be read the last time.
    pub(super) unread: Option<Unread>,
    /// When the last reading ended.
    read_at: Option<Instant>,
}

impl Reading {
    /// When the last reading ended; none while there is another one.
    pub(super) fn ended_at(&self) -> Option<Instant> {
        self.read_at.filter(|_| self.under_way.is_none())
    }

    fn end(&mut self, read: Result<Files, Unread>) {
        self.under_way = None;
        self.read_at = Some(Instant::now());
        match read {
            Ok(files) => (self.files, self.unread) = (Some(files), None),
            Err(unread) => self.unread = Some(unread),
        }
    }
}

/// Those of all upstreams, in the order of the configuration.
pub(super) struct Readings {
    config: Arc<Config>,
    upstreams: Vec<Upstream>,
    pub(super) all: Vec<Reading>,
}

impl Readings {
    pub(super) fn new(config: Arc<Config>, upstreams: &[Upstream]) -> Self {
        Self {
            config,
            upstreams: upstreams.to_vec(),
            all: upstreams.iter().map(|_| Reading::default()).collect(),
        }
    }

    /// Begins to read these. One that is being read is read anew: its server may have answered before there was a reason to
    /// ask again.
    pub(super) fn begin(&mut self, meant: &[usize]) {
        for index in meant {
            let known = (self.upstreams.get(*index), self.all.get_mut(*index));
            if let (Some(upstream), Some(reading)) = known {
                let read = read(self.config.clone(), *index, upstream.clone());
                reading.under_way = Some(Box::pin(read));
            }
        }
    }

    /// Waits until one of those that are under way has ended; forever where there are none. Nothing is lost by whoever stops
    /// waiting.
    pub(super) async fn next(&mut self) {
        poll_fn(|cx| {
            for reading in &mut self.all {
                if let Some(under_way) = &mut reading.under_way
                    && let Poll::Ready(read) = under_way.as_mut().poll(cx)
                {
                    reading.end(read);
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
    }

    /// Waits until these have ended, `limit` at most.
    pub(super) async fn settle(&mut self, meant: &[usize], limit: Duration) {
        let all = async {
            let is_open = |reading: &Reading| reading.under_way.is_some();
            while meant.iter().any(|i| self.all.get(*i).is_some_and(is_open)) {
                self.next().await;
            }
        };
        // What has not ended goes on.
        let _ = timeout(limit, all).await;
    }

    /// What could not be read the last time, and why.
    pub(super) fn faults(&self) -> Vec<String> {
        let unread = self.all.iter().filter_map(|r| r.unread.as_ref());
        unread.flat_map(|unread| unread.faults.clone()).collect()
    }
}

async fn read(config: Arc<Config>, index: usize, upstream: Upstream) -> Result<Files, Unread> {
    let told = config.upstreams.get(index);
    match told.and_then(|told| told.descriptor_set.as_ref()) {
        Some(path) => Files::read(path).await.map_err(Unread::wrong),
        None => reflect(&upstream, &config.named(upstream.name())).await,
    }
}
