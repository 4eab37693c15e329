//! Somebody who receives webhooks: answers 200 at once, and notes when the first byte of each request came.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{http, load::text};

/// A delivery.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// When its first byte came.
    pub(crate) at: Instant,
    /// The kind of the event.
    pub(crate) event: String,
    pub(crate) transaction_id: String,
    /// Which endpoint it was sent to.
    path: String,
}

/// Listens until it is dropped with its runtime.
#[derive(Clone)]
pub(crate) struct Receiver {
    port: u16,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl Receiver {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let receiver = Self {
            port: listener.local_addr()?.port(),
            arrivals: Arc::default(),
        };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                // A sender that closes its connection ends it; what was missed is noticed by who counts.
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        Ok(receiver)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Waits until so many different deliveries have come since the last time, and answers everything that came.
    ///
    /// # Errors
    /// They do not come.
    pub(crate) async fn take(&self, count: usize) -> Result<Vec<Arrival>> {
        const PATIENCE: Duration = Duration::from_secs(120);
        let deadline = Instant::now() + PATIENCE;
        while self.different() < count {
            ensure!(
                Instant::now() < deadline,
                "{} of {count} deliveries came",
                self.different()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(std::mem::take(&mut *self.lock()))
    }

    fn different(&self) -> usize {
        let arrivals = self.lock();
        let of = |arrival: &'_ Arrival| {
            let Arrival {
                path,
                event,
                transaction_id,
                ..
            } = arrival;
            format!("{path} {event} {transaction_id}")
        };
        arrivals.iter().map(of).collect::<HashSet<_>>().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self, mut stream: TcpStream) -> Result<()> {
        const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.set_nodelay(true)?;
        let mut buffer = Vec::with_capacity(8192);
        loop {
            buffer.clear();
            let mut began = None;
            while http::message(&buffer)?.is_none() {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
                began.get_or_insert_with(Instant::now);
            }
            stream.write_all(TAKEN).await?;
            if let (Some(at), Some((head, body))) = (began, http::message(&buffer)?) {
                let body = std::str::from_utf8(body)?;
                let arrival = Arrival {
                    at,
                    event: text(body, "event").to_owned(),
                    transaction_id: text(body, "transaction_id").to_owned(),
                    path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
                };
                self.lock().push(arrival);
            }
        }
    }
}
