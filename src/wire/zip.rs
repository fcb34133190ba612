//! ZIP archives of stored files: headers to bytes, pure. Nothing is compressed, so that the length of an archive is known
//! before its first byte; names are UTF-8; ZIP64 only where a number does not fit (PKWARE APPNOTE 6.3.10, sections 4.3 and
//! 4.4; the times of Info-ZIP are its appendix D's extra field 0x5455).

use crate::units::UnixTime;

/// One file of an archive.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its path in the archive, parts between `/`, at most 65,535 bytes.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
    /// When it was changed last.
    pub modified: UnixTime,
    /// Its checksum stands behind it, and not in front: it is not known before it was read.
    pub late: bool,
}

impl Entry<'_> {
    /// Returns what stands in front of the file (4.3.7). The checksum is left out where it comes behind.
    pub fn head(&self, crc: u32) -> Vec<u8> {
        let long = self.late || self.size >= FULL;
        let mut extra = Vec::new();
        if long {
            put_extra(&mut extra, ZIP64, &[self.size, self.size]);
        }
        put_time(&mut extra, self.modified);
        let size = if long { FULL as u32 } else { self.size as u32 };
        let mut head = Vec::with_capacity(30 + self.name.len() + extra.len());
        head.extend(0x0403_4b50_u32.to_le_bytes());
        head.extend(version(long).to_le_bytes());
        self.put_form(&mut head, if self.late { 0 } else { crc }, size);
        head.extend((self.name.len() as u16).to_le_bytes());
        head.extend((extra.len() as u16).to_le_bytes());
        head.extend(self.name.as_bytes());
        head.extend(extra);
        head
    }

    /// Returns what stands behind the file: its checksum where that is late, else nothing (4.3.9, with lengths of 8 bytes).
    pub fn tail(&self, crc: u32) -> Vec<u8> {
        let mut tail = Vec::new();
        if self.late {
            tail.extend(0x0807_4b50_u32.to_le_bytes());
            tail.extend(crc.to_le_bytes());
            tail.extend(self.size.to_le_bytes());
            tail.extend(self.size.to_le_bytes());
        }
        tail
    }

    /// Returns the file's line in the directory at the end; `offset` is where its head begins (4.3.12).
    pub fn line(&self, crc: u32, offset: u64) -> Vec<u8> {
        let mut numbers = Vec::new();
        if self.size >= FULL {
            numbers.extend([self.size, self.size]);
        }
        if offset >= FULL {
            numbers.push(offset);
        }
        let mut extra = Vec::new();
        if !numbers.is_empty() {
            put_extra(&mut extra, ZIP64, &numbers);
        }
        put_time(&mut extra, self.modified);
        let mut line = Vec::with_capacity(46 + self.name.len() + extra.len());
        line.extend(0x0201_4b50_u32.to_le_bytes());
        line.extend(MADE_BY.to_le_bytes());
        line.extend(version(self.late || !numbers.is_empty()).to_le_bytes());
        self.put_form(&mut line, crc, self.size.min(FULL) as u32);
        line.extend((self.name.len() as u16).to_le_bytes());
        line.extend((extra.len() as u16).to_le_bytes());
        // No comment, on the first disk, no attributes of DOS; then those of Unix in the upper half.
        line.extend([0; 8]);
        line.extend(MODE.to_le_bytes());
        line.extend((offset.min(FULL) as u32).to_le_bytes());
        line.extend(self.name.as_bytes());
        line.extend(extra);
        line
    }

    /// The fields that head and line have in common: flags to lengths.
    fn put_form(&self, out: &mut Vec<u8>, crc: u32, size: u32) {
        let late = if self.late { CHECKSUM_BEHIND } else { 0 };
        out.extend((NAMES_ARE_UTF8 | late).to_le_bytes());
        // Method 0: stored.
        out.extend([0; 2]);
        let (date, time) = dos_time(self.modified);
        out.extend(time.to_le_bytes());
        out.extend(date.to_le_bytes());
        out.extend(crc.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(size.to_le_bytes());
    }

    /// Returns how many bytes its head, the file and its tail have.
    pub fn span(&self) -> u64 {
        (self.head(0).len() + self.tail(0).len()) as u64 + self.size
    }
}

/// Returns the end of an archive: of so many files, whose directory begins at `start` and has `length` bytes (4.3.14 to
/// 4.3.16).
pub fn end(files: u64, start: u64, length: u64) -> Vec<u8> {
    let mut end = Vec::with_capacity(98);
    if files >= 0xffff || start >= FULL || length >= FULL {
        end.extend(0x0606_4b50_u32.to_le_bytes());
        end.extend(44u64.to_le_bytes());
        end.extend(MADE_BY.to_le_bytes());
        end.extend(version(true).to_le_bytes());
        end.extend([0; 8]);
        for number in [files, files, length, start] {
            end.extend(number.to_le_bytes());
        }
        end.extend(0x0706_4b50_u32.to_le_bytes());
        end.extend(0u32.to_le_bytes());
        end.extend((start + length).to_le_bytes());
        end.extend(1u32.to_le_bytes());
    }
    end.extend(0x0605_4b50_u32.to_le_bytes());
    end.extend([0; 4]);
    end.extend((files.min(0xffff) as u16).to_le_bytes());
    end.extend((files.min(0xffff) as u16).to_le_bytes());
    end.extend((length.min(FULL) as u32).to_le_bytes());
    end.extend((start.min(FULL) as u32).to_le_bytes());
    end.extend([0; 2]);
    end
}

/// Returns the length of an archive of these files.
pub fn length<'a>(files: impl Iterator<Item = Entry<'a>>) -> u64 {
    let (mut count, mut offset, mut directory) = (0u64, 0u64, 0u64);
    for file in files {
        directory += file.line(0, offset).len() as u64;
        offset += file.span();
        count += 1;
    }
    offset + directory + end(count, offset, directory).len() as u64
}

fn version(long: bool) -> u16 {
    if long { 45 } else { 20 }
}

fn put_extra(extra: &mut Vec<u8>, id: u16, numbers: &[u64]) {
    extra.extend(id.to_le_bytes());
    extra.extend((numbers.len() as u16 * 8).to_le_bytes());
    numbers.iter().for_each(|number| extra.extend(number.to_le_bytes()));
}

/// The time in UTC: that of DOS has no zone.
fn put_time(extra: &mut Vec<u8>, time: UnixTime) {
    // Readers take it as signed.
    let Some(seconds) = u32::try_from(time.0).ok().filter(|&seconds| seconds <= i32::MAX as u32) else {
        return;
    };
    extra.extend(TIMES.to_le_bytes());
    extra.extend(5u16.to_le_bytes());
    extra.push(1);
    extra.extend(seconds.to_le_bytes());
}

/// Returns date and time of DOS: 1980 to 2107 in steps of 2 s.
fn dos_time(time: UnixTime) -> (u16, u16) {
    let text = time.rfc3339();
    let part = |range: std::ops::Range<usize>| {
        text.get(range).and_then(|part| part.parse::<u16>().ok()).unwrap_or(0)
    };
    let year = part(0..4);
    if !(1980..=2107).contains(&year) {
        return (0x21, 0);
    }
    let date = ((year - 1980) << 9) | (part(5..7) << 5) | part(8..10);
    let time = (part(11..13) << 11) | (part(14..16) << 5) | (part(17..19) / 2);
    (date, time)
}

/// What stands where a number does not fit into 32 bits.
const FULL: u64 = 0xffff_ffff;
/// Of Unix, by version 4.5.
const MADE_BY: u16 = (3 << 8) | 45;
/// A plain file that everybody may read.
const MODE: u16 = 0o100_644;
const NAMES_ARE_UTF8: u16 = 1 << 11;
const CHECKSUM_BEHIND: u16 = 1 << 3;
/// Extra fields: numbers of 64 bits, and times.
const ZIP64: u16 = 1;
const TIMES: u16 = 0x5455;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_is_told_as_the_standard_says() {
        // 2007-10-16 12:34:56 UTC.
        let entry = Entry { name: "a/あ", size: 3, modified: UnixTime(1_192_538_096), late: false };
        let head = entry.head(0x1122_3344);
        assert_eq!(&head[..10], b"PK\x03\x04\x14\0\0\x08\0\0");
        assert_eq!(
            &head[10..30],
            &[0x5c, 0x64, 0x50, 0x37, 0x44, 0x33, 0x22, 0x11, 3, 0, 0, 0, 3, 0, 0, 0, 5, 0, 9, 0]
        );
        assert_eq!(&head[30..], [&b"a/\xe3\x81\x82"[..], b"UT\x05\0\x01\xf0\xaf\x14\x47"].concat());
        let line = entry.line(0x1122_3344, 7);
        assert_eq!(&line[..8], b"PK\x01\x02\x2d\x03\x14\0");
        assert_eq!(&line[38..46], &[0, 0, 0xa4, 0x81, 7, 0, 0, 0]);
        assert_eq!(line.len(), 46 + 5 + 9);
        let late = Entry { late: true, ..entry };
        assert_eq!((&late.head(9)[14..18], late.tail(9).len()), (&[0u8; 4][..], 24));
    }

    #[test]
    fn what_does_not_fit_into_32_bits_stands_in_64() {
        let entry = Entry { name: "x", size: 5 << 30, modified: UnixTime(-1), late: false };
        let head = entry.head(1);
        assert_eq!((&head[18..26], head.len()), (&[0xff; 8][..], 31 + 20));
        assert_eq!(entry.line(1, 6 << 30).len(), 47 + 28);
        assert_eq!(Entry { size: 1, ..entry }.line(1, 6 << 30).len(), 47 + 12);
        assert_eq!((end(3, 100, 9).len(), end(0xffff, 100, 9).len(), end(1, 6 << 30, 9).len()), (22, 98, 98));
    }

    proptest! {
        #[test]
        fn the_length_is_that_of_its_parts(
            files in prop::collection::vec(("[a-zあ-ん/]{1,20}", 0u64..1 << 34, any::<i32>(), any::<bool>()), 0..20)
        ) {
            let entries: Vec<Entry<'_>> = files.iter()
                .map(|(name, size, modified, late)| Entry { name, size: *size, modified: UnixTime((*modified).into()), late: *late })
                .collect();
            let (mut length, mut directory) = (0u64, 0);
            for entry in &entries {
                directory += entry.line(7, length).len() as u64;
                length += entry.head(7).len() as u64 + entry.size + entry.tail(7).len() as u64;
            }
            length += directory + end(entries.len() as u64, length, directory).len() as u64;
            prop_assert_eq!(super::length(entries.into_iter()), length);
        }
    }
}
