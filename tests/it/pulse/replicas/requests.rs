//! Requests of one key through two programs count together.

use chrono::Duration;
use pulpo::clock::Clock;

use super::super::{Desk, start_of_time};
use crate::support::TestApp;

struct Both {
    desk: Desk,
    other: TestApp,
    clock: Clock,
}

impl Both {
    /// Two programs with the document's limits.
    async fn open() -> Self {
        let clock = Clock::fixed(start_of_time());
        let desk = Desk::open_at(&clock).await;
        let other = desk.app.replica().await;
        Self { desk, other, clock }
    }

    fn programs(&self) -> [&TestApp; 2] {
        [&self.desk.app, &self.other]
    }

    /// What the background does five times a second.
    async fn exchange(&self) {
        for app in self.programs() {
            app.app.rates.flush().await.unwrap();
        }
        for app in self.programs() {
            app.app.rates.absorb(self.clock.now()).await.unwrap();
        }
    }

    /// Asks until a program refuses; how many it let through.
    async fn let_through(&self, app: &TestApp, at_most: usize) -> usize {
        let api = app.pulse().bearer(&self.desk.key);
        for number in 0..at_most {
            let reply = api.get("/wallets").await;
            if reply.status == 429 {
                return number;
            }
            reply.expect_status(200);
        }
        at_most
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_lets_through_the_other_counts() {
    let both = Both::open().await;
    let [one, other] = both.programs();
    // The policy of the desk was a request too.
    assert_eq!(both.let_through(one, 50).await, 50);
    assert_eq!(both.let_through(other, 20).await, 20);
    both.exchange().await;
    let reply = other.pulse().bearer(&both.desk.key).get("/wallets").await;
    let header = |name: &str| reply.header(name).parse::<i64>();
    assert_eq!(header("x-ratelimit-remaining"), Ok(120 - 72));
    assert_eq!(header("x-ratelimit-daily-remaining"), Ok(10_000 - 72));
    // Twice read is once counted.
    both.exchange().await;
    both.exchange().await;
    assert_eq!(both.let_through(other, 120).await, 120 - 72);
    both.exchange().await;
    assert_eq!(both.let_through(one, 120).await, 0);
    // A minute later both have room again, for as many as one would have.
    both.clock.set(both.clock.now() + Duration::seconds(61));
    assert_eq!(both.let_through(one, 200).await, 120);
    both.exchange().await;
    assert_eq!(both.let_through(other, 200).await, 0);
    both.other.stop().await;
    both.desk.app.stop().await;
}
