//! What a file behind a URL says of itself is shown where no app said anything.

use std::sync::Arc;

use super::Rules;
use super::guest::name_of;
use crate::hifi::command::{Playable, QueueId};
use crate::hifi::state::{Entry, Picture};
use crate::signal::PlaySerial;
use crate::track::Tags;

impl Rules {
    /// Takes the tags of a start that is wanted; a late answer about another one is dropped.
    pub(super) fn tell_tags(&mut self, serial: PlaySerial, tags: &Tags, picture: Option<Picture>) {
        let current = self.current.filter(|_| self.loaded == Some(serial));
        let primed = self.primed.filter(|(primed, _)| *primed == serial).map(|(_, id)| id);
        let Some(id) = current.or(primed) else { return };
        if let Some(picture) = picture.filter(|_| self.entry(id).is_some_and(|entry| entry.cover.is_none())) {
            let pictures = Arc::make_mut(&mut self.pictures);
            pictures.retain(|(of, _)| *of != id);
            pictures.push((id, picture));
            if pictures.len() > MOST_PICTURES {
                pictures.remove(0);
            }
        }
        let renew = |entry: &Entry| said(id, entry, tags);
        self.renew_guest(renew);
        self.queue.renew(renew);
    }
}

/// Returns the entry with its file's own words; `None` for another entry, or where an app said whose it is.
fn said(id: QueueId, entry: &Entry, tags: &Tags) -> Option<Entry> {
    let Playable::Url(url) = &entry.what else { return None };
    let shown = &entry.shown;
    if entry.id != id || shown.artist.is_some() || shown.album.is_some() {
        return None;
    }
    // A title that is no more than the name of the file gives way.
    let own = shown.title.clone().filter(|title| *title != name_of(url));
    let title = own.or_else(|| tags.title.clone()).or_else(|| shown.title.clone());
    let fresh = Tags { title, ..tags.clone() };
    (fresh != **shown).then(|| Entry { shown: Arc::new(fresh), ..entry.clone() })
}

/// What sounds, what follows, and what was before: each is at most 512 KiB.
const MOST_PICTURES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Millis;

    fn entry(shown: Tags) -> Entry {
        let what = Playable::Url("http://10.0.0.2/music/01%20song.mp3".into());
        Entry {
            id: QueueId(3),
            what,
            shown: Arc::new(shown),
            duration: Millis::ZERO,
            said: None,
            named: None,
            cover: None,
            measured: Default::default(),
        }
    }

    fn titled(title: &str) -> Tags {
        Tags { title: Some(title.into()), ..Tags::default() }
    }

    #[test]
    fn the_files_own_words_count_where_nobody_said_more_than_its_name() {
        let told = Tags { artist: Some("Singer".into()), ..titled("Song") };
        let shown =
            |before: Tags, told: &Tags| said(QueueId(3), &entry(before), told).map(|e| Tags::clone(&e.shown));
        assert_eq!(shown(titled("01 song.mp3"), &told), Some(told.clone()));
        let named = Tags { title: Some("Their name".into()), ..told.clone() };
        assert_eq!(shown(titled("Their name"), &told), Some(named));
        assert_eq!(shown(Tags { album: Some("Album".into()), ..titled("Theirs") }, &told), None);
        // A file without tags leaves its name.
        assert_eq!(shown(titled("01 song.mp3"), &Tags::default()), None);
        assert!(said(QueueId(4), &entry(titled("01 song.mp3")), &told).is_none());
    }
}
