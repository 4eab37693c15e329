//! The built-in Postgres dies while the program works.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::program::{Program, command, eventually};

/// Clients that pay at once.
const CLIENTS: usize = 6;
/// Acknowledged payments before each kill.
const ANSWERS: usize = 40;
const KILLS: usize = 2;

fn folder(of: &str) -> PathBuf {
    let name = format!("postgres-{of}-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn postmaster(data: &Path) -> Option<Pid> {
    let state = std::fs::read_to_string(data.join("pg/postmaster.pid")).ok()?;
    state.lines().next()?.parse().ok().map(Pid::from_raw)
}

#[derive(Clone)]
struct Pulse {
    base: String,
    key: String,
    http: reqwest::Client,
}

impl Pulse {
    fn of(data: &Path) -> Self {
        let text = std::fs::read_to_string(data.join("credentials.json")).unwrap();
        let credentials: Value = serde_json::from_str(&text).unwrap();
        let of = |name: &str| credentials["pulse"][name].as_str().unwrap().to_owned();
        Self {
            base: of("base_url"),
            key: of("api_key"),
            http: reqwest::Client::new(),
        }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", self.base));
        let reply = request.bearer_auth(&self.key).send().await.unwrap();
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Pays one dollar after the other; tells each payment acknowledged, and none where the answer was 503.
    async fn pay(self, told: mpsc::Sender<Option<String>>) {
        let body = json!({
            "requesting_agent_id": "agent-treasury-ops",
            "counterparty_agent_id": "agent-vendor-pay",
            "amount": 1.00,
            "tx_type": "restart_test",
        });
        loop {
            let request = self.http.post(format!("{}/payments/request", self.base));
            let request = request
                .bearer_auth(&self.key)
                .header("content-type", "application/json");
            let reply = request.body(body.to_string()).send().await.unwrap();
            let status = reply.status().as_u16();
            let reply: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
            let id = match status {
                503 => None,
                _ => {
                    assert_eq!(reply["status"], "authorized", "{status} {reply}");
                    Some(reply["transaction_id"].as_str().unwrap().to_owned())
                }
            };
            if told.send(id).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_comes_back_and_nothing_acknowledged_is_lost() {
    let data = folder("killed");
    let mut dev = command(&["dev", "--data-dir", data.to_str().unwrap()]);
    dev.env("PULPO_RATES_SCALE", "1000")
        .env("PULPO_LOG", "warn");
    let program = Program::start(dev);
    let pulse = Pulse::of(&data);
    let (tell, mut told) = mpsc::channel(1);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(pulse.clone().pay(tell.clone()));
    }
    drop(tell);
    let (mut acknowledged, mut refused) = (HashSet::new(), 0);
    for killed in 0..=KILLS {
        // After a kill, this many answers show that it serves again.
        let wanted = acknowledged.len() + ANSWERS;
        while acknowledged.len() < wanted {
            match told.recv().await.unwrap() {
                Some(id) => _ = acknowledged.insert(id),
                None => refused += 1,
            }
        }
        if killed < KILLS {
            kill(postmaster(&data).unwrap(), Signal::SIGKILL).unwrap();
        }
    }
    drop(told);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert!(refused > 0, "requests in between are 503");

    for id in &acknowledged {
        let (status, payment) = pulse.get(&format!("/payments/{id}")).await;
        assert_eq!(status, 200, "{payment}");
        assert_eq!(payment["transaction"]["status"], "settled", "{payment}");
    }
    let (_, wallets) = pulse.get("/wallets").await;
    let sum = |name: &str| -> f64 {
        let wallets = wallets["wallets"].as_array().unwrap();
        wallets.iter().map(|w| w[name].as_f64().unwrap()).sum()
    };
    assert_eq!(sum("available_balance"), 51_000.0);
    assert_eq!(sum("lifetime_sent"), sum("lifetime_received"));
    assert!(sum("lifetime_sent") >= acknowledged.len() as f64);

    let last = postmaster(&data).unwrap();
    let log = program.stop();
    let ended = log.matches("the built-in Postgres ended").count();
    let back = log.matches("the built-in Postgres is back").count();
    assert_eq!((ended, back), (KILLS, KILLS), "{log}");
    assert!(kill(last, None).is_err(), "no server is left behind");
    std::fs::remove_dir_all(data).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_cannot_start_everything_is_503_and_stopping_works() {
    let data = folder("broken");
    let dev = command(&["dev", "--data-dir", data.to_str().unwrap()]);
    let program = Program::start(dev);
    let pulse = Pulse::of(&data);
    assert_eq!(pulse.get("/wallets").await.0, 200);
    let control = data.join("pg/global/pg_control");
    let hidden = data.join("pg_control");
    std::fs::rename(&control, &hidden).unwrap();
    kill(postmaster(&data).unwrap(), Signal::SIGKILL).unwrap();
    // What was left of the server may answer for a moment, one connection longer than another.
    eventually("it is gone", async || {
        for _ in 0..5 {
            if pulse.get("/wallets").await.0 != 503 {
                return None;
            }
        }
        Some(())
    })
    .await;
    // Mended, it comes back by itself.
    std::fs::rename(&hidden, &control).unwrap();
    eventually("it is back", async || {
        (pulse.get("/wallets").await.0 == 200).then_some(())
    })
    .await;
    // Broken again, it does not keep the program from stopping.
    std::fs::rename(&control, &hidden).unwrap();
    kill(postmaster(&data).unwrap(), Signal::SIGKILL).unwrap();
    eventually("it is gone", async || {
        (pulse.get("/wallets").await.0 == 503).then_some(())
    })
    .await;
    program.stop();
    std::fs::remove_dir_all(data).unwrap();
}
