//! A file as the body of an upload: read ahead on a thread of its own, counted as it goes out.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::send::parcel::{Item, PART, Parcel};
use crate::send::progress::Progress;

/// The body.
pub struct FileBody {
    parts: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
    counted: Arc<Counted>,
}

/// What went out of one file.
pub struct Counted {
    progress: Arc<Progress>,
    desk: Mutex<Desk>,
}

struct Desk {
    bytes: u64,
    touched: Instant,
    /// Why the file could not be read on.
    broken: Option<String>,
}

impl Counted {
    fn new(progress: Arc<Progress>) -> Counted {
        Counted { progress, desk: Mutex::new(Desk { bytes: 0, touched: Instant::now(), broken: None }) }
    }

    /// Returns how many bytes went out.
    pub fn bytes(&self) -> u64 {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Returns why the file could not be read on, if so.
    pub fn broken(&self) -> Option<String> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).broken.clone()
    }

    /// Waits until nothing has gone out for so long.
    pub async fn stalled(&self, long: Duration) {
        loop {
            let idle = self.desk.lock().unwrap_or_else(PoisonError::into_inner).touched.elapsed();
            match long.checked_sub(idle) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => return,
            }
        }
    }

    fn moved(&self, bytes: u64) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        (desk.bytes, desk.touched) = (desk.bytes + bytes, Instant::now());
        drop(desk);
        self.progress.moved(bytes);
    }

    fn broke(&self, why: &io::Error) {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).broken = Some(why.to_string());
    }
}

/// Begins to read a file. The thread ends when nobody wants more.
pub fn body(parcel: Arc<Parcel>, item: Item, progress: Arc<Progress>) -> (FileBody, Arc<Counted>) {
    // What the network does not take waits here: 1 MiB. Full: the disk waits.
    let (into, parts) = mpsc::channel(AHEAD);
    let (counted, left) = (Arc::new(Counted::new(progress)), item.size);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read(&parcel, &item, &into) {
            // Nobody reads any more when the connection is gone.
            let _gone = into.blocking_send(Err(error));
        }
    });
    (FileBody { parts, left, counted: counted.clone() }, counted)
}

fn read(parcel: &Parcel, item: &Item, into: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let source = parcel.open(item).map_err(io::Error::other)?;
    let mut at = 0;
    while at < item.size {
        let most = usize::try_from(item.size - at).unwrap_or(PART).min(PART);
        let mut part = vec![0; most];
        let got = source.read_at(&mut part, at)?;
        if got == 0 {
            return Err(io::Error::other("the file became shorter while it was read"));
        }
        part.truncate(got);
        at += got as u64;
        if into.blocking_send(Ok(part.into())).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let ended = || Err(io::Error::other("the file could not be read to its end"));
        let part = ready!(self.parts.poll_recv(context)).unwrap_or_else(ended);
        match &part {
            Ok(bytes) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                self.counted.moved(bytes.len() as u64);
            }
            Err(error) => self.counted.broke(error),
        }
        Poll::Ready(Some(part.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Parts that are read ahead.
const AHEAD: usize = 4;
