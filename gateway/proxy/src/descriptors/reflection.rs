//! Descriptors from a server's reflection service: v1, and v1alpha where the server has only that.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest as Ask, ServerReflectionResponse as Answer,
    server_reflection_request::MessageRequest as Question,
    server_reflection_response::MessageResponse as Reply,
};

use super::{Files, MAX_BYTES, known};
use crate::upstream::Upstream;

/// Both versions have the same messages under two names.
const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// For all questions together.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most files a server may have.
const MAX_FILES: usize = 10_000;

/// All services of the server with everything they import.
pub async fn reflect(upstream: &Upstream) -> Result<Files, Vec<String>> {
    let fault = |what: String| {
        vec![format!(
            "reflection of upstream {}: {what}",
            upstream.name()
        )]
    };
    let mut last = Status::unimplemented("no version of it is there");
    for path in PATHS {
        let asked = timeout(PATIENCE, Conversation::hold(upstream, path)).await;
        match asked {
            Ok(Ok(files)) => return Ok(files),
            Ok(Err(status)) if status.code() == Code::Unimplemented => last = status,
            Ok(Err(status)) => return Err(fault(said(&status))),
            Err(_) => return Err(fault(format!("no end after {} s", PATIENCE.as_secs()))),
        }
    }
    Err(fault(said(&last)))
}

fn said(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

struct Conversation {
    questions: mpsc::Sender<Ask>,
    answers: Streaming<Answer>,
    files: Files,
    bytes: usize,
    wanted: Vec<String>,
}

impl Conversation {
    async fn hold(upstream: &Upstream, path: &'static str) -> Result<Files, Status> {
        let (questions, asked) = mpsc::channel(1);
        // Sent before the call, since a server may answer with its first message only.
        let _ = questions.try_send(ask(Question::ListServices(String::new())));
        let asked = stream::unfold(asked, |mut asked| async {
            asked.recv().await.map(|question| (question, asked))
        });
        let mut client =
            tonic::client::Grpc::new(upstream.clone()).max_decoding_message_size(MAX_BYTES);
        let answers = client
            .streaming(
                tonic::Request::new(asked),
                PathAndQuery::from_static(path),
                ProstCodec::<Ask, Answer>::default(),
            )
            .await?
            .into_inner();
        let mut conversation = Self {
            questions,
            answers,
            files: Files::default(),
            bytes: 0,
            wanted: Vec::new(),
        };
        let services = match conversation.answer().await? {
            Reply::ListServicesResponse(list) => list.service,
            other => return Err(unexpected(&other)),
        };
        for service in services {
            let question = Question::FileContainingSymbol(service.name);
            conversation.files(question).await?;
        }
        while let Some(name) = conversation.wanted.pop() {
            if conversation.files.has(&name) || known(&name).is_some() {
                continue;
            }
            conversation.files(Question::FileByFilename(name)).await?;
        }
        Ok(conversation.files)
    }

    async fn files(&mut self, question: Question) -> Result<(), Status> {
        self.questions
            .send(ask(question))
            .await
            .map_err(|_| Status::unavailable("the call ended early"))?;
        let files = match self.answer().await? {
            Reply::FileDescriptorResponse(files) => files.file_descriptor_proto,
            other => return Err(unexpected(&other)),
        };
        for file in files {
            self.bytes += file.len();
            if self.bytes > MAX_BYTES || self.files.files.len() >= MAX_FILES {
                return Err(Status::resource_exhausted("too many descriptors"));
            }
            let imports = self
                .files
                .add(file.into())
                .map_err(|faults| Status::data_loss(faults.join("; ")))?;
            self.wanted.extend(imports);
        }
        Ok(())
    }

    async fn answer(&mut self) -> Result<Reply, Status> {
        let answer = match self.answers.next().await {
            Some(answer) => answer?.message_response,
            None => None,
        };
        match answer {
            Some(Reply::ErrorResponse(error)) => Err(Status::new(
                Code::from(error.error_code),
                error.error_message,
            )),
            Some(answer) => Ok(answer),
            None => Err(Status::unavailable("the answer did not come")),
        }
    }
}

fn ask(question: Question) -> Ask {
    Ask {
        host: String::new(),
        message_request: Some(question),
    }
}

fn unexpected(answer: &Reply) -> Status {
    let kind = match answer {
        Reply::FileDescriptorResponse(_) => "files",
        Reply::AllExtensionNumbersResponse(_) => "extension numbers",
        Reply::ListServicesResponse(_) => "a list of services",
        Reply::ErrorResponse(_) => "an error",
    };
    Status::data_loss(format!("the answer is {kind}, which was not asked for"))
}
