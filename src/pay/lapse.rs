//! What time does to payments: reviews that nobody answers are denied, escrows that are over go back to the payer.
//!
//! It happens every hour by a schedule, and whenever such a payment is read or acted on. Both ways take the rows as every
//! other change does, so it happens once.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    sql_types::{Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    app::App,
    clock::Clock,
    db::{Conn, Db},
    error::Result,
    identity::Caller,
    jobs::{self, Handler, Job, Kind, Schedule},
};

use super::{
    Pay,
    escrow::{self, state::DISPUTE_LIFETIME},
    payments, review,
    transactions::TransactionRow,
};

/// Payments that are due in one read of the sweep.
const BATCH_ROWS: usize = 100;

const KIND: &str = "pay_lapse";

/// Adds the hourly sweep.
pub(super) fn work(app: &App, registry: &mut jobs::Registry) {
    let sweep = Sweep {
        db: app.db.clone(),
        clock: app.clock.clone(),
    };
    registry
        .kind(Kind {
            concurrency: 1,
            ..Kind::new(KIND, Arc::new(sweep))
        })
        .schedule("pay_lapse", Schedule::Hourly { minute: 0 }, KIND);
}

/// The transaction as [`payments::require`] finds it, after time did to it what it does.
pub(super) async fn current(pay: &Pay, caller: &Caller, id: &str) -> Result<TransactionRow> {
    let now = pay.clock.now();
    let row = {
        let mut conn = pay.db.connection().await?;
        let row = payments::require(&mut conn, caller, id).await?;
        let is_due = match row.status.as_str() {
            "pending_human_review" => review::ends_at(row.created_at) <= now,
            "escrow_held" | "disputed" => escrow::find(&mut conn, (&row.org_id, &row.id))
                .await?
                .is_some_and(|escrow| escrow::is_due(&escrow, now)),
            _ => false,
        };
        if !is_due {
            return Ok(row);
        }
        row
    };
    lapse(&pay.db, (&row.org_id, &row.id), now).await?;
    let mut conn = pay.db.connection().await?;
    payments::require(&mut conn, caller, id).await
}

/// Does to one payment what time does; says whether there was something to do.
async fn lapse(db: &Db, of: (&str, &str), now: DateTime<Utc>) -> Result<bool> {
    db.transaction("pay_lapse", async |conn: &mut Conn| {
        Ok(review::time_out(conn, of, now).await? || escrow::lapse(conn, of, now).await?)
    })
    .await
}

struct Sweep {
    db: Db,
    clock: Clock,
}

#[async_trait::async_trait]
impl Handler for Sweep {
    async fn run(&self, _: &Job) -> Result<()> {
        let now = self.clock.now();
        let (mut after, mut failure) = (Due::default(), None);
        loop {
            let due = {
                let mut conn = self.db.connection().await?;
                due(&mut conn, &after, now).await?
            };
            // One transaction each: money moves, and one that fails must not keep the others.
            for payment in &due {
                let of = (payment.org_id.as_str(), payment.id.as_str());
                if let Err(error) = lapse(&self.db, of, now).await {
                    tracing::warn!(%error, transaction_id = payment.id, "a payment whose time is over was left as it is");
                    failure = Some(error);
                }
            }
            let is_last = due.len() < BATCH_ROWS;
            match due.into_iter().next_back() {
                Some(last) if !is_last => after = last,
                _ => return failure.map_or(Ok(()), Err),
            }
        }
    }
}

/// A payment whose time is over.
#[derive(Debug, Default, diesel::QueryableByName)]
struct Due {
    #[diesel(sql_type = Text)]
    org_id: String,
    #[diesel(sql_type = Text)]
    id: String,
}

/// The next payments whose time is over, of all organisations.
async fn due(conn: &mut Conn, after: &Due, now: DateTime<Utc>) -> QueryResult<Vec<Due>> {
    let sql = format!(
        "SELECT org_id, id FROM (\
         SELECT org_id, id FROM transactions WHERE status = 'pending_human_review' AND created_at <= $1 UNION ALL \
         SELECT org_id, transaction_id FROM escrows WHERE status = 'held' AND expires_at <= $2 UNION ALL \
         SELECT org_id, transaction_id FROM escrows WHERE status = 'disputed' AND disputed_at <= $3) AS due \
         WHERE (org_id, id) > ($4, $5) ORDER BY org_id, id LIMIT {BATCH_ROWS}"
    );
    diesel::sql_query(sql)
        .bind::<Timestamptz, _>(now - review::LIFETIME)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(now - DISPUTE_LIFETIME)
        .bind::<Text, _>(&after.org_id)
        .bind::<Text, _>(&after.id)
        .load(conn)
        .await
}
