//! Migrations: embedded in the program, run at start, one process at a time.

use anyhow::{Context, Result, anyhow};
use diesel_async::{
    AsyncConnection, AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// "pulpo" as a number; the advisory lock that replicas starting together take in turn.
const LOCK: i64 = 0x70_75_6c_70_6f;

/// Brings the database at `url` up to date and says how many migrations that took. Processes that start together wait
/// for the first one. Needs the multi-thread runtime.
///
/// # Errors
/// The database is not reachable, or a migration fails; those before it stay applied.
pub async fn run(url: &str) -> Result<usize> {
    let mut conn = AsyncPgConnection::establish(url)
        .await
        .context("cannot connect to the database")?;
    // Held by the session, so it ends with the connection however this function is left.
    conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))
        .await
        .context("cannot take the migration lock")?;
    let mut harness = AsyncMigrationHarness::new(conn);
    let applied = harness
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| anyhow!("a migration failed: {error}"))?;
    Ok(applied.len())
}
