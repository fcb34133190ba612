//! Histories of other programs that lie in the drop folder: a library of iTunes. They are read where they lie, once everything
//! else there was taken in, so that they find the songs that came with them; and again when they change.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::info;

use crate::error::{Error, Kind, Result};
use crate::intake::inbox::{Left, Mark, Taken, WAY};
use crate::intake::staging::blocking;
use crate::intake::{Inner, board};
use crate::library::JournalRow;
use crate::offer::{OfferId, Provenance, Stage, Verdict};
use crate::units::{ByteCount, UnixTime};

/// Returns whether a file is the library of iTunes, by its first bytes. One that cannot be read is none.
///
/// # Blocks
/// On reading them.
pub fn is_history(path: &Path) -> bool {
    let named = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("xml"));
    let mut head = Vec::new();
    let read = named.then(|| File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head)));
    let has = |what: &str| memchr::memmem::find(&head, what.as_bytes()).is_some();
    read.is_some_and(|read| read.is_ok())
        && has("<plist")
        && (has("Library Persistent ID") || has("<key>Tracks</key>"))
}

/// Returns whether files of the drop folder are still on their way to the shelf.
///
/// # Errors
/// Those of the database.
pub async fn is_early(inner: &Inner) -> Result<bool> {
    Ok(inner.library.journal_open().await?.iter().any(|row| row.provenance.way == WAY))
}

/// Reads a history, and says on the board what it told for as long as it lies there.
///
/// # Errors
/// `Stopped`, `Offline`, those of the disk and the database: it is read again later. What is wrong with the file itself is
/// its verdict, not an error.
pub async fn read(inner: &Arc<Inner>, path: PathBuf, mark: Mark) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (library, stop, below, called) =
        (inner.library.clone(), inner.stop.clone(), path.clone(), name.clone());
    let told = blocking(move || {
        let lies = library.inbox_dir()?.join(&below);
        library.read_itunes(&lies, &called, &|| !stop.is_cancelled())
    })
    .await;
    let verdict = match told {
        Ok(told) => Verdict::Read { told: told.to_string() },
        Err(error) => refusal(error)?,
    };
    info!(name, ?verdict, "a history was read");
    let mut row = JournalRow {
        id: OfferId(0),
        stage: if matches!(verdict, Verdict::Read { .. }) { Stage::Stored } else { Stage::Refused },
        part: None,
        provenance: Provenance {
            way: WAY.to_owned(),
            device_name: "Inbox".to_owned(),
            original_name: name,
            ..Provenance::default()
        },
        item: None,
        size: Some(ByteCount(mark.size)),
        etag: None,
        verdict: Some(verdict),
        facts: Taken::new(&path, mark).to_facts()?,
        at: UnixTime::now(),
    };
    inner.keep(&mut row, ByteCount(mark.size)).await?;
    inner.left().insert(path, Left { mark, id: row.id });
    inner.notes.lies(board::arrival(&row, ByteCount(mark.size)));
    Ok(())
}

/// Returns the verdict when the file itself is the reason; else the error.
fn refusal(error: Error) -> Result<Verdict> {
    let code = match error.kind() {
        Kind::Damaged => "damaged",
        Kind::Unsupported => "unsupported",
        Kind::NotFound => "gone",
        _ => return Err(error),
    };
    Ok(Verdict::Refused { code: code.to_owned(), reason: error.to_string() })
}

/// What stands in front of the tracks is far shorter.
const HEAD: u64 = 8 << 10;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::intake::inbox;
    use crate::intake::tests::in_folder;

    const LIBRARY: &str = "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>Library Persistent ID</key>\
        <string>00000000000000FF</string><key>Tracks</key><dict><key>1</key><dict><key>Track ID</key><integer>1</integer>\
        <key>Persistent ID</key><string>00000000000000AA</string><key>Name</key><string>Song</string><key>Purchased</key>\
        <true/></dict></dict></dict></plist>";

    #[test]
    fn a_library_of_itunes_is_known_by_its_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |name: &str, bytes: &str, wanted: bool| {
            fs::write(folder.path().join(name), bytes).expect("written");
            assert_eq!(is_history(&folder.path().join(name)), wanted, "{name}: {bytes}");
        };
        check("iTunes Music Library.xml", LIBRARY, true);
        check("ライブラリ.XML", LIBRARY, true);
        check("iTunes Music Library.mp3", LIBRARY, false);
        check("Info.xml", "<plist version=\"1.0\"><dict><key>Bundle</key></dict></plist>", false);
        check("feed.xml", "<rss><title>Library Persistent ID</title></rss>", false);
        assert!(!is_history(&folder.path().join("nothing.xml")));
    }

    #[tokio::test]
    async fn a_library_in_the_drop_folder_is_read_and_stays_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let intake = in_folder(folder.path()).await;
        let inner = &intake.inner;
        let lies = folder.path().join("music/Inbox/iTunes Library.xml");
        fs::write(&lies, LIBRARY).expect("written");
        let mark = Mark::of(&fs::metadata(&lies).expect("there"));
        assert!(!is_early(inner).await.expect("read"));
        read(inner, "iTunes Library.xml".into(), mark).await.expect("read");
        assert_eq!(fs::read(&lies).expect("there"), LIBRARY.as_bytes());
        let rows = inner.library.journal_recent(10).await.expect("read");
        let told = "read: 0 of its 1 songs are here; 1 were bought, 1 of that was not known";
        assert_eq!(rows[0].verdict, Some(Verdict::Read { told: told.to_owned() }));
        // It is left alone until it changes, also after a start.
        let left = inbox::left_before(&inner.library.journal_of_way(WAY).await.expect("read"));
        assert_eq!(left.get(Path::new("iTunes Library.xml")).map(|left| left.mark), Some(mark));
        assert!(inner.left().contains_key(Path::new("iTunes Library.xml")));
    }

    #[tokio::test]
    async fn a_library_that_breaks_off_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let intake = in_folder(folder.path()).await;
        let lies = folder.path().join("music/Inbox/Library.xml");
        fs::write(&lies, &LIBRARY[..LIBRARY.len() - 30]).expect("written");
        let mark = Mark::of(&fs::metadata(&lies).expect("there"));
        read(&intake.inner, "Library.xml".into(), mark).await.expect("it has its verdict");
        let rows = intake.inner.library.journal_recent(10).await.expect("read");
        assert!(
            matches!(&rows[0].verdict, Some(Verdict::Refused { code, .. }) if code == "damaged"),
            "{:?}",
            rows[0].verdict
        );
    }
}
