//! Messages that are sent outside of the queue: signed like deliveries, and kept by whoever sends them.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Profile, Sender,
    egress::{Exchange, Outgoing},
    signature::{self, Message},
};

/// A message that is sent outside of the queue of deliveries: whoever sends it keeps what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// Where to.
    pub url: &'a str,
    /// The id of the delivery.
    pub delivery_id: &'a str,
    /// What receivers know repetitions by.
    pub event_id: &'a str,
    /// The kind of the event.
    pub event_type: &'a str,
    /// How many attempts were made before.
    pub retry_count: i32,
    /// The body.
    pub body: &'a str,
    /// What signs it, the newest first; never empty.
    pub secrets: &'a [Vec<u8>],
    /// How long the exchange may take, up to the status of the response.
    pub timeout: Duration,
    /// The most of the response's body that is kept, in bytes.
    pub response_bytes_max: usize,
}

impl Sender {
    /// Sends a signed message once, keeps nothing and repeats nothing. What went wrong is part of the exchange.
    pub async fn post(&self, profile: &Profile, letter: &Letter<'_>) -> Exchange {
        let secrets: Vec<&[u8]> = letter.secrets.iter().map(AsRef::as_ref).collect();
        let headers = signature::headers(
            profile,
            &Message {
                delivery_id: letter.delivery_id,
                event_id: letter.event_id,
                event_type: letter.event_type,
                retry_count: letter.retry_count,
                at: self.clock.now(),
                body: letter.body,
                secrets: &secrets,
            },
        );
        let outgoing = Outgoing {
            url: letter.url.to_owned(),
            headers,
            body: Bytes::copy_from_slice(letter.body.as_bytes()),
            timeout: letter.timeout,
            awaits_body: true,
            response_bytes_max: letter.response_bytes_max,
        };
        self.egress().post(outgoing).await
    }
}
