//! One private Postgres per test process, migrated once; each test gets a copy of the migrated database.

use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
};

use pulpo::db::{
    builtin::{BuiltIn, Options},
    migrate,
};

/// The database the built-in Postgres makes; migrated, never used, copied.
const TEMPLATE: &str = "pulpo";

/// Connections of all tests that run at the same time.
const CONNECTIONS: u32 = 300;

/// A copy of the migrated database; its name.
pub(super) async fn create_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    query(
        "postgres",
        &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"),
    )
    .await;
    name
}

/// How a database is reached.
pub(super) fn url(database: &str) -> String {
    let template = cluster();
    let server = template
        .strip_suffix(TEMPLATE)
        .expect("the address ends with the name of the database");
    format!("{server}{database}")
}

/// The rows of one statement.
pub(super) async fn query(database: &str, statement: &str) -> Vec<tokio_postgres::Row> {
    let connected = async |client: tokio_postgres::Client| client.query(statement, &[]).await;
    with_client(database, connected).await
}

/// Runs statements that give nothing.
pub(super) async fn batch(database: &str, statements: &str) {
    let connected = async |client: tokio_postgres::Client| client.batch_execute(statements).await;
    with_client(database, connected).await;
}

async fn with_client<T>(
    database: &str,
    run: impl AsyncFnOnce(tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
) -> T {
    let (client, connection) = tokio_postgres::connect(&url(database), tokio_postgres::NoTls)
        .await
        .expect("a database connection");
    let running = tokio::spawn(connection);
    let given = run(client).await.expect("the statement succeeds");
    running
        .await
        .expect("the connection task ends")
        .expect("the connection ends well");
    given
}

/// The address of this process's migrated database. A thread of its own keeps the server and never ends: Postgres is
/// told to stop when the thread that started it dies, and threads of tests do.
fn cluster() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel();
        let serve = move || {
            let server = start();
            sender.send(server.url()).expect("the first test waits");
            loop {
                std::thread::park();
            }
        };
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(serve)
            .expect("a thread");
        receiver.recv().expect("Postgres starts and is migrated")
    })
}

fn start() -> BuiltIn {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pg");
    remove_stale(&root);
    let options = Options {
        pool_size: CONNECTIONS,
        ..Options::default()
    };
    let server = BuiltIn::start(&root.join(std::process::id().to_string()), &options)
        .expect("Postgres starts");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(migrate::run(&server.url()))
        .expect("the migrations run");
    server
}

/// Removes the folders of processes that are gone.
fn remove_stale(root: &Path) {
    let Ok(entries) = std::fs::read_dir(root) else {
        return;
    };
    let is_gone = |folder: &PathBuf| {
        let pid = folder
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.parse::<u32>().ok());
        pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
    };
    for folder in entries.flatten().map(|entry| entry.path()).filter(is_gone) {
        let _ = std::fs::remove_dir_all(folder);
    }
}
