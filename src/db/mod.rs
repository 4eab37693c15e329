//! Postgres: the built-in server, the pool, migrations, and named transactions that are retried.
//!
//! A transaction holds no network, sleep or file work; what must happen after it is an event written inside it.

pub mod builtin;
pub mod generation;
pub mod migrate;
pub mod prepared;
pub mod rows;
pub mod transaction;
pub mod wake;
pub mod write;

use std::{sync::Arc, time::Duration};

use bb8::QueueStrategy;
use diesel::result::Error as DieselError;
use diesel_async::{
    AsyncPgConnection, SimpleAsyncConnection,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, PoolableConnection, RecyclingMethod,
    },
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

pub use transaction::{Plans, TransactionBody};
pub use wake::{Topic, Wake};

/// The connection queries take.
pub type Conn = AsyncPgConnection;

/// A connection borrowed from the pool.
pub type Pooled<'a> = bb8::PooledConnection<'a, AsyncDieselConnectionManager<AsyncPgConnection>>;

/// How long a request waits for a free connection before it is told to try again.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the database has to answer a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The database, cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: bb8::Pool<AsyncDieselConnectionManager<AsyncPgConnection>>,
    url: Arc<str>,
    wake: Wake,
}

impl Db {
    /// A pool of up to `size` connections to `url` (a `postgres://` URL or key=value pairs). Nothing is connected yet.
    pub fn new(url: &str, size: u32) -> Self {
        let mut config = ManagerConfig::default();
        // What is closed is known without asking the server.
        config.recycling_method = RecyclingMethod::CustomFunction(Box::new(|conn: &mut Conn| {
            let is_broken = conn.is_broken();
            Box::pin(async move {
                match is_broken {
                    true => Err(DieselError::BrokenTransactionManager),
                    false => Ok(()),
                }
            })
        }));
        let manager = AsyncDieselConnectionManager::new_with_config(url, config);
        let pool = bb8::Pool::builder()
            .max_size(size)
            // The one used last has its statements prepared.
            .queue_strategy(QueueStrategy::Lifo)
            .connection_timeout(ACQUIRE_TIMEOUT)
            .build_unchecked(manager);
        Self {
            pool,
            url: url.into(),
            wake: Wake::default(),
        }
    }

    /// What wakes workers.
    pub fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Carries wake-ups between this process and others until `stop`.
    pub fn relay_wakes(&self, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
        self.wake.clone().relay(self.url.to_string(), stop)
    }

    /// A connection for reading, or for a single statement.
    pub async fn connection(&self) -> Result<Pooled<'_>> {
        self.pool.get().await.map_err(|error| {
            Error::unavailable(
                "DATABASE_UNAVAILABLE",
                "The database is not reachable; try again shortly",
                anyhow::Error::new(error),
            )
        })
    }

    /// Whether the database answers in time: what a health check asks.
    pub async fn answers(&self) -> bool {
        let probe = async {
            let mut conn = self.connection().await?;
            conn.batch_execute("SELECT 1").await?;
            Ok::<_, Error>(())
        };
        matches!(timeout(PROBE_TIMEOUT, probe).await, Ok(Ok(())))
    }
}
