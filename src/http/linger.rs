//! The end of a connection. Who still sends when the answer is there (a refusal is said as soon as it is known) is read on and
//! forgotten for a while: bytes that nobody reads make the kernel reset the connection, and with it goes the answer that
//! its sender has not read yet (RFC 9112, 9.6, closing in stages; RFC 1122, 4.2.2.13).

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a sender is read on.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// While nothing comes.
    silent: Duration,
    /// In all.
    longest: Duration,
}

/// Ends what we say; where somebody still sends, reads on until it ends, too: at most 512 MiB, for 30 s, while something
/// comes every 5 s, and not behind the stop.
pub async fn linger<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    still_sends: bool,
    stop: &CancellationToken,
) {
    linger_for(stream, still_sends, stop, Patience { silent: SILENT_FOR, longest: LONGEST }).await;
}

async fn linger_for<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    still_sends: bool,
    stop: &CancellationToken,
    patience: Patience,
) {
    // A broken one needs no end.
    let said = timeout(SAID_WITHIN, stream.shutdown()).await;
    if !still_sends || !matches!(said, Ok(Ok(()))) {
        return;
    }
    let read_on = async {
        let (mut block, mut left) = (vec![0; BLOCK], MOST);
        while left > 0 {
            match timeout(patience.silent, stream.read(&mut block)).await {
                Ok(Ok(count @ 1..)) => left = left.saturating_sub(count),
                _ => return,
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        _ended_or_not = timeout(patience.longest, read_on) => {}
    }
}

/// The end of a TLS connection is a message of its own.
const SAID_WITHIN: Duration = Duration::from_millis(500);
const SILENT_FOR: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(30);
const MOST: usize = 512 << 20;
const BLOCK: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_still_sends_reads_the_answer_and_the_end() {
        let (mut theirs, mut ours) = tokio::io::duplex(1000);
        let lingers = tokio::spawn(async move {
            ours.write_all(b"the answer").await.expect("there is room");
            linger(ours, true, &CancellationToken::new()).await;
        });
        theirs.write_all(&[1; 100_000]).await.expect("all of it is read");
        let mut heard = String::new();
        theirs.read_to_string(&mut heard).await.expect("read");
        assert_eq!(heard, "the answer");
        assert!(!lingers.is_finished(), "the sender may still send");
        drop(theirs);
        lingers.await.expect("in order");
    }

    #[tokio::test]
    async fn who_sends_nothing_more_and_the_stop_end_it_at_once() {
        for (still_sends, stopped) in [(false, false), (true, true)] {
            let (theirs, ours) = tokio::io::duplex(1000);
            let stop = CancellationToken::new();
            if stopped {
                stop.cancel();
            }
            timeout(Duration::from_secs(60), linger(ours, still_sends, &stop)).await.expect("it ends");
            drop(theirs);
        }
    }

    #[tokio::test]
    async fn who_trickles_or_is_silent_is_not_waited_for_long() {
        let (short, long) = (Duration::from_millis(50), Duration::from_secs(3600));
        let (silent, ours) = tokio::io::duplex(1000);
        let begun = tokio::time::Instant::now();
        let patience = Patience { silent: short, longest: long };
        linger_for(ours, true, &CancellationToken::new(), patience).await;
        assert!(begun.elapsed() >= short);
        drop(silent);
        let (mut trickles, ours) = tokio::io::duplex(1000);
        let trickling = tokio::spawn(async move {
            while trickles.write_all(b"x").await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        let begun = tokio::time::Instant::now();
        let patience = Patience { silent: long, longest: short };
        linger_for(ours, true, &CancellationToken::new(), patience).await;
        assert!(begun.elapsed() >= short);
        trickling.await.expect("it hears that nobody reads any more");
        assert!(SILENT_FOR < LONGEST && LONGEST <= Duration::from_secs(30));
    }
}
