//! Every call ends: at the client's deadline or at the cap, whichever is sooner.

use std::time::Duration;

use http::{Request, Response};
use pulpo_gateway::deadline::{GRPC_TIMEOUT, grpc_timeout};
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
        let asked = request
            .headers()
            .get(GRPC_TIMEOUT)
            .and_then(|value| grpc_timeout(value.to_str().ok()?));
        let allowed = asked.map_or(self.cap, |asked| asked.min(self.cap));
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
