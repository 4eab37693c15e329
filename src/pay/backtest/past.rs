//! Payments as they were requested, and what became of them.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use futures_util::Stream;

use crate::db::{Conn, prepared::prepared};

use super::{
    super::{
        compliance::Subject,
        decision::{PolicySnapshot, Reason},
        escrow::Terms,
        reports::Period,
        review,
    },
    simulate::REACH,
};

/// A payment.
#[derive(Clone, Debug, Default, QueryableByName)]
pub(super) struct Past {
    #[diesel(sql_type = Text)]
    pub(super) id: String,
    #[diesel(sql_type = Text)]
    pub(super) requesting_agent_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) counterparty_agent_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) counterparty_org_id: Option<String>,
    /// What the organisations are called.
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) org_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) counterparty_org_name: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub(super) amount_minor: i64,
    #[diesel(sql_type = Text)]
    pub(super) currency: String,
    #[diesel(sql_type = Text)]
    pub(super) tx_type: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) category: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) description: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) reference_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) metadata: Option<String>,
    #[diesel(sql_type = Text)]
    pub(super) status: String,
    #[diesel(sql_type = Timestamptz)]
    pub(super) created_at: DateTime<Utc>,
    /// When it counts, if it was approved.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) counted_at: Option<DateTime<Utc>>,
    /// When it came back to the payer.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) refunded_at: Option<DateTime<Utc>>,
    /// When its wait for a human ended.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) answered_at: Option<DateTime<Utc>>,
    /// The reason of the decision then.
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) answered_reason: Option<String>,
    /// The escrow it asks for, if it waited.
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) escrow_terms: Option<String>,
}

/// How the wait for a human ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was to be decided again without the human step.
    Approved,
    /// It was denied, for this reason.
    Denied(Reason),
}

/// What was requested in the period, and before it what its windows may count, in the order of the requests.
pub(super) async fn stream<'c>(
    conn: &'c mut Conn,
    org_id: &str,
    policy: &PolicySnapshot,
    period: Period,
) -> QueryResult<impl Stream<Item = QueryResult<Past>> + use<'c>> {
    // The texts are read only for a precheck, which looks at them. A decision after the request ended a wait.
    const PAST: &str = "SELECT id, requesting_agent_id, counterparty_agent_id, counterparty_org_id, amount_minor, currency, tx_type, \
        category, CASE WHEN $5 THEN description END AS description, CASE WHEN $5 THEN reference_id END AS reference_id, \
        CASE WHEN $5 THEN metadata::text END AS metadata, status, created_at, counted_at, \
        CASE WHEN $5 THEN (SELECT name FROM organizations WHERE id = $1) END AS org_name, \
        CASE WHEN $5 AND counterparty_org_id IS NOT NULL THEN (SELECT o.name FROM organizations o WHERE o.id = t.counterparty_org_id) \
        END AS counterparty_org_name, \
        CASE WHEN status = 'refunded' THEN (SELECT e.refunded_at FROM escrows e WHERE e.org_id = t.org_id AND e.transaction_id = t.id) \
        END AS refunded_at, CASE WHEN decided_at > created_at THEN decided_at END AS answered_at, \
        CASE WHEN decided_at > created_at THEN reason_code END AS answered_reason, \
        CASE WHEN decided_at > created_at THEN escrow_terms::text END AS escrow_terms \
        FROM transactions t WHERE org_id = $1 AND created_at >= $2 AND created_at < $3 AND ($4 IS NULL OR requesting_agent_id = $4) \
        ORDER BY created_at, seq";
    let earliest = period.start - REACH - review::LIFETIME;
    prepared(PAST, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Timestamptz, _>(earliest)
            .bind::<Timestamptz, _>(period.end)
            .bind::<Nullable<Text>, _>(policy.agent_id.as_deref())
            .bind::<Bool, _>(policy.asks_for_precheck())
    })
    .load_stream::<Past>(conn)
    .await
}

impl Past {
    /// How and when its wait for a human ended, if that was before `end`.
    pub(super) fn answer(&self, end: DateTime<Utc>) -> Option<(DateTime<Utc>, Answer)> {
        let at = self.answered_at.filter(|at| *at < end)?;
        let reason = self.answered_reason.as_deref();
        let denials = [Reason::HumanDenied, Reason::EscalationTimeout];
        let denied = denials
            .into_iter()
            .find(|denial| reason == Some(denial.code()));
        Some((at, denied.map_or(Answer::Approved, Answer::Denied)))
    }

    /// Whether the escrow it asks for is over at the end of its wait.
    pub(super) fn is_escrow_over(&self, at: DateTime<Utc>) -> bool {
        let terms = self.escrow_terms.as_deref();
        let terms: Option<Terms> = terms.and_then(|text| serde_json::from_str(text).ok());
        terms.is_some_and(|terms| terms.ends_at(at) <= at)
    }
}

impl<'a> From<&'a Past> for Subject<'a> {
    fn from(past: &'a Past) -> Self {
        Self {
            payer_agent_id: &past.requesting_agent_id,
            payee_agent_id: past.counterparty_agent_id.as_deref(),
            payee_org_id: past.counterparty_org_id.as_deref(),
            payer_org_name: past.org_name.as_deref(),
            payee_org_name: past.counterparty_org_name.as_deref(),
            amount_minor: past.amount_minor,
            currency: &past.currency,
            tx_type: &past.tx_type,
            category: past.category.as_deref(),
            description: past.description.as_deref(),
            reference_id: past.reference_id.as_deref(),
            metadata: past.metadata.as_deref().unwrap_or("{}"),
        }
    }
}
