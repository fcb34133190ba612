//! The one table from what the box refuses to the codes of UPnP AV (UPnP Device Architecture 1.0, 3.2.2; AVTransport:1, 2.4;
//! RenderingControl:1, 2.4; reference upnp 3.3 and 3.4) and OpenHome (reference upnp 3.8, "faults"). Pure.

use crate::hifi::command::Refused;
use crate::upnp::service::Fault;

/// What was asked when the box refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To take a URL.
    Uri,
    /// To play, pause, stop or skip.
    Transport,
    /// To move in a track.
    Seek,
    /// To turn the knob.
    Rendering,
    /// OpenHome: to take a URL, to play or remove an entry.
    Entry,
    /// OpenHome: to move to a second.
    Second,
    /// OpenHome: to turn the knob.
    Volume,
    /// OpenHome: anything else.
    Key,
}

/// Returns the fault of a refusal.
pub fn fault(asked: Asked, refused: Refused) -> Fault {
    let code = match (asked, refused) {
        (_, Refused::NotAllowed) => 606,
        (Asked::Uri, Refused::NoSuchTrack | Refused::Unsupported) => 716,
        (Asked::Uri, Refused::Locked) => 704,
        (Asked::Uri, Refused::OutOfRange) => 605,
        (Asked::Seek, Refused::NotSeekable) => 710,
        (Asked::Seek, Refused::OutOfRange) => 711,
        (Asked::Rendering, Refused::OutOfRange) => 601,
        (Asked::Uri | Asked::Transport | Asked::Seek, Refused::EmptyQueue | Refused::NoSuchEntry) => 701,
        (Asked::Uri | Asked::Transport | Asked::Seek, Refused::QuietHours | Refused::Busy) => 705,
        (Asked::Entry | Asked::Key, Refused::NoSuchEntry) => 800,
        (Asked::Entry, Refused::OutOfRange) => 801,
        (Asked::Second, Refused::OutOfRange | Refused::NotSeekable | Refused::EmptyQueue) => 803,
        (Asked::Volume, Refused::OutOfRange) => 811,
        (Asked::Volume, Refused::FixedVolume) => 814,
        (Asked::Entry, Refused::Unsupported | Refused::NoSuchTrack | Refused::Locked) => 600,
        (_, _) => 501,
    };
    Fault { code, words: refused.words().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_the_code_that_fits_what_was_asked() {
        for (asked, refused, code) in [
            (Asked::Uri, Refused::Unsupported, 716),
            (Asked::Uri, Refused::NoSuchTrack, 716),
            (Asked::Uri, Refused::NoSuchEntry, 701),
            (Asked::Uri, Refused::OutOfRange, 605),
            (Asked::Transport, Refused::EmptyQueue, 701),
            (Asked::Transport, Refused::QuietHours, 705),
            (Asked::Seek, Refused::OutOfRange, 711),
            (Asked::Seek, Refused::NotSeekable, 710),
            (Asked::Seek, Refused::EmptyQueue, 701),
            (Asked::Rendering, Refused::FixedVolume, 501),
            (Asked::Rendering, Refused::NotAllowed, 606),
            (Asked::Entry, Refused::NoSuchEntry, 800),
            (Asked::Entry, Refused::OutOfRange, 801),
            (Asked::Entry, Refused::Unsupported, 600),
            (Asked::Entry, Refused::Locked, 600),
            (Asked::Second, Refused::OutOfRange, 803),
            (Asked::Second, Refused::NotSeekable, 803),
            (Asked::Volume, Refused::OutOfRange, 811),
            (Asked::Volume, Refused::FixedVolume, 814),
            (Asked::Key, Refused::QuietHours, 501),
        ] {
            let fault = fault(asked, refused);
            assert_eq!((fault.code, &*fault.words), (code, refused.words()), "{asked:?} {refused:?}");
        }
    }
}
