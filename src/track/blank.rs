//! What stands in a file for others in place of the buyer's bytes: same length, plain data.

use crate::units::ByteCount;

/// Bytes of a file that are served as others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blank {
    /// Offset from the start of the file.
    pub offset: ByteCount,
    /// Length.
    pub length: ByteCount,
    /// What stands there instead.
    pub with: Fill,
}

/// What stands in place of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fill {
    /// Zeros: numbers, padded names, private data.
    Zeros,
    /// Spaces: texts of one byte a letter.
    Spaces,
    /// Zeros, and at the end so many pairs of FF and 00. A reader that takes out the zero behind each FF (ID3v2.3.0, 5) is
    /// left with as many bytes as of the original, which had so many pairs too.
    Stuffed(u64),
    /// A number of four bytes; the length is 4.
    Number([u8; 4]),
}

impl Fill {
    /// Returns the byte at a place of so many.
    fn byte(self, at: u64, length: u64) -> u8 {
        match self {
            Fill::Zeros => 0,
            Fill::Spaces => b' ',
            Fill::Stuffed(pairs) => {
                let left = length.saturating_sub(at);
                if left <= pairs.saturating_mul(2) && left.is_multiple_of(2) { 0xff } else { 0 }
            }
            Fill::Number(bytes) => bytes.get(at as usize).copied().unwrap_or(0),
        }
    }
}

impl Blank {
    /// Returns the first byte behind it.
    pub fn end(&self) -> u64 {
        self.offset.0.saturating_add(self.length.0)
    }
}

/// Puts blanks into bytes that were read at `at` of the file. `blanks` are sorted and do not overlap.
pub fn apply(blanks: &[Blank], at: u64, bytes: &mut [u8]) {
    let end = at.saturating_add(bytes.len() as u64);
    let first = blanks.partition_point(|blank| blank.end() <= at);
    for blank in blanks[first..].iter().take_while(|blank| blank.offset.0 < end) {
        let (from, to) = (blank.offset.0.max(at), blank.end().min(end));
        let part = &mut bytes[(from - at) as usize..(to - at) as usize];
        for (byte, place) in part.iter_mut().zip(from - blank.offset.0..) {
            *byte = blank.with.byte(place, blank.length.0);
        }
    }
}

/// Sorts blanks; of those that overlap, the later one gives way: what it has beyond the other is filled with zeros.
pub fn sorted(mut blanks: Vec<Blank>) -> Vec<Blank> {
    blanks.retain(|blank| blank.length.0 > 0);
    blanks.sort_by_key(|blank| (blank.offset, std::cmp::Reverse(blank.length)));
    let mut found: Vec<Blank> = Vec::with_capacity(blanks.len());
    for blank in blanks {
        let behind = found.last().map_or(0, Blank::end);
        if blank.offset.0 >= behind {
            found.push(blank);
        } else if blank.end() > behind {
            let length = ByteCount(blank.end() - behind);
            found.push(Blank { offset: ByteCount(behind), length, with: Fill::Zeros });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blank(offset: u64, length: u64, with: Fill) -> Blank {
        Blank { offset: ByteCount(offset), length: ByteCount(length), with }
    }

    fn applied(blanks: &[Blank]) -> Vec<u8> {
        let mut bytes = b"abcdefghij".to_vec();
        apply(blanks, 0, &mut bytes);
        bytes
    }

    #[test]
    fn each_fill_has_its_bytes() {
        assert_eq!(applied(&[]), b"abcdefghij");
        assert_eq!(applied(&[blank(2, 3, Fill::Spaces)]), b"ab   fghij");
        assert_eq!(applied(&[blank(8, 9, Fill::Zeros)]), b"abcdefgh\0\0");
        assert_eq!(applied(&[blank(1, 4, Fill::Number(*b"1234"))]), b"a1234fghij");
        assert_eq!(applied(&[blank(0, 7, Fill::Stuffed(2))]), b"\0\0\0\xff\0\xff\0hij");
        assert_eq!(applied(&[blank(0, 4, Fill::Stuffed(2))]), b"\xff\0\xff\0efghij");
    }

    #[test]
    fn what_overlaps_is_covered_once() {
        let all = vec![
            blank(4, 4, Fill::Spaces),
            blank(2, 4, Fill::Spaces),
            blank(3, 1, Fill::Zeros),
            blank(9, 0, Fill::Zeros),
        ];
        assert_eq!(sorted(all), [blank(2, 4, Fill::Spaces), blank(6, 2, Fill::Zeros)]);
    }

    proptest! {
        #[test]
        fn a_part_is_the_slice_of_the_whole(
            spans in proptest::collection::vec((0u64..300, 0u64..60, 0u8..4), 0..12),
            from in 0usize..300, count in 0usize..300,
        ) {
            let fill = |kind| match kind {
                0 => Fill::Zeros,
                1 => Fill::Spaces,
                2 => Fill::Stuffed(3),
                _ => Fill::Number(*b"1234"),
            };
            let of = |&(offset, length, kind): &(u64, u64, u8)| blank(offset, length, fill(kind));
            let blanks = sorted(spans.iter().map(of).collect());
            prop_assert!(blanks.windows(2).all(|pair| pair[0].end() <= pair[1].offset.0));
            let bytes: Vec<u8> = (0..300).map(|n| (n % 250) as u8 + 5).collect();
            let mut whole = bytes.clone();
            apply(&blanks, 0, &mut whole);
            let range = from..(from + count).min(300);
            let mut part = bytes[range.clone()].to_vec();
            apply(&blanks, from as u64, &mut part);
            prop_assert_eq!(&part, &whole[range]);
            for (at, (old, new)) in bytes.iter().zip(&whole).enumerate() {
                let inside = spans.iter().any(|(o, l, _)| (*o..o + l).contains(&(at as u64)));
                prop_assert!(inside || old == new, "{} is outside and differs", at);
            }
        }
    }
}
