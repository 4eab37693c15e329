//! `pulpo routes`: the contract as a table.

use std::fmt::Write;

use anyhow::Result;

use super::console;
use crate::contract::{AccessRule, Contract};

/// Prints every rpc with its HTTP method, path and access rule.
pub(super) fn print() -> Result<()> {
    console::line(&table(&Contract::load()?))
}

fn table(contract: &Contract) -> String {
    let mut rows = vec![["RPC", "METHOD", "PATH", "ACCESS"].map(str::to_owned)];
    for rule in contract.methods() {
        let access = access(&rule.access);
        if rule.routes.is_empty() {
            rows.push([
                rule.path.clone(),
                "-".to_owned(),
                "-".to_owned(),
                access.clone(),
            ]);
        }
        for (method, path) in &rule.routes {
            rows.push([
                rule.path.clone(),
                method.clone(),
                path.clone(),
                access.clone(),
            ]);
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [rpc, method, path, access] in &rows {
        let [rpc_width, method_width, path_width] = widths;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{rpc:rpc_width$}  {method:method_width$}  {path:path_width$}  {access}"
        );
    }
    text.truncate(text.trim_end().len());
    text
}

fn access(rule: &AccessRule) -> String {
    match rule {
        AccessRule::Public(reason) => format!("public: {reason}"),
        AccessRule::Credentials {
            schemes,
            permission,
            ..
        } => {
            let schemes: Vec<_> = schemes
                .iter()
                .map(|scheme| {
                    scheme
                        .as_str_name()
                        .trim_start_matches("SCHEME_")
                        .to_lowercase()
                })
                .collect();
            match permission.as_str() {
                "" => schemes.join(" or "),
                permission => format!("{} with {permission}", schemes.join(" or ")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_in_the_table_with_its_access() -> Result<()> {
        let table = table(&Contract::load()?);
        let payment = table
            .lines()
            .find(|line| line.contains("/pulse-api/payments/request"));
        assert!(
            payment.is_some_and(|line| line.ends_with("payment_key with payments:request")),
            "{table}"
        );
        assert!(table.contains("public: "), "{table}");
        Ok(())
    }
}
