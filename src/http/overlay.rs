//! A file with some of its bytes served as others: the one place where what names a buyer is taken out of what leaves this
//! box. The file itself is never touched, and nothing is copied.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::SystemTime;

use crate::track::blank::{self, Blank};

/// A file as somebody may read it.
#[derive(Debug)]
pub struct Overlay {
    file: File,
    size: u64,
    modified: SystemTime,
    /// When anything of the file last changed, for those from whom something is kept: some programs put the other time back.
    changed: Option<(i64, i64)>,
    blanks: Vec<Blank>,
}

impl Overlay {
    /// Returns a file of `size` bytes that was last written at `modified`, with these blanks: sorted, without overlap. Without
    /// any it is the file as it is. `changed` is when anything of it last changed as the blanks were found, seconds and
    /// nanoseconds since 1970; `None` where nothing has to be kept from who reads, who may go on when it is renamed.
    pub fn new(
        file: File,
        size: u64,
        modified: SystemTime,
        changed: Option<(i64, i64)>,
        blanks: Vec<Blank>,
    ) -> Overlay {
        Overlay { file, size, modified, changed, blanks }
    }

    /// Returns how many bytes there are: as many as in the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns when the file last changed.
    pub fn modified(&self) -> SystemTime {
        self.modified
    }

    /// Reads at a place, as `FileExt::read_at` does; 0 bytes at the end only.
    ///
    /// # Errors
    /// Those of the disk, and `Other` once the file was written to, or where something is kept also renamed or removed: what
    /// names the buyer may lie elsewhere in it.
    /// # Blocks
    /// As long as the disk takes.
    pub fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let most = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX).min(buf.len());
        let count = self.file.read_at(&mut buf[..most], at)?;
        // Behind the reading: what was written before it shows.
        let about = self.file.metadata()?;
        let changed = (about.ctime(), about.ctime_nsec());
        if about.modified()? != self.modified || self.changed.is_some_and(|known| known != changed) {
            buf[..count].fill(0);
            return Err(io::Error::other("the file was changed while it was read"));
        }
        blank::apply(&self.blanks, at, &mut buf[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::blank::Fill;
    use crate::units::ByteCount;
    use std::io::Write;

    fn overlay(blanks: Vec<Blank>) -> Overlay {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("written");
        let about = file.metadata().expect("it is there");
        let changed = Some((about.ctime(), about.ctime_nsec()));
        Overlay::new(file, 10, about.modified().expect("a time"), changed, blanks)
    }

    fn spaces() -> Vec<Blank> {
        vec![Blank { offset: ByteCount(3), length: ByteCount(4), with: Fill::Spaces }]
    }

    #[test]
    fn every_part_is_the_slice_of_the_whole() {
        let overlay = overlay(spaces());
        let whole = b"012    789";
        for from in 0..12u64 {
            for count in 0..12 {
                let mut buf = vec![b'x'; count];
                let got = overlay.read_at(&mut buf, from).expect("read");
                let end = (from as usize + count).min(10);
                let want = whole.get(from as usize..end).unwrap_or_default();
                assert_eq!(&buf[..got], want, "{count} bytes at {from}");
            }
        }
    }

    #[test]
    fn what_is_written_meanwhile_is_not_served() {
        for blanks in [spaces(), Vec::new()] {
            let overlay = overlay(blanks);
            let mut buf = [0; 10];
            assert_eq!(overlay.read_at(&mut buf, 0).expect("read"), 10);
            let later = overlay.modified + std::time::Duration::from_secs(1);
            overlay.file.set_modified(later).expect("our own file");
            assert!(overlay.read_at(&mut buf, 0).is_err());
            assert_eq!(buf, [0; 10]);
            // The time is put back, which the system notes when its clock went on.
            let about = || overlay.file.metadata().expect("it is there");
            while overlay.changed == Some((about().ctime(), about().ctime_nsec())) {
                overlay.file.set_modified(overlay.modified).expect("our own file");
            }
            overlay.file.set_modified(overlay.modified).expect("our own file");
            assert_eq!(about().modified().expect("a time"), overlay.modified);
            assert!(overlay.read_at(&mut buf, 0).is_err());
            // Its owner has it as it is, whatever became of its name and its rights.
            let Overlay { file, size, modified, .. } = overlay;
            assert_eq!(
                Overlay::new(file, size, modified, None, Vec::new()).read_at(&mut buf, 0).expect("read"),
                10
            );
        }
    }
}
