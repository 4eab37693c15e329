//! The service itself: one method of each kind, and failures on demand.

use std::{pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use prost::Message;
use prost_types::Any;
use tokio::time::sleep;
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{KeyAndValueRef, MetadataMap},
};

use crate::proto::echo::v1::{
    CountReply, CountRequest, EchoReply, EchoRequest, Failure, SumReply,
    echo_service_server::EchoService,
};

/// Most bytes of padding in one message.
const MAX_PADDING: usize = 1 << 20;

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Sends back what it got.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

#[tonic::async_trait]
impl EchoService for Echo {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        let (metadata, _, message) = request.into_parts();
        sleep(Duration::from_millis(message.delay_ms.into())).await;
        if let Some(failure) = &message.fail {
            return Err(status(failure));
        }
        let mut reply = Response::new(reply(&metadata, message));
        lead(&metadata, reply.metadata_mut());
        Ok(reply)
    }

    type CountStream = Replies<CountReply>;

    async fn count(
        &self,
        request: Request<CountRequest>,
    ) -> Result<Response<Replies<CountReply>>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let pause = Duration::from_millis(asked.pause_ms.into());
        let padding = vec![
            b'p';
            usize::try_from(asked.size)
                .unwrap_or(MAX_PADDING)
                .min(MAX_PADDING)
        ];
        if let (0, Some(failure)) = (asked.to, &asked.fail) {
            return Err(status(failure));
        }
        let counted = stream::iter(1..=asked.to).then(move |index| {
            let padding = padding.clone();
            async move {
                sleep(pause).await;
                Ok(CountReply { index, padding })
            }
        });
        let end = stream::iter(asked.fail.map(|failure| Err(status(&failure))));
        let mut reply = Response::new(Box::pin(counted.chain(end)) as Replies<_>);
        lead(&metadata, reply.metadata_mut());
        Ok(reply)
    }

    async fn sum(
        &self,
        request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<SumReply>, Status> {
        let mut requests = request.into_inner();
        let mut reply = SumReply::default();
        while let Some(message) = requests.message().await? {
            if let Some(failure) = &message.fail {
                return Err(status(failure));
            }
            reply.sum = reply.sum.wrapping_add(message.number);
            reply.messages += 1;
        }
        Ok(Response::new(reply))
    }

    type ChatStream = Replies<EchoReply>;

    async fn chat(
        &self,
        request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<Replies<EchoReply>>, Status> {
        let (metadata, _, requests) = request.into_parts();
        let replies = requests.map(move |message| {
            let message = message?;
            match &message.fail {
                Some(failure) => Err(status(failure)),
                None => Ok(reply(&metadata, message)),
            }
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

fn reply(metadata: &MetadataMap, message: EchoRequest) -> EchoReply {
    let timeout = metadata
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok());
    EchoReply {
        request: Some(message),
        metadata: own(metadata).collect(),
        timeout: timeout.unwrap_or_default().to_owned(),
    }
}

/// The call's own metadata, as it stands in headers.
fn own(metadata: &MetadataMap) -> impl Iterator<Item = (String, String)> {
    let headers = metadata.clone().into_headers();
    let names: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-"))
        .cloned()
        .collect();
    names.into_iter().map(move |name| {
        let values = headers.get_all(&name).iter();
        let values: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        (name.as_str().to_owned(), values.join(","))
    })
}

/// Sends metadata named `x-lead…` back.
fn lead(from: &MetadataMap, to: &mut MetadataMap) {
    for pair in from.iter() {
        match pair {
            KeyAndValueRef::Ascii(name, value) if name.as_str().starts_with("x-lead") => {
                to.append(name.clone(), value.clone());
            }
            KeyAndValueRef::Binary(name, value) if name.as_str().starts_with("x-lead") => {
                to.append_bin(name.clone(), value.clone());
            }
            _ => {}
        }
    }
}

/// The failure with a detail that every client knows and one that none does, and metadata of its own.
fn status(failure: &Failure) -> Status {
    let code = Code::from_i32(failure.code);
    let info = tonic_types::pb::ErrorInfo {
        reason: "ASKED_FOR".to_owned(),
        domain: "echo.v1".to_owned(),
        metadata: [("field".to_owned(), "fail".to_owned())].into(),
    };
    let any = |name: &str, value| Any {
        type_url: format!("type.googleapis.com/{name}"),
        value,
    };
    let details = tonic_types::Status {
        code: failure.code,
        message: failure.message.clone(),
        details: vec![
            any("google.rpc.ErrorInfo", info.encode_to_vec()),
            any("echo.unknown.Detail", vec![8, 1]),
        ],
    };
    let mut metadata = MetadataMap::new();
    metadata.insert(
        "x-failed",
        tonic::metadata::MetadataValue::from_static("yes"),
    );
    Status::with_details_and_metadata(
        code,
        failure.message.clone(),
        details.encode_to_vec().into(),
        metadata,
    )
}
