//! Named transactions, retried when Postgres asks for it.

use std::time::Duration;

use diesel::{
    QueryResult,
    connection::{TransactionDepthChange, TransactionManagerStatus, ValidTransactionManagerStatus},
    result::{DatabaseErrorKind, Error as DieselError},
};
use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};
use futures_util::{FutureExt, future::join_all};
use tokio::task::unconstrained;

use super::{Conn, Db, wake, write::Write};
use crate::error::{Error, Kind, Result};

type Manager = <Conn as AsyncConnection>::TransactionManager;

/// Attempts of one transaction before its conflict becomes the caller's.
const ATTEMPTS: u32 = 8;

/// An async closure over a connection whose future can be sent between threads; write `async |conn: &mut Conn| …`.
///
/// Its own trait because bounds on the future of an async closure cannot be written directly yet.
pub trait TransactionBody<C, T>:
    AsyncFn(C) -> Result<T> + Fn(C) -> <Self as TransactionBody<C, T>>::Running
{
    /// The future of one run.
    type Running: Future<Output = Result<T>>;
}

impl<F, C, R, T> TransactionBody<C, T> for F
where
    F: AsyncFn(C) -> Result<T> + Fn(C) -> R,
    R: Future<Output = Result<T>>,
{
    type Running = R;
}

/// How the statements of a transaction are planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plans {
    /// As Postgres likes.
    Any,
    /// Each keeps its first plan, which reads tables by their indexes. For statements that run very often and whose plans
    /// do not depend on what is bound: making plans anew costs more than running them, and a plan that was made while a
    /// table was small is still there when it is large.
    Kept,
}

impl Plans {
    fn begin(self) -> &'static str {
        match self {
            Self::Any => "BEGIN",
            Self::Kept => {
                "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL jit = off"
            }
        }
    }
}

impl Db {
    /// Runs `body` in one transaction (read committed) and commits it. On a serialisation failure or deadlock it is
    /// rolled back and run again, so `body` must change nothing but the database. `name` goes to log and metrics.
    pub async fn transaction<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        F: for<'c> AsyncFn(&'c mut Conn) -> Result<T>
            + for<'c> TransactionBody<&'c mut Conn, T, Running: Send>
            + Send
            + Sync,
        T: Send,
    {
        self.transaction_with(Plans::Any, name, body).await
    }

    /// [`Db::transaction`] with a say about plans.
    pub async fn transaction_with<T, F>(
        &self,
        plans: Plans,
        name: &'static str,
        body: F,
    ) -> Result<T>
    where
        F: for<'c> AsyncFn(&'c mut Conn) -> Result<T>
            + for<'c> TransactionBody<&'c mut Conn, T, Running: Send>
            + Send
            + Sync,
        T: Send,
    {
        let mut conn = self.connection().await?;
        for attempt in 1.. {
            begin(&mut conn, plans)?;
            let (outcome, written) = wake::noting(body(&mut conn)).await;
            let outcome = match outcome {
                Ok(value) => commit(&mut conn).await.map(|()| {
                    self.wake.announce_all(written);
                    value
                }),
                Err(error) => {
                    // A connection that cannot even roll back is broken; the pool drops it when it is next checked.
                    let _ = Manager::rollback_transaction(&mut *conn).await;
                    Err(error)
                }
            };
            match outcome {
                Err(error) if attempt < ATTEMPTS && is_retryable(&error) => {
                    metrics::counter!("pulpo_transaction_retries_total", "transaction" => name)
                        .increment(1);
                    tokio::time::sleep(Duration::from_millis(u64::from(attempt) * 2)).await;
                }
                outcome => {
                    let result = if outcome.is_ok() {
                        "committed"
                    } else {
                        "rolled_back"
                    };
                    metrics::counter!("pulpo_transactions_total", "transaction" => name, "outcome" => result).increment(1);
                    return outcome;
                }
            }
        }
        unreachable!("the loop returns on its last attempt")
    }
}

/// Sends the beginning and does not wait for its answer: what follows on the connection is done after it.
///
/// The connection is marked while it is in a transaction: when the client goes away in the middle, the pool drops the
/// connection instead of giving half of a transaction to the next request.
fn begin(conn: &mut Conn, plans: Plans) -> QueryResult<()> {
    let status = status(conn)?;
    if status.transaction_depth().is_some() {
        return Err(DieselError::AlreadyInTransaction);
    }
    status.change_transaction_depth(TransactionDepthChange::IncreaseDepth)?;
    let mut sender: &Conn = conn;
    match sender.batch_execute(plans.begin()).now_or_never() {
        Some(answer) => answer,
        None => Ok(()),
    }
}

fn status(conn: &mut Conn) -> QueryResult<&mut ValidTransactionManagerStatus> {
    match Manager::transaction_manager_status_mut(conn) {
        TransactionManagerStatus::Valid(status) => Ok(status),
        TransactionManagerStatus::InError => Err(DieselError::BrokenTransactionManager),
    }
}

/// Commits, unless [`write_and_commit`] did.
async fn commit(conn: &mut Conn) -> Result<()> {
    match status(conn)?.transaction_depth() {
        Some(_) => Ok(Manager::commit_transaction(conn).await?),
        None => Ok(()),
    }
}

/// The last thing of a [`Db::transaction`]: makes the writes in their order and commits, all in one trip. When one of them
/// fails, nothing is committed.
///
/// `COMMIT` is a prepared statement like the writes: a connection takes those in the order in which they are asked for,
/// also when it sees one for the first time and has to prepare it before.
pub async fn write_and_commit(conn: &mut Conn, writes: Vec<Write<'_>>) -> QueryResult<()> {
    let commit = Write::new("COMMIT");
    let all = writes.into_iter().chain([commit]);
    // Not interrupted in the middle for the sake of other tasks.
    let sent = unconstrained(join_all(all.map(|write| write.run(conn))));
    let outcomes = sent.await;
    // After a statement that failed, `COMMIT` rolls back.
    status(conn)?.change_transaction_depth(TransactionDepthChange::DecreaseDepth)?;
    outcomes
        .into_iter()
        .try_for_each(|outcome| outcome.map(|_| ()))
}

/// To be the first statement of a transaction: everything after it sees one instant, and nothing can be written.
pub async fn begin_snapshot(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .await
}

/// An error after which [`Db::transaction`] begins anew: what was read is not true any more.
pub fn again(why: &'static str) -> Error {
    let why = Box::new(why.to_owned());
    DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, why).into()
}

fn is_retryable(error: &Error) -> bool {
    let Some(source) = (error.kind == Kind::Internal)
        .then_some(error.source.as_ref())
        .flatten()
    else {
        return false;
    };
    match source.downcast_ref::<DieselError>() {
        Some(DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
        Some(DieselError::DatabaseError(_, info)) => info.message().contains("deadlock detected"),
        _ => false,
    }
}
