//! What valid records and filters are.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{error::Result, ids, proto::pulpo::pay::v1 as pb};

use super::{
    super::{
        input::{DEFAULT_CURRENCY, Input},
        money,
    },
    records::{Amount, Batch, Filter, NewRecord},
};

/// Most records of a push.
const PUSH_RECORDS_MAX: usize = 100;
/// Most records of a bulk push.
const BULK_RECORDS_MAX: usize = 1000;
/// Most bytes of JSON in one request, through whatever door.
const DATA_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rows of a page when no limit is given.
const LIMIT_DEFAULT: i64 = 50;
/// Most rows of a page; higher limits are cut to it.
const LIMIT_MAX: i64 = 200;

/// The records of a push, or every fault of them.
pub(super) fn push(request: pb::PushDataRequest) -> Result<Batch> {
    let mut input = head(
        &request.source,
        &request.data_type,
        &request.records,
        PUSH_RECORDS_MAX,
    )?;
    let records = request.records.into_iter().enumerate();
    let records = records
        .map(|(i, new)| record(&mut input, &format!("records[{i}]."), new))
        .collect();
    input.finish()?;
    Ok(Batch {
        source: request.source,
        data_type: request.data_type,
        records,
    })
}

/// The valid records of a bulk push, and what is wrong with the others.
pub(super) fn bulk(request: pb::BulkPushDataRequest) -> Result<(Batch, Vec<pb::DataFault>)> {
    head(
        &request.source,
        &request.data_type,
        &request.records,
        BULK_RECORDS_MAX,
    )?
    .finish()?;
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    for (index, new) in (0_i64..).zip(request.records) {
        let external_id = new.external_id.clone();
        let mut input = Input::default();
        let record = record(&mut input, "", new);
        match input.finish() {
            Ok(()) => records.push(record),
            Err(error) => faults.push(pb::DataFault {
                index,
                external_id,
                error: sentence(&error.violations),
            }),
        }
    }
    let batch = Batch {
        source: request.source,
        data_type: request.data_type,
        records,
    };
    Ok((batch, faults))
}

fn sentence(violations: &[crate::error::Violation]) -> String {
    let parts: Vec<String> = violations
        .iter()
        .map(|v| format!("{} {}", v.field, v.description))
        .collect();
    parts.join("; ")
}

/// Checks what all records have in common. How many there are and how large they are together is refused at once, before
/// anything else is read.
fn head(
    source: &str,
    data_type: &str,
    records: &[pb::NewDataRecord],
    records_max: usize,
) -> Result<Input> {
    let mut input = Input::default();
    for (field, name) in [("source", source), ("data_type", data_type)] {
        input.name(field, name);
        input.key_part(field, name);
    }
    let sizes = records.iter().filter_map(|record| record.data.as_ref());
    let bytes: usize = sizes.map(|json| json.text.len()).sum();
    let too_large = bytes > DATA_BYTES_MAX;
    let wrong_number = records.is_empty() || records.len() > records_max;
    if wrong_number {
        input.fault("records", format!("must have 1 to {records_max} entries"));
    } else if too_large {
        input.fault(
            "records",
            format!("must have at most {DATA_BYTES_MAX} bytes of data together"),
        );
    }
    if wrong_number || too_large {
        input.finish()?;
        return Ok(Input::default());
    }
    Ok(input)
}

fn record(input: &mut Input, prefix: &str, new: pb::NewDataRecord) -> NewRecord {
    let external_id = format!("{prefix}external_id");
    input.name(&external_id, &new.external_id);
    input.key_part(&external_id, &new.external_id);
    let category = format!("{prefix}category");
    input.optional_name(&category, new.category.as_deref());
    let field = format!("{prefix}data");
    let data = input.object(&field, new.data).unwrap_or_else(|| {
        input.fault(&field, "is required");
        String::new()
    });
    NewRecord {
        id: ids::sortable("dat"),
        amount: amount(&data),
        external_id: new.external_id,
        category: new.category,
        data,
    }
}

#[derive(Deserialize)]
struct Members<'d> {
    #[serde(borrow)]
    amount: Option<&'d RawValue>,
    #[serde(borrow)]
    currency: Option<&'d RawValue>,
}

/// The members `amount` and `currency` of a record, when they are an amount: a number, or a text with one, that has at
/// most two decimals and is not zero. Without `currency` it is in USD.
fn amount(data: &str) -> Option<Amount> {
    let members: Members<'_> = serde_json::from_str(data).ok()?;
    let raw = members.amount?.get();
    let text = if raw.starts_with('"') {
        serde_json::from_str::<String>(raw).ok()?
    } else {
        raw.to_owned()
    };
    let minor = match text.strip_prefix('-') {
        Some(rest) => -money::parse_amount(rest).ok()?,
        None => money::parse_amount(&text).ok()?,
    };
    let currency = match members.currency {
        Some(raw) => serde_json::from_str::<String>(raw.get()).ok()?,
        None => DEFAULT_CURRENCY.to_owned(),
    };
    let is_code = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase());
    is_code.then_some(Amount { minor, currency })
}

/// Checks a query, and names every fault.
pub(super) fn filter(request: pb::QueryDataRequest) -> Result<Filter> {
    let mut input = Input::default();
    let filter = Filter {
        limit: input.limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX),
        offset: input.offset(request.offset),
        from: input.date_from(request.date_from.as_deref()),
        before: input.date_to(request.date_to.as_deref()),
        data_type: request.data_type,
        category: request.category,
        source: request.connector_slug,
        currency: None,
    };
    input.label("data_type", filter.data_type.as_deref());
    input.label("category", filter.category.as_deref());
    input.label("connector_slug", filter.source.as_deref());
    input.finish()?;
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_from_the_members() {
        let read = |data: &str| amount(data).map(|a| (a.minor, a.currency));
        let usd = |minor| Some((minor, "USD".to_owned()));
        assert_eq!(read(r#"{"amount": 5000}"#), usd(500_000));
        assert_eq!(read(r#"{"amount": "12.50", "a": [{}]}"#), usd(1250));
        assert_eq!(read(r#"{"\u0061mount": -3.5e1}"#), usd(-3500));
        assert_eq!(
            read(r#"{"amount": 1, "currency": "EUR", "x": "\u0000"}"#),
            Some((100, "EUR".to_owned()))
        );
        for none in [
            "{}",
            r#"{"amount": null}"#,
            r#"{"amount": 0}"#,
            r#"{"amount": 1.001}"#,
            r#"{"amount": {"value": 1}}"#,
            r#"{"amount": "--1"}"#,
            r#"{"amount": 1, "amount": 2}"#,
            r#"{"amount": 1, "currency": "usd"}"#,
            r#"{"amount": 1, "currency": 840}"#,
            r#"{"amount": 123456789012345678901234567890}"#,
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
