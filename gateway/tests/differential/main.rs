//! One set of requests to this gateway and to Envoy's JSON transcoder, and one to its gRPC-Web filter, all in front of the same
//! gRPC service.
//!
//! `requests.txt` and `web_requests.txt` hold the requests, `decisions.txt` and `web_decisions.txt` every difference with the
//! decision it falls under, and the table "Decisions" of the README the reasons. A difference that is not listed fails the test, and so does a listed one that is
//! gone or has changed. `make differential` fetches Envoy and runs it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod client;
mod servers;
mod web;

use std::collections::BTreeSet;
use std::fmt::Write;

use cases::{Case, Decision};
use client::Reply;

const REQUESTS: &str = include_str!("requests.txt");
const DECISIONS: &str = include_str!("decisions.txt");
const WEB_REQUESTS: &str = include_str!("web_requests.txt");
const WEB_DECISIONS: &str = include_str!("web_decisions.txt");
const README: &str = include_str!("../../README.md");

/// The least that counts as one set.
const CASES_MIN: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Envoy: make differential"]
async fn every_difference_from_envoy_is_decided() {
    compare(REQUESTS, DECISIONS, client::rest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Envoy: make differential"]
async fn every_difference_in_grpc_web_is_decided() {
    compare(WEB_REQUESTS, WEB_DECISIONS, web::web).await;
}

/// Sends the requests to both, and compares how they differ with what is decided.
async fn compare(requests: &str, decisions: &str, tell: fn(&Reply) -> String) {
    let pool = servers::pool();
    let upstream = servers::upstream(&pool).await;
    let ours = servers::gateway(&pool).await;
    let mut envoy = servers::Envoy::start(&pool, upstream.port()).await;

    let cases = cases::requests(requests);
    let decided = cases::decisions(decisions);
    let (mut met, mut faults) = (BTreeSet::new(), String::new());
    for case in &cases {
        let (mut envoy_says, pulpo) = tokio::join!(
            client::send(envoy.address, case, tell),
            client::send(ours, case, tell)
        );
        if envoy_says == client::CLOSED && envoy.revive().await {
            envoy_says = "crashes".to_owned();
        }
        let found = Decision {
            request: case.text.clone(),
            envoy: envoy_says,
            pulpo,
            id: String::new(),
        };
        let listed = decided.iter().find(|other| other.request == case.text);
        match listed {
            Some(listed) if listed.is_same(&found) => drop(met.insert(&listed.request)),
            None if found.envoy == found.pulpo => {}
            _ => write!(faults, "{found}").unwrap(),
        }
    }
    for decision in decided.iter().filter(|one| !met.contains(&one.request)) {
        if cases.iter().all(|case| case.text != decision.request) {
            write!(faults, "no such request:\n{decision}").unwrap();
        }
    }
    assert!(faults.is_empty(), "not as decided:\n\n{faults}");
}

#[test]
fn the_set_is_whole_and_every_decision_has_its_reason() {
    let mut cases = cases::requests(REQUESTS);
    assert!(cases.len() >= CASES_MIN, "{}", cases.len());
    cases.extend(cases::requests(WEB_REQUESTS));
    let texts: BTreeSet<&String> = cases.iter().map(|Case { text, .. }| text).collect();
    assert_eq!(texts.len(), cases.len(), "a request is there twice");
    let used: BTreeSet<String> = [DECISIONS, WEB_DECISIONS]
        .into_iter()
        .flat_map(cases::decisions)
        .map(|one| one.id)
        .collect();
    let table = README.split("## Decisions").nth(1).unwrap_or_default();
    let rows: BTreeSet<String> = table
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| E")?.split_once(' ')?.0))
        .map(|number| format!("E{number}"))
        .collect();
    assert_eq!(used, rows, "decisions in use and rows of the table");
}
