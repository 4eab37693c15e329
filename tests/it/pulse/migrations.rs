//! Payments of before the tables of today: what is there survives the way back and forth.

use std::path::Path;

use pulpo::{db::migrate, pay::audit};

use super::{Desk, audit::book};

/// The first of the migrations that changed how payments are kept.
const FIRST: &str = "2026-11-22-000700";

/// What must be the same: payments with what their policies said, entries, histories, heads.
const KEPT: [&str; 4] = [
    "SELECT (to_jsonb(t) - 'policy_version_id' || jsonb_build_object('policy', v.snapshot))::text FROM transactions t \
     LEFT JOIN policy_versions v ON v.id = t.policy_version_id ORDER BY t.seq",
    "SELECT (to_jsonb(e) - 'seq')::text FROM ledger_entries e ORDER BY e.seq",
    "SELECT (to_jsonb(e) - 'xid')::text FROM events e ORDER BY e.seq",
    "SELECT to_jsonb(h)::text FROM ledger_heads h ORDER BY h.org_id",
];

async fn kept(desk: &Desk) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for statement in KEPT {
        let rows = desk.app.sql(statement).await;
        all.push(rows.iter().map(|row| row.get(0)).collect());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_survive_the_change_of_their_tables() {
    let (desk, _) = book().await;
    let before = kept(&desk).await;
    assert!(before.iter().all(|rows| !rows.is_empty()));

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let entries = std::fs::read_dir(&folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.as_str() >= FIRST).collect();
    names.sort_unstable();
    for name in names.iter().rev() {
        let back = std::fs::read_to_string(folder.join(name).join("down.sql")).unwrap();
        desk.app.batch(&format!("BEGIN; {back}; COMMIT")).await;
        let version = name.split('_').next().unwrap().replace('-', "");
        desk.app
            .sql(&format!(
                "DELETE FROM __diesel_schema_migrations WHERE version = '{version}'"
            ))
            .await;
    }
    let old = "SELECT count(*) FROM authorizations a JOIN transactions t ON t.org_id = a.org_id AND t.id = a.transaction_id";
    let payments = i64::try_from(before[0].len()).unwrap();
    assert_eq!(desk.app.sql_number(old).await, payments);

    let applied = migrate::run(&desk.app.database_url()).await.unwrap();
    assert_eq!(applied, names.len());
    assert_eq!(kept(&desk).await, before);
    let audit = audit::verify(&desk.app.app.db, None).await.unwrap();
    assert!(
        audit.checks.iter().all(|checked| checked.total == 0),
        "{audit:#?}"
    );
}
