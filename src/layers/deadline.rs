//! Every call ends: at the client's deadline or at the cap, whichever is sooner.

use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tonic::body::Body;

use super::{Next, Step};
use crate::{
    config::Http,
    error::{Error, Kind},
};

/// Bounds the time of a call.
pub(super) struct Deadline {
    cap: Duration,
}

impl Deadline {
    pub(super) fn new(http: &Http) -> Self {
        Self {
            cap: Duration::from_millis(http.request_timeout_ms),
        }
    }
}

#[tonic::async_trait]
impl Step for Deadline {
    async fn run(&self, request: Request<Body>, next: Next) -> Response<Body> {
        let allowed = grpc_timeout(request.headers()).map_or(self.cap, |asked| asked.min(self.cap));
        match tokio::time::timeout(allowed, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let error = Error::new(
                    Kind::Timeout,
                    "DEADLINE_EXCEEDED",
                    "The call took too long; try again",
                );
                tonic::Status::from(error).into_http()
            }
        }
    }
}

/// `grpc-timeout`: up to eight digits and a unit.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(n * 3600)),
        "M" => Some(Duration::from_secs(n * 60)),
        "S" => Some(Duration::from_secs(n)),
        "m" => Some(Duration::from_millis(n)),
        "u" => Some(Duration::from_micros(n)),
        "n" => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit_and_refuses_the_rest() {
        let read = |text: &'static str| {
            grpc_timeout(&HeaderMap::from_iter([(
                "grpc-timeout".parse().unwrap(),
                text.parse().unwrap(),
            )]))
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("5S"), Some(Duration::from_secs(5)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999u"), Some(Duration::from_micros(99_999_999)));
        assert_eq!(read("7n"), Some(Duration::from_nanos(7)));
        for bad in ["", "5", "S", "-1S", "123456789S", "1x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
