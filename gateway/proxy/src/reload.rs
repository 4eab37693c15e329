//! Taking new descriptors while requests go on.
//!
//! They are read again on SIGHUP, when a descriptor file changes, and at intervals. A set that compiles takes the old
//! one's place as a whole; of one that does not all faults are told and the old one stays.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use arc_swap::ArcSwap;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    catalog::{Catalog, Source},
    config::{self, Config},
    descriptors::{Files, reflect},
    health::Health,
    metrics::Metrics,
    upstream::Upstream,
    watch::Watch,
};

/// How soon descriptors that could not be had at the start are asked for again.
const MISSING_RETRY: Duration = Duration::from_secs(1);

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

/// What reads descriptors and compiles catalogs.
pub struct Reloader {
    config: Arc<Config>,
    sources: Vec<Source>,
    catalog: Arc<ArcSwap<Catalog>>,
    metrics: Arc<Metrics>,
    health: Health,
    faults: Faults,
    watch: Watch,
}

impl Reloader {
    /// Reads the descriptors for the first time. A file that is missing or wrong is an error; a server that cannot be
    /// asked is asked again later, and what needs it is unavailable meanwhile.
    pub async fn start(
        config: Arc<Config>,
        upstreams: &[Upstream],
        metrics: Arc<Metrics>,
        health: Health,
    ) -> Result<Self, Vec<String>> {
        let files = config.upstreams.iter();
        let files = files.filter_map(|u| u.descriptor_set.clone()).collect();
        let watch = Watch::start(files).map_err(|e| vec![format!("{e:#}")])?;
        let mut sources = Vec::new();
        for (told, upstream) in config.upstreams.iter().zip(upstreams) {
            upstream.attempted().await;
            let files = match read(told, upstream).await {
                Ok(files) => Some(files),
                Err(faults) if told.reflection && upstream.connections() == 0 => {
                    tracing::warn!(
                        upstream = told.name,
                        faults = faults.join("; "),
                        "no descriptors yet; they are asked for again"
                    );
                    None
                }
                Err(faults) => return Err(faults),
            };
            sources.push(Source {
                upstream: upstream.clone(),
                files,
            });
        }
        let catalog = Catalog::compile(&config, &sources, &metrics)?;
        health.described(sources.iter().all(|s| s.files.is_some()));
        Ok(Self {
            config,
            sources,
            catalog: Arc::new(ArcSwap::from_pointee(catalog)),
            metrics,
            health,
            faults: Faults::default(),
            watch,
        })
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
    pub async fn run(mut self, mut asked: mpsc::Receiver<()>) -> Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let period = self.config.upstreams.iter().map(|u| u.refresh_s);
        let period = period.filter(|s| *s > 0).min().unwrap_or(u64::MAX / 1000);
        let mut ticks = interval(Duration::from_secs(period.min(365 * 24 * 3600)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            let is_missing = self.sources.iter().any(|s| s.files.is_none());
            tokio::select! {
                _ = hangup.recv() => tracing::info!("told to read the descriptors again"),
                Some(()) = asked.recv() => {}
                _ = ticks.tick() => {}
                () = self.watch.changed() => {}
                () = sleep(MISSING_RETRY), if is_missing => {}
            }
            self.reload().await;
        }
    }

    /// Reads all descriptors again and serves them if they are right.
    pub async fn reload(&mut self) -> Outcome {
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
        outcome
    }

    async fn attempt(&mut self) -> (Outcome, Vec<String>) {
        let mut sources = self.sources.clone();
        let mut faults = Vec::new();
        for (told, source) in self.config.upstreams.iter().zip(&mut sources) {
            match read(told, &source.upstream).await {
                Ok(files) => source.files = Some(files),
                Err(more) => faults.extend(more),
            }
        }
        // What one upstream cannot tell must not keep the others' news back; its old descriptors are still there.
        let is_same = |(old, new): (&Source, &Source)| old.files == new.files;
        if self.sources.iter().zip(&sources).all(is_same) {
            let outcome = match faults.is_empty() {
                true => Outcome::Unchanged,
                false => Outcome::Refused,
            };
            return (outcome, faults);
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
}

async fn read(config: &config::Upstream, upstream: &Upstream) -> Result<Files, Vec<String>> {
    match &config.descriptor_set {
        Some(path) => Files::read(path).await,
        None => reflect(upstream).await,
    }
}
