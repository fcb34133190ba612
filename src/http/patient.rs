//! A connection whose other end may take its time. Renderers pause by not reading for minutes (DLNA: connection stalling,
//! reference upnp 6.1); one that never reads again is let go, with what it held.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A connection that breaks off once nothing could be written for a long time.
pub struct Patient<S> {
    stream: S,
    longest: Duration,
    /// Runs while the other end takes nothing.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// Wraps a connection.
    pub fn new(stream: S) -> Patient<S> {
        Patient { stream, longest: STALLED_FOR, patience: None }
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.patience = None;
            return done;
        }
        let longest = self.longest;
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        match patience.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(context, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Some renderers pause for a quarter of an hour without reading.
const STALLED_FOR: Duration = Duration::from_secs(20 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn who_never_reads_is_let_go_and_who_reads_is_waited_for_again() {
        let (mut theirs, ours) = tokio::io::duplex(4);
        let longest = Duration::from_millis(50);
        let mut ours = Patient { longest, ..Patient::new(ours) };
        let begun = std::time::Instant::now();
        ours.write_all(b"0123").await.expect("there is room");
        let mut got = [0; 4];
        let (written, read) = tokio::join!(ours.write_all(b"4567"), theirs.read_exact(&mut got));
        written.expect("somebody reads");
        read.expect("written");
        assert_eq!((&got, ours.patience.is_none()), (b"0123", true));
        let error = ours.write_all(b"more").await.expect_err("nobody reads any more");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= longest && STALLED_FOR >= Duration::from_secs(15 * 60));
    }
}
