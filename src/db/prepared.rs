//! Statements in SQL that are prepared once a connection.
//!
//! `diesel::sql_query` is planned anew at every use, because its text might be made of data. The texts given to
//! [`prepared`] are constants, and what changes is bound; rows travel as one array a column, so that a statement for one
//! row is the statement for a hundred.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId, SqlQuery},
};

/// A statement with its values, see [`prepared`].
#[derive(Debug, Clone)]
pub struct Prepared<Q>(Q);

/// A statement with a constant text; `bind` fills the query with its values.
pub fn prepared<Q>(text: &'static str, bind: impl FnOnce(SqlQuery) -> Q) -> Prepared<Q> {
    Prepared(bind(diesel::sql_query(text)))
}

/// A column of rows.
pub fn column<'r, R, T>(rows: &'r [R], of: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Prepared<Q> {
    type SqlType = Q::SqlType;
}
