//! The first line of an answer as SHOUTcast servers write it: `ICY 200 OK` is shown as `HTTP/1.0 200 OK`, everything else
//! passes as it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose answer may begin with `ICY`.
pub struct FirstLine<T> {
    stream: T,
    /// What is held back until it is known; `None` once everything passes.
    held: Option<Vec<u8>>,
    /// What is to be shown before the rest.
    shown: Vec<u8>,
}

impl<T> FirstLine<T> {
    /// Wraps a connection on which nothing was read yet.
    pub fn new(stream: T) -> FirstLine<T> {
        FirstLine { stream, held: Some(Vec::new()), shown: Vec::new() }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for FirstLine<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while let Some(held) = &mut this.held {
            let mut few = [0; ICY.len()];
            let mut part = ReadBuf::new(&mut few[..ICY.len() - held.len()]);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
            let fresh = part.filled();
            held.extend_from_slice(fresh);
            let other = fresh.is_empty() || !ICY.starts_with(held);
            if other || held.len() == ICY.len() {
                this.shown = if other { std::mem::take(held) } else { PLAIN.to_vec() };
                this.held = None;
            }
        }
        if this.shown.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, into);
        }
        let count = this.shown.len().min(into.remaining());
        into.put_slice(&this.shown[..count]);
        this.shown.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FirstLine<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What SHOUTcast 1 begins its answer with.
const ICY: &[u8; 4] = b"ICY ";
/// What it means.
const PLAIN: &[u8] = b"HTTP/1.0 ";

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    async fn shown(pieces: &[&[u8]]) -> Vec<u8> {
        let pieces = Pieces(pieces.iter().map(|piece| piece.to_vec()).collect());
        let mut all = Vec::new();
        FirstLine::new(pieces).read_to_end(&mut all).await.expect("memory");
        all
    }

    /// Gives one piece a read.
    struct Pieces(std::collections::VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if let Some(mut piece) = self.0.pop_front() {
                let rest = piece.split_off(piece.len().min(into.remaining()));
                into.put_slice(&piece);
                if !rest.is_empty() {
                    self.0.push_front(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn only_the_word_of_shoutcast_is_shown_anew() {
        assert_eq!(shown(&[b"ICY 200 OK\r\n", b"\r\n"]).await, b"HTTP/1.0 200 OK\r\n\r\n");
        assert_eq!(shown(&[b"I", b"C", b"Y 2", b"00"]).await, b"HTTP/1.0 200");
        assert_eq!(shown(&[b"HTTP/1.1 200 OK"]).await, b"HTTP/1.1 200 OK");
        assert_eq!(shown(&[b"IC", b"E"]).await, b"ICE");
        assert_eq!(shown(&[b"I"]).await, b"I");
        assert_eq!(shown(&[]).await, b"");
    }
}
