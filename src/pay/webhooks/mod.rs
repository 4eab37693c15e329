//! Webhooks: events of payments, sent to the endpoints an organisation registers.
//!
//! This is Pulse's part of delivery: which events there are, what their bodies say, and who may do what with an endpoint
//! (`endpoints`, `history`). Queue, schedule, signatures and sending are [`crate::delivery`].

mod endpoints;
mod history;
mod input;
mod messages;
mod service;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    db::Conn,
    delivery::{Profile, fanout, profile::Part},
    error::Result,
    events::consumer::{Consumer, Event},
};

pub(super) use messages::VERSION;

/// The events an endpoint may ask for.
pub const EVENTS: [&str; 8] = [
    "payment.authorized",
    "payment.denied",
    "payment.settled",
    "payment.failed",
    "payment.escrow_held",
    "payment.escrow_released",
    "payment.escrow_expired",
    "payment.disputed",
];

/// The event of a test; it cannot be asked for.
const TEST_EVENT: &str = "test";

/// How payments' events are delivered, as the document says.
pub static PROFILE: Profile = Profile {
    api: "pay",
    user_agent: "Pulse-Webhooks/4.17.0",
    headers: &[
        ("x-pulse-signature", Part::HexSignature("sha256=")),
        ("x-pulse-timestamp", Part::Timestamp),
        ("x-pulse-event", Part::Event),
        ("x-pulse-delivery-id", Part::DeliveryId),
        ("x-pulse-retry-count", Part::RetryCount),
    ],
    schedule_seconds: &[
        0,
        30,
        2 * 60,
        10 * 60,
        3600,
        4 * 3600,
        12 * 3600,
        24 * 3600,
        48 * 3600,
        72 * 3600,
    ],
    timeout: Duration::from_secs(30),
    failures_max: 10,
    overlap: TimeDelta::hours(24),
};

/// Writes the deliveries of events.
pub(super) struct Deliveries;

#[async_trait::async_trait]
impl Consumer for Deliveries {
    fn name(&self) -> &'static str {
        "pay_webhooks"
    }

    fn kinds(&self) -> &'static [&'static str] {
        &EVENTS
    }

    fn endpoints_of(&self) -> Option<&'static str> {
        Some(PROFILE.api)
    }

    async fn consume(&self, conn: &mut Conn, events: &[Event], now: DateTime<Utc>) -> Result<()> {
        let messages = messages::messages(conn, events).await?;
        fanout::fan_out(conn, PROFILE.api, &messages, now).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_after_each_other() {
        let start: DateTime<Utc> = "2026-04-14T12:00:00Z".parse().unwrap();
        let (mut at, mut pauses) = (start, Vec::new());
        for attempts in 1.. {
            let Some(next) = PROFILE.next_attempt(attempts, at) else {
                break;
            };
            pauses.push((next - at).num_seconds());
            at = next;
        }
        assert_eq!(
            pauses,
            [30, 120, 600, 3600, 14_400, 43_200, 86_400, 172_800, 259_200]
        );
        assert_eq!(PROFILE.schedule_seconds.len(), 10);
        assert_eq!(PROFILE.next_attempt(10, at), None);
    }
}
