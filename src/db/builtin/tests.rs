use std::os::unix::fs::PermissionsExt;

use super::*;

/// A folder that the server's user may enter, whoever runs the tests.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
        .expect("permissions");
    folder
}

fn query(url: &str, sql: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .expect("connects");
        let connection = tokio::spawn(connection);
        let rows = client.simple_query(sql).await.expect("runs");
        drop(client);
        connection.await.expect("joins").expect("ends");
        rows.iter()
            .find_map(|row| match row {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default()
    })
}

#[test]
fn data_survive_stopping_and_the_folder_is_taken_once() {
    let folder = folder();
    let options = Options {
        postgres_bin: None,
        pool_size: 5,
    };
    let mut server = BuiltIn::start(folder.path(), &options).expect("starts");
    query(&server.url(), "CREATE TABLE kept AS SELECT 42 AS answer");
    let second = BuiltIn::start(folder.path(), &options).expect_err("the folder is taken");
    assert!(
        second.to_string().contains("another pulpo uses"),
        "{second}"
    );
    server.stop().expect("stops");
    server.stop().expect("stopping twice does nothing");
    drop(server);

    let server = BuiltIn::start(folder.path(), &options).expect("starts again");
    assert_eq!(query(&server.url(), "SELECT answer FROM kept"), "42");
    assert_eq!(query(&server.url(), "SHOW fsync"), "on");
    assert_eq!(query(&server.url(), "SHOW max_connections"), "15");
    assert_eq!(query(&server.url(), "SHOW listen_addresses"), "");
}

#[test]
fn a_path_too_long_for_a_socket_and_an_unfinished_cluster_are_no_hindrance() {
    let folder = folder();
    let deep = folder.path().join("a".repeat(60)).join("it's b".repeat(10));
    std::fs::create_dir_all(deep.join("pg.new/base")).expect("folders");
    let server = BuiltIn::start(&deep, &Options::default()).expect("starts");
    assert_eq!(query(&server.url(), "SELECT 1"), "1");
    let sockets = server.sockets.clone();
    drop(server);
    assert!(!sockets.exists(), "the temporary folder is removed");
}

#[test]
fn a_folder_without_the_programs_is_refused() {
    let options = Options {
        postgres_bin: Some("/nonexistent".into()),
        pool_size: 1,
    };
    let error = BuiltIn::start(folder().path(), &options).expect_err("no programs");
    assert!(
        error
            .to_string()
            .contains("no initdb and postgres in /nonexistent"),
        "{error}"
    );
}

/// Retries `attempt` until it succeeds; the patience of the test ends it.
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

fn postmaster(folder: &Path) -> Option<i32> {
    let state = std::fs::read_to_string(folder.join("pg/postmaster.pid")).ok()?;
    let ready = state.lines().nth(7)?.trim() == "ready";
    state.lines().next()?.parse().ok().filter(|_| ready)
}

#[test]
fn a_killed_server_is_started_again_and_keeps_what_was_committed() {
    let folder = folder();
    let mut server = BuiltIn::start(folder.path(), &Options::default()).expect("starts");
    query(&server.url(), "CREATE TABLE kept (n int)");
    for round in 1..=3 {
        query(&server.url(), &format!("INSERT INTO kept VALUES ({round})"));
        let killed = postmaster(folder.path()).expect("running");
        let pid = nix::unistd::Pid::from_raw(killed);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("killed");
        eventually("it is started again", || {
            postmaster(folder.path()).filter(|pid| *pid != killed)
        });
        let count = query(&server.url(), "SELECT count(*) FROM kept");
        assert_eq!(count, round.to_string());
    }
    let pid = postmaster(folder.path()).expect("running");
    server.stop().expect("stops");
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn stopping_does_not_wait_for_a_server_that_cannot_start() {
    let folder = folder();
    let mut server = BuiltIn::start(folder.path(), &Options::default()).expect("starts");
    let control = folder.path().join("pg/global/pg_control");
    std::fs::rename(&control, folder.path().join("hidden")).expect("hidden");
    let killed = postmaster(folder.path()).expect("running");
    let pid = nix::unistd::Pid::from_raw(killed);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("killed");
    let log = folder.path().join("pg.log");
    eventually("a start fails", || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains("could not find the database system")
            .then_some(())
    });
    let asked = std::time::Instant::now();
    server.stop().expect("stops");
    assert!(asked.elapsed() < STOP_TIMEOUT);
}
