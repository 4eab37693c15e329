//! Writes that are committed in the trip that sends them, and rows of a statement.

use diesel::sql_types::{BigInt, Nullable, Text};
use pulpo::db::{Conn, Db, rows::Rows, transaction::write_and_commit, write::Write};

use crate::support::TestApp;

/// A row with the transaction that wrote it. A divisor of 0 makes it fail.
fn row(place: usize, divisor: i64) -> Write<'static> {
    // A text of its own for each, so that each is prepared.
    const INSERTS: [&str; 3] = [
        "INSERT INTO written SELECT 0, pg_current_xact_id()::text, 1 / r.divisor FROM {rows}",
        "INSERT INTO written SELECT 1, pg_current_xact_id()::text, 1 / r.divisor FROM {rows}",
        "INSERT INTO written SELECT 2, pg_current_xact_id()::text, 1 / r.divisor FROM {rows}",
    ];
    Rows::of(&[divisor])
        .column::<BigInt, _>("divisor", |divisor| *divisor)
        .write(INSERTS[place])
}

/// Writes three rows with these divisors.
async fn write(db: &Db, divisors: [i64; 3]) -> bool {
    let written = db.transaction("test", async |conn: &mut Conn| {
        let rows = (0..)
            .zip(divisors)
            .map(|(place, divisor)| row(place, divisor));
        Ok(write_and_commit(conn, rows.collect()).await?)
    });
    written.await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_and_their_commit_are_one_transaction_also_on_connections_that_know_neither() {
    let app = TestApp::start().await;
    app.sql("CREATE TABLE written (place int, xid text, n int)")
        .await;
    let mut rounds = 0;
    for divisors in [[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0]] {
        let is_good = !divisors.contains(&0);
        for _ in 0..10 {
            // A pool that never saw them, and then the same connection again.
            let db = Db::new(&app.database_url(), 1);
            for _ in 0..2 {
                assert_eq!(write(&db, divisors).await, is_good);
                rounds += i64::from(is_good);
                // The connection is not in a transaction, and good for more.
                assert!(write(&db, [1, 1, 1]).await);
                rounds += 1;
            }
        }
    }
    let whole = "SELECT count(*) FROM (SELECT FROM written GROUP BY xid HAVING count(*) = 3 AND count(DISTINCT place) = 3) x";
    assert_eq!(app.sql_number(whole).await, rounds);
    assert_eq!(
        app.sql_number("SELECT count(*) FROM written").await,
        rounds * 3
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_rows_is_written_in_order() {
    let app = TestApp::start().await;
    app.sql("CREATE TABLE listed (place bigint GENERATED ALWAYS AS IDENTITY, pile text, name text, n bigint)")
        .await;
    let db = Db::new(&app.database_url(), 1);
    let piles = ["none", "one", "two", "three", "many"];
    for (pile, count) in piles.into_iter().zip([0, 1, 2, 3, 200]) {
        let rows: Vec<(String, Option<i64>)> = (0..count)
            .map(|n| (format!("{pile} {n}"), (n % 3 > 0).then_some(n)))
            .collect();
        let write = Rows::of(&rows)
            .value::<Text, _>(pile)
            .column::<Text, _>("name", |(name, _)| name.as_str())
            .column::<Nullable<BigInt>, _>("n", |(_, n)| *n)
            .write("INSERT INTO listed (pile, name, n) SELECT $1, r.* FROM {rows}");
        let written = write.run(&db.connection().await.unwrap()).await.unwrap();
        assert_eq!(written, rows.len(), "{pile}");
        let found = app
            .sql(&format!(
                "SELECT name, n FROM listed WHERE pile = '{pile}' ORDER BY place"
            ))
            .await;
        let found: Vec<(String, Option<i64>)> =
            found.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(found, rows, "{pile}");
    }
    app.stop().await;
}
