//! `multipart/form-data` (RFC 7578): fields are bound like query parameters, files go into the fields that take them.
//!
//! A unary method gets everything in one message. A client stream gets a message for each piece of a file as it arrives; the
//! first piece of a file comes with its name, its type and the fields given since the last message.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::{Body as HttpBody, Frame};
use multer::{Constraints, Field, Multipart, SizeLimit};
use tonic::Status;

use super::{
    Outgoing, Plan,
    fault::{bad_request, bind_fault, too_large},
    next_data,
};
use crate::{
    bind::{FileField, FormFields},
    fault::Fault,
};

/// A part's head, and what may stand before the first one.
const HEAD_BYTES: usize = 64 * 1024;
/// What is read at once: the reader takes all there is before it looks for a part.
const READ_BYTES: usize = 64 * 1024;

/// Reading forms for one request.
struct Source {
    plan: Plan,
    parts: Multipart<'static>,
    fields: FormFields,
    /// Fields of the form's message that have not been sent.
    pending: Vec<u8>,
    /// The file that is being read, and whether a piece of it was sent.
    file: Option<(Field<'static>, FileField, bool)>,
    /// Bytes that have been read since something came out.
    unread: Arc<AtomicUsize>,
    is_streaming: bool,
    has_sent: bool,
    is_done: bool,
}

/// The frames of the request.
pub(super) fn messages<B>(incoming: B, plan: Plan) -> impl Stream<Item = Outgoing> + Send
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    stream::try_unfold(State::Start(Box::pin(incoming), plan), async |state| {
        let mut source = match state {
            State::Start(incoming, plan) => Source::new(incoming, plan)?,
            State::Reading(source) => source,
        };
        match source.next().await {
            Ok(next) => Ok(next.map(|frame| (Frame::data(frame), State::Reading(source)))),
            Err(fault) => Err(source.plan.refuse(&fault)),
        }
    })
}

enum State<B> {
    Start(Pin<Box<B>>, Plan),
    Reading(Box<Source>),
}

impl Source {
    fn new<B>(incoming: Pin<Box<B>>, plan: Plan) -> Result<Box<Self>, Status>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        if let Err(fault) = plan.admit() {
            return Err(plan.refuse(&fault));
        }
        let content_type = plan.content_type();
        let boundary = std::str::from_utf8(content_type)
            .ok()
            .and_then(|text| multer::parse_boundary(text).ok());
        let Some(boundary) = boundary else {
            let fault = bad_request("INVALID_BODY", "the Content-Type says no boundary");
            return Err(plan.refuse(&fault));
        };
        let limits = plan.surface.options.limits;
        let is_streaming = plan.endpoint().is_some_and(|e| e.input.is_streaming);
        let within = match is_streaming {
            true => limits.idle_timeout,
            false => limits.body_timeout,
        };
        let unread = Arc::new(AtomicUsize::new(0));
        let pieces = pieces(incoming, within, unread.clone());
        let size = SizeLimit::new();
        let size = match is_streaming {
            true => size,
            false => size.whole_stream(limits.max_body_bytes as u64),
        };
        let constraints = Constraints::new().size_limit(size);
        Ok(Box::new(Self {
            plan,
            parts: Multipart::with_constraints(pieces, boundary, constraints),
            fields: FormFields::default(),
            pending: Vec::new(),
            file: None,
            unread,
            is_streaming,
            has_sent: false,
            is_done: false,
        }))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Box<Fault>> {
        while !self.is_done {
            if let Some(frame) = self.next_piece().await? {
                return Ok(Some(frame));
            }
            let part = self.parts.next_field().await;
            self.unread.store(0, Ordering::Relaxed);
            match part {
                Ok(Some(part)) => self.part(part).await?,
                Ok(None) => {
                    self.is_done = true;
                    // A form without files is one message too.
                    if !self.pending.is_empty() || !self.has_sent {
                        return self.send(None).map(Some);
                    }
                }
                Err(error) => return Err(self.fault(error)),
            }
        }
        Ok(None)
    }

    /// The next piece of the file that is being read, where pieces are sent.
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Box<Fault>> {
        let Some((mut part, field, was_sent)) = self.file.take() else {
            return Ok(None);
        };
        let piece = self.chunk(&mut part).await?;
        // An empty file is sent as well.
        let Some(data) = piece.or((!was_sent).then(Bytes::new)) else {
            return Ok(None);
        };
        let mut file = Vec::with_capacity(data.len() + 128);
        let (name, media_type) = described(&part, !was_sent);
        field.put(name, media_type, &data, &mut file);
        self.file = Some((part, field, true));
        self.send(Some(&file)).map(Some)
    }

    /// Takes a part in: a field, or the start of a file.
    async fn part(&mut self, part: Field<'static>) -> Result<(), Box<Fault>> {
        let name = part.name().unwrap_or_default().to_owned();
        let is_file = part.file_name().is_some();
        let (surface, endpoint) = (self.plan.surface.clone(), self.plan.endpoint);
        let form = surface
            .endpoints
            .get(endpoint)
            .and_then(|e| e.input.form.as_ref());
        let Some(form) = form.map(|form| form.binder(&surface.codec)) else {
            return Ok(());
        };
        if !is_file {
            let value = self.whole(part).await?;
            self.fields
                .field(form, &surface.codec, &name, &value, &mut self.pending)
                .map_err(|fault| bind_fault(&fault))?;
            // All that is given before a file, or without one, is one message.
            let limit = self.plan.limit();
            return match self.pending.len() > limit {
                true => Err(too_large(limit)),
                false => Ok(()),
            };
        }
        let field = self
            .fields
            .file(form, &name)
            .map_err(|fault| bind_fault(&fault))?;
        match field {
            None => {
                let mut part = part;
                while self.chunk(&mut part).await?.is_some() {}
            }
            Some(field) if self.is_streaming => self.file = Some((part, field, false)),
            Some(field) => {
                let (name, media_type) = described(&part, true);
                let (name, media_type) = (name.map(str::to_owned), media_type.map(str::to_owned));
                let data = self.whole(part).await?;
                field.put(
                    name.as_deref(),
                    media_type.as_deref(),
                    &data,
                    &mut self.pending,
                );
            }
        }
        Ok(())
    }

    /// All bytes of a part.
    async fn whole(&self, mut part: Field<'static>) -> Result<Vec<u8>, Box<Fault>> {
        let (mut value, limit) = (Vec::new(), self.plan.limit());
        while let Some(piece) = self.chunk(&mut part).await? {
            if value.len() + piece.len() > limit {
                return Err(too_large(limit));
            }
            value.extend_from_slice(&piece);
        }
        Ok(value)
    }

    /// The next piece of a part.
    async fn chunk(&self, part: &mut Field<'static>) -> Result<Option<Bytes>, Box<Fault>> {
        let piece = part.chunk().await.map_err(|error| self.fault(error))?;
        self.unread.store(0, Ordering::Relaxed);
        Ok(piece)
    }

    /// A message of the pending fields and a piece of a file.
    fn send(&mut self, file: Option<&[u8]>) -> Result<Bytes, Box<Fault>> {
        self.has_sent = true;
        let mut content = std::mem::take(&mut self.pending);
        content.extend_from_slice(file.unwrap_or_default());
        self.plan.frame(content.len(), |endpoint, out| {
            if let Some(form) = &endpoint.input.form {
                form.binder(&self.plan.surface.codec).put(&content, out);
            }
            Ok(())
        })
    }

    fn fault(&self, error: multer::Error) -> Box<Fault> {
        match error {
            multer::Error::StreamReadFailed(error) => match error.downcast::<Carried>() {
                Ok(carried) => carried.0,
                Err(_) => bad_request("BODY_UNREADABLE", "the form could not be read"),
            },
            multer::Error::StreamSizeExceeded { .. } => too_large(self.plan.limit()),
            other => bad_request("INVALID_BODY", format!("the form is not valid: {other}")),
        }
    }
}

/// The body as the reader takes it: with a pause after every so many bytes, in which it gives out what it has, and an end where
/// nothing has come out of many. It would keep them all, and look through all of them again with every piece.
fn pieces<B>(
    incoming: Pin<Box<B>>,
    within: Duration,
    unread: Arc<AtomicUsize>,
) -> impl Stream<Item = Result<Bytes, Carried>> + Send
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    stream::try_unfold((incoming, 0), move |(mut incoming, read)| {
        let unread = unread.clone();
        async move {
            if read >= READ_BYTES {
                tokio::task::yield_now().await;
            }
            let data = next_data(&mut incoming, within).await.map_err(Carried)?;
            let Some(data) = data else { return Ok(None) };
            let before = unread.fetch_add(data.len(), Ordering::Relaxed);
            if before > HEAD_BYTES + READ_BYTES {
                let fault = bad_request("INVALID_BODY", "the head of a part is too long");
                return Err(Carried(fault));
            }
            let read = read % READ_BYTES + data.len();
            Ok(Some((data, (incoming, read))))
        }
    })
}

fn described<'p>(part: &'p Field<'_>, is_first: bool) -> (Option<&'p str>, Option<&'p str>) {
    if !is_first {
        return (None, None);
    }
    (part.file_name(), part.content_type().map(AsRef::as_ref))
}

/// A fault on its way through the form reader.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
struct Carried(Box<Fault>);
