//! Asks rtkit for real-time priority for the threads that empty the ring, so that a busy machine is not heard. Where it is
//! refused, or where there is no rtkit, the sound runs all the same; that is noticed in the log, once.
//!
//! A thread of its own asks and ends: neither the player nor the callback waits for the bus.
//!
//! Rule: rtkit 0.13, `org.freedesktop.RealtimeKit1`: the caller limits RLIMIT_RTTIME to at most RTTimeUSecMax before.

use std::fs;
use std::sync::Once;
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use zbus::{Connection, Proxy};

/// Asks for the threads of the stream that was just opened, without waiting. The calling thread fills the ring: it is put
/// before ordinary ones, but never runs in real time, for it decodes.
pub fn ask() {
    let filler = nix::unistd::gettid().as_raw();
    let thread = std::thread::Builder::new().name("konpo-priority".into());
    let asked = thread.spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return notice(&error.to_string()),
        };
        let asking = async {
            let bus = Connection::system().await?;
            raise(&bus, &callbacks(filler), u64::from(filler.unsigned_abs())).await
        };
        // The clock of the time-out belongs to the runtime.
        match runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await }) {
            Ok(Ok(level)) => tracing::debug!(level, "the sound runs in real time"),
            Ok(Err(error)) => notice(&error.to_string()),
            Err(_late) => notice("rtkit does not answer"),
        }
    });
    if let Err(error) = asked {
        notice(&error.to_string());
    }
}

fn notice(why: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::info!(why, "the sound has no real-time priority"));
}

/// Returns the threads that empty the ring. Every thread of konpo has a name; cpal names ALSA's.
fn callbacks(filler: i32) -> Vec<u64> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let all = tasks.flatten().filter_map(|task| {
        let id = task.file_name().to_str()?.parse().ok()?;
        Some((id, fs::read_to_string(task.path().join("comm")).ok()?))
    });
    select(all, filler)
}

fn select(tasks: impl Iterator<Item = (i32, String)>, filler: i32) -> Vec<u64> {
    let theirs = |(id, name): &(i32, String)| *id != filler && NAMES.contains(&name.trim());
    tasks.filter(theirs).map(|(id, _)| u64::from(id.unsigned_abs())).collect()
}

/// Asks on this bus; returns the level that the callbacks got.
async fn raise(bus: &Connection, callbacks: &[u64], filler: u64) -> zbus::Result<u32> {
    let rtkit = Proxy::new(bus, NAME, PATH, NAME).await?;
    let most: i32 = rtkit.get_property("MaxRealtimePriority").await?;
    let micros: i64 = rtkit.get_property("RTTimeUSecMax").await?;
    let micros = u64::try_from(micros).unwrap_or(0);
    // A callback needs well under a millisecond; one that runs away is ended by the kernel before it stops the machine.
    setrlimit(Resource::RLIMIT_RTTIME, micros, micros).map_err(|e| zbus::Error::Failure(e.to_string()))?;
    let level = u32::try_from(most).unwrap_or(0).min(LEVEL);
    for id in callbacks {
        rtkit.call::<_, _, ()>("MakeThreadRealtime", &(*id, level)).await?;
    }
    rtkit.call::<_, _, ()>("MakeThreadHighPriority", &(filler, NICE)).await?;
    Ok(level)
}

const NAME: &str = "org.freedesktop.RealtimeKit1";
const PATH: &str = "/org/freedesktop/RealtimeKit1";
/// cpal's for ALSA, and that of `pulse::pump`. The kernel cuts names at 15 bytes: both are shorter.
const NAMES: [&str; 2] = ["cpal_alsa_out", "konpo-pulse"];
/// Above ordinary programs, below a sound server.
const LEVEL: u32 = 5;
const NICE: i32 = -11;
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// What rtkit was asked.
    struct Kit(Arc<Mutex<Vec<String>>>);

    #[zbus::interface(name = "org.freedesktop.RealtimeKit1")]
    impl Kit {
        #[zbus(property)]
        fn max_realtime_priority(&self) -> i32 {
            20
        }
        #[zbus(property, name = "RTTimeUSecMax")]
        fn rttime_usec_max(&self) -> i64 {
            200_000
        }
        fn make_thread_realtime(&self, thread: u64, priority: u32) -> zbus::fdo::Result<()> {
            self.0.lock().expect("plain data").push(format!("realtime {thread} {priority}"));
            if thread == 13 { Err(zbus::fdo::Error::AccessDenied("no".into())) } else { Ok(()) }
        }
        fn make_thread_high_priority(&self, thread: u64, priority: i32) {
            self.0.lock().expect("plain data").push(format!("high {thread} {priority}"));
        }
    }

    async fn asked(callbacks: &[u64]) -> (zbus::Result<u32>, Vec<String>) {
        let (ours, theirs) = tokio::net::UnixStream::pair().expect("a pair");
        let said = Arc::new(Mutex::new(Vec::new()));
        let guid = zbus::Guid::generate();
        let kit = zbus::connection::Builder::unix_stream(theirs).server(guid).expect("a guid").p2p();
        let kit = kit.serve_at(PATH, Kit(Arc::clone(&said))).expect("a path").build();
        let bus = zbus::connection::Builder::unix_stream(ours).p2p().build();
        let (_kit, bus) = tokio::try_join!(kit, bus).expect("they meet");
        let raised = raise(&bus, callbacks, 7).await;
        let said = said.lock().expect("plain data").clone();
        (raised, said)
    }

    #[tokio::test]
    async fn callbacks_become_real_time_and_the_filler_goes_before_others() {
        let (raised, said) = asked(&[11, 12]).await;
        assert_eq!(raised.ok(), Some(5));
        assert_eq!(said, ["realtime 11 5", "realtime 12 5", "high 7 -11"]);
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let (raised, said) = asked(&[13]).await;
        assert!(raised.is_err());
        assert_eq!(said, ["realtime 13 5"]);
    }

    #[test]
    fn only_the_threads_of_the_stream_are_chosen() {
        let named = |id, name: &str| (id, format!("{name}\n"));
        let tasks = [
            named(1, "konpo"),
            named(7, "konpo-player"),
            named(8, "konpo-pulse"),
            named(9, "konpo-ahead"),
            named(10, "cpal_alsa_out"),
        ];
        assert_eq!(select(tasks.into_iter(), 7), [8, 10]);
    }
}
