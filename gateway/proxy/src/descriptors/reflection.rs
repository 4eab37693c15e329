//! Descriptors from a server's reflection service: v1, and v1alpha where the server has only that.
//!
//! What servers list besides their own services, gRPC's health and reflection, is left alone unless it is named: each language
//! has it in other files, or lists it without any.

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

use super::{Files, INFRASTRUCTURE, MAX_BYTES, Unread, known};
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

/// All services of the server with everything they import; of gRPC's own only those that are `named`.
pub async fn reflect(upstream: &Upstream, named: &[&str]) -> Result<Files, Unread> {
    let mut last = Status::unimplemented("no version of it is there");
    for path in PATHS {
        match timeout(PATIENCE, read(upstream, path, named)).await {
            Ok(Ok(files)) => return Ok(files),
            Ok(Err(status)) if status.code() == Code::Unimplemented => last = status,
            Ok(Err(status)) => {
                let is_passing = is_passing(&status);
                return Err(unread(upstream, &said(&status), is_passing));
            }
            Err(_) => {
                let what = format!("no end after {} s", PATIENCE.as_secs());
                return Err(unread(upstream, &what, true));
            }
        }
    }
    Err(unread(upstream, &said(&last), false))
}

fn unread(upstream: &Upstream, what: &str, is_passing: bool) -> Unread {
    let name = upstream.name();
    Unread {
        faults: vec![format!("reflection of upstream {name}: {what}")],
        is_passing: is_passing || upstream.connections() == 0,
    }
}

/// Whether a server, or what stands in front of it, says so while it is starting, overloaded or being replaced.
fn is_passing(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded
    )
}

fn said(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

async fn read(upstream: &Upstream, path: &'static str, named: &[&str]) -> Result<Files, Status> {
    let list = Question::ListServices(String::new());
    let mut listing = Conversation::begin(upstream, path, list, Files::default()).await?;
    let services = match listing.answer().await? {
        Reply::ListServicesResponse(list) => list.service.into_iter().map(|s| s.name),
        other => return Err(unexpected(&other)),
    };
    let (infrastructure, own): (Vec<_>, Vec<_>) =
        services.partition(|name| name.starts_with(INFRASTRUCTURE));
    for service in own {
        let question = Question::FileContainingSymbol(service);
        listing.ask(question).await?;
        listing.take_files().await?;
    }
    listing.take_imports().await?;
    let mut files = listing.files;
    for service in infrastructure {
        if !named.contains(&service.as_str()) {
            continue;
        }
        match describe(upstream, path, &service, files.clone()).await {
            Ok(more) => files = more,
            Err(status) if is_passing(&status) => return Err(status),
            Err(status) => tracing::warn!(
                upstream = upstream.name(),
                service,
                fault = said(&status),
                "the server lists a service and has no descriptors of it"
            ),
        }
    }
    Ok(files)
}

/// The files of one more service. It is asked for in a call of its own, as servers may end the call over what they cannot
/// describe.
async fn describe(
    upstream: &Upstream,
    path: &'static str,
    service: &str,
    files: Files,
) -> Result<Files, Status> {
    let question = Question::FileContainingSymbol(service.to_owned());
    let mut conversation = Conversation::begin(upstream, path, question, files).await?;
    conversation.take_files().await?;
    conversation.take_imports().await?;
    Ok(conversation.files)
}

struct Conversation {
    questions: mpsc::Sender<Ask>,
    answers: Streaming<Answer>,
    files: Files,
    bytes: usize,
    wanted: Vec<String>,
}

impl Conversation {
    async fn begin(
        upstream: &Upstream,
        path: &'static str,
        question: Question,
        files: Files,
    ) -> Result<Self, Status> {
        let (questions, asked) = mpsc::channel(1);
        // Sent before the call, since a server may answer with its first message only.
        let _ = questions.try_send(ask(question));
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
        Ok(Self {
            questions,
            answers,
            bytes: files.bytes(),
            files,
            wanted: Vec::new(),
        })
    }

    async fn ask(&self, question: Question) -> Result<(), Status> {
        self.questions
            .send(ask(question))
            .await
            .map_err(|_| Status::unavailable("the call ended early"))
    }

    /// What the files that are there import, and what that imports.
    async fn take_imports(&mut self) -> Result<(), Status> {
        while let Some(name) = self.wanted.pop() {
            if self.files.has(&name) || known(&name).is_some() {
                continue;
            }
            self.ask(Question::FileByFilename(name)).await?;
            self.take_files().await?;
        }
        Ok(())
    }

    /// The files of the next answer.
    async fn take_files(&mut self) -> Result<(), Status> {
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
