//! Doing together what waits together.
//!
//! Requests that come while a group of their lane is being done wait, and are done as the next group. One that is alone
//! goes at once: nobody waits for company, but who has arrived is let in before the door closes. A group that began is
//! finished, whoever goes away meanwhile.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};

/// What does the groups.
#[async_trait::async_trait]
pub trait Work: Send + Sync + 'static {
    /// What is asked.
    type Item: Send + 'static;
    /// What is answered.
    type Answer: Send + 'static;

    /// What it is called in metrics.
    const NAME: &str;

    /// Most items of a group.
    fn group_max(&self) -> usize;

    /// Two items of the same mark are not done in one group.
    fn mark<'i>(&self, item: &'i Self::Item) -> Option<&'i str>;

    /// Answers each item, in their order.
    async fn run(&self, lane: &str, items: Vec<Self::Item>) -> Vec<Self::Answer>;
}

/// Items that wait in a lane before the next are refused.
const WAITING_MAX: usize = 4096;

/// Who waits.
struct Place<W: Work> {
    item: W::Item,
    sender: oneshot::Sender<W::Answer>,
    since: Instant,
}

type Waiting<W> = VecDeque<Place<W>>;

/// The lanes of one kind of work; one exists while something is done in it.
pub struct Lanes<W: Work> {
    work: W,
    lanes: Mutex<HashMap<String, Waiting<W>>>,
}

impl<W: Work> Lanes<W> {
    /// No lanes yet.
    pub fn new(work: W) -> Arc<Self> {
        Arc::new(Self {
            work,
            lanes: Mutex::new(HashMap::new()),
        })
    }

    /// Asks in a lane.
    ///
    /// # Errors
    /// 503 when too many wait; an internal one when the work gave no answer.
    pub async fn ask(self: &Arc<Self>, lane: &str, item: W::Item) -> Result<W::Answer> {
        let (sender, answer) = oneshot::channel();
        let place = Place {
            item,
            sender,
            since: Instant::now(),
        };
        if self.enter(lane, place)? {
            tokio::spawn(Arc::clone(self).drain(lane.to_owned()));
        }
        answer.await.map_err(|_| {
            Error::internal(anyhow::anyhow!("a group of requests ended without answers"))
        })
    }

    /// Takes a place; says whether the lane was empty, so that somebody has to begin.
    fn enter(&self, lane: &str, place: Place<W>) -> Result<bool> {
        let mut lanes = self.lock();
        if let Some(waiting) = lanes.get_mut(lane) {
            if waiting.len() >= WAITING_MAX {
                return Err(Error::new(
                    Kind::Unavailable,
                    "TOO_MANY_WAITING",
                    "Too many requests wait; try again shortly",
                ));
            }
            waiting.push_back(place);
            return Ok(false);
        }
        lanes.insert(lane.to_owned(), VecDeque::from([place]));
        Ok(true)
    }

    /// Does group after group until nobody waits.
    async fn drain(self: Arc<Self>, lane: String) {
        // However it ends, the lane is free afterwards.
        let mut open = Open {
            lanes: &self,
            lane: &lane,
            is_closed: false,
        };
        // What is to be read from connections comes first: that takes no time when there is nothing, and otherwise the
        // first of many would go alone and the others would wait for it.
        tokio::task::yield_now().await;
        while let Some((items, senders)) = open.next() {
            metrics::histogram!("pulpo_group_size", "work" => W::NAME).record(items.len() as f64);
            let answers = self.work.run(&lane, items).await;
            for (sender, answer) in senders.into_iter().zip(answers) {
                // Who went away does not hear it.
                let _ = sender.send(answer);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting<W>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answers of a group that failed as a whole; one of them keeps the cause.
pub fn to_all<T>(error: Error, count: usize) -> Vec<Result<T>> {
    let mut answers: Vec<Result<T>> = (1..count).map(|_| Err(error.repeated())).collect();
    answers.push(Err(error));
    answers
}

/// A lane somebody works on.
struct Open<'l, W: Work> {
    lanes: &'l Lanes<W>,
    lane: &'l str,
    is_closed: bool,
}

type Group<W> = (
    Vec<<W as Work>::Item>,
    Vec<oneshot::Sender<<W as Work>::Answer>>,
);

impl<W: Work> Open<'_, W> {
    /// The next group, in the order of arrival; without one the lane is closed, under the same lock.
    fn next(&mut self) -> Option<Group<W>> {
        let mut lanes = self.lanes.lock();
        let waiting = lanes.get_mut(self.lane)?;
        let mut marks = HashSet::new();
        let (mut items, mut senders, mut later) = (Vec::new(), Vec::new(), VecDeque::new());
        while items.len() < self.lanes.work.group_max() {
            let Some(place) = waiting.pop_front() else {
                break;
            };
            if place.sender.is_closed() {
                // The client is gone and nothing was begun.
                continue;
            }
            let mark = self.lanes.work.mark(&place.item).map(str::to_owned);
            if mark.is_some_and(|mark| !marks.insert(mark)) {
                later.push_back(place);
                continue;
            }
            metrics::histogram!("pulpo_group_wait_seconds", "work" => W::NAME)
                .record(place.since.elapsed());
            items.push(place.item);
            senders.push(place.sender);
        }
        later.append(waiting);
        *waiting = later;
        if items.is_empty() {
            lanes.remove(self.lane);
            self.is_closed = true;
            return None;
        }
        Some((items, senders))
    }
}

impl<W: Work> Drop for Open<'_, W> {
    fn drop(&mut self) {
        // A lane that was closed may have been opened again by somebody else.
        if !self.is_closed {
            self.lanes.lock().remove(self.lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Answers each item with the size of its group; items of one first letter are never together.
    struct Sizes;

    #[async_trait::async_trait]
    impl Work for Sizes {
        type Item = &'static str;
        type Answer = usize;

        const NAME: &str = "sizes";

        fn group_max(&self) -> usize {
            3
        }

        fn mark<'i>(&self, item: &'i Self::Item) -> Option<&'i str> {
            item.get(..1)
        }

        async fn run(&self, _: &str, items: Vec<Self::Item>) -> Vec<usize> {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(!items.contains(&"x"), "asked for");
            vec![items.len(); items.len()]
        }
    }

    #[tokio::test]
    async fn who_waits_goes_together() {
        let lanes = Lanes::new(Sizes);
        let ask = |item| lanes.ask("one", item);
        assert_eq!(ask("a").await.unwrap(), 1);
        let (a, b, c, d, e) = tokio::join!(ask("a"), ask("b"), ask("c"), ask("d"), ask("e"));
        let sizes = [a, b, c, d, e].map(Result::unwrap);
        assert_eq!(sizes, [3, 3, 3, 2, 2]);
        let (a, b, c) = tokio::join!(ask("a1"), ask("b1"), ask("b2"));
        assert_eq!([a, b, c].map(Result::unwrap), [2, 2, 1]);
        assert!(lanes.lock().is_empty());
    }

    #[tokio::test]
    async fn work_that_dies_leaves_the_lane_free() {
        let lanes = Lanes::new(Sizes);
        assert!(lanes.ask("one", "x").await.is_err());
        assert_eq!(lanes.ask("one", "a").await.unwrap(), 1);
        assert!(lanes.lock().is_empty());
    }
}
