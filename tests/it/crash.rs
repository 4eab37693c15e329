//! The program killed while it works: nothing it acknowledged is lost, and no money appears or vanishes.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

/// Kills in a row, each in the middle of the load.
const KILLS: usize = 3;
/// Clients that pay at once.
const CLIENTS: usize = 8;
/// Answers before the program is killed.
const ANSWERS: usize = 60;
/// What the demo organisation's wallets hold in the beginning, in cents.
const OPENING_MINOR: i64 = 5_100_000;

/// The real program with a data folder of its own; killed without warning when dropped.
struct Program {
    child: Child,
    pulse: String,
    key: String,
}

impl Program {
    /// Starts it and waits for its ready line.
    fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulpo"));
        command.arg("dev").arg("--data-dir").arg(data);
        for surface in ["PULLPUSH", "PUSHPAKA", "PUPPYONE", "PULSE", "INTEGRATIONS"] {
            command.env(format!("PULPO_{surface}_ADDR"), "127.0.0.1:0");
        }
        command
            .env("PULPO_RATES_SCALE", "1000")
            .env("PULPO_LOG", "warn");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut ready = lines
            .map_while(Result::ok)
            .filter(|line| line.starts_with("ready"));
        assert!(
            ready.next().is_some(),
            "the program ended before it was ready"
        );
        let text = std::fs::read_to_string(data.join("credentials.json")).unwrap();
        let credentials: Value = serde_json::from_str(&text).unwrap();
        let of = |name: &str| credentials["pulse"][name].as_str().unwrap().to_owned();
        Self {
            child,
            pulse: of("base_url"),
            key: of("api_key"),
        }
    }

    /// SIGKILL, and no process left to wait for.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn get(&self, path: &str) -> Value {
        let reply = reqwest::Client::new()
            .get(format!("{}{path}", self.pulse))
            .bearer_auth(&self.key)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        reply.json().await.unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Pays one dollar after the other until the program is gone; tells each transaction that was acknowledged.
async fn pay(url: String, key: String, acknowledged: tokio::sync::mpsc::UnboundedSender<String>) {
    let client = reqwest::Client::new();
    let body = json!({
        "requesting_agent_id": "agent-treasury-ops",
        "counterparty_agent_id": "agent-vendor-pay",
        "amount": 1.00,
        "tx_type": "crash_test",
    });
    loop {
        let sent = client
            .post(&url)
            .bearer_auth(&key)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await;
        let Ok(reply) = sent else { return };
        let Ok(text) = reply.text().await else { return };
        let reply: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(reply["status"], "authorized", "{reply}");
        let id = reply["transaction_id"].as_str().unwrap().to_owned();
        if acknowledged.send(id).is_err() {
            return;
        }
    }
}

fn minor(value: &Value) -> i64 {
    let (units, cents) = value.to_string().split_once('.').map_or_else(
        || (value.to_string(), "00".to_owned()),
        |(units, cents)| (units.to_owned(), format!("{cents:0<2}")),
    );
    units.parse::<i64>().unwrap() * 100 + cents.parse::<i64>().unwrap()
}

fn folder() -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_under_load_loses_nothing_that_was_acknowledged() {
    let data = folder();
    let mut known = HashSet::new();
    for _ in 0..KILLS {
        let mut program = Program::start(&data);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let url = format!("{}/payments/request", program.pulse);
            clients.spawn(pay(url, program.key.clone(), tell.clone()));
        }
        drop(tell);
        for _ in 0..ANSWERS {
            known.insert(told.recv().await.expect("a payment was acknowledged"));
        }
        program.kill();
        while let Some(id) = told.recv().await {
            known.insert(id);
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    }

    let program = Program::start(&data);
    for id in &known {
        let payment = program.get(&format!("/payments/{id}")).await;
        assert_eq!(payment["transaction"]["status"], "settled", "{payment}");
        assert_eq!(payment["events"].as_array().unwrap().len(), 2, "{payment}");
    }
    let wallets = program.get("/wallets").await;
    let wallets = wallets["wallets"].as_array().unwrap();
    let sum = |name: &str| {
        wallets
            .iter()
            .map(|wallet| minor(&wallet[name]))
            .sum::<i64>()
    };
    assert_eq!(sum("available_balance"), OPENING_MINOR);
    assert_eq!(sum("lifetime_sent"), sum("lifetime_received"));
    // What was settled without its answer getting through is there too; never less than what was acknowledged.
    let acknowledged_minor = i64::try_from(known.len()).unwrap() * 100;
    assert!(sum("lifetime_sent") >= acknowledged_minor);
    assert!(
        sum("lifetime_sent") <= acknowledged_minor + 100 * i64::try_from(KILLS * CLIENTS).unwrap()
    );
    drop(program);
    std::fs::remove_dir_all(data).unwrap();
}
