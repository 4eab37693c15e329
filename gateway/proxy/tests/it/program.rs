//! The program itself: its command line, its signals, its log.

use std::io::Write;

use nix::sys::signal::Signal;
use tokio::{io::AsyncReadExt, process::Command};

use crate::{
    running::{PROGRAM, Running, address},
    upstream::{Reflection, Upstream, compiled, descriptor_set},
};

#[tokio::test]
async fn it_serves_reads_again_on_hangup_and_ends_on_terminate() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut set = tempfile::NamedTempFile::new().unwrap();
    set.write_all(&descriptor_set(true)).unwrap();
    let config = format!(
        "[access_log]\nformat = \"json\"\n\n[[upstream]]\nname = \"shop\"\nurl = \"{}\"\ndescriptor_set = {:?}\n",
        upstream.url(),
        set.path()
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(config.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let mut running = Running::start(&["--config", path, "--listen", "127.0.0.1:0"]);
    let line = running.says("listening").await;
    let address = address(&line);
    let get = async |path: &str| {
        reqwest::get(format!("http://{address}{path}"))
            .await
            .unwrap()
    };
    assert_eq!(get("/v1/items/lamp?unknown=1").await.status(), 400);
    assert_eq!(get("/v1/items/lamp").await.status(), 200);

    // In place, which is no atomic change; the signal says when it is whole.
    let moved = compiled(true, |proto| {
        proto.replace("/v1/items/{name}", "/v2/items/{name}")
    });
    std::fs::write(set.path(), moved).unwrap();
    running.signal(Signal::SIGHUP);
    running.says("new descriptors are served").await;
    assert_eq!(get("/v2/items/lamp").await.status(), 200);

    running.signal(Signal::SIGTERM);
    running.says("stopping").await;
    assert!(running.child.wait().await.unwrap().success());
    let mut access = String::new();
    let mut stdout = running.child.stdout.take().unwrap();
    stdout.read_to_string(&mut access).await.unwrap();
    let lines: Vec<serde_json::Value> = access
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["path"].as_str().unwrap(),
                line["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("/v1/items/lamp", 400),
            ("/v1/items/lamp", 200),
            ("/v2/items/lamp", 200)
        ]
    );
    assert_eq!(lines[1]["route"], "shop.v1.Shop/GetItem");
    upstream.stop().await;
}

pub(crate) async fn output(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .output()
        .await
        .unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[tokio::test]
async fn the_printed_configuration_is_the_configuration() {
    let told = [
        "--upstream",
        "http://127.0.0.1:1",
        "--reflection",
        "--print-config",
    ];
    let (is_ok, printed, _) = output(&told).await;
    assert!(is_ok);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(printed.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let (_, again, _) = output(&["--config", path, "--print-config"]).await;
    assert_eq!(again, printed);
}

#[tokio::test]
async fn mistakes_in_the_configuration_are_all_told() {
    for (text, told) in [
        ("[server]\nworker = 1\n", vec!["unknown field `worker`"]),
        (
            "[[upstream]]\nname = \"a\"\nurl = \"ftp://x\"\n\n[[surface]]\nname = \"s\"\nupstreams = [\"b\"]\nheaders.requests = [\"grpc-status\"]\ncors_exposed = [\"two words\"]\n",
            vec![
                "upstream a: url:",
                "it has neither",
                "there is no upstream b",
                "'grpc-status' belongs",
                "surface s: two words is no header",
            ],
        ),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let (is_ok, _, error) = output(&["--config", path, "--check"]).await;
        assert!(!is_ok);
        for fault in told {
            assert!(error.contains(fault), "{fault} in {error}");
        }
    }
}

#[tokio::test]
async fn the_example_is_right() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gateway.toml");
    let text = std::fs::read_to_string(example).unwrap();
    let config = pulpo_gateway_proxy::config::Config::parse(&text).unwrap();
    assert_eq!(config.check(), Ok(()));
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    assert!(
        std::fs::read_to_string(readme)
            .unwrap()
            .contains(text.trim())
    );
}
