//! Instants on their way out.

use chrono::{DateTime, SecondsFormat, Utc};
use prost_types::Timestamp;

/// The instant as a message.
pub(super) fn timestamp(at: DateTime<Utc>) -> Timestamp {
    // The nanoseconds of an instant fit: they are below two billion.
    Timestamp {
        seconds: at.timestamp(),
        nanos: at.timestamp_subsec_nanos().min(999_999_999).cast_signed(),
    }
}

/// The instant as a message, if there is one.
pub(super) fn optional_timestamp(at: Option<DateTime<Utc>>) -> Option<Timestamp> {
    at.map(timestamp)
}

/// The instant as JSON texts carry it: milliseconds and `Z`.
pub(super) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
