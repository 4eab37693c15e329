//! Settings of what is done beside the requests.

use serde::{Deserialize, Serialize};

/// Removing what has expired, which the roles worker and all do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Housekeeping {
    /// The time from one round to the next.
    pub interval_ms: u64,
    /// The most rows one statement removes.
    pub batch_rows: u32,
}

impl Default for Housekeeping {
    fn default() -> Self {
        Self {
            interval_ms: 60_000,
            batch_rows: 1000,
        }
    }
}

/// Sending webhooks, which the roles worker and all do; tests of an endpoint are sent by api too.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// Whether targets may be private addresses and `http`; `pulpo dev` always allows it.
    pub allow_private_targets: bool,
    /// Deliveries that one process sends at the same time; at most half of them of one organisation.
    pub concurrency: usize,
    /// Of them those to one endpoint.
    pub endpoint_concurrency: usize,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            allow_private_targets: false,
            concurrency: 512,
            endpoint_concurrency: 64,
        }
    }
}
