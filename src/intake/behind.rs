//! Long work on files that came: reading, summing, unpacking. It is done on threads of its own, behind the sound: a thread that
//! was put behind stays there (nice(2) needs a right to go back), so it is none of the runtime's.

use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};
use crate::library::idle;

/// Begins work on a thread of its own. What it returns comes out of the receiver; nothing comes when the work panicked. The
/// caller waits for it, or the work ends by itself at the stop; so there are as many threads as files that are looked at.
pub fn begin<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> oneshot::Receiver<Result<T>> {
    let (reply, answer) = oneshot::channel();
    let (failed, failure) = oneshot::channel();
    let run = move || {
        idle::behind_the_sound();
        // Nobody may be waiting any more.
        let _gone = reply.send(work());
    };
    match std::thread::Builder::new().name("intake".into()).spawn(run) {
        Ok(_ends_by_itself) => answer,
        Err(error) => {
            let _kept = failed.send(Err(Error::with(Kind::Internal, "start a thread for a file", error)));
            failure
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of this thread (proc(5), stat, field 19).
    fn niceness() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        fields.split(' ').nth(16).and_then(|nice| nice.parse().ok()).expect("a number")
    }

    #[tokio::test]
    async fn it_is_done_behind_others_and_a_panic_is_told() {
        let own = niceness();
        let there = begin(|| Ok(niceness())).await.expect("answered").expect("done");
        assert_eq!((there, niceness()), ((own + 5).min(19), own));
        begin(|| -> Result<()> { panic!("as a reader may") }).await.expect_err("nothing came");
    }
}
