//! What is stored: to show that a refused request has written nothing.

use std::collections::BTreeMap;

use crate::support::TestApp;

/// Tables that count requests, refused ones too.
const COUNTERS: [&str; 3] = ["rate_hits", "rate_days", "rate_batches"];

/// The content of every table: how many rows, and a digest of them without the notes of when a key was last used.
pub(super) async fn snapshot(app: &TestApp) -> BTreeMap<String, (i64, String)> {
    let mut content = BTreeMap::new();
    for row in app
        .sql("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
        .await
    {
        let table: String = row.get(0);
        if COUNTERS.contains(&table.as_str()) {
            continue;
        }
        let line = if table == "api_keys" {
            "(to_jsonb(t) - 'last_used_at')::text"
        } else {
            "t::text"
        };
        let digest = format!(
            "SELECT count(*), md5(coalesce(string_agg(line, '|' ORDER BY line), '')) \
             FROM (SELECT {line} AS line FROM \"{table}\" t) AS lines"
        );
        let row = app.sql(&digest).await.remove(0);
        content.insert(table, (row.get(0), row.get(1)));
    }
    assert!(content.len() > 5, "the tables were not found");
    content
}
