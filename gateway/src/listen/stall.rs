//! Clients that ask and then do not take the answer.
//!
//! Two things are watched. A write that makes no progress: the client reads nothing at all (`Writes`). And a reply's body
//! that has more to give while nobody fetches it: an HTTP/2 client that answers every ping and never opens its window
//! (`Replies`). A body that waits for its service has no time limit here; the service has. Whoever looks at every reply over
//! HTTP/2 also keeps the bodies of those to HEAD back, which hyper does over HTTP/1.1 only.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep},
};

/// A stream whose writes fail when they make no progress for `limit`. It holds the connection's slot: what is no longer HTTP
/// is a connection all the same.
pub(super) struct Writes<S> {
    stream: S,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    // Fields are dropped in order: the slot is free when the stream is closed.
    _slot: OwnedSemaphorePermit,
}

impl<S> Writes<S> {
    pub(super) fn new(stream: S, limit: Duration, slot: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            limit,
            timer: None,
            _slot: slot,
        }
    }

    /// Starts the time with the first write that has to wait, and forgets it with the first that has not.
    fn timed<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.timer = None;
            return polled;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(self.limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Writes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Writes<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.timed(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.timed(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.timed(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.timed(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The replies of one connection that are being written.
#[derive(Clone)]
pub(super) struct Replies {
    began: Instant,
    /// When each body gave its last piece.
    fetched: Arc<Mutex<Vec<Weak<AtomicU64>>>>,
}

/// In place of an instant: the body waits for its service, not for the client.
const WAITING: u64 = u64::MAX;

impl Replies {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            fetched: Arc::default(),
        }
    }

    /// The same service with its replies watched, and without bodies where HEAD asked for them.
    pub(super) fn watch<S>(&self, service: S) -> Watched<S> {
        Watched {
            service,
            replies: self.clone(),
        }
    }

    /// Ends when a body has not been fetched for `limit`, at most a quarter of it late.
    pub(super) async fn stalled(&self, limit: Duration) {
        let limit_ms = millis(limit);
        loop {
            sleep(limit / 4).await;
            let now_ms = self.now_ms();
            let is_late = |since: &Weak<AtomicU64>| {
                let since = since
                    .upgrade()
                    .map_or(WAITING, |s| s.load(Ordering::Relaxed));
                since != WAITING && since.saturating_add(limit_ms) < now_ms
            };
            let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
            fetched.retain(|since| since.strong_count() > 0);
            if fetched.iter().any(is_late) {
                return;
            }
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn body<B>(&self, body: B) -> WatchedBody<B> {
        let since = Arc::new(AtomicU64::new(self.now_ms()));
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched.len() == fetched.capacity() {
            fetched.retain(|since| since.strong_count() > 0);
        }
        fetched.push(Arc::downgrade(&since));
        drop(fetched);
        WatchedBody {
            body,
            watch: Some((since, self.clone())),
            last_byte: None,
            is_head: false,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(WAITING - 1)
}

/// A service whose replies are watched.
pub(super) struct Watched<S> {
    service: S,
    replies: Replies,
}

impl<S, B> Service<Request<Incoming>> for Watched<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    type Response = Response<WatchedBody<B>>;
    type Error = S::Error;
    type Future = Watching<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Watching {
            is_head: *request.method() == Method::HEAD,
            future: self.service.call(request),
            replies: self.replies.clone(),
        }
    }
}

pin_project_lite::pin_project! {
    /// A call of a watched service.
    pub(super) struct Watching<F> {
        #[pin]
        future: F,
        replies: Replies,
        is_head: bool,
    }
}

impl<F, B, E> Future for Watching<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<WatchedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx));
        Poll::Ready(response.map(|mut response| {
            if *this.is_head {
                tell_length(&mut response);
            }
            response.map(|body| match body.is_end_stream() || *this.is_head {
                false => this.replies.body(body),
                true => WatchedBody {
                    body,
                    watch: None,
                    last_byte: None,
                    is_head: *this.is_head,
                },
            })
        }))
    }
}

/// The length that hyper would tell GET (RFC 9110, section 9.3.2).
fn tell_length<B: Body>(response: &mut Response<B>) {
    let body = response.body();
    let length = body.size_hint().exact().filter(|_| !body.is_end_stream());
    if let Some(length) = length {
        let headers = response.headers_mut();
        headers
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
}

pin_project_lite::pin_project! {
    /// A body that notes when it is fetched, and gives the last byte of each piece by itself: hyper asks for the next
    /// piece as soon as one byte of a piece fits the client's window, and the rest would wait where nobody watches it.
    pub(super) struct WatchedBody<B> {
        #[pin]
        body: B,
        watch: Option<(Arc<AtomicU64>, Replies)>,
        last_byte: Option<Bytes>,
        // It has ended before its first piece.
        is_head: bool,
    }
}

impl<B: Body<Data = Bytes>> Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let Some((since, replies)) = this.watch else {
            return this.body.poll_frame(cx);
        };
        let polled = match this.last_byte.take() {
            Some(byte) => Poll::Ready(Some(Ok(Frame::data(byte)))),
            None => this.body.poll_frame(cx),
        };
        let at = match polled {
            Poll::Pending => WAITING,
            Poll::Ready(_) => replies.now_ms(),
        };
        since.store(at, Ordering::Relaxed);
        polled.map_ok(|frame| {
            frame.map_data(|mut data| {
                if data.len() > 1 {
                    *this.last_byte = Some(data.split_off(data.len() - 1));
                }
                data
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_head || self.last_byte.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let held = self.last_byte.as_ref().map_or(0, Bytes::len) as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + held);
        }
        hint.set_lower(hint.lower() + held);
        hint
    }
}
