//! One group, in the caller's transaction.

use chrono::{DateTime, Utc};
use prost::Message;
use uuid::Uuid;

use crate::{
    db::{Conn, transaction, write::Write},
    error::Result,
    idempotency::{self, Keyed},
    identity::remembered,
};

use super::{
    super::{
        record::{Outcome, Records},
        wallets,
    },
    Answer, Ask,
    book::{Book, Read, Sources},
};

/// Decides requests of an organisation in their order, writes what was decided, and commits. What was answered before
/// under a key is answered again.
pub(super) async fn decide(
    conn: &mut Conn,
    sources: &Sources,
    org_id: &str,
    asks: &[Ask],
    now: DateTime<Utc>,
) -> Result<Vec<Answer>> {
    let keyed: Vec<Option<&Keyed>> = asks.iter().map(|ask| ask.keyed.as_ref()).collect();
    let replayed = idempotency::replay_all(conn, &keyed, now).await?;
    let is_new = |place: usize| matches!(replayed.get(place), Some(Ok(None)));
    let (new, old): (Vec<_>, Vec<_>) = asks
        .iter()
        .enumerate()
        .partition(|(place, _)| is_new(*place));
    let [new, old] = [new, old].map(|asks| Vec::from_iter(asks.into_iter().map(|(_, ask)| ask)));
    let mut confirmed = confirm(conn, &old, None).await?.into_iter();
    let mut decided = decide_new(conn, sources, org_id, &new, now)
        .await?
        .into_iter();
    let answers = replayed
        .into_iter()
        .filter_map(|replayed| match replayed.transpose() {
            None => decided.next(),
            Some(first) => confirmed.next().map(|confirmed| confirmed.and(first)),
        });
    Ok(answers.collect())
}

/// Whether the keys with which it is asked are still good.
async fn confirm(conn: &Conn, asks: &[&Ask], generation: Option<Uuid>) -> Result<Vec<Result<()>>> {
    let keys: Vec<_> = asks.iter().map(|ask| ask.unconfirmed.as_ref()).collect();
    remembered::confirm(conn, &keys, generation).await
}

async fn decide_new(
    conn: &mut Conn,
    sources: &Sources,
    org_id: &str,
    asks: &[&Ask],
    now: DateTime<Utc>,
) -> Result<Vec<Answer>> {
    if asks.is_empty() {
        return Ok(Vec::new());
    }
    let payments = asks.iter().map(|ask| &ask.payment).collect();
    let reader: &Conn = conn;
    let mut book = Book::read(reader, sources, org_id, payments, Read::Locked, now).await?;
    let confirmed = confirm(reader, asks, Some(book.generation())).await?;
    let mut outcomes: Vec<Outcome<'_>> = Vec::with_capacity(asks.len());
    let mut refused: Vec<Option<Answer>> = Vec::with_capacity(asks.len());
    for ((place, ask), confirmed) in asks.iter().enumerate().zip(confirmed) {
        let decided = confirmed.and_then(|()| book.decide(place, None, ask.started));
        refused.push(match decided {
            Ok(outcome) => {
                outcomes.push(outcome);
                None
            }
            Err(error) => Some(Err(error)),
        });
    }
    let records = Records::new(org_id, &outcomes, now);
    let mut replies = records.replies().map(Ok);
    let answers: Vec<Answer> = refused
        .into_iter()
        .filter_map(|refused| refused.or_else(|| replies.next()))
        .collect();
    let mut writes = records.writes()?;
    writes.extend(book.writes()?);
    writes.extend(keep(asks, &answers));
    if !writes.is_empty() {
        transaction::write_and_commit(conn, writes)
            .await
            .map_err(wallets::conflict)?;
    }
    Ok(answers)
}

/// The answers under their keys; the key of a request that failed stays without one.
fn keep<'a>(asks: &[&'a Ask], answers: &[Answer]) -> Option<Write<'a>> {
    let keyed = asks.iter().zip(answers).filter_map(|(ask, answer)| {
        let (keyed, reply) = (ask.keyed.as_ref()?, answer.as_ref().ok()?);
        Some((keyed, reply.encode_to_vec()))
    });
    idempotency::keep_all(keyed.collect())
}
