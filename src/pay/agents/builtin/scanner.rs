//! `compliance-scanner`: past payments held against the compliance rules.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, Text},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::{Error, Result},
};

use super::{
    super::super::compliance::RuleBook,
    Scope,
    fields::{Fields, Period},
    findings::Findings,
    scan,
};

/// Payments that are looked at, the oldest first.
const PAYMENTS_MAX: usize = 10_000;
/// Payments read at a time: each may carry much text.
const PAGE_ROWS: usize = 200;

/// What is asked for.
pub(in super::super) struct Parameters {
    period: Period,
    /// Those that active policies name, when absent.
    jurisdictions: Option<Vec<String>>,
    /// Only what this agent paid.
    pub(super) agent_id: Option<String>,
}

impl Parameters {
    pub(super) fn read(fields: &mut Fields<'_>, rules: &RuleBook, now: DateTime<Utc>) -> Self {
        let period = fields.period(now);
        let jurisdictions = fields
            .texts("jurisdictions")
            .filter(|list| !list.is_empty());
        let given = jurisdictions.iter().flatten();
        if let Some(unknown) = given.clone().find(|code| !rules.knows(code)) {
            let unknown: String = unknown.chars().take(64).collect();
            fields.fault(
                "jurisdictions",
                &format!("names {unknown}, which no rule knows"),
            );
        }
        Self {
            period,
            jurisdictions,
            agent_id: fields.text("agent_id"),
        }
    }
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Array<Text>)]
    jurisdictions: Vec<String>,
}

/// What was found, as JSON.
pub(super) async fn compute(
    conn: &mut Conn,
    scope: &Scope<'_>,
    parameters: &Parameters,
    rules: &RuleBook,
) -> Result<String> {
    let jurisdictions = match &parameters.jurisdictions {
        Some(given) => given.clone(),
        None => of_policies(conn, scope.org_id).await?,
    };
    let mut findings = Findings::new(parameters.period, jurisdictions.clone(), &rules.version);
    let mut after = None;
    while findings.scanned() < PAYMENTS_MAX {
        let rows = scan::page(conn, scope, parameters.period, after, PAGE_ROWS).await?;
        let Some(last) = rows.last() else { break };
        after = Some((last.created_at, last.seq));
        let is_last = rows.len() < PAGE_ROWS;
        scan::assess(
            conn,
            scope.org_id,
            rules,
            &jurisdictions,
            rows,
            &mut findings,
        )
        .await?;
        if is_last {
            break;
        }
    }
    let is_partial = findings.scanned() >= PAYMENTS_MAX;
    findings.json(is_partial)
}

/// The jurisdictions that active policies of the organisation name.
async fn of_policies(conn: &mut Conn, org_id: &str) -> Result<Vec<String>> {
    let named: Named = diesel::sql_query(
        "SELECT coalesce(array_agg(DISTINCT code ORDER BY code), '{}') AS jurisdictions \
         FROM policies CROSS JOIN LATERAL unnest(compliance_jurisdictions) AS code WHERE org_id = $1 AND is_active",
    )
    .bind::<Text, _>(org_id)
    .get_result(conn)
    .await?;
    if named.jurisdictions.is_empty() {
        return Err(Error::precondition(
            "NO_JURISDICTIONS",
            "No active policy names jurisdictions; name some in input.jurisdictions",
        ));
    }
    Ok(named.jurisdictions)
}
