//! The headers of a delivery: those of its API and those of Standard Webhooks.

use aws_lc_rs::hmac;
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::profile::{Part, Profile};

/// Libraries of receivers read a secret as base64, padded or not.
const SECRET: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is signed and sent.
pub(super) struct Message<'a> {
    pub(super) delivery_id: &'a str,
    pub(super) event_id: &'a str,
    pub(super) event_type: &'a str,
    /// From 0.
    pub(super) retry_count: i32,
    pub(super) at: DateTime<Utc>,
    pub(super) body: &'a str,
    /// The newest first; never empty.
    pub(super) secrets: &'a [&'a [u8]],
}

/// The headers of one attempt. What cannot stand in a header is left out.
pub(super) fn headers(profile: &Profile, message: &Message<'_>) -> HeaderMap {
    let timestamp = message.at.timestamp().to_string();
    let mut headers = HeaderMap::with_capacity(12);
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "application/json");
    set(header::USER_AGENT, profile.user_agent);
    for (name, part) in profile.headers {
        let value = match part {
            Part::HexSignature(prefix) => {
                let newest = message.secrets.first().copied().unwrap_or_default();
                let tag = sign(newest, &[&timestamp, message.body]);
                format!("{prefix}{}", hex::encode(tag))
            }
            Part::Timestamp => timestamp.clone(),
            Part::Event => message.event_type.to_owned(),
            Part::DeliveryId => message.delivery_id.to_owned(),
            Part::RetryCount => message.retry_count.to_string(),
        };
        set(HeaderName::from_static(name), &value);
    }
    set(HeaderName::from_static("webhook-id"), message.event_id);
    set(HeaderName::from_static("webhook-timestamp"), &timestamp);
    let signatures = message.secrets.iter().map(|secret| {
        let parts = [message.event_id, timestamp.as_str(), message.body];
        format!(
            "v1,{}",
            STANDARD.encode(sign(&standard_key(secret), &parts))
        )
    });
    let signatures: Vec<String> = signatures.collect();
    set(
        HeaderName::from_static("webhook-signature"),
        &signatures.join(" "),
    );
    headers
}

/// The key that a receiver's Standard Webhooks library makes of the secret's text.
fn standard_key(secret: &[u8]) -> Vec<u8> {
    let text = secret.strip_prefix(b"whsec_").unwrap_or(secret);
    SECRET.decode(text).unwrap_or_else(|_| text.to_vec())
}

/// HMAC-SHA256 of the parts with dots between them.
fn sign(key: &[u8], parts: &[&str]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            context.update(b".");
        }
        context.update(part.as_bytes());
    }
    context.sign().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::*;

    static PROFILE: Profile = Profile {
        api: "test",
        user_agent: "test",
        headers: &[
            ("x-pulse-signature", Part::HexSignature("sha256=")),
            ("x-pulse-timestamp", Part::Timestamp),
            ("x-pulse-event", Part::Event),
            ("x-pulse-delivery-id", Part::DeliveryId),
            ("x-pulse-retry-count", Part::RetryCount),
        ],
        schedule_seconds: &[0],
        timeout: Duration::from_secs(1),
        failures_max: 1,
        overlap: TimeDelta::zero(),
    };

    fn message<'a>(secrets: &'a [&'a [u8]]) -> Message<'a> {
        Message {
            delivery_id: "dlv_1",
            event_id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            event_type: "payment.settled",
            retry_count: 2,
            at: DateTime::from_timestamp(1_614_265_330, 0).unwrap(),
            body: r#"{"test": 2432232314}"#,
            secrets,
        }
    }

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn the_standard_signature_is_that_of_the_specification() {
        let headers = headers(
            &PROFILE,
            &message(&[b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]),
        );
        assert_eq!(headers["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
        assert_eq!(
            headers["webhook-signature"],
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    /// `printf '1614265330.{"test": 2432232314}' | openssl dgst -sha256 -hmac secret`
    #[test]
    fn the_headers_of_pulse() {
        let headers = headers(&PROFILE, &message(&[b"secret", b"old"]));
        assert_eq!(
            headers["x-pulse-signature"],
            "sha256=d0c5e92cbfd6a4ad865333d1e79ed52ba82849d84281eff5e3c3233e92439630"
        );
        for (name, value) in [
            ("x-pulse-timestamp", "1614265330"),
            ("x-pulse-event", "payment.settled"),
            ("x-pulse-delivery-id", "dlv_1"),
            ("x-pulse-retry-count", "2"),
            ("content-type", "application/json"),
        ] {
            assert_eq!(headers[name], value);
        }
        let both = headers["webhook-signature"].to_str().unwrap();
        assert_eq!(
            both.split(' ').filter(|one| one.starts_with("v1,")).count(),
            2
        );
    }
}
