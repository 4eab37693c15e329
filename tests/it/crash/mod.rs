//! The program, or the Postgres it runs, killed at random moments while it works, cycle after cycle: nothing it acknowledged
//! is lost, no money appears or vanishes, and whoever listens hears of everything that happened and of nothing else.
//! The load pays, holds, releases, refunds, disputes, funds and withdraws.
//!
//! `PULPO_CRASH_CYCLES` says how many cycles (10), `PULPO_CRASH_SEED` which moments. [`load`] asks for what `request` has and keeps
//! what it was told, `site` is the program with its data and the database beside it.

mod load;
mod request;
mod site;

use std::collections::HashSet;

use nix::sys::signal::{Signal, kill};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use self::{
    load::{Book, CLIENTS, Clients, Told},
    request::Transfer,
    site::Site,
};
use crate::{
    operation::program::{command, eventually},
    pulse::webhooks::receiver::Receiver,
    support::setting,
};

/// What the demo organisation's wallets hold in the beginning, in cents.
const OPENING_MINOR: i64 = 5_100_000;
/// What every payment that is not denied moves, and every transfer, in cents.
const AMOUNT_MINOR: i64 = 100;
/// What the load makes happen.
const EVENTS: [&str; 6] = [
    "payment.authorized",
    "payment.denied",
    "payment.settled",
    "payment.escrow_held",
    "payment.escrow_released",
    "payment.disputed",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Server,
    Postgres,
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_random_moments_loses_nothing_that_was_acknowledged() {
    let cycles = setting("PULPO_CRASH_CYCLES", 10);
    let seed = setting("PULPO_CRASH_SEED", rand::random());
    eprintln!("{cycles} cycles, PULPO_CRASH_SEED={seed}");
    let mut moments = StdRng::seed_from_u64(seed);
    let receiver = Receiver::start().await;
    let mut site = Site::open();
    let hook = json!({"url": receiver.url("/crash"), "events": EVENTS});
    site.door.register(&hook).await;
    let mut book = Book::default();
    for cycle in 0..cycles {
        let victim = match cycle % 2 {
            0 => Victim::Server,
            _ => Victim::Postgres,
        };
        let answers = moments.random_range(5..=60);
        let new = run(&mut site, &mut book, cycle, victim, answers).await;
        everything_acknowledged_is_there(&site, &book, &new).await;
    }
    assert!(book.repeated > 0, "answers were lost and asked for again");
    sums_are_conserved(&site, &book).await;
    the_ledger_verifies(&site);
    let deliveries = everything_was_delivered(&site, &receiver).await;
    eprintln!(
        "{} payments acknowledged, {} of them when they were repeated; {} lost for good; {deliveries} deliveries",
        book.acknowledged.len(),
        book.repeated,
        book.lost.len(),
    );
    site.close();
}

/// Kills after this many answers under load and lets everything come back; the references that were acknowledged meanwhile.
async fn run(
    site: &mut Site,
    book: &mut Book,
    cycle: u64,
    victim: Victim,
    answers: usize,
) -> Vec<String> {
    let (mut clients, mut told) = Clients::start(&site.door, cycle);
    let mut new = Vec::new();
    gather(&mut told, book, &mut new, answers).await;
    match victim {
        Victim::Server => site.kill(),
        Victim::Postgres => {
            kill(site.postmaster(), Signal::SIGKILL).unwrap();
            // Of these, at least as many as there are clients were asked for afterwards.
            gather(&mut told, book, &mut new, 2 * CLIENTS).await;
        }
    }
    clients.stop();
    while let Some(one) = told.recv().await {
        new.extend(book.keep(one));
    }
    clients.join().await;
    if victim == Victim::Server {
        site.start();
    }
    new.extend(book.repeat(&site.door).await);
    new
}

async fn gather(
    told: &mut mpsc::UnboundedReceiver<Told>,
    book: &mut Book,
    new: &mut Vec<String>,
    answers: usize,
) {
    let wanted = new.len() + answers;
    while new.len() < wanted {
        let one = told.recv().await.expect("clients go on");
        new.extend(book.keep(one));
    }
}

/// Once, under the id that was told and as it was decided; what nobody was told of is there once or not at all.
async fn everything_acknowledged_is_there(site: &Site, book: &Book, new: &[String]) {
    let mut stored = site.payments().await;
    for (reference, known) in &book.acknowledged {
        let found = stored.remove(reference).unwrap_or_default();
        let [(id, status)] = found.as_slice() else {
            panic!("{reference} is there once: {found:?}");
        };
        assert_eq!(id, &known.id, "{reference}");
        let is_known = known.statuses.contains(&status.as_str());
        assert!(is_known, "{status} instead of {:?}", known.statuses);
    }
    for (reference, found) in stored {
        assert!(book.lost.contains(&reference), "nobody asked: {found:?}");
        assert_eq!(found.len(), 1, "{found:?}");
    }
    for reference in new {
        let known = &book.acknowledged[reference];
        let payment = site.door.get(&format!("/payments/{}", known.id)).await;
        let status = payment["transaction"]["status"].as_str().unwrap();
        assert!(known.statuses.contains(&status), "{payment}");
    }
}

async fn sums_are_conserved(site: &Site, book: &Book) {
    const SUMS: &str = "SELECT sum(available_minor + held_minor)::bigint, sum(held_minor)::bigint, \
        sum(lifetime_sent_minor)::bigint, sum(lifetime_received_minor)::bigint FROM wallets";
    const COUNTS: &str = "SELECT count(*) FILTER (WHERE status = 'settled'), \
        count(*) FILTER (WHERE status IN ('escrow_held', 'disputed')) FROM transactions";
    let (sums, counts) = (site.rows(SUMS).await, site.rows(COUNTS).await);
    let sum = |column: usize| sums[0].get::<_, i64>(column);
    let paid = |column: usize| counts[0].get::<_, i64>(column) * AMOUNT_MINOR;
    let funded = transfers(site, book, Transfer::Fund).await;
    let withdrawn = transfers(site, book, Transfer::Withdraw).await;
    assert_eq!(sum(0), OPENING_MINOR + (funded - withdrawn) * AMOUNT_MINOR);
    assert_eq!((sum(1), sum(2), sum(3)), (paid(1), paid(0), paid(0)));
}

/// How many transfers the ledger has: those that were acknowledged, and some of those nobody was told of.
async fn transfers(site: &Site, book: &Book, transfer: Transfer) -> i64 {
    let count = format!(
        "SELECT count(*) FROM ledger_journals WHERE kind = '{}'",
        transfer.word()
    );
    let count = site.rows(&count).await[0].get(0);
    let moved = book.moved.get(&transfer).copied().unwrap_or_default();
    let (least, most) = (moved.acknowledged, moved.acknowledged + moved.lost);
    assert!(least > 0, "{transfer:?}");
    assert!(
        (least..=most).contains(&count),
        "{transfer:?}: {count}, not {least} to {most}"
    );
    count
}

fn the_ledger_verifies(site: &Site) {
    let output = command(&["admin", "--data-dir", site.data()])
        .args(["verify-ledger", "--json"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let audit: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(audit["holds"], true, "{audit}");
    let checks = audit["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["check"] == "chain"));
}

/// Every event of the outbox at least once, and nothing that is not there; how many deliveries it took.
async fn everything_was_delivered(site: &Site, receiver: &Receiver) -> usize {
    // A minute passes: the leases of the workers that were killed end. What is being recorded is passed over, so that neither
    // waits for the other in a circle.
    site.rows(
        "UPDATE deliveries SET due_at = now() WHERE ctid = ANY(ARRAY( \
         SELECT ctid FROM deliveries WHERE status = 'pending' FOR UPDATE SKIP LOCKED))",
    )
    .await;
    eventually("everything is delivered", async || {
        let left = "SELECT (SELECT count(*) FROM events AS e WHERE e.kind LIKE 'payment.%' AND e.kind <> 'payment.refunded' \
            AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.event_seq = e.seq AND d.status = 'delivered'))";
        (site.rows(left).await[0].get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    let column = async |statement: &str| -> HashSet<String> {
        let rows = site.rows(statement).await;
        rows.iter().map(|row| row.get(0)).collect()
    };
    // A refund is in the stream and no webhook.
    let happened = "SELECT payload->>'event_id' FROM events WHERE kind LIKE 'payment.%' AND kind <> 'payment.refunded'";
    let happened = column(happened).await;
    let transactions = column("SELECT id FROM transactions").await;
    let received = receiver.take();
    let mut heard = HashSet::new();
    for one in &received {
        let body = one.json();
        let of = body["data"]["transaction_id"].as_str().unwrap();
        assert!(transactions.contains(of), "of no transaction: {body}");
        heard.insert(body["event_id"].as_str().unwrap().to_owned());
    }
    for kind in EVENTS {
        assert!(
            received
                .iter()
                .any(|one| one.header("x-pulse-event") == kind),
            "{kind}"
        );
    }
    assert_eq!(heard, happened);
    received.len()
}
