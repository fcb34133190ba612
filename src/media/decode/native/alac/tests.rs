use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use symphonia::core::audio::Audio;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::codecs::audio::well_known::CODEC_ID_ALAC;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::formats::IsoMp4Reader;

use super::*;

const TONE: &[u8] = include_bytes!("../../../../../tests/data/tone-alac.m4a");

/// The packets of the tone.
fn tone() -> Vec<Vec<u8>> {
    let stream = MediaSourceStream::new(Box::new(Cursor::new(TONE)), Default::default());
    let mut reader = IsoMp4Reader::try_new(stream, FormatOptions::default()).expect("it opens");
    std::iter::from_fn(|| reader.next_packet().ok().flatten()).map(|packet| packet.data.to_vec()).collect()
}

fn cookie(frames: u32, depth: u8, [pace, mean, widest]: [u8; 3], channels: u8) -> Vec<u8> {
    let mut bytes = frames.to_be_bytes().to_vec();
    bytes.extend([0, depth, pace, mean, widest, channels, 0, 255]);
    bytes.extend([0; 8]);
    bytes.extend(44_100u32.to_be_bytes());
    bytes
}

const TONE_COOKIE: (u32, u8, [u8; 3], u8) = (4096, 16, [40, 10, 14], 2);

fn theirs(cookie: &[u8]) -> Box<dyn AudioDecoder> {
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(CODEC_ID_ALAC).with_extra_data(cookie.into());
    let decoder =
        symphonia::default::get_codecs().make_audio_decoder(&parameters, &AudioDecoderOptions::default());
    decoder.expect("a decoder")
}

/// Returns the planes of a packet; `None` when it is damaged.
fn planes(decoder: &mut dyn AudioDecoder, packet: &[u8]) -> Option<Vec<Vec<i32>>> {
    match decoder.decode_ref(&PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, packet)) {
        Ok(GenericAudioBufferRef::S32(planes)) => Some(planes.iter_planes().map(<[i32]>::to_vec).collect()),
        _ => None,
    }
}

/// Ours gives what theirs gives, and anything but a breakdown where they find damage or break down. Returns whether there
/// was sound.
fn check(cookie: &[u8], packet: &[u8]) -> bool {
    let expected =
        catch_unwind(AssertUnwindSafe(|| planes(&mut *theirs(cookie), packet))).unwrap_or_default();
    let ours = planes(&mut *Alac::before(theirs(cookie)), packet);
    assert!(expected.is_none() || ours == expected);
    expected.is_some()
}

#[test]
fn every_packet_of_a_file_is_the_same_sound() {
    let (frames, depth, code, channels) = TONE_COOKIE;
    let packets = tone();
    assert!(packets.len() > 2);
    assert!(packets.iter().all(|packet| check(&cookie(frames, depth, code, channels), packet)));
}

#[test]
fn more_channels_and_other_elements_are_theirs() {
    let six = cookie(4096, 16, [40, 10, 14], 6);
    let mut six = Alac::before(theirs(&six));
    assert!(six.decode_ref(&PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, &[0xe0])).is_ok());
    // A fill element of one byte (tag 6, count 1) in front of the pair, which then lies 15 bits further.
    let packet = tone().swap_remove(0);
    let mut late = vec![0b1100_0010, 0, 0];
    late.resize(packet.len() + 3, 0);
    for bit in 0..8 * packet.len() {
        late[(bit + 15) / 8] |= (packet[bit / 8] >> (7 - bit % 8) & 1) << (7 - (bit + 15) % 8);
    }
    let (frames, depth, code, channels) = TONE_COOKIE;
    let cookie = cookie(frames, depth, code, channels);
    let mut ours = Alac::before(theirs(&cookie));
    let expected = planes(&mut *ours, &packet);
    assert!(expected.is_some());
    assert!(planes(&mut *ours, &late) == expected);
    assert!(planes(&mut *ours, &packet) == expected);
}

#[test]
fn a_packet_that_is_cut_off_is_damaged() {
    let (frames, depth, code, channels) = TONE_COOKIE;
    let mut ours = Alac::before(theirs(&cookie(frames, depth, code, channels)));
    let packet = tone().swap_remove(0);
    for len in [0, 1, 5, 12, 50, packet.len() / 2, packet.len() - 8] {
        assert_eq!(planes(&mut *ours, &packet[..len]), None, "{len} bytes");
        assert_eq!(ours.last_decoded().frames(), 0);
    }
}

/// Bits, the first as the highest.
fn packed(fields: &[(u32, u32)]) -> Vec<u8> {
    let mut bits = Vec::new();
    for (value, count) in fields {
        bits.extend((0..*count).rev().map(|n| value >> n & 1 == 1));
    }
    bits.chunks(8)
        .map(|byte| byte.iter().zip(0..).fold(0, |sum, (bit, n)| sum | u8::from(*bit) << (7 - n)))
        .collect()
}

proptest! {
    #[test]
    fn damage_is_the_same_damage(at in 0usize..100_000, with in 1u8.., which in 0usize..8) {
        let (frames, depth, code, channels) = TONE_COOKIE;
        let packets = tone();
        let mut packet = packets[which % packets.len()].clone();
        let at = at % packet.len().min(400);
        packet[at] ^= with;
        check(&cookie(frames, depth, code, channels), &packet);
    }

    #[test]
    fn any_packet_is_the_same_sound(
        depth in prop::sample::select(vec![16u8, 20, 24, 32]),
        pair in any::<bool>(),
        code in (any::<u8>(), any::<u8>(), 0u8..20).prop_map(|(a, b, c)| [a, b, c]),
        (partial, cut, plain) in (any::<bool>(), 0u32..3, prop::bool::weighted(0.1)),
        (mix_shift, mix) in (0u32..34, any::<u8>()),
        heads in prop::collection::vec((0u32..2, 0u32..16, 0u32..8, 0u32..32), 2),
        weights in prop::collection::vec(any::<i16>(), 64),
        rest in prop::collection::vec(any::<u8>(), 600),
        thin in any::<bool>(),
    ) {
        let mut fields = vec![(u32::from(pair), 3), (0, 16), (partial.into(), 1), (cut, 2), (plain.into(), 1)];
        if partial {
            fields.push((60, 32));
        }
        if !plain {
            fields.extend([(if pair { mix_shift } else { 0 }, 8), (if pair { mix.into() } else { 0 }, 8)]);
            for (head, weights) in heads.iter().zip(weights.chunks(32)).take(1 + usize::from(pair)) {
                let (mode, shift, pace, order) = *head;
                fields.extend([(15 * mode, 4), (shift, 4), (pace, 3), (order, 5)]);
                // Small ones keep within 32 bits, where theirs breaks down in a debug build.
                let small = weights.iter().map(|weight| (u32::from((weight >> 8).cast_unsigned()), 16));
                fields.extend(small.take(order as usize));
            }
        }
        // Few ones make small numbers.
        fields.extend(rest.iter().zip(rest.iter().rev()).map(|(a, b)| (u32::from(if thin { a & b } else { *a }), 8)));
        check(&cookie(64, depth, code, 1 + u8::from(pair)), &packed(&fields));
    }
}
