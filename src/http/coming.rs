//! The body of a request on its way in, read with patience that ends: somebody who sends nothing, or next to nothing, holds
//! no place (reference beam, complaint "chunk stall"; upnp 6.1, slow senders).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as HttpBody;
use tokio::time::{Instant, Sleep};

use crate::error::{Error, Kind, Result};

/// The body of a request.
#[derive(Debug)]
pub struct Coming {
    body: Body,
    /// How long nothing may come.
    longest: Duration,
    /// The sender waits for a word before it sends anything, and has not heard it yet.
    holds: bool,
    /// When the last bytes came.
    last: Instant,
    /// Runs while nothing comes; set anew only when it rings, not for every few bytes.
    bell: Option<Pin<Box<Sleep>>>,
    /// Since when a share is counted, and its bytes.
    since: Instant,
    came: usize,
}

impl Coming {
    /// Begins to read.
    pub fn new(body: Body) -> Coming {
        let now = Instant::now();
        Coming { body, longest: STALLED_FOR, holds: false, last: now, bell: None, since: now, came: 0 }
    }

    /// Looks whether the sender holds its body back until it is asked for (RFC 9110, 10.1.1, `Expect: 100-continue`): reading
    /// is asking.
    pub fn expected(mut self, headers: &HeaderMap) -> Coming {
        let expects = headers.get(header::EXPECT).and_then(|value| value.to_str().ok());
        self.holds = expects.is_some_and(|expects| expects.eq_ignore_ascii_case("100-continue"));
        self
    }

    /// Returns the next bytes; `None` at the end.
    ///
    /// # Errors
    /// `Unreachable` when the sender breaks off, when nothing comes for 45 s, or less than half a kilobyte a second for a
    /// minute.
    /// # Cancel
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        // The time in which the one who takes the bytes was busy is not the sender's.
        self.last = Instant::now();
        self.holds = false;
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                return self.wait(context).map(Err);
            };
            let bytes = match frame {
                None => return Poll::Ready(Ok(None)),
                Some(Ok(frame)) => frame.into_data(),
                Some(Err(error)) => {
                    return Poll::Ready(Err(Error::with(Kind::Unreachable, "the sender broke off", error)));
                }
            };
            // Trailers say nothing here.
            let Ok(bytes) = bytes else { continue };
            let counted = self.count(bytes.len(), Instant::now());
            return Poll::Ready(counted.map(|()| Some(bytes)));
        }
    }

    /// Waits until nothing has come for too long.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let over = self.last + self.longest;
        let bell = self.bell.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(over)));
        loop {
            ready!(bell.as_mut().poll(context));
            if Instant::now() >= over {
                return Poll::Ready(Error::new(Kind::Unreachable, "nothing came for a while"));
            }
            bell.as_mut().reset(over);
        }
    }

    fn count(&mut self, bytes: usize, now: Instant) -> Result<()> {
        self.came += bytes;
        if now.saturating_duration_since(self.since) >= SHARE {
            if self.came < LEAST {
                return Err(Error::new(Kind::Unreachable, "it comes too slowly"));
            }
            (self.since, self.came) = (now, 0);
        }
        Ok(())
    }

    /// Reads on without keeping anything: a little that is left does not cost the connection. Of much nothing is waited for,
    /// for its sender hears the answer while it sends (`http::linger`); and nothing is read of one that holds it back.
    pub async fn drain(&mut self) {
        if self.holds {
            return;
        }
        let all = async {
            let mut left = DRAINED;
            while let Ok(Some(bytes)) = self.next().await {
                left = left.saturating_sub(bytes.len());
                if left == 0 {
                    return;
                }
            }
        };
        let _not_for_long = tokio::time::timeout(DRAINED_FOR, all).await;
    }
}

/// A body of which nothing came for so long is over (reference beam, complaint "phone sleeps": 45 s).
const STALLED_FOR: Duration = Duration::from_secs(45);
/// In each share of time so much must come: half a kilobyte a second, below any radio that works.
const SHARE: Duration = Duration::from_secs(60);
const LEAST: usize = 32 << 10;
/// What is read of a body that nobody wants.
const DRAINED: usize = 128 << 10;
const DRAINED_FOR: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use futures_util::stream;

    #[test]
    fn who_sends_next_to_nothing_is_let_go() {
        let mut coming = Coming::new(Body::empty());
        let begun = coming.since;
        let at = |seconds| begun + Duration::from_secs(seconds);
        for second in 0..60 {
            coming.count(LEAST / 60 + 1, at(second)).expect("fast enough");
        }
        coming.count(1, at(60)).expect("fast enough");
        for second in 61..120 {
            coming.count(1, at(second)).expect("not looked at yet");
        }
        assert_eq!(coming.count(1, at(121)).expect_err("too slow").kind(), Kind::Unreachable);
    }

    #[tokio::test]
    async fn whoever_holds_its_body_back_is_not_asked_for_what_nobody_wants() {
        let mut headers = HeaderMap::new();
        for (expects, left) in [(None, 0), (Some("100-Continue"), 1)] {
            expects.map(|expects| headers.insert(header::EXPECT, expects.parse().expect("a value")));
            let body = Body::from_stream(stream::iter([Ok::<_, std::io::Error>(vec![1; 5])]));
            let mut coming = Coming::new(body).expected(&headers);
            coming.drain().await;
            let count = usize::from(coming.next().await.expect("it comes").is_some());
            assert_eq!(count, left, "{expects:?}");
        }
    }

    #[tokio::test]
    async fn who_sends_nothing_is_waited_for_so_long_and_who_goes_on_again() {
        let longest = Duration::from_millis(400);
        let each = stream::iter(0..3).then(|number| async move {
            tokio::time::sleep(Duration::from_millis(number)).await;
            Ok::<_, std::io::Error>(vec![1; 64 << 10])
        });
        let body = Body::from_stream(each.chain(stream::pending()));
        let mut coming = Coming { longest, ..Coming::new(body) };
        for _ in 0..3 {
            assert_eq!(coming.next().await.expect("it comes").map(|bytes| bytes.len()), Some(64 << 10));
            // Whoever takes it may take its time.
            tokio::time::sleep(longest + Duration::from_millis(100)).await;
        }
        let begun = Instant::now();
        assert_eq!(coming.next().await.expect_err("nothing comes").kind(), Kind::Unreachable);
        assert!(begun.elapsed() >= longest && STALLED_FOR >= Duration::from_secs(45));
        let broken = Body::from_stream(stream::iter([Ok(vec![1; 5]), Err("cut")]));
        let mut coming = Coming::new(broken);
        assert_eq!(coming.next().await.expect("it comes").map(|bytes| bytes.len()), Some(5));
        assert_eq!(coming.next().await.expect_err("it broke off").kind(), Kind::Unreachable);
    }
}
