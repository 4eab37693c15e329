//! Waking workers: a transaction that wrote an event, a job or a delivery wakes whoever waits for one, here and in other
//! processes.
//!
//! A wake-up may be lost and carries nothing; workers look by themselves every now and then, and waking only makes it
//! sooner. It is given after the commit: `NOTIFY` inside a transaction takes a lock of the whole cluster until the commit is
//! on disk, so that no two transactions could be committed together. One connection a process tells the others, all
//! that was written meanwhile at once.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use rand::RngExt;
use tokio::sync::{Notify, watch};
use tokio_postgres::{AsyncMessage, NoTls};
use tokio_util::sync::CancellationToken;

/// The channel of `LISTEN` and `NOTIFY`.
const CHANNEL: &str = "pulpo_wake";
/// Others are told at most this often: each time is a transaction.
const TELL_EVERY: Duration = Duration::from_millis(20);
/// Pauses between attempts to connect, from the first to the longest.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Events of the outbox.
    Events,
    /// Jobs that may be run now.
    Jobs,
    /// Deliveries that may be sent now.
    Deliveries,
}

/// Several topics, a bit each.
type Topics = u8;

const TOPICS: [Topic; 3] = [Topic::Events, Topic::Jobs, Topic::Deliveries];

impl Topic {
    fn bit(self) -> Topics {
        1 << self as u8
    }
}

tokio::task_local! {
    /// What the running transaction wrote.
    static WRITTEN: Cell<Topics>;
}

/// Notes what the running transaction writes, so that its commit wakes those who wait for it. Outside of
/// [`Db::transaction`](super::Db::transaction) nothing is noted, and they find it by themselves.
pub fn note(topic: Topic) {
    let _ = WRITTEN.try_with(|written| written.set(written.get() | topic.bit()));
}

/// Runs one attempt of a transaction; also what it noted.
pub(super) async fn noting<T>(attempt: impl Future<Output = T>) -> (T, Topics) {
    let noted = async {
        let outcome = attempt.await;
        (outcome, WRITTEN.with(Cell::get))
    };
    WRITTEN.scope(Cell::new(0), noted).await
}

/// Wakes and waits; cheap to clone.
#[derive(Clone)]
pub struct Wake(Arc<Inner>);

struct Inner {
    /// Tells own notifications from those of others.
    process: u64,
    heard: [watch::Sender<()>; TOPICS.len()],
    outgoing: AtomicU8,
    to_tell: Notify,
}

impl Default for Wake {
    fn default() -> Self {
        Self(Arc::new(Inner {
            process: rand::rng().random(),
            heard: TOPICS.map(|_| watch::Sender::new(())),
            outgoing: AtomicU8::new(0),
            to_tell: Notify::new(),
        }))
    }
}

impl Wake {
    /// Wakes whoever waits for the topic, in every process.
    pub fn announce(&self, topic: Topic) {
        self.announce_all(topic.bit());
    }

    pub(super) fn announce_all(&self, topics: Topics) {
        if topics != 0 {
            self.hear(topics);
            self.0.outgoing.fetch_or(topics, Ordering::Relaxed);
            self.0.to_tell.notify_one();
        }
    }

    /// What changes whenever the topic is announced here or elsewhere.
    pub fn listen(&self, topic: Topic) -> watch::Receiver<()> {
        self.0.heard[topic as usize].subscribe()
    }

    fn hear(&self, topics: Topics) {
        for topic in TOPICS {
            if topics & topic.bit() != 0 {
                self.0.heard[topic as usize].send_replace(());
            }
        }
    }

    /// Tells other processes at `url` what is announced here and hears what is announced there, until `stop`. While the
    /// database cannot be reached, nobody is told and everybody polls.
    pub async fn relay(self, url: String, stop: CancellationToken) {
        let mut pause = RECONNECT.0;
        loop {
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.relay_once(&url, &mut pause) => outcome,
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "the connection that wakes workers was lost");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(RECONNECT.1);
        }
    }

    async fn relay_once(
        &self,
        url: &str,
        pause: &mut Duration,
    ) -> Result<(), tokio_postgres::Error> {
        let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
        let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
        let receive = async {
            while let Some(message) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message? {
                    self.receive(notification.payload());
                }
            }
            Ok(())
        };
        let send = async {
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
            *pause = RECONNECT.0;
            // What was announced while nobody listened.
            self.hear(Topics::MAX);
            loop {
                self.0.to_tell.notified().await;
                let topics = self.0.outgoing.swap(0, Ordering::Relaxed);
                let payload = format!("{:x}:{topics}", self.0.process);
                client
                    .batch_execute(&format!("NOTIFY {CHANNEL}, '{payload}'"))
                    .await?;
                tokio::time::sleep(TELL_EVERY).await;
            }
        };
        tokio::select! {
            ended = receive => ended,
            ended = send => ended,
        }
    }

    fn receive(&self, payload: &str) {
        let Some((process, topics)) = payload.split_once(':') else {
            return;
        };
        if u64::from_str_radix(process, 16) != Ok(self.0.process)
            && let Ok(topics) = topics.parse()
        {
            self.hear(topics);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transaction_announces_what_it_noted_and_nothing_else() {
        note(Topic::Jobs); // outside of a transaction: nothing
        let (_, topics) = noting(async { note(Topic::Events) }).await;
        assert_eq!(topics, Topic::Events.bit());
        let wake = Wake::default();
        let (mut events, mut jobs) = (wake.listen(Topic::Events), wake.listen(Topic::Jobs));
        wake.announce_all(topics);
        assert!(events.has_changed().unwrap() && !jobs.has_changed().unwrap());
        events.mark_unchanged();
        jobs.mark_unchanged();
        wake.receive(&format!("{:x}:{}", wake.0.process, Topic::Jobs.bit()));
        assert!(!jobs.has_changed().unwrap(), "its own echo");
        wake.receive(&format!("{:x}:{}", !wake.0.process, Topic::Jobs.bit()));
        assert!(jobs.has_changed().unwrap());
        wake.receive("nonsense");
    }
}
