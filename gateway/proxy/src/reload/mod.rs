//! Taking new descriptors while requests go on.
//!
//! All are read again when somebody asks, files when one of them changes, and each upstream's at its own interval. A set that
//! compiles takes the old one's place as a whole; of one that does not all faults are told and the old one stays. `readings`
//! reads.

mod readings;

use std::{
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::future::{join, join_all};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use self::readings::Readings;
use crate::{
    catalog::{Catalog, Source},
    config::Config,
    health::Health,
    metrics::Metrics,
    upstream::Upstream,
    watch::Watch,
};

/// How soon descriptors that could not be had at the start are asked for again.
pub const MISSING_RETRY: Duration = Duration::from_secs(1);

/// How long what others have to say waits for an upstream that does not answer. It is not given up then: what it says is
/// served when it comes.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What is told of an upstream that is still being waited for.
const NO_ANSWER: &str = "no answer yet";

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The new descriptors are served.
    Taken,
    /// They are the old ones.
    Unchanged,
    /// They are wrong, and the old ones stay.
    Refused,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// The faults of the descriptors that were refused last; empty when the last were taken.
pub type Faults = Arc<Mutex<Vec<String>>>;

/// Which descriptors are read again.
#[derive(Clone, Copy, Debug)]
enum Which {
    All,
    /// Those that come from files.
    Files,
    /// Those whose time has come.
    Due(Instant),
}

/// What reads descriptors and compiles catalogs.
pub struct Reloader {
    config: Arc<Config>,
    /// What is served.
    sources: Vec<Source>,
    /// In the same order.
    readings: Readings,
    catalog: Arc<ArcSwap<Catalog>>,
    metrics: Arc<Metrics>,
    health: Health,
    faults: Faults,
    watch: Watch,
}

impl Reloader {
    /// Reads the descriptors for the first time, for as long as `patience`. A file that is missing or wrong is an error; a
    /// server that cannot be asked or does not answer is asked again later, and what needs it is unavailable meanwhile.
    pub async fn start(
        config: Arc<Config>,
        upstreams: &[Upstream],
        metrics: Arc<Metrics>,
        health: Health,
        patience: Duration,
    ) -> Result<Self, Vec<String>> {
        let files = config.upstreams.iter();
        let files = files.filter_map(|u| u.descriptor_set.clone()).collect();
        let watch = Watch::start(files).map_err(|e| vec![format!("{e:#}")])?;
        let mut readings = Readings::new(config.clone(), upstreams);
        let all: Vec<usize> = (0..upstreams.len()).collect();
        readings.begin(&all);
        let attempted = join_all(upstreams.iter().map(Upstream::attempted));
        join(readings.settle(&all, patience), attempted).await;
        let mut faults = Vec::new();
        let mut sources = Vec::new();
        for (upstream, reading) in upstreams.iter().zip(&mut readings.all) {
            match &reading.unread {
                Some(unread) if !unread.is_passing => faults.extend(unread.faults.clone()),
                _ if reading.files.is_some() => {}
                unread => {
                    let why = unread.as_ref().map(|unread| unread.faults.join("; "));
                    tracing::warn!(
                        upstream = upstream.name(),
                        faults = why.as_deref().unwrap_or(NO_ANSWER),
                        "no descriptors yet; they are asked for again"
                    );
                }
            }
            sources.push(Source {
                upstream: upstream.clone(),
                files: reading.files.take(),
            });
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let catalog = Catalog::compile(&config, &sources, &metrics)?;
        health.described(sources.iter().all(|s| s.files.is_some()));
        Ok(Self {
            config,
            sources,
            readings,
            catalog: Arc::new(ArcSwap::from_pointee(catalog)),
            metrics,
            health,
            faults: Faults::default(),
            watch,
        })
    }

    /// Whose descriptors are not there, and why.
    pub fn missing(&self) -> Vec<String> {
        let sources = self.sources.iter().zip(&self.readings.all);
        let missing = sources.filter(|(source, _)| source.files.is_none());
        missing
            .flat_map(|(source, reading)| match &reading.unread {
                Some(unread) => unread.faults.clone(),
                None => vec![format!("upstream {}: {NO_ANSWER}", source.upstream.name())],
            })
            .collect()
    }

    /// What is served now, wherever it is looked at.
    pub fn catalog(&self) -> Arc<ArcSwap<Catalog>> {
        self.catalog.clone()
    }

    /// What was wrong with the last descriptors, for whoever asks.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Reads again whenever there is a reason to; never ends by itself.
    pub async fn run(mut self, mut asked: mpsc::Receiver<()>) {
        loop {
            let due = (0..self.sources.len()).filter_map(|i| self.due(i)).min();
            tokio::select! {
                Some(()) = asked.recv() => self.read(Which::All).await,
                () = self.watch.changed() => self.read(Which::Files).await,
                // Nobody waits for those.
                now = until(due) => {
                    self.readings.begin(&self.meant(Which::Due(now)));
                    continue;
                }
                () = self.readings.next() => {}
            }
            self.reload().await;
        }
    }

    /// Reads these together, so that what has moved from one upstream to another is taken at once.
    async fn read(&mut self, which: Which) {
        let meant = self.meant(which);
        self.readings.begin(&meant);
        self.readings.settle(&meant, PATIENCE).await;
    }

    /// Serves what has been read if it is right.
    async fn reload(&mut self) {
        let (outcome, faults) = self.attempt().await;
        self.metrics
            .reloads
            .with_label_values(&[outcome.word()])
            .inc();
        match outcome {
            Outcome::Taken => tracing::info!("new descriptors are served"),
            Outcome::Unchanged => tracing::debug!("the descriptors have not changed"),
            Outcome::Refused => {
                for fault in &faults {
                    tracing::error!(fault, "new descriptors are refused; the old ones stay");
                }
            }
        }
        self.metrics
            .faults
            .set(i64::try_from(faults.len()).unwrap_or(i64::MAX));
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    async fn attempt(&mut self) -> (Outcome, Vec<String>) {
        for (source, reading) in self.sources.iter().zip(&mut self.readings.all) {
            if reading.files == source.files {
                reading.files = None;
            }
        }
        // What one upstream cannot tell must not keep the others' news back; its old descriptors are still there.
        let mut faults = self.readings.faults();
        if self.readings.all.iter().all(|r| r.files.is_none()) {
            let outcome = match faults.is_empty() {
                true => Outcome::Unchanged,
                false => Outcome::Refused,
            };
            return (outcome, faults);
        }
        let mut sources = self.sources.clone();
        for (source, reading) in sources.iter_mut().zip(&self.readings.all) {
            source.files = reading.files.clone().or(source.files.take());
        }
        // Large sets take a while to compile, and requests go on meanwhile.
        let (config, metrics) = (self.config.clone(), self.metrics.clone());
        let compiled = tokio::task::spawn_blocking(move || {
            Catalog::compile(&config, &sources, &metrics).map(|catalog| (catalog, sources))
        });
        match compiled.await {
            Ok(Ok((catalog, sources))) => {
                self.health
                    .described(sources.iter().all(|s| s.files.is_some()));
                self.sources = sources;
                self.readings.all.iter_mut().for_each(|r| r.files = None);
                self.catalog.store(Arc::new(catalog));
                (Outcome::Taken, faults)
            }
            Ok(Err(more)) => {
                faults.extend(more);
                (Outcome::Refused, faults)
            }
            Err(error) => {
                faults.push(format!("the descriptors could not be compiled: {error}"));
                (Outcome::Refused, faults)
            }
        }
    }

    /// The upstreams whose descriptors are meant.
    fn meant(&self, which: Which) -> Vec<usize> {
        let upstreams = self.config.upstreams.iter().enumerate();
        let meant = upstreams.filter(|(index, told)| match which {
            Which::All => true,
            Which::Files => told.descriptor_set.is_some(),
            Which::Due(now) => self.due(*index).is_some_and(|due| due <= now),
        });
        meant.map(|(index, _)| index).collect()
    }

    /// When the descriptors of an upstream are read again by themselves, if they are.
    fn due(&self, index: usize) -> Option<Instant> {
        let period = match self.sources.get(index)?.files {
            None => MISSING_RETRY,
            Some(_) => Duration::from_secs(self.config.upstreams.get(index)?.refresh_s),
        };
        let ended_at = self.readings.all.get(index)?.ended_at()?;
        ended_at.checked_add(period).filter(|_| !period.is_zero())
    }
}

/// The instant when it has come, and never where there is none.
async fn until(due: Option<Instant>) -> Instant {
    let Some(due) = due else {
        return pending().await;
    };
    sleep_until(due).await;
    due
}
