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
