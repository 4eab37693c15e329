//! Sums over the payments, wallets and records of organisations.

use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    proto::pulpo::{pay::v1 as pb, r#type::v1::Decimal},
};

use super::{super::money::decimal, Period};

/// Most organisations of a roll-up.
const CHILDREN_MAX: i64 = 500;

/// What the records of a period are worth. A sum beyond 64 bits is cut to the largest.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct Recorded {
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = BigInt)]
    amount_minor: i64,
}

/// The sums of one organisation, cut in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq, QueryableByName)]
pub(super) struct Organization {
    #[diesel(sql_type = Text)]
    pub(super) id: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    requested: i64,
    #[diesel(sql_type = BigInt)]
    denied: i64,
    #[diesel(sql_type = BigInt)]
    undecided: i64,
    #[diesel(sql_type = BigInt)]
    settled: i64,
    #[diesel(sql_type = BigInt)]
    settled_minor: i64,
    #[diesel(sql_type = BigInt)]
    settling_ms: i64,
    #[diesel(sql_type = BigInt)]
    flags: i64,
    #[diesel(sql_type = BigInt)]
    balance_minor: i64,
}

/// The organisation's records with an amount in the currency, first pushed in the period.
pub(super) async fn recorded(
    conn: &mut Conn,
    org_id: &str,
    currency: &str,
    period: Period,
) -> QueryResult<Recorded> {
    diesel::sql_query(
        "SELECT count(*) AS count, greatest(least(coalesce(sum(amount_minor), 0), 9223372036854775807), \
         -9223372036854775807)::bigint AS amount_minor FROM data_records \
         WHERE org_id = $1 AND currency = $2 AND amount_minor IS NOT NULL AND created_at >= $3 AND created_at < $4",
    )
    .bind::<Text, _>(org_id)
    .bind::<Text, _>(currency)
    .bind::<Timestamptz, _>(period.start)
    .bind::<Timestamptz, _>(period.end)
    .get_result(conn)
    .await
}

/// The sums of the organisation and of those right below it, by name. Payments count for the organisation that pays.
pub(super) async fn organizations(
    conn: &mut Conn,
    org_id: &str,
    currency: &str,
    period: Period,
) -> QueryResult<Vec<Organization>> {
    const STATEMENT: &str = "WITH shown AS ((SELECT id, name FROM organizations WHERE id = $1) UNION ALL \
         (SELECT id, name FROM organizations WHERE parent_id = $1 AND id <> $1 ORDER BY name, id LIMIT $5)) \
         SELECT o.id, o.name, p.requested, p.denied, p.undecided, p.settled, p.settled_minor, p.settling_ms, f.flags, \
         w.balance_minor FROM shown o \
         CROSS JOIN LATERAL (SELECT count(*) AS requested, count(*) FILTER (WHERE status = 'denied') AS denied, \
         count(*) FILTER (WHERE status = 'pending_human_review') AS undecided, \
         count(*) FILTER (WHERE status = 'settled') AS settled, \
         least(coalesce(sum(amount_minor) FILTER (WHERE status = 'settled'), 0), 9223372036854775807)::bigint AS settled_minor, \
         coalesce(sum(extract(epoch FROM settled_at - created_at) * 1000) FILTER (WHERE status = 'settled'), 0)::bigint \
         AS settling_ms FROM transactions \
         WHERE org_id = o.id AND currency = $2 AND created_at >= $3 AND created_at < $4) p \
         CROSS JOIN LATERAL (SELECT count(*) AS flags FROM compliance_predictions c \
         JOIN transactions t ON t.org_id = c.org_id AND t.id = c.transaction_id AND t.currency = $2 \
         WHERE c.org_id = o.id AND c.verdict <> 'clear' AND c.created_at >= $3 AND c.created_at < $4) f \
         CROSS JOIN LATERAL (SELECT least(coalesce(sum(available_minor::numeric + held_minor), 0), 9223372036854775807)::bigint \
         AS balance_minor FROM wallets WHERE org_id = o.id AND currency = $2 AND is_active) w \
         ORDER BY o.name, o.id";
    diesel::sql_query(STATEMENT)
        .bind::<Text, _>(org_id)
        .bind::<Text, _>(currency)
        .bind::<Timestamptz, _>(period.start)
        .bind::<Timestamptz, _>(period.end)
        .bind::<BigInt, _>(CHILDREN_MAX)
        .load(conn)
        .await
}

/// A part of a whole with four decimals; none of nothing.
pub(super) fn rate(part: i64, whole: i64) -> Option<Decimal> {
    let (part, whole) = (i128::from(part), i128::from(whole));
    let rate = (part * 20_000 + whole).checked_div(whole * 2)?;
    Some(Decimal {
        value: format!("{}.{:04}", rate / 10_000, rate % 10_000),
    })
}

impl Organization {
    pub(super) fn totals(&self, recorded: &Recorded) -> pb::FinancialTotals {
        pb::FinancialTotals {
            record_count: recorded.count,
            record_amount: Some(decimal(recorded.amount_minor)),
            total_volume: Some(decimal(self.settled_minor)),
            transaction_count: self.requested,
            approval_rate: self.approval_rate(),
            compliance_flags: self.flags,
            avg_settlement_ms: self.avg_settlement_ms(),
            total_wallet_balance: Some(decimal(self.balance_minor)),
        }
    }

    /// Approved of decided.
    fn approval_rate(&self) -> Option<Decimal> {
        let decided = self.requested - self.undecided;
        rate(decided - self.denied, decided)
    }

    fn avg_settlement_ms(&self) -> Option<i64> {
        self.settling_ms.checked_div(self.settled)
    }

    fn add(&mut self, other: &Self) {
        for (sum, part) in [
            (&mut self.requested, other.requested),
            (&mut self.denied, other.denied),
            (&mut self.undecided, other.undecided),
            (&mut self.settled, other.settled),
            (&mut self.settled_minor, other.settled_minor),
            (&mut self.settling_ms, other.settling_ms),
            (&mut self.flags, other.flags),
            (&mut self.balance_minor, other.balance_minor),
        ] {
            *sum = sum.saturating_add(part);
        }
    }
}

/// Aggregates of the organisations, each and together.
pub(super) fn roll_up(children: &[Organization], period: Period) -> pb::FinancialRollUp {
    let mut all = Organization::default();
    for child in children {
        all.add(child);
    }
    let child = |child: &Organization| pb::ChildOrganizationTotals {
        org_id: child.id.clone(),
        org_name: child.name.clone(),
        total_volume: Some(decimal(child.settled_minor)),
        transaction_count: child.requested,
        approval_rate: child.approval_rate(),
        compliance_flags: child.flags,
        avg_settlement_ms: child.avg_settlement_ms(),
        total_wallet_balance: Some(decimal(child.balance_minor)),
    };
    pb::FinancialRollUp {
        period: Some(period.message()),
        child_orgs: children.iter().map(child).collect(),
        fund_totals: Some(pb::FundTotals {
            total_volume: Some(decimal(all.settled_minor)),
            transaction_count: all.requested,
            approval_rate: all.approval_rate(),
            compliance_flags: all.flags,
            avg_settlement_ms: all.avg_settlement_ms(),
            total_wallet_balance: Some(decimal(all.balance_minor)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_and_absent_without_decisions() {
        let rate = |requested, denied, undecided| {
            let row = Organization {
                requested,
                denied,
                undecided,
                ..Default::default()
            };
            row.approval_rate().map(|rate| rate.value)
        };
        assert_eq!(rate(0, 0, 0), None);
        assert_eq!(rate(2, 0, 2), None);
        assert_eq!(rate(3, 1, 0).as_deref(), Some("0.6667"));
        assert_eq!(rate(4, 0, 1).as_deref(), Some("1.0000"));
        assert_eq!(rate(1, 1, 0).as_deref(), Some("0.0000"));
    }
}
