//! The page announced by name, as `_http._tcp` under a host label of our own: through Avahi while it is on the system bus,
//! else by our own responder; looked at again whenever either or an address changes. Runs as one task.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mdns_sd::{DaemonEvent, Receiver, ServiceInfo};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::lan::avahi::{self, Avahi, News};
use crate::lan::interfaces::Interface;
use crate::lan::mdns::{GOODBYE, KONPO, Responder, SERVICE};

/// What is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The name of the box, shown as it is.
    pub instance: String,
    /// Our own host label, never the machine's.
    pub label: String,
    /// The port of the page.
    pub port: u16,
}

impl Announcement {
    /// Returns what is announced of a page at this port under this name.
    fn of(name: &str, port: u16) -> Announcement {
        Announcement { instance: name.to_owned(), label: label_of(name), port }
    }

    /// Returns what is announced when others have our name already: the second one is 2.
    fn namesake(&self, number: u32) -> Announcement {
        if number < 2 {
            return self.clone();
        }
        let (instance, label) = (format!("{} ({number})", self.instance), format!("{}-{number}", self.label));
        Announcement { instance, label, port: self.port }
    }
}

/// Returns the host label of a name: its ASCII letters and digits, lower case, else `konpo`.
pub fn label_of(name: &str) -> String {
    let spaced: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let label: Vec<&str> = spaced.split('-').filter(|part| !part.is_empty()).collect();
    let label: String = label.join("-").chars().take(LONGEST_LABEL).collect();
    let label = label.trim_end_matches('-').to_owned();
    if label.is_empty() { "konpo".into() } else { label }
}

/// Announces the page at this port until the stop token falls, then says goodbye. `labels` tells under which host labels the box is known.
pub async fn run(
    mut names: watch::Receiver<Arc<str>>,
    port: u16,
    mut interfaces: watch::Receiver<Vec<Interface>>,
    labels: watch::Sender<Vec<String>>,
    stop: CancellationToken,
) {
    let here = interfaces.borrow_and_update().clone();
    let started = Responder::start(&here).and_then(|r| Ok((r.daemon.monitor()?, r)));
    let (monitor, responder) = match started {
        Ok(started) => started,
        Err(error) => {
            warn!(%error, "our name cannot be announced");
            return;
        }
    };
    let avahi = Avahi::connect().await;
    let announcement = Announcement::of(&names.borrow_and_update(), port);
    let mut publisher = Publisher {
        announcement,
        here,
        responder,
        avahi,
        labels,
        number: 1,
        by: By::Nobody,
        retry_at: Instant::now(),
    };
    publisher.follow((&mut names, &mut interfaces), &monitor, &stop).await;
    publisher.withdraw().await;
    publisher.responder.end().await;
}

struct Publisher {
    announcement: Announcement,
    here: Vec<Interface>,
    responder: Responder,
    avahi: Option<Avahi>,
    labels: watch::Sender<Vec<String>>,
    /// 1 unless somebody has our name.
    number: u32,
    by: By,
    /// When a publication that did not succeed, or a bus that was not there, is tried again.
    retry_at: Instant,
}

/// Who announces us.
#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    Nobody,
    Avahi,
    /// The full name that was registered.
    Responder(String),
}

impl Publisher {
    async fn follow(
        &mut self,
        (names, interfaces): (&mut watch::Receiver<Arc<str>>, &mut watch::Receiver<Vec<Interface>>),
        monitor: &Receiver<DaemonEvent>,
        stop: &CancellationToken,
    ) {
        let mut renew = true;
        loop {
            if std::mem::take(&mut renew) {
                self.publish().await;
            }
            let waits = self.by == By::Nobody && !self.here.is_empty() || self.avahi.is_none();
            tokio::select! {
                () = stop.cancelled() => return,
                changed = interfaces.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.here = interfaces.borrow_and_update().clone();
                    self.responder.follow(&self.here);
                    renew = true;
                }
                // A sender that is gone renames nobody.
                Ok(()) = names.changed() => {
                    self.withdraw().await;
                    let name = names.borrow_and_update().clone();
                    (self.announcement, self.number) = (Announcement::of(&name, self.announcement.port), 1);
                    renew = true;
                }
                news = avahi::news(&mut self.avahi) => renew = self.heed(news),
                event = monitor.recv_async() => match event {
                    Ok(event) => self.note(event),
                    Err(_) => return,
                },
                () = self.responder.calm() => {}
                () = tokio::time::sleep_until(self.retry_at.into()), if waits => {
                    self.retry_at = Instant::now() + RETRY;
                    renew = self.by == By::Nobody;
                    if self.avahi.is_none() {
                        self.avahi = Avahi::connect().await;
                        renew |= self.avahi.is_some();
                    }
                }
            }
        }
    }

    /// Announces what is true now, by whoever is there.
    async fn publish(&mut self) {
        if self.here.is_empty() {
            return self.withdraw().await;
        }
        let there = match &self.avahi {
            Some(avahi) => soon(avahi.is_there()).await.unwrap_or(false),
            None => false,
        };
        if there {
            self.by_avahi().await;
        } else {
            self.by_responder();
        }
        if self.by == By::Nobody {
            self.retry_at = Instant::now() + RETRY;
        }
    }

    async fn by_avahi(&mut self) {
        if self.by != By::Avahi {
            info!("our name is announced through Avahi");
            self.withdraw().await;
        }
        self.by = By::Nobody;
        let Some(avahi) = &mut self.avahi else { return };
        while self.number <= MOST_NAMESAKES {
            match soon(avahi.publish(&self.announcement.namesake(self.number), &self.here)).await {
                Some(Ok(())) => {
                    self.by = By::Avahi;
                    return;
                }
                Some(Err(error)) if avahi::is_taken(&error) => self.number += 1,
                Some(Err(error)) => {
                    warn!(%error, "Avahi does not publish our name");
                    return;
                }
                None => {
                    warn!("Avahi does not answer: the bus is left, so that it drops what it has of us");
                    self.avahi = None;
                    return;
                }
            }
        }
        warn!(label = self.announcement.label, "too many have our name");
    }

    fn by_responder(&mut self) {
        if !matches!(self.by, By::Responder(_)) {
            info!("our name is announced by konpo itself");
        }
        let Announcement { instance, label, port } = self.announcement.namesake(self.number);
        let host = format!("{label}.local.");
        let info = ServiceInfo::new(SERVICE, &instance, &host, NO_ADDRESSES, port, &TXT[..]);
        // The responder adds and removes addresses as it finds them.
        let registered = info.map(ServiceInfo::enable_addr_auto).and_then(|info| {
            let full = info.get_fullname().to_owned();
            self.responder.daemon.register(info).map(|()| full)
        });
        self.by = match registered {
            Ok(full) => By::Responder(full),
            Err(error) => {
                warn!(%error, "our name is not announced");
                By::Nobody
            }
        };
        self.known_as(label);
    }

    async fn withdraw(&mut self) {
        match std::mem::replace(&mut self.by, By::Nobody) {
            By::Nobody => {}
            By::Avahi => {
                if let Some(avahi) = &mut self.avahi {
                    // One that does not answer drops it when we leave the bus.
                    let _silent = soon(avahi.withdraw()).await;
                }
            }
            By::Responder(full) => {
                if let Ok(done) = self.responder.daemon.unregister(&full) {
                    let _late = tokio::time::timeout(GOODBYE, done.recv_async()).await;
                }
            }
        }
    }

    /// Takes news of Avahi. Returns whether to publish again.
    fn heed(&mut self, news: News) -> bool {
        match news {
            News::Daemon => return true,
            News::Established => self.known_as(self.announcement.namesake(self.number).label),
            News::Collision => {
                self.number += 1;
                return self.number <= MOST_NAMESAKES;
            }
            News::Failure(why) => {
                warn!(why, "Avahi does not publish our name any more");
                self.by = By::Nobody;
                self.retry_at = Instant::now() + RETRY;
            }
            News::NoBus => {
                self.avahi = None;
                self.retry_at = Instant::now() + RETRY;
                return true;
            }
        }
        false
    }

    /// Takes the responder's word that somebody has our name: it took the next one.
    fn note(&self, event: DaemonEvent) {
        if let DaemonEvent::NameChange(change) = event
            && let Some(label) = host_label(&change.new_name)
        {
            self.known_as(label.to_owned());
        }
    }

    /// Adds a label; one that was ours stays ours, for phones remember it.
    fn known_as(&self, label: String) {
        self.labels.send_if_modified(|labels| {
            let new = !labels.contains(&label);
            if new {
                info!(label, "the page is found under this name");
                labels.push(label);
                if labels.len() > MOST_LABELS {
                    labels.remove(1);
                }
            }
            new
        });
    }
}

/// Waits for a daemon that may hang; `None` when it does.
async fn soon<T>(call: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(ANSWERS_WITHIN, call).await.ok()
}

/// Returns the label of `label.local.`; `None` for other names.
fn host_label(name: &str) -> Option<&str> {
    let label = name.trim_end_matches('.').strip_suffix(".local")?;
    (!label.is_empty() && !label.contains('.')).then_some(label)
}

/// What a page says of itself: where it begins (RFC 6763, 6), and that it is a konpo.
pub const TXT: [(&str, &str); 2] = [("path", "/"), (KONPO, env!("CARGO_PKG_VERSION"))];
const NO_ADDRESSES: &[IpAddr] = &[];
/// RFC 1035, 2.3.4, less what `-2` needs.
const LONGEST_LABEL: usize = 60;
const MOST_NAMESAKES: u32 = 9;
/// The first label and as many later ones are answered to.
const MOST_LABELS: usize = 10;
/// A daemon on this machine; less than konpo may take to stop.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_plain() {
        for (name, want) in [
            ("Living Room", "living-room"),
            ("Küche", "k-che"),
            ("寝室", "konpo"),
            ("--a__b--", "a-b"),
            ("Yuki's Stereo!", "yuki-s-stereo"),
        ] {
            assert_eq!(label_of(name), want);
        }
        assert!(label_of(&"x-".repeat(99)).len() <= LONGEST_LABEL);
    }

    #[test]
    fn a_namesake_takes_the_next_number() {
        let first = Announcement { instance: "Living Room".into(), label: "living-room".into(), port: 8200 };
        assert_eq!(first.namesake(1), first);
        let second = first.namesake(2);
        assert_eq!((second.instance.as_str(), second.label.as_str()), ("Living Room (2)", "living-room-2"));
    }

    #[test]
    fn only_host_names_have_a_host_label() {
        assert_eq!(host_label("living-room-2.local."), Some("living-room-2"));
        assert_eq!(host_label("Living Room (2)._http._tcp.local."), None);
        assert_eq!(host_label(".local."), None);
    }
}
