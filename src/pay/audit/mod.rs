//! The audit of the ledger: everything is summed up again and held against everything else.
//!
//! What is promised: all checks see the same instant, whatever is paid meanwhile; a fault is named by what it concerns; at
//! most [`FAULTS_MAX`] faults of a check are named, and all are counted. It reads, and changes nothing.
//!
//! `run` makes the checks one after another; `checks` holds those that are one statement each, `chain`
//! hashes the journals again.

mod chain;
mod checks;

use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::{Conn, Db, transaction},
    error::{Error, Result},
};

use super::policies;

use checks::{CHECKS, Statement};

/// Most faults that one check names.
pub const FAULTS_MAX: i64 = 100;

/// Something that contradicts the ledger.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Fault {
    /// The organisation; none for a fault of the whole.
    #[diesel(sql_type = Nullable<Text>)]
    pub org_id: Option<String>,
    /// The wallet, journal, payment, escrow or currency.
    #[diesel(sql_type = Text)]
    pub subject: String,
    /// What is wrong with it, amounts in minor units.
    #[diesel(sql_type = Text)]
    pub detail: String,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its name.
    pub name: &'static str,
    /// What holds when it finds nothing.
    pub promise: &'static str,
    /// How many faults there are.
    pub total: i64,
    /// The first of them.
    pub faults: Vec<Fault>,
}

/// What all checks found, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// One of each check.
    pub checks: Vec<Checked>,
}

impl Audit {
    /// How many faults there are, those that are not named included.
    pub fn fault_count(&self) -> i64 {
        let totals = self.checks.iter().map(|checked| checked.total);
        totals.fold(0, i64::saturating_add)
    }
}

/// Audits the ledger of an organisation, or of all, in a transaction of its own.
///
/// # Errors
/// 404 for an organisation that does not exist; the database's.
pub async fn verify(db: &Db, org_id: Option<&str>) -> Result<Audit> {
    db.transaction("pay_audit", async |conn: &mut Conn| {
        transaction::begin_snapshot(conn).await?;
        if let Some(org_id) = org_id
            && policies::existing_organizations(conn, &[org_id])
                .await?
                .is_empty()
        {
            return Err(Error::not_found(
                "ORGANIZATION_NOT_FOUND",
                format!("There is no organization {org_id}"),
            ));
        }
        Ok(run(conn, org_id).await?)
    })
    .await
}

/// Makes every check, over an organisation or over all, in a transaction that sees one instant.
pub(super) async fn run(conn: &mut Conn, org_id: Option<&str>) -> QueryResult<Audit> {
    let mut checks = Vec::with_capacity(CHECKS.len());
    for check in CHECKS {
        // What is true of all together need not be of one.
        if org_id.is_none() || !check.is_of_all {
            checks.push(state(conn, check, org_id).await?);
        }
    }
    checks.push(chain::check(conn, org_id).await?);
    Ok(Audit { checks })
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    fault: Fault,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// Makes a check that is one statement.
async fn state(conn: &mut Conn, check: &Statement, org_id: Option<&str>) -> QueryResult<Checked> {
    let sql = format!(
        "SELECT org_id, subject, detail, count(*) OVER () AS total FROM ({}) AS faults \
         ORDER BY org_id, subject, detail LIMIT $2",
        check.faults
    );
    let rows: Vec<Row> = diesel::sql_query(sql)
        .bind::<Nullable<Text>, _>(org_id)
        .bind::<BigInt, _>(FAULTS_MAX)
        .load(conn)
        .await?;
    Ok(Checked {
        name: check.name,
        promise: check.promise,
        total: rows.as_slice().first().map_or(0, |row| row.total),
        faults: rows.into_iter().map(|row| row.fault).collect(),
    })
}
