//! What a process does outside of requests, in the roles that work: built from what the domains add, in one place.

use std::{future::pending, sync::Arc};

use anyhow::Result;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    delivery::{self, worker::Limits},
    events::consumer::{Consumer, Reader},
    housekeeping::Housekeeping,
    jobs, pay,
};

/// The kinds of jobs, their schedules, and what reacts to events.
#[derive(Default)]
pub struct Workers {
    /// Who does which jobs, and when.
    pub jobs: jobs::Registry,
    /// What reacts to events.
    pub consumers: Vec<Arc<dyn Consumer>>,
}

impl Workers {
    /// Everything the domains add.
    ///
    /// # Errors
    /// Two of one name, or a schedule of jobs that nothing does.
    pub fn of_domains(app: &App) -> Result<Self> {
        let mut workers = Self::default();
        pay::work(app, &mut workers);
        workers.jobs.check()?;
        Ok(workers)
    }

    /// Readers of the events, one a consumer.
    pub fn readers(&self, app: &App) -> Vec<Reader> {
        let reader = |consumer: &Arc<dyn Consumer>| {
            Reader::new(app.db.clone(), app.clock.clone(), Arc::clone(consumer))
        };
        self.consumers.iter().map(reader).collect()
    }

    /// What does the jobs.
    pub fn jobs(&self, app: &App) -> jobs::Worker {
        jobs::Worker::new(app.db.clone(), app.clock.clone(), &self.jobs)
    }

    /// What delivers.
    pub fn deliveries(app: &App) -> delivery::Worker {
        let config = &app.config.delivery;
        let limits = Limits {
            concurrency: config.concurrency,
            of_endpoint: config.endpoint_concurrency,
        };
        delivery::Worker::new(app.sender.clone(), limits)
    }

    /// Starts all of it, until `stop`.
    pub fn spawn(self, app: &App, background: &mut JoinSet<()>, stop: &CancellationToken) {
        let config = &app.config.housekeeping;
        let housekeeping = Housekeeping::new(app.db.clone(), app.clock.clone(), config);
        background.spawn(housekeeping.run(stop.clone()));
        for reader in self.readers(app) {
            background.spawn(reader.run(stop.clone()));
        }
        background.spawn(self.jobs(app).run(stop.clone()));
        background.spawn(Self::deliveries(app).run(stop.clone()));
    }
}

/// The next task that ends, and its id; never, when there is none.
pub(crate) async fn next_ended<T: 'static>(
    running: &mut JoinSet<T>,
) -> std::result::Result<(Id, T), JoinError> {
    match running.join_next_with_id().await {
        Some(ended) => ended,
        None => pending().await,
    }
}
