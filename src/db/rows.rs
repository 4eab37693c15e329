//! Rows that a statement takes as a table: what a statement does is written down once, for one row and for a hundred.
//!
//! One or two rows are written out as `VALUES`, which costs Postgres nothing to read; more travel as one array a column, so
//! that there is one statement for any number of them.

use std::fmt::Write as _;

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, QueryFragment},
    serialize::ToSql,
    sql_types::{
        Array, BigInt, Binary, Bool, HasSqlType, Jsonb, Nullable, SingleValue, SmallInt, SqlType,
        Text, Timestamptz, is_nullable::NotNull,
    },
};

use super::write::Write;

/// Up to so many rows are written out.
const WRITTEN_OUT_MAX: usize = 2;

/// A value, or a column of them, without a text.
type Bind<'q> = Box<dyn QueryFragment<Pg> + Send + Sync + 'q>;

/// Rows of a statement, with the values that are the same for all of them.
pub struct Rows<'r, 'q, R> {
    rows: &'r [R],
    shared: usize,
    binds: Vec<Bind<'q>>,
    columns: Vec<(&'static str, &'static str)>,
}

/// The name of a type in a statement.
pub trait Named {
    /// As in a cast.
    const NAME: &'static str;
}

macro_rules! named {
    ($($type:ty: $name:literal),*) => {
        $(impl Named for $type { const NAME: &'static str = $name; })*
    };
}

named!(Text: "text", BigInt: "bigint", SmallInt: "smallint", Bool: "boolean", Binary: "bytea", Jsonb: "jsonb", Timestamptz: "timestamptz");

impl<ST> Named for Nullable<ST>
where
    ST: Named + SqlType<IsNull = NotNull>,
{
    const NAME: &'static str = ST::NAME;
}

impl<'r, 'q, R> Rows<'r, 'q, R> {
    /// These rows.
    pub fn of(rows: &'r [R]) -> Self {
        Self {
            rows,
            shared: 0,
            binds: Vec::new(),
            columns: Vec::new(),
        }
    }

    /// A value that is the same for all rows: the first is `$1` in the text. They come before the columns.
    pub fn value<ST, T>(mut self, value: T) -> Self
    where
        Pg: HasSqlType<ST>,
        ST: Send + Sync + 'q,
        T: ToSql<ST, Pg> + Send + Sync + 'q,
    {
        self.bind::<ST, _>(value);
        self.shared += 1;
        self
    }

    /// A column, and what it has of each row.
    pub fn column<ST, T>(mut self, name: &'static str, of: impl Fn(&'r R) -> T) -> Self
    where
        Pg: HasSqlType<ST> + HasSqlType<Array<ST>>,
        ST: Named + SingleValue + Send + Sync + 'q,
        T: ToSql<ST, Pg> + Send + Sync + 'q,
        Vec<T>: ToSql<Array<ST>, Pg>,
    {
        let values = self.rows.iter().map(of);
        if self.is_written_out() {
            for value in values {
                self.bind::<ST, _>(value);
            }
        } else {
            self.bind::<Array<ST>, _>(Vec::from_iter(values));
        }
        self.columns.push((name, ST::NAME));
        self
    }

    fn bind<ST, T>(&mut self, value: T)
    where
        Pg: HasSqlType<ST>,
        ST: Send + Sync + 'q,
        T: ToSql<ST, Pg> + Send + Sync + 'q,
    {
        let bind = diesel::sql_query(String::new()).bind::<ST, _>(value);
        self.binds.push(Box::new(bind));
    }

    fn is_written_out(&self) -> bool {
        (1..=WRITTEN_OUT_MAX).contains(&self.rows.len())
    }

    /// The statement. In its text `{rows}` stands for the rows, a table named `r`; they are read in their order.
    pub fn write(self, text: &'static str) -> Write<'q> {
        let places = text.split_once("{rows}");
        debug_assert!(places.is_some(), "the statement does not read its rows");
        let (before, after) = places.unwrap_or((text, ""));
        let mut sql = String::with_capacity(text.len() + 24 * self.binds.len());
        sql.push_str(before);
        self.table(&mut sql);
        sql.push_str(after);
        Write::of(Statement {
            sql,
            binds: self.binds,
        })
    }

    /// The values, written out or as arrays, and the names of the columns. Writing to a text does not fail.
    fn table(&self, sql: &mut String) {
        let (rows, first) = (self.rows.len(), self.shared + 1);
        if self.is_written_out() {
            sql.push_str("(VALUES ");
            for row in 0..rows {
                let _ = write!(sql, "{}(", comma(row));
                for (column, (_, kind)) in self.columns.iter().enumerate() {
                    let place = first + column * rows + row;
                    let _ = write!(sql, "{}${place}::{kind}", comma(column));
                }
                sql.push(')');
            }
        } else {
            sql.push_str("unnest(");
            for (column, (_, kind)) in self.columns.iter().enumerate() {
                let _ = write!(sql, "{}${}::{kind}[]", comma(column), first + column);
            }
        }
        sql.push_str(") AS r (");
        for (column, (name, _)) in self.columns.iter().enumerate() {
            let _ = write!(sql, "{}{name}", comma(column));
        }
        sql.push(')');
    }
}

fn comma(place: usize) -> &'static str {
    if place == 0 { "" } else { ", " }
}

struct Statement<'q> {
    sql: String,
    binds: Vec<Bind<'q>>,
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(&self.sql);
        self.binds
            .iter()
            .try_for_each(|bind| bind.walk_ast(out.reborrow()))
    }
}
