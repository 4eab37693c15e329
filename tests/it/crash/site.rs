//! The real program with a data folder of its own, and its database as an operator sees it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use nix::unistd::Pid;
use pulpo::db::builtin;

use super::load::Door;
use crate::operation::program::{Program, command, eventually};

pub(super) struct Site {
    data: PathBuf,
    program: Option<Program>,
    pub(super) door: Door,
}

fn launch(data: &Path) -> (Program, Door) {
    let mut dev = command(&["dev", "--data-dir", data.to_str().unwrap()]);
    dev.env("PULPO_RATES_SCALE", "1000")
        .env("PULPO_LOG", "warn");
    let program = Program::start(dev);
    let text = std::fs::read_to_string(data.join("credentials.json")).unwrap();
    (program, Door::of(&serde_json::from_str(&text).unwrap()))
}

impl Site {
    pub(super) fn open() -> Self {
        let name = format!("crash-{}", std::process::id());
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&data).unwrap();
        let (program, door) = launch(&data);
        Self {
            data,
            program: Some(program),
            door,
        }
    }

    pub(super) fn data(&self) -> &str {
        self.data.to_str().unwrap()
    }

    /// SIGKILL, and no process left to wait for.
    pub(super) fn kill(&mut self) {
        drop(self.program.take().expect("it runs"));
    }

    pub(super) fn start(&mut self) {
        let (program, door) = launch(&self.data);
        (self.program, self.door) = (Some(program), door);
    }

    pub(super) fn postmaster(&self) -> Pid {
        let state = std::fs::read_to_string(self.data.join("pg/postmaster.pid")).unwrap();
        Pid::from_raw(state.lines().next().unwrap().parse().unwrap())
    }

    /// Stops it well, and leaves nothing.
    pub(super) fn close(mut self) {
        self.program.take().expect("it runs").stop();
        std::fs::remove_dir_all(&self.data).unwrap();
    }

    /// The rows of a statement, as soon as Postgres is back: the answers a client waited for may have come before its end.
    pub(super) async fn rows(&self, statement: &str) -> Vec<tokio_postgres::Row> {
        eventually("Postgres answers", async || self.ask(statement).await).await
    }

    async fn ask(&self, statement: &str) -> Option<Vec<tokio_postgres::Row>> {
        let url = builtin::running_url(&self.data)?;
        let connecting = tokio_postgres::connect(&url, tokio_postgres::NoTls);
        let (client, connection) = connecting.await.ok()?;
        let running = tokio::spawn(connection);
        let rows = client.query(statement, &[]).await.ok()?;
        drop(client);
        running.await.unwrap().ok()?;
        Some(rows)
    }

    /// The payments of the load, ids and statuses by reference.
    pub(super) async fn payments(&self) -> HashMap<String, Vec<(String, String)>> {
        let statement =
            "SELECT reference_id, id, status FROM transactions WHERE tx_type = 'crash_test'";
        let mut payments = HashMap::<String, Vec<_>>::new();
        for row in self.rows(statement).await {
            let of = payments.entry(row.get(0)).or_default();
            of.push((row.get(1), row.get(2)));
        }
        payments
    }
}
