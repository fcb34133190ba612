//! What a writer of FLAC needs: bits, most significant first, and the checksums of FLAC.

/// Bytes that are written bit by bit.
#[derive(Default)]
pub struct Bits {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits {
    /// Appends the low `count` bits of `value`, at most 32.
    pub fn push(&mut self, value: u32, count: u32) {
        let mask = (1u64 << count) - 1;
        self.held = self.held << count | u64::from(value) & mask;
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.held >> self.count) as u8);
        }
    }

    /// Fills the last byte with zeros.
    pub fn align(&mut self) {
        if self.count > 0 {
            self.push(0, 8 - self.count);
        }
    }

    /// Returns what was written; the last byte is filled with zeros.
    pub fn whole(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }

    /// Returns the bytes that are full.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The checksum of a FLAC frame's header (RFC 9639, 9.1.8).
pub fn crc_8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| CRC_8[usize::from(sum ^ byte)])
}

/// The checksum of a whole FLAC frame (RFC 9639, 9.3).
pub fn crc_16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| sum << 8 ^ CRC_16[usize::from((sum >> 8) as u8 ^ byte)])
}

const CRC_8: [u8; 256] = {
    let (mut table, mut index) = ([0; 256], 0);
    while index < 256 {
        let (mut sum, mut bit) = (index as u8, 0);
        while bit < 8 {
            sum = sum << 1 ^ if sum & 0x80 != 0 { 0x07 } else { 0 };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
};

const CRC_16: [u16; 256] = {
    let (mut table, mut index) = ([0; 256], 0);
    while index < 256 {
        let (mut sum, mut bit) = ((index as u16) << 8, 0);
        while bit < 8 {
            sum = sum << 1 ^ if sum & 0x8000 != 0 { 0x8005 } else { 0 };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
};
