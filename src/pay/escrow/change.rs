//! What a change of an escrow does: its row, the transaction, the money, the history.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    db::Conn,
    error::{Error, Result},
};

use super::{
    super::{
        history::{self, What},
        request::Payment,
        settlement::{self, Step},
        time,
        transactions::{self, TransactionRow},
        transitions,
    },
    rows::{self, EscrowRow},
    state::{self, Change, Event},
};

/// Carries out a change of a locked escrow. `reason` is what the caller says about it.
pub(super) async fn apply(
    conn: &mut Conn,
    row: &TransactionRow,
    escrow: &mut EscrowRow,
    change: Change,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    let (status, step) = match change {
        Change::Marked => return Ok(rows::store(conn, escrow).await?),
        Change::Disputed => ("disputed", None),
        Change::Released => ("released", Some(Step::Release)),
        Change::Refunded | Change::Expired | Change::Unanswered => ("refunded", Some(Step::Refund)),
    };
    escrow.status = status.to_owned();
    match change {
        Change::Disputed => {
            escrow.disputed_at = Some(now);
            escrow.dispute_reason = reason.map(str::to_owned);
        }
        Change::Released => escrow.released_at = Some(now),
        _ => escrow.refunded_at = Some(now),
    }
    rows::store(conn, escrow).await?;
    let (status, settled_at) = match change {
        Change::Released => ("settled", Some(now)),
        _ => (status, None),
    };
    let of = (row.org_id.as_str(), row.id.as_str());
    transitions::set_status(conn, of, status, settled_at).await?;
    if let Some(step) = step {
        settlement::apply(conn, step, of, &Payment::of(row, None), now).await?;
    }
    let happened = happened(escrow, change, reason, now);
    history::write(conn, &[(row.into(), happened)], now).await?;
    Ok(())
}

fn happened(
    escrow: &EscrowRow,
    change: Change,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Vec<(What, Value)> {
    let data = |at: &str, reason: Option<&str>| {
        let mut data = json!({"escrow_id": escrow.id});
        data[at] = time::text(now).into();
        if let Some(reason) = reason {
            data["reason"] = reason.into();
        }
        data
    };
    let refunded = |reason| (What::Refunded, data("refunded_at", reason));
    match change {
        Change::Marked => Vec::new(),
        Change::Disputed => vec![(What::Disputed, data("disputed_at", reason))],
        Change::Released => vec![
            (What::EscrowReleased, data("released_at", None)),
            (What::Settled, json!({"settled_at": time::text(now)})),
        ],
        Change::Refunded => vec![refunded(reason)],
        Change::Unanswered => vec![refunded(Some("dispute_unanswered"))],
        Change::Expired => {
            let expired =
                json!({"escrow_id": escrow.id, "expires_at": time::text(escrow.expires_at)});
            vec![
                (What::EscrowExpired, expired),
                refunded(Some("escrow_expired")),
            ]
        }
    }
}

/// Gives the money back when the escrow's time is over; says whether it did.
pub(in crate::pay) async fn lapse(
    conn: &mut Conn,
    of: (&str, &str),
    now: DateTime<Utc>,
) -> Result<bool> {
    let Some(mut escrow) = rows::lock(conn, of).await? else {
        return Ok(false);
    };
    let Ok(change) = state::step(escrow.state(), Event::Lapse, now) else {
        return Ok(false);
    };
    let row = transactions::find(conn, of.0, of.1).await?;
    let row = row.ok_or_else(|| Error::internal(anyhow::anyhow!("an escrow without payment")))?;
    apply(conn, &row, &mut escrow, change, None, now).await?;
    Ok(true)
}
