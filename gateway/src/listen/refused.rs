//! What is no HTTP/1.1 request is refused by hyper itself, with a status and without a body: 400, 414, 431. Here such a reply
//! gets the body that everything refused before its surface is known has, problem details.
//!
//! hyper has no place to say so, thus it is done where the reply is written. It is told from those of the service by what is
//! under way: nothing is, and all that was has been flushed.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::Code;

use crate::{
    fault::Fault,
    problem::{self, MEDIA_TYPE},
};

/// How every refusal of a client begins.
const BEGIN: &[u8] = b"HTTP/1.1 4";
/// What hyper's have in place of a body.
const NO_BODY: &str = "\r\ncontent-length: 0\r\n";

/// The calls of one connection: how many there were, and, by who else holds it, whether one is under way.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<AtomicU64>);

impl Calls {
    /// The same service with its calls counted.
    pub(super) fn count<S>(&self, service: S) -> Counted<S> {
        Counted {
            service,
            calls: self.clone(),
        }
    }

    fn begun(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A service whose calls are counted.
pub(super) struct Counted<S> {
    service: S,
    calls: Calls,
}

impl<S, B> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<UnderWay<B>>;
    type Error = S::Error;
    type Future = UnderWay<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.calls.0.fetch_add(1, Ordering::Relaxed);
        UnderWay {
            inner: self.service.call(request),
            calls: Some(self.calls.clone()),
        }
    }
}

pin_project_lite::pin_project! {
    /// A call, and then the body of its reply, that counts as under way until it is dropped.
    pub(super) struct UnderWay<T> {
        #[pin]
        inner: T,
        calls: Option<Calls>,
    }
}

impl<F, B, E> Future for UnderWay<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<UnderWay<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx));
        let calls = this.calls.take();
        Poll::Ready(response.map(|response| response.map(|inner| UnderWay { inner, calls })))
    }
}

impl<B: Body> Body for UnderWay<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A stream on which hyper's own refusals get a body.
pub(super) struct Refused<S> {
    stream: S,
    calls: Calls,
    /// How many holders the calls have while none is under way: this one and the service.
    idle: usize,
    /// The calls there had been when the last of their bytes was flushed.
    flushed: u64,
    /// What goes out in place of a refusal.
    refusal: Option<Bytes>,
}

impl<S> Refused<S> {
    /// To be made when the service is there that counts these calls.
    pub(super) fn new(stream: S, calls: Calls) -> Self {
        Self {
            stream,
            idle: Arc::strong_count(&calls.0),
            calls,
            flushed: 0,
            refusal: None,
        }
    }

    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.calls.0) == self.idle
    }

    /// Whether what is written now can be nobody's but hyper's.
    fn is_own(&self) -> bool {
        self.flushed == self.calls.begun() && self.is_idle()
    }
}

impl<S: AsyncWrite + Unpin> Refused<S> {
    /// Writes a refusal with its body; none where this is none.
    fn poll_refusal(
        &mut self,
        written: &[u8],
        cx: &mut Context<'_>,
    ) -> Option<Poll<io::Result<usize>>> {
        if self.refusal.is_none() && written.starts_with(BEGIN) {
            self.refusal = with_body(written);
        }
        let refusal = self.refusal.as_mut()?;
        while !refusal.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, refusal) {
                Poll::Ready(Ok(0)) => {
                    return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(count)) => refusal.advance(count),
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
        self.refusal = None;
        Some(Poll::Ready(Ok(written.len())))
    }
}

/// hyper's reply of this status with a body; none where the text is no such reply.
#[cold]
fn with_body(written: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(written).ok()?;
    let status: StatusCode = text.get("HTTP/1.1 ".len()..)?.get(..3)?.parse().ok()?;
    let is_refusal = text.ends_with("\r\n\r\n");
    let (before, after) = text.split_once(NO_BODY).filter(|_| is_refusal)?;
    let body = String::from_utf8(problem::print_unread(&fault(status))).ok()?;
    let length = body.len();
    let head = format!("{before}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {length}\r\n");
    Some(Bytes::from(head + after + &body))
}

fn fault(status: StatusCode) -> Fault {
    let (code, reason, message) = match status {
        StatusCode::URI_TOO_LONG => (
            Code::InvalidArgument,
            "INVALID_PATH",
            "the target of the request is too long",
        ),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
            Code::ResourceExhausted,
            "TOO_MANY_HEADERS",
            "the request has too many headers, or too long ones",
        ),
        _ => (
            Code::InvalidArgument,
            "INVALID_REQUEST",
            "this is no request of HTTP/1.1",
        ),
    };
    Fault::gateway(code, status, reason, message)
}

impl<S: AsyncRead + Unpin> AsyncRead for Refused<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Refused<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_own()
            && let Some(polled) = self.poll_refusal(buf, cx)
        {
            return polled;
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has written everything it had.
        if self.is_idle() {
            self.flushed = self.calls.begun();
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let ([only], true) = (bufs, self.is_own())
            && let Some(polled) = self.poll_refusal(only, cx)
        {
            return polled;
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
