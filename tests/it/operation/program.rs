//! The real program in a process of its own.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

/// Longer than anything may take; a test that reaches it has failed.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A command of the program on free ports, without what the environment says.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulpo"));
    command.args(arguments);
    for (name, _) in std::env::vars() {
        if name.starts_with("PULPO_") || name == "DATABASE_URL" || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    for surface in ["PULLPUSH", "PUSHPAKA", "PUPPYONE", "PULSE", "INTEGRATIONS"] {
        command.env(format!("PULPO_{surface}_ADDR"), "127.0.0.1:0");
    }
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

/// `serve` on a database, with secrets.
pub(crate) fn serve(database_url: &str, role: &str) -> Command {
    let mut command = command(&["serve", "--role", role]);
    command
        .env("PULPO_DATABASE_URL", database_url)
        .env("PULPO_MASTER_KEY", "5".repeat(64))
        .env("PULPO_JWT_SECRET", "test secret ".repeat(4))
        .env("PULPO_DRAIN_TIMEOUT_MS", "2000");
    command
}

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    /// The line that says that it is ready.
    pub(crate) ready: String,
    log: Option<JoinHandle<String>>,
}

impl Program {
    /// Starts it and waits for its ready line.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = child.stderr.take().expect("a pipe");
        let log = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ready = lines
            .map_while(Result::ok)
            .find(|line| line.starts_with("ready"));
        let Some(ready) = ready else {
            let _ = child.wait();
            panic!(
                "it ended before it was ready: {}",
                log.join().expect("read")
            );
        };
        Self {
            child,
            ready,
            log: Some(log),
        }
    }

    /// The address that the ready line gives this listener.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let mut words = self.ready.split(' ').skip_while(|word| *word != listener);
        let address = words.nth(1).expect("the listener is in the ready line");
        address.parse().expect("an address")
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// SIGTERM; what it logged, when it has ended well.
    pub(crate) fn stop(mut self) -> String {
        let pid = nix::unistd::Pid::from_raw(self.pid());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("signalled");
        let status = self.child.wait().expect("it ends");
        let log = self.log.take().expect("once").join().expect("read");
        assert!(status.success(), "{status}: {log}");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer to give; the test's patience ends it.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect(what)
}
