//! Writes that are collected before they are sent, so that they travel together.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId, SqlQuery},
};
use diesel_async::RunQueryDsl;
use futures_util::future::try_join_all;

use super::{Conn, prepared::prepared};

/// A statement in SQL that writes rows, with its values, prepared once a connection.
pub struct Write<'q>(Box<dyn QueryFragment<Pg> + Send + Sync + 'q>);

impl<'q> Write<'q> {
    /// A statement with a constant text; `bind` fills the query with its values.
    pub fn new<Q>(text: &'static str, bind: impl FnOnce(SqlQuery) -> Q) -> Self
    where
        Q: QueryFragment<Pg> + Send + Sync + 'q,
    {
        Self(Box::new(prepared(text, bind)))
    }

    /// Runs it; how many rows it wrote.
    pub async fn run(self, mut conn: &Conn) -> QueryResult<usize> {
        self.execute(&mut conn).await
    }
}

/// Runs the writes in their order. All are sent at once.
pub async fn run_all(conn: &Conn, writes: Vec<Write<'_>>) -> QueryResult<()> {
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
