//! Taking new descriptors while requests go on.
//!
//! All are read again when somebody asks, files when one of them changes, and each upstream's at its own interval. A set that compiles
//! takes the old one's place as a whole; of one that does not all faults are told and the old one stays.

use std::{
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
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
pub const MISSING_RETRY: Duration = Duration::from_secs(1);

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

/// What is known of one upstream besides what is served of it.
struct News {
    /// What was read last, where it is not served.
    files: Option<Files>,
    /// Why nothing could be read the last time.
    faults: Vec<String>,
    read_at: Instant,
}

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
    news: Vec<News>,
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
            let files = match read(&config, told, upstream).await {
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
        let news = sources.iter().map(|_| News {
            files: None,
            faults: Vec::new(),
            read_at: Instant::now(),
        });
        health.described(sources.iter().all(|s| s.files.is_some()));
        Ok(Self {
            news: news.collect(),
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
    pub async fn run(mut self, mut asked: mpsc::Receiver<()>) {
        loop {
            let due = (0..self.sources.len()).filter_map(|i| self.due(i)).min();
            let which = tokio::select! {
                Some(()) = asked.recv() => Which::All,
                now = until(due) => Which::Due(now),
                () = self.watch.changed() => Which::Files,
            };
            self.reload(which).await;
        }
    }

    /// Reads descriptors again and serves them if they are right.
    async fn reload(&mut self, which: Which) {
        let (outcome, faults) = self.attempt(which).await;
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

    async fn attempt(&mut self, which: Which) -> (Outcome, Vec<String>) {
        for index in 0..self.sources.len() {
            self.read(index, which).await;
        }
        // What one upstream cannot tell must not keep the others' news back; its old descriptors are still there.
        let faults = self.news.iter().flat_map(|news| news.faults.clone());
        let mut faults: Vec<String> = faults.collect();
        if self.news.iter().all(|news| news.files.is_none()) {
            let outcome = match faults.is_empty() {
                true => Outcome::Unchanged,
                false => Outcome::Refused,
            };
            return (outcome, faults);
        }
        let mut sources = self.sources.clone();
        for (source, news) in sources.iter_mut().zip(&self.news) {
            source.files = news.files.clone().or(source.files.take());
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
                self.news.iter_mut().for_each(|news| news.files = None);
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

    /// Reads the descriptors of one upstream if they are meant.
    async fn read(&mut self, index: usize, which: Which) {
        let due = self.due(index);
        let known = (self.sources.get(index), self.config.upstreams.get(index));
        let ((Some(source), Some(told)), Some(news)) = (known, self.news.get_mut(index)) else {
            return;
        };
        let is_meant = match which {
            Which::All => true,
            Which::Files => told.descriptor_set.is_some(),
            Which::Due(now) => due.is_some_and(|due| due <= now),
        };
        if !is_meant {
            return;
        }
        match read(&self.config, told, &source.upstream).await {
            Ok(files) => {
                news.files = (source.files.as_ref() != Some(&files)).then_some(files);
                news.faults = Vec::new();
            }
            Err(faults) => news.faults = faults,
        }
        news.read_at = Instant::now();
    }

    /// When the descriptors of an upstream are read again by themselves, if they are.
    fn due(&self, index: usize) -> Option<Instant> {
        let period = match self.sources.get(index)?.files {
            None => MISSING_RETRY,
            Some(_) => Duration::from_secs(self.config.upstreams.get(index)?.refresh_s),
        };
        let read_at = self.news.get(index)?.read_at;
        read_at.checked_add(period).filter(|_| !period.is_zero())
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

async fn read(
    config: &Config,
    told: &config::Upstream,
    upstream: &Upstream,
) -> Result<Files, Vec<String>> {
    match &told.descriptor_set {
        Some(path) => Files::read(path).await,
        None => reflect(upstream, &config.named(&told.name)).await,
    }
}
