//! One group, in the caller's transaction.

use chrono::{DateTime, Utc};
use prost::Message;

use crate::{
    db::Conn,
    error::Result,
    idempotency::{self, Keyed},
    proto::pulpo::pay::v1 as pb,
};

use super::{
    super::{
        compliance::RuleBook,
        record::{self, Outcome},
    },
    Answer, Ask,
    book::{Book, Read},
};

/// Decides requests of an organisation in their order, and writes what was decided. What was answered before under a key
/// is answered again.
pub(super) async fn decide(
    conn: &mut Conn,
    rules: &RuleBook,
    org_id: &str,
    asks: &[Ask],
    now: DateTime<Utc>,
) -> Result<Vec<Answer>> {
    let keyed: Vec<Option<&Keyed>> = asks.iter().map(|ask| ask.keyed.as_ref()).collect();
    let replayed = idempotency::replay_all(conn, &keyed, now).await?;
    let is_new = |place: usize| matches!(replayed.get(place), Some(Ok(None)));
    let new: Vec<&Ask> = (0..)
        .zip(asks)
        .filter_map(|(place, ask)| is_new(place).then_some(ask))
        .collect();
    let mut decided = decide_new(conn, rules, org_id, &new, now)
        .await?
        .into_iter();
    let answers = replayed.into_iter().filter_map(|replayed| match replayed {
        Ok(Some(first)) => Some(Ok(first)),
        Ok(None) => decided.next(),
        Err(error) => Some(Err(error)),
    });
    Ok(answers.collect())
}

async fn decide_new(
    conn: &mut Conn,
    rules: &RuleBook,
    org_id: &str,
    asks: &[&Ask],
    now: DateTime<Utc>,
) -> Result<Vec<Answer>> {
    if asks.is_empty() {
        return Ok(Vec::new());
    }
    let payments = asks.iter().map(|ask| &ask.payment).collect();
    let mut book = Book::read(conn, rules, org_id, payments, Read::Locked, now).await?;
    let mut outcomes: Vec<Outcome<'_>> = Vec::with_capacity(asks.len());
    let mut refused: Vec<Option<Answer>> = Vec::with_capacity(asks.len());
    for (place, ask) in asks.iter().enumerate() {
        refused.push(match book.decide(place, None, ask.started) {
            Ok(outcome) => {
                outcomes.push(outcome);
                None
            }
            Err(error) => Some(Err(error)),
        });
    }
    let replies = record::store(conn, org_id, &outcomes, &book, now).await?;
    let mut replies = replies.into_iter().map(Ok);
    let answers: Vec<Answer> = refused
        .into_iter()
        .filter_map(|refused| refused.or_else(|| replies.next()))
        .collect();
    keep(conn, asks, &answers).await?;
    Ok(answers)
}

/// Keeps the answers under their keys; a request that failed gives its key back.
async fn keep(conn: &Conn, asks: &[&Ask], answers: &[Answer]) -> Result<()> {
    let (mut kept, mut released) = (Vec::new(), Vec::new());
    for (ask, answer) in asks.iter().zip(answers) {
        let Some(keyed) = &ask.keyed else { continue };
        match answer {
            Ok(reply) => kept.push((keyed, pb::RequestPaymentResponse::encode_to_vec(reply))),
            Err(_) => released.push(keyed),
        }
    }
    idempotency::keep_all(conn, &kept).await?;
    idempotency::release_all(conn, &released).await?;
    Ok(())
}
