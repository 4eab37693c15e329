//! The first bytes of a connection: until they tell which version of HTTP it speaks, nothing else watches the time.

use std::{
    io,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::timeout,
};

use super::heads::Reads;

/// How every HTTP/2 connection begins (RFC 9113, section 3.4). HTTP/1.1 is told by the first byte that differs, and
/// has a time limit of its own from there on.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// A stream whose first bytes were read to tell the version; they are read again. It counts what was read.
pub(super) struct Opened<S> {
    stream: S,
    first: [u8; PREFACE.len()],
    /// How many of `first` were read, and how many of these again.
    length: usize,
    again: usize,
    failed: Option<io::Error>,
    reads: Reads,
}

/// Reads until the version is clear, for which the client has `limit`.
pub(super) async fn open<S: AsyncRead + Unpin>(
    mut stream: S,
    limit: Duration,
    reads: Reads,
) -> io::Result<(Version, Opened<S>)> {
    let (mut first, mut length) = ([0; PREFACE.len()], 0);
    let told = async {
        loop {
            let room = first.get_mut(length..).unwrap_or_default();
            let count = stream.read(room).await?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            length += count;
            if first.get(..length) != PREFACE.get(..length) {
                return Ok(Version::Http1);
            }
            if length == PREFACE.len() {
                return Ok(Version::Http2);
            }
        }
    };
    let version = timeout(limit, told).await??;
    let opened = Opened {
        stream,
        first,
        length,
        again: 0,
        failed: None,
        reads,
    };
    Ok((version, opened))
}

impl<S: AsyncRead + Unpin> AsyncRead for Opened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(failed) = self.failed.take() {
            return Poll::Ready(Err(failed));
        }
        let before = buf.filled().len();
        let known = self.first.get(self.again..self.length).unwrap_or_default();
        let known = known.get(..buf.remaining()).unwrap_or(known);
        buf.put_slice(known);
        self.again += buf.filled().len() - before;
        let is_more = buf.filled().len() == before || buf.remaining() > 0;
        // What has come meanwhile goes with it: a reader that is given a little first makes its buffer twice as large.
        let polled = match is_more {
            true => Pin::new(&mut self.stream).poll_read(cx, buf),
            false => Poll::Ready(Ok(())),
        };
        if buf.filled().len() == before {
            return polled;
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        if let Poll::Ready(Err(failed)) = polled {
            self.failed = Some(failed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opened<S> {
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
