//! The checksum of a FLAC frame, at a fraction of the time that decoding takes.

/// Goes on with the sum over more bytes (RFC 9639, 9.3: polynomial x^16 + x^15 + x^2 + 1, initial 0). The sum over a whole
/// frame, its footer included, is 0.
///
/// Bytes are a polynomial, their first bit the highest term, and the sum is what is left of it after division. The square
/// of a polynomial over bits is that of its terms, so x^4096 + x^3840 + x^512 + 1 is a multiple of the one above. Divided
/// by that first, in blocks of 256 bits of which none needs a shift, any frame becomes one of 512 bytes.
pub(super) fn crc16(sum: u16, bytes: &[u8]) -> u16 {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let Some(count) = blocks.len().checked_sub(TERMS).filter(|count| *count > 0) else {
        return by_bytes(sum, bytes);
    };
    let mut before = [[0; BLOCK]; TERMS];
    let quotient = |before: &[[u8; BLOCK]; TERMS], n: usize, block: &[u8; BLOCK]| {
        let (near, far, farthest) = (before[(n + 15) % TERMS], before[(n + 2) % TERMS], before[n % TERMS]);
        std::array::from_fn(|i| block[i] ^ near[i] ^ far[i] ^ farthest[i])
    };
    // What was summed before leads the first block.
    let mut first = blocks[0];
    first.iter_mut().zip(sum.to_be_bytes()).for_each(|(byte, high)| *byte ^= high);
    before[0] = first;
    for (n, block) in blocks.iter().enumerate().take(count).skip(1) {
        before[n % TERMS] = quotient(&before, n, block);
    }
    let mut sum = 0;
    for (n, block) in blocks.iter().enumerate().skip(count) {
        sum = by_bytes(sum, &quotient(&before, n, block));
        before[n % TERMS] = [0; BLOCK];
    }
    by_bytes(sum, rest)
}

fn by_bytes(sum: u16, bytes: &[u8]) -> u16 {
    let (steps, rest) = bytes.as_chunks::<8>();
    let sum = steps.iter().fold(sum, |sum, step| {
        let [high, low] = sum.to_be_bytes();
        let [a, b, c, d, e, f, g, h] = step.map(usize::from);
        let far = TABLES[7][a ^ usize::from(high)] ^ TABLES[6][b ^ usize::from(low)];
        let near = TABLES[5][c] ^ TABLES[4][d] ^ TABLES[3][e] ^ TABLES[2][f] ^ TABLES[1][g] ^ TABLES[0][h];
        far ^ near
    });
    rest.iter().fold(sum, |sum, byte| sum << 8 ^ TABLES[0][usize::from((sum >> 8) as u8 ^ byte)])
}

/// What a byte adds to the sum when `n` bytes follow it.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u16) << 8;
        let mut n = 0;
        while n < 8 {
            let mut bit = 0;
            while bit < 8 {
                sum = if sum & 0x8000 == 0 { sum << 1 } else { sum << 1 ^ 0x8005 };
                bit += 1;
            }
            tables[n][byte] = sum;
            n += 1;
        }
        byte += 1;
    }
    tables
}

/// Bytes of a block.
const BLOCK: usize = 32;
/// Blocks that are left after division.
const TERMS: usize = 16;

#[cfg(test)]
mod tests {
    use super::crc16;
    use proptest::prelude::*;

    #[test]
    fn the_sum_is_that_of_the_rfc() {
        // The check value of CRC-16/UMTS, which FLAC's is.
        assert_eq!(crc16(0, b"123456789"), 0xfee8);
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_its_bits(bytes in proptest::collection::vec(any::<u8>(), 0..3000), cut in 0usize..3000) {
            let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| u16::from(byte >> n & 1)));
            let slow = bits.fold(0u16, |sum, bit| sum << 1 ^ if sum >> 15 ^ bit == 1 { 0x8005 } else { 0 });
            let (one, two) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(crc16(crc16(0, one), two), slow);
            let whole = [&bytes[..], &slow.to_be_bytes()].concat();
            prop_assert_eq!(crc16(0, &whole), 0);
        }
    }
}
