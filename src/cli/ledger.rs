//! `pulpo admin verify-ledger`.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::console;
use crate::{
    db::Db,
    pay::audit::{self, Audit, Checked, Fault},
};

/// Audits the ledger of an organisation, or of all, and prints what was found; fails when there are faults.
pub(super) async fn verify(db: &Db, org_id: Option<&str>, as_json: bool) -> Result<()> {
    let audit = audit::verify(db, org_id).await?;
    let text = if as_json {
        serde_json::to_string_pretty(&json(&audit))?
    } else {
        text(&audit)
    };
    console::line(&text)?;
    let faults = audit.fault_count();
    ensure!(faults == 0, "the ledger does not hold: {faults} faults");
    Ok(())
}

fn text(audit: &Audit) -> String {
    let mut lines = Vec::new();
    for checked in &audit.checks {
        let result = match checked.total {
            0 => "holds".to_owned(),
            total => format!("{total} FAULTS"),
        };
        lines.push(format!("{}: {result} ({})", checked.name, checked.promise));
        lines.extend(checked.faults.iter().map(line));
        let unnamed = unnamed(checked);
        if unnamed > 0 {
            lines.push(format!("  and {unnamed} more"));
        }
    }
    lines.push(match audit.fault_count() {
        0 => "The ledger holds.".to_owned(),
        count => format!("{count} faults."),
    });
    lines.join("\n")
}

fn line(fault: &Fault) -> String {
    let org_id = fault.org_id.as_deref().unwrap_or("all");
    format!("  {org_id} {}: {}", fault.subject, fault.detail)
}

fn unnamed(checked: &Checked) -> i64 {
    let named = i64::try_from(checked.faults.len()).unwrap_or(i64::MAX);
    checked.total.saturating_sub(named)
}

fn json(audit: &Audit) -> Value {
    let fault = |fault: &Fault| json!({"organization_id": fault.org_id, "subject": fault.subject, "detail": fault.detail});
    let checks: Vec<_> = audit
        .checks
        .iter()
        .map(|checked| {
            json!({"check": checked.name, "promise": checked.promise, "fault_count": checked.total,
                   "faults": checked.faults.iter().map(fault).collect::<Vec<_>>()})
        })
        .collect();
    let count = audit.fault_count();
    json!({"holds": count == 0, "fault_count": count, "checks": checks})
}
