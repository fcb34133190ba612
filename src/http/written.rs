//! Tells when an answer is on the wire: what a caller must see first, such as the first event after a subscription, waits
//! for it (reference upnp 4.2, "send after write completes").

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// A connection that counts what it writes.
pub struct Counted<S> {
    stream: S,
    writes: watch::Sender<u64>,
}

impl<S> Counted<S> {
    /// Wraps a connection; the second is for its requests.
    pub fn new(stream: S) -> (Counted<S>, Writes) {
        let (writes, _) = watch::channel(0);
        (Counted { stream, writes: writes.clone() }, Writes(writes))
    }

    fn note<T>(&self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(done, Poll::Ready(Ok(_))) {
            self.writes.send_modify(|count| *count = count.wrapping_add(1));
        }
        done
    }
}

/// What was written on one connection.
#[derive(Debug, Clone)]
pub struct Writes(watch::Sender<u64>);

impl Writes {
    /// Returns what waits for the next write.
    pub fn next(&self) -> Written {
        Written(self.0.subscribe())
    }
}

/// Waits for the answer of the request it came with. In each TCP request's extensions.
#[derive(Debug, Clone)]
pub struct Written(watch::Receiver<u64>);

impl Written {
    /// Waits until the answer, or its first part, was handed to the kernel.
    pub async fn wait(mut self) {
        // Ends too when the connection does.
        let _gone = self.0.changed().await;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.note(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn an_answer_is_waited_for_and_so_is_the_end() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        let (mut counted, writes) = Counted::new(theirs);
        counted.write_all(b"earlier").await.expect("written");
        let mut written = tokio::spawn(writes.next().wait());
        let soon = std::time::Duration::from_millis(10);
        assert!(tokio::time::timeout(soon, &mut written).await.is_err(), "nothing was written since");
        counted.write_all(b"answer").await.expect("written");
        written.await.expect("told");
        let mut got = [0; 13];
        ours.read_exact(&mut got).await.expect("read");
        assert_eq!(&got, b"earlieranswer");
        let waiting = tokio::spawn(writes.next().wait());
        drop((counted, writes));
        waiting.await.expect("the end is told as well");
    }
}
