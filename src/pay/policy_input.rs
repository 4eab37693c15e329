//! What a valid policy is, and which fields a change touches.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::{
    error::{Error, Result},
    ids,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    compliance::RuleBook,
    input::{self, DEFAULT_CURRENCY, Input},
    money,
    policies::PolicyRow,
};

/// Most bytes of the lists of a policy together, as JSON prints them: one reply lists the policies of an organisation.
const LISTS_BYTES_MAX: usize = 64 * 1024;
/// The fields a change may name.
const FIELDS: [&str; 13] = [
    "policy_name",
    "agent_id",
    "max_per_transaction",
    "max_daily",
    "max_monthly",
    "currency",
    "require_human_above",
    "approved_counterparties",
    "blocked_counterparties",
    "allowed_categories",
    "compliance_precheck",
    "compliance_jurisdictions",
    "is_active",
];

/// The row of a policy to create.
pub(super) fn new_row(
    org_id: &str,
    request: pb::CreatePolicyRequest,
    rules: &RuleBook,
    now: DateTime<Utc>,
) -> Result<PolicyRow> {
    let change = pb::PolicyChange {
        policy_name: request.policy_name,
        agent_id: request.agent_id,
        max_per_transaction: request.max_per_transaction,
        max_daily: request.max_daily,
        max_monthly: request.max_monthly,
        currency: request.currency,
        require_human_above: request.require_human_above,
        approved_counterparties: request.approved_counterparties,
        blocked_counterparties: request.blocked_counterparties,
        allowed_categories: request.allowed_categories,
        compliance_precheck: request.compliance_precheck,
        compliance_jurisdictions: request.compliance_jurisdictions,
        is_active: Some(true),
    };
    let row = apply(blank(org_id, now), &change, &FIELDS, rules)?;
    check(&row)?;
    Ok(row)
}

/// The defaults, without a name.
pub(super) fn blank(org_id: &str, now: DateTime<Utc>) -> PolicyRow {
    PolicyRow {
        org_id: org_id.to_owned(),
        id: ids::short("pol", 12),
        policy_name: String::new(),
        agent_id: None,
        max_per_transaction_minor: None,
        max_daily_minor: None,
        max_monthly_minor: None,
        currency: DEFAULT_CURRENCY.to_owned(),
        require_human_above_minor: None,
        approved_counterparties: Vec::new(),
        blocked_counterparties: Vec::new(),
        allowed_categories: Vec::new(),
        compliance_precheck: true,
        compliance_jurisdictions: Vec::new(),
        is_active: true,
        created_at: now,
        updated_at: now,
        version_id: 0,
    }
}

/// The fields a change touches: those of the mask, or those that are set where there is none.
pub(super) fn named_fields(
    change: &pb::PolicyChange,
    mask: Option<prost_types::FieldMask>,
) -> Result<Vec<&'static str>> {
    input::named_fields(&FIELDS, mask, |field| is_set(change, field))
}

fn is_set(change: &pb::PolicyChange, field: &str) -> bool {
    match field {
        "policy_name" => change.policy_name.is_some(),
        "agent_id" => change.agent_id.is_some(),
        "max_per_transaction" => change.max_per_transaction.is_some(),
        "max_daily" => change.max_daily.is_some(),
        "max_monthly" => change.max_monthly.is_some(),
        "currency" => change.currency.is_some(),
        "require_human_above" => change.require_human_above.is_some(),
        "approved_counterparties" => !change.approved_counterparties.is_empty(),
        "blocked_counterparties" => !change.blocked_counterparties.is_empty(),
        "allowed_categories" => !change.allowed_categories.is_empty(),
        "compliance_precheck" => change.compliance_precheck.is_some(),
        "compliance_jurisdictions" => !change.compliance_jurisdictions.is_empty(),
        "is_active" => change.is_active.is_some(),
        _ => false,
    }
}

/// The row with the named fields changed; every fault of them is named. Absent values clear a field, or bring back its
/// default.
pub(super) fn apply(
    mut row: PolicyRow,
    change: &pb::PolicyChange,
    fields: &[&str],
    rules: &RuleBook,
) -> Result<PolicyRow> {
    let mut input = Input::default();
    for field in fields {
        match *field {
            "policy_name" => {
                let name = change.policy_name.as_deref().unwrap_or_default();
                input.name(field, name);
                row.policy_name = name.to_owned();
            }
            "agent_id" => {
                input.optional_name(field, change.agent_id.as_deref());
                row.agent_id = change.agent_id.clone();
            }
            "max_per_transaction" => {
                row.max_per_transaction_minor =
                    input.optional_amount(field, change.max_per_transaction.as_ref());
            }
            "max_daily" => {
                row.max_daily_minor = input.optional_amount(field, change.max_daily.as_ref())
            }
            "max_monthly" => {
                row.max_monthly_minor = input.optional_amount(field, change.max_monthly.as_ref())
            }
            "currency" => row.currency = input.currency(change.currency.as_deref()),
            "require_human_above" => {
                row.require_human_above_minor =
                    input.optional_amount(field, change.require_human_above.as_ref());
            }
            "approved_counterparties" => {
                row.approved_counterparties =
                    names(&mut input, field, &change.approved_counterparties)
            }
            "blocked_counterparties" => {
                row.blocked_counterparties =
                    names(&mut input, field, &change.blocked_counterparties)
            }
            "allowed_categories" => {
                row.allowed_categories = names(&mut input, field, &change.allowed_categories)
            }
            "compliance_precheck" => {
                row.compliance_precheck = change.compliance_precheck.unwrap_or(true)
            }
            "compliance_jurisdictions" => {
                row.compliance_jurisdictions =
                    jurisdictions(&mut input, field, &change.compliance_jurisdictions, rules);
            }
            "is_active" => match change.is_active {
                Some(is_active) => row.is_active = is_active,
                None => input.fault(field, "must be true or false"),
            },
            _ => {}
        }
    }
    input.finish()?;
    Ok(row)
}

fn names(input: &mut Input, field: &str, values: &[String]) -> Vec<String> {
    input.names(field, values);
    values.to_vec()
}

fn jurisdictions(
    input: &mut Input,
    field: &str,
    values: &[String],
    rules: &RuleBook,
) -> Vec<String> {
    input.names(field, values);
    for (i, code) in values
        .iter()
        .enumerate()
        .filter(|(_, code)| !rules.knows(code))
    {
        input.fault(
            &format!("{field}[{i}]"),
            format!("is not a known jurisdiction: {code}"),
        );
    }
    values.to_vec()
}

/// What holds for the fields of a policy together.
pub(super) fn check(row: &PolicyRow) -> Result<()> {
    check_order(row)?;
    check_lists(row)
}

fn check_lists(row: &PolicyRow) -> Result<()> {
    let lists = [
        ("approved_counterparties", &row.approved_counterparties),
        ("blocked_counterparties", &row.blocked_counterparties),
        ("allowed_categories", &row.allowed_categories),
        ("compliance_jurisdictions", &row.compliance_jurisdictions),
    ];
    let sizes = lists.map(|(field, names)| (json!(names).to_string().len(), field));
    let all: usize = sizes.iter().map(|(bytes, _)| bytes).sum();
    match sizes.iter().max() {
        Some((_, largest)) if all > LISTS_BYTES_MAX => Err(Error::invalid(
            *largest,
            format!("must have at most {LISTS_BYTES_MAX} bytes together with the other lists"),
        )),
        _ => Ok(()),
    }
}

/// Per payment ≤ per day ≤ per month, as far as they are set.
fn check_order(row: &PolicyRow) -> Result<()> {
    let limits = [
        ("max_per_transaction", row.max_per_transaction_minor),
        ("max_daily", row.max_daily_minor),
        ("max_monthly", row.max_monthly_minor),
    ];
    let mut input = Input::default();
    let set: Vec<(&str, i64)> = limits
        .into_iter()
        .filter_map(|(name, limit)| Some((name, limit?)))
        .collect();
    for pair in set.windows(2) {
        if let [(lower, lower_minor), (upper, upper_minor)] = pair
            && lower_minor > upper_minor
        {
            input.fault(
                lower,
                format!(
                    "must not exceed {upper} ({})",
                    money::format_minor(*upper_minor)
                ),
            );
        }
    }
    input.finish()
}

#[cfg(test)]
mod tests {
    use crate::proto::pulpo::r#type::v1::Decimal;

    use super::*;

    fn decimal(value: &str) -> Option<Decimal> {
        Some(Decimal {
            value: value.to_owned(),
        })
    }

    fn rules() -> RuleBook {
        RuleBook::shipped().unwrap()
    }

    fn create(change: impl FnOnce(&mut pb::CreatePolicyRequest)) -> Result<PolicyRow> {
        let mut request = pb::CreatePolicyRequest {
            policy_name: Some("Default".to_owned()),
            ..Default::default()
        };
        change(&mut request);
        new_row("org_a", request, &rules(), DateTime::UNIX_EPOCH)
    }

    fn faults(result: Result<PolicyRow>) -> Vec<String> {
        result
            .unwrap_err()
            .violations
            .into_iter()
            .map(|v| v.field)
            .collect()
    }

    #[test]
    fn defaults() {
        let row = create(|_| {}).unwrap();
        assert_eq!(
            (
                row.currency.as_str(),
                row.compliance_precheck,
                row.is_active
            ),
            ("USD", true, true)
        );
        assert_eq!((row.max_daily_minor, row.agent_id), (None, None));
    }

    #[test]
    fn faults_name_their_fields() {
        assert_eq!(faults(create(|r| r.policy_name = None)), ["policy_name"]);
        assert_eq!(
            faults(create(|r| r.max_daily = decimal("0"))),
            ["max_daily"]
        );
        assert_eq!(
            faults(create(|r| r.agent_id = Some(String::new()))),
            ["agent_id"]
        );
        let codes = [
            "US_FEDERAL",
            "US_STATE_NY",
            "UAE_CBUAE",
            "LATAM_BR",
            "EU_PSD2",
            "US_STATE_NYC",
            "UAE_",
            "MARS",
        ];
        let result = create(|r| r.compliance_jurisdictions = codes.map(str::to_owned).to_vec());
        assert_eq!(
            faults(result),
            [
                "compliance_jurisdictions[5]",
                "compliance_jurisdictions[6]",
                "compliance_jurisdictions[7]"
            ]
        );
    }

    #[test]
    fn limits_are_in_order() {
        let limits = |per_transaction, daily, monthly| {
            create(|r| {
                (r.max_per_transaction, r.max_daily, r.max_monthly) =
                    (per_transaction, daily, monthly)
            })
        };
        assert!(limits(decimal("10"), decimal("10"), decimal("10")).is_ok());
        assert_eq!(
            faults(limits(decimal("11"), decimal("10"), None)),
            ["max_per_transaction"]
        );
        assert_eq!(
            faults(limits(decimal("11"), None, decimal("10"))),
            ["max_per_transaction"]
        );
        assert_eq!(
            faults(limits(None, decimal("11"), decimal("10"))),
            ["max_daily"]
        );
    }

    #[test]
    fn a_mask_decides_what_changes() {
        let row = create(|r| r.max_daily = decimal("10")).unwrap();
        let mask = |paths: &[&str]| {
            Some(prost_types::FieldMask {
                paths: paths.iter().map(|p| (*p).to_owned()).collect(),
            })
        };
        let change = pb::PolicyChange {
            max_monthly: decimal("20"),
            ..Default::default()
        };

        let both = named_fields(&change, mask(&["max_daily", "max_monthly"])).unwrap();
        let changed = apply(row.clone(), &change, &both, &rules()).unwrap();
        assert_eq!(
            (changed.max_daily_minor, changed.max_monthly_minor),
            (None, Some(2000))
        );

        let set = named_fields(&change, None).unwrap();
        assert_eq!(set, ["max_monthly"]);
        assert_eq!(
            apply(row.clone(), &change, &set, &rules())
                .unwrap()
                .max_daily_minor,
            Some(1000)
        );

        assert_eq!(
            named_fields(&change, mask(&["id"])).unwrap_err().violations[0].field,
            "update_mask"
        );
        for field in ["policy_name", "is_active"] {
            assert_eq!(
                faults(apply(row.clone(), &change, &[field], &rules())),
                [field]
            );
        }
    }
}
