//! The first bytes of a connection: until they tell which version of HTTP it speaks, nothing else watches the time.

use std::{
    io,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::heads::Reads;

/// How every HTTP/2 connection begins (RFC 9113, section 3.4). HTTP/1.1 is told by the first byte that differs, and
/// has a time limit of its own from there on.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose client has `limit` to show which version it speaks; reading fails after that. It counts what was read.
pub(super) struct Opening<S> {
    stream: S,
    timer: Option<Pin<Box<Sleep>>>,
    matched: usize,
    reads: Reads,
}

impl<S> Opening<S> {
    pub(super) fn new(stream: S, limit: Duration, reads: Reads) -> Self {
        Self {
            stream,
            timer: Some(Box::pin(sleep(limit))),
            matched: 0,
            reads,
        }
    }

    fn look_at(&mut self, read: &[u8]) {
        let expected = PREFACE.get(self.matched..).unwrap_or_default();
        let is_open = read.len() < expected.len() && expected.starts_with(read);
        self.matched += read.len();
        if !is_open {
            self.timer = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
        let Some(timer) = &mut self.timer else {
            return polled;
        };
        if polled.is_pending() {
            return timer
                .as_mut()
                .poll(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        self.look_at(buf.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
