//! The same messages as a handler written by hand has them, and the data all servers serve.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::proto::pulpo::bench::v1 as proto;

/// Payments on a page.
pub(crate) const PAGE: usize = 50;
/// Messages of a stream.
pub(crate) const STREAM: usize = 1_000;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) idempotency_key: String,
    pub(crate) source_wallet: String,
    pub(crate) target_wallet: String,
    #[serde(with = "int64")]
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) status: Status,
    pub(crate) purpose: String,
    pub(crate) category: String,
    pub(crate) agent_id: String,
    pub(crate) is_test: bool,
    pub(crate) risk_score: f64,
    pub(crate) attempts: i32,
    pub(crate) tags: Vec<String>,
    pub(crate) created_at: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) enum Status {
    #[default]
    #[serde(rename = "STATUS_UNSPECIFIED")]
    Unspecified,
    #[serde(rename = "STATUS_PENDING")]
    Pending,
    #[serde(rename = "STATUS_SETTLED")]
    Settled,
    #[serde(rename = "STATUS_REFUSED")]
    Refused,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    pub(crate) payments: Vec<Payment>,
    pub(crate) next_page_token: String,
}

/// The query of the listing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct PageQuery {
    pub(crate) page_size: i32,
    pub(crate) page_token: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) currency: String,
    pub(crate) is_open: bool,
}

/// Free JSON, not parsed further than needed to know that it is JSON.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) data: Box<RawValue>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    pub(crate) text: String,
}

/// 64-bit integers are strings in ProtoJSON.
mod int64 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(itoa::Buffer::new().format(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        <&str>::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl Payment {
    /// One of many alike, about 375 bytes of JSON.
    pub(crate) fn sample(index: usize) -> Self {
        Self {
            id: format!("pay_01HZX3K8Q{index:04}"),
            idempotency_key: format!("9f0c-4d2a-{index:04}"),
            source_wallet: "wal_01HZX3M2".to_owned(),
            target_wallet: "wal_01HZX3N7".to_owned(),
            amount_minor: 124_950 + index as i64,
            currency: "EUR".to_owned(),
            status: Status::Settled,
            purpose: "Hosting in Frankfurt in November".to_owned(),
            category: "hosted".to_owned(),
            agent_id: "agt_01HZ".to_owned(),
            is_test: true,
            risk_score: 0.0375,
            attempts: 2,
            tags: vec!["cloud".to_owned(), "eu".to_owned()],
            created_at: "2026-11-22T07:15:00Z".to_owned(),
        }
    }

    /// A page of them.
    pub(crate) fn samples() -> Vec<Self> {
        (0..PAGE).map(Self::sample).collect()
    }
}

impl Account {
    /// 74 bytes of JSON.
    pub(crate) fn sample(id: String) -> Self {
        Self {
            id,
            owner: "Mary Lovelace".to_owned(),
            currency: "EUR".to_owned(),
            is_open: true,
        }
    }
}

impl From<Payment> for proto::Payment {
    fn from(payment: Payment) -> Self {
        Self {
            id: payment.id,
            idempotency_key: payment.idempotency_key,
            source_wallet: payment.source_wallet,
            target_wallet: payment.target_wallet,
            amount_minor: payment.amount_minor,
            currency: payment.currency,
            status: payment.status as i32,
            purpose: payment.purpose,
            category: payment.category,
            agent_id: payment.agent_id,
            is_test: payment.is_test,
            risk_score: payment.risk_score,
            attempts: payment.attempts,
            tags: payment.tags,
            created_at: payment.created_at,
        }
    }
}

/// About 4 KB of nested JSON, as hooks and agents send it. Its numbers fit a double: Envoy has no other type for free JSON.
pub(crate) fn free_json() -> String {
    let items: Vec<String> = (0..22)
        .map(|n| {
            format!(
                r#"{{"sku":"SKU-{n:05}","title":"Line item number {n}","quantity":{n},"price":{{"amount":"19.90","currency":"EUR"}},"flags":[true,false,null],"weight":1.25,"ref":4007199254{n:02},"checksum":"c0ffee{n:02}"}}"#
            )
        })
        .collect();
    format!(
        r#"{{"order":{{"id":"ord_1","total":477.60}},"items":[{}]}}"#,
        items.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_have_the_sizes_the_cases_name() {
        let size = |text: serde_json::Result<String>| text.unwrap().len();
        assert_eq!(size(serde_json::to_string(&Payment::sample(0))), 375);
        let account = Account::sample("acc_01HZX3".to_owned());
        assert_eq!(size(serde_json::to_string(&account)), 74);
        let page = Page {
            payments: Payment::samples(),
            next_page_token: "50".to_owned(),
        };
        assert!((18_500..19_500).contains(&size(serde_json::to_string(&page))));
        assert!((3_900..4_300).contains(&free_json().len()));
    }
}
