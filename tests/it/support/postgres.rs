//! One private Postgres per test process, migrated once; each test gets a copy of the migrated database.

use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
};

use pulpo::db::builtin::BuiltIn;
use tokio::sync::OnceCell;

/// The database that is copied.
const TEMPLATE: &str = "template_pulpo";

/// A copy of the migrated database; its name.
pub(super) async fn create_database() -> String {
    static MIGRATED: OnceCell<()> = OnceCell::const_new();
    static NEXT: AtomicU32 = AtomicU32::new(1);
    MIGRATED
        .get_or_init(|| async {
            query("postgres", &format!("CREATE DATABASE {TEMPLATE}")).await;
            pulpo::db::migrate(&url(TEMPLATE)).await.expect("the migrations run");
        })
        .await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    query("postgres", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
    name
}

/// How a database is reached.
pub(super) fn url(database: &str) -> String {
    cluster().url(database)
}

/// The rows of one statement.
pub(super) async fn query(database: &str, statement: &str) -> Vec<tokio_postgres::Row> {
    let (client, connection) =
        tokio_postgres::connect(&url(database), tokio_postgres::NoTls).await.expect("a database connection");
    let running = tokio::spawn(connection);
    let rows = client.query(statement, &[]).await.expect("the statement succeeds");
    drop(client);
    running.await.expect("the connection task ends").expect("the connection ends well");
    rows
}

/// The cluster of this process. A thread of its own starts it and never ends: Postgres is told to stop when the thread
/// that started it dies, and threads of tests do.
fn cluster() -> &'static BuiltIn {
    static CLUSTER: OnceLock<BuiltIn> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel();
        let start = move || {
            let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pg");
            remove_stale(&root);
            let _ = sender.send(BuiltIn::start(&root.join(std::process::id().to_string()), None));
            loop {
                std::thread::park();
            }
        };
        std::thread::Builder::new().name("postgres".to_owned()).spawn(start).expect("a thread");
        receiver.recv().expect("the thread answers").expect("Postgres starts")
    })
}

/// Removes the folders of processes that are gone.
fn remove_stale(root: &Path) {
    let Ok(entries) = std::fs::read_dir(root) else { return };
    let is_gone = |folder: &PathBuf| {
        let pid = folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
        pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
    };
    for folder in entries.flatten().map(|entry| entry.path()).filter(is_gone) {
        let _ = std::fs::remove_dir_all(folder);
    }
}
