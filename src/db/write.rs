//! Writes that are collected before they are sent, so that they travel together.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
};
use diesel_async::RunQueryDsl;
use futures_util::future::try_join_all;

use super::Conn;

/// A statement in SQL that writes rows, with its values, prepared once a connection.
pub struct Write<'q>(Box<dyn QueryFragment<Pg> + Send + Sync + 'q>);

impl<'q> Write<'q> {
    /// A statement without values.
    pub fn new(text: &'static str) -> Self {
        Self::of(diesel::sql_query(text))
    }

    /// A statement whose text is not made of data.
    pub(super) fn of(statement: impl QueryFragment<Pg> + Send + Sync + 'q) -> Self {
        Self(Box::new(statement))
    }

    /// Runs it; how many rows it wrote.
    pub async fn run(self, mut conn: &Conn) -> QueryResult<usize> {
        self.execute(&mut conn).await
    }
}

/// Runs the writes in their order. All are sent at once.
pub async fn run_all<'q>(
    conn: &Conn,
    writes: impl IntoIterator<Item = Write<'q>>,
) -> QueryResult<()> {
    try_join_all(writes.into_iter().map(|write| write.run(conn))).await?;
    Ok(())
}

impl QueryFragment<Pg> for Write<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        // A box has an answer of its own, which is not that of what is in it.
        Ok(true)
    }
}

impl QueryId for Write<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
